/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* onnx-errors-ops.c: ops that compute, wrong or not supported: the message names the node and what is amiss. */
#include "tests/engine/onnx-refused.h"

static void
test_conv (void)
{
  CHECK_CASES ({"input x 1 3 8 8; Relu x -> w; Conv x w -> y; output y", UNSUPPORTED,
                   "input 1 (\"w\") is computed from the image"},
      {"input x 1 3 8 8; floats w 4 3 3 3; MaxPool w -> y kernel_shape=[2,2]; output y", UNSUPPORTED,
          "input 0 (\"w\") is a constant"},
      {"input x 1 3 8 8; floats w 4 3 3 3 3; Conv x w -> y; output y", UNSUPPORTED,
          "input of 4 axes, weights of 5"},
      {"input x 1 3 8 8; floats w 4 2 3 3; Conv x w -> y; output y", MODEL,
          "the weights read 2 channels"},
      {"input x 1 3 8 8; floats w 4 1 3 3; Conv x w -> y group=2; output y", MODEL,
          "2 groups do not divide 3 input"},
      {"input x 1 3 8 8; floats w 4 3 3 3; Conv x w -> y group=0; output y", MODEL, "0 groups"},
      {"input x 1 3 8 8; floats w 4 3 0 3; Conv x w -> y; output y", MODEL,
          "axis 2 of the weights has size 0"},
      {"input x 1 3 8 8; floats w 4 3 9 9; Conv x w -> y; output y", MODEL,
          "reaches over 9 pixels, the padded input has 8"},
      {"input x 1 3 8 8; floats w 4 3 3 3; Conv x w -> y kernel_shape=[3,5]; output y", MODEL,
          "kernel_shape says 5, the weights 3"},
      {"input x 1 3 8 8; floats w 4 3 3 3; Conv x w -> y strides=[0,1]; output y", UNSUPPORTED,
          "strides holds 0"},
      {"input x 1 3 8 8; floats w 4 3 3 3; Conv x w -> y strides=[1]; output y", MODEL,
          "strides has 1 numbers; the input has 2"},
      {"input x 1 3 8 8; floats w 4 3 3 3; Conv x w -> y pads=[1,1]; output y", MODEL,
          "pads has 2 numbers; 4 are needed"},
      {"input x 1 3 8 8; floats w 4 3 3 3; Conv x w -> y pads=[-1,0,0,0]; output y", UNSUPPORTED,
          "pads holds -1"},
      {"input x 1 3 8 8; floats w 4 3 3 3; Conv x w -> y pads=[9223372036854775807,0,0,0]; output y",
          UNSUPPORTED, "pads holds 9223372036854775807"},
      {"input x 1 3 8 8; floats w 4 3 3 3; Conv x w -> y pads=[3,0,0,0]; output y", UNSUPPORTED,
          "a window lies in the padding as a whole"},
      {"input x 1 3 8 8; floats w 4 3 3 3; Conv x w -> y pads=[1,1,1,1] auto_pad=SAME_UPPER; "
       "output y",
          MODEL, "both pads and auto_pad"},
      {"input x 1 3 8 8; floats w 4 3 3 3; Conv x w -> y auto_pad=SAME; output y", MODEL,
          "auto_pad \"SAME\" does not exist"},
      {"input x 1 3 8 8; floats w 4 3 3 3; floats b 3; Conv x w b -> y; output y", MODEL,
          "the bias does not have one value for each of 4"},
      {"input x 1 3 300 300; floats w 1 3 300 300; Conv x w -> y; output y", UNSUPPORTED,
          "270000 products are summed"});
}

