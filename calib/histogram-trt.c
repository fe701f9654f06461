/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * histogram-trt.c: the histogram that TensorRT's calibrators keep, in float32 as they compute it.
 * Its range depends on the first batch, so it depends on the order of frames and cannot be merged.
 */
#include "calib/private.h"

#include <math.h>
#include <string.h>

static float
finite_max_abs (const float *x, gsize n)
{
  float max = 0;
  for (gsize i = 0; i < n; i++) {
    const float a = fabsf (x[i]);
    if (a <= G_MAXFLOAT && a > max)
      max = a;
  }
  return max;
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
  for (gsize i = 0; i < n; i++) {
    const float a = fabsf (x[i]);
    if (!(a <= G_MAXFLOAT))
      continue;
    const float at = tiny ? a * 0x1p127f * 0x1p34f : a * to_bin;
    trt->bins[(int) (at < CALIB_TRT_BINS - 1 ? at : CALIB_TRT_BINS - 1)]++;
  }
}
