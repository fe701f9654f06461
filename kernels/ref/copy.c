/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * copy.c: reference of copy_s8 and copy_f32: rows between two strides.
 */
#include "kernels/backend.h"

#include <string.h>

void
kernel_copy_s8_ref (const KernelCopy *args, KernelQueue *queue)
{
  for (size_t row = 0; row < args->rows; row++) {
    const int8_t *x = (const int8_t *) args->x + row * args->x_stride;
    int8_t *y = (int8_t *) args->y + row * args->y_stride;

    for (size_t i = 0; i < args->width; i++)
      y[i] = args->lut ? args->lut[x[i] + 128] : x[i];
  }
}

void
kernel_copy_f32_ref (const KernelCopy *args, KernelQueue *queue)
{
  for (size_t row = 0; row < args->rows; row++)
    memcpy ((float *) args->y + row * args->y_stride,
        (const float *) args->x + row * args->x_stride, args->width * sizeof (float));
}
