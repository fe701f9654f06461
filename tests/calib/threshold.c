/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * threshold.c: every method against a slow computation of its definition, written differently.
 */
#include "tests/calib/common.h"

#define N_SHAPES 10

/* Data of many shapes: dense and sparse, signed and not, on grids, with outliers. */
static CalibHistogram *
make_shape (guint shape, CalibHistogramFlags flags, guint n, float *x)
{
  Random r = {shape};
  CalibHistogram *h = calib_histogram_new (0, flags);
  for (guint i = 0; i < n; i++) {
    const double g = random_normal (&r), u = random_unit (&r);
    x[i] = (float[N_SHAPES]){
        (float) g,                                      /* dense, signed */
        (float) fmax (0, g * 3.7),                      /* behind a ReLU */
        (float) (-log (u) * (g > 0 ? 1 : -0.1)),        /* long tail, lopsided */
        (float) random_below (&r, 256) / 255.0f,        /* pixels */
        (float) ((int) random_below (&r, 256) - 123),   /* pixels less a mean */
        (float) (u < 0.999 ? fmax (0, g) : 40 * u * u), /* outliers */
        (float) (u * 1e-20),                            /* small numbers, uniform */
        (float) (g * g * g * 1e15),                     /* large numbers, peaked */
        (float) (u < 0.97 ? 0 : u),                     /* nearly all zeros */
        (float) (1 + floor (u * 3)),                    /* three values */
    }[shape];
  }
  calib_histogram_add (h, x, n);
  return h;
}

/* --- Entropy -------------------------------------------------------------------------------- */

/* docs/CALIBRATION.md, line by line: arrays P and Q, each normalised by its own sum. */
static double
slow_divergence (const double *h, guint i)
{
  static double p[2048], q[2048];
  double sum_p = 0, sum_q = 0, divergence = 0;
  for (guint j = 0; j < i; j++)
    p[j] = h[j];
  for (guint j = i; j < 2048; j++)
    p[i - 1] += h[j];
  for (guint j = 0; j < i; j++) {
    double sum = 0;
    guint n = 0;
    const guint level = j * 128 / i;
    /* a level spans at most 17 neighbours */
    for (guint k = j < 17 ? 0 : j - 17; k < i && k < j + 18; k++) {
      if (k * 128 / i == level) {
        sum += h[k];
        n += h[k] > 0;
      }
    }
    q[j] = h[j] > 0 ? sum / n : 0;
    sum_p += p[j];
    sum_q += q[j];
  }
  for (guint j = 0; j < i; j++) {
    if (p[j] > 0 && q[j] == 0)
      return INFINITY;
    if (p[j] > 0)
      divergence += p[j] / sum_p * log ((p[j] / sum_p) / (q[j] / sum_q));
  }
  return divergence;
}

static guint
slow_search (double *h, double *best)
{
  guint m = 2048;
  *best = INFINITY;
  h[0] = h[1];
  for (guint i = 128; i <= 2048; i++) {
    const double d = slow_divergence (h, i);
    if (d < *best) {
      *best = d;
      m = i;
    }
  }
  return m;
}

static void
test_entropy_search (void)
{
  g_autofree float *x = g_new (float, 20000);
  for (guint shape = 0; shape < N_SHAPES; shape++) {
    double fast[2048], slow[2048], best, slow_best;
    g_autoptr (CalibHistogram) h = make_shape (shape, CALIB_HISTOGRAM_TENSORRT, 20000, x);
    for (guint kind = 0; kind < 2; kind++) {
      if (kind == 0)
        calib_entropy_rebin (h, fast);
      else
        for (guint b = 0; b < 2048; b++)
          fast[b] = (double) h->trt->bins[b];
      memcpy (slow, fast, sizeof slow);
      const guint m = calib_entropy_search (fast, &best);
      const guint slow_m = slow_search (slow, &slow_best);
      CHECK (fabs (best - slow_best) <= 1e-12);
      /* two that differ only by rounding are a tie */
      if (m != slow_m && fabs (slow_divergence (slow, m) - slow_best) > 1e-12)
        CHECK_FAIL ("shape %u: m = %u, by definition %u", shape, m, slow_m);
    }
  }
}

/* Of equal divergences the first counts: one bin alone has 0 at every i above it. */
static void
test_first_of_equals (void)
{
  double h[2048] = {0}, best;
  h[200] = 5;
  CHECK_INT (calib_entropy_search (h, &best), ==, 201);
  CHECK (best == 0);
}

/* Mass is kept, shares are those of the overlap, and what lies within a bin stays there. */
static void
test_rebin (void)
{
  g_autofree float *x = g_new (float, 20000);
  for (guint shape = 0; shape < N_SHAPES; shape++) {
    double bins[2048], expected[2048] = {0};
    gboolean own[2048] = {0};
    g_autoptr (CalibHistogram) h = make_shape (shape, 0, 20000, x);
    const long double r = ldexpl (calib_histogram_max_abs (h), -h->exponent);

    for (int pass = 0; pass < 2; pass++) {
      for (int j = 0; j < CALIB_BINS; j++) {
        const guint64 n = calib_histogram_bins (h, FALSE)[j] + calib_histogram_bins (h, TRUE)[j];
        const int low = MIN (2047, (int) floorl (j * 2048 / r));
        const int high = MIN (2047, (int) ceill ((j + 1) * 2048 / r) - 1);
        if (n > 0 && pass == 0)
          own[low] |= low == high;
        if (pass == 0)
          continue;
        for (int t = low; t <= high; t++) {
          const long double begin = fmaxl (j, t * r / 2048),
                            end = fminl (j + 1, (t + 1) * r / 2048);
          if (own[low] && own[high] && low != high)
            expected[t] += (double) (n * (end - begin));
          else if (t == low)
            expected[t] += (double) n;
        }
      }
    }
    calib_entropy_rebin (h, bins);
    double total = 0;
    for (int t = 0; t < 2048; t++) {
      total += bins[t];
      if (fabs (bins[t] - expected[t]) > 1e-9 * (1 + expected[t]))
        CHECK_FAIL ("shape %u, bin %d: %g, expected %g", shape, t, bins[t], expected[t]);
    }
    CHECK (fabs (total - (double) calib_histogram_n_binned (h)) < 1e-6);
  }
}

