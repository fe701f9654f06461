/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * worker.c: this engine as a contender of run.py.
 *
 *   worker calibrate MODEL.onnx IMAGES N TABLE    a table from N images (float32, NHWC, no header)
 *   worker serve MODEL.onnx TABLE|- THREADS BATCH IMAGES   INT8 with a table, FP32 with "-"
 *   worker peak THREADS                           a register-only loop (tools/peak.h)
 *
 * serve and peak print "ready ..." and then answer every line "N" on standard input with the seconds
 * that N runs took. A timed run begins with float images, as the other contenders' do: they are
 * quantised, or copied, inside it.
 */
#include "engine/engine.h"
#include "tools/peak.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double
now (void)
{
  return 1e-6 * g_get_monotonic_time ();
}

static KernelBackend *
open_cpu (GError **error)
{
  char why[256];
  KernelBackend *backend = kernel_open ("cpu", why, sizeof why);

  if (!backend)
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_BACKEND, "back end cpu: %s", why);
  return backend;
}

/* The first n images of a file, in memory. */
static float *
load_images (const char *path, gsize n, gsize elements, GError **error)
{
  char *bytes = NULL;
  gsize size;

  if (!g_file_get_contents (path, &bytes, &size, error))
    return NULL;
  if (size >= n * elements * sizeof (float))
    return (float *) bytes;
  g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
      "%s: %" G_GSIZE_FORMAT " bytes, but %" G_GSIZE_FORMAT " images of %" G_GSIZE_FORMAT
      " floats are needed",
      path, size, n, elements);
  g_free (bytes);
  return NULL;
}

static gsize
image_elements (const EngineInputInfo *info)
{
  return (gsize) info->height * info->width * info->channels;
}

/* --- calibrate ------------------------------------------------------------------------------- */

static gboolean
calibrate_on (EngineModel *model, KernelBackend *backend, const char *images_path, int n,
    const char *table_path, GError **error)
{
  EngineInputInfo info;
  engine_model_input (model, &info);
  const gsize elements = image_elements (&info);
  g_autofree float *images = load_images (images_path, n, elements, error);
  if (!images)
    return FALSE;
  g_autoptr (CalibStatistics) statistics = calib_statistics_new (NULL, CALIB_HISTOGRAM_DEFAULT);
  g_autoptr (EngineCalibrator) calibrator =
      engine_calibrator_new (model, backend, 1, 0, statistics, error);
  if (!calibrator)
    return FALSE;
  for (int i = 0; i < n; i++) {
    memcpy (engine_calibrator_input (calibrator), images + i * elements, elements * sizeof (float));
    if (!engine_calibrator_push (calibrator, error))
      return FALSE;
  }
  if (!engine_calibrator_flush (calibrator, error))
    return FALSE;
  g_autoptr (CalibTable) table =
      engine_calibration_table (model, statistics, CALIB_METHOD_MSE, 0, 8601, error);
  return table && calib_table_save (table, table_path, error);
}

static gboolean
calibrate (char **argv, GError **error)
{
  g_autoptr (EngineModel) model = engine_model_load (argv[0], error);
  KernelBackend *backend = model ? open_cpu (error) : NULL;
  const gboolean ok =
      backend && calibrate_on (model, backend, argv[1], atoi (argv[2]), argv[3], error);

  kernel_close (backend);
  return ok;
}

/* --- serve ----------------------------------------------------------------------------------- */

/* The seconds of n runs; below 0 where a run failed. */
typedef double (*RunFn) (gpointer data, long n, GError **error);

static gboolean
answer (RunFn run, gpointer data, GError **error)
{
  char line[64];

  while (fgets (line, sizeof line, stdin)) {
    const long n = strtol (line, NULL, 10);
    if (n < 1) {
      g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "'%s' is no number of runs",
          g_strchomp (line));
      return FALSE;
    }
    const double seconds = run (data, n, error);
    if (seconds < 0)
      return FALSE;
    printf ("%.9f\n", seconds);
    fflush (stdout);
  }
  return TRUE;
}

typedef struct {
  const Engine *engine;
  EngineExec *exec;
  KernelBackend *backend;
  const float *images;
  gsize elements;
  int batch;
} Server;

