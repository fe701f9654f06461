/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* threshold.c: the other methods against their definitions, and what no method can do. */
#include "tests/calib/shapes.h"

/* --- Percentile ----------------------------------------------------------------------------- */

static int
compare_floats (const void *a, const void *b)
{
  const float x = *(const float *) a, y = *(const float *) b;
  return (x > y) - (x < y);
}

static void
test_percentile (void)
{
  g_autofree float *x = g_new (float, 20000);
  for (guint shape = 0; shape < N_SHAPES; shape++) {
    g_autoptr (CalibHistogram) h = make_shape (shape, 0, 20000, x);
    for (guint i = 0; i < 20000; i++)
      x[i] = fabsf (x[i]);
    qsort (x, 20000, sizeof *x, compare_floats);
    for (guint k = 0; k < 6; k++) {
      g_autoptr (GError) error = NULL;
      const double percentile = (double[]){0.001, 50, 99, 99.9, 99.99, 100}[k];
      const CalibThresholdOptions options = {CALIB_METHOD_PERCENTILE, percentile, 0};
      CalibThreshold t;
      CHECK_OK (calib_threshold (h, &options, &t, &error), error);
      /* the order statistic, where it is a zero the smallest value above */
      guint rank = (guint) ceil (percentile / 100 * 20000 - 1e-9) - 1;
      while (x[rank] == 0)
        rank++;
      const float width = ldexpf (1, h->exponent);
      CHECK (t.threshold >= x[rank] && t.threshold <= x[rank] + width);
      CHECK (t.threshold <= x[19999]);
    }
  }
}

/* 99.9 * 41000 / 100 is 40959.00000000001 in double: 40959 values are enough all the same. */
static void
test_percentile_is_decimal (void)
{
  g_autoptr (GError) error = NULL;
  const CalibThresholdOptions options = {CALIB_METHOD_PERCENTILE, 99.9, 0};
  CalibThreshold t;
  g_autoptr (CalibHistogram) h = calib_histogram_new (0, 0);
  for (guint i = 0; i < 41000; i++)
    calib_histogram_add (h, &(float){i < 40959 ? 1 : 2}, 1);
  CHECK_OK (calib_threshold (h, &options, &t, &error), error);
  CHECK (t.threshold > 1 && t.threshold < 1.001f);
}

/* --- TensorRT's own ------------------------------------------------------------------------- */

/* The definition: the fewest bins of 2048 over [0, R] that hold the quantile of all values. */
static void
test_legacy (void)
{
  static const double quantiles[] = {0, 0.5, 0.9, 0.999, 1, 0.999999};
  Random r = {11};
  g_autofree float *x = g_new (float, 20000);
  g_autoptr (CalibHistogram) h = calib_histogram_new (0, CALIB_HISTOGRAM_TENSORRT);
  float range = 0;

  for (guint i = 0; i < 20000; i++) {
    x[i] = i % 4 ? (float) random_normal (&r) : 0;
    range = fmaxf (range, fabsf (x[i]));
  }
  calib_histogram_add (h, x, 20000);
  for (guint q = 0; q < G_N_ELEMENTS (quantiles); q++) {
    const CalibThresholdOptions options = {.method = CALIB_METHOD_LEGACY, .quantile = quantiles[q]};
    const double wanted = (q == 0 ? 0.999999 : quantiles[q]) * 20000;
    g_autoptr (GError) error = NULL;
    CalibThreshold t;
    guint k = 1;
    for (; k < 2048; k++) {
      guint below = 0;
      for (guint i = 0; i < 20000; i++)
        below += fabsf (x[i]) * (2048 / range) < k;
      if (below >= wanted)
        break;
    }
    CHECK_OK (calib_threshold (h, &options, &t, &error), error);
    CHECK_INT (t.bin, ==, k);
    CHECK (t.threshold == k * (range / 2048));
  }
}

/* --- What is no tensor to calibrate --------------------------------------------------------- */

