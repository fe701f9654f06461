/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * quantise.c: the passes quantise and lut: what becomes int8, with which scale and zero point, and
 * the constants that come out.
 */
#include "engine/pass.h"
#include "engine/quant.h"
#include "engine/ranges.h"
#include "tests/check.h"
#include "tests/engine/net.h"

/* T / 127 of the thresholds in "name T, name T". */
static CalibTable *
table_of (const char *text)
{
  CalibTable *table = calib_table_new ("1");
  g_auto (GStrv) entries = g_strsplit (text, ", ", -1);

  for (int i = 0; entries[i]; i++) {
    char *number = strrchr (entries[i], ' ');

    if (!number)
      continue;
    *number++ = '\0';
    calib_table_set (table, entries[i], (float) (g_ascii_strtod (number, NULL) / 127));
  }
  return table;
}

typedef struct {
  EngineGraph *graph; /* NULL where it was refused */
  EngineBuildReport report;
  GError *error;
} Result;

static void
result_clear (Result *result)
{
  engine_graph_free (result->graph);
  engine_build_report_clear (&result->report);
  g_clear_error (&result->error);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Result, result_clear)

static Result
quantise_with (EngineGraph *graph, const char *ranges, const EngineBuildOptions *options)
{
  g_autoptr (CalibTable) table = table_of (ranges);
  EngineBuildOptions with_table = *options;
  Result result = {0};
  const EnginePassContext context = {.options = &with_table, .report = &result.report};

  with_table.table = table;
  if (engine_passes_int8 (graph, &context, &result.error))
    result.graph = graph;
  else
    engine_graph_free (graph);
  return result;
}

static Result
quantise (EngineGraph *graph, const char *ranges)
{
  return quantise_with (graph, ranges, &(EngineBuildOptions){.ranges = ENGINE_RANGES_FULL});
}

static void
check_dump (const Result *result, const char *expected)
{
  g_autofree char *dump = result->graph ? engine_graph_dump (result->graph) : NULL;

  if (result->error)
    CHECK_FAIL ("%s", result->error->message);
  CHECK_STR (dump, expected);
}

static const EngineValue *
value (const Result *result, const char *name)
{
  for (guint v = 0; v < result->graph->values->len; v++)
    if (g_str_equal (engine_graph_value (result->graph, v)->name, name))
      return engine_graph_value (result->graph, v);
  g_error ("no value '%s'", name);
}

static void
check_quant (const Result *result, const char *name, EngineRange range, double scale, int zero)
{
  const EngineValue *v = value (result, name);

  CHECK_INT (v->type, ==, ENGINE_TYPE_S8);
  if (v->quant.range != range || fabs (v->quant.scale / scale - 1) > 1e-6 || v->quant.zero != zero)
    CHECK_FAIL ("%s: range %d scale %g zero %d; expected range %d scale %g zero %d", name,
        v->quant.range, v->quant.scale, v->quant.zero, range, scale, zero);
}

/* --- Ranges --------------------------------------------------------------------------------- */

static void
test_range_kinds (void)
{
  const EngineQuant symmetric = engine_quant_from_range (-2.54, 2.54);
  const EngineQuant full = engine_quant_from_range (0, 2.55);
  const EngineQuant affine = engine_quant_from_range (-0.5, 2.05);
  const EngineQuant negative = engine_quant_from_range (-2.55, -1);
  const EngineQuant empty = engine_quant_from_range (0, 0);

  CHECK (symmetric.range == ENGINE_RANGE_SYMMETRIC && symmetric.zero == 0);
  CHECK (fabs (symmetric.scale - 0.02) < 1e-8);
  CHECK (full.range == ENGINE_RANGE_FULL && full.zero == -128 && fabs (full.scale - 0.01) < 1e-8);
  CHECK (affine.range == ENGINE_RANGE_AFFINE && affine.zero == -78);
  CHECK (fabs (affine.scale - 0.01) < 1e-8);
  CHECK (negative.zero == 127 && fabs (negative.scale - 0.01) < 1e-8);
  CHECK (empty.scale == 1.0f / 127 && empty.zero == 0);
}

