/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench.c: how fast values are counted and thresholds found. One thread, feature maps of the size
 * of ResNet-50's first (112 x 112 x 64); the best of several runs.
 */
#include "tests/calib/common.h"

#define N    (112 * 112 * 64)
#define RUNS 20

static const char *const shapes[] = {"signed", "half zeros", "all zeros", "a constant"};

static float *
make_shape (guint shape)
{
  Random r = {1};
  float *x = g_new (float, N);
  for (guint i = 0; i < N; i++) {
    const double g = random_normal (&r);
    x[i] = (float) (double[]){g, fmax (0, g), 0, 1.5}[shape];
  }
  return x;
}

static void
bench_add (const float *x, guint channels, CalibHistogramFlags flags)
{
  gint64 best = G_MAXINT64;
  g_autoptr (CalibHistogram) h = calib_histogram_new (channels, flags);
  for (guint run = 0; run < RUNS; run++) {
    const gint64 begin = g_get_monotonic_time ();
    for (guint i = 0; i < 10; i++)
      calib_histogram_add (h, x, N);
    best = MIN (best, g_get_monotonic_time () - begin);
  }
  printf ("  add, %2u channels%s: %.0f million values/s\n", channels,
      flags ? ", TensorRT's too" : "", 10.0 * N / (double) best);
}

static void
bench_threshold (const float *x, CalibMethod method)
{
  const CalibThresholdOptions options = {method, 99.99, CALIB_RANGE_SYMMETRIC};
  CalibThreshold t;
  gint64 best = G_MAXINT64;
  g_autoptr (CalibHistogram) h = calib_histogram_new (0, CALIB_HISTOGRAM_TENSORRT);
  calib_histogram_add (h, x, N);
  for (guint run = 0; run < RUNS; run++) {
    g_autoptr (GError) error = NULL;
    const gint64 begin = g_get_monotonic_time ();
    if (!calib_threshold (h, &options, &t, &error))
      g_error ("%s", error->message);
    best = MIN (best, g_get_monotonic_time () - begin);
  }
  printf ("  %s: %.2f ms (T = %g)\n", calib_method_name (method), (double) best / 1000,
      t.threshold);
}

int
main (void)
{
  for (guint shape = 0; shape < G_N_ELEMENTS (shapes); shape++) {
    g_autofree float *x = make_shape (shape);
    printf ("%s\n", shapes[shape]);
    bench_add (x, 0, 0);
    bench_add (x, 64, 0);
    bench_add (x, 64, CALIB_HISTOGRAM_TENSORRT);
    for (guint m = 0; m < CALIB_METHOD_COUNT; m++)
      bench_threshold (x, m);
  }
  return 0;
}
