/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * histogram.c: the streaming histogram of docs/CALIBRATION.md. Everything kept is a count, an
 * extremum or an integer sum, and the exponent follows from the extrema: so the state depends on
 * the values alone, not on their order, batches or the threads that saw them.
 */
#include "calib/private.h"

#include <math.h>
#include <string.h>

#define BLOCK      CALIB_BLOCK
#define ZERO_CELLS CALIB_ZERO_CELLS
#define SIGN       0x80000000u

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

/* --- Exponent ------------------------------------------------------------------------------- */

/* |x| / 2^e lies in [8192, 16384) for the largest |x|, unless the smallest exponent is wider. */
int
calib_histogram_exponent_for (float max_abs)
{
  int k;
  (void) frexpf (max_abs, &k);
  return MAX (k - 14, CALIB_MIN_EXPONENT);
}

/* Makes room for magnitudes up to max_abs > 0. */
static void
grow (CalibHistogram *h, float max_abs)
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

/* --- A block's values ----------------------------------------------------------------------- */

/* Integers in the order of the floats: -NaN < -inf < ... -1 < -0 < +0 < 1 ... < inf < NaN. Extrema
 * and the search for non-finite values are then one loop of vectors. */
static inline gint32
key_of (float x)
{
  const guint32 bits = calib_bits (x);
  return (gint32) (bits ^ ((guint32) ((gint32) bits >> 31) & ~SIGN));
}

static inline float
float_of_key (gint32 key)
{
  const guint32 bits = (guint32) key ^ ((guint32) (key >> 31) & ~SIGN);
  return calib_float (bits) + 0.0f; /* -0 + 0 = +0 */
}

typedef struct {
  gint32 min, max; /* keys */
} BlockScan;

/* n is a constant in the one call that matters: so compilers vectorise at -O2 as well. */
static inline BlockScan
scan_n (const float *x, guint n)
{
  gint32 min = G_MAXINT32, max = G_MININT32;
  for (guint i = 0; i < n; i++) {
    const gint32 key = key_of (x[i]);
    min = MIN (min, key);
    max = MAX (max, key);
  }
  return (BlockScan){min, max};
}

CALIB_CLONES static BlockScan
scan (const float *x, guint n)
{
  return n == BLOCK ? scan_n (x, BLOCK) : scan_n (x, n);
}

static inline gboolean
all_finite (const BlockScan *s)
{
  return s->max < (gint32) CALIB_INF && s->min > ~(gint32) CALIB_INF;
}

static inline void
locate_n (const float *x, guint n, float to_bin, gint32 *at)
{
  for (guint i = 0; i < n; i++) {
    const guint32 bits = calib_bits (x[i]);
    const gint32 bin = (gint32) (fabsf (x[i]) * to_bin) + (gint32) (bits >> 31) * CALIB_BINS;
    const gint32 zero = -(gint32) ((bits & ~SIGN) == 0); /* a mask: no branch is predictable here */
    at[i] = (bin & ~zero) | ((2 * CALIB_BINS + (gint32) (i % ZERO_CELLS)) & zero);
  }
}

/* Of a block without NaNs. */
static inline float
max_abs_of (const BlockScan *s)
{
  return MAX (float_of_key (s->max), -float_of_key (s->min));
}

/* Counts n finite values. */
CALIB_CLONES static void
count (CalibHistogram *h, const float *x, guint n, const BlockScan *s)
{
  const float min = float_of_key (s->min), max = float_of_key (s->max);
  const float max_abs = max_abs_of (s);

  if (max_abs > 0)
    grow (h, max_abs);
  if (calib_histogram_n_finite (h) == 0) {
    h->min = min;
    h->max = max;
  } else {
    h->min = MIN (h->min, min);
    h->max = MAX (h->max, max);
  }

  const float to_bin = ldexpf (1.0f, -h->exponent);
  gint32 at[BLOCK];
  if (n == BLOCK)
    locate_n (x, BLOCK, to_bin, at);
  else
    locate_n (x, n, to_bin, at);
  guint64 *bins = h->bins;
  for (guint i = 0; i < n; i++)
    bins[at[i]]++;
  for (guint i = 0; i < ZERO_CELLS; i++) {
    h->n_zero += bins[2 * CALIB_BINS + i];
    bins[2 * CALIB_BINS + i] = 0;
  }
  h->n += n;
}

/* --- Adding --------------------------------------------------------------------------------- */

/* A block with NaNs or infinities in it: counts what remains without them. */
static void
count_finite (CalibHistogram *h, const float *x, guint n)
{
  float finite[BLOCK];
  guint n_finite = 0;
  for (guint i = 0; i < n; i++)
    if (isfinite (x[i]))
      finite[n_finite++] = x[i];
  h->n += n - n_finite;
  h->n_nonfinite += n - n_finite;
  if (n_finite > 0) {
    const BlockScan s = scan (finite, n_finite);
    count (h, finite, n_finite, &s);
  }
}

void
calib_histogram_add (CalibHistogram *h, const float *x, gsize n)
{
  g_return_if_fail (h->channels == 0 || n % h->channels == 0);

  if (h->trt)
    calib_trt_add (h->trt, x, n);

  for (gsize i = 0; i < n; i += BLOCK) {
    const guint length = MIN (BLOCK, n - i);
    const BlockScan s = scan (x + i, length);
    if (all_finite (&s))
      count (h, x + i, length, &s);
    else
      count_finite (h, x + i, length);
    if (h->channels > 0)
      calib_sums_add (h, x + i, length, i % h->channels,
          all_finite (&s) ? max_abs_of (&s) : INFINITY);
  }
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
  grow (h, calib_histogram_max_abs (from));
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
