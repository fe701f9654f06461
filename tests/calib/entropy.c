/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* entropy.c: the search, the divergence and the rebinning against slow computations of their definitions. */
#include "tests/calib/shapes.h"

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

int
main (void)
{
  RUN (test_entropy_search);
  RUN (test_first_of_equals);
  RUN (test_rebin);
  RUN (test_rebin_grids);
  RUN (test_rebin_is_faithful);
  RUN (test_constants);
  RUN (test_entropy_is_entropy2);
  return check_done ();
}
