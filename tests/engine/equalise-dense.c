/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * equalise-dense.c: scales by channel before dense convolutions: before which, that the engine computes with
 * them, that they are judged, and that corrections go with them.
 */
#include "tests/engine/equalise.h"

#include <glib/gstdio.h>

/* Several, max pools on the way; not behind a sum, nor before one, nor with groups. */
static void
test_which (void)
{
  g_autoptr (Net) net = net_new (1);
  const int in = net_input (net, 4, 4, 4);
  const int a = net_conv (net, in, (NetConv){.oc = 4, .k = 1, .lo = 0, .hi = 6});
  const int pool = net_pool (net, ENGINE_OP_MAXPOOL, a, 2, 1, 0);
  const int b = net_conv (net, pool, (NetConv){.oc = 4, .k = 1});
  const int c = net_conv (net, pool, (NetConv){.oc = 4, .k = 3, .pad = 1});
  const int sum = net_binary (net, ENGINE_OP_ADD, b, c, -INFINITY, INFINITY);
  const int d = net_conv (net, sum, (NetConv){.oc = 4, .k = 1});
  const int e = net_conv (net, d, (NetConv){.oc = 4, .k = 1, .groups = 2});
  g_autoptr (EngineGraph) graph = net_finish (net, net_dense (net, e, 3));

  for (int v = 0; v < (int) graph->values->len; v++) {
    g_autoptr (GArray) readers = engine_equalise_readers (graph, v);

    CHECK ((readers != NULL) == (v == a || v == e));
    CHECK (engine_equalise_is_dense (graph, v) == (readers != NULL));
    CHECK (!readers || readers->len == (v == a ? 3 : 1));
  }
}

/* Channels that are each a tenth of the one before, through a max pool into weights that make up for it. */
static EngineModel *
make_dense_model (void)
{
  static const float w[] = {1, -0.1f, 0.01f, -0.001f}, b[4] = {0};
  g_autoptr (Net) net = net_new (3);
  g_autofree float *weights = g_new (float, 6 * 4);
  float zero[6] = {0};
  int x = net_conv_given (net, net_input (net, 4, 8, 1), 4, 1, 1, w, b);

  engine_graph_node (net->graph, 0)->conv.lo = 0;
  x = net_pool (net, ENGINE_OP_MAXPOOL, x, 2, 1, 0);
  for (int i = 0; i < 6 * 4; i++)
    weights[i] = powf (10, (float) (i % 4)) * (float) g_rand_double_range (net->rand, -1, 1);
  x = net_conv_given (net, x, 6, 1, 4, weights, zero);
  return net_model (net_finish (net, net_dense (net, x, 4)));
}

/* It never goes back. */
static void
on_progress (guint done, guint total, const char *what, gpointer data)
{
  guint *last = data;

  CHECK (done >= *last && done <= total);
  *last = done;
}

/* As a command does: with the table, and the correction where there are statistics. */
static EngineBias *
equalise (const EngineModel *model, const CalibTable *table, const CalibStatistics *statistics,
    const GPtrArray *frames, int threads)
{
  guint done = 0;
  const EngineEqualiseOptions options = {.method = CALIB_METHOD_MINMAX,
      .frames = frames,
      .threads = threads,
      .table = table,
      .statistics = statistics,
      .progress = on_progress,
      .progress_data = &done};
  EngineBias *bias = statistics ? engine_bias_fast (model, statistics, NULL) : engine_bias_new ();
  g_autoptr (GError) error = NULL;

  if (!engine_equalise (bias, model, &options, cpu, NULL, &error))
    g_error ("%s", error->message);
  CHECK_INT (done, ==, frames->len < 5 ? 0 : 3 * frames->len);
  return bias;
}

