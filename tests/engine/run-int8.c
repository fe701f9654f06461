/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * run-int8.c: calibrates a model, and runs it in INT8, on images from standard input: this engine's
 * side of compare-qdq.py and of tests/bench/accuracy.py.
 *
 *   run-int8 calibrate MODEL.onnx TABLE < images                      method mse
 *   run-int8 statistics MODEL.onnx FILE.int8stats < images            as int8calib method=auto
 *   run-int8 run MODEL.onnx TABLE full|symmetric < images > outputs   TABLE "-" is none
 *   run-int8 float MODEL.onnx < images > outputs                      FP32
 *
 * SHAPE in the environment is EngineModelOptions.shape; PREPROCESS says what the floats were made
 * with, by properties as the elements have them, and gives INT8 the input's exact range. float32,
 * images as [h w c], one after the other until the end of the input.
 */
#include <stdio.h>
#include <string.h>

#include "engine/engine.h"
#include "engine/quant.h"

#define BATCH 16

/* FALSE at the end of the input. */
static gboolean
read_image (float *image, gsize elements)
{
  return fread (image, sizeof (float), elements, stdin) == elements;
}

static gsize
image_elements (const EngineInputInfo *info)
{
  return (gsize) info->height * info->width * info->channels;
}

static EngineModelOptions
model_options (void)
{
  return (EngineModelOptions){.shape = g_getenv ("SHAPE")};
}

static EngineModel *
load (const char *path, GError **error)
{
  const EngineModelOptions options = model_options ();

  return engine_model_load_with (path, &options, error);
}

/* --- calibrate ------------------------------------------------------------------------------- */

static gboolean
push_all (EngineCalibrator *calibrator, const EngineModel *model, GError **error)
{
  EngineInputInfo info;

  engine_model_input (model, &info);
  while (read_image (engine_calibrator_input (calibrator), image_elements (&info)))
    if (!engine_calibrator_push (calibrator, error))
      return FALSE;
  return engine_calibrator_flush (calibrator, error);
}

static gboolean
observe (EngineModel *model, CalibStatistics *statistics, GError **error)
{
  KernelBackend *backend = engine_backend_open ("cpu", error);
  g_autoptr (EngineCalibrator) calibrator =
      backend ? engine_calibrator_new (model, backend, 1, 0, statistics, error) : NULL;
  const gboolean ok = calibrator && push_all (calibrator, model, error);

  g_clear_pointer (&calibrator, engine_calibrator_free);
  engine_backend_close (backend);
  return ok;
}

static gboolean
calibrate (const char *path, const char *table_path, GError **error)
{
  g_autoptr (EngineModel) model = load (path, error);
  g_autoptr (CalibStatistics) statistics = calib_statistics_new (NULL, CALIB_HISTOGRAM_DEFAULT);
  g_autoptr (CalibTable) table = NULL;

  if (model && observe (model, statistics, error))
    table = engine_calibration_table (model, statistics, CALIB_METHOD_MSE, 0, 8601, error);
  return table && calib_table_save (table, table_path, error);
}

static gboolean
collect (const char *path, const char *statistics_path, GError **error)
{
  g_autoptr (EngineModel) model = load (path, error);
  g_autoptr (CalibStatistics) statistics = calib_statistics_new (NULL, CALIB_HISTOGRAM_DEFAULT);

  if (model)
    calib_statistics_keep_frames (statistics, engine_calibration_frames (model));
  return model && observe (model, statistics, error) &&
         calib_statistics_save (statistics, statistics_path, error);
}

/* --- run ------------------------------------------------------------------------------------- */

typedef struct {
  Engine *engine;
  EngineExec *exec;
  EngineQuant quant;
  gsize elements;
  float *image;
  EngineType type;
} Runner;

/* Up to a batch of images, quantised; returns how many there were. */
/* As QuantizeLinear: pixels may lie in the middle between two levels. */
static gint8
level_of (const EngineQuant *quant, float x)
{
  return (gint8) CLAMP (rintf (x / quant->scale) + quant->zero, -128.0f, 127.0f);
}