static void
test_fully_connected (void)
{
  CHECK_CASES ({"input x 1 3 8 8; Flatten x -> f; floats w 10 10; Gemm f w -> y; output y", MODEL,
                   "an input of 192 features and weights of 10 by 10"},
      {"input x 1 3 8 8; Flatten x -> f; floats w 192 10; Gemm f w -> y transA=1; output y",
          UNSUPPORTED, "transA moves the batch axis"},
      {"input x 1 3 8 8; floats w 192 10; Gemm x w -> y; output y", MODEL, "A has 4 axes, B 2"},
      {"input x 1 3 8 8; Flatten x -> f; floats w 192 10; floats c 3; Gemm f w c -> y; output y",
          UNSUPPORTED, "C has 3 elements"},
      {"input x 1 3 8 8; Flatten x -> f; Gemm f f -> y; output y", UNSUPPORTED,
          "input 1 (\"f\") is computed from the image"},
      {"input x 1 3 8 8; Flatten x -> f; MatMul f f -> y; output y", UNSUPPORTED,
          "2 axes times 2 axes, both computed"},
      {"input x 1 3 8 6; MatMul x x -> y; output y", MODEL, "matrices in equal numbers"},
      {"input x 1 3 8 8; Einsum x x -> y equation=ab,ab->ab; output y", MODEL, "labels ab for 4 axes"},
      {"input x 1 3 8 8; Einsum x x -> y equation=abcd,abcd; output y", UNSUPPORTED,
          "equation \"abcd,abcd\""},
      {"input x 1 3 8 8; Einsum x x -> y equation=abcc,abcc->abc; output y", UNSUPPORTED,
          "equation \"abcc,abcc->abc\""},
      {"input x 1 3 8 8; Einsum x x -> y equation=abcdefg,abcd->abcd; output y", UNSUPPORTED,
          "equation \"abcdefg"},
      {"input x 1 3 8 8; Einsum x x -> y equation=abcd,abce->abc; output y", UNSUPPORTED,
          "what one operand has alone"},
      {"input x 1 3 8 8; Einsum x x -> y equation=abcd,abcd->abz; output y", UNSUPPORTED,
          "what one operand has alone"},
      {"input x 1 3 8 6; Einsum x x -> y equation=abcd,abdc->abc; output y", MODEL,
          "label d has the sizes 6 and 8"},
      {"input x 1 3 8 8; Einsum x x -> y equation=abcd,ebcd->ae; output y", UNSUPPORTED,
          "the first label is no batch of both"},
      {"input x 1 3 8 8; Einsum x x -> y equation=abcd,abcd->bcd; output y", UNSUPPORTED,
          "the first label is no batch of both"},
      {"input x 1 3 8 8; floats w 1 8 8; Einsum x w -> y equation=abcd,acd->abcd; output y",
          UNSUPPORTED, "weights that are the same for all images"},
      {"input x 1 3 8 8; floats w 8 2; Einsum w x -> y equation=de,abcd->eabc; output y", UNSUPPORTED,
          "and these first"},
      {"input x 1 3 8 8; ints w = 1 2; Einsum x w -> y equation=abcd,e->abcde; output y", MODEL,
          "weights that are no floats"},
      {"input x 1 3 8 8; floats w 8 3; MatMul w x -> y; output y", UNSUPPORTED, "is a constant"},
      {"input x 1 3 8 8; floats w 1 8 3; MatMul x w -> y; output y", UNSUPPORTED,
          "4 axes times 3 axes"});
}

static void
test_other_functions (void)
{
  CHECK_CASES ({"input x 1 3 8 8; floats w 3; Pow x w -> y; output y", UNSUPPORTED,
                   "an exponent that is not one constant"},
      {"input x 1 3 8 8; Celu x -> y alpha=-1.0; output y", UNSUPPORTED,
          "positive ones can be done"},
      {"input x 1 3 8 8; floats w 5 = 1 2 3 4 5; PRelu x w -> y; output y", UNSUPPORTED,
          "the slope has 5"},
      {"input x 1 3 8 8; floats w 3 1 1; Max x w x -> y; output y", UNSUPPORTED,
          "constants among more than two inputs"},
      {"input x 1 3 8 8; LRN x -> y; output y", MODEL, "size 0"},
      {"input x 1 3 8 8; LpPool x -> y kernel_shape=[2,2] p=3; output y", UNSUPPORTED, "p is 3"},
      {"input x 1 3 8 8; Resize x -> y; output y", MODEL, "either scales or sizes"},
      {"input x 1 3 8 8; floats s 1; Resize x _ s -> y; output y", UNSUPPORTED, "of 1 axes; 4"},
      {"input x 1 3 8 8; floats s 2; Resize x _ s -> y axes=[2,4]; output y", MODEL, "axis 4"},
      {"input x 1 3 8 8; floats s 1; Resize x _ s -> y axes=[2,3,3,3,3]; output y", MODEL, "5 axes of 4"},
      {"input x 1 3 8 8; ints s = 1 3 4 9; Resize x _ _ s -> y keep_aspect_ratio_policy=not_larger; "
       "output y",
          UNSUPPORTED, "keep_aspect_ratio_policy \"not_larger\" cannot be done"},
      {"opset 7; input x 1 3 8 8; Upsample x -> y; output y", MODEL, "either scales or sizes"},
      {"opset 7; input x 1 3 8 8; Upsample x -> y scales=[2,2]; output y", MODEL,
          "scales of 0 axes"},
      {"input x 1 3 8 8; LayerNormalization x x -> y axis=1; output y", UNSUPPORTED, "input 1"},
      {"input x 1 3 8 8; floats g 8; LayerNormalization x g -> y axis=0; output y", UNSUPPORTED,
          "over the images of a batch"},
      {"input x 1 3 1 1; TopK x -> v i axis=1 k=1 largest=0; output v", UNSUPPORTED,
          "the smallest are the best"},
      {"input x 1 3 8 8; DepthToSpace x -> y blocksize=2; output y", MODEL, "3 channels in blocks"},
      {"input x 1 3 8 8; SpaceToDepth x -> y blocksize=3; output y", MODEL, "8 by 8 pixels"},
      {"input x 1 3 8 8; ArgMax x -> y axis=1; output y", UNSUPPORTED, "at every position"},
      {"input x 1 3 1 1; ArgMax x -> i axis=1; Relu i -> y; output y", UNSUPPORTED, "read again"});
}