/* The ends of every range are levels, and so is 0. */
static void
test_ends_are_levels (void)
{
  const double ends[][2] = {{0, 1}, {-1, 1}, {-0.2785, 6}, {-3, 0.001}, {0, 1e-30}, {-1e30, 1e30}};

  for (gsize i = 0; i < G_N_ELEMENTS (ends); i++) {
    const EngineQuant quant = engine_quant_from_range (ends[i][0], ends[i][1]);

    CHECK_INT (engine_quant_level (&quant, 0), ==, quant.zero);
    CHECK (fabs (engine_quant_real (&quant, engine_quant_level (&quant, ends[i][0])) -
                 ends[i][0]) <= 0.501 * quant.scale);
    CHECK (fabs (engine_quant_real (&quant, engine_quant_level (&quant, ends[i][1])) -
                 ends[i][1]) <= 0.501 * quant.scale);
  }
}

static void
test_full_affine_symmetric (void)
{
  for (int symmetric = 0; symmetric < 2; symmetric++) {
    const EngineBuildOptions options = {.ranges = (EngineRanges) symmetric};
    g_autoptr (Net) net = net_new (1);
    const int a = net_conv (net, net_input (net, 4, 4, 1), (NetConv){.oc = 2, .hi = INFINITY});
    const int b = net_unary (net, a, KERNEL_UNARY_HARD_SWISH, 0, 0); /* of what is positive */
    const int c = net_conv (net, b, (NetConv){.oc = 2});
    const int d = net_unary (net, c, KERNEL_UNARY_SILU, 0, 0);
    const int e = net_unary (net, d, KERNEL_UNARY_SIGMOID, 0, 0);
    g_auto (Result) r = quantise_with (net_finish (net, net_dense (net, e, 3)),
        "input 1, conv1 2, unary2 2, conv3 4, unary4 4, unary5 1.5, conv6 1", &options);

    if (symmetric) {
      check_quant (&r, "conv1", ENGINE_RANGE_SYMMETRIC, 2.0 / 127, 0);
      check_quant (&r, "unary4", ENGINE_RANGE_SYMMETRIC, 4.0 / 127, 0);
      continue;
    }
    check_quant (&r, "input", ENGINE_RANGE_SYMMETRIC, 1.0 / 127, 0);
    check_quant (&r, "conv1", ENGINE_RANGE_FULL, 2.0 / 255, -128);
    check_quant (&r, "unary2", ENGINE_RANGE_FULL, 2.0 / 255, -128);
    check_quant (&r, "conv3", ENGINE_RANGE_SYMMETRIC, 4.0 / 127, 0);
    check_quant (&r, "unary4", ENGINE_RANGE_AFFINE, 4.2784646 / 255, -111);
    check_quant (&r, "unary5", ENGINE_RANGE_FULL, 1.0 / 255, -128); /* a sigmoid ends at 1 */
  }
}

/* --- The input ------------------------------------------------------------------------------ */

static Result
quantise_input (const char *preprocess, EngineRanges ranges, const char *table)
{
  g_autoptr (Net) net = net_new (1);
  EnginePreprocess description;
  const EngineBuildOptions options = {.ranges = ranges, .preprocess = &description};
  const int x = net_input (net, 4, 4, 1);

  CHECK (engine_preprocess_preset (&description, "unit"));
  CHECK (engine_preprocess_parse (&description, preprocess, NULL));
  return quantise_with (net_finish (net, net_dense (net, net_pad (net, x, 1, 0), 2)), table,
      &options);
}

static void
test_input_is_exact (void)
{
  g_auto (Result) unit = quantise_input ("color-format=gray", ENGINE_RANGES_FULL, "input 0.9");
  g_auto (Result) shifted =
      quantise_input ("color-format=gray mean=0.5 std=0.25", ENGINE_RANGES_FULL, "input 0.9");
  g_auto (Result) dark =
      quantise_input ("color-format=gray mean=0.75", ENGINE_RANGES_FULL, "pad1 7");

  check_quant (&unit, "input", ENGINE_RANGE_FULL, 1.0 / 255, -128);
  check_quant (&unit, "pad1", ENGINE_RANGE_FULL, 1.0 / 255, -128);
  check_quant (&shifted, "input", ENGINE_RANGE_SYMMETRIC, 2.0 / 127, 0);
  /* -0.75 .. 0.25, more below than above; the table's word for what passes through adds nothing */
  check_quant (&dark, "input", ENGINE_RANGE_AFFINE, 1.0 / 255, 63);
  check_quant (&dark, "pad1", ENGINE_RANGE_AFFINE, 1.0 / 255, 63);
}

