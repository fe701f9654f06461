/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * quantise.c: the passes quantise and lut: what becomes int8, and the constants that come out.
 */
#include "tests/engine/quantised.h"

#include "engine/quant.h"
#include "engine/quantise.h"

/* --- The end of the network ----------------------------------------------------------------- */

static void
test_logits_are_float (void)
{
  g_autoptr (Net) net = net_new (1);
  const int x = net_conv (net, net_input (net, 2, 2, 1), (NetConv){.oc = 2, .hi = INFINITY});
  const int y = net_softmax (net, net_dense (net, x, 3));
  g_auto (Result) r = quantise (net_finish (net, y), "input 127, conv1 255");

  check_dump (&r, "input = input s8 [1 2 2 1] scale 1 zero 0 symmetric\n"
                  "conv1 = conv (input, w s8 [2 1 1 1], b [2], m [2]) clamp 0..inf s8 [1 2 2 2] "
                  "scale 1 zero -128 "
                  "full\n"
                  "conv2 = conv (conv1, w s8 [3 2 2 2], b [3], m [3]) f32 [1 3]\n"
                  "softmax3 = softmax (conv2) f32 [1 3]\n"
                  "output softmax3\n");
}

static void
test_average_pool_writes_floats (void)
{
  g_autoptr (Net) net = net_new (1);
  const int x = net_conv (net, net_input (net, 2, 2, 1), (NetConv){.oc = 3, .hi = INFINITY});
  const int flat = net_reshape (net, net_global_pool (net, x), 2, (const int[]){1, 3});
  g_auto (Result) r = quantise (net_finish (net, net_softmax (net, flat)), "input 127, conv1 255");

  check_dump (&r, "input = input s8 [1 2 2 1] scale 1 zero 0 symmetric\n"
                  "conv1 = conv (input, w s8 [3 1 1 1], b [3], m [3]) clamp 0..inf s8 [1 2 2 3] "
                  "scale 1 zero -128 "
                  "full\n"
                  "avgpool2 = avgpool (conv1) 2x2 f32 [1 1 1 3]\n"
                  "reshape3 = reshape (avgpool2) f32 [1 3]\n"
                  "softmax4 = softmax (reshape3) f32 [1 3]\n"
                  "output softmax4\n");
}

/* A clamp at the end becomes a node of its own, which keeps the name. */
static void
test_clamped_logits (void)
{
  g_autoptr (Net) net = net_new (1);
  const int x = net_conv (net, net_input (net, 1, 1, 2), (NetConv){.oc = 2, .hi = 6});
  g_auto (Result) r = quantise (net_finish (net, x), "input 127");

  check_dump (&r, "input = input s8 [1 1 1 2] scale 1 zero 0 symmetric\n"
                  "conv1 (unclamped) = conv (input, w s8 [2 1 1 2], b [2], m [2]) f32 [1 1 1 2]\n"
                  "conv1 = unary (conv1 (unclamped)) clip 0..6 f32 [1 1 1 2]\n"
                  "output conv1\n");
}

static void
test_other_ends_are_dequantised (void)
{
  g_autoptr (Net) net = net_new (1);
  const int x = net_conv (net, net_input (net, 2, 2, 1), (NetConv){.oc = 1});
  const int y = net_conv (net, x, (NetConv){.oc = 1, .residual = x});
  g_auto (Result) r = quantise (net_finish (net, y), "input 127, conv1 127, conv2 254");

  check_dump (&r,
      "input = input s8 [1 2 2 1] scale 1 zero 0 symmetric\n"
      "conv1 = conv (input, w s8 [1 1 1 1], b [1], m [1]) s8 [1 2 2 1] scale 1.01587307 zero 0 symmetric\n"
      "conv2 = conv (conv1, w s8 [1 1 1 1], b [1], m [1], r conv1) s8 [1 2 2 1] scale 2 zero 0 "
      "symmetric\n"
      "conv2 (float) = dequantise (conv2) f32 [1 2 2 1]\n"
      "output conv2 (float)\n");
  CHECK_INT (engine_graph_n_consumers (r.graph, 0), ==, 1);
}

/* A softmax in the middle is float between conversions; its input comes as floats from the layer.
 */
static void
test_softmax_in_the_middle (void)
{
  g_autoptr (Net) net = net_new (1);
  const int x = net_conv (net, net_input (net, 2, 2, 2), (NetConv){.oc = 2});
  const int gate = net_softmax (net, x);
  const int y = net_binary (net, ENGINE_OP_MUL, x, gate, -INFINITY, INFINITY);
  g_auto (Result) r = quantise (net_finish (net, net_dense (net, y, 2)),
      "input 127, conv1 127, softmax2 0.99, mul3 127");

  check_dump (&r,
      "input = input s8 [1 2 2 2] scale 1 zero 0 symmetric\n"
      "conv1 = conv (input, w s8 [2 1 1 2], b [2], m [2]) s8 [1 2 2 2] scale 1 zero 0 symmetric\n"
      "conv1 (float) = dequantise (conv1) f32 [1 2 2 2]\n"
      "softmax2 = softmax (conv1 (float)) f32 [1 2 2 2]\n"
      "softmax2 (int8) = quantise (softmax2) s8 [1 2 2 2] scale 0.00388235296 zero -128 full\n"
      "mul3 = mul (conv1, softmax2 (int8)) s8 [1 2 2 2] scale 1 zero 0 symmetric\n"
      "conv4 = conv (mul3, w s8 [2 2 2 2], b [2], m [2]) f32 [1 2]\n"
      "output conv4\n");
}

