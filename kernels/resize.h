/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * resize.h: what the kernels of resize_u8 share with resize-filter.c. Internal to kernels/.
 */
#pragma once

#include "kernels/kernels.h"

/* Whether the pass along this axis copies every pixel to its own place. Where there is one tap, its
 * weight is 1, because weights are normalised; and an axis of as many outputs as inputs that
 * reaches from the first to the last of them cannot repeat one. */
static inline bool
kernel_resize_skips (const KernelResizeAxis *axis)
{
  return axis->taps == 1 && axis->in == axis->out && axis->first[0] == 0 &&
         axis->first[axis->out - 1] == axis->in - 1;
}

/* The inputs [*begin, *end) that any output of the axis reads. */
static inline void
kernel_resize_span (const KernelResizeAxis *axis, int *begin, int *end)
{
  *begin = axis->in;
  *end = 0;
  for (int i = 0; i < axis->out; i++) {
    if (axis->first[i] < *begin)
      *begin = axis->first[i];
    if (axis->first[i] + axis->count[i] > *end)
      *end = axis->first[i] + axis->count[i];
  }
}

/* Scratch memory: the resized rows that the vertical pass reads ... */
static inline size_t
kernel_resize_rows_size (const KernelResizeAxis *h, const KernelResizeAxis *v, int channels)
{
  int begin, end;

  if (kernel_resize_skips (h) || kernel_resize_skips (v))
    return 0;
  kernel_resize_span (v, &begin, &end);
  return (size_t) (end - begin) * h->out * channels;
}

/* ... and behind them, for kernels that want it, the horizontal weights in their own layout: for
 * each output, chunks of 64 bytes for 16, 8, 4 or 4 pixels of 1 to 4 channels. */
static inline int
kernel_resize_chunks (const KernelResizeAxis *h, int channels)
{
  const int pixels = channels < 3 ? 16 / channels : 4;
  int count = 0;

  for (int i = 0; i < h->out; i++)
    if (h->count[i] > count)
      count = h->count[i];
  return (count + pixels - 1) / pixels;
}

/* A weighted sum that started at one half, as a byte. */
static inline uint8_t
kernel_resize_clip (int32_t sum)
{
  sum >>= KERNEL_RESIZE_BITS;
  return (uint8_t) (sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

#define KERNEL_RESIZE_HALF ((int32_t) 1 << (KERNEL_RESIZE_BITS - 1))
