/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * half.c: reference of the kernels of halves: the float kernel's formula, rounded once.
 */
#include "kernels/half.h"
#include "kernels/backend.h"
#include "kernels/float-math.h"
#include "kernels/ref/pool-window.h"

/* --- Element-wise --------------------------------------------------------------------------- */

/* The second operand of value i. */
static float
second (const KernelBinaryF16 *args, size_t i)
{
  const size_t image = i / args->c / args->rows;

  return kernel_half_to_f32 (args->x2[args->x2_broadcast  ? image * args->c + i % args->c
                                      : args->x2_repeated ? i % ((size_t) args->rows * args->c)
                                                          : i]);
}

void
kernel_add_f16_ref (const KernelBinaryF16 *args, KernelQueue *queue)
{
  for (size_t i = 0; i < (size_t) args->n * args->rows * args->c; i++) {
    const float sum = kernel_half_to_f32 (args->x1[i]) + second (args, i);

    args->y[i] = kernel_half_of_f32 (kernel_clamp_f32 (sum, args->lo, args->hi));
  }
}

void
kernel_mul_f16_ref (const KernelBinaryF16 *args, KernelQueue *queue)
{
  for (size_t i = 0; i < (size_t) args->n * args->rows * args->c; i++) {
    const float product = kernel_half_to_f32 (args->x1[i]) * second (args, i);

    args->y[i] = kernel_half_of_f32 (kernel_clamp_f32 (product, args->lo, args->hi));
  }
}

void
kernel_unary_f16_ref (const KernelUnaryF16 *args, KernelQueue *queue)
{
  for (size_t i = 0; i < args->size; i++)
    args->y[i] = kernel_half_of_f32 (
        kernel_unary_of (args->kind, args->alpha, args->beta, kernel_half_to_f32 (args->x[i])));
}

void
kernel_narrow_f16_ref (const KernelWidth *args, KernelQueue *queue)
{
  const float *x = args->x;
  KernelHalf *y = args->y;

  for (size_t i = 0; i < args->size; i++)
    y[i] = kernel_half_of_f32 (x[i]);
}

void
kernel_widen_f32_ref (const KernelWidth *args, KernelQueue *queue)
{
  const KernelHalf *x = args->x;
  float *y = args->y;

  for (size_t i = 0; i < args->size; i++)
    y[i] = kernel_half_to_f32 (x[i]);
}

/* --- Pools ---------------------------------------------------------------------------------- */

typedef float (*PoolFn) (const KernelPoolF16 *args, const KernelPoolWindow *w, size_t n, int c);

static float
maximum (const KernelPoolF16 *args, const KernelPoolWindow *w, size_t n, int c)
{
  float max = -INFINITY;

  for (int kh = w->kh0; kh < w->kh1; kh++) {
    for (int kw = w->kw0; kw < w->kw1; kw++) {
      const float x =
          kernel_half_to_f32 (args->x[kernel_pool_index (&args->shape, w, n, kh, kw) + c]);

      if (x > max || (isnan (x) && !isnan (max)))
        max = x;
    }
  }
  return max;
}

static float
average (const KernelPoolF16 *args, const KernelPoolWindow *w, size_t n, int c)
{
  float sum = 0.0f;

  for (int kh = w->kh0; kh < w->kh1; kh++)
    for (int kw = w->kw0; kw < w->kw1; kw++)
      sum += kernel_half_to_f32 (args->x[kernel_pool_index (&args->shape, w, n, kh, kw) + c]);
  return sum / (float) w->divisor;
}

static void
pool (const KernelPoolF16 *args, PoolFn fn)
{
  const KernelPoolShape *s = &args->shape;
  KernelHalf *y = args->y;

  for (int n = 0; n < s->n; n++) {
    for (int oh = 0; oh < s->oh; oh++) {
      for (int ow = 0; ow < s->ow; ow++) {
        const KernelPoolWindow w = kernel_pool_window (s, oh, ow);

        for (int c = 0; c < s->c; c++)
          *y++ = kernel_half_of_f32 (fn (args, &w, n, c));
      }
    }
  }
}

void
kernel_maxpool_f16_ref (const KernelPoolF16 *args, KernelQueue *queue)
{
  pool (args, maximum);
}

void
kernel_avgpool_f16_ref (const KernelPoolF16 *args, KernelQueue *queue)
{
  pool (args, average);
}
