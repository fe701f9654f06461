/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * channel-sums.c: exact sums by channel, as integers, so that they do not depend on the order of
 * the values. They are for bias correction.
 */
#include "calib/private.h"

#include <math.h>
#include <string.h>

#define LOW_BITS    62
#define LOW_CARRIED ((gint64) 1 << LOW_BITS)

void
calib_histogram_set_sum (CalibHistogram *h, guint channel, CalibSum sum)
{
  h->high[channel] = (gint64) (sum >> LOW_BITS);
  h->low[channel] = (gint64) (sum & (LOW_CARRIED - 1));
  h->low_bound = MAX (h->low_bound, LOW_CARRIED);
}

/* x in units, to nearest, ties to even. |x| < FAST_LIMIT. Adding 1.5 * 2^52 leaves the integer in
 * the low bits of the sum, and unlike a conversion to 64 bits every vector unit can do it. */
#define FAST_LIMIT 0x1p10f
#define MAGIC      0x1.8p52
#define MAGIC_BITS G_GINT64_CONSTANT (0x4338000000000000)

static inline gint64
to_units_fast (float x)
{
  const double shifted = (double) x * 0x1p40 + MAGIC;
  gint64 bits;
  memcpy (&bits, &shifted, sizeof bits);
  return bits - MAGIC_BITS;
}

/* |x| < CALIB_SUM_LIMIT: first the multiple of 2^32 units, which leaves a remainder of at most 2^31. Both
 * subtractions are exact, so ties are where they were. */
static inline gint64
to_units_wide (float x)
{
  const double units = (double) x * 0x1p40;
  const double high = units * 0x1p-32 + MAGIC;
  const double low = units - (high - MAGIC) * 0x1p32 + MAGIC;
  gint64 high_bits, low_bits;
  memcpy (&high_bits, &high, sizeof high);
  memcpy (&low_bits, &low, sizeof low);
  return (high_bits - MAGIC_BITS) * ((gint64) 1 << 32) + (low_bits - MAGIC_BITS);
}

CALIB_CLONES static void
sum_wide (CalibHistogram *h, const float *x, guint n, guint channel)
{
  while (n > 0) {
    const guint run = MIN (n, h->channels - channel);
    gint64 *restrict low = h->low + channel;
    for (guint c = 0; c < run; c++)
      low[c] += to_units_wide (x[c]);
    x += run;
    n -= run;
    channel = 0;
  }
}

CALIB_CLONES static void
sum_fast (CalibHistogram *h, const float *x, guint n, guint channel)
{
  while (n > 0) {
    const guint run = MIN (n, h->channels - channel);
    gint64 *restrict low = h->low + channel;
    for (guint c = 0; c < run; c++)
      low[c] += to_units_fast (x[c]);
    x += run;
    n -= run;
    channel = 0;
  }
}

/* Any values, at any number of them a channel: large ones clamped, non-finite ones skipped and counted. */
static void
sum_any (CalibHistogram *h, const float *x, guint n, guint channel)
{
  for (guint i = 0; i < n; i++) {
    if (!isfinite (x[i])) {
      if (!h->channel_nonfinite)
        h->channel_nonfinite = g_new0 (guint64, h->channels);
      h->channel_nonfinite[channel]++;
    } else {
      const float clamped = CLAMP (x[i], -CALIB_SUM_LIMIT, CALIB_SUM_LIMIT);
      calib_histogram_set_sum (h, channel,
          calib_histogram_sum (h, channel) + llrint ((double) clamped * 0x1p40));
    }
    if (++channel == h->channels)
      channel = 0;
  }
}

/* What a block may add to a channel's low part: it fits in beside LOW_CARRIED, rounded as it is. */
#define MOST (0.5 * (double) LOW_CARRIED)

void
calib_sums_add (CalibHistogram *h, const float *x, guint n, guint channel, float max_abs)
{
  const double most = ((double) max_abs * 0x1p40 + 1) * (n / h->channels + 1);

  if (max_abs >= CALIB_SUM_LIMIT || most >= MOST) {
    sum_any (h, x, n, channel);
    return;
  }
  if ((gint64) most >= G_MAXINT64 - h->low_bound) {
    for (guint c = 0; c < h->channels; c++)
      calib_histogram_set_sum (h, c, calib_histogram_sum (h, c));
    h->low_bound = LOW_CARRIED;
  }
  h->low_bound += (gint64) most + 1;
#ifdef CALIB_HAVE_AVX512
  if (!calib_is_portable () && calib_has_avx512 ()) {
    calib_sums_avx512 (h->low, h->channels, x, n, channel);
    return;
  }
#endif
  if (max_abs < FAST_LIMIT)
    sum_fast (h, x, n, channel);
  else
    sum_wide (h, x, n, channel);
}

double
calib_histogram_channel_mean (const CalibHistogram *h, guint channel)
{
  if (channel >= h->channels || calib_histogram_max_abs (h) >= CALIB_SUM_LIMIT)
    return NAN;
  guint64 n = h->n / h->channels;
  if (h->channel_nonfinite)
    n -= h->channel_nonfinite[channel];
  return n > 0 ? (double) calib_histogram_sum (h, channel) * CALIB_SUM_UNIT / (double) n : NAN;
}