static void
test_sums (void)
{
  CHECK_CASES (
      {"input x 1 3 8 8; floats w 1 = 0; Div x w -> y; output y", MODEL, "a division by zero"},
      {"input x 1 3 8 8; floats w 3 1 2; Add x w -> y; output y", UNSUPPORTED,
          "axis 2 of the constant has size 2"},
      {"input x 1 3 8 8; floats w 1 1 3 8 8; Add x w -> y; output y", UNSUPPORTED,
          "a constant with 5 axes"},
      {"input x 1 3 8 8; ReduceMean x -> r axes=[0,3]; output r", UNSUPPORTED,
          "it goes over the images of a batch"},
      {"input x 1 3 8 8; ReduceMax x -> r; output r", UNSUPPORTED, "it goes over the images of a batch"},
      {"input x 1 3 8 8; Slice x -> s starts=[0] ends=[2] axes=[2]; Add x s -> y; opset 9; output y", MODEL,
          "\"x\" and \"s\" have sizes 8 and 2 of axis 2"},
      {"input x 1 3 8 8; ReduceMean x -> r axes=[2,3] keepdims=0; Add x r -> y; output y", UNSUPPORTED,
          "differ in their number of axes"},
      {"input x 1 3 8 8; floats a 3; floats b 3; floats c 3; floats d 2; "
       "BatchNormalization x a b c d -> y; output y",
          MODEL, "input 4 has 2 values for 3 channels"},
      {"input x 1 3 8 8; floats a 3; floats v 3 = 1 -1 1; BatchNormalization x a a a v -> y; output y",
          MODEL, "scale holds"},
      {"input x 1 3 8 8; floats a 3; BatchNormalization x a a a a -> y training_mode=1; output y",
          UNSUPPORTED, "it is in training mode"},
      {"input x 1 3 8 8; floats a 3; BatchNormalization x a a a a -> y m v; output y", UNSUPPORTED,
          "it is in training mode"},
      {"input x 1 3 8 8; floats a 3; BatchNormalization x a a a a -> y spatial=0; output y",
          UNSUPPORTED, "spatial is 0"});
}

static void
test_functions (void)
{
  CHECK_CASES (
      {"input x 1 3 8 8; Clip x -> y min=1.0f max=0.0f; output y", MODEL, "min is 1 and max 0"},
      {"input x 1 3 8 8; floats a 1 = nan; Clip x a -> y; output y", MODEL, "min is nan"},
      {"input x 1 3 8 8; floats a 2; Clip x a -> y; output y", MODEL, "input 1 has 2 elements"},
      {"input x 1 3 8 8; LeakyRelu x -> y alpha=infinity; output y", MODEL, "has type 3; 1"},
      {"input x 1 3 8 8; Softmax x -> y axis=0; output y", UNSUPPORTED,
          "it sums over the images of a batch"},
      {"input x 1 3 8 8; Softmax x -> y axis=0; output y", UNSUPPORTED,
          "it sums over the images of a batch"},
      {"input x 1 3 8 8; Softmax x -> y axis=4; output y", MODEL,
          "axis 4 does not exist: there are 4"},
      {"input x 1 3 8 8; floats r 1; int t = 1; Dropout x r t -> y; output y", UNSUPPORTED,
          "it is in training mode"},
      {"input x 1 3 8 8; Cast x -> y to=7; output y", UNSUPPORTED, "an activation cast to int64"},
      {"input x 1 3 8 8; AveragePool x -> y kernel_shape=[2,2] dilations=[2,1]; output y",
          UNSUPPORTED, "an average with dilation"},
      {"input x 1 3 8 8; MaxPool x -> y kernel_shape=[70000,1]; output y", UNSUPPORTED,
          "kernel_shape holds 70000"},
      {"input x 1 3 8 8; MaxPool x -> y kernel_shape=[2,2] pads=[2,0,0,0]; output y", UNSUPPORTED,
          "a window lies in the padding"},
      {"input x 1 3 8 8; Flatten x -> f; GlobalMaxPool f -> y; output y", UNSUPPORTED,
          "the input has 2 axes"});
}

