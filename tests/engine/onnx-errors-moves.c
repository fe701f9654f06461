/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* onnx-errors-moves.c: ops that move values, and constants that are computed: the message names the node. */
#include "tests/engine/onnx-refused.h"

static void
test_moves (void)
{
  CHECK_CASES (
      {"input x 1 3 8 8; Concat x x -> y axis=4; output y", MODEL, "axis 4 does not exist"},
      {"input x 1 3 8 8; Concat x x -> y axis=0; output y", UNSUPPORTED,
          "it joins the images of batches"},
      {"input x 1 3 8 8; Flatten x -> f; Concat x f -> y axis=1; output y", MODEL,
          "input 1 has 2 axes, the first 4"},
      {"input x 1 3 8 8; MaxPool x -> p kernel_shape=[2,2]; Concat x p -> y axis=1; output y",
          MODEL, "input 1 differs from the first in more than axis"},
      {"input x 1 3 8 8; floats w 1 3 4 8; Concat x w -> y axis=1; output y", MODEL,
          "a constant input differs in axis 2"},
      {"input x 1 3 8 8; floats w 1 3 8 8; Concat x x w -> y axis=1; output y", UNSUPPORTED,
          "constants and several activations"},
      {"input x 1 3 8 8; Split x -> y z axis=1; output y", MODEL,
          "an axis of size 3 into 2 equal parts"},
      {"opset 18; input x 1 3 8 8; Split x -> a b c d axis=1 num_outputs=4; output a", MODEL,
          "part 3 has size 0"},
      {"input x 4 3 8 8; Split x -> y z axis=0; output y", UNSUPPORTED,
          "it splits the images of a batch"},
      {"input x 1 3 8 8; ints s = 1 3; Split x s -> y z axis=1; output y", MODEL,
          "the parts have 4 elements, the axis 3"},
      {"input x 1 3 8 8; ints s = 3; Split x s -> y z axis=1; output y", MODEL,
          "2 outputs, and another number of parts"},
      {"input x 1 3 8 8; Slice x -> y starts=[0] ends=[0] axes=[2]; output y", UNSUPPORTED,
          "axis 2 with step 1"},
      {"input x 1 3 8 8; ints a = -1; ints b = -9; ints c = 2; ints d = -1; Slice x a b c d -> y; "
       "output y",
          UNSUPPORTED, "axis 2 with step -1"},
      {"input x 1 3 8 8; ints s = 1 3 2 4 2 4; Reshape x s -> r; ints a = 0; ints b = 4; ints c = 3; "
       "ints d = 2; Slice r a b c d -> y; output y",
          UNSUPPORTED, "in steps of 2, of 6 axes; up to 5 axes"},
      {"input x 4 3 8 8; Slice x -> y starts=[0] ends=[1] axes=[0]; output y", UNSUPPORTED,
          "axis 0"},
      {"input x 1 3 8 8; Slice x -> y starts=[0] ends=[1,2]; output y", MODEL, "differ in number"},
      {"input x 1 3 8 8; Transpose x -> y; output y", UNSUPPORTED, "has its batch in axis 3"},
      {"input x 1 3 8 8; Transpose x -> y perm=[0,1,1,2]; output y", MODEL, "no permutation"},
      {"input x 1 3 8 8; Transpose x -> y perm=[0,1]; output y", MODEL, "perm has 2 numbers"},
      {"input x 1 3 8 8; ints p = 0 0 1 1 0 0 1 1; Pad x p -> y mode=wrap; output y", UNSUPPORTED,
          "mode \"wrap\"; constant, reflect and edge can be done"},
      {"input x 1 3 8 8; ints p = 0 0 8 0 0 0 0 0; Pad x p -> y mode=reflect; output y", UNSUPPORTED,
          "an axis of size 8 is padded by 8 and 0"},
      {"input x 1 3 8 8; ints p = 0 0 0 40 0 0 0 40; Pad x p -> y mode=edge; output y", UNSUPPORTED,
          "an axis of size 8 is padded by 40 and 40"},
      {"input x 1 3 8 8; ints p = 0 0 1 1 0 0 1 1; floats v 1 = -inf; Pad x p v -> p1; Relu p1 -> y; output y",
          MODEL, "padding with -inf"},
      {"input x 1 3 8 8; ints p = 1 0 1 1 0 0 1 1; floats v 1 = -inf; Pad x p v -> p1; "
       "MaxPool p1 -> y kernel_shape=[3,3]; output y",
          MODEL, "padding with -inf"},
      {"input x 1 3 8 8; ints p = 1 0 0 0 0 0 0 0; Pad x p -> y mode=edge; output y", UNSUPPORTED,
          "it repeats images of the batch"},
      {"input x 1 3 8 8; ints s = 1 3 16 8; Expand x s -> y; output y", UNSUPPORTED,
          "axis 2 becomes 16 from 8"},
      {"input x 1 3 8 8; ints s = 2 3 8 8; Expand x s -> y; output y", UNSUPPORTED,
          "axis 0 becomes 2 from 1"},
      {"input x 1 3 8 1; ints s = 8 0; Expand x s -> y; output y", UNSUPPORTED, "axis 3 becomes 0 from 1"},
      {"input x 1 3 8 1; ints s = 8 16777217; Expand x s -> y; output y", UNSUPPORTED,
          "axis 3 becomes 16777217 from 1"},
      {"input x 1 3 8 8; ints s = 1 1 3 8 8; Expand x s -> y; output y", UNSUPPORTED,
          "5 axes of a value with 4"},
      {"input x 1 3 8 8; ints r = 1 2; Tile x r -> y; output y", MODEL, "2 repeats for 4 axes"},
      {"input x 1 3 8 8; ints r = 2 1 1 1; Tile x r -> y; output y", UNSUPPORTED,
          "axis 0 is repeated 2 times"},
      {"input x 1 3 8 8; ints r = 1 1 0 1; Tile x r -> y; output y", UNSUPPORTED,
          "axis 2 is repeated 0 times"},
      {"input x 1 3 8 8; ints r = 1 1 16777216 1; Tile x r -> y; output y", MODEL,
          "axis 1 of the output has size 33554432"},
      {"input x 1 3 8 8; floats k 2 2; ints r = 1 -1; Tile k r -> t; Add x t -> y; output y", MODEL,
          "axis 1 is repeated -1 times"},
      {"input x 1 3 8 8; ints i = 1 2; ints d = 8; floats v 2; OneHot i d v -> o axis=3; Add x o -> y; "
       "output y",
          MODEL, "axis 3"},
      {"input x 1 3 8 8; ints i = 1 2; ints d = 8 8; floats v 2; OneHot i d v -> o; Add x o -> y; output y",
          MODEL, "2 depths and 2 values; one and two are needed"},
      {"input x 1 3 8 8; ints i = 1 2; ints d = 8; floats v 3; OneHot i d v -> o; Add x o -> y; output y",
          MODEL, "1 depths and 3 values"},
      {"input x 1 3 8 8; ints i = 1 2; ints d = -1; floats v 2; OneHot i d v -> o; Add x o -> y; output y",
          MODEL, "a depth of -1"},
      {"input x 1 3 8 8; ints d = 8; floats v 2; OneHot x d v -> y; output y", UNSUPPORTED,
          "input 0 (\"x\") is computed from the image"},
      {"input x 1 3 8 8; floats a 2 3; floats b 2 8; MatMul a b -> m; Add x m -> y; output y", UNSUPPORTED,
          "a product of constants"},
      {"input x 1 3 8 8; ints s = 131072 1; ConstantOfShape s -> a; ints t = 1 131072; "
       "ConstantOfShape t -> b; floats c 2 2; MatMul c c -> d; MatMul a b -> m; Add m d -> e; "
       "Add x e -> y; output y",
          UNSUPPORTED, "node \"m\" (MatMul): products of constants that are too large"},
      {"input x 1 3 8 8; floats a 2 3; floats b 2 8; Gemm a b -> m; Add x m -> y; output y", MODEL,
          "A and B do not fit"},
      {"input x 1 3 8 8; floats a 2 3; floats b 3 8; floats c 3 1; Gemm a b c -> m; Add x m -> y; "
       "output y",
          MODEL, "C does not fit an output of 2 by 8"},
      {"input x 1 3 8 8; floats a 2 3; ints b = 1 2; Gemm a b -> m; Add x m -> y; output y", MODEL,
          "input 1 holds integers"},
      {"input x 1 3 8 8; floats a 8 8; Gemm a x -> y; output y", UNSUPPORTED,
          "input 1 (\"x\") is computed from the image"},
      {"input x 1 3 8 8; floats a 1 3 8 8; floats w 3 3 3 3; Conv a w -> c pads=[1,1,1,1]; "
       "Add x c -> y; output y",
          UNSUPPORTED, "a convolution of a constant with pads of 1; 0 can be done"},
      {"input x 1 3 8 8; floats a 1 3 8 8; floats w 3 1 1 1; Conv a w -> c group=3; Add x c -> y; "
       "output y",
          UNSUPPORTED, "a convolution of a constant; windows of a pixel"},
      {"input x 1 3 8 8; floats a 1 3 8 8; floats w 3 3 1 1; floats b 4; Conv a w b -> c; "
       "Add x c -> y; output y",
          MODEL, "the bias does not have one value for each of 3"},
      {"input x 1 3 8 8; floats a 1 3 8 8; Softmax a -> s axis=4; Add x s -> y; output y", MODEL,
          "axis 4"},
      {"input x 1 3 8 8; ints a = 1 2; Softmax a -> s axis=0; Add x s -> y; output y", MODEL,
          "input 0 holds integers"},
      {"input x 1 3 8 8; ints p = 0 0 -4 1 0 0 -4 1; Pad x p -> y; output y", UNSUPPORTED,
          "it cuts 8 elements off axis 1"},
      {"input x 1 3 8 8; ints p = 0 0 -65536 0 0 0 0 0; Pad x p -> y; output y", UNSUPPORTED,
          "padding by -65536"},
      {"input x 1 3 8 8; ints p = 1 0 0 0 0 0 0 0; Pad x p -> y; output y", UNSUPPORTED,
          "it pads the batch axis"},
      {"input x 1 3 8 8; ints p = 1 1; Pad x p -> y; output y", MODEL, "pads has 2 numbers; 8"},
      {"input x 1 3 8 8; ints p = 0 0 1 1 0 0 1 1; floats v 1 = inf; Pad x p v -> y; output y",
          MODEL, "padding with inf"});
}