/* As TensorRT: the table's word; only where there is none what the preprocessing gives. */
static void
test_input_symmetric (void)
{
  g_auto (Result) word =
      quantise_input ("color-format=gray", ENGINE_RANGES_SYMMETRIC, "input 0.9, pad1 0.9");
  g_auto (Result) none =
      quantise_input ("color-format=gray mean=0.75", ENGINE_RANGES_SYMMETRIC, "");

  check_quant (&word, "input", ENGINE_RANGE_SYMMETRIC, 0.9 / 127, 0);
  check_quant (&none, "input", ENGINE_RANGE_SYMMETRIC, 0.75 / 127, 0);
}

/* --- Groups --------------------------------------------------------------------------------- */

static Result
quantise_concat (const char *ranges)
{
  g_autoptr (Net) net = net_new (1);
  const int x = net_input (net, 4, 4, 2);
  const int a = net_conv (net, x, (NetConv){.oc = 2, .hi = INFINITY}); /* conv1 */
  const int b = net_conv (net, x, (NetConv){.oc = 2, .hi = INFINITY}); /* conv2 */
  const int pool = net_pool (net, ENGINE_OP_MAXPOOL, b, 3, 1, 1);      /* maxpool3 */
  const int y = net_concat (net, (const int[]){a, pool}, 2, 3);        /* concat4 */

  return quantise (net_finish (net, net_dense (net, y, 2)), ranges);
}

static void
test_concat_shares (void)
{
  g_auto (Result) r = quantise_concat ("input 1, conv1 4, conv2 2, concat4 3");

  check_quant (&r, "conv1", ENGINE_RANGE_FULL, 4.0 / 255, -128);
  check_quant (&r, "conv2", ENGINE_RANGE_FULL, 4.0 / 255, -128);
  check_quant (&r, "maxpool3", ENGINE_RANGE_FULL, 4.0 / 255, -128);
  check_quant (&r, "concat4", ENGINE_RANGE_FULL, 4.0 / 255, -128);
  CHECK_INT (r.report.inferred->len, ==, 1);
  CHECK_STR (g_ptr_array_index (r.report.inferred, 0), "maxpool3 <- conv1");
}

static void
test_concat_far_smaller (void)
{
  g_auto (Result) r = quantise_concat ("input 1, conv1 4, conv2 0.99, concat4 3");

  check_quant (&r, "conv1", ENGINE_RANGE_FULL, 4.0 / 255, -128);
  check_quant (&r, "conv2", ENGINE_RANGE_FULL, 0.99 / 255, -128);
  check_quant (&r, "maxpool3", ENGINE_RANGE_FULL, 0.99 / 255, -128);
  check_quant (&r, "concat4", ENGINE_RANGE_FULL, 4.0 / 255, -128);
}

/* `full` is for groups that are never negative as a whole. */
static void
test_group_with_a_signed_member (void)
{
  g_autoptr (Net) net = net_new (1);
  const int x = net_input (net, 4, 4, 2);
  const int a = net_conv (net, x, (NetConv){.oc = 2, .hi = INFINITY});
  const int b = net_conv (net, x, (NetConv){.oc = 2});
  const int y = net_concat (net, (const int[]){a, b}, 2, 3);
  g_auto (Result) r =
      quantise (net_finish (net, net_dense (net, y, 2)), "input 1, conv1 4, conv2 2, concat3 4");

  check_quant (&r, "conv1", ENGINE_RANGE_SYMMETRIC, 4.0 / 127, 0);
  check_quant (&r, "conv2", ENGINE_RANGE_SYMMETRIC, 4.0 / 127, 0);
}

static void
test_always_zero (void)
{
  g_autoptr (Net) net = net_new (1);
  const int x = net_conv (net, net_input (net, 4, 4, 2), (NetConv){.oc = 2, .hi = INFINITY});
  g_auto (Result) r = quantise (net_finish (net, net_dense (net, x, 2)), "input 1, conv1 0");

  check_quant (&r, "conv1", ENGINE_RANGE_SYMMETRIC, 1.0 / 127, 0);
  CHECK_INT (r.report.inferred->len, ==, 1);
  CHECK_STR (g_ptr_array_index (r.report.inferred, 0), "conv1 <- always 0, T = 1");
}

