/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* compare-alone.c: layers one at a time, and the suspects that follow from it. */
#include "tests/engine/judged.h"

static KernelBackend *cpu;

/* In a network of one layer, that layer alone is the network. */
static void
test_alone_is_all_there_is (void)
{
  g_autoptr (Net) net = net_new (3);
  g_autoptr (EngineModel) model =
      model_of (net_finish (net, net_softmax (net, net_dense (net, net_input (net, 4, 4, 3), 6))));
  g_autoptr (CalibTable) table = net_calibrate (model->graph, 1, 4);
  const EngineBuildOptions options = {.precision = ENGINE_PRECISION_INT8, .table = table};
  g_autoptr (Engine) exact = build_float (model), judged = build (model, &options);
  g_autoptr (EngineComparison) comparison =
      compare (exact, judged, cpu, (EngineCompareOptions){.keep = 5});
  g_autoptr (GPtrArray) suspects = NULL;
  g_autoptr (GError) error = NULL;
  EngineAgreementScore network;
  EngineTensorScore dense;

  CHECK (!engine_comparison_alone (comparison, NULL, NULL, NULL, &error));
  CHECK (g_error_matches (error, CALIB_ERROR, CALIB_ERROR_EMPTY));
  g_clear_error (&error);
  push_noise (comparison, model, 5);
  CHECK (engine_comparison_alone (comparison, NULL, NULL, NULL, &error));
  engine_comparison_score (comparison, &network);
  engine_comparison_tensor (comparison, 1, &dense);
  CHECK (isfinite (network.sqnr) && network.sqnr > 20);
  CHECK (dense.alone_logits == network.sqnr && dense.alone == network.sqnr);

  suspects = engine_comparison_suspects (comparison);
  CHECK_INT (suspects->len, ==, 1);
  const EngineSuspect *suspect = g_ptr_array_index (suspects, 0);
  CHECK_INT (suspect->tensor, ==, 1);
  CHECK_NEAR (suspect->damage, pow (10, -network.sqnr / 10));
  CHECK (g_str_has_suffix (suspect->precision, ":fp32") && !suspect->range);
}

/* Activations that are more than a group of taps, some of them read later by a residual: they must be
 * kept to the end all the same. */
static void
test_alone_beyond_a_group (void)
{
  g_autoptr (Net) net = net_new (9);
  int x = net_input (net, 64, 64, 3);

  for (int i = 0; i < 4; i++) {
    const int a = net_conv (net, x, (NetConv){.oc = 64, .k = 1, .hi = INFINITY});
    const int b = net_conv (net, a, (NetConv){.oc = 64, .k = 1, .hi = INFINITY});

    x = net_conv (net, b, (NetConv){.oc = 64, .k = 1, .hi = INFINITY, .residual = a});
  }
  g_autoptr (EngineModel) model =
      model_of (net_finish (net, net_dense (net, net_global_pool (net, x), 6)));
  g_autoptr (CalibTable) table = net_calibrate (model->graph, 1, 2);
  const EngineBuildOptions options = {.precision = ENGINE_PRECISION_INT8, .table = table};
  g_autoptr (Engine) exact = build_float (model), judged = build (model, &options);
  g_autoptr (EngineComparison) comparison =
      compare (exact, judged, cpu, (EngineCompareOptions){.keep = 1});
  g_autoptr (GError) error = NULL;
  EngineTensorScore score;

  push_noise (comparison, model, 1);
  CHECK_INT (engine_exec_program (comparison->exact_exec)->plan->arena[ENGINE_SPACE_BATCH], >,
      12 * 64 * 64 * 64 * 4);
  CHECK (engine_comparison_alone (comparison, NULL, NULL, NULL, &error));
  for (guint i = 1; i < engine_comparison_n_tensors (comparison); i++) {
    engine_comparison_tensor (comparison, i, &score);
    if (!(score.alone_logits > 25))
      CHECK_FAIL ("only %s: %g dB", score.name, score.alone_logits);
  }
}

/* An engine in which the layer alone is int8 gives the same, but for a value here and there that a
 * float kernel rounds to the neighbouring level. */
