/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * import-qdq.c: INT8 engines of random networks and of those of tests/engine/models, exported with Q/DQ
 * and read again, without a table. Scales, levels of weights and what is int8 must come back; the
 * factors of a layer come out of a float more on their way, so that a sum that lies between two levels
 * may fall to the other side.
 */
#include <glib/gstdio.h>

#include "engine/model.h"
#include "tests/engine/export-qdq.h"

#define NETWORKS 300
#define IMAGES   2
/* Outputs that differ from those before, of all: what the factors' last bits do to sums. */
#define MOST_DIFFERENT 0.002
/* ONNX Runtime's biases are integers, which move sums a little further. Of energies, 20 dB. */
#define LEAST_SNR 100

typedef struct {
  const EngineExportOptions *options;
  KernelBackend *backend;
  char *path;
  gint64 outputs, different; /* of all networks */
  double signal, noise;
  int networks;
} Trip;

static float *
outputs_of (Engine *engine, KernelBackend *backend, guint32 seed)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineExec) exec = engine_exec_new (engine, backend, IMAGES, 1, &error);
  const int n = engine_n_classes (engine);
  float *outputs = g_new (float, IMAGES *n);

  if (!exec)
    g_error ("%s", error->message);
  for (int i = 0; i < IMAGES; i++)
    net_fill_input (engine, exec, i, seed, i);
  if (!engine_exec_run (exec, IMAGES, &error))
    g_error ("%s", error->message);
  for (int i = 0; i < IMAGES; i++)
    memcpy (outputs + i * n, engine_exec_output (exec, i), n * sizeof (float));
  return outputs;
}

/* The file as an INT8 engine, without a table. */
static Engine *
read_again (const char *path, GBytes *bytes, GError **error)
{
  const EngineBuildOptions options = {.precision = ENGINE_PRECISION_INT8, .strict = TRUE};
  g_autoptr (EngineModel) model = NULL;

  g_unlink (path);
  if (!g_file_set_contents (path, g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), error))
    return NULL;
  model = engine_model_load (path, error);
  if (!model)
    return NULL;
  return engine_build (model, &options, NULL, NULL, NULL, NULL, error);
}

/* What is int8, and what is not. */
static void
count_layers (const Engine *engine, int count[2])
{
  g_autoptr (GArray) layers = engine_layers (engine);

  count[0] = count[1] = 0;
  for (guint i = 0; i < layers->len; i++)
    count[g_array_index (layers, EngineLayer, i).precision != ENGINE_PRECISION_INT8]++;
}

static void
compare (Trip *trip, Engine *first, Engine *again, const char *name, guint32 seed)
{
  const int n = IMAGES * engine_n_classes (first);
  g_autofree float *expected = outputs_of (first, trip->backend, seed);
  g_autofree float *got = outputs_of (again, trip->backend, seed);
  float scales[2];
  int zeros[2], layers[2][2], different = 0;

  CHECK_INT (engine_input_type (again, &scales[1], &zeros[1]), ==,
      engine_input_type (first, &scales[0], &zeros[0]));
  if (scales[0] != scales[1] || zeros[0] != zeros[1])
    CHECK_FAIL ("%s: the input has scale %g, zero %d; before %g, %d", name, scales[1], zeros[1],
        scales[0], zeros[0]);
  count_layers (first, layers[0]);
  count_layers (again, layers[1]);
  /* Where a clamp ends between two levels, ONNX Runtime's rules split it off; that is a layer more. */
  if ((trip->options->target != ENGINE_EXPORT_ONNXRUNTIME && layers[0][0] != layers[1][0]) ||
      layers[0][1] != layers[1][1])
    CHECK_FAIL ("%s, for %s: %d layers int8 and %d float; before %d and %d", name,
        engine_export_target_name (trip->options->target), layers[1][0], layers[1][1], layers[0][0],
        layers[0][1]);
  for (int i = 0; i < n; i++)
    different += fabsf (got[i] - expected[i]) > 1e-5f * fabsf (expected[i]);
  for (int i = 0; i < n; i++) {
    trip->signal += (double) expected[i] * expected[i];
    trip->noise += ((double) got[i] - expected[i]) * ((double) got[i] - expected[i]);
  }
  trip->outputs += n;
  trip->different += different;
  trip->networks++;
}

static void
check_graph (Trip *trip, const EngineGraph *graph, const char *name, guint32 seed)
{
  const EngineRanges ranges = trip->options->target == ENGINE_EXPORT_TENSORRT
                                  ? ENGINE_RANGES_SYMMETRIC
                                  : ENGINE_RANGES_FULL;
  g_autoptr (Engine) first = net_engine_int8 (graph, ranges, seed), again = NULL;
  g_autoptr (GError) error = NULL;
  int layers[2];

  count_layers (first, layers);
  if (layers[0] == 0)
    return;

  g_autoptr (GBytes) bytes = engine_export_qdq_bytes (first, trip->options, &error);

  if (bytes)
    again = read_again (trip->path, bytes, &error);
  if (again)
    compare (trip, first, again, name, seed);
  else if (!strstr (error->message, "has no counterpart in a Q/DQ export"))
    CHECK_FAIL ("%s, for %s: %s", name, engine_export_target_name (trip->options->target),
        error->message);
}

static void
check_models (Trip *trip)
{
  const char *source = g_getenv ("INT8_SOURCE_DIR");
  g_autofree char *folder = g_build_filename (source ? source : ".", "tests/engine/models", NULL);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir))) {
    g_autofree char *file = g_build_filename (folder, name, NULL);
    g_autoptr (EngineModel) model =
        g_str_has_suffix (name, ".onnx") ? engine_model_load (file, NULL) : NULL;

    if (model && !engine_model_is_quantised (model))
      check_graph (trip, model->graph, name, 1);
  }
}

static void
check_all (const EngineExportOptions *options)
{
  g_autofree char *folder = g_dir_make_tmp ("int8-import-XXXXXX", NULL);
  Trip trip = {.options = options,
      .backend = net_backend ("cpu"),
      .path = g_build_filename (folder, "a.onnx", NULL)};

  for (guint32 seed = 1; seed <= NETWORKS; seed++) {
    g_autoptr (EngineGraph) graph = net_random (seed);
    g_autofree char *name = g_strdup_printf ("network %u", seed);

    if (engine_graph_value (graph, 0)->dims[3] != 2) /* no file has such pictures */
      check_graph (&trip, graph, name, seed);
  }
  check_models (&trip);
  printf ("# %s: %d networks; %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " outputs differ\n",
      engine_export_target_name (options->target), trip.networks, trip.different, trip.outputs);
  CHECK_INT (trip.networks, >, NETWORKS / 2);
  if (options->target != ENGINE_EXPORT_ONNXRUNTIME)
    CHECK (trip.different <= MOST_DIFFERENT * trip.outputs);
  CHECK (trip.signal >= LEAST_SNR * trip.noise);
  kernel_close (trip.backend);
  CHECK (g_remove (trip.path) == 0 && g_rmdir (folder) == 0);
  g_free (trip.path);
}

static void
test_tensorrt (void)
{
  check_all (&(EngineExportOptions){.target = ENGINE_EXPORT_TENSORRT});
}

static void
test_onnxruntime (void)
{
  check_all (&(EngineExportOptions){.target = ENGINE_EXPORT_ONNXRUNTIME});
}

static void
test_openvino (void)
{
  check_all (&(EngineExportOptions){.target = ENGINE_EXPORT_OPENVINO, .batch = 1});
}

int
main (void)
{
  RUN (test_tensorrt);
  RUN (test_onnxruntime);
  RUN (test_openvino);
  return check_done ();
}
