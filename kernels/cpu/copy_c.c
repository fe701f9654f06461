/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * copy_c.c: copy_f32 over all threads, for every instruction set.
 */
#include "kernels/cpu/cpu.h"

#include <string.h>

/* Values per part: some microseconds of work. */
#define GRAIN 16384

static void
copy_range (const void *ctx, size_t begin, size_t end)
{
  const KernelCopy *args = ctx;

  for (size_t row = begin; row < end; row++)
    memcpy ((float *) args->y + row * args->y_stride,
        (const float *) args->x + row * args->x_stride, args->width * sizeof (float));
}

void
kernel_copy_f32_c (const KernelCopy *args, KernelQueue *queue)
{
  kernel_pool_range (queue->pool, copy_range, args, args->rows, 1 + GRAIN / (1 + args->width));
}
