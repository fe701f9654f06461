/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * softmax.c: reference of softmax_f32. A NaN or +infinity in a row makes the whole row NaN.
 */
#include "kernels/backend.h"
#include "kernels/float-math.h"
#include "kernels/ref/rows.h"

/* y may be x: the terms of the sum are kept in y only where x is not needed again. */
static void
softmax_row (const float *x, float *y, int c, bool log)
{
  float max = x[0], partial[KERNEL_ROW_LANES] = {0};

  for (int i = 1; i < c; i++)
    max = x[i] > max ? x[i] : max;
  for (int i = 0; i < c; i++) {
    const float term = kernel_expf (x[i] - max);

    partial[i % KERNEL_ROW_LANES] += term;
    if (!log)
      y[i] = term;
  }
  const float sum = kernel_row_total (partial), log_sum = kernel_logf (sum);

  for (int i = 0; i < c; i++)
    y[i] = log ? x[i] - max - log_sum : y[i] / sum;
}

void
kernel_softmax_f32_ref (const KernelSoftmax *args, KernelQueue *queue)
{
  for (size_t row = 0; row < args->rows; row++)
    softmax_row (args->x + row * args->c, args->y + row * args->c, args->c, args->log);
}
