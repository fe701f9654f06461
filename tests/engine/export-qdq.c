/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * export-qdq.c: what the Q/DQ export writes for each kind of layer and each runtime.
 * export-qdq-networks.c checks that it computes the same.
 */
#include <glib/gstdio.h>

#include "tests/engine/export-qdq.h"

/* The export of a graph, which is taken. */
static OnnxModel *
export_of (EngineGraph *graph, const char *ranges, EngineRanges kind, EngineExportOptions options)
{
  g_autoptr (Engine) engine = engine_of (graph, ranges, kind);
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = engine_export_qdq_bytes (engine, &options, &error);

  if (!bytes)
    g_error ("%s", error->message);
  return onnx_unpack (bytes);
}

static void
check_text (const OnnxModel *model, gboolean with_tensors, const char *expected)
{
  g_autofree char *text = onnx_dump (model, with_tensors);

  CHECK_STR (text, expected);
}

static void
check_ops (OnnxModel *model, const char *expected)
{
  g_autofree char *ops = onnx_ops (model);

  CHECK_STR (ops, expected);
  onnx_free (model);
}

static const EngineExportOptions tensorrt = {.target = ENGINE_EXPORT_TENSORRT};
static const EngineExportOptions onnxruntime = {.target = ENGINE_EXPORT_ONNXRUNTIME};
static const EngineExportOptions exact = {.target = ENGINE_EXPORT_ONNXRUNTIME, .exact = TRUE};
static const EngineExportOptions openvino = {.target = ENGINE_EXPORT_OPENVINO};

/* --- Constants ------------------------------------------------------------------------------ */

/* One pixel, one convolution with known numbers and a dense layer: input 127, scale 1; weights
 * 2.54 -> scale 0.02, and 1.27 -> 0.01, of which factor 0.1 (1.27 / 12.7) makes a fraction with an odd
 * denominator; output 12.7, scale 0.1. */
static EngineGraph *
known_graph (void)
{
  g_autoptr (Net) net = net_new (1);
  const int input = net_input (net, 1, 1, 2);
  const int conv = net_conv_given (net, input, 2, 1, 2,
      (const float[]){2.54f, -1.27f, 0.02f, 1.27f}, (const float[]){0.5f, -0.25f});
  const int relu = net_unary (net, conv, KERNEL_UNARY_SIGMOID, 0, 0);

  return net_finish (net,
      net_conv_given (net, relu, 1, 1, 2, (const float[]){1.27f, -1.27f}, (const float[]){1}));
}

static void
test_constants_for_tensorrt (void)
{
  g_autoptr (OnnxModel) model = export_of (known_graph (), "input 127, conv1 12.7, unary2 1.27",
      ENGINE_RANGES_SYMMETRIC, tensorrt);

  check_text (model, TRUE,
      "input input N 2 1 1\n"
      "input_scale f32 = 1\n"
      "input_zero_point s8 = 0\n"
      "conv1_w s8 2x2x1x1 = 127 -64 2 127\n"
      "conv1_w_scale f32 2 = 0.02 0.0100024\n"
      "conv1_w_zero_point s8 2 = 0 0\n"
      "conv1_b f32 2 = 0.5 -0.250061\n"
      "conv1_scale f32 = 0.1\n"
      "conv1_zero_point s8 = 0\n"
      "unary2_scale f32 = 0.01\n"
      "unary2_zero_point s8 = 0\n"
      "conv3_w s8 1x2x1x1 = 127 -127\n"
      "conv3_w_scale f32 1 = 0.01\n"
      "conv3_w_zero_point s8 1 = 0\n"
      "conv3_b f32 1 = 1\n"
      "input_q = QuantizeLinear input input_scale input_zero_point\n"
      "input_dq = DequantizeLinear input_q input_scale input_zero_point\n"
      "conv1_w_dq = DequantizeLinear conv1_w conv1_w_scale conv1_w_zero_point axis=0\n"
      "conv1 = Conv input_dq conv1_w_dq conv1_b kernel_shape=1,1 strides=1,1 pads=0,0,0,0 dilations=1,1 group=1\n"
      "conv1_q = QuantizeLinear conv1 conv1_scale conv1_zero_point\n"
      "conv1_dq = DequantizeLinear conv1_q conv1_scale conv1_zero_point\n"
      "unary2 = Sigmoid conv1_dq\n"
      "unary2_q = QuantizeLinear unary2 unary2_scale unary2_zero_point\n"
      "unary2_dq = DequantizeLinear unary2_q unary2_scale unary2_zero_point\n"
      "conv3_w_dq = DequantizeLinear conv3_w conv3_w_scale conv3_w_zero_point axis=0\n"
      "conv3 = Conv unary2_dq conv3_w_dq conv3_b kernel_shape=1,1 strides=1,1 pads=0,0,0,0 dilations=1,1 group=1\n"
      "output conv3 N 1 1 1\n");
}

