/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mixed.c: what layer rules make of a graph: conversions where int8 and float meet, outputs of the type
 * that was asked for, and what is said about what cannot be had. The bytes are those of `ref` on every
 * CPU.
 */
#include "engine/layer-rules.h"
#include "tests/engine/quantised.h"

static Result
quantise_by (EngineGraph *graph, const char *ranges, const char *rules, gboolean strict)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineLayerRules) parsed = engine_layer_rules_parse (rules, &error);
  const EngineBuildOptions options = {.precision = ENGINE_PRECISION_MIXED,
      .rules = parsed,
      .strict = strict};

  if (!parsed)
    g_error ("%s", error->message);
  return quantise_with (graph, ranges, &options);
}

/* input -> conv1 (ReLU) -> maxpool2 -> conv3 (+ maxpool2, ReLU) -> conv4 -> softmax5 */
static EngineGraph *
small_net (void)
{
  g_autoptr (Net) net = net_new (1);
  const int x = net_conv (net, net_input (net, 4, 4, 1), (NetConv){.oc = 2, .hi = INFINITY});
  const int p = net_pool (net, ENGINE_OP_MAXPOOL, x, 2, 2, 0);
  const int y = net_conv (net, p, (NetConv){.oc = 2, .hi = INFINITY, .residual = p});

  return net_finish (net, net_softmax (net, net_dense (net, y, 3)));
}

#define SMALL_RANGES "input 127, conv1 255, maxpool2 255, conv3 510, conv4 1, softmax5 1"

/* --- Precision ------------------------------------------------------------------------------ */

static void
test_float_in_the_middle (void)
{
  g_auto (Result) r = quantise_by (small_net (), SMALL_RANGES, "conv3:fp32", FALSE);

  check_dump (&r,
      "input = input s8 [1 4 4 1] scale 1 zero 0 symmetric\n"
      "conv1 = conv (input, w s8 [2 1 1 1], b [2], m [2]) clamp 0..inf s8 [1 4 4 2] scale 1.01587307 zero -128 "
      "full\n"
      "maxpool2 = maxpool (conv1) 2x2 stride 2x2 s8 [1 2 2 2] scale 1.01587307 zero -128 full\n"
      "maxpool2 (float) = dequantise (maxpool2) f32 [1 2 2 2]\n"
      "conv3 = conv (maxpool2 (float), w [2 1 1 2], b [2], r maxpool2 (float)) clamp 0..inf f32 [1 2 2 "
      "2]\n"
      "conv3 (int8) = quantise (conv3) s8 [1 2 2 2] scale 2 zero -128 full\n"
      "conv4 = conv (conv3 (int8), w s8 [3 2 2 2], b [3], m [3]) f32 [1 3]\n"
      "softmax5 = softmax (conv4) f32 [1 3]\n"
      "output softmax5\n");
  check_lines (r.report.obeyed, "conv3: fp32 (conv3:fp32)\n");
  check_lines (r.report.refused, "");
  check_lines (r.report.unmatched, "");
}

/* One layer in int8: it alone is measured. The image comes as floats. */
static void
test_int8_alone (void)
{
  g_auto (Result) r = quantise_by (small_net (), SMALL_RANGES, "*:fp32,conv3:int8", TRUE);

  check_dump (&r, "input = input f32 [1 4 4 1]\n"
                  "conv1 = conv (input, w [2 1 1 1], b [2]) clamp 0..inf f32 [1 4 4 2]\n"
                  "maxpool2 = maxpool (conv1) 2x2 stride 2x2 f32 [1 2 2 2]\n"
                  "maxpool2 (int8) = quantise (maxpool2) s8 [1 2 2 2] scale 1.01587307 zero -128 full\n"
                  "conv3 = conv (maxpool2 (int8), w s8 [2 1 1 2], b [2], m [2], r maxpool2 (int8)) "
                  "clamp 0..inf s8 [1 2 2 2] scale 2 zero -128 full\n"
                  "conv3 (float) = dequantise (conv3) f32 [1 2 2 2]\n"
                  "conv4 = conv (conv3 (float), w [3 2 2 2], b [3]) f32 [1 3]\n"
                  "softmax5 = softmax (conv4) f32 [1 3]\n"
                  "output softmax5\n");
  check_lines (r.report.obeyed, "conv1: fp32 (*:fp32)\n"
                                "maxpool2: fp32 (*:fp32)\n"
                                "conv3: int8 (conv3:int8)\n"
                                "conv4: fp32 (*:fp32)\n"
                                "softmax5: fp32 (*:fp32)\n");
}

