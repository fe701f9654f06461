/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * requant.h: the one requantisation, shared by C, SIMD tails and CUDA.
 *
 * Every file that includes it is compiled with -ffp-contract=off: the two steps are fused because
 * fmaf says so, never because a compiler liked it.
 */
#pragma once

#include <math.h>
#include <stdint.h>

#ifdef __CUDACC__
#define KERNEL_INLINE static inline __host__ __device__
#else
#define KERNEL_INLINE static inline
#endif

/* Round half to even, then clamp. The bounds are applied in float, before the conversion, so that
 * no t overflows it; fmaxf drops a NaN, which therefore gives lo. */
KERNEL_INLINE int8_t
kernel_round_s8 (float t, int lo, int hi)
{
#ifdef __CUDA_ARCH__
  /* The bounds are integers, so that rounding may come last, in the conversion: one step less. */
  return (int8_t) __float2int_rn (fminf (fmaxf (t, (float) lo), (float) hi));
#else
  return (int8_t) fminf (fmaxf (rintf (t), (float) lo), (float) hi);
#endif
}

/* From an accumulator to levels of y: m and b are in units of its scale, lo and hi are levels, -128 .. 127. */
KERNEL_INLINE int8_t
kernel_requant_s8 (int32_t acc, float m, float b, int lo, int hi)
{
  return kernel_round_s8 (fmaf ((float) acc, m, b), lo, hi);
}

/* m and b of an average pool: the sum of v levels of x, divided by d. ratio: s_x / s_y; for float output
 * s_x, and zero_y 0. */
KERNEL_INLINE void
kernel_requant_average (double ratio, int d, int v, int zero_x, int zero_y, float *m, float *b)
{
  const double per_pixel = ratio / d;

  *m = (float) per_pixel;
  *b = (float) (zero_y - (double) v * zero_x * per_pixel);
}

/* b of a column of matmul_s8, whose levels of x2 have this sum; m: s_1 s_2 factor / s_y. */
KERNEL_INLINE float
kernel_requant_matmul (float m, int zero_x1, int32_t sum, int zero_y)
{
  return (float) (zero_y - (double) m * zero_x1 * sum);
}

/* Bounds for floats that let a NaN through. */
KERNEL_INLINE float
kernel_clamp_f32 (float t, float lo, float hi)
{
  t = t < lo ? lo : t;
  return t > hi ? hi : t;
}
