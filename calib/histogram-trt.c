/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * histogram-trt.c: the histogram that TensorRT's calibrators keep, in float32 as they compute it.
 * Its range depends on the first batch, so it depends on the order of frames and cannot be merged.
 */
#include "calib/private.h"

#include <math.h>
#include <string.h>

CALIB_CLONES static float
finite_max_abs (const float *x, gsize n)
{
  guint32 max = 0;
  for (gsize i = 0; i < n; i++) {
    const guint32 bits = calib_bits (fabsf (x[i])), finite = -(guint32) (bits < CALIB_INF);
    max = MAX (max, bits & finite);
  }
  return calib_float (max);
}

/* Cells behind the bins: of zeros, and one that nobody reads of values that are not finite. */
#define SKIPPED (CALIB_TRT_BINS + CALIB_ZERO_CELLS)
#define CELLS   (SKIPPED + 1)

CALIB_CLONES static void
locate (const float *x, guint n, float to_bin, gboolean tiny, gint32 *at)
{
  const guint32 last_bits = calib_bits (CALIB_TRT_BINS - 1);
  for (guint i = 0; i < n; i++) {
    const float a = fabsf (x[i]);
    const guint32 bits = calib_bits (tiny ? a * 0x1p127f * 0x1p34f : a * to_bin);
    const gint32 cell = (gint32) calib_float (MIN (bits, last_bits));
    const gint32 zero = -(gint32) (cell == 0), skip = -(gint32) (calib_bits (a) >= CALIB_INF);
    const gint32 spread =
        (cell & ~zero) | ((CALIB_TRT_BINS + (gint32) (i % CALIB_ZERO_CELLS)) & zero);
    at[i] = (spread & ~skip) | (SKIPPED & skip);
  }
}

void
calib_trt_add (CalibTrtHistogram *trt, const float *x, gsize n)
{
  const float max = finite_max_abs (x, n);

  /* A range of 0 would divide by zero: all-zero batches do not set it. */
  if (trt->range == 0)
    trt->range = max;
  while (max > trt->range) {
    for (int b = 0; b < CALIB_TRT_BINS / 2; b++)
      trt->bins[b] = trt->bins[2 * b] + trt->bins[2 * b + 1];
    memset (trt->bins + CALIB_TRT_BINS / 2, 0, CALIB_TRT_BINS / 2 * sizeof *trt->bins);
    trt->range *= 2;
  }

  /* Dividing in double and rounding once more gives the float32 quotient: 53 >= 2 * 24 + 2. It is
   * infinite for ranges below 2048 / FLT_MAX: whatever is no zero then belongs to the last bin. */
  const float to_bin = (float) (CALIB_TRT_BINS / trt->range);
  const gboolean tiny = to_bin > G_MAXFLOAT;
  guint64 cells[CELLS] = {0};
  for (gsize i = 0; i < n; i += CALIB_BLOCK) {
    const guint length = MIN (CALIB_BLOCK, n - i);
    gint32 at[CALIB_BLOCK];

    locate (x + i, length, to_bin, tiny, at);
    for (guint v = 0; v < length; v++)
      cells[at[v]]++;
  }
  for (int b = 0; b < CALIB_TRT_BINS; b++)
    trt->bins[b] += cells[b];
  for (int c = 0; c < CALIB_ZERO_CELLS; c++)
    trt->bins[0] += cells[CALIB_TRT_BINS + c];
}
