/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * copy_avx512.c: copy_f32 with AVX-512: rows too short for memcpy() to be at its best.
 */
#include "kernels/cpu/lanes_avx512.h"

/* Values per part: some microseconds of work. */
#define GRAIN 16384
/* Values that are fetched before they are written: y's rows lie apart. */
#define AHEAD 512

static void
copy_range (const void *ctx, size_t begin, size_t end)
{
  const KernelCopy *args = ctx;
  const size_t width = args->width, ahead = (1 + AHEAD / (1 + width)) * args->y_stride;

  for (size_t row = begin; row < end; row++) {
    const float *x = (const float *) args->x + row * args->x_stride;
    float *y = (float *) args->y + row * args->y_stride;
    size_t i = 0;

    for (; i + 16 <= width; i += 16) {
      lanes_prefetch_write (y + i + ahead);
      _mm512_storeu_ps (y + i, _mm512_loadu_ps (x + i));
    }
    if (i < width) {
      const __mmask16 mask = lanes_mask (width - i);

      _mm512_mask_storeu_ps (y + i, mask, _mm512_maskz_loadu_ps (mask, x + i));
    }
  }
}

void
kernel_copy_f32_avx512 (const KernelCopy *args, KernelQueue *queue)
{
  kernel_pool_range (queue->pool, copy_range, args, args->rows, 1 + GRAIN / (1 + args->width));
}
