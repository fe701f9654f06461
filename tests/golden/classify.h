/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * classify.h: grey images of 28 x 28 through a network: calibration, and top-1 of 10,000 test images
 * in FP32 and INT8.
 */
#pragma once

#include "engine/engine.h"
#include "tests/check.h"
#include "tests/golden/idx.h"

#include <math.h>

#define CLASSIFY_IMAGES 10000

static inline EngineModel *
classify_load (const char *path)
{
  g_autoptr (GError) error = NULL;
  EngineModel *model = engine_model_load (path, &error);

  if (!model)
    g_error ("%s", error->message);
  return model;
}

static inline KernelBackend *
classify_backend (void)
{
  char why[256];
  KernelBackend *backend = kernel_open ("cpu", why, sizeof why);

  if (!backend)
    g_error ("cpu: %s", why);
  return backend;
}

/* 500 images / divisor through the FP32 network in batches of 50. */
static inline CalibStatistics *
classify_calibrate (EngineModel *model, const guint8 *images, float divisor,
    CalibHistogramFlags flags)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CalibStatistics) statistics = calib_statistics_new (NULL, flags);
  KernelBackend *backend = classify_backend ();
  EngineCalibrator *calibrator = engine_calibrator_new (model, backend, 50, 0, statistics, &error);

  if (!calibrator)
    g_error ("%s", error->message);
  for (int i = 0; i < 500; i++) {
    float *input = engine_calibrator_input (calibrator);

    for (int k = 0; k < IDX_PIXELS; k++)
      input[k] = images[i * IDX_PIXELS + k] / divisor;
    if (!engine_calibrator_push (calibrator, &error))
      g_error ("%s", error->message);
  }
  CHECK (engine_calibrator_flush (calibrator, &error));
  CHECK_INT (calib_statistics_provenance (statistics)->frames, ==, 500);
  engine_calibrator_free (calibrator);
  kernel_close (backend);
  return g_steal_pointer (&statistics);
}

/* Image i / 255 as the engine wants it. */
static inline void
classify_fill (const Engine *engine, void *input, const guint8 *pixels)
{
  float scale;
  int zero;
  const EngineType type = engine_input_type (engine, &scale, &zero);

  for (int k = 0; k < IDX_PIXELS; k++) {
    const double x = pixels[k] / 255.0;

    if (type == ENGINE_TYPE_S8)
      ((gint8 *) input)[k] = (gint8) CLAMP (rint (x / scale + zero), -128, 127);
    else
      ((float *) input)[k] = (float) x;
  }
}

/* The classes of CLASSIFY_IMAGES images. */
static inline guint8 *
classify_run (const EngineModel *model, const EngineBuildOptions *options, const guint8 *images)
{
  enum { BATCH = 50 };
  g_autoptr (GError) error = NULL;
  g_autoptr (Engine) engine = engine_build (model, options, NULL, NULL, NULL, NULL, &error);
  KernelBackend *backend = classify_backend ();
  EngineExec *exec = engine ? engine_exec_new (engine, backend, BATCH, 0, &error) : NULL;
  guint8 *classes = g_malloc (CLASSIFY_IMAGES);

  if (!exec)
    g_error ("%s", error->message);
  for (int i = 0; i < CLASSIFY_IMAGES; i += BATCH) {
    for (int k = 0; k < BATCH; k++)
      classify_fill (engine, engine_exec_input (exec, k), images + (gsize) (i + k) * IDX_PIXELS);
    CHECK (engine_exec_run (exec, BATCH, &error));
    for (int k = 0; k < BATCH; k++) {
      const float *out = engine_exec_output (exec, k);
      int best = 0;

      for (int c = 1; c < engine_n_classes (engine); c++)
        best = out[c] > out[best] ? c : best;
      classes[i + k] = (guint8) best;
    }
  }
  engine_exec_free (exec);
  kernel_close (backend);
  return classes;
}

static inline int
classify_equal (const guint8 *a, const guint8 *b)
{
  int n = 0;

  for (int i = 0; i < CLASSIFY_IMAGES; i++)
    n += a[i] == b[i];
  return n;
}

/* Top-1 of FP32 is at least `least` of 10,000; INT8, with every method and both ways to spend the levels,
 * is within 0.3 points of it and says the same in at least 99 % of the images; but for those in `exempt`
 * (bits 1 << method), which are known not to suit the network and only printed. */
static inline void
classify_check (EngineModel *model, const guint8 *calibration, const guint8 *images,
    const guint8 *labels, int least, guint exempt)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CalibStatistics) statistics =
      classify_calibrate (model, calibration, 255, CALIB_HISTOGRAM_DEFAULT);
  g_autofree guint8 *fp32 =
      classify_run (model, &(EngineBuildOptions){.precision = ENGINE_PRECISION_FP32}, images);
  const int right_fp32 = classify_equal (fp32, labels);
  EnginePreprocess preprocess;

  CHECK (engine_preprocess_preset (&preprocess, "unit"));
  CHECK_INT (right_fp32, >=, least);
  printf ("FP32: %d of %d\n", right_fp32, CLASSIFY_IMAGES);
  for (int method = 0; method < CALIB_METHOD_COUNT; method++) {
    if (calib_method_flags (method) & CALIB_HISTOGRAM_TENSORRT)
      continue; /* TensorRT's own histogram was not kept */
    g_autoptr (CalibTable) table =
        engine_calibration_table (model, statistics, method, 99.99, 8601, &error);
    if (!table)
      g_error ("%s", error->message);
    for (int ranges = 0; ranges < 2; ranges++) {
      const EngineBuildOptions options = {.precision = ENGINE_PRECISION_INT8,
          .ranges = (EngineRanges) ranges,
          .table = table,
          .preprocess = &preprocess};
      g_autofree guint8 *int8 = classify_run (model, &options, images);
      const int right = classify_equal (int8, labels), agree = classify_equal (int8, fp32);

      printf ("INT8 %-10s %-9s: %d of %d, the class of FP32 in %d%s\n", calib_method_name (method),
          ranges == ENGINE_RANGES_FULL ? "full" : "symmetric", right, CLASSIFY_IMAGES, agree,
          exempt >> method & 1 ? " (not checked)" : "");
      if (exempt >> method & 1)
        continue;
      CHECK_INT (right_fp32 - right, <=, 30);
      CHECK_INT (agree, >=, 9900);
    }
  }
}
