/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * threshold.c: from a histogram to the threshold T of a tensor, by the methods of
 * docs/CALIBRATION.md.
 */
#include "calib/private.h"

#include <math.h>

static const char *const method_names[CALIB_METHOD_COUNT] = {
    [CALIB_METHOD_MINMAX] = "minmax",
    [CALIB_METHOD_ENTROPY2] = "entropy2",
    [CALIB_METHOD_ENTROPY2_TRT] = "entropy2-trt",
    [CALIB_METHOD_PERCENTILE] = "percentile",
    [CALIB_METHOD_MSE] = "mse",
    [CALIB_METHOD_ENTROPY] = "entropy",
    [CALIB_METHOD_LEGACY] = "legacy",
    [CALIB_METHOD_MSE_RELATIVE] = "mse-relative",
};

const char *
calib_method_name (CalibMethod method)
{
  g_return_val_if_fail ((guint) method < CALIB_METHOD_COUNT, NULL);
  return method_names[method];
}

gboolean
calib_method_from_name (const char *name, CalibMethod *method)
{
  for (guint m = 0; m < CALIB_METHOD_COUNT; m++) {
    if (g_str_equal (name, method_names[m])) {
      *method = m;
      return TRUE;
    }
  }
  return FALSE;
}

CalibHistogramFlags
calib_method_flags (CalibMethod method)
{
  return method == CALIB_METHOD_ENTROPY2_TRT || method == CALIB_METHOD_LEGACY
             ? CALIB_HISTOGRAM_TENSORRT
             : CALIB_HISTOGRAM_DEFAULT;
}

/* m bins of 2048 over [0, range], in float32 and in this order: TensorRT's words depend on it. */
static float
entropy_threshold (guint m, double range)
{
  const float width = (float) (range / CALIB_TRT_BINS);
  if (width < G_MINFLOAT) /* has lost its digits, or is 0 */
    return (float) range;
  return MIN (((float) m + 0.5f) * width, G_MAXFLOAT);
}

/* k, the smallest count of TensorRT's bins that hold `quantile` of all values, its zeros and bin 0
 * included. */
static guint
legacy_bins (const CalibHistogram *h, double quantile)
{
  const double wanted = quantile * (double) calib_histogram_n_finite (h);
  guint64 below = 0;
  guint k = 0;

  while (k < CALIB_TRT_BINS) {
    below += h->trt->bins[k++];
    if ((double) below >= wanted)
      break;
  }
  return k;
}

/* The upper edge of k bins of 2048 over [0, range]; width as in entropy_threshold(). */
static float
legacy_threshold (guint k, double range)
{
  const float width = (float) (range / CALIB_TRT_BINS);
  if (width < G_MINFLOAT)
    return (float) range;
  return MIN ((float) k * width, G_MAXFLOAT);
}

/* The upper edge of the bin with which at least `percentile` % of all finite values, zeros
 * included, lie below T; the largest magnitude where that edge is beyond it. Above 0 even where
 * nearly all values are zeros: 0 would say that there is nothing to represent. */
static float
percentile_threshold (const CalibHistogram *h, double percentile)
{
  const float max_abs = calib_histogram_max_abs (h);
  if (percentile == 100)
    return max_abs;
  /* 99.9 is no binary fraction: of 1000 values 999 are enough, not 999.0000000000001 */
  const double wanted = percentile * (double) calib_histogram_n_finite (h) / 100 * (1 - 1e-12);
  guint64 below = h->n_zero;
  for (int j = 0; j < CALIB_BINS; j++) {
    const guint64 n = h->bins[j] + h->bins[CALIB_BINS + j];
    below += n;
    if (n > 0 && (double) below >= wanted)
      return MIN ((float) ldexp (j + 1, h->exponent), max_abs);
  }
  return max_abs;
}

static gboolean
check (const CalibHistogram *h, const CalibThresholdOptions *options, GError **error)
{
  if (options->method == CALIB_METHOD_PERCENTILE &&
      !(options->percentile > 0 && options->percentile <= 100)) {
    g_set_error (error, CALIB_ERROR, CALIB_ERROR_FORMAT,
        "a percentile of %g cannot be: it must be above 0 and at most 100, such as 99.99",
        options->percentile);
    return FALSE;
  }
  if (options->method == CALIB_METHOD_LEGACY &&
      !(options->quantile >= 0 && options->quantile <= 1)) {
    g_set_error (error, CALIB_ERROR, CALIB_ERROR_FORMAT,
        "a quantile of %g cannot be: it must be above 0 and at most 1, such as 0.999999",
        options->quantile);
    return FALSE;
  }
  if (calib_histogram_n_finite (h) == 0) {
    if (h->n == 0)
      g_set_error (error, CALIB_ERROR, CALIB_ERROR_EMPTY,
          "no value was seen: calibrate with at least one frame");
    else
      g_set_error (error, CALIB_ERROR, CALIB_ERROR_EMPTY,
          "all %" G_GUINT64_FORMAT " values are NaN or infinite: check the model and the "
          "preprocessing (mean, std, scale)",
          h->n);
    return FALSE;
  }
  if ((calib_method_flags (options->method) & CALIB_HISTOGRAM_TENSORRT) && !h->trt) {
    g_set_error (error, CALIB_ERROR, CALIB_ERROR_UNAVAILABLE,
        "%s needs TensorRT's own histogram, which was not collected or was lost by merging: "
        "calibrate with this method in one run, or use %s",
        calib_method_name (options->method),
        options->method == CALIB_METHOD_LEGACY ? "percentile" : "entropy2");
    return FALSE;
  }
  return TRUE;
}