static int
read_batch (const Runner *r)
{
  int n = 0;

  for (; n < BATCH && read_image (r->image, r->elements); n++) {
    void *to = engine_exec_input (r->exec, n);

    if (r->type == ENGINE_TYPE_F32)
      memcpy (to, r->image, r->elements * sizeof (float));
    for (gsize i = 0; r->type == ENGINE_TYPE_S8 && i < r->elements; i++)
      ((gint8 *) to)[i] = level_of (&r->quant, r->image[i]);
  }
  return n;
}

static gboolean
run_all (const Runner *r, GError **error)
{
  const gsize classes = engine_n_classes (r->engine);
  int n;

  while ((n = read_batch (r)) > 0) {
    if (!engine_exec_run (r->exec, n, error))
      return FALSE;
    for (int i = 0; i < n; i++)
      fwrite (engine_exec_output (r->exec, i), sizeof (float), classes, stdout);
  }
  return TRUE;
}

/* PREPROCESS; *given is NULL where it is not set. */
static gboolean
read_preprocess (EnginePreprocess *preprocess, const EnginePreprocess **given, GError **error)
{
  const char *text = g_getenv ("PREPROCESS");

  *given = text ? preprocess : NULL;
  engine_preprocess_preset (preprocess, "raw");
  return !text || engine_preprocess_parse (preprocess, text, error);
}

static Engine *
obtain (const char *model, const char *table, EnginePrecision precision, EngineRanges ranges,
    GError **error)
{
  EnginePreprocess preprocess;
  EngineRequest request = {.model = model,
      .model_options = model_options (),
      .table = table,
      .no_cache = TRUE,
      .force = TRUE,
      .precision = precision,
      .ranges = ranges};

  return read_preprocess (&preprocess, &request.preprocess, error)
             ? engine_obtain (&request, NULL, NULL, NULL, NULL, NULL, error)
             : NULL;
}

static gboolean
run (const char *model, const char *table, EnginePrecision precision, EngineRanges ranges,
    GError **error)
{
  g_autoptr (Engine) engine = obtain (model, table, precision, ranges, error);
  KernelBackend *backend = engine ? engine_backend_open ("cpu", error) : NULL;
  g_autoptr (EngineExec) exec = backend ? engine_exec_new (engine, backend, BATCH, 0, error) : NULL;
  EngineInputInfo info;
  gboolean ok = FALSE;

  if (exec) {
    Runner r = {.engine = engine, .exec = exec};

    engine_input (engine, &info);
    r.type = engine_input_type (engine, &r.quant.scale, &r.quant.zero);
    r.elements = image_elements (&info);
    r.image = g_new (float, r.elements);
    ok = run_all (&r, error);
    g_free (r.image);
  }
  g_clear_pointer (&exec, engine_exec_free);
  engine_backend_close (backend);
  return ok;
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  gboolean ok;

  if (argc == 4 && strcmp (argv[1], "calibrate") == 0) {
    ok = calibrate (argv[2], argv[3], &error);
  } else if (argc == 4 && strcmp (argv[1], "statistics") == 0) {
    ok = collect (argv[2], argv[3], &error);
  } else if (argc == 5 && strcmp (argv[1], "run") == 0 &&
             (strcmp (argv[4], "full") == 0 || strcmp (argv[4], "symmetric") == 0)) {
    ok = run (argv[2], strcmp (argv[3], "-") == 0 ? NULL : argv[3], ENGINE_PRECISION_INT8,
        strcmp (argv[4], "full") == 0 ? ENGINE_RANGES_FULL : ENGINE_RANGES_SYMMETRIC, &error);
  } else if (argc == 3 && strcmp (argv[1], "float") == 0) {
    ok = run (argv[2], NULL, ENGINE_PRECISION_FP32, ENGINE_RANGES_FULL, &error);
  } else {
    fprintf (stderr, "usage: run-int8 calibrate MODEL TABLE < images\n"
                     "       run-int8 statistics MODEL FILE < images\n"
                     "       run-int8 run MODEL TABLE|- full|symmetric < images > outputs\n"
                     "       run-int8 float MODEL < images > outputs\n");
    return 2;
  }
  if (error)
    fprintf (stderr, "%s\n", error->message);
  return ok ? 0 : 1;
}
