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

/* A bin of the positive half, of the negative half, or a cell of zeros. */
static inline void
locate_n (const float *x, guint n, float to_bin, guint16 *at)
{
  for (guint i = 0; i < n; i++) {
    const guint32 bits = calib_bits (x[i]);
    const gint32 bin = (gint32) (fabsf (x[i]) * to_bin) + (gint32) (bits >> 31) * CALIB_BINS;
    const gint32 zero = -(gint32) ((bits & ~SIGN) == 0); /* a mask: no branch is predictable here */
    at[i] = (guint16) ((bin & ~zero) | ((2 * CALIB_BINS + (gint32) (i % ZERO_CELLS)) & zero));
  }
}

/* Of a block without NaNs. */
static inline float
max_abs_of (const BlockScan *s)
{
  return MAX (float_of_key (s->max), -float_of_key (s->min));
}

/* --- Counting ------------------------------------------------------------------------------- */

/* What a call counts on its way to the bins: of a quarter of their size, so that what is hit often stays in
 * the first-level cache. Emptied into the bins before a cell can overflow. */
#define COUNTS_MAX 65535
typedef struct {
  guint16 cells[2 * CALIB_BINS + ZERO_CELLS]; /* as the histogram's bins */
  guint n;                                    /* values in them */
  guint top;                                  /* cells from here on, of either half, are 0 */
} Counts;

/* The first n cells at least. Far from zero they are few: a line of cells is 256 bytes of bins. */
#define LINE 32
CALIB_CLONES static void
empty_half (guint64 *restrict bins, guint16 *restrict cells, guint n)
{
  for (guint j = 0; j < n; j += LINE) {
    guint16 any = 0;
    for (guint k = j; k < j + LINE; k++)
      any |= cells[k];
    if (any == 0)
      continue;
    for (guint k = j; k < j + LINE; k++) {
      bins[k] += cells[k];
      cells[k] = 0;
    }
  }
}

static void
empty (CalibHistogram *h, Counts *c)
{
  empty_half (h->bins, c->cells, c->top);
  if (h->min < 0)
    empty_half (h->bins + CALIB_BINS, c->cells + CALIB_BINS, c->top);
  for (guint i = 0; i < ZERO_CELLS; i++) {
    h->n_zero += c->cells[2 * CALIB_BINS + i];
    c->cells[2 * CALIB_BINS + i] = 0;
  }
  c->n = c->top = 0;
}

/* Unrolled by hand: a taken branch a value would double the time. */
static inline void
count_cells (Counts *c, const guint16 *at, guint n)
{
  guint16 *cells = c->cells;
  guint i = 0;
  for (; i + 8 <= n; i += 8) {
    cells[at[i]]++;
    cells[at[i + 1]]++;
    cells[at[i + 2]]++;
    cells[at[i + 3]]++;
    cells[at[i + 4]]++;
    cells[at[i + 5]]++;
    cells[at[i + 6]]++;
    cells[at[i + 7]]++;
  }
  for (; i < n; i++)
    cells[at[i]]++;
}

static inline void
count_bins (CalibHistogram *h, const guint16 *at, guint n)
{
  guint64 *bins = h->bins;
  for (guint i = 0; i < n; i++)
    bins[at[i]]++;
  for (guint i = 0; i < ZERO_CELLS; i++) {
    h->n_zero += bins[2 * CALIB_BINS + i];
    bins[2 * CALIB_BINS + i] = 0;
  }
}

/* Room for this magnitude, and extrema. What was counted with another exponent goes to the bins first. */
static void
extend (CalibHistogram *h, Counts *c, const BlockScan *s)
{
  const float min = float_of_key (s->min), max = float_of_key (s->max);
  const float max_abs = max_abs_of (s), before = calib_histogram_max_abs (h);

  if (max_abs > 0 && (before == 0 || calib_histogram_exponent_for (max_abs) > h->exponent)) {
    if (c)
      empty (h, c);
    grow (h, max_abs);
  }
  if (calib_histogram_n_finite (h) == 0) {
    h->min = min;
    h->max = max;
  } else {
    h->min = MIN (h->min, min);
    h->max = MAX (h->max, max);
  }
}

/* Counts n <= BLOCK finite values; c may be NULL. */
CALIB_CLONES static void
count (CalibHistogram *h, Counts *c, const float *x, guint n, const BlockScan *s)
{
  guint16 at[BLOCK];

  extend (h, c, s);
  const float to_bin = ldexpf (1.0f, -h->exponent);
  if (n == BLOCK)
    locate_n (x, BLOCK, to_bin, at);
  else
    locate_n (x, n, to_bin, at);
  h->n += n;
  if (!c) {
    count_bins (h, at, n);
    return;
  }
  if (c->n + n > COUNTS_MAX)
    empty (h, c);
  count_cells (c, at, n);
  c->n += n;
  c->top = MAX (c->top, (guint) (max_abs_of (s) * to_bin) + 1);
}

/* --- Adding --------------------------------------------------------------------------------- */

/* A block with NaNs or infinities in it: counts what remains without them. */
static void
count_finite (CalibHistogram *h, Counts *c, const float *x, guint n)
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
    count (h, c, finite, n_finite, &s);
  }
}

/* A block is a page long, and hardware does not look ahead beyond a page: what comes next is fetched while
 * this block is counted. */
#define CACHE_LINE 16 /* values */
static inline void
fetch_block (const float *x)
{
  for (guint i = 0; i < BLOCK; i += CACHE_LINE)
    __builtin_prefetch (x + i);
}

static void
add (CalibHistogram *h, Counts *c, const float *x, gsize n)
{
  for (gsize i = 0; i < n; i += BLOCK) {
    const guint length = MIN (BLOCK, n - i);
    const BlockScan s = scan (x + i, length);
    if (n - i >= 2 * BLOCK)
      fetch_block (x + i + BLOCK);
    if (all_finite (&s))
      count (h, c, x + i, length, &s);
    else
      count_finite (h, c, x + i, length);
    if (h->channels > 0)
      calib_sums_add (h, x + i, length, i % h->channels,
          all_finite (&s) ? max_abs_of (&s) : INFINITY);
  }
}

/* A function of its own: 64 KiB of stack for those who need them. */
G_NO_INLINE static void
add_many (CalibHistogram *h, const float *x, gsize n)
{
  Counts counts;
  memset (&counts, 0, sizeof counts);
  add (h, &counts, x, n);
  empty (h, &counts);
}

/* From so many values on, counting aside costs less than it saves. */
#define MANY 16384

void
calib_histogram_add (CalibHistogram *h, const float *x, gsize n)
{
  g_return_if_fail (h->channels == 0 || n % h->channels == 0);

  if (h->trt)
    calib_trt_add (h->trt, x, n);
  if (n >= MANY)
    add_many (h, x, n);
  else
    add (h, NULL, x, n);
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
