/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * binary.c: reference of add and mul, int8 and float.
 */
#include "kernels/backend.h"
#include "kernels/requant.h"

/* Where the second operand of value i lies. */
static size_t
second (bool broadcast, bool repeated, int rows, int c, size_t i)
{
  const size_t image = i / c / rows;

  return broadcast ? image * c + i % c : repeated ? i % ((size_t) rows * c) : i;
}

void
kernel_add_s8_ref (const KernelBinaryS8 *args, KernelQueue *queue)
{
  for (size_t i = 0; i < (size_t) args->n * args->rows * args->c; i++) {
    const int8_t x2 =
        args->x2[second (args->x2_broadcast, args->x2_repeated, args->rows, args->c, i)];
    const float t = fmaf ((float) args->x1[i], args->m1, fmaf ((float) x2, args->m2, args->b));

    args->y[i] = kernel_round_s8 (t, args->lo, args->hi);
  }
}

void
kernel_mul_s8_ref (const KernelBinaryS8 *args, KernelQueue *queue)
{
  for (size_t i = 0; i < (size_t) args->n * args->rows * args->c; i++) {
    const int8_t x2 =
        args->x2[second (args->x2_broadcast, args->x2_repeated, args->rows, args->c, i)];
    const int32_t product = (args->x1[i] - args->zero1) * (x2 - args->zero2);

    args->y[i] = kernel_requant_s8 (product, args->m1, args->b, args->lo, args->hi);
  }
}

void
kernel_add_f32_ref (const KernelBinaryF32 *args, KernelQueue *queue)
{
  for (size_t i = 0; i < (size_t) args->n * args->rows * args->c; i++) {
    const float x2 =
        args->x2[second (args->x2_broadcast, args->x2_repeated, args->rows, args->c, i)];

    args->y[i] = kernel_clamp_f32 (args->x1[i] + x2, args->lo, args->hi);
  }
}

void
kernel_mul_f32_ref (const KernelBinaryF32 *args, KernelQueue *queue)
{
  for (size_t i = 0; i < (size_t) args->n * args->rows * args->c; i++) {
    const float x2 =
        args->x2[second (args->x2_broadcast, args->x2_repeated, args->rows, args->c, i)];

    args->y[i] = kernel_clamp_f32 (args->x1[i] * x2, args->lo, args->hi);
  }
}
