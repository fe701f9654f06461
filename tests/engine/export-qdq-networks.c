/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * export-qdq-networks.c: random networks, and those of tests/engine/models, are exported, read back without their pairs, and run: what
 * is left of the file is the float network with the levels of the weights. Axes, transposes, windows
 * and biases are right where it gives what the network gives; rounded weights are all that differs.
 */
#include <glib/gstdio.h>

#include "engine/model.h"
#include "tests/engine/export-qdq.h"

#define NETWORKS  300
#define LEAST_SNR 100 /* of energies, 20 dB: an axis out of place gives about 1 */

/* --- Without pairs -------------------------------------------------------------------------- */

static void
set_text (char **text, const char *to)
{
  char *copy = g_strdup (to);

  g_free (*text);
  *text = copy;
}

static EngineOnnx__TensorProto *
find_tensor (const OnnxModel *model, const char *name)
{
  return (EngineOnnx__TensorProto *) onnx_tensor (model, name);
}

/* The tensor becomes floats, with the name of what its DequantizeLinear gave. */
static void
dequantise_tensor (const OnnxModel *model, EngineOnnx__TensorProto *tensor,
    const EngineOnnx__NodeProto *node)
{
  const float *scale = (const float *) find_tensor (model, node->input[1])->raw_data.data;
  const gboolean int8 = tensor->data_type == ENGINE_ONNX_INT8;
  const gsize n = tensor->raw_data.len / (int8 ? 1 : 4), of_filter = n / tensor->dims[0];
  float *floats = g_new (float, n);

  for (gsize i = 0; i < n; i++)
    floats[i] = scale[i / of_filter] * (int8 ? ((const gint8 *) tensor->raw_data.data)[i]
                                             : ((const gint32 *) tensor->raw_data.data)[i]);
  g_free (tensor->raw_data.data);
  tensor->raw_data.data = (guint8 *) floats;
  tensor->raw_data.len = n * sizeof (float);
  tensor->data_type = ENGINE_ONNX_FLOAT;
  set_text (&tensor->name, node->output[0]);
}

/* Whether the node is to go: what reads its output reads `alias` of it then. */
static gboolean
take_out (const OnnxModel *model, const EngineOnnx__NodeProto *node, GHashTable *alias)
{
  const gboolean quantise = g_str_equal (node->op_type, "QuantizeLinear");
  EngineOnnx__TensorProto *tensor;

  if (!quantise && !g_str_equal (node->op_type, "DequantizeLinear"))
    return FALSE;
  tensor = quantise ? NULL : find_tensor (model, node->input[0]);
  if (tensor)
    dequantise_tensor (model, tensor, node);
  else
    g_hash_table_insert (alias, g_strdup (node->output[0]), g_strdup (node->input[0]));
  return TRUE;
}

static void
resolve (char **name, GHashTable *alias)
{
  const char *to = g_hash_table_lookup (alias, *name);

  if (to)
    set_text (name, to);
}

static void
strip (OnnxModel *model)
{
  g_autoptr (GHashTable) alias = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  EngineOnnx__GraphProto *graph = model->graph;
  gsize kept = 0;

  for (gsize i = 0; i < graph->n_node; i++) {
    EngineOnnx__NodeProto *node = graph->node[i];

    for (gsize k = 0; k < node->n_input; k++)
      resolve (&node->input[k], alias);
    if (take_out (model, node, alias))
      engine_onnx__node_proto__free_unpacked (node, NULL);
    else
      graph->node[kept++] = node;
  }
  graph->n_node = kept;
  for (gsize i = 0; i < graph->n_output; i++)
    resolve (&graph->output[i]->name, alias);
}

/* The stripped file as an engine. */
static Engine *
read_back (OnnxModel *model, const char *path, GError **error)
{
  const EngineBuildOptions options = {.precision = ENGINE_PRECISION_FP32};
  const gsize size = engine_onnx__model_proto__get_packed_size (model);
  g_autofree guint8 *bytes = g_malloc (size);
  g_autoptr (EngineModel) loaded = NULL;

  engine_onnx__model_proto__pack (model, bytes);
  if (!g_file_set_contents (path, (const char *) bytes, size, error))
    return NULL;
  loaded = engine_model_load (path, error);
  return loaded ? engine_build (loaded, &options, NULL, NULL, NULL, NULL, error) : NULL;
}

/* --- Comparing ------------------------------------------------------------------------------ */

static float *
outputs_of (Engine *engine, KernelBackend *backend, guint32 seed, GError **error)
{
  g_autoptr (EngineExec) exec = engine_exec_new (engine, backend, 2, 1, error);
  const int n = engine_n_classes (engine);
  float *outputs = NULL;

  if (!exec)
    return NULL;
  for (int i = 0; i < 2; i++)
    net_fill_input (engine, exec, i, seed, i);
  if (engine_exec_run (exec, 2, error)) {
    outputs = g_new (float, 2 * n);
    for (int i = 0; i < 2; i++)
      memcpy (outputs + i * n, engine_exec_output (exec, i), n * sizeof (float));
  }
  return outputs;
}

