/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * copy.c: reference of copy_s8, copy_f16 and copy_f32: rows between two strides.
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

static void
copy (const KernelCopy *args, size_t element)
{
  for (size_t row = 0; row < args->rows; row++)
    memcpy ((char *) args->y + row * args->y_stride * element,
        (const char *) args->x + row * args->x_stride * element, args->width * element);
}

void
kernel_copy_f16_ref (const KernelCopy *args, KernelQueue *queue)
{
  copy (args, sizeof (KernelHalf));
}

void
kernel_copy_f32_ref (const KernelCopy *args, KernelQueue *queue)
{
  copy (args, sizeof (float));
}
