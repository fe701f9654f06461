/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * softmax.c: reference of softmax_f32. The sum runs from +0 in ascending order. A NaN or +infinity
 * in a row makes the whole row NaN.
 */
#include "kernels/backend.h"
#include "kernels/float-math.h"

static void
softmax_row (const KernelSoftmax *args, const float *x, float *y)
{
  float max = x[0], sum = 0.0f;

  for (int i = 1; i < args->c; i++)
    max = x[i] > max ? x[i] : max;
  for (int i = 0; i < args->c; i++)
    sum += kernel_expf (x[i] - max);
  if (args->log) {
    const float log_sum = kernel_logf (sum);

    for (int i = 0; i < args->c; i++)
      y[i] = x[i] - max - log_sum;
  } else {
    for (int i = 0; i < args->c; i++)
      y[i] = kernel_expf (x[i] - max) / sum;
  }
}

void
kernel_softmax_f32_ref (const KernelSoftmax *args, KernelQueue *queue)
{
  for (size_t row = 0; row < args->rows; row++)
    softmax_row (args, args->x + row * args->c, args->y + row * args->c);
}