static void
test_reshapes (void)
{
  CHECK_CASES (
      {"input x 1 3 8 8; ints s = 1 -1 -1; Reshape x s -> y; output y", MODEL, "two axes are -1"},
      {"input x 1 3 8 8; ints s = 1 -2; Reshape x s -> y; output y", MODEL, "axis 1 has size -2"},
      {"input x 1 3 8 8; ints s = 5 -1; Reshape x s -> y; output y", MODEL,
          "192 elements cannot be divided by 5"},
      {"input x 1 3 8 8; ints s = 1 100; Reshape x s -> y; output y", MODEL,
          "[1 3 8 8] does not have as many elements as [1 100]"},
      {"input x 1 3 8 8; ints s = 1 3 8 8 0; Reshape x s -> y; output y", MODEL,
          "axis 4 copies an axis that the input does not have"},
      {"input x 1 3 8 8; ints s = 0 -1; Reshape x s -> y allowzero=1; output y", MODEL,
          "cannot be divided by 0"},
      {"input x 1 3 8 8; ints s = 9223372036854775807 9223372036854775807 -1; Reshape x s -> y; "
       "output y",
          MODEL, "cannot be divided by -1"},
      {"input x 1 3 8 8; Transpose x -> t perm=[1,0,2,3]; ints s = 8389750312335835166 "
       "7018136992859126377; Reshape t s -> y; output y",
          UNSUPPORTED, "its output 2 axes of which none is the batch"},
      {"input x 1 3 8 8; ints s = 1 1 1 1 1 1 1 1 1; Reshape x s -> y; output y", UNSUPPORTED,
          "a shape of 9 axes"},
      {"input x 1 3 8 8; ints s = 1 3 2 2 2 2 2 2; Reshape x s -> y; output y", UNSUPPORTED,
          "the output has 8 axes"},
      {"input x 4 3 8 8; ints s = 3 -1; Reshape x s -> y; output y", UNSUPPORTED,
          "axis 0 becomes 3, no multiple of the batch of 4"},
      {"input x 1 3 8 8; floats s 2; Reshape x s -> y; output y", MODEL,
          "holds floats where integers"},
      {"input x 1 3 8 8; Flatten x -> y axis=0; output y", UNSUPPORTED,
          "axis 0 flattens the images"},
      {"input x 1 3 8 8; Flatten x -> y axis=5; output y", MODEL, "axis 5 does not exist"},
      {"input x 1 3 8 8; ints a = 0; Squeeze x a -> y; output y", UNSUPPORTED,
          "it takes the batch axis away"},
      {"input x 1 3 8 8; ints a = 2; Squeeze x a -> y; output y", MODEL, "axis 2 has size 8"},
      {"input x 1 3 8 8; ints a = 0; Unsqueeze x a -> y; output y", UNSUPPORTED,
          "has its batch in axis 1"},
      {"input x 1 3 8 8; ints a = 1 1; Unsqueeze x a -> y; output y", MODEL,
          "axis 1 is there twice"},
      {"input x 1 3 8 8; ints a = 1 2 3 4 5; Unsqueeze x a -> y; output y", UNSUPPORTED,
          "the output has 9 axes"},
      {"input x 1 3 8 8; Unsqueeze x -> y; output y", MODEL, "axes is missing"});
}

