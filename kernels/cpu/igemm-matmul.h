/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * igemm-matmul.h: products of two activations with the tiles of igemm.h: the second operand is packed like
 * weights when it is there.
 */
#pragma once

#include "kernels/cpu/igemm.h"

/* Which of an instruction set's kinds suits a layer. */
typedef const IgemmKind *(*MatmulKindFn) (const KernelConvShape *shape);

size_t kernel_matmul_scratch (MatmulKindFn kind_of, const KernelMatmul *args, KernelQueue *queue);
void kernel_matmul_run (MatmulKindFn kind_of, const KernelMatmul *args, bool y_f32,
    KernelQueue *queue);

/* The slots of an instruction set, kernel_<slot>_<suffix>. */
/* clang-format off */
#define MATMUL_S8_SLOTS(suffix, kind_of)                                                           \
  size_t kernel_matmul_s8_scratch_##suffix (const KernelMatmul *args, KernelQueue *queue)          \
  {                                                                                                \
    return kernel_matmul_scratch (kind_of, args, queue);                                           \
  }                                                                                                \
  void kernel_matmul_s8_##suffix (const KernelMatmul *args, KernelQueue *queue)                    \
  {                                                                                                \
    kernel_matmul_run (kind_of, args, false, queue);                                               \
  }                                                                                                \
  void kernel_matmul_s8_f32_##suffix (const KernelMatmul *args, KernelQueue *queue)                \
  {                                                                                                \
    kernel_matmul_run (kind_of, args, true, queue);                                                \
  }

#define MATMUL_F32_SLOTS(suffix, kind_of)                                                          \
  size_t kernel_matmul_f32_scratch_##suffix (const KernelMatmul *args, KernelQueue *queue)         \
  {                                                                                                \
    return kernel_matmul_scratch (kind_of, args, queue);                                           \
  }                                                                                                \
  void kernel_matmul_f32_##suffix (const KernelMatmul *args, KernelQueue *queue)                   \
  {                                                                                                \
    kernel_matmul_run (kind_of, args, true, queue);                                                \
  }
/* clang-format on */
