/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * quantise-ranges.c: from a table's words and what a graph proves to scales and zero points.
 */
#include "tests/engine/quantised.h"

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

/* Both ends lie within, and the step is no wider than that takes. */
static void
test_covering (void)
{
  const double ends[][2] = {{-3, 5}, {-3, 0.001}, {-0.001, 3}, {-0.2785, 6}, {-1e-9, 6},
      {-6, 1e-9}};

  for (gsize i = 0; i < G_N_ELEMENTS (ends); i++) {
    const double lo = ends[i][0], hi = ends[i][1];
    const EngineQuant quant = engine_quant_covering (lo, hi);

    CHECK (quant.range == ENGINE_RANGE_AFFINE && quant.zero > -128 && quant.zero < 127);
    CHECK (engine_quant_real (&quant, -128) <= lo * (1 - 1e-6));
    CHECK (engine_quant_real (&quant, 127) >= hi * (1 - 1e-6));
    CHECK (quant.scale <= (hi - lo) / 253.99);
  }
  for (int i = 0; i < 2; i++) { /* nothing to cover */
    const EngineQuant covering = engine_quant_covering (i ? -2 : 0, 2);
    const EngineQuant plain = engine_quant_from_range (i ? -2 : 0, 2);

    CHECK (covering.scale == plain.scale && covering.zero == plain.zero);
  }
}

/* What only a hard swish reads is cut at -3, where that is a level: unless it is by hand. */
static void
test_cut_to_what_is_seen (void)
{
  for (int symmetric = 0; symmetric < 2; symmetric++) {
    const EngineBuildOptions options = {.ranges = (EngineRanges) symmetric};
    g_autoptr (Net) net = net_new (1);
    const int a = net_conv (net, net_input (net, 4, 4, 1), (NetConv){.oc = 2});
    const int b = net_unary (net, net_pool (net, ENGINE_OP_MAXPOOL, a, 2, 2, 0),
        KERNEL_UNARY_HARD_SWISH, 0, 0);
    const int c = net_unary (net, net_conv (net, b, (NetConv){.oc = 2}), KERNEL_UNARY_HARD_SIGMOID,
        0.2f, 0.5f);
    g_auto (Result) r = quantise_with (net_finish (net, net_dense (net, c, 3)),
        "input 1, conv1 5, maxpool2 5, unary3 5, conv4 2, unary5 1, conv6 1", &options);

    if (symmetric) {
      check_quant (&r, "conv1", ENGINE_RANGE_SYMMETRIC, 5.0 / 127, 0);
      continue;
    }
    check_quant (&r, "conv1", ENGINE_RANGE_AFFINE, 5.0 / 159, 96 - 128);
    check_quant (&r, "maxpool2", ENGINE_RANGE_AFFINE, 5.0 / 159, 96 - 128);
    CHECK (engine_quant_real (&value (&r, "conv1")->quant, -128) <= -3);
    check_quant (&r, "conv4", ENGINE_RANGE_SYMMETRIC, 2.0 / 127, 0); /* all of it is within +-2.5 */
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
    check_quant (&r, "unary4", ENGINE_RANGE_AFFINE, 4.0 / 238, -111);
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
      "no range for 1 of 7 tensors: 'conv3'; calibrate this model, or add the entries to the "
      "table");
  check_missing ("data 1, ip1 1",
      "no range for 7 of 7 tensors: 'input', 'conv1', 'conv2', 'conv3', 'conv4' ...; the calibration "
      "table seems to belong to another model: make one of this model, by int8calib "
      "or gst-int8-1.0 calibrate");
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

int
main (void)
{
  RUN (test_range_kinds);
  RUN (test_ends_are_levels);
  RUN (test_covering);
  RUN (test_cut_to_what_is_seen);
  RUN (test_full_affine_symmetric);
  RUN (test_input_is_exact);
  RUN (test_input_symmetric);
  RUN (test_concat_shares);
  RUN (test_concat_far_smaller);
  RUN (test_group_with_a_signed_member);
  RUN (test_always_zero);
  RUN (test_missing);
  RUN (test_ranges_too_far_apart);
  return check_done ();
}
