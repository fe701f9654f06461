/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lut.c: reference of lut_s8: any unary function on int8.
 */
#include "kernels/backend.h"

void
kernel_lut_s8_ref (const KernelLutS8 *args, KernelQueue *queue)
{
  for (size_t i = 0; i < args->size; i++)
    args->y[i] = args->lut[args->x[i] + 128];
}
