/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * counts.c: values that were counted elsewhere, added as if they had been seen here.
 */
#include "calib/private.h"

static void
take_channels (CalibHistogram *h, const CalibChannelCounts *channels)
{
  if (h->n_nonfinite > 0)
    h->channel_nonfinite = g_new (guint64, h->channels);
  for (guint c = 0; c < h->channels; c++) {
    calib_histogram_set_sum (h, c,
        channels[c].high * ((CalibSum) 1 << 32) + (CalibSum) channels[c].low);
    if (h->channel_nonfinite)
      h->channel_nonfinite[c] = channels[c].n_nonfinite;
  }
}

void
calib_histogram_add_counts (CalibHistogram *h, const CalibCounts *counts)
{
  g_return_if_fail (!h->trt);
  if (counts->n == 0)
    return;

  g_autoptr (CalibHistogram) from = calib_histogram_new (h->channels, CALIB_HISTOGRAM_DEFAULT);
  g_autoptr (GError) error = NULL;

  from->n = counts->n;
  from->n_zero = counts->n_zero;
  from->n_nonfinite = counts->n_nonfinite;
  from->min = counts->min + 0.0f; /* -0 + 0 = +0 */
  from->max = counts->max + 0.0f;
  if (calib_histogram_n_binned (from) > 0)
    from->exponent = calib_histogram_exponent_for (calib_histogram_max_abs (from));
  for (int half = 0; half < 2; half++)
    memcpy (from->bins + half * CALIB_BINS, counts->bins[half], CALIB_BINS * sizeof *from->bins);
  if (h->channels > 0)
    take_channels (from, counts->channels);
  if (!calib_histogram_merge (h, from, &error))
    g_critical ("%s", error->message); /* not reached: fewer than 2^64 values are ever seen */
}
