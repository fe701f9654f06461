/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lrn.c: reference of lrn_f32.
 */
#include "kernels/backend.h"
#include "kernels/float-math.h"

void
kernel_lrn_f32_ref (const KernelLrn *args, KernelQueue *queue)
{
  for (size_t row = 0; row < args->rows; row++) {
    const float *x = args->x + row * args->c;

    for (int i = 0; i < args->c; i++) {
      const int first = i < args->before ? 0 : i - args->before;
      const int last = i + args->after < args->c ? i + args->after : args->c - 1;
      float sum = 0.0f;

      for (int k = first; k <= last; k++)
        sum = fmaf (x[k], x[k], sum);
      args->y[row * args->c + i] =
          kernel_lrn_of (x[i], fmaf (sum, args->alpha, args->bias), args->beta);
    }
  }
}