static void
test_constants (void)
{
  CHECK_CASES ({"input x 1 3 8 8; int i = 0; Gather x i -> y; output y", UNSUPPORTED,
                   "it takes images out of a batch"},
      {"input x 1 3 8 8; int a = 1; CumSum x a -> y; output y", UNSUPPORTED, "computed from the image"},
      {"input x 1 3 8 8; ReduceProd x -> y axes=[1]; output y", UNSUPPORTED, "computed from the image"},
      {"input x 1 3 8 8; Sin x -> y; output y", UNSUPPORTED, "input 0 (\"x\") is computed from the image"},
      {"input x 1 3 8 8; floats c 3; int a = 1; CumSum c a -> d; Add x d -> y; output y", MODEL, "axis 1"},
      {"input x 1 3 8 8; floats c 3; ints a = 0 0; CumSum c a -> d; Add x d -> y; output y", MODEL,
          "2 axes; one is needed"},
      {"input x 1 3 8 8; floats c 3; ReduceProd c -> d axes=[2]; Add x d -> y; output y", MODEL, "axis 2"},
      {"input x 1 3 8 8; floats a 1 = 0; floats b 1 = 5; Range a b a -> r; Add x r -> y; output y", MODEL,
          "inf elements"},
      {"input x 1 3 8 8; floats a 1 = 0; floats b 1 = 1e30; floats c 1; Range a b c -> r; Add x r -> y; "
       "output y",
          MODEL, "1e+30 elements"},
      {"input x 1 3 8 1; floats k 5 1 3; Mul x k -> y; output y", UNSUPPORTED,
          "axis 1 becomes 5 from 3"},
      {"input x 1 3 8 8; ints i = 0 3; Gather x i -> y axis=1; output y", MODEL,
          "index 3 of an axis of size 3"},
      {"input x 1 3 8 8; ints i = -9223372036854775807 9223372036854775807; Gather x i -> y axis=1; "
       "output y",
          MODEL, "of an axis of size 3"},
      {"input x 1 3 8 8; ints i = 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0; "
       "Gather x i -> y axis=1; output y",
          UNSUPPORTED, "more than 64 runs"},
      {"input x 1 3 8 8; floats g 8; LayerNormalization x g -> y axis=1; output y", MODEL,
          "scale has 8 values for 192 features"},
      {"input x 1 3 8 8; floats d 4; ints i = 0; floats u 1; ScatterND d i u -> y reduction=add; output y",
          UNSUPPORTED, "reduction \"add\""},
      {"input x 1 3 8 8; Relu x -> r; int i = 0; ScatterND x i r -> y; output y", MODEL,
          "the indices have no numbers"},
      {"input x 1 3 8 8; Relu x -> r; ints i = 0 1; ints s = 1 2; Reshape i s -> j; ScatterND x j r -> y; "
       "output y",
          UNSUPPORTED, "it replaces some of what is computed"},
      {"input x 1 3 8 8; Relu x -> r; ints i = 0 1; ints s = 2 1; Reshape i s -> j; ScatterND x j r -> y; "
       "output y",
          UNSUPPORTED, "it replaces some of what is computed"},
      {"input x 1 3 8 8; Relu x -> r; ints i = 0 0 0 1 0 1; ints s = 3 2; Reshape i s -> j; "
       "ScatterND x j r -> y; output y",
          UNSUPPORTED, "it replaces some of what is computed"},
      {"input x 1 3 8 8; Relu x -> r; ints i = 0 0 0 0 0; ints s = 1 5; Reshape i s -> j; "
       "ScatterND x j r -> y; output y",
          UNSUPPORTED, "it replaces some of what is computed"},
      {"input x 1 3 8 8; floats u 1 3 8 8; ints i = 0; ints s = 1 1; Reshape i s -> j; "
       "ScatterND x j u -> y; output y",
          UNSUPPORTED, "updates that are constant"},
      {"input x 1 3 8 8; Flatten x -> f; ints i = 0; ints s = 1 1; Reshape i s -> j; "
       "ScatterND x j f -> y; output y",
          UNSUPPORTED, "have other dims than the data"},
      {"input x 1 3 8 8; floats d 1 3 8 8; ints i = 0; ints s = 1 1; Reshape i s -> j; "
       "ScatterND d j x -> y; output y",
          UNSUPPORTED, "is computed from the image, the data are constant"},
      {"input x 1 3 8 8; Relu x -> r; Where r x x -> y; output y", UNSUPPORTED,
          "is computed from the image"},
      {"input x 1 3 8 8; Shape x -> s; int i = 4; Gather s i -> t; Reshape x t -> y; output y",
          MODEL, "index 4 of an axis of size 4"},
      {"input x 1 3 8 8; int a = 1; int b = 0; Div a b -> t; Reshape x t -> y; output y", MODEL,
          "node \"t\" (Div): a division by zero"},
      {"input x 1 3 8 8; ints a = 1 2; ints b = 1 2 3; Add a b -> t; Reshape x t -> y; output y",
          MODEL, "the shapes of two constants do not fit"},
      {"input x 1 3 8 8; ints a = 1 2; floats b 1; Add a b -> t; Reshape x t -> y; output y", MODEL,
          "integers and floats"},
      {"input x 1 3 8 8; floats a 1 = nan; Cast a -> t to=7; Reshape x t -> y; output y", MODEL,
          "does not fit into an integer"},
      {"input x 1 3 8 8; floats a 1; Cast a -> t to=8; Reshape x t -> y; output y", UNSUPPORTED,
          "a constant cast to string"},
      {"input x 1 3 8 8; int a = 0; Range a a a -> t; Reshape x t -> y; output y", MODEL,
          "a step of 0"},
      {"input x 1 3 8 8; Constant -> t; Reshape x t -> y; output y", MODEL,
          "0 values; one is needed"},
      {"input x 1 3 8 8; Constant -> t value=1; Reshape x t -> y; output y", MODEL,
          "attribute \"value\" is no tensor"},
      {"input x 1 3 8 8; ints a = 1; floats b 1; Concat a b -> t axis=0; Reshape x t -> y; output y",
          MODEL, "input 1 differs from the first"});
}

int
main (void)
{
  refused_begin ();
  RUN (test_moves);
  RUN (test_reshapes);
  RUN (test_constants);
  return refused_end ();
}
