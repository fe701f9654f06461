/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * histogram.c: the streaming histogram of docs/CALIBRATION.md. Everything kept is a count, an
 * extremum or an integer sum, and the exponent follows from the extrema: so the state depends on
 * the values alone, not on their order, batches or the threads that saw them. histogram-add.c
 * counts values.
 */
#include "calib/private.h"

#include <math.h>
#include <string.h>

CalibHistogram *
calib_histogram_new (guint channels, CalibHistogramFlags flags)
{
  CalibHistogram *h = g_new0 (CalibHistogram, 1);
  h->channels = channels;
  if (channels > 0) {
    h->high = g_new0 (gint64, channels);
    h->low = g_new0 (gint64, channels);
  }
  if (flags & CALIB_HISTOGRAM_TENSORRT)
    h->trt = g_new0 (CalibTrtHistogram, 1);
  return h;
}

void
calib_histogram_free (CalibHistogram *h)
{
  if (!h)
    return;
  g_free (h->high);
  g_free (h->low);
  g_free (h->channel_nonfinite);
  g_free (h->trt);
  g_free (h);
}

gsize
calib_histogram_memory (const CalibHistogram *h)
{
  return sizeof *h + h->channels * 2 * sizeof (gint64) +
         (h->channel_nonfinite ? h->channels * sizeof (guint64) : 0) +
         (h->trt ? sizeof *h->trt : 0);
}

void
calib_histogram_drop_trt (CalibHistogram *h)
{
  g_clear_pointer (&h->trt, g_free);
  h->only_for_trt = FALSE;
}

void
calib_histogram_clear (CalibHistogram *h)
{
  h->n = h->n_zero = h->n_nonfinite = 0;
  h->min = h->max = 0;
  h->exponent = 0;
  h->low_bound = 0;
  memset (h->bins, 0, sizeof h->bins);
  if (h->channels > 0) {
    memset (h->high, 0, h->channels * sizeof *h->high);
    memset (h->low, 0, h->channels * sizeof *h->low);
  }
  g_clear_pointer (&h->channel_nonfinite, g_free);
  if (h->trt)
    memset (h->trt, 0, sizeof *h->trt);
}

/* --- Exponent ------------------------------------------------------------------------------- */

/* |x| / 2^e lies in [8192, 16384) for the largest |x|, unless the smallest exponent is wider. */
int
calib_histogram_exponent_for (float max_abs)
{
  int k;
  (void) frexpf (max_abs, &k);
  return MAX (k - 14, CALIB_MIN_EXPONENT);
}

void
calib_histogram_grow (CalibHistogram *h, float max_abs)
{
  const int exponent = calib_histogram_exponent_for (max_abs);
  if (calib_histogram_n_binned (h) == 0) {
    h->exponent = exponent;
    return;
  }
  /* 14 folds bring everything into bin 0: more change nothing. */
  const int folds = MIN (exponent - h->exponent, 14);
  for (int f = 0; f < folds; f++) {
    for (int half = 0; half < 2; half++) {
      guint64 *bins = h->bins + half * CALIB_BINS;
      for (int j = 0; j < CALIB_BINS / 2; j++)
        bins[j] = bins[2 * j] + bins[2 * j + 1];
      memset (bins + CALIB_BINS / 2, 0, CALIB_BINS / 2 * sizeof *bins);
    }
  }
  h->exponent = MAX (h->exponent, exponent);
}

/* --- Merging -------------------------------------------------------------------------------- */

gboolean
calib_histogram_merge_overflows (const CalibHistogram *h, const CalibHistogram *from)
{
  return from->n > G_MAXUINT64 - h->n;
}

static void
merge_bins (CalibHistogram *h, const CalibHistogram *from)
{
  if (calib_histogram_n_binned (from) == 0)
    return;
  calib_histogram_grow (h, calib_histogram_max_abs (from));
  const int shift = MIN (h->exponent - from->exponent, 14);
  for (int half = 0; half < 2 * CALIB_BINS; half += CALIB_BINS)
    for (int j = 0; j < CALIB_BINS; j++)
      h->bins[half + (j >> shift)] += from->bins[half + j];
}

gboolean
calib_histogram_merge (CalibHistogram *h, const CalibHistogram *from, GError **error)
{
  if (h->channels != from->channels) {
    g_set_error (error, CALIB_ERROR, CALIB_ERROR_MISMATCH,
        "one histogram has %u channels, the other %u: they are not of the same tensor", h->channels,
        from->channels);
    return FALSE;
  }
  if (calib_histogram_merge_overflows (h, from)) {
    g_set_error (error, CALIB_ERROR, CALIB_ERROR_FORMAT,
        "the histograms together count more than 2^64 values: a file must be damaged");
    return FALSE;
  }

  merge_bins (h, from);
  if (calib_histogram_n_finite (from) > 0) {
    const gboolean first = calib_histogram_n_finite (h) == 0;
    h->min = first ? from->min : MIN (h->min, from->min);
    h->max = first ? from->max : MAX (h->max, from->max);
  }
  for (guint c = 0; c < h->channels; c++)
    calib_histogram_set_sum (h, c, calib_histogram_sum (h, c) + calib_histogram_sum (from, c));
  if (from->channel_nonfinite) {
    if (!h->channel_nonfinite)
      h->channel_nonfinite = g_new0 (guint64, h->channels);
    for (guint c = 0; c < h->channels; c++)
      h->channel_nonfinite[c] += from->channel_nonfinite[c];
  }
  h->n += from->n;
  h->n_zero += from->n_zero;
  h->n_nonfinite += from->n_nonfinite;
  calib_histogram_drop_trt (h);
  return TRUE;
}

/* --- Reading -------------------------------------------------------------------------------- */

void
calib_histogram_summary (const CalibHistogram *h, CalibSummary *summary)
{
  *summary = (CalibSummary){
      .n = h->n,
      .n_zero = h->n_zero,
      .n_nonfinite = h->n_nonfinite,
      .min = h->min,
      .max = h->max,
      .exponent = h->exponent,
  };
}

const guint64 *
calib_histogram_bins (const CalibHistogram *h, gboolean negative)
{
  return h->bins + (negative ? CALIB_BINS : 0);
}