static void
test_errors (void)
{
  g_autoptr (GError) error = NULL;
  CalibThreshold t;
  g_autoptr (CalibHistogram) h = calib_histogram_new (0, 0);
  CalibThresholdOptions options = {CALIB_METHOD_MINMAX, 0, 0};

  CHECK (!calib_threshold (h, &options, &t, &error));
  CHECK_ERROR (error, CALIB_ERROR, CALIB_ERROR_EMPTY, "no value was seen");
  calib_histogram_add (h, (const float[]){NAN, INFINITY}, 2);
  CHECK (!calib_threshold (h, &options, &t, &error));
  CHECK_ERROR (error, CALIB_ERROR, CALIB_ERROR_EMPTY, "all 2 values are NaN");

  calib_histogram_add (h, (const float[]){0, -0.0f}, 2);
  for (guint m = 0; m < CALIB_METHOD_COUNT; m++) {
    options = (CalibThresholdOptions){m, 99, 0};
    if (calib_method_flags (m) & CALIB_HISTOGRAM_TENSORRT)
      continue;
    CHECK_OK (calib_threshold (h, &options, &t, &error), error);
    CHECK (t.threshold == 0 && t.bin == 0 && t.score == 0);
  }

  calib_histogram_add (h, (const float[]){-3, 1}, 2);
  options.method = CALIB_METHOD_MINMAX;
  CHECK_OK (calib_threshold (h, &options, &t, &error), error);
  CHECK (t.threshold == 3);
  for (guint m = 0; m < CALIB_METHOD_COUNT; m++) {
    options.method = m;
    if (!(calib_method_flags (m) & CALIB_HISTOGRAM_TENSORRT))
      continue;
    CHECK (!calib_threshold (h, &options, &t, &error));
    CHECK_ERROR (error, CALIB_ERROR, CALIB_ERROR_UNAVAILABLE, calib_method_name (m));
  }
  for (guint k = 0; k < 3; k++) {
    options = (CalibThresholdOptions){CALIB_METHOD_LEGACY, 0, 0, (double[]){-0.1, 1.1, NAN}[k]};
    CHECK (!calib_threshold (h, &options, &t, &error));
    CHECK_ERROR (error, CALIB_ERROR, CALIB_ERROR_FORMAT, "quantile");
  }
  for (guint k = 0; k < 4; k++) {
    options =
        (CalibThresholdOptions){CALIB_METHOD_PERCENTILE, (double[]){0, -1, 100.001, NAN}[k], 0};
    CHECK (!calib_threshold (h, &options, &t, &error));
    CHECK_ERROR (error, CALIB_ERROR, CALIB_ERROR_FORMAT, "percentile");
  }
}

/* Magnitudes at the ends of float32: every method gives a number that can be a threshold. */
static void
test_extremes (void)
{
  static const float sizes[] = {0x1p-149f, 0x1p-140f, G_MINFLOAT, 0x1p-113f, 1, G_MAXFLOAT / 3,
      G_MAXFLOAT};
  for (guint s = 0; s < G_N_ELEMENTS (sizes); s++) {
    Random r = {s};
    g_autoptr (CalibHistogram) h = calib_histogram_new (0, CALIB_HISTOGRAM_TENSORRT);
    calib_histogram_add (h, &sizes[s], 1);
    for (guint i = 0; i < 2000; i++) {
      const float x = (float) (sizes[s] * random_unit (&r));
      calib_histogram_add (h, &x, 1);
    }
    for (guint m = 0; m < 2 * CALIB_METHOD_COUNT; m++) {
      g_autoptr (GError) error = NULL;
      const CalibThresholdOptions options = {m / 2, 99.9, m % 2};
      CalibThreshold t;
      CHECK_OK (calib_threshold (h, &options, &t, &error), error);
      /* below 2^-113 there are too few bins for a divergence; its score is then infinite */
      if (!(t.threshold > 0 && t.threshold <= G_MAXFLOAT && t.score >= 0) ||
          (isinf (t.score) && sizes[s] >= 0x1p-113f))
        CHECK_FAIL ("%s of %g: T = %g, score %g", calib_method_name (m / 2), sizes[s], t.threshold,
            t.score);
    }
  }
}

static void
test_method_names (void)
{
  CalibMethod method;
  for (guint m = 0; m < CALIB_METHOD_COUNT; m++) {
    CHECK (calib_method_from_name (calib_method_name (m), &method));
    CHECK_INT (method, ==, m);
  }
  CHECK (!calib_method_from_name ("entropy3", &method));
  CHECK (!calib_method_from_name ("", &method));
}

int
main (void)
{
  RUN (test_percentile);
  RUN (test_percentile_is_decimal);
  RUN (test_legacy);
  RUN (test_errors);
  RUN (test_extremes);
  RUN (test_method_names);
  return check_done ();
}
