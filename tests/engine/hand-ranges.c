/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hand-ranges.c: ranges by hand go before the table's, whatever shares its bytes with whom.
 */
#include "tests/comma.h"
#include "tests/engine/quantised.h"

static Result
quantise_hand (EngineGraph *graph, const char *table, const char *hand, EngineBuildOptions options)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CalibDynamicRanges) ranges =
      calib_dynamic_ranges_parse (hand, strlen (hand), NULL, &error);

  if (!ranges)
    g_error ("%s", error->message);
  options.dynamic_ranges = ranges;
  return quantise_with (graph, table, &options);
}

/* The same without a table. */
static Result
quantise_by_hand_alone (EngineGraph *graph, const char *hand)
{
  g_autoptr (CalibDynamicRanges) ranges =
      calib_dynamic_ranges_parse (hand, strlen (hand), NULL, NULL);
  const EngineBuildOptions options = {.dynamic_ranges = ranges};
  Result result = {0};
  const EnginePassContext context = {.options = &options, .report = &result.report};

  if (engine_passes_int8 (graph, &context, &result.error))
    result.graph = graph;
  else
    engine_graph_free (graph);
  return result;
}

/* input -> conv1 (any sign) -> conv2 (ReLU) -> maxpool3 -> conv4 */
static EngineGraph *
chain (void)
{
  g_autoptr (Net) net = net_new (1);
  const int x = net_conv (net, net_input (net, 4, 4, 1), (NetConv){.oc = 2});
  const int y = net_conv (net, x, (NetConv){.oc = 2, .hi = INFINITY});

  return net_finish (net, net_dense (net, net_pool (net, ENGINE_OP_MAXPOOL, y, 2, 2, 0), 3));
}

#define CHAIN "input 1, conv1 1, conv2 1, maxpool3 1"

/* Affine takes both ends, cut to what the tensor can be; symmetric the larger magnitude. */
static void
test_both_ends (void)
{
  g_auto (Result) full = quantise_hand (chain (), CHAIN, "conv1: -0.5 2.05\nconv2: -1 3\ninput: 2",
      (EngineBuildOptions){.ranges = ENGINE_RANGES_FULL});
  g_auto (Result) symmetric = quantise_hand (chain (), CHAIN, "conv1: -2.54 1\nconv2: 3",
      (EngineBuildOptions){.ranges = ENGINE_RANGES_SYMMETRIC});

  check_quant (&full, "conv1", ENGINE_RANGE_AFFINE, 0.01, -78);
  check_quant (&full, "conv2", ENGINE_RANGE_FULL, 3.0 / 255, -128);
  check_quant (&full, "maxpool3", ENGINE_RANGE_FULL, 3.0 / 255, -128);
  check_quant (&full, "input", ENGINE_RANGE_SYMMETRIC, 2.0 / 127, 0);
  check_quant (&symmetric, "conv1", ENGINE_RANGE_SYMMETRIC, 0.02, 0);
  check_quant (&symmetric, "conv2", ENGINE_RANGE_SYMMETRIC, 3.0 / 127, 0);
  check_quant (&symmetric, "input", ENGINE_RANGE_SYMMETRIC, 1.0 / 127, 0);
  check_lines (full.report.inferred, "");
}

/* Neither the table's word for the same bytes nor the preprocessing is in the way, smaller or larger. */
static void
test_hand_wins (void)
{
  for (int larger = 0; larger < 2; larger++) {
    const double t = larger ? 4 : 0.25;
    g_autofree char *hand = g_strdup_printf ("maxpool3: %g\ninput: %g", t, t);
    EnginePreprocess preprocess;
    CHECK (engine_preprocess_preset (&preprocess, "unit"));
    g_auto (Result) r = quantise_hand (chain (), CHAIN, hand,
        (EngineBuildOptions){.ranges = ENGINE_RANGES_FULL, .preprocess = &preprocess});

    check_quant (&r, "conv2", ENGINE_RANGE_FULL, t / 255, -128);
    check_quant (&r, "maxpool3", ENGINE_RANGE_FULL, t / 255, -128);
    check_quant (&r, "input", ENGINE_RANGE_SYMMETRIC, t / 127, 0);
    check_lines (r.report.refused, "");
  }
}

static void
test_without_table (void)
{
  g_auto (Result) all = quantise_by_hand_alone (chain (), "input: 1\nconv1: 2\nconv2: 3");
  g_auto (Result) some = quantise_by_hand_alone (chain (), "input: 1\nmaxpool3: 3");

  check_quant (&all, "maxpool3", ENGINE_RANGE_FULL, 3.0 / 255, -128);
  check_lines (all.report.inferred, "maxpool3 <- conv2\n");
  CHECK (!some.graph && g_error_matches (some.error, ENGINE_ERROR, ENGINE_ERROR_RANGE));
  CHECK_STR (some.error->message,
      "no range for 1 of 4 tensors: 'conv1'; give them by hand, too, or give a calibration table");
}