static void
test_conv_transpose (void)
{
  CHECK_CASES ({"input x 1 3 8 8; floats w 4 2 3 3; ConvTranspose x w -> y; output y", MODEL,
                   "1 groups, 3 channels, weights for 4"},
      {"input x 1 3 8 8; floats w 3 2 3 3; ConvTranspose x w -> y group=2; output y", MODEL,
          "2 groups, 3 channels"},
      {"input x 1 3 8 8; floats w 3 2 3; ConvTranspose x w -> y; output y", UNSUPPORTED,
          "input of 4 axes, weights of 3"},
      {"input x 1 3 8 8; floats w 3 2 3 3; floats b 3; ConvTranspose x w b -> y; output y", MODEL,
          "the bias does not have one value for each of 2 outputs"},
      {"input x 1 3 8 8; floats w 3 2 3 3; ConvTranspose x w -> y pads=[5,5,5,5]; output y", MODEL,
          "0 of 10 outputs from 8"},
      {"input x 1 3 8 8; floats w 3 2 3 3; ConvTranspose x w -> y output_shape=[8]; output y", MODEL,
          "output_shape has 1 numbers"},
      {"input x 1 3 8 8; floats w 3 2 3 3; ConvTranspose x w -> y strides=[60000,60000]; output y",
          UNSUPPORTED, "strides that make 7200000000 channels"},
      {"input x 1 3 8 8; floats w 3 2 3 3; ConvTranspose x w -> y output_padding=[-1,0]; output y",
          UNSUPPORTED, "output_padding holds -1"});
}

#define LEVELS "input x 1 3 8 8; floats s 1 = 0.5; levels z 1 = 3; levels u:2 1 = 3; "

#define CHANNELS "input x 1 3 8 8; floats s 3 = 1 2 3; levels z:2 1 = 0; "