/* An int8 convolution that only float layers read writes floats itself, but for a residual. */
static void
test_first_layer_alone (void)
{
  g_auto (Result) r = quantise_by (small_net (), "input 127, conv1 255", "*:fp32,conv1:int8", TRUE);

  check_dump (&r,
      "input = input s8 [1 4 4 1] scale 1 zero 0 symmetric\n"
      "conv1 (unclamped) = conv (input, w s8 [2 1 1 1], b [2], m [2]) f32 [1 4 4 2]\n"
      "conv1 = unary (conv1 (unclamped)) clip 0..inf f32 [1 4 4 2]\n"
      "maxpool2 = maxpool (conv1) 2x2 stride 2x2 f32 [1 2 2 2]\n"
      "conv3 = conv (maxpool2, w [2 1 1 2], b [2], r maxpool2) clamp 0..inf f32 [1 2 2 2]\n"
      "conv4 = conv (conv3, w [3 2 2 2], b [3]) f32 [1 3]\n"
      "softmax5 = softmax (conv4) f32 [1 3]\n"
      "output softmax5\n");
}

static void
test_everything_float (void)
{
  g_autoptr (EngineGraph) graph = small_net ();
  g_autofree char *before = engine_graph_dump (graph);
  g_auto (Result) r = quantise_by (g_steal_pointer (&graph), "nothing 1", "*:fp32", TRUE);

  check_dump (&r, before);
}

/* --- Output types --------------------------------------------------------------------------- */

/* The residual and the clamp of an int8 convolution that writes floats are float as well. */
static void
test_float_output (void)
{
  g_auto (Result) r = quantise_by (small_net (), SMALL_RANGES, "conv3:output=fp32", TRUE);

  check_dump (&r,
      "input = input s8 [1 4 4 1] scale 1 zero 0 symmetric\n"
      "conv1 = conv (input, w s8 [2 1 1 1], b [2], m [2]) clamp 0..inf s8 [1 4 4 2] scale 1.01587307 zero -128 "
      "full\n"
      "maxpool2 = maxpool (conv1) 2x2 stride 2x2 s8 [1 2 2 2] scale 1.01587307 zero -128 full\n"
      "conv3 (unadded) = conv (maxpool2, w s8 [2 1 1 2], b [2], m [2]) f32 [1 2 2 2]\n"
      "maxpool2 (float) = dequantise (maxpool2) f32 [1 2 2 2]\n"
      "conv3 = add (conv3 (unadded), maxpool2 (float)) clamp 0..inf f32 [1 2 2 2]\n"
      "conv3 (int8) = quantise (conv3) s8 [1 2 2 2] scale 2 zero -128 full\n"
      "conv4 = conv (conv3 (int8), w s8 [3 2 2 2], b [3], m [3]) f32 [1 3]\n"
      "softmax5 = softmax (conv4) f32 [1 3]\n"
      "output softmax5\n");
  check_lines (r.report.obeyed, "conv3: output fp32 (conv3:output=fp32)\n");
}

static void
test_int8_logits (void)
{
  g_auto (Result) r = quantise_by (small_net (), SMALL_RANGES, "conv4:output=int8", TRUE);

  CHECK_INT (value (&r, "conv4")->type, ==, ENGINE_TYPE_S8);
  CHECK_INT (value (&r, "conv4 (float)")->type, ==, ENGINE_TYPE_F32);
}

/* --- What cannot be had --------------------------------------------------------------------- */

