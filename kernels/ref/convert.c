/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * convert.c: reference of quantise_s8 and dequantise_f32.
 */
#include "kernels/backend.h"
#include "kernels/requant.h"

void
kernel_quantise_s8_ref (const KernelConvert *args, KernelQueue *queue)
{
  const float *x = args->x;
  int8_t *y = args->y;

  for (size_t i = 0; i < args->size; i++)
    y[i] = kernel_round_s8 (fmaf (x[i], args->m, (float) args->zero), -128, 127);
}

void
kernel_dequantise_f32_ref (const KernelConvert *args, KernelQueue *queue)
{
  const int8_t *x = args->x;
  float *y = args->y;

  for (size_t i = 0; i < args->size; i++)
    y[i] = (float) (x[i] - args->zero) * args->m;
}
