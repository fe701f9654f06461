/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * histogram-add.c: values into a histogram, a block at a time: what they are (all finite? which
 * extrema?), then their bins, then the counts. The first two are loops of vectors; the last is not,
 * and takes most of the time.
 */
#include "calib/private.h"

#include <math.h>
#include <string.h>

#define BLOCK      CALIB_BLOCK
#define ZERO_CELLS CALIB_ZERO_CELLS
#define SIGN       0x80000000u

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

/* n is a constant in the one call that matters: so compilers vectorise at -O2 as well. */
static inline CalibExtrema
scan_n (const float *x, guint n)
{
  gint32 min = G_MAXINT32, max = G_MININT32;
  for (guint i = 0; i < n; i++) {
    const gint32 key = key_of (x[i]);
    min = MIN (min, key);
    max = MAX (max, key);
  }
  return (CalibExtrema){min, max};
}

CALIB_CLONES static CalibExtrema
scan (const float *x, guint n)
{
  return n == BLOCK ? scan_n (x, BLOCK) : scan_n (x, n);
}

static inline gboolean
all_finite (const CalibExtrema *s)
{
  return s->max < (gint32) CALIB_INF && s->min > ~(gint32) CALIB_INF;
}

/* Of a block without NaNs. */
static inline float
max_abs_of (const CalibExtrema *s)
{
  return MAX (float_of_key (s->max), -float_of_key (s->min));
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

CALIB_CLONES static void
locate (const float *x, guint n, float to_bin, guint16 *at)
{
  if (n == BLOCK)
    locate_n (x, BLOCK, to_bin, at);
  else
    locate_n (x, n, to_bin, at);
}

/* --- Counting ------------------------------------------------------------------------------- */

/* Unrolled by hand: a taken branch a value would double the time. */
static inline void
count_bins (guint64 *bins, const guint16 *at, guint n)
{
  const guint16 *const end = at + n;

  for (; at + 4 <= end; at += 4) {
    bins[at[0]]++;
    bins[at[1]]++;
    bins[at[2]]++;
    bins[at[3]]++;
  }
  while (at < end)
    bins[*at++]++;
}

/* What is known of n <= BLOCK values. */
typedef struct {
  CalibExtrema extrema;
  gboolean located; /* `at` holds their bins, */
  guint n_at;       /* of so many, which are to be counted: the others are zeros */
  guint16 at[BLOCK + CALIB_LOCATE_SLACK];
} Block;

/* Extrema, and room for magnitudes up to max_abs where it is not 0. */
static void
extend (CalibHistogram *h, const CalibExtrema *s, float max_abs)
{
  const float min = float_of_key (s->min), max = float_of_key (s->max);

  if (max_abs > 0)
    calib_histogram_grow (h, max_abs);
  if (calib_histogram_n_finite (h) == 0) {
    h->min = min;
    h->max = max;
  } else {
    h->min = MIN (h->min, min);
    h->max = MAX (h->max, max);
  }
}

/* Values up to max_abs have bins. */
static inline gboolean
has_room (const CalibHistogram *h, float max_abs)
{
  return max_abs == 0 || (calib_histogram_n_binned (h) > 0 &&
                             calib_histogram_exponent_for (max_abs) <= h->exponent);
}

/* Finite values. Those that are located are left to be counted with the next block. */
static void
take (CalibHistogram *h, Block *block, const float *x, guint n)
{
  const float max_abs = max_abs_of (&block->extrema);
  const gboolean room = has_room (h, max_abs);

  extend (h, &block->extrema, room ? 0 : max_abs);
  h->n += n;
  if (room && block->located) {
    h->n_zero += n - block->n_at;
    return;
  }
  locate (x, n, ldexpf (1.0f, -h->exponent), block->at);
  count_bins (h->bins, block->at, n);
  for (guint i = 0; i < ZERO_CELLS; i++) {
    h->n_zero += h->bins[2 * CALIB_BINS + i];
    h->bins[2 * CALIB_BINS + i] = 0;
  }
  block->n_at = 0;
}

/* With NaNs or infinities among them: takes what remains without. */
static void
take_finite (CalibHistogram *h, Block *block, const float *x, guint n)
{
  float finite[BLOCK];
  guint n_finite = 0;

  for (guint i = 0; i < n; i++)
    if (isfinite (x[i]))
      finite[n_finite++] = x[i];
  h->n += n - n_finite;
  h->n_nonfinite += n - n_finite;
  block->located = FALSE;
  block->n_at = 0;
  if (n_finite > 0) {
    block->extrema = scan (finite, n_finite);
    take (h, block, finite, n_finite);
  }
}

/* --- Adding --------------------------------------------------------------------------------- */

/* A block is a page long, and hardware does not look ahead beyond a page: what comes next is fetched
 * while this block is counted. */
#define CACHE_LINE 16 /* values */
static inline void
fetch_block (const float *x, guint n)
{
  for (guint i = 0; i < n; i += CACHE_LINE)
    __builtin_prefetch (x + i);
}

static gboolean portable_only;

void
calib_set_portable (gboolean portable)
{
  portable_only = portable;
}

gboolean
calib_is_portable (void)
{
  return portable_only;
}

/* Extrema; with AVX-512 the bins in the same pass, by the exponent that there is, which is right for all but
 * the first blocks. What waits is counted. */
static void
look_at (CalibHistogram *h, const float *x, guint n, const float *next, Block *block,
    Block *waiting)
{
#ifdef CALIB_HAVE_AVX512
  if (n % CALIB_LOCATE_STEP == 0 && !portable_only && calib_has_avx512 ()) {
    block->n_at = calib_locate_avx512 (x, n, ldexpf (1.0f, -h->exponent), next, block->at,
        &block->extrema, h->bins, waiting->at, waiting->n_at);
    block->located = TRUE;
    waiting->n_at = 0;
    return;
  }
#endif
  count_bins (h->bins, waiting->at, waiting->n_at);
  waiting->n_at = 0;
  block->extrema = scan (x, n);
  block->located = FALSE;
  fetch_block (next, n);
}

void
calib_histogram_add (CalibHistogram *h, const float *x, gsize n)
{
  Block blocks[2], *block = &blocks[0], *waiting = &blocks[1];

  g_return_if_fail (h->channels == 0 || n % h->channels == 0);

  if (h->trt)
    calib_trt_add (h->trt, x, n);
  waiting->n_at = 0;
  for (gsize i = 0; i < n; i += BLOCK) {
    const guint length = MIN (BLOCK, n - i);
    Block *const before = waiting;

    look_at (h, x + i, length, n - i >= 2 * BLOCK ? x + i + BLOCK : x + i, block, waiting);
    const gboolean finite = all_finite (&block->extrema);
    const float max_abs = finite ? max_abs_of (&block->extrema) : INFINITY;
    if (finite)
      take (h, block, x + i, length);
    else
      take_finite (h, block, x + i, length);
    if (h->channels > 0)
      calib_sums_add (h, x + i, length, i % h->channels, max_abs);
    waiting = block;
    block = before;
  }
  count_bins (h->bins, waiting->at, waiting->n_at);
}