/* Both before and after the pool, in the bytes of weights, and in what the correction is for. */
static void
test_it_helps (void)
{
  g_autoptr (EngineModel) model = make_dense_model ();
  g_autoptr (GPtrArray) frames = make_frames ();
  g_autoptr (CalibStatistics) statistics = calib_statistics_new (NULL, CALIB_HISTOGRAM_DEFAULT);
  g_autoptr (CalibTable) table = net_table (model, cpu, frames, statistics);
  g_autoptr (EngineBias) bias = equalise (model, table, statistics, frames, 1);
  g_autoptr (EngineBias) fast = engine_bias_fast (model, statistics, NULL);
  EngineBuildOptions options = {.precision = ENGINE_PRECISION_INT8, .table = table, .bias = fast};
  const char *pooled =
      engine_graph_value (model->graph, engine_graph_node (model->graph, 1)->output)->name;
  double inside;

  CHECK_INT (engine_bias_n_equalised (bias), ==, 2); /* and before the last layer */
  CHECK_STR (engine_bias_equalised (bias, 0), between (model));
  CHECK_INT (engine_bias_n_layers (bias), ==, engine_bias_n_layers (fast));

  const double plain = sqnr (model, &options, frames, &inside);
  options.bias = bias;
  const double equalised = sqnr (model, &options, frames, &inside);
  printf ("logits %.1f dB, equalised %.1f dB\n", plain, equalised);
  CHECK (equalised > plain + 3);

  g_autoptr (Engine) engine = engine_build (model, &options, NULL, NULL, NULL, NULL, NULL);
  for (guint v = 0; v < engine->graph->values->len; v++) {
    const EngineValue *value = engine_graph_value (engine->graph, v);

    CHECK (!g_str_equal (value->name, pooled) ||
           (value->factors && g_bytes_get_size (value->factors) == 4 * sizeof (float)));
  }
}

/* Too few frames show no gain. */
static void
test_it_is_judged (void)
{
  g_autoptr (EngineModel) model = make_dense_model ();
  g_autoptr (GPtrArray) frames = make_frames ();
  g_autoptr (CalibTable) table = net_table (model, cpu, frames, NULL);

  g_ptr_array_set_size (frames, 4);
  g_autoptr (EngineBias) bias = equalise (model, table, NULL, frames, 1);
  CHECK_INT (engine_bias_n_equalised (bias), ==, 0);
}

static void
run_on (Engine *engine, KernelBackend *backend, int batch, int threads, float *logits)
{
  g_autoptr (EngineExec) exec = engine_exec_new (engine, backend, batch, threads, NULL);
  const int n = engine_n_classes (engine);

  for (int i = 0; i < FRAMES; i += batch) {
    for (int k = 0; k < batch; k++)
      net_fill_input (engine, exec, k, 1, i + k);
    CHECK (engine_exec_run (exec, batch, NULL));
    for (int k = 0; k < batch; k++)
      memcpy (logits + (i + k) * n, engine_exec_output (exec, k), n * sizeof *logits);
  }
}

/* Found with any threads (of every fifth of the frames two have an image each), run on any and in any batch:
 * the same bytes. */
static void
test_bytes (void)
{
  g_autoptr (EngineModel) model = make_dense_model ();
  g_autoptr (GPtrArray) frames = make_frames ();
  g_autoptr (CalibTable) table = net_table (model, cpu, frames, NULL);
  g_autoptr (EngineBias) bias = equalise (model, table, NULL, frames, 1);
  g_autoptr (EngineBias) again = equalise (model, table, NULL, frames, 2);
  g_autofree char *first = engine_bias_to_string (bias, ""), *second = NULL;
  const EngineBuildOptions options = {.precision = ENGINE_PRECISION_INT8,
      .table = table,
      .bias = bias};
  g_autoptr (Engine) engine = engine_build (model, &options, NULL, NULL, NULL, NULL, NULL);
  KernelBackend *ref = net_backend ("ref");
  float expected[FRAMES * 4], got[FRAMES * 4];

  second = engine_bias_to_string (again, "");
  CHECK_STR (first, second);
  run_on (engine, ref, 1, 1, expected);
  run_on (engine, cpu, 1, 1, got);
  CHECK (memcmp (expected, got, sizeof got) == 0);
  run_on (engine, cpu, 4, 3, got);
  CHECK (memcmp (expected, got, sizeof got) == 0);
  kernel_close (ref);
}

/* The constants of both, by name. */
static void
check_same_constants (const EngineGraph *a, const EngineGraph *b)
{
  int n = 0;

  for (guint v = 0; v < a->values->len; v++) {
    const EngineValue *x = engine_graph_value (a, v);
    const int at = GPOINTER_TO_INT (g_hash_table_lookup (b->names, x->name)) - 1;

    n += x->data != NULL;
    CHECK (at >= 0 && (!x->data || g_bytes_equal (x->data, engine_graph_value (b, at)->data)));
  }
  CHECK_INT (n, >, 6);
}