/* Where the grid of the options ends, whatever T. */
static void
find_limits (const CalibThresholdOptions *options, float *lo, float *hi)
{
  const gboolean within = options->range == CALIB_RANGE_WITHIN;

  *lo = within ? options->lo : options->range == CALIB_RANGE_FULL ? 0 : -INFINITY;
  *hi = within ? options->hi : INFINITY;
}

/* The methods of TensorRT see values as they are. */
static gboolean
sees_limits (CalibMethod method)
{
  return method == CALIB_METHOD_MINMAX || method == CALIB_METHOD_PERCENTILE ||
         method == CALIB_METHOD_MSE || method == CALIB_METHOD_MSE_RELATIVE;
}

static void
count_clamped (CalibHistogram *to, double x, guint64 n, float lo, float hi)
{
  const double y = CLAMP (x, lo, hi);
  const int bin = MIN ((int) ldexp (fabs (y), -to->exponent), CALIB_BINS - 1);

  if (y == 0)
    to->n_zero += n;
  else
    to->bins[y < 0 ? CALIB_BINS + bin : bin] += n;
}

/* The histogram of the values clamped to [lo, hi], without channels and in the same bins; NULL where that
 * changes no value. A bin counts as its middle. */
static CalibHistogram *
clamp_histogram (const CalibHistogram *h, float lo, float hi)
{
  CalibHistogram *clamped;

  if (lo <= h->min && hi >= h->max)
    return NULL;
  clamped = calib_histogram_new (0, CALIB_HISTOGRAM_DEFAULT);
  clamped->n = h->n;
  clamped->n_nonfinite = h->n_nonfinite;
  clamped->min = CLAMP (h->min, lo, hi);
  clamped->max = CLAMP (h->max, lo, hi);
  clamped->exponent = h->exponent;
  count_clamped (clamped, 0, h->n_zero, lo, hi);
  for (int j = 0; j < CALIB_BINS; j++) {
    const double middle = ldexp (j + 0.5, h->exponent);

    count_clamped (clamped, middle, h->bins[j], lo, hi);
    count_clamped (clamped, -middle, h->bins[CALIB_BINS + j], lo, hi);
  }
  return clamped;
}

/* Of a histogram with values that are not zero. */
static void
find_threshold (const CalibHistogram *h, const CalibThresholdOptions *options,
    CalibThreshold *threshold)
{
  double bins[CALIB_TRT_BINS];
  float lo, hi;

  find_limits (options, &lo, &hi);
  switch (options->method) {
  case CALIB_METHOD_ENTROPY2:
  case CALIB_METHOD_ENTROPY:
    calib_entropy_rebin (h, bins);
    threshold->bin = calib_entropy_search (bins, &threshold->score);
    threshold->threshold = entropy_threshold (threshold->bin, calib_histogram_max_abs (h));
    break;
  case CALIB_METHOD_ENTROPY2_TRT:
    for (int b = 0; b < CALIB_TRT_BINS; b++)
      bins[b] = (double) h->trt->bins[b];
    threshold->bin = calib_entropy_search (bins, &threshold->score);
    threshold->threshold = entropy_threshold (threshold->bin, h->trt->range);
    break;
  case CALIB_METHOD_LEGACY:
    threshold->bin = legacy_bins (h, options->quantile > 0 ? options->quantile : 0.999999);
    threshold->threshold = legacy_threshold (threshold->bin, h->trt->range);
    break;
  case CALIB_METHOD_PERCENTILE:
    threshold->threshold = percentile_threshold (h, options->percentile);
    break;
  case CALIB_METHOD_MSE:
  case CALIB_METHOD_MSE_RELATIVE:
    threshold->threshold = calib_mse_search (h, lo, hi,
        options->method == CALIB_METHOD_MSE_RELATIVE, &threshold->score);
    break;
  case CALIB_METHOD_MINMAX:
  case CALIB_METHOD_COUNT:
    threshold->threshold = calib_histogram_max_abs (h);
    break;
  }
}

gboolean
calib_threshold (const CalibHistogram *h, const CalibThresholdOptions *options,
    CalibThreshold *threshold, GError **error)
{
  g_autoptr (CalibHistogram) clamped = NULL;

  g_return_val_if_fail ((guint) options->method < CALIB_METHOD_COUNT, FALSE);
  g_return_val_if_fail (options->range != CALIB_RANGE_WITHIN || options->lo <= options->hi, FALSE);
  if (!check (h, options, error))
    return FALSE;

  *threshold = (CalibThreshold){0};
  if (calib_histogram_n_binned (h) == 0)
    return TRUE;
  if (options->range == CALIB_RANGE_WITHIN && sees_limits (options->method))
    clamped = clamp_histogram (h, options->lo, options->hi);
  if (clamped && calib_histogram_n_binned (clamped) == 0)
    return TRUE; /* nothing but zeros is seen */
  find_threshold (clamped ? clamped : h, options, threshold);
  return TRUE;
}