/* Two ranges for the same bytes: the wider, and it is said, or an error where strict. */
static void
test_conflict (void)
{
  const char *hand = "conv2: 0 1\nmaxpool3: 0 2\nconv9: 1\nconv4: 1";
  g_auto (Result) r =
      quantise_hand (chain (), CHAIN, hand, (EngineBuildOptions){.ranges = ENGINE_RANGES_FULL});
  g_auto (Result) strict =
      quantise_hand (chain (), CHAIN, hand, (EngineBuildOptions){.strict = TRUE});

  check_quant (&r, "conv2", ENGINE_RANGE_FULL, 2.0 / 255, -128);
  check_lines (r.report.refused,
      "range of conv2: 0..1 by hand becomes 0..2, for the same bytes have "
      "another range by hand\n");
  check_lines (r.report.unmatched, "range of conv9\n"); /* conv4 is there, though float */
  CHECK (!strict.graph && g_error_matches (strict.error, ENGINE_ERROR, ENGINE_ERROR_RULES));
  CHECK (strict.error && strstr (strict.error->message, "range of conv9 matches nothing"));
}

/* The engine's file keeps what is said. */
static void
test_conflict_in_any_locale (void)
{
  if (!comma_begin ())
    SKIP (COMMA_MISSING);
  g_auto (Result) r = quantise_hand (chain (), CHAIN, "conv2: 0 1.5\nmaxpool3: 0 2",
      (EngineBuildOptions){.ranges = ENGINE_RANGES_FULL});
  comma_end ();
  check_lines (r.report.refused,
      "range of conv2: 0..1.5 by hand becomes 0..2, for the same bytes have "
      "another range by hand\n");
}

/* conv1, conv2 -> concat3 -> conv4 */
static Result
quantise_concat (const char *table, const char *hand)
{
  g_autoptr (Net) net = net_new (1);
  const int x = net_input (net, 4, 4, 1);
  const int a = net_conv (net, x, (NetConv){.oc = 2, .hi = INFINITY});
  const int b = net_conv (net, x, (NetConv){.oc = 2, .hi = INFINITY});
  const int c = net_concat (net, (const int[]){a, b}, 2, 3);

  return quantise_hand (net_finish (net, net_dense (net, c, 3)), table, hand,
      (EngineBuildOptions){.ranges = ENGINE_RANGES_FULL, .strict = TRUE});
}

/* An input of a concat keeps what it was given; the output holds it; one given for the output goes
 * for the inputs that have none. */
static void
test_concat (void)
{
  const char *table = "input 1, conv1 2, conv2 2, concat3 2";
  g_auto (Result) smaller = quantise_concat (table, "conv1: 1.5");
  g_auto (Result) larger = quantise_concat (table, "conv1: 5");
  g_auto (Result) output = quantise_concat (table, "concat3: 1");
  g_auto (Result) both = quantise_concat (table, "concat3: 1\nconv2: 3");
  g_auto (Result) inferred = quantise_concat ("input 1", "conv1: 1\nconv2: 3");

  check_quant (&smaller, "conv1", ENGINE_RANGE_FULL, 1.5 / 255, -128);
  check_quant (&smaller, "conv2", ENGINE_RANGE_FULL, 2.0 / 255, -128);
  check_quant (&smaller, "concat3", ENGINE_RANGE_FULL, 2.0 / 255, -128);
  check_quant (&larger, "conv1", ENGINE_RANGE_FULL, 5.0 / 255, -128);
  check_quant (&larger, "concat3", ENGINE_RANGE_FULL, 5.0 / 255, -128);
  check_quant (&output, "conv1", ENGINE_RANGE_FULL, 1.0 / 255, -128);
  check_quant (&output, "concat3", ENGINE_RANGE_FULL, 1.0 / 255, -128);
  check_quant (&both, "conv1", ENGINE_RANGE_FULL, 1.0 / 255, -128);
  check_quant (&both, "conv2", ENGINE_RANGE_FULL, 3.0 / 255, -128);
  check_quant (&both, "concat3", ENGINE_RANGE_FULL, 1.0 / 255, -128);
  check_quant (&inferred, "conv1", ENGINE_RANGE_FULL, 1.0 / 255, -128);
  check_quant (&inferred, "concat3", ENGINE_RANGE_FULL, 3.0 / 255, -128);
  check_lines (inferred.report.inferred, "concat3 <- conv2\n");
}

/* Ranges that say what the table says make the same engine, unless there is a concat, whose inputs
 * share by table and not by hand. */
static void
test_same_as_table (void)
{
  for (guint32 seed = 1; seed <= 60 && !check_failures_in_test; seed++) {
    g_autoptr (EngineGraph) graph = net_random (seed);
    g_autoptr (CalibTable) table = net_calibrate (graph, seed, 2);
    g_autoptr (CalibDynamicRanges) ranges = calib_dynamic_ranges_new ();
    EngineBuildOptions options = {.ranges = ENGINE_RANGES_SYMMETRIC, .table = table};

    for (guint i = 0; i < calib_table_n_entries (table); i++) {
      float scale;
      const char *name = calib_table_entry (table, i, &scale);

      calib_dynamic_ranges_set (ranges, name, -scale * 127.0, scale * 127.0);
    }
    g_autoptr (Engine) by_table = net_engine_with (graph, &options);
    options.table = NULL;
    options.dynamic_ranges = ranges;
    g_autoptr (Engine) by_hand = net_engine_with (graph, &options);
    g_autofree char *a = engine_dump (by_table), *b = engine_dump (by_hand);

    if (!strstr (a, "concat"))
      CHECK_STR (b, a);
  }
}

int
main (void)
{
  RUN (test_both_ends);
  RUN (test_hand_wins);
  RUN (test_without_table);
  RUN (test_conflict);
  RUN (test_conflict_in_any_locale);
  RUN (test_concat);
  RUN (test_same_as_table);
  return check_done ();
}