/* What is exported, read back and made INT8 by its own scales is the same network: with the factors left out of
 * its weights it would have but a few decibels. */
static void
test_export (void)
{
  const EngineExportOptions how = {.target = ENGINE_EXPORT_ONNXRUNTIME, .batch = 1};
  g_autoptr (EngineModel) model = make_dense_model ();
  g_autoptr (GPtrArray) frames = make_frames ();
  g_autoptr (CalibTable) table = net_table (model, cpu, frames, NULL);
  g_autoptr (EngineBias) bias = equalise (model, table, NULL, frames, 1);
  EngineBuildOptions options = {.precision = ENGINE_PRECISION_INT8, .table = table, .bias = bias};
  g_autoptr (Engine) engine = engine_build (model, &options, NULL, NULL, NULL, NULL, NULL);
  g_autofree char *folder = g_dir_make_tmp ("int8-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "e.onnx", NULL);
  g_autoptr (GError) error = NULL;
  float expected[FRAMES * 4], got[FRAMES * 4];
  double signal = 0, noise = 0;

  CHECK (engine_export_qdq (engine, &how, path, &error));
  g_autoptr (EngineModel) exported = engine_model_load (path, &error);
  options = (EngineBuildOptions){.precision = ENGINE_PRECISION_INT8};
  g_autoptr (Engine) again =
      exported ? engine_build (exported, &options, NULL, NULL, NULL, NULL, &error) : NULL;
  if (!again)
    g_error ("%s", error->message);
  run_on (engine, cpu, 1, 1, expected);
  run_on (again, cpu, 1, 1, got);
  for (int i = 0; i < FRAMES * 4; i++) {
    signal += expected[i] * expected[i];
    noise += (expected[i] - got[i]) * (expected[i] - got[i]);
  }
  printf ("exported: %.1f dB\n", engine_sqnr (signal, noise));
  CHECK (engine_sqnr (signal, noise) > 40);
  g_remove (path);
  g_rmdir (folder);
}

/* With the layer before the pool in floats there are no scales behind it, and no correction that is for
 * weights with factors. */
static void
test_beside_floats (void)
{
  g_autoptr (EngineModel) model = make_dense_model ();
  g_autoptr (GPtrArray) frames = make_frames ();
  g_autoptr (CalibTable) table = net_table (model, cpu, frames, NULL);
  g_autoptr (EngineBias) found = equalise (model, table, NULL, frames, 1);
  g_autoptr (EngineBias) corrected = engine_bias_new ();
  g_autoptr (EngineLayerRules) rules = engine_layer_rules_new ();
  g_autofree char *pattern = engine_layer_pattern (between (model));
  const float shifts[6] = {1, 2, 3, 4, 5, 6};
  EngineBuildOptions options = {.precision = ENGINE_PRECISION_INT8, .table = table, .bias = found};

  engine_layer_rules_add (rules, pattern, ENGINE_PRECISION_FP32);
  engine_bias_copy (corrected, found);
  engine_bias_set (corrected,
      engine_graph_value (model->graph, engine_graph_node (model->graph, 2)->output)->name, shifts,
      6);

  g_autoptr (Engine) all = engine_build (model, &options, NULL, NULL, NULL, NULL, NULL);
  options.rules = rules;
  g_autoptr (Engine) mixed = engine_build (model, &options, NULL, NULL, NULL, NULL, NULL);
  options.bias = corrected;
  g_autoptr (Engine) judged = engine_build (model, &options, NULL, NULL, NULL, NULL, NULL);
  check_same_constants (mixed->graph, judged->graph);
  int n_all = 0, n_mixed = 0;

  for (guint v = 0; v < all->graph->values->len; v++)
    n_all += engine_graph_value (all->graph, v)->factors != NULL;
  for (guint v = 0; v < mixed->graph->values->len; v++)
    n_mixed += engine_graph_value (mixed->graph, v)->factors != NULL;
  CHECK_INT (n_all, ==, 3);
  CHECK_INT (n_mixed, ==, 1);
}

int
main (void)
{
  cpu = net_backend ("cpu");
  RUN (test_which);
  RUN (test_it_helps);
  RUN (test_it_is_judged);
  RUN (test_bytes);
  RUN (test_export);
  RUN (test_beside_floats);
  kernel_close (cpu);
  return check_done ();
}