static void
test_constants_for_onnxruntime (void)
{
  g_autoptr (OnnxModel) model = export_of (known_graph (), "input 127, conv1 12.7, unary2 2.55",
      ENGINE_RANGES_FULL, onnxruntime);

  check_text (model, TRUE,
      "input input N 2 1 1\n"
      "input_scale f32 = 1\n"
      "input_zero_point u8 = 128\n"
      "conv1_w s8 2x2x1x1 = 127 -64 2 127\n"
      "conv1_w_scale f32 2 = 0.02 0.0100024\n"
      "conv1_w_zero_point s8 2 = 0 0\n"
      "conv1_b s32 2 = 25 -25\n"
      "conv1_b_scale f32 2 = 0.02 0.0100024\n"
      "conv1_b_zero_point s32 2 = 0 0\n"
      "conv1_scale f32 = 0.1\n"
      "conv1_zero_point u8 = 128\n"
      "unary2_scale f32 = 0.00392157\n"
      "unary2_zero_point u8 = 0\n"
      "conv3_w s8 1x2x1x1 = 127 -127\n"
      "conv3_w_scale f32 1 = 0.01\n"
      "conv3_w_zero_point s8 1 = 0\n"
      "conv3_b s32 1 = 25500\n"
      "conv3_b_scale f32 1 = 3.92157e-05\n"
      "conv3_b_zero_point s32 1 = 0\n"
      "input_q = QuantizeLinear input input_scale input_zero_point\n"
      "input_dq = DequantizeLinear input_q input_scale input_zero_point\n"
      "conv1_w_dq = DequantizeLinear conv1_w conv1_w_scale conv1_w_zero_point axis=0\n"
      "conv1_b_dq = DequantizeLinear conv1_b conv1_b_scale conv1_b_zero_point axis=0\n"
      "conv1 = Conv input_dq conv1_w_dq conv1_b_dq kernel_shape=1,1 strides=1,1 pads=0,0,0,0 dilations=1,1 group=1\n"
      "conv1_q = QuantizeLinear conv1 conv1_scale conv1_zero_point\n"
      "conv1_dq = DequantizeLinear conv1_q conv1_scale conv1_zero_point\n"
      "unary2 = Sigmoid conv1_dq\n"
      "unary2_q = QuantizeLinear unary2 unary2_scale unary2_zero_point\n"
      "unary2_dq = DequantizeLinear unary2_q unary2_scale unary2_zero_point\n"
      "conv3_w_dq = DequantizeLinear conv3_w conv3_w_scale conv3_w_zero_point axis=0\n"
      "conv3_b_dq = DequantizeLinear conv3_b conv3_b_scale conv3_b_zero_point axis=0\n"
      "conv3 = Conv unary2_dq conv3_w_dq conv3_b_dq kernel_shape=1,1 strides=1,1 pads=0,0,0,0 dilations=1,1 group=1\n"
      "output conv3 N 1 1 1\n");
}

/* A bias beyond half of int32 at scale s_x s_w stays float. */
static void
test_bias_beyond_int32 (void)
{
  g_autoptr (Net) net = net_new (1);
  const int x = net_conv_given (net, net_input (net, 1, 1, 1), 1, 1, 1, (const float[]){1e-6f},
      (const float[]){1e6f});
  g_autoptr (OnnxModel) model =
      export_of (net_finish (net, x), "input 0.01", ENGINE_RANGES_FULL, onnxruntime);
  const EngineOnnx__TensorProto *bias = onnx_tensor (model, "conv1_b");

  CHECK (bias && bias->data_type == ENGINE_ONNX_FLOAT);
  CHECK (bias && fabs (*(const float *) bias->raw_data.data / 1e6 - 1) < 1e-5);
}

/* --- Where pairs are ------------------------------------------------------------------------ */

/* conv, relu; conv of it with the first as residual, relu6; dense. */
static EngineGraph *
residual_graph (void)
{
  g_autoptr (Net) net = net_new (1);
  const int a = net_conv (net, net_input (net, 4, 4, 2),
      (NetConv){.oc = 2, .k = 3, .pad = 1, .hi = INFINITY});
  const int b = net_conv (net, a, (NetConv){.oc = 2, .residual = a, .hi = 6});

  return net_finish (net, net_dense (net, b, 3));
}

