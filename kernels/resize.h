/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * resize.h: what the kernels of resize_u8 share with resize-filter.c. Internal to kernels/.
 */
#pragma once

#include "kernels/kernels.h"
#include "kernels/requant.h"

/* Scratch memory: the resized rows that the vertical pass reads ... */
static inline size_t
kernel_resize_rows_size (const KernelResizeAxis *h, const KernelResizeAxis *v, int channels)
{
  return h->identity || v->identity ? 0 : (size_t) (v->end - v->begin) * h->out * channels;
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
KERNEL_INLINE uint8_t
kernel_resize_clip (int32_t sum)
{
  sum >>= KERNEL_RESIZE_BITS;
  return (uint8_t) (sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

#define KERNEL_RESIZE_HALF ((int32_t) 1 << (KERNEL_RESIZE_BITS - 1))
