/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * maxpool.c: reference of maxpool_s8 and maxpool_f32.
 */
#include "kernels/backend.h"
#include "kernels/ref/pool-window.h"

#include <math.h>

static int8_t
max_s8 (const KernelPoolS8 *args, const KernelPoolWindow *w, size_t n, int c)
{
  int8_t max = INT8_MIN;

  for (int kh = w->kh0; kh < w->kh1; kh++) {
    for (int kw = w->kw0; kw < w->kw1; kw++) {
      const int8_t x = args->x[kernel_pool_index (&args->shape, w, n, kh, kw) + c];

      max = x > max ? x : max;
    }
  }
  return max;
}

/* Of equal values (-0 and +0) the first in (kh, kw) order stays; so does the first NaN. */
static float
max_f32 (const KernelPoolF32 *args, const KernelPoolWindow *w, size_t n, int c)
{
  float max = -INFINITY;

  for (int kh = w->kh0; kh < w->kh1; kh++) {
    for (int kw = w->kw0; kw < w->kw1; kw++) {
      const float x = args->x[kernel_pool_index (&args->shape, w, n, kh, kw) + c];

      if (x > max || (isnan (x) && !isnan (max)))
        max = x;
    }
  }
  return max;
}

void
kernel_maxpool_s8_ref (const KernelPoolS8 *args, KernelQueue *queue)
{
  const KernelPoolShape *s = &args->shape;
  int8_t *y = args->y;

  for (int n = 0; n < s->n; n++) {
    for (int oh = 0; oh < s->oh; oh++) {
      for (int ow = 0; ow < s->ow; ow++) {
        const KernelPoolWindow w = kernel_pool_window (s, oh, ow);

        for (int c = 0; c < s->c; c++)
          *y++ = max_s8 (args, &w, n, c);
      }
    }
  }
}

void
kernel_maxpool_f32_ref (const KernelPoolF32 *args, KernelQueue *queue)
{
  const KernelPoolShape *s = &args->shape;
  float *y = args->y;

  for (int n = 0; n < s->n; n++) {
    for (int oh = 0; oh < s->oh; oh++) {
      for (int ow = 0; ow < s->ow; ow++) {
        const KernelPoolWindow w = kernel_pool_window (s, oh, ow);

        for (int c = 0; c < s->c; c++)
          *y++ = max_f32 (args, &w, n, c);
      }
    }
  }
}