/* --- Constants ------------------------------------------------------------------------------ */

static const void *
constant (const Result *result, const char *name)
{
  return g_bytes_get_data (value (result, name)->data, NULL);
}

static void
test_folded_constants (void)
{
  g_autoptr (Net) net = net_new (1);
  /* a filter of full scale, one at the layer's floor, one that is dead */
  const float w[] = {1.27f, -0.635f, 0.0127f, -0.0001f, 0, 0}, bias[] = {1, 0, -2};
  const int x = net_conv_given (net, net_input (net, 1, 1, 2), 3, 1, 2, w, bias);
  const int y = net_unary (net, x, KERNEL_UNARY_SIGMOID, 0, 0);
  const int z = net_conv (net, y, (NetConv){.oc = 1});
  EnginePreprocess preprocess;
  CHECK (engine_preprocess_preset (&preprocess, "unit"));
  const EngineBuildOptions options = {.ranges = ENGINE_RANGES_FULL, .preprocess = &preprocess};
  g_auto (Result) r = quantise_with (net_finish (net, z), "conv1 254, unary2 1", &options);
  const gint8 *levels = constant (&r, "conv1 w");
  const float *m = constant (&r, "conv1 m"), *b = constant (&r, "conv1 b");
  const double s_x = (float) (1.0 / 255), s_y = 2;

  CHECK (levels[0] == 127 && levels[1] == -64 && levels[2] == 127 && levels[3] == -1);
  CHECK (levels[4] == 0 && levels[5] == 0);
  for (int k = 0; k < 3; k++) {
    const double s_w = (k == 0 ? (double) 1.27f : (double) 1.27f * 0.01) / 127;
    const int sum = levels[2 * k] + levels[2 * k + 1];

    const double factor = engine_quantise_snap (s_x * s_w / s_y, 1);

    CHECK (m[k] == (float) factor);
    CHECK (b[k] == (float) ((rint (bias[k] / s_y / factor) + 128 * sum) * m[k]));
  }
}

static void
test_weights_not_finite (void)
{
  g_autoptr (Net) net = net_new (1);
  const float w[] = {1, NAN}, b[] = {0};
  g_auto (Result) r = quantise (
      net_finish (net, net_conv_given (net, net_input (net, 1, 1, 2), 1, 1, 2, w, b)), "input 1");

  CHECK (!r.graph);
  CHECK (g_error_matches (r.error, ENGINE_ERROR, ENGINE_ERROR_MODEL));
  CHECK (r.error && strstr (r.error->message, "'conv1'"));
}

/* Every entry of a table against the function, in double. */
static void
test_tables (void)
{
  for (KernelUnary kind = 0; kind < KERNEL_UNARY_COUNT; kind++) {
    const float alpha = kind == KERNEL_UNARY_CLIP ? -1 : 0.2f, beta = 3;
    g_autoptr (Net) net = net_new (1);
    const int x = net_conv (net, net_input (net, 1, 1, 2), (NetConv){.oc = 2});
    const int y = net_unary (net, x, kind, alpha, beta);
    g_auto (Result) r = quantise (net_finish (net, net_conv (net, y, (NetConv){.oc = 2})),
        "input 1, conv1 8, unary2 4");
    const gint8 *table = constant (&r, "unary2 table");
    const EngineQuant *from = &value (&r, "conv1")->quant, *to = &value (&r, "unary2")->quant;

    for (int level = -128; level < 128; level++) {
      const double real = kernel_unary (kind, alpha, beta, engine_quant_real (from, level));
      const double expected =
          isnan (real) ? -128 : CLAMP (rint (real / to->scale + to->zero), -128, 127);

      CHECK_INT (table[level + 128], ==, (int) expected);
    }
  }
}

/* --- Report --------------------------------------------------------------------------------- */

static void
count_progress (guint done, guint total, const char *what, gpointer data)
{
  g_string_append_printf (data, "%u/%u %s\n", done, total, what);
}

static void
test_progress_and_cancel (void)
{
  g_autoptr (CalibTable) table = table_of ("input 1, conv1 1");
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GString) seen = g_string_new (NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (Net) net = net_new (1);
  const EngineBuildOptions options = {.table = table};
  const EnginePassContext context = {&options, NULL, count_progress, seen, cancellable};
  const int x = net_conv (net, net_input (net, 4, 4, 1), (NetConv){.oc = 2});
  g_autoptr (EngineGraph) graph = net_finish (net, net_dense (net, x, 3));
  g_autoptr (EngineGraph) copy = engine_graph_copy (graph);

  CHECK (engine_passes_int8 (graph, &context, &error));
  CHECK_STR (seen->str, "0/2 conv1\n1/2 conv2\n2/2 done\n");
  g_cancellable_cancel (cancellable);
  CHECK (!engine_passes_int8 (copy, &context, &error));
  CHECK (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED));
}

int
main (void)
{
  RUN (test_logits_are_float);
  RUN (test_average_pool_writes_floats);
  RUN (test_clamped_logits);
  RUN (test_other_ends_are_dequantised);
  RUN (test_softmax_in_the_middle);
  RUN (test_folded_constants);
  RUN (test_weights_not_finite);
  RUN (test_tables);
  RUN (test_progress_and_cancel);
  return check_done ();
}
