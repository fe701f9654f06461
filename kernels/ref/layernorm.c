/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * layernorm.c: reference of layernorm_f32.
 */
#include "kernels/backend.h"
#include "kernels/ref/rows.h"

#include <math.h>

static float
mean_of (const float *x, int c)
{
  float partial[KERNEL_ROW_LANES] = {0};

  for (int i = 0; i < c; i++)
    partial[i % KERNEL_ROW_LANES] += x[i];
  return kernel_row_total (partial) / (float) c;
}

static float
variance_of (const float *x, int c, float mean)
{
  float partial[KERNEL_ROW_LANES] = {0};

  for (int i = 0; i < c; i++)
    partial[i % KERNEL_ROW_LANES] = fmaf (x[i] - mean, x[i] - mean, partial[i % KERNEL_ROW_LANES]);
  return kernel_row_total (partial) / (float) c;
}

void
kernel_layernorm_f32_ref (const KernelLayernorm *args, KernelQueue *queue)
{
  for (size_t row = 0; row < args->rows; row++) {
    const float *x = args->x + row * args->c;
    float *y = args->y + row * args->c;
    const float mean = mean_of (x, args->c);
    const float factor = 1.0f / sqrtf (variance_of (x, args->c, mean) + args->epsilon);

    for (int i = 0; i < args->c; i++)
      y[i] = fmaf ((x[i] - mean) * factor, args->scale[i], args->shift[i]);
  }
}
