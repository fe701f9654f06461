/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * elementwise.h: how element-wise operations are shared by the threads of a queue.
 */
#pragma once

#include "kernels/cpu/cpu.h"

/* Values per part: some microseconds of work; int8 goes faster by bytes of AVX-512. */
#define ELEMENTWISE_GRAIN      16384
#define ELEMENTWISE_BYTE_GRAIN 32768

/* Ranges of operations with two operands: they count rows of c values where the second is broadcast,
 * else values. */
static inline void
elementwise_split (const void *args, size_t rows, int c, bool broadcast, size_t grain,
    KernelQueue *queue, KernelPoolRangeFn fn)
{
  if (broadcast)
    kernel_pool_range (queue->pool, fn, args, rows, 1 + grain / c);
  else
    kernel_pool_range (queue->pool, fn, args, rows * c, grain);
}

/* Of KernelBinaryS8 and KernelBinaryF32. */
#define ELEMENTWISE_SPLIT(args, grain, queue, fn)                                                  \
  elementwise_split (args, (size_t) (args)->n *(args)->rows, (args)->c, (args)->x2_broadcast,      \
      grain, queue, fn)

/* clang-format off */
/* unary_f32 of an instruction set, from unary_range (args, begin, end, kind): a function for every
 * kind, so that none is chosen by value. */
#define ELEMENTWISE_UNARY_RANGE(name, kind)                                                        \
  static void name##_range (const void *ctx, size_t begin, size_t end)                             \
  {                                                                                                \
    unary_range (ctx, begin, end, kind);                                                           \
  }
#define ELEMENTWISE_UNARY_SLOT(suffix)                                                             \
  ELEMENTWISE_UNARY_RANGE (clip, KERNEL_UNARY_CLIP)                                                \
  ELEMENTWISE_UNARY_RANGE (leaky_relu, KERNEL_UNARY_LEAKY_RELU)                                    \
  ELEMENTWISE_UNARY_RANGE (sigmoid, KERNEL_UNARY_SIGMOID)                                          \
  ELEMENTWISE_UNARY_RANGE (hard_sigmoid, KERNEL_UNARY_HARD_SIGMOID)                                \
  ELEMENTWISE_UNARY_RANGE (hard_swish, KERNEL_UNARY_HARD_SWISH)                                    \
  ELEMENTWISE_UNARY_RANGE (silu, KERNEL_UNARY_SILU)                                                \
  void kernel_unary_f32_##suffix (const KernelUnaryF32 *args, KernelQueue *queue)                  \
  {                                                                                                \
    static const KernelPoolRangeFn range[KERNEL_UNARY_COUNT] = {                                   \
        [KERNEL_UNARY_CLIP] = clip_range,                                                          \
        [KERNEL_UNARY_LEAKY_RELU] = leaky_relu_range,                                              \
        [KERNEL_UNARY_SIGMOID] = sigmoid_range,                                                    \
        [KERNEL_UNARY_HARD_SIGMOID] = hard_sigmoid_range,                                          \
        [KERNEL_UNARY_HARD_SWISH] = hard_swish_range,                                              \
        [KERNEL_UNARY_SILU] = silu_range,                                                          \
    };                                                                                             \
    kernel_pool_range (queue->pool, range[args->kind], args, args->size, ELEMENTWISE_GRAIN);       \
  }
/* clang-format on */
