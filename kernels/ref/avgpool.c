/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * avgpool.c: reference of avgpool_s8, avgpool_s8_f32 and avgpool_f32.
 */
#include "kernels/backend.h"
#include "kernels/ref/pool-window.h"
#include "kernels/requant.h"

static int32_t
sum_s8 (const KernelPoolS8 *args, const KernelPoolWindow *w, size_t n, int c)
{
  int32_t sum = 0;

  for (int kh = w->kh0; kh < w->kh1; kh++)
    for (int kw = w->kw0; kw < w->kw1; kw++)
      sum += args->x[kernel_pool_index (&args->shape, w, n, kh, kw) + c];
  return sum;
}

static float
sum_f32 (const KernelPoolF32 *args, const KernelPoolWindow *w, size_t n, int c)
{
  float sum = 0.0f;

  for (int kh = w->kh0; kh < w->kh1; kh++)
    for (int kw = w->kw0; kw < w->kw1; kw++)
      sum += args->x[kernel_pool_index (&args->shape, w, n, kh, kw) + c];
  return sum;
}

/* One of y_s8 and y_f32 is given. */
static void
average_s8 (const KernelPoolS8 *args, int8_t *y_s8, float *y_f32)
{
  const KernelPoolShape *s = &args->shape;
  size_t i = 0;

  for (int n = 0; n < s->n; n++) {
    for (int oh = 0; oh < s->oh; oh++) {
      for (int ow = 0; ow < s->ow; ow++) {
        const KernelPoolWindow w = kernel_pool_window (s, oh, ow);
        const int v = (w.kh1 - w.kh0) * (w.kw1 - w.kw0);
        float m, b;

        kernel_requant_average (args->ratio, w.divisor, v, args->zero_x, args->zero_y, &m, &b);
        for (int c = 0; c < s->c; c++, i++) {
          const int32_t sum = sum_s8 (args, &w, n, c);

          if (y_s8)
            y_s8[i] = kernel_requant_s8 (sum, m, b, -128, 127);
          else
            y_f32[i] = fmaf ((float) sum, m, b);
        }
      }
    }
  }
}

void
kernel_avgpool_s8_ref (const KernelPoolS8 *args, KernelQueue *queue)
{
  average_s8 (args, args->y, NULL);
}

void
kernel_avgpool_s8_f32_ref (const KernelPoolS8 *args, KernelQueue *queue)
{
  average_s8 (args, NULL, args->y);
}

void
kernel_avgpool_f32_ref (const KernelPoolF32 *args, KernelQueue *queue)
{
  const KernelPoolShape *s = &args->shape;
  float *y = args->y;

  for (int n = 0; n < s->n; n++) {
    for (int oh = 0; oh < s->oh; oh++) {
      for (int ow = 0; ow < s->ow; ow++) {
        const KernelPoolWindow w = kernel_pool_window (s, oh, ow);

        for (int c = 0; c < s->c; c++)
          *y++ = sum_f32 (args, &w, n, c) / (float) w.divisor;
      }
    }
  }
}