static void
test_residual (void)
{
  const char *ranges = "input 127, conv1 12.7, conv2 6";

  check_ops (export_of (residual_graph (), ranges, ENGINE_RANGES_SYMMETRIC, tensorrt),
      "QDQ Conv Relu QDQ Conv Add Clip QDQ Flatten QDQ Gemm");
  check_ops (export_of (residual_graph (), ranges, ENGINE_RANGES_FULL, openvino),
      "QDQ Conv Relu QDQ Conv Add Clip QDQ Flatten QDQ Gemm");
  check_ops (export_of (residual_graph (), ranges, ENGINE_RANGES_FULL, onnxruntime),
      "QDQ Conv Relu QDQ Conv QDQ Add Clip QDQ Flatten QDQ Gemm");
  check_ops (export_of (residual_graph (), ranges, ENGINE_RANGES_SYMMETRIC, onnxruntime),
      "QDQ Conv QDQ Relu QDQ Conv QDQ Add QDQ Clip QDQ Flatten QDQ Gemm");
  check_ops (export_of (residual_graph (), ranges, ENGINE_RANGES_FULL, exact),
      "QDQ ConvInteger Cast Mul Add Cast QDQ QDQ "                        /* fmaf (acc, m, b) */
      "ConvInteger Cast Mul Add Cast Cast Cast Sub Mul Add Cast QDQ QDQ " /* fmaf (r_q, mr, t) */
      "Flatten QDQ MatMulInteger Cast Mul Add Cast");
}

/* y in [0, 6], r in [0, 12.75], made 15 / 7 of y's: below -90 / 7 and above 6 the sum is clipped whatever
 * r is. */
static void
test_range_before_a_residual (void)
{
  g_autoptr (OnnxModel) model = export_of (residual_graph (), "input 127, conv1 12.75, conv2 6",
      ENGINE_RANGES_FULL, onnxruntime);
  const EngineOnnx__TensorProto *scale = onnx_tensor (model, "conv2_conv_scale");
  const EngineOnnx__TensorProto *zero = onnx_tensor (model, "conv2_conv_zero_point");

  CHECK (scale && fabs (*(const float *) scale->raw_data.data * 255 - (6 + 90.0 / 7)) < 1e-5);
  CHECK (zero && *zero->raw_data.data == (int) rint (90.0 / 7 * 255 / (6 + 90.0 / 7)));
}

/* A sum that nothing clamps: the levels of the result. */
static void
test_range_before_a_plain_residual (void)
{
  g_autoptr (Net) net = net_new (1);
  const int first = net_conv (net, net_input (net, 2, 2, 1), (NetConv){.oc = 1});
  const int second = net_conv (net, first, (NetConv){.oc = 1, .residual = first});
  g_autoptr (OnnxModel) model = export_of (net_finish (net, net_dense (net, second, 2)),
      "input 127, conv1 127, conv2 63.5", ENGINE_RANGES_FULL, onnxruntime);
  g_autofree char *text = onnx_dump (model, TRUE);

  CHECK (strstr (text,
      "conv2_conv_q = QuantizeLinear conv2_conv conv2_conv_scale conv2_conv_zero_point\n"));
  CHECK (strstr (text, "conv2_q = QuantizeLinear conv2 conv2_conv_scale conv2_conv_zero_point\n"));
}

/* A float layer has float weights, and pairs are only where int8 layers read. */
static void
test_float_layer (void)
{
  g_autoptr (Net) net = net_new (1);
  const int a = net_conv (net, net_input (net, 4, 4, 2), (NetConv){.oc = 2});
  const int b = net_conv (net, a, (NetConv){.oc = 2, .hi = INFINITY});
  const int c = net_conv (net, b, (NetConv){.oc = 2});
  g_autoptr (EngineLayerRules) rules = engine_layer_rules_parse ("conv2:fp32", NULL);
  const EngineBuildOptions options = {.ranges = ENGINE_RANGES_FULL, .rules = rules};
  g_autoptr (Engine) engine = engine_with (net_finish (net, net_dense (net, c, 2)),
      "input 127, conv1 12.7, conv2 12.7, conv3 12.7", &options);
  g_autoptr (GBytes) bytes = engine_export_qdq_bytes (engine, &openvino, NULL);
  g_autoptr (OnnxModel) model = onnx_unpack (bytes);
  const EngineOnnx__TensorProto *weights = onnx_tensor (model, "conv2_w");
  g_autofree char *ops = onnx_ops (model);

  CHECK_STR (ops, "QDQ Conv Conv Relu QDQ Conv QDQ Flatten QDQ Gemm");
  CHECK (weights && weights->data_type == ENGINE_ONNX_FLOAT);
}

/* --- Shared scales -------------------------------------------------------------------------- */