/* FALSE where the outputs are too far apart. */
static gboolean
close_enough (const float *a, const float *b, int n)
{
  double signal = 0, noise = 0;

  for (int i = 0; i < n; i++) {
    signal += (double) b[i] * b[i];
    noise += ((double) a[i] - b[i]) * ((double) a[i] - b[i]);
  }
  return signal >= LEAST_SNR * noise;
}

/* The float graph as an INT8 engine, exported and read back, against itself. */
static void
check_graph (const EngineGraph *graph, const char *name, guint32 seed,
    const EngineExportOptions *options, const char *path, KernelBackend *backend)
{
  const EngineRanges ranges =
      options->target == ENGINE_EXPORT_TENSORRT ? ENGINE_RANGES_SYMMETRIC : ENGINE_RANGES_FULL;
  const char *target = engine_export_target_name (options->target);
  g_autoptr (Engine) int8 = net_engine_int8 (graph, ranges, seed);
  g_autoptr (Engine) fp32 = net_engine (engine_graph_copy (graph));
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = engine_export_qdq_bytes (int8, options, &error);
  g_autoptr (Engine) again = NULL;
  g_autofree float *expected = NULL, *got = NULL;

  /* attention: matmul, layernorm, and constants of an image's size */
  if (!bytes && g_error_matches (error, ENGINE_ERROR, ENGINE_ERROR_UNSUPPORTED) &&
      strstr (error->message, "has no counterpart in a Q/DQ export")) {
    printf ("SKIP %s, for %s: %s\n", name, target, error->message);
    return;
  }
  if (bytes) {
    g_autoptr (OnnxModel) model = onnx_unpack (bytes);

    strip (model);
    again = read_back (model, path, &error);
  }
  expected = outputs_of (fp32, backend, seed, NULL);
  got = again ? outputs_of (again, backend, seed, &error) : NULL;
  if (!got)
    CHECK_FAIL ("%s, for %s: %s", name, target, error->message);
  else if (engine_n_classes (again) != engine_n_classes (fp32) ||
           !close_enough (got, expected, 2 * engine_n_classes (fp32)))
    CHECK_FAIL ("%s, for %s: the outputs differ", name, target);
}

static void
check_network (guint32 seed, const EngineExportOptions *options, const char *path,
    KernelBackend *backend)
{
  g_autoptr (EngineGraph) graph = net_random (seed);
  g_autofree char *name = g_strdup_printf ("network %u", seed);

  check_graph (graph, name, seed, options, path, backend);
}

/* Returns how many there were. */
static int
check_models (const EngineExportOptions *options, const char *path, KernelBackend *backend)
{
  const char *source = g_getenv ("INT8_SOURCE_DIR");
  g_autofree char *folder = g_build_filename (source ? source : ".", "tests/engine/models", NULL);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;
  int n = 0;

  while (dir && (name = g_dir_read_name (dir))) {
    g_autofree char *file = g_build_filename (folder, name, NULL);
    g_autoptr (EngineModel) model =
        g_str_has_suffix (name, ".onnx") ? engine_model_load (file, NULL) : NULL;

    if (!model || engine_model_is_quantised (model)) /* those are explicit.c's */
      continue;
    check_graph (model->graph, name, 1, options, path, backend);
    n++;
  }
  return n;
}

static gboolean
has_image (guint32 seed)
{
  g_autoptr (EngineGraph) graph = net_random (seed);

  return engine_graph_value (graph, 0)->dims[3] != 2; /* no file has such pictures */
}

static void
check_networks (const EngineExportOptions *options)
{
  g_autofree char *folder = g_dir_make_tmp ("int8-export-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "a.onnx", NULL);
  KernelBackend *backend = net_backend ("cpu");
  int compared = 0;

  for (guint32 seed = 1; seed <= NETWORKS; seed++)
    if (has_image (seed)) {
      check_network (seed, options, path, backend);
      compared++;
    }
  CHECK_INT (compared, >, NETWORKS / 2);
  CHECK_INT (check_models (options, path, backend), >, 50);
  kernel_close (backend);
  CHECK (g_remove (path) == 0 && g_rmdir (folder) == 0);
}

static void
test_tensorrt (void)
{
  check_networks (&(EngineExportOptions){.target = ENGINE_EXPORT_TENSORRT});
}

static void
test_onnxruntime (void)
{
  check_networks (&(EngineExportOptions){.target = ENGINE_EXPORT_ONNXRUNTIME});
}

static void
test_openvino (void)
{
  check_networks (&(EngineExportOptions){.target = ENGINE_EXPORT_OPENVINO, .batch = 1});
}

int
main (void)
{
  RUN (test_tensorrt);
  RUN (test_onnxruntime);
  RUN (test_openvino);
  return check_done ();
}