static void
test_quantised (void)
{
  CHECK_CASES (
      {"input x 1 3 8 8; floats s 1 = 0; QuantizeLinear x s -> q; DequantizeLinear q s -> y; output y",
          MODEL, "node \"q\" (QuantizeLinear): scale 0 is 0; above 0 and finite"},
      {"input x 1 3 8 8; floats s 1 = nan; QuantizeLinear x s -> q; DequantizeLinear q s -> y; output y",
          MODEL, "scale 0 is nan"},
      {"input x 1 3 8 8; floats s 1 = -1; QuantizeLinear x s -> q; DequantizeLinear q s -> y; output y",
          MODEL, "scale 0 is -1"},
      {"input x 1 3 8 8; floats s 8 = 1 2 3 4 5 6 7 8; QuantizeLinear x s -> q axis=2; DequantizeLinear q s -> y axis=2; "
       "output y",
          UNSUPPORTED, "an activation with 8 scales on axis 2"},
      {"input x 1 3 8 8; floats s 2 = 1 2; QuantizeLinear x s -> q; DequantizeLinear q s -> y; output y",
          UNSUPPORTED, "an activation with 2 scales on axis 1"},
      {CHANNELS "levels t:2 3 = 1 2 3; QuantizeLinear x s t -> q; DequantizeLinear q s t -> y; output y",
          UNSUPPORTED, "an activation with 3 zero points"},
      {CHANNELS "floats t 3 = 1 2 4; QuantizeLinear x s -> q; DequantizeLinear q t -> y; output y",
          UNSUPPORTED, "is read with other scales of its channels than it was made with"},
      {CHANNELS "floats t 1 = 3; QuantizeLinear x s -> q; DequantizeLinear q t -> y; output y",
          UNSUPPORTED, "is read with other scales of its channels than it was made with"},
      {CHANNELS "QuantizeLinear x s -> q; MaxPool q -> m kernel_shape=[2,2]; DequantizeLinear m s -> y; output y",
          UNSUPPORTED, "holds levels whose scale differs from channel to channel"},
      {CHANNELS "levels w 2 3 1 1; QuantizeLinear x s -> q; ConvInteger q w z -> i; Cast i -> y to=1; output y",
          UNSUPPORTED, "holds levels whose scale differs from channel to channel"},
      {LEVELS "QuantizeLinear x s z -> q; DequantizeLinear q s u -> y; output y", UNSUPPORTED,
          "is read with scale 0.5 and zero point -125, and was made with 0.5 and 3 (of int8)"},
      {LEVELS "floats t 1 = 0.25; QuantizeLinear x s z -> q; DequantizeLinear q t z -> y; output y",
          UNSUPPORTED, "is read with scale 0.25"},
      {LEVELS "QuantizeLinear x s z -> y; output y", UNSUPPORTED, "output \"y\" is integers"},
      {LEVELS "QuantizeLinear x s z -> q; Relu q -> y; output y", UNSUPPORTED,
          "node \"y\" (Relu): input 0 (\"q\") holds int8 or uint8 levels"},
      {LEVELS "QuantizeLinear x s z -> q; QuantizeLinear q s z -> y; output y", MODEL,
          "it quantises levels"},
      {LEVELS "DequantizeLinear x s z -> y; output y", MODEL,
          "holds real numbers where levels are needed"},
      {LEVELS "QuantizeLinear x s z -> q; QuantizeLinear x s u -> r; Concat q r -> c axis=1; "
              "DequantizeLinear c s z -> y; output y",
          MODEL, "it joins levels of different scales"},
      {"input x 1 3 8 8; floats s 1; levels z:5 1 = 0; QuantizeLinear x s z -> q; DequantizeLinear q s z -> y; output y",
          UNSUPPORTED, "is of type int16"},
      {"input x 1 3 8 8; floats s 1; levels z:22 1 = 0; QuantizeLinear x s z -> q; DequantizeLinear q s z -> y; output y",
          UNSUPPORTED, "is of type int4"},
      {"input x 1 3 8 8; floats s 1; levels z:17 1 = 0; QuantizeLinear x s z -> q; DequantizeLinear q s z -> y; output y",
          UNSUPPORTED, "is of type float8e4m3fn"},
      {"opset 21; input x 1 3 8 8; floats s 1; QuantizeLinear x s -> q output_dtype=5; DequantizeLinear q s -> y; output y",
          UNSUPPORTED, "levels of int16; int8 and uint8 can be done"},
      {"opset 21; input x 1 3 8 8; floats s 1; QuantizeLinear x s -> q block_size=2; DequantizeLinear q s -> y; output y",
          UNSUPPORTED, "scales for blocks of 2 elements"},
      {"input x 1 3 8 8; levels w 2 3 1 1; floats s 3; DequantizeLinear w s -> v axis=0; Conv x v -> y; output y",
          MODEL, "3 scales for 2 channels on axis 0"},
      {"input x 1 3 8 8; levels w 2 3 1 1; floats s 2; DequantizeLinear w s -> v axis=4; Conv x v -> y; output y",
          MODEL, "axis 4 does not exist"},
      {"input x 1 3 8 8; levels w 2 3 1 1; levels z:2 1; floats s 1; DequantizeLinear w s z -> v; Conv x v -> y; output y",
          MODEL, "levels and zero point differ in type"},
      {"input x 1 3 8 8; levels w 2 3 1 1 = 1 2 3 4 5 200; floats s 1; DequantizeLinear w s -> v; Conv x v -> y; output y",
          MODEL, "of type int8 holds 200"},
      {"input x 1 3 8 8; levels w 2 3 1 1; Conv x w -> y; output y", UNSUPPORTED,
          "input 1 (\"w\") holds int8 or uint8 levels"},
      {LEVELS
          "levels w 2 3 1 1; QuantizeLinear x s z -> q; ConvInteger q w u -> i; Cast i -> y to=1; output y",
          MODEL, "its input has another zero point than 3"},
      {"input x 1 3 8 8; levels w 2 3 1 1; DynamicQuantizeLinear x -> q s z; ConvInteger q w z -> i; Cast i -> r to=1; "
       "Relu r -> y; output y",
          UNSUPPORTED, "that DynamicQuantizeLinear decides"},
      {"input x 1 3 8 8; levels w 2 3 1 1; floats t 1; DynamicQuantizeLinear x -> q s z; ConvInteger q w z -> i; "
       "Cast i -> r to=1; Mul r t -> y; output y",
          UNSUPPORTED, "do not belong together"},
      {"input x 1 3 8 8; levels w 2 3 1 1; DynamicQuantizeLinear x -> q s z; ConvInteger q w z -> y; output y",
          UNSUPPORTED, "output \"y\" is integers"});
}

int
main (void)
{
  refused_begin ();
  RUN (test_conv);
  RUN (test_fully_connected);
  RUN (test_other_functions);
  RUN (test_sums);
  RUN (test_functions);
  RUN (test_conv_transpose);
  RUN (test_quantised);
  return refused_end ();
}