/* Images into the input tensor: quantised, or as they are. */
static void
write_inputs (const Server *server)
{
  float scale;
  int zero;
  const EngineType type = engine_input_type (server->engine, &scale, &zero);

  for (int i = 0; i < server->batch; i++) {
    const KernelConvert args = {.size = server->elements,
        .x = server->images + i * server->elements,
        .y = engine_exec_input (server->exec, i),
        .m = 1 / scale,
        .zero = zero};
    if (type == ENGINE_TYPE_F32)
      memcpy (args.y, args.x, args.size * sizeof (float));
    else
      server->backend->ops->quantise_s8 (&args, engine_exec_queue (server->exec));
  }
}

static double
run_engine (gpointer data, long n, GError **error)
{
  const Server *server = data;
  const double start = now ();

  for (long i = 0; i < n; i++) {
    write_inputs (server);
    if (!engine_exec_run (server->exec, server->batch, error))
      return -1;
  }
  return now () - start;
}

static Engine *
build (const char *model_path, const char *table_path, GError **error)
{
  const gboolean fp32 = g_str_equal (table_path, "-");
  g_autoptr (EngineModel) model = engine_model_load (model_path, error);
  g_autoptr (CalibTable) table = model && !fp32 ? calib_table_load (table_path, error) : NULL;
  const EngineBuildOptions options = {.precision =
                                          fp32 ? ENGINE_PRECISION_FP32 : ENGINE_PRECISION_INT8,
      .ranges = ENGINE_RANGES_FULL,
      .table = table};

  return model && (fp32 || table) ? engine_build (model, &options, NULL, NULL, NULL, NULL, error)
                                  : NULL;
}

static gboolean
serve_on (KernelBackend *backend, char **argv, GError **error)
{
  g_autoptr (Engine) engine = build (argv[0], argv[1], error);
  if (!engine)
    return FALSE;
  EngineInputInfo info;
  engine_input (engine, &info);
  Server server = {.engine = engine,
      .backend = backend,
      .elements = image_elements (&info),
      .batch = atoi (argv[3])};
  g_autoptr (EngineExec) exec =
      engine_exec_new (engine, backend, server.batch, atoi (argv[2]), error);
  g_autofree float *images =
      exec ? load_images (argv[4], server.batch, server.elements, error) : NULL;
  if (!images)
    return FALSE;
  server.exec = exec;
  server.images = images;
  write_inputs (&server);
  printf ("ready gst-int8 %s (%s)\n", INT8_VERSION, backend->description);
  fflush (stdout);
  return answer (run_engine, &server, error);
}

static gboolean
serve (char **argv, GError **error)
{
  if (atoi (argv[2]) < 1 || atoi (argv[3]) < 1) {
    g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "THREADS and BATCH must be above 0");
    return FALSE;
  }
  KernelBackend *backend = open_cpu (error);
  const gboolean ok = backend && serve_on (backend, argv, error);

  kernel_close (backend);
  return ok;
}

/* --- peak ------------------------------------------------------------------------------------ */

static double
run_peak (gpointer data, long n, GError **error)
{
  const int threads = *(int *) data;
  const double seconds = peak_seconds (PEAK_INT8, threads, n);

  if (seconds < 0)
    g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_AGAIN, "not all of %d threads could be started",
        threads);
  return seconds;
}

static gboolean
peak (char **argv, GError **error)
{
  int threads = atoi (argv[0]);

  if (threads < 1 || !peak_instruction (PEAK_INT8)) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_BACKEND,
        "THREADS must be above 0, and the CPU one whose peak is known: with vpdpbusd");
    return FALSE;
  }
  printf ("ready %.0f operations a run of %s\n", peak_operations (PEAK_INT8) * threads,
      peak_instruction (PEAK_INT8));
  fflush (stdout);
  return answer (run_peak, &threads, error);
}

int
main (int argc, char **argv)
{
  static const struct {
    const char *name;
    int n_arguments;
    gboolean (*run) (char **argv, GError **error);
  } commands[] = {{"calibrate", 4, calibrate}, {"serve", 5, serve}, {"peak", 1, peak}};
  g_autoptr (GError) error = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (commands); i++)
    if (argc == commands[i].n_arguments + 2 && g_str_equal (argv[1], commands[i].name)) {
      if (commands[i].run (argv + 2, &error))
        return 0;
      fprintf (stderr, "%s: %s\n", argv[0], error->message);
      return 1;
    }
  fprintf (stderr,
      "usage: %s calibrate MODEL IMAGES N TABLE\n       %s serve MODEL TABLE|- THREADS BATCH IMAGES\n"
      "       %s peak THREADS\n",
      argv[0], argv[0], argv[0]);
  return 2;
}
