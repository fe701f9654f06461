/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mse.c: the mean squared error, plain and relative, against an integral; in full and within known bounds. */
#include "tests/calib/shapes.h"

/* The integral of (x - q(x))^2 over [a, b], from one rounding edge to the next; Simpson's rule is
 * exact for parabolas. */
static double
slow_integral (double a, double b, double s, double lowest, double highest)
{
  double total = 0;
  while (a < b) {
    const double next = (floor (a / s + 0.5) + 0.5) * s;
    const double end = next > a + 1e-12 * s ? fmin (b, next) : fmin (b, a + s);
    const double middle = (a + end) / 2;
    const double q = s * fmin (fmax (rint (middle / s), lowest), highest);
    total += (end - a) / 6 *
             ((a - q) * (a - q) + 4 * (middle - q) * (middle - q) + (end - q) * (end - q));
    a = end;
  }
  return total;
}

/* What an error at x counts with mse-relative, E[x^2] being that of the values which are not 0. */
static double
relative_weight (const CalibHistogram *h, double x)
{
  const double width = ldexp (1, h->exponent);
  double squares = 0, n = 0;

  for (int j = 0; j < CALIB_BINS; j++) {
    const double in_bin = (double) (calib_histogram_bins (h, FALSE)[j] + calib_histogram_bins (h, TRUE)[j]);

    squares += in_bin * pow ((j + 0.5) * width, 2);
    n += in_bin;
  }
  return 1 / (1 + x * x / (5 * squares / n));
}

static double
slow_mse (const CalibHistogram *h, double t, CalibRange range, const double *weights)
{
  const double width = ldexp (1, h->exponent);
  const double levels = range == CALIB_RANGE_FULL ? 255 : 127;
  const double lowest = range == CALIB_RANGE_FULL ? 0 : -127;
  double total = 0;
  for (int j = -CALIB_BINS; j < CALIB_BINS; j++) {
    const guint64 n =
        j < 0 ? calib_histogram_bins (h, TRUE)[-1 - j] : calib_histogram_bins (h, FALSE)[j];
    if (n > 0)
      total += weights[j < 0 ? -1 - j : j] * n *
               slow_integral (j * width, (j + 1) * width, t / levels, lowest, levels) / width;
  }
  return total / (double) (h->n - h->n_nonfinite);
}

static void
check_mse_method (const CalibHistogram *h, CalibMethod method, CalibRange range, const char *what)
{
  g_autoptr (GError) error = NULL;
  const CalibThresholdOptions options = {method, 0, range};
  const double r = calib_histogram_max_abs (h);
  g_autofree double *weights = g_new (double, CALIB_BINS);
  CalibThreshold t;
  double best = INFINITY, best_t = 0;

  for (int j = 0; j < CALIB_BINS; j++)
    weights[j] = 1;
  for (int j = 0; j < CALIB_BINS && method == CALIB_METHOD_MSE_RELATIVE; j++)
    if (calib_histogram_bins (h, FALSE)[j] + calib_histogram_bins (h, TRUE)[j] > 0)
      weights[j] = relative_weight (h, ldexp (j + 0.5, h->exponent));
  CHECK_OK (calib_threshold (h, &options, &t, &error), error);
  for (int c = 0; c <= 800; c++) {
    const double candidate = r * pow (0.25, c / 200.0);
    const double error_c = slow_mse (h, candidate, range, weights);
    if (error_c < best * (1 - 1e-9)) {
      best = error_c;
      best_t = candidate;
    }
  }
  CHECK (fabs (t.score - best) <= 1e-7 * best);
  if (fabs (t.threshold / best_t - 1) > 1e-6 &&
      slow_mse (h, t.threshold, range, weights) > best * (1 + 1e-6))
    CHECK_FAIL ("%s, %s, range %u: T = %g, by definition %g", what, calib_method_name (method), range,
        t.threshold, best_t);
}

static void
check_mse (const CalibHistogram *h, CalibRange range, const char *what)
{
  check_mse_method (h, CALIB_METHOD_MSE, range, what);
  check_mse_method (h, CALIB_METHOD_MSE_RELATIVE, range, what);
}

static void
test_mse (void)
{
  g_autofree float *x = g_new (float, 4000);
  for (guint shape = 0; shape < N_SHAPES; shape++) {
    g_autoptr (CalibHistogram) h = make_shape (shape, 0, 4000, x);
    for (guint range = 0; range < 2; range++)
      check_mse (h, range, "a shape");
  }
  /* one value in a million is not worth the step that it costs: T is far below the maximum */
  Random r = {1};
  g_autoptr (CalibHistogram) outlier = calib_histogram_new (0, 0);
  for (guint k = 0; k < 250; k++) {
    for (guint i = 0; i < 4000; i++)
      x[i] = (float) fabs (random_normal (&r));
    calib_histogram_add (outlier, x, 4000);
  }
  calib_histogram_add (outlier, (const float[]){60}, 1);
  check_mse (outlier, CALIB_RANGE_SYMMETRIC, "an outlier");
  check_mse (outlier, CALIB_RANGE_FULL, "an outlier");
}

