/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * alone.c: whole networks with one layer after the other in int8 and all others in floats, as layer
 * comparison and automatic mixed precision build them: every such engine can be built, has that one
 * int8 layer, and building it copies no weights. The project's own models and those of the test data;
 * models given as arguments instead.
 */
#include "engine/build.h"
#include "engine/layer-rules.h"
#include "engine/model.h"
#include "tests/calib/common.h"
#include "tests/engine/net.h"

static KernelBackend *ref, *cpu;

/* A range for every tensor: what it is does not matter here. */
static CalibTable *
some_table (EngineModel *model)
{
  g_autoptr (GPtrArray) names = engine_model_tensors (model);
  CalibTable *table = calib_table_new ("TRT-8601-MinMaxCalibration");

  for (guint i = 0; i < names->len; i++)
    calib_table_set (table, names->pdata[i], 4.0f / 127);
  return table;
}

static Engine *
build_alone (EngineModel *model, const CalibTable *table, const EngineLayer *layer)
{
  g_autoptr (EngineLayerRules) rules = engine_layer_rules_parse ("*:fp32", NULL);
  g_autofree char *pattern = engine_layer_pattern (layer->tensor);
  const EngineBuildOptions options = {.precision = ENGINE_PRECISION_MIXED,
      .table = table,
      .rules = rules,
      .strict = TRUE};
  g_autoptr (GError) error = NULL;

  engine_layer_rules_add (rules, pattern, ENGINE_PRECISION_INT8);
  Engine *engine = engine_build (model, &options, NULL, NULL, NULL, NULL, &error);
  if (!engine)
    CHECK_FAIL ("%s: %s", layer->name, error->message);
  return engine;
}

static void
check_one_int8 (const Engine *engine, const EngineLayer *layer)
{
  g_autoptr (GArray) layers = engine_layers (engine);
  int found = 0;

  for (guint i = 0; i < layers->len; i++) {
    const EngineLayer *other = &g_array_index (layers, EngineLayer, i);

    if (other->precision != ENGINE_PRECISION_INT8)
      continue;
    found++;
    CHECK_STR (other->name, layer->name);
  }
  CHECK_INT (found, ==, 1);
}

/* Bytes of constants that the engine does not share with the model. */
static gsize
own_bytes (const Engine *engine, const EngineModel *model)
{
  g_autoptr (GHashTable) shared = g_hash_table_new (NULL, NULL);
  gsize bytes = 0;

  for (guint v = 0; v < model->graph->values->len; v++)
    g_hash_table_add (shared, engine_graph_value (model->graph, v)->data);
  for (guint v = 0; v < engine->graph->values->len; v++) {
    GBytes *data = engine_graph_value (engine->graph, v)->data;

    if (data && !g_hash_table_contains (shared, data))
      bytes += g_bytes_get_size (data);
  }
  return bytes;
}

static float *
run (Engine *engine, KernelBackend *backend)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineExec) exec = engine_exec_new (engine, backend, 1, 0, &error);
  const gsize n = engine_n_classes (engine);

  if (!exec)
    g_error ("%s", error->message);
  net_fill_input (engine, exec, 0, 1, 0);
  if (!engine_exec_run (exec, 1, &error))
    g_error ("%s", error->message);
  return g_memdup2 (engine_exec_output (exec, 0), n * sizeof (float));
}

/* Of every `compared`th layer the outputs are compared with those of ref, which is slow. */
static void
check_network (const char *path, guint compared)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineModel) model = engine_model_load (path, &error);

  if (!model)
    g_error ("%s", error->message);
  g_autoptr (CalibTable) table = some_table (model);
  g_autoptr (GArray) layers = engine_model_layers (model);
  gint64 time = 0;
  gsize most = 0;
  int built = 0;

  for (guint i = 0; i < layers->len && !check_failures_in_test; i++) {
    const EngineLayer *layer = &g_array_index (layers, EngineLayer, i);
    const gint64 start = g_get_monotonic_time ();

    if (layer->precision != ENGINE_PRECISION_INT8)
      continue;
    g_autoptr (Engine) engine = build_alone (model, table, layer);
    time += g_get_monotonic_time () - start;
    if (!engine)
      return;
    built++;
    most = MAX (most, own_bytes (engine, model));
    check_one_int8 (engine, layer);
    if (compared == 0 || i % compared != 0)
      continue;
    g_autofree float *expected = run (engine, ref), *out = run (engine, cpu);
    if (memcmp (out, expected, engine_n_classes (engine) * sizeof (float)) != 0)
      CHECK_FAIL ("%s alone: cpu differs from ref", layer->name);
  }
  g_autofree char *name = g_path_get_basename (path);
  printf (
      "%-36s %3d engines of one int8 layer each, %6.2f ms and at most %7.1f KiB of own constants\n",
      name, built, time / 1e3 / MAX (built, 1), most / 1024.0);
  CHECK_INT (built, >, 0);
}

static void
test_own_networks (void)
{
  const char *const names[] = {"fashion-lenet.onnx", "fashion-resnet.onnx"};
  const char *source = g_getenv ("INT8_SOURCE_DIR");

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *path = g_build_filename (source ? source : ".", "data", names[i], NULL);

    check_network (path, 1);
  }
}

static void
test_other_networks (void)
{
  const char *const names[] = {"mnist/mnist_lenet.onnx", "models/resnet20_cifar10.onnx",
      "models/squeezenet1.0_fp32.onnx", "models/shufflenetv2_fp32_op12.onnx",
      "models/mobilenetv2_fp32_op12.onnx"};

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *path = test_data (names[i]);

    if (!path)
      SKIP ("%s is not in INT8_TEST_DATA", names[i]);
    check_network (path, i < 2 ? 3 : 0);
  }
}

int
main (int argc, char **argv)
{
  ref = net_backend ("ref");
  cpu = net_backend ("cpu");
  for (int i = 1; i < argc; i++)
    check_network (argv[i], 0);
  if (argc == 1) {
    RUN (test_own_networks);
    RUN (test_other_networks);
  }
  kernel_close (cpu);
  kernel_close (ref);
  return argc == 1 ? check_done () : check_failures_in_test != 0;
}