static void
test_refused (void)
{
  const char *rules =
      "*:int8,conv1:fp32,conv1:output=int8,maxpool2:output=fp32,convx:fp32,y*:output=int8";
  g_auto (Result) r = quantise_by (small_net (), SMALL_RANGES, rules, FALSE);
  g_auto (Result) strict = quantise_by (small_net (), SMALL_RANGES, rules, TRUE);

  check_lines (r.report.refused,
      "layer 'conv1' (rule conv1:output=int8): a layer in floats writes floats; conv1:int8 computes "
      "it in int8\n"
      "layer 'maxpool2' (rule maxpool2:output=fp32): no int8 kernel for maxpool writes floats; "
      "maxpool2:fp32 computes it in floats\n"
      "layer 'softmax5' (rule *:int8): there is no int8 kernel for softmax; add softmax5:fp32\n");
  check_lines (r.report.unmatched, "rule convx:fp32\nrule y*:output=int8\n");
  CHECK (r.graph && !strict.graph);
  CHECK (g_error_matches (strict.error, ENGINE_ERROR, ENGINE_ERROR_RULES));
  CHECK (strict.error && strstr (strict.error->message, "softmax5:fp32; rule convx:fp32 matches "
                                                        "nothing; rule y*:output=int8 matches"));
}

/* --- Ranges --------------------------------------------------------------------------------- */

/* Random rules for some of a graph's layers. */
static EngineLayerRules *
random_rules (const EngineGraph *graph, GRand *rand)
{
  EngineLayerRules *rules = engine_layer_rules_new ();

  for (guint i = 0; i < graph->nodes->len; i++) {
    const EngineNode *node = engine_graph_node (graph, i);
    g_autofree char *pattern =
        engine_layer_pattern (engine_graph_value (graph, node->output)->name);

    if (g_rand_int_range (rand, 0, 3) == 0)
      engine_layer_rules_add (rules, pattern,
          g_rand_int_range (rand, 0, 4) ? ENGINE_PRECISION_FP32 : ENGINE_PRECISION_INT8);
    if (g_rand_int_range (rand, 0, 4) == 0)
      engine_layer_rules_add_output (rules, pattern,
          g_rand_int_range (rand, 0, 4) ? ENGINE_TYPE_F32 : ENGINE_TYPE_S8);
  }
  return rules;
}

/* The scale and zero point of every tensor that is int8 in both, conversions included. */
static void
check_same_ranges (const Engine *mixed, const Engine *plain, int *compared)
{
  for (guint v = 0; v < mixed->graph->values->len; v++) {
    const EngineValue *a = engine_graph_value (mixed->graph, v);
    g_autofree char *name = g_strdup (a->name);

    if (a->data || a->type != ENGINE_TYPE_S8)
      continue;
    if (g_str_has_suffix (name, " (int8)"))
      name[strlen (name) - strlen (" (int8)")] = '\0';
    const int same = GPOINTER_TO_INT (g_hash_table_lookup (plain->graph->names, name)) - 1;
    const EngineValue *b = same < 0 ? NULL : engine_graph_value (plain->graph, same);
    if (!b || b->type != ENGINE_TYPE_S8)
      continue;
    (*compared)++;
    if (!engine_quant_equal (&a->quant, &b->quant))
      CHECK_FAIL ("%s: scale %g zero %d with rules, %g %d without", name, a->quant.scale,
          a->quant.zero, b->quant.scale, b->quant.zero);
  }
}

static float *
run (Engine *engine, KernelBackend *backend, int threads, guint32 seed)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineExec) exec = engine_exec_new (engine, backend, 2, threads, &error);
  const gsize n = engine_n_classes (engine);
  float *out = g_new (float, 2 * n);

  if (!exec)
    g_error ("%s", error->message);
  for (int i = 0; i < 2; i++)
    net_fill_input (engine, exec, i, seed, i);
  if (!engine_exec_run (exec, 2, &error))
    g_error ("%s", error->message);
  for (int i = 0; i < 2; i++)
    memcpy (out + i * n, engine_exec_output (exec, i), n * sizeof (float));
  return out;
}