static void
check_alone (const EngineModel *model, const EngineBuildOptions *options,
    const EngineTensorScore *score)
{
  g_autoptr (EngineLayerRules) rules = engine_layer_rules_new ();
  g_autofree char *pattern = engine_layer_pattern (score->name);
  EngineBuildOptions alone = *options;
  EngineAgreementScore network;

  engine_layer_rules_add (rules, "*", ENGINE_PRECISION_FP32);
  engine_layer_rules_add (rules, pattern, ENGINE_PRECISION_INT8);
  engine_layer_rules_add_output (rules, pattern, score->int8 ? ENGINE_TYPE_S8 : ENGINE_TYPE_F32);
  alone.precision = ENGINE_PRECISION_MIXED;
  alone.rules = rules;
  g_autoptr (Engine) exact = build_float (model), judged = build (model, &alone);
  g_autoptr (EngineComparison) comparison =
      compare (exact, judged, cpu, (EngineCompareOptions){.network_only = TRUE});
  push_noise (comparison, model, 3);
  engine_comparison_score (comparison, &network);
  if (!(fabs (network.sqnr - score->alone_logits) < 0.05))
    CHECK_FAIL ("only %s: %g dB, as an engine of its own %g dB", score->name, score->alone_logits,
        network.sqnr);
}

static void
test_alone_is_an_engine_of_its_own (void)
{
  for (guint32 seed = 1; seed <= 4; seed++) {
    g_autoptr (EngineModel) model = chain_model (seed);
    g_autoptr (CalibTable) table = net_calibrate (model->graph, 1, 8);
    const EngineBuildOptions options = {.precision = ENGINE_PRECISION_INT8, .table = table};
    g_autoptr (Engine) exact = build_float (model), judged = build (model, &options);
    g_autoptr (EngineComparison) comparison =
        compare (exact, judged, cpu, (EngineCompareOptions){.keep = 3});
    g_autoptr (GError) error = NULL;
    guint layers = 0;

    push_noise (comparison, model, 3);
    CHECK (engine_comparison_alone (comparison, NULL, NULL, NULL, &error));
    for (guint i = 0; i < engine_comparison_n_tensors (comparison); i++) {
      EngineTensorScore score;

      engine_comparison_tensor (comparison, i, &score);
      if (score.precision != ENGINE_PRECISION_INT8)
        continue;
      check_alone (model, &options, &score);
      layers++;
    }
    CHECK_INT (layers, ==, 6);
  }
}

/* Three layers, the middle one with a range that is far too narrow. */
static void
check_suspect (gboolean alone)
{
  g_autoptr (Net) net = net_new (5);
  const int x = net_input (net, 8, 8, 3);
  const int a = net_conv (net, x, (NetConv){.oc = 8, .k = 3, .pad = 1, .hi = INFINITY});
  const int b = net_conv (net, a, (NetConv){.oc = 8, .k = 3, .pad = 1, .hi = INFINITY});
  const int c = net_conv (net, b, (NetConv){.oc = 8, .k = 3, .pad = 1, .hi = INFINITY});
  g_autoptr (EngineModel) model = model_of (net_finish (net, net_dense (net, c, 6)));
  g_autoptr (CalibTable) table = net_calibrate (model->graph, 1, 8);
  const EngineBuildOptions options = {.precision = ENGINE_PRECISION_INT8, .table = table};
  g_autoptr (GPtrArray) suspects = NULL;
  g_autoptr (GError) error = NULL;
  EngineTensorScore score;
  float scale;

  CHECK (calib_table_lookup (table, "conv2", &scale));
  calib_table_set (table, "conv2", scale / 8);
  g_autoptr (Engine) exact = build_float (model), judged = build (model, &options);
  g_autoptr (EngineComparison) comparison =
      compare (exact, judged, cpu, (EngineCompareOptions){.keep = 3});
  push_noise (comparison, model, 6);
  if (alone && !engine_comparison_alone (comparison, NULL, NULL, NULL, &error))
    CHECK_FAIL ("%s", error->message);
  suspects = engine_comparison_suspects (comparison);
  const EngineSuspect *worst = g_ptr_array_index (suspects, 0);
  engine_comparison_tensor (comparison, worst->tensor, &score);
  CHECK_STR (score.name, "conv2");
  CHECK_STR (worst->precision, "conv2:fp32");
  CHECK (g_str_has_prefix (worst->why, "clipping: "));
  CHECK (worst->range && g_str_has_prefix (worst->range, "conv2: "));
  CHECK (score.saturated > 0 && score.clip_noise > 0.9);
  CHECK (isnan (score.alone) == !alone);
  for (guint i = 1; i < suspects->len; i++)
    CHECK (((EngineSuspect *) g_ptr_array_index (suspects, i - 1))->damage >=
           ((EngineSuspect *) g_ptr_array_index (suspects, i))->damage);
}

static void
test_suspect_cumulative (void)
{
  check_suspect (FALSE);
}

static void
test_suspect_alone (void)
{
  check_suspect (TRUE);
}

int
main (void)
{
  cpu = net_backend ("cpu");
  RUN (test_alone_is_all_there_is);
  RUN (test_alone_beyond_a_group);
  RUN (test_alone_is_an_engine_of_its_own);
  RUN (test_suspect_cumulative);
  RUN (test_suspect_alone);
  kernel_close (cpu);
  return check_done ();
}