/* Integers and multiples of 2^-k fall into their own bin whatever their maximum, none is split:
 * what else is known of TensorRT's bins follows. Pixels / 255 do so where 255 is among them. */
static void
test_rebin_grids (void)
{
  for (guint top = 1; top <= 255; top++) {
    for (guint kind = 0; kind < 2; kind++) {
      double bins[2048], expected[2048] = {0};
      Random r = {top};
      float x[3000];
      for (guint i = 0; i < 3000; i++) {
        const guint pixel = i == 0 ? top : random_below (&r, top + 1);
        x[i] = top == 255 && kind ? (float) pixel / 255.0f : ldexpf ((float) pixel, kind ? -8 : 0);
        if (pixel > 0)
          expected[MIN (2047, pixel * 2048 / top)]++;
      }
      g_autoptr (CalibHistogram) h = calib_histogram_new (0, 0);
      calib_histogram_add (h, x, 3000);
      calib_entropy_rebin (h, bins);
      if (memcmp (bins, expected, sizeof bins) != 0)
        CHECK_FAIL ("maximum %u%s: a value is in another bin", top, kind ? ", scaled" : "");
    }
  }
}

/* On TensorRT's histogram of the same data in one batch, what the order-independent one chose is as
 * good as TensorRT's choice: the objective has several near-equal minima. */
static void
test_rebin_is_faithful (void)
{
  g_autofree float *x = g_new (float, 200000);
  for (guint shape = 0; shape < N_SHAPES; shape++) {
    double own[2048], trt[2048], own_best, trt_best;
    g_autoptr (CalibHistogram) h = make_shape (shape, CALIB_HISTOGRAM_TENSORRT, 200000, x);
    calib_entropy_rebin (h, own);
    for (guint b = 0; b < 2048; b++)
      trt[b] = (double) h->trt->bins[b];
    const guint own_m = calib_entropy_search (own, &own_best);
    const guint trt_m = calib_entropy_search (trt, &trt_best);
    if (own_m != trt_m && slow_divergence (trt, own_m) > trt_best * 1.02)
      CHECK_FAIL ("shape %u: m = %u, TensorRT's %u", shape, own_m, trt_m);
  }
}

/* Entries of TensorRT 8.5 and 10.14 for constants. */
static void
test_constants (void)
{
  static const struct {
    float value;
    guint32 word;
  } constants[] = {{2, 0x3c810a14}, {1, 0x3c010a14}, {79, 0x3f1f4871}, {0, 0}};
  for (guint c = 0; c < G_N_ELEMENTS (constants); c++) {
    for (guint m = 0; m < 2; m++) {
      g_autoptr (GError) error = NULL;
      const CalibThresholdOptions options = {m ? CALIB_METHOD_ENTROPY2_TRT : CALIB_METHOD_ENTROPY2,
          0, CALIB_RANGE_SYMMETRIC};
      CalibThreshold t;
      g_autoptr (CalibHistogram) h = calib_histogram_new (0, CALIB_HISTOGRAM_TENSORRT);
      for (guint i = 0; i < 5; i++)
        calib_histogram_add (h, &constants[c].value, 1);
      CHECK_OK (calib_threshold (h, &options, &t, &error), error);
      CHECK_INT (word_of (t.threshold / 127), ==, constants[c].word);
      CHECK_INT (t.bin, ==, constants[c].value != 0 ? 2048 : 0);
    }
  }
}

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

/* --- Mean squared error --------------------------------------------------------------------- */

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

/* Version 1 of the entropy calibrator has the same objective. */
static void
test_entropy_is_entropy2 (void)
{
  const CalibThresholdOptions one = {.method = CALIB_METHOD_ENTROPY};
  const CalibThresholdOptions two = {.method = CALIB_METHOD_ENTROPY2};
  g_autoptr (CalibHistogram) h = calib_histogram_new (0, CALIB_HISTOGRAM_DEFAULT);
  g_autoptr (GError) error = NULL;
  CalibThreshold a, b;
  Random r = {12};

  for (guint i = 0; i < 5000; i++) {
    const float x = (float) random_normal (&r);
    calib_histogram_add (h, &x, 1);
  }
  CHECK_OK (calib_threshold (h, &one, &a, &error), error);
  CHECK_OK (calib_threshold (h, &two, &b, &error), error);
  CHECK (a.threshold == b.threshold && a.bin == b.bin && a.score == b.score && a.bin > 0);
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
  RUN (test_entropy_search);
  RUN (test_first_of_equals);
  RUN (test_rebin);
  RUN (test_rebin_grids);
  RUN (test_rebin_is_faithful);
  RUN (test_constants);
  RUN (test_percentile);
  RUN (test_percentile_is_decimal);
  RUN (test_mse);
  RUN (test_within_and_the_others);
  RUN (test_within_clamps);
  RUN (test_mse_within);
  RUN (test_mse_relative);
  RUN (test_legacy);
  RUN (test_entropy_is_entropy2);
  RUN (test_errors);
  RUN (test_extremes);
  RUN (test_method_names);
  return check_done ();
}