/* Two inputs of like range, one that is far smaller, joined; pooled. */
static EngineGraph *
concat_graph (void)
{
  g_autoptr (Net) net = net_new (1);
  const int input = net_input (net, 4, 4, 2);
  const int x[] = {net_conv (net, input, (NetConv){.oc = 1}),
      net_conv (net, input, (NetConv){.oc = 1}), net_conv (net, input, (NetConv){.oc = 1})};
  const int pool = net_pool (net, ENGINE_OP_MAXPOOL, net_concat (net, x, 3, 3), 2, 2, 0);

  return net_finish (net, net_dense (net, pool, 2));
}

static void
test_concat (void)
{
  const char *ranges = "input 127, conv1 12.7, conv2 10, conv3 1.27, concat4 12.7";
  g_autoptr (OnnxModel) model =
      export_of (concat_graph (), ranges, ENGINE_RANGES_SYMMETRIC, tensorrt);

  check_text (model, FALSE,
      "input input N 2 4 4\n"
      "input_q = QuantizeLinear input input_scale input_zero_point\n"
      "input_dq = DequantizeLinear input_q input_scale input_zero_point\n"
      "conv1_w_dq = DequantizeLinear conv1_w conv1_w_scale conv1_w_zero_point axis=0\n"
      "conv1 = Conv input_dq conv1_w_dq conv1_b kernel_shape=1,1 strides=1,1 pads=0,0,0,0 dilations=1,1 group=1\n"
      "conv1_q = QuantizeLinear conv1 conv1_scale conv1_zero_point\n"
      "conv1_dq = DequantizeLinear conv1_q conv1_scale conv1_zero_point\n"
      "conv2_w_dq = DequantizeLinear conv2_w conv2_w_scale conv2_w_zero_point axis=0\n"
      "conv2 = Conv input_dq conv2_w_dq conv2_b kernel_shape=1,1 strides=1,1 pads=0,0,0,0 dilations=1,1 group=1\n"
      "conv2_q = QuantizeLinear conv2 conv1_scale conv1_zero_point\n"
      "conv2_dq = DequantizeLinear conv2_q conv1_scale conv1_zero_point\n"
      "conv3_w_dq = DequantizeLinear conv3_w conv3_w_scale conv3_w_zero_point axis=0\n"
      "conv3 = Conv input_dq conv3_w_dq conv3_b kernel_shape=1,1 strides=1,1 pads=0,0,0,0 dilations=1,1 group=1\n"
      "conv3_q = QuantizeLinear conv3 conv3_scale conv3_zero_point\n"
      "conv3_dq = DequantizeLinear conv3_q conv3_scale conv3_zero_point\n"
      "concat4_input2_q = QuantizeLinear conv3_dq conv1_scale conv1_zero_point\n"
      "concat4_input2_dq = DequantizeLinear concat4_input2_q conv1_scale conv1_zero_point\n"
      "concat4 = Concat conv1_dq conv2_dq concat4_input2_dq axis=1\n"
      "concat4_q = QuantizeLinear concat4 conv1_scale conv1_zero_point\n"
      "concat4_dq = DequantizeLinear concat4_q conv1_scale conv1_zero_point\n"
      "maxpool5 = MaxPool concat4_dq kernel_shape=2,2 strides=2,2 pads=0,0,0,0\n"
      "maxpool5_q = QuantizeLinear maxpool5 conv1_scale conv1_zero_point\n"
      "maxpool5_dq = DequantizeLinear maxpool5_q conv1_scale conv1_zero_point\n"
      "conv6_input = Flatten maxpool5_dq\n"
      "maxpool5_flat_q = QuantizeLinear conv6_input conv1_scale conv1_zero_point\n"
      "maxpool5_flat_dq = DequantizeLinear maxpool5_flat_q conv1_scale conv1_zero_point\n"
      "conv6_w_dq = DequantizeLinear conv6_w conv6_w_scale conv6_w_zero_point axis=0\n"
      "conv6 = Gemm maxpool5_flat_dq conv6_w_dq conv6_b transB=1\n"
      "output conv6 N 2\n");
  check_ops (export_of (concat_graph (), ranges, ENGINE_RANGES_FULL, onnxruntime),
      "QDQ Conv QDQ Conv QDQ Conv QDQ Concat QDQ MaxPool QDQ Flatten QDQ Gemm");
}

/* --- Axes ----------------------------------------------------------------------------------- */

