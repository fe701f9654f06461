/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * histogram-bytes.c: one histogram in a statistics file (statistics-file.c has the layout). What
 * cannot have come from calib_histogram_add() is refused, so that no later computation meets a
 * contradiction.
 */
#include "calib/private.h"

#include <math.h>

/* --- Writing -------------------------------------------------------------------------------- */

static guint64
float_bits (float x)
{
  guint32 bits;
  memcpy (&bits, &x, sizeof bits);
  return bits;
}

static void
write_bins (GByteArray *out, const guint64 *bins, guint n)
{
  while (n > 0 && bins[n - 1] == 0)
    n--;
  calib_write_varint (out, n);
  for (guint j = 0; j < n; j++) {
    calib_write_varint (out, bins[j]);
    if (bins[j] != 0)
      continue;
    guint run = 1;
    while (bins[j + run] == 0) /* ends: bins[n - 1] is not empty */
      run++;
    calib_write_varint (out, run - 1);
    j += run - 1;
  }
}

void
calib_histogram_write (const CalibHistogram *h, GByteArray *out)
{
  calib_write_varint (out, h->channels);
  calib_write_varint (out, h->n);
  calib_write_varint (out, h->n_zero);
  calib_write_varint (out, h->n_nonfinite);
  calib_write_le (out, float_bits (h->min), 4);
  calib_write_le (out, float_bits (h->max), 4);
  write_bins (out, h->bins, CALIB_BINS);
  write_bins (out, h->bins + CALIB_BINS, CALIB_BINS);
  for (guint c = 0; c < h->channels; c++) {
    const CalibSum sum = calib_histogram_sum (h, c);
    calib_write_varint (out, (CalibUint128) sum << 1 ^ (CalibUint128) (sum >> 127));
  }
  for (guint c = 0; h->n_nonfinite > 0 && c < h->channels; c++)
    calib_write_varint (out, h->channel_nonfinite[c]);
  calib_write_varint (out, !h->trt ? 0 : h->only_for_trt ? 2 : 1);
  if (h->trt) {
    guint64 bits;
    memcpy (&bits, &h->trt->range, sizeof bits);
    calib_write_le (out, bits, 8);
    write_bins (out, h->trt->bins, CALIB_TRT_BINS);
  }
}

/* --- Reading -------------------------------------------------------------------------------- */

/* The sum of the counts is added to *total; FALSE when it overflows. */
static gboolean
read_bins (CalibReader *r, guint64 *bins, guint n_bins, guint64 *total)
{
  const guint64 used = calib_read_varint (r);
  gboolean after_run = FALSE;
  if (used > n_bins)
    return FALSE;
  for (guint j = 0; j < used && !r->failed; j++) {
    bins[j] = calib_read_varint (r);
    if (bins[j] == 0) {
      const guint64 more = calib_read_varint (r);
      /* a run does not follow a run, and a bin follows it that is not empty */
      if (after_run || more >= used - 1 - j)
        return FALSE;
      j += more;
      after_run = TRUE;
      continue;
    }
    after_run = FALSE;
    if (!g_uint64_checked_add (total, *total, bins[j]))
      return FALSE;
  }
  return !r->failed;
}

/* Whether the outermost bins are those that the extrema fall into. */
static gboolean
bins_fit (const CalibHistogram *h)
{
  const float low = h->min > 0 ? h->min : h->max < 0 ? -h->max : 0;
  const float high[2] = {h->max, -h->min};

  for (int half = 0; half < 2; half++) {
    const guint64 *bins = h->bins + half * CALIB_BINS;
    const int last = high[half] > 0 ? (int) ldexpf (high[half], -h->exponent) : -1;
    const int first = low > 0 && last >= 0 ? (int) ldexpf (low, -h->exponent) : 0;
    for (int j = 0; j < CALIB_BINS; j++)
      if (bins[j] != 0 && (j < first || j > last))
        return FALSE;
    if (last >= 0 && (bins[last] == 0 || (low > 0 && bins[first] == 0)))
      return FALSE;
  }
  return TRUE;
}

static gboolean
is_plain (float x)
{
  return isfinite (x) && !(x == 0 && signbit (x));
}