/* --- Missing ranges ------------------------------------------------------------------------- */

static void
check_missing (const char *ranges, const char *message)
{
  g_autoptr (Net) net = net_new (1);
  int x = net_input (net, 4, 4, 2);

  for (int i = 0; i < 7; i++)
    x = net_conv (net, x, (NetConv){.oc = 2});
  g_auto (Result) r = quantise (net_finish (net, x), ranges);
  CHECK (!r.graph);
  CHECK (g_error_matches (r.error, ENGINE_ERROR, ENGINE_ERROR_RANGE));
  CHECK_STR (r.error ? r.error->message : NULL, message);
}

static void
test_missing (void)
{
  check_missing ("input 1, conv1 1, conv2 1, conv4 1, conv5 1, conv6 1",
      "no range for 1 of 7 tensors: 'conv3'; calibrate this model with int8calib, or add the "
      "entries "
      "to the table");
  check_missing ("data 1, ip1 1",
      "no range for 7 of 7 tensors: 'input', 'conv1', 'conv2', 'conv3', 'conv4' ...; the "
      "calibration "
      "table seems to belong to another model: make one with int8calib");
}

static void
test_ranges_too_far_apart (void)
{
  g_autoptr (Net) net = net_new (1);
  const int x = net_conv (net, net_input (net, 4, 4, 2), (NetConv){.oc = 2});
  g_auto (Result) r = quantise (net_finish (net, net_conv (net, x, (NetConv){.oc = 2, .hi = 1})),
      "input 1e30, conv1 1e-30");

  CHECK (!r.graph);
  CHECK (g_error_matches (r.error, ENGINE_ERROR, ENGINE_ERROR_RANGE));
  CHECK (r.error && strstr (r.error->message, "conv1"));
}

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
      "conv1 = conv (input, w s8 [1 1 1 1], b [1], m [1]) s8 [1 2 2 1] scale 1 zero 0 symmetric\n"
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

    CHECK (m[k] == (float) (s_x * s_w / s_y));
    CHECK (b[k] == (float) ((bias[k] - s_x * s_w * -128 * sum) / s_y));
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
  static const struct {
    KernelUnary kind;
    float alpha, beta;
  } functions[] = {{KERNEL_UNARY_CLIP, -1, 3}, {KERNEL_UNARY_LEAKY_RELU, 0.1f, 0},
      {KERNEL_UNARY_SIGMOID}, {KERNEL_UNARY_HARD_SIGMOID, 0.2f, 0.5f}, {KERNEL_UNARY_HARD_SWISH},
      {KERNEL_UNARY_SILU}};
  G_STATIC_ASSERT (G_N_ELEMENTS (functions) == KERNEL_UNARY_COUNT);

  for (gsize i = 0; i < G_N_ELEMENTS (functions); i++) {
    g_autoptr (Net) net = net_new (1);
    const int x = net_conv (net, net_input (net, 1, 1, 2), (NetConv){.oc = 2});
    const int y = net_unary (net, x, functions[i].kind, functions[i].alpha, functions[i].beta);
    g_auto (Result) r = quantise (net_finish (net, net_conv (net, y, (NetConv){.oc = 2})),
        "input 1, conv1 8, unary2 4");
    const gint8 *table = constant (&r, "unary2 table");
    const EngineQuant *from = &value (&r, "conv1")->quant, *to = &value (&r, "unary2")->quant;

    for (int level = -128; level < 128; level++) {
      const double real = kernel_unary (functions[i].kind, functions[i].alpha, functions[i].beta,
          level * (double) from->scale);
      const double expected = CLAMP (rint (real / to->scale + to->zero), -128, 127);

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
  RUN (test_range_kinds);
  RUN (test_ends_are_levels);
  RUN (test_full_affine_symmetric);
  RUN (test_input_is_exact);
  RUN (test_input_symmetric);
  RUN (test_concat_shares);
  RUN (test_concat_far_smaller);
  RUN (test_group_with_a_signed_member);
  RUN (test_always_zero);
  RUN (test_missing);
  RUN (test_ranges_too_far_apart);
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