/* A channel shuffle as the importer leaves it: nothing but channels moves in the file either. */
static void
test_channel_shuffle (void)
{
  g_autoptr (Net) net = net_new (1);
  const int a = net_conv (net, net_input (net, 3, 4, 2), (NetConv){.oc = 6});
  const int split = net_reshape (net, a, 3, (const int[]){12, 2, 3});
  const int moved = net_transpose (net, split, (const int[]){0, 2, 1});
  const int joined = net_reshape (net, moved, 4, (const int[]){1, 3, 4, 6});
  const int half = net_slice (net, joined, 3, 2, 4);
  g_autoptr (OnnxModel) model = export_of (net_finish (net, net_dense (net, half, 2)),
      "input 127, conv1 12.7", ENGINE_RANGES_SYMMETRIC, tensorrt);
  const EngineOnnx__TensorProto *shape = onnx_tensor (model, "reshape2_shape");

  check_text (model, FALSE,
      "input input N 2 3 4\n"
      "input_q = QuantizeLinear input input_scale input_zero_point\n"
      "input_dq = DequantizeLinear input_q input_scale input_zero_point\n"
      "conv1_w_dq = DequantizeLinear conv1_w conv1_w_scale conv1_w_zero_point axis=0\n"
      "conv1 = Conv input_dq conv1_w_dq conv1_b kernel_shape=1,1 strides=1,1 pads=0,0,0,0 dilations=1,1 group=1\n"
      "conv1_q = QuantizeLinear conv1 conv1_scale conv1_zero_point\n"
      "conv1_dq = DequantizeLinear conv1_q conv1_scale conv1_zero_point\n"
      "reshape2 = Reshape conv1_dq reshape2_shape\n"
      "reshape2_q = QuantizeLinear reshape2 conv1_scale conv1_zero_point\n"
      "reshape2_dq = DequantizeLinear reshape2_q conv1_scale conv1_zero_point\n"
      "transpose3 = Transpose reshape2_dq perm=0,2,1,3,4\n"
      "transpose3_q = QuantizeLinear transpose3 conv1_scale conv1_zero_point\n"
      "transpose3_dq = DequantizeLinear transpose3_q conv1_scale conv1_zero_point\n"
      "reshape4 = Reshape transpose3_dq reshape4_shape\n"
      "reshape4_q = QuantizeLinear reshape4 conv1_scale conv1_zero_point\n"
      "reshape4_dq = DequantizeLinear reshape4_q conv1_scale conv1_zero_point\n"
      "slice5 = Slice reshape4_dq slice5_starts slice5_ends slice5_axes\n"
      "slice5_q = QuantizeLinear slice5 conv1_scale conv1_zero_point\n"
      "slice5_dq = DequantizeLinear slice5_q conv1_scale conv1_zero_point\n"
      "conv6_input = Flatten slice5_dq\n"
      "slice5_flat_q = QuantizeLinear conv6_input conv1_scale conv1_zero_point\n"
      "slice5_flat_dq = DequantizeLinear slice5_flat_q conv1_scale conv1_zero_point\n"
      "conv6_w_dq = DequantizeLinear conv6_w conv6_w_scale conv6_w_zero_point axis=0\n"
      "conv6 = Gemm slice5_flat_dq conv6_w_dq conv6_b transB=1\n"
      "output conv6 N 2\n");
  CHECK (shape && shape->dims[0] == 5);
}

/* Flattened as stored, [h w c]: one transpose before. A transpose to NCHW: none. */
static void
test_reshape_of_pictures (void)
{
  g_autoptr (Net) net = net_new (1);
  const int a = net_conv (net, net_input (net, 2, 3, 2), (NetConv){.oc = 4});
  const int flat = net_reshape (net, a, 2, (const int[]){1, 24});
  g_autoptr (Net) other = net_new (1);
  const int b = net_conv (other, net_input (other, 2, 3, 2), (NetConv){.oc = 4});
  const int nchw = net_transpose (other, b, (const int[]){0, 3, 1, 2});
  const int rows = net_reshape (other, nchw, 3, (const int[]){1, 4, 6});

  check_ops (export_of (net_finish (net, net_softmax (net, flat)), "input 127",
                 ENGINE_RANGES_SYMMETRIC, tensorrt),
      "QDQ Conv Transpose Reshape Softmax");
  check_ops (export_of (net_finish (other, net_softmax (other, rows)), "input 127",
                 ENGINE_RANGES_SYMMETRIC, tensorrt),
      "QDQ Conv Reshape Softmax Identity");
}

/* --- Other layers --------------------------------------------------------------------------- */