/* Within no limits the grid is symmetric, from 0 on it is full. */
static void
test_within_and_the_others (void)
{
  g_autofree float *x = g_new (float, 4000);

  for (guint shape = 0; shape < N_SHAPES; shape++) {
    g_autoptr (CalibHistogram) h = make_shape (shape, 0, 4000, x);

    for (guint m = 0; m < CALIB_METHOD_COUNT; m++) {
      CalibThresholdOptions options = {.method = m, .percentile = 99.9};
      CalibThreshold symmetric, within;

      if (calib_method_flags (m) & CALIB_HISTOGRAM_TENSORRT)
        continue;
      CHECK (calib_threshold (h, &options, &symmetric, NULL));
      options.range = CALIB_RANGE_WITHIN;
      options.lo = -INFINITY;
      options.hi = INFINITY;
      CHECK (calib_threshold (h, &options, &within, NULL));
      CHECK (within.threshold == symmetric.threshold && within.score == symmetric.score);
    }
  }
}

/* Values beyond the limits count as if they lay there, but for TensorRT's objective. */
static void
test_within_clamps (void)
{
  g_autoptr (CalibHistogram) wide = calib_histogram_new (0, 0);
  g_autoptr (CalibHistogram) clamped = calib_histogram_new (0, 0);
  g_autofree float *x = g_new (float, 4000);
  Random r = {7};

  for (guint i = 0; i < 4000; i++)
    x[i] = 2 * (float) random_normal (&r) - 2;
  x[0] = 12; /* both have the bins of it */
  calib_histogram_add (wide, x, 4000);
  for (guint i = 0; i < 4000; i++)
    x[i] = MAX (x[i], -3);
  calib_histogram_add (clamped, x, 4000);
  for (guint m = 0; m < CALIB_METHOD_COUNT; m++) {
    const CalibThresholdOptions plain = {.method = m, .percentile = 99.9};
    const CalibThresholdOptions within = {.method = m,
        .percentile = 99.9,
        .range = CALIB_RANGE_WITHIN,
        .lo = -3,
        .hi = INFINITY};
    const gboolean entropy = m == CALIB_METHOD_ENTROPY || m == CALIB_METHOD_ENTROPY2;
    CalibThreshold a, b;

    if (calib_method_flags (m) & CALIB_HISTOGRAM_TENSORRT)
      continue;
    CHECK (calib_threshold (wide, &within, &a, NULL));
    CHECK (calib_threshold (entropy ? wide : clamped, entropy ? &plain : &within, &b, NULL));
    CHECK (a.threshold == b.threshold && a.score == b.score);
  }
}

/* 256 levels from -3 on: no T is better than the one found, by trying. */
static void
test_mse_within (void)
{
  g_autoptr (CalibHistogram) h = calib_histogram_new (0, 0);
  const CalibThresholdOptions options = {.method = CALIB_METHOD_MSE,
      .range = CALIB_RANGE_WITHIN,
      .lo = -3,
      .hi = INFINITY};
  g_autofree float *x = g_new (float, 4000);
  double best = INFINITY, best_t = 0;
  CalibThreshold t;
  Random r = {8};

  for (guint i = 0; i < 4000; i++)
    x[i] = (float) fmax (2 * random_normal (&r) + 1, -3);
  calib_histogram_add (h, x, 4000);
  CHECK (calib_threshold (h, &options, &t, NULL));
  for (int c = 0; c <= 200; c++) {
    const double top = calib_histogram_max_abs (h) * pow (0.25, c / 200.0);
    const double s = (top + fmin (top, 3)) / 255, lowest = -rint (fmin (top, 3) / s);
    double error = 0;

    for (guint i = 0; i < 4000; i++) {
      const double level = CLAMP (rint (x[i] / s), lowest, rint (top / s));

      error += (x[i] - s * level) * (x[i] - s * level) / 4000;
    }
    if (error < best) {
      best = error;
      best_t = top;
    }
  }
  CHECK (fabs (t.score / best - 1) < 0.05);
  CHECK (fabs (t.threshold / best_t - 1) < 0.05);
}

static float
threshold_by (const CalibHistogram *h, CalibMethod method)
{
  CalibThreshold t = {0};

  CHECK (calib_threshold (h, &(CalibThresholdOptions){.method = method}, &t, NULL));
  return t.threshold;
}

/* One value in a thousand is 20 to 40 times as large as the others: by squares it outweighs them all,
 * relative to its size it does not. Where nothing is far out the two methods agree. Zeros change
 * nothing. */
static void
test_mse_relative (void)
{
  Random r = {5};
  g_autoptr (CalibHistogram) tail = calib_histogram_new (0, 0);
  g_autoptr (CalibHistogram) normal = calib_histogram_new (0, 0);

  for (guint i = 0; i < 100000; i++) {
    const float x = (float) random_normal (&r);
    const float far = 20 + 20 * (float) fmod (i * 0.618034, 1);

    calib_histogram_add (normal, &x, 1);
    calib_histogram_add (tail, i % 1000 ? &x : &far, 1);
  }
  const float mse = threshold_by (tail, CALIB_METHOD_MSE);
  const float relative = threshold_by (tail, CALIB_METHOD_MSE_RELATIVE);
  const float plain = threshold_by (normal, CALIB_METHOD_MSE);

  printf ("T of a tail: mse %g, mse-relative %g\n", mse, relative);
  CHECK (relative < 0.8f * mse);
  CHECK (fabsf (threshold_by (normal, CALIB_METHOD_MSE_RELATIVE) / plain - 1) < 0.1f);
  for (guint i = 0; i < 100000; i++)
    calib_histogram_add (tail, &(float){0}, 1);
  CHECK (threshold_by (tail, CALIB_METHOD_MSE_RELATIVE) == relative);
}

int
main (void)
{
  RUN (test_mse);
  RUN (test_within_and_the_others);
  RUN (test_within_clamps);
  RUN (test_mse_within);
  RUN (test_mse_relative);
  return check_done ();
}
