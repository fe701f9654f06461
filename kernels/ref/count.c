/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * count.c: reference of count_f32: extrema and sums first, because bins are as wide as the largest value
 * wants them.
 */
#include "kernels/backend.h"

#include <string.h>

static uint32_t
bits_of (float x)
{
  uint32_t bits;

  memcpy (&bits, &x, sizeof bits);
  return bits;
}

static void
add_to_channel (KernelChannelCounts *channel, float x)
{
  const float clamped = fminf (fmaxf (x, -KERNEL_COUNT_MAX_SUM), KERNEL_COUNT_MAX_SUM);
  const int64_t units = llrintf (clamped * KERNEL_COUNT_UNIT); /* the product is exact */

  channel->high += units >> 32;
  channel->low += (uint32_t) units;
}

static void
observe (const KernelCount *a, KernelChannelCounts *channels)
{
  KernelCounts *y = a->y;

  for (size_t i = 0; i < a->size; i++) {
    const uint32_t bits = bits_of (a->x[i]), key = kernel_count_key (bits);
    KernelChannelCounts *channel = a->channels > 0 ? &channels[i % a->channels] : NULL;

    if (!isfinite (a->x[i])) {
      y->n_nonfinite++;
      if (channel)
        channel->nonfinite++;
      continue;
    }
    y->highest = key > y->highest ? key : y->highest;
    y->lowest = ~key > y->lowest ? ~key : y->lowest;
    y->n_zero += (bits & ~KERNEL_COUNT_SIGN) == 0;
    if (channel)
      add_to_channel (channel, a->x[i]);
  }
}

static void
fold (uint64_t *bins, int folds)
{
  for (int f = 0; f < folds; f++) {
    for (int j = 0; j < KERNEL_COUNT_BINS / 2; j++)
      bins[j] = bins[2 * j] + bins[2 * j + 1];
    memset (bins + KERNEL_COUNT_BINS / 2, 0, KERNEL_COUNT_BINS / 2 * sizeof *bins);
  }
}

void
kernel_count_f32_ref (const KernelCount *a, KernelQueue *queue)
{
  KernelCounts *y = a->y;

  observe (a, (KernelChannelCounts *) (y + 1));
  const uint32_t range = kernel_count_range (y->highest, y->lowest);
  for (int half = 0; half < 2; half++)
    fold (y->bins[half], kernel_count_folds (y->range, range));
  y->range = range;
  y->n += a->size;

  const float to_bin = kernel_count_to_bin (range);
  for (size_t i = 0; i < a->size; i++) {
    const uint32_t bits = bits_of (a->x[i]);

    if (isfinite (a->x[i]) && a->x[i] != 0)
      y->bins[bits >> 31][(int) (fabsf (a->x[i]) * to_bin)]++;
  }
}