static void
test_functions (void)
{
  g_autoptr (Net) net = net_new (1);
  int x = net_input (net, 2, 2, 3);

  x = net_unary (net, x, KERNEL_UNARY_LEAKY_RELU, 0.1f, 0);
  x = net_unary (net, x, KERNEL_UNARY_HARD_SIGMOID, 0.2f, 0.5f);
  x = net_unary (net, x, KERNEL_UNARY_HARD_SWISH, 0, 0);
  x = net_unary (net, x, KERNEL_UNARY_SILU, 0, 0);
  x = net_unary (net, x, KERNEL_UNARY_CLIP, -1, 1);
  x = net_unary (net, x, KERNEL_UNARY_CLIP, 0, INFINITY);
  x = net_pad (net, x, 1, 0);
  g_autoptr (OnnxModel) model = export_of (net_finish (net, net_dense (net, x, 2)),
      "input 1, unary1 1, unary2 1, unary3 1, unary4 1, unary5 1, unary6 1",
      ENGINE_RANGES_SYMMETRIC, tensorrt);

  check_text (model, FALSE,
      "input input N 3 2 2\n"
      "input_q = QuantizeLinear input input_scale input_zero_point\n"
      "input_dq = DequantizeLinear input_q input_scale input_zero_point\n"
      "unary1 = LeakyRelu input_dq alpha=0.1\n"
      "unary1_q = QuantizeLinear unary1 input_scale input_zero_point\n"
      "unary1_dq = DequantizeLinear unary1_q input_scale input_zero_point\n"
      "unary2 = HardSigmoid unary1_dq alpha=0.2 beta=0.5\n"
      "unary2_q = QuantizeLinear unary2 input_scale input_zero_point\n"
      "unary2_dq = DequantizeLinear unary2_q input_scale input_zero_point\n"
      "unary3_gate = HardSigmoid unary2_dq alpha=0.166667 beta=0.5\n"
      "unary3 = Mul unary2_dq unary3_gate\n"
      "unary3_q = QuantizeLinear unary3 input_scale input_zero_point\n"
      "unary3_dq = DequantizeLinear unary3_q input_scale input_zero_point\n"
      "unary4_gate = Sigmoid unary3_dq\n"
      "unary4 = Mul unary3_dq unary4_gate\n"
      "unary4_q = QuantizeLinear unary4 input_scale input_zero_point\n"
      "unary4_dq = DequantizeLinear unary4_q input_scale input_zero_point\n"
      "unary5 = Clip unary4_dq unary5_min unary5_max\n"
      "unary5_q = QuantizeLinear unary5 input_scale input_zero_point\n"
      "unary5_dq = DequantizeLinear unary5_q input_scale input_zero_point\n"
      "unary6 = Relu unary5_dq\n"
      "unary6_q = QuantizeLinear unary6 input_scale input_zero_point\n"
      "unary6_dq = DequantizeLinear unary6_q input_scale input_zero_point\n"
      "pad7 = Pad unary6_dq pad7_pads pad7_value\n"
      "pad7_q = QuantizeLinear pad7 input_scale input_zero_point\n"
      "pad7_dq = DequantizeLinear pad7_q input_scale input_zero_point\n"
      "conv8_input = Flatten pad7_dq\n"
      "pad7_flat_q = QuantizeLinear conv8_input input_scale input_zero_point\n"
      "pad7_flat_dq = DequantizeLinear pad7_flat_q input_scale input_zero_point\n"
      "conv8_w_dq = DequantizeLinear conv8_w conv8_w_scale conv8_w_zero_point axis=0\n"
      "conv8 = Gemm pad7_flat_dq conv8_w_dq conv8_b transB=1\n"
      "output conv8 N 2\n");
}

/* Sums, products and pools over all pixels; other pools and functions are float as ever. */
static void
test_exact (void)
{
  g_autoptr (Net) net = net_new (1);
  const int input = net_input (net, 4, 4, 2);
  const int sum = net_binary (net, ENGINE_OP_ADD, net_pool (net, ENGINE_OP_MAXPOOL, input, 3, 1, 1),
      input, -INFINITY, INFINITY);
  const int product =
      net_binary (net, ENGINE_OP_MUL, sum, net_global_pool (net, sum), -INFINITY, INFINITY);

  check_ops (export_of (net_finish (net, net_dense (net, product, 2)),
                 "input 1, maxpool1 1, add2 1, avgpool3 1, mul4 1", ENGINE_RANGES_FULL, exact),
      "QDQ MaxPool QDQ "
      "Cast Sub Mul Add Cast Cast Cast Sub Mul Add Cast QDQ QDQ "
      "Cast Sub ReduceSum Mul Add Cast QDQ QDQ "
      "Cast Sub Cast Sub Mul Mul Add Cast QDQ QDQ "
      "Flatten QDQ MatMulInteger Cast Mul Add Cast");
}