/* What every sequence of calib_histogram_add() and _merge() keeps true. */
static gboolean
is_consistent (const CalibHistogram *h, guint64 n_binned)
{
  if (h->n_nonfinite > h->n || h->n_zero > h->n - h->n_nonfinite ||
      n_binned != calib_histogram_n_binned (h) || (h->channels > 0 && h->n % h->channels != 0) ||
      !is_plain (h->min) || !is_plain (h->max) || h->min > h->max)
    return FALSE;
  if (h->n_zero > 0 && (h->min > 0 || h->max < 0))
    return FALSE;
  /* an extremum of 0 is a zero that was counted, or there is no finite value */
  if (h->n_zero == 0 && n_binned > 0 && (h->min == 0 || h->max == 0))
    return FALSE;
  if (n_binned == 0)
    return h->min == 0 && h->max == 0;
  return calib_histogram_max_abs (h) > 0;
}

static gboolean
read_sums (CalibReader *r, CalibHistogram *h)
{
  guint64 n_nonfinite = 0;

  for (guint c = 0; c < h->channels; c++) {
    const CalibUint128 z = calib_read_varint_wide (r, 128);
    const CalibSum sum = (CalibSum) (z >> 1 ^ -(z & 1));
    /* within what n values can sum up to, and so within high and low */
    const CalibSum most = (CalibSum) (h->n / h->channels) << 61;
    if (sum > most || sum < -most)
      return FALSE;
    calib_histogram_set_sum (h, c, sum);
  }
  if (h->n_nonfinite > 0 && h->channels > 0) {
    h->channel_nonfinite = g_new0 (guint64, h->channels);
    for (guint c = 0; c < h->channels; c++) {
      h->channel_nonfinite[c] = calib_read_varint (r);
      if (h->channel_nonfinite[c] > h->n / h->channels)
        return FALSE;
      n_nonfinite += h->channel_nonfinite[c]; /* at most n */
    }
    if (n_nonfinite != h->n_nonfinite)
      return FALSE;
  }
  return !r->failed;
}

static gboolean
read_trt (CalibReader *r, CalibHistogram *h, CalibHistogramFlags flags)
{
  const guint64 present = calib_read_varint (r);
  if (present == 0)
    return !r->failed;
  if (present > 2 || !(flags & CALIB_HISTOGRAM_TENSORRT))
    return FALSE;

  guint64 n = 0;
  const guint64 bits = calib_read_le (r, 8);
  h->only_for_trt = present == 2;
  h->trt = g_new0 (CalibTrtHistogram, 1);
  memcpy (&h->trt->range, &bits, sizeof bits);
  if (!read_bins (r, h->trt->bins, CALIB_TRT_BINS, &n) || n != calib_histogram_n_finite (h))
    return FALSE;
  if (calib_histogram_n_binned (h) == 0)
    return bits == 0;
  /* a float32 that may have been doubled beyond float32, and holds the largest value */
  const double range = h->trt->range;
  const double half = range > G_MAXFLOAT ? range / 2 : range;
  return range >= calib_histogram_max_abs (h) && range < 0x1p129 && (double) (float) half == half;
}

CalibHistogram *
calib_histogram_read (CalibReader *r, CalibHistogramFlags flags)
{
  const guint64 channels = calib_read_varint (r);
  guint64 n_binned = 0;
  /* every channel takes a byte at least: what is allocated is bounded by the size of the file */
  if (channels > MIN (calib_reader_left (r), G_MAXINT32))
    return NULL;

  g_autoptr (CalibHistogram) h = calib_histogram_new (channels, CALIB_HISTOGRAM_DEFAULT);
  h->n = calib_read_varint (r);
  h->n_zero = calib_read_varint (r);
  h->n_nonfinite = calib_read_varint (r);
  const guint32 min = calib_read_le (r, 4), max = calib_read_le (r, 4);
  memcpy (&h->min, &min, 4);
  memcpy (&h->max, &max, 4);
  if (!read_bins (r, h->bins, CALIB_BINS, &n_binned) ||
      !read_bins (r, h->bins + CALIB_BINS, CALIB_BINS, &n_binned) || !is_consistent (h, n_binned))
    return NULL;
  if (n_binned > 0)
    h->exponent = calib_histogram_exponent_for (calib_histogram_max_abs (h));
  if (!bins_fit (h) || !read_sums (r, h) || !read_trt (r, h, flags))
    return NULL;
  return g_steal_pointer (&h);
}
