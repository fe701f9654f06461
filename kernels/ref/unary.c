/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * unary.c: reference of unary_f32. A product and a sum are rounded apart here: the header says no
 * fmaf.
 */
#include "kernels/backend.h"
#include "kernels/float-math.h"
#include "kernels/requant.h"

static float
apply (KernelUnary kind, float alpha, float beta, float x)
{
  switch (kind) {
  case KERNEL_UNARY_CLIP:
    return kernel_clamp_f32 (x, alpha, beta);
  case KERNEL_UNARY_LEAKY_RELU:
    return x < 0.0f ? alpha * x : x;
  case KERNEL_UNARY_SIGMOID:
    return 1.0f / (1.0f + kernel_expf (-x));
  case KERNEL_UNARY_HARD_SIGMOID:
    return kernel_clamp_f32 (alpha * x + beta, 0.0f, 1.0f);
  case KERNEL_UNARY_HARD_SWISH:
    return x * kernel_clamp_f32 (x / 6.0f + 0.5f, 0.0f, 1.0f);
  case KERNEL_UNARY_SILU:
    return x / (1.0f + kernel_expf (-x));
  case KERNEL_UNARY_COUNT:
    break;
  }
  return NAN; /* not a kind */
}

void
kernel_unary_f32_ref (const KernelUnaryF32 *args, KernelQueue *queue)
{
  for (size_t i = 0; i < args->size; i++)
    args->y[i] = apply (args->kind, args->alpha, args->beta, args->x[i]);
}