static void
test_pools_and_gates (void)
{
  g_autoptr (Net) net = net_new (1);
  const int a = net_conv (net, net_input (net, 5, 5, 2), (NetConv){.oc = 4, .hi = INFINITY});
  const int gate = net_unary (net, net_conv (net, net_global_pool (net, a), (NetConv){.oc = 4}),
      KERNEL_UNARY_SIGMOID, 0, 0);
  const int gated = net_binary (net, ENGINE_OP_MUL, a, gate, -INFINITY, INFINITY);
  const int pool = net_pool (net, ENGINE_OP_AVGPOOL, gated, 3, 2, 1);
  g_autoptr (OnnxModel) model = export_of (net_finish (net, net_dense (net, pool, 2)),
      "input 1, conv1 1, avgpool2 1, conv3 1, unary4 1, mul5 1, avgpool6 1", ENGINE_RANGES_FULL,
      openvino);

  check_text (model, FALSE,
      "input input N 2 5 5\n"
      "input_q = QuantizeLinear input input_scale input_zero_point\n"
      "input_dq = DequantizeLinear input_q input_scale input_zero_point\n"
      "conv1_w_dq = DequantizeLinear conv1_w conv1_w_scale conv1_w_zero_point axis=0\n"
      "conv1_conv = Conv input_dq conv1_w_dq conv1_b kernel_shape=1,1 strides=1,1 pads=0,0,0,0 dilations=1,1 group=1\n"
      "conv1 = Relu conv1_conv\n"
      "conv1_q = QuantizeLinear conv1 conv1_scale conv1_zero_point\n"
      "conv1_dq = DequantizeLinear conv1_q conv1_scale conv1_zero_point\n"
      "avgpool2 = GlobalAveragePool conv1_dq\n"
      "avgpool2_q = QuantizeLinear avgpool2 conv1_scale conv1_zero_point\n"
      "avgpool2_dq = DequantizeLinear avgpool2_q conv1_scale conv1_zero_point\n"
      "conv3_w_dq = DequantizeLinear conv3_w conv3_w_scale conv3_w_zero_point axis=0\n"
      "conv3 = Conv avgpool2_dq conv3_w_dq conv3_b kernel_shape=1,1 strides=1,1 pads=0,0,0,0 dilations=1,1 group=1\n"
      "conv3_q = QuantizeLinear conv3 input_scale input_zero_point\n"
      "conv3_dq = DequantizeLinear conv3_q input_scale input_zero_point\n"
      "unary4 = Sigmoid conv3_dq\n"
      "unary4_q = QuantizeLinear unary4 conv1_scale conv1_zero_point\n"
      "unary4_dq = DequantizeLinear unary4_q conv1_scale conv1_zero_point\n"
      "mul5 = Mul conv1_dq unary4_dq\n"
      "mul5_q = QuantizeLinear mul5 conv1_scale conv1_zero_point\n"
      "mul5_dq = DequantizeLinear mul5_q conv1_scale conv1_zero_point\n"
      "avgpool6 = AveragePool mul5_dq kernel_shape=3,3 strides=2,2 pads=1,1,1,1\n"
      "avgpool6_q = QuantizeLinear avgpool6 conv1_scale conv1_zero_point\n"
      "avgpool6_dq = DequantizeLinear avgpool6_q conv1_scale conv1_zero_point\n"
      "conv7_input = Flatten avgpool6_dq\n"
      "avgpool6_flat_q = QuantizeLinear conv7_input conv1_scale conv1_zero_point\n"
      "avgpool6_flat_dq = DequantizeLinear avgpool6_flat_q conv1_scale conv1_zero_point\n"
      "conv7_w_dq = DequantizeLinear conv7_w conv7_w_scale conv7_w_zero_point axis=0\n"
      "conv7 = Gemm avgpool6_flat_dq conv7_w_dq conv7_b transB=1\n"
      "output conv7 N 2\n");
}

/* --- The interface -------------------------------------------------------------------------- */

/* An output that is dequantised has the name that the model gave it. */
static void
test_output_name (void)
{
  g_autoptr (Net) net = net_new (1);
  const int x = net_conv (net, net_input (net, 1, 1, 3), (NetConv){.oc = 3});
  const int y = net_conv (net, x, (NetConv){.oc = 3, .residual = x});
  EngineExportOptions options = tensorrt;

  options.batch = 4;
  g_autoptr (OnnxModel) model = export_of (net_finish (net, y), "input 127, conv1 127, conv2 254",
      ENGINE_RANGES_SYMMETRIC, options);

  check_text (model, FALSE,
      "input input 4 3 1 1\n"
      "input_q = QuantizeLinear input input_scale input_zero_point\n"
      "input_dq = DequantizeLinear input_q input_scale input_zero_point\n"
      "conv1_w_dq = DequantizeLinear conv1_w conv1_w_scale conv1_w_zero_point axis=0\n"
      "conv1 = Conv input_dq conv1_w_dq conv1_b kernel_shape=1,1 strides=1,1 pads=0,0,0,0 dilations=1,1 group=1\n"
      "conv1_q = QuantizeLinear conv1 input_scale input_zero_point\n"
      "conv1_dq = DequantizeLinear conv1_q input_scale input_zero_point\n"
      "conv2_w_dq = DequantizeLinear conv2_w conv2_w_scale conv2_w_zero_point axis=0\n"
      "conv2_conv = Conv conv1_dq conv2_w_dq conv2_b kernel_shape=1,1 strides=1,1 pads=0,0,0,0 dilations=1,1 group=1\n"
      "conv2_float = Add conv2_conv conv1_dq\n"
      "conv2_q = QuantizeLinear conv2_float conv2_scale conv2_zero_point\n"
      "conv2 = DequantizeLinear conv2_q conv2_scale conv2_zero_point\n"
      "output conv2 4 3 1 1\n");
}

