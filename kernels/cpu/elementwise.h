/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * elementwise.h: how element-wise operations are shared by the threads of a queue.
 */
#pragma once

#include "kernels/cpu/cpu.h"
#include "kernels/float-math.h"

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

/* The values of x2 where it is not broadcast; and how many of `count` from value `begin` on lie
 * before it starts anew. */
#define ELEMENTWISE_PERIOD(args)                                                                   \
  ((size_t) (args)->rows *(args)->c * ((args)->x2_repeated ? 1 : (args)->n))

static inline size_t
elementwise_until (size_t begin, size_t count, size_t period)
{
  const size_t left = period - begin % period;

  return count < left ? count : left;
}

/* Of KernelBinaryS8 and KernelBinaryF32. */
#define ELEMENTWISE_SPLIT(args, grain, queue, fn)                                                  \
  elementwise_split (args, (size_t) (args)->n *(args)->rows, (args)->c, (args)->x2_broadcast,      \
      grain, queue, fn)

/* Unary functions as float-math.h has them, for a kind that is constant: no branch is left in the loop,
 * so that the compiler vectorises it with the file's instruction set. y may be x. */
static inline __attribute__ ((always_inline)) void
elementwise_unary_range (const KernelUnaryF32 *args, size_t begin, size_t end,
    const KernelUnary kind)
{
  const float alpha = args->alpha, beta = args->beta;
  const float *x = args->x;
  float *y = args->y;

  KERNEL_IVDEP
  for (size_t i = begin; i < end; i++)
    y[i] = kernel_unary_of (kind, alpha, beta, x[i]);
}