static KernelBackend *ref, *cpu;

static void
check_exact (Engine *engine, guint32 seed)
{
  const gsize size = 2 * engine_n_classes (engine) * sizeof (float);
  g_autofree float *expected = run (engine, ref, 1, seed);
  g_autofree float *one = run (engine, cpu, 1, seed), *three = run (engine, cpu, 3, seed);

  if (memcmp (one, expected, size) != 0 || memcmp (three, expected, size) != 0)
    CHECK_FAIL ("seed %u: cpu differs from ref", seed);
}

/* Random rules on random networks: sound graphs, the ranges of the plain engine, the bytes of ref. */
static void
test_random_networks (void)
{
  int compared = 0, both = 0;

  for (guint32 seed = 1; seed <= 300 && !check_failures_in_test; seed++) {
    GRand *rand = g_rand_new_with_seed (seed);
    g_autoptr (EngineGraph) graph = net_random (seed);
    g_autoptr (CalibTable) table = net_calibrate (graph, seed, 2);
    g_autoptr (EngineLayerRules) rules = random_rules (graph, rand);
    EngineBuildOptions options = {.precision = ENGINE_PRECISION_INT8,
        .ranges = seed % 3 ? ENGINE_RANGES_FULL : ENGINE_RANGES_SYMMETRIC,
        .table = table};
    g_autoptr (Engine) plain = net_engine_with (graph, &options);
    options.rules = rules;
    g_autoptr (Engine) mixed = net_engine_with (graph, &options);
    EngineBuildReport report = {0};

    engine_report (mixed, &report);
    both += report.layers_int8 > 0 && report.layers_fp32 > 0;
    check_same_ranges (mixed, plain, &compared);
    check_exact (mixed, seed);
    g_rand_free (rand);
  }
  CHECK_INT (compared, >, 1000);
  CHECK_INT (both, >, 200);
}

/* One layer after the other in int8, the others in floats: the ground of layer comparison. */
static void
test_one_layer_at_a_time (void)
{
  int built = 0;

  for (guint32 seed = 1; seed <= 40 && !check_failures_in_test; seed++) {
    g_autoptr (EngineGraph) graph = net_random (seed);
    g_autoptr (CalibTable) table = net_calibrate (graph, seed, 2);

    for (guint i = 0; i < graph->nodes->len; i++) {
      const EngineNode *node = engine_graph_node (graph, i);
      g_autoptr (EngineLayerRules) rules = engine_layer_rules_parse ("*:fp32", NULL);
      g_autofree char *pattern =
          engine_layer_pattern (engine_graph_value (graph, node->output)->name);
      const EngineBuildOptions options = {.precision = ENGINE_PRECISION_MIXED,
          .table = table,
          .rules = rules,
          .strict = TRUE};

      if (!engine_op_has_int8 (node->op))
        continue;
      engine_layer_rules_add (rules, pattern, ENGINE_PRECISION_INT8);
      g_autoptr (Engine) alone = net_engine_with (graph, &options);
      g_autoptr (GArray) layers = engine_layers (alone);
      int int8 = 0;
      for (guint k = 0; k < layers->len; k++)
        int8 += g_array_index (layers, EngineLayer, k).precision == ENGINE_PRECISION_INT8;
      CHECK_INT (int8, ==, engine_op_computes (node->op));
      check_exact (alone, seed);
      built++;
    }
  }
  CHECK_INT (built, >, 300);
}

int
main (void)
{
  ref = net_backend ("ref");
  cpu = net_backend ("cpu");
  RUN (test_float_in_the_middle);
  RUN (test_int8_alone);
  RUN (test_first_layer_alone);
  RUN (test_everything_float);
  RUN (test_float_output);
  RUN (test_int8_logits);
  RUN (test_refused);
  RUN (test_random_networks);
  RUN (test_one_layer_at_a_time);
  kernel_close (cpu);
  kernel_close (ref);
  return check_done ();
}
