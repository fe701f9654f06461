/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* unary.c: reference of unary_f32. */
#include "kernels/backend.h"
#include "kernels/float-math.h"

void
kernel_unary_f32_ref (const KernelUnaryF32 *args, KernelQueue *queue)
{
  for (size_t i = 0; i < args->size; i++)
    args->y[i] = kernel_unary_of (args->kind, args->alpha, args->beta, args->x[i]);
}