static const char *
metadata (const OnnxModel *model, const char *key)
{
  for (gsize i = 0; i < model->n_metadata_props; i++)
    if (g_str_equal (model->metadata_props[i]->key, key))
      return model->metadata_props[i]->value;
  return NULL;
}

static void
test_metadata (void)
{
  g_autoptr (OnnxModel) model =
      export_of (residual_graph (), "input 1, conv1 1, conv2 1", ENGINE_RANGES_FULL, openvino);

  CHECK_STR (metadata (model, "gst-int8.for"), "openvino");
  CHECK_STR (metadata (model, "gst-int8.model-sha256"), "m0");
  CHECK_STR (metadata (model, "gst-int8.table-sha256"), "t0");
  CHECK (metadata (model, "gst-int8.preprocess") == NULL);
  CHECK_STR (model->producer_name, "gst-int8");
  CHECK_INT (model->opset_import[0]->version, ==, 13);
  CHECK (model->graph->name && *model->graph->name);
}

static void
test_refused (void)
{
  g_autoptr (Net) net = net_new (1);
  const int x = net_conv (net, net_input (net, 2, 2, 1), (NetConv){.oc = 1});
  g_autoptr (Engine) fp32 = net_engine (net_finish (net, x));
  g_autoptr (Engine) full =
      engine_of (residual_graph (), "input 127, conv1 12.7, conv2 6", ENGINE_RANGES_FULL);
  g_autoptr (GError) error = NULL;

  CHECK (engine_export_qdq_bytes (fp32, &openvino, &error) == NULL);
  CHECK (g_error_matches (error, ENGINE_ERROR, ENGINE_ERROR_UNSUPPORTED));
  CHECK (error && strstr (error->message, "fp32"));
  g_clear_error (&error);
  CHECK (engine_export_qdq_bytes (full, &tensorrt, &error) == NULL);
  CHECK (g_error_matches (error, ENGINE_ERROR, ENGINE_ERROR_UNSUPPORTED));
  CHECK (error && strstr (error->message, "'conv1'") && strstr (error->message, "symmetric"));
}

static void
test_file (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *folder = g_dir_make_tmp ("int8-export-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "a.onnx", NULL);
  g_autofree char *nowhere = g_build_filename (folder, "b", "a.onnx", NULL);
  g_autoptr (Engine) engine =
      engine_of (residual_graph (), "input 127, conv1 12.7, conv2 6", ENGINE_RANGES_FULL);
  g_autoptr (GBytes) bytes = engine_export_qdq_bytes (engine, &openvino, NULL);
  g_autofree char *contents = NULL;
  gsize size = 0;

  CHECK (engine_export_qdq (engine, &openvino, path, NULL));
  CHECK (g_file_get_contents (path, &contents, &size, NULL));
  CHECK_INT (size, ==, g_bytes_get_size (bytes));
  CHECK (contents && memcmp (contents, g_bytes_get_data (bytes, NULL), size) == 0);
  CHECK (!engine_export_qdq (engine, &openvino, nowhere, &error));
  CHECK (error && error->domain == G_FILE_ERROR && strstr (error->message, nowhere));
  CHECK (g_remove (path) == 0 && g_rmdir (folder) == 0);
}

int
main (void)
{
  RUN (test_constants_for_tensorrt);
  RUN (test_constants_for_onnxruntime);
  RUN (test_bias_beyond_int32);
  RUN (test_residual);
  RUN (test_range_before_a_residual);
  RUN (test_range_before_a_plain_residual);
  RUN (test_float_layer);
  RUN (test_concat);
  RUN (test_channel_shuffle);
  RUN (test_reshape_of_pictures);
  RUN (test_functions);
  RUN (test_exact);
  RUN (test_pools_and_gates);
  RUN (test_output_name);
  RUN (test_metadata);
  RUN (test_refused);
  RUN (test_file);
  return check_done ();
}
