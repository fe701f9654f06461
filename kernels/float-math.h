/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * float-math.h: exp, log and the unary functions in float32, the same bits on every machine.
 *
 * Only +, -, /, fmaf, integer operations and selections, all of which IEEE 754 defines to the last
 * bit in round-to-nearest; no branch, so a SIMD version repeats the steps as they stand. Compiled
 * with -ffp-contract=off.
 */
#pragma once

#include "kernels/kernels.h"
#include "kernels/requant.h"

#include <string.h>

KERNEL_INLINE uint32_t
kernel_bits_of_f32 (float x)
{
  uint32_t bits;

  memcpy (&bits, &x, sizeof bits);
  return bits;
}

KERNEL_INLINE float
kernel_f32_of_bits (uint32_t bits)
{
  float x;

  memcpy (&x, &bits, sizeof x);
  return x;
}

/* exp (x) within 1.0 ulp for every float (0.94 measured over all of them), subnormal results
 * included; exactly 1 for both zeros, +0 below -104, +infinity above 88.73, NaN for NaN.
 *
 * Method: Cody and Waite, "Software Manual for the Elementary Functions", 1980, chapter 6.
 * x = n ln 2 + r with |r| <= 0.3466, exp (r) by its Taylor series to r^7 (the next term is below
 * 5.2e-9 = 0.09 * 2^-24), then 2^n in two factors, so that a subnormal result is rounded once. */
KERNEL_INLINE float
kernel_expf (float x)
{
  const float round = 0x1.8p23f; /* adding it leaves an integer in the low bits, rounded */
  const float clamped = kernel_clamp_f32 (x, -104.0f, 89.0f);
  const float shifted = fmaf (clamped, 0x1.715476p0f, round); /* 1 / ln 2 */
  const float n = shifted - round;
  const float r = fmaf (n, 0x1.05c610p-29f, fmaf (n, -0x1.62e430p-1f, clamped)); /* ln 2 in two */
  const uint32_t k = kernel_bits_of_f32 (shifted) - kernel_bits_of_f32 (round) + 256; /* n + 256 */
  const uint32_t half = k / 2; /* the two powers are half - 128 and k - half - 128 */
  float p = 0x1.a01a02p-13f;   /* 1 / 7! */

  p = fmaf (p, r, 0x1.6c16c2p-10f);
  p = fmaf (p, r, 0x1.111112p-7f);
  p = fmaf (p, r, 0x1.555556p-5f);
  p = fmaf (p, r, 0x1.555556p-3f);
  p = fmaf (p, r, 0.5f);
  p = fmaf (p, r, 1.0f);
  p = fmaf (p, r, 1.0f);
  return p * kernel_f32_of_bits ((half - 1) << 23) * kernel_f32_of_bits ((k - half - 1) << 23);
}

/* log (x) within 1.0 ulp for every float (0.86 measured), subnormals included; +0 for 1, -infinity
 * for both zeros, +infinity for +infinity, NaN below zero and for NaN.
 *
 * Method: as K. C. Ng's log in fdlibm (Sun Microsystems, 1993). x = 2^k (1 + f) with 1 + f in
 * [0.7071, 1.4142]; with s = f / (2 + f), log (1 + f) = 2 artanh (s) = 2s + s R (s^2), where R is
 * artanh's series to s^8 (the next term is below 2e-9 of the result); and 2s = f - s f. */
KERNEL_INLINE float
kernel_logf (float x)
{
  const float sqrt_half = 0x1.6a09e6p-1f;
  const float normal = x < 0x1p-126f ? x * 0x1p23f : x;
  const uint32_t above = kernel_bits_of_f32 (normal) - kernel_bits_of_f32 (sqrt_half);
  const int32_t exponent = (int32_t) above >> 23; /* rounds down: the shift of gcc and clang */
  const float k = (float) (x < 0x1p-126f ? exponent - 23 : exponent);
  const float f = kernel_f32_of_bits ((above & 0x7fffff) + kernel_bits_of_f32 (sqrt_half)) - 1.0f;
  const float s = f / (2.0f + f), z = s * s, half = 0.5f * f * f;
  float R = 0x1.c71c72p-3f; /* 2 / 9 */
  float y;

  R = fmaf (R, z, 0x1.24924ap-2f); /* 2 / 7 */
  R = fmaf (R, z, 0x1.99999ap-2f); /* 2 / 5 */
  R = fmaf (R, z, 0x1.555556p-1f); /* 2 / 3 */
  R = R * z;
  y = fmaf (k, -0x1.05c610p-29f, s * (half + R));
  y = fmaf (k, 0x1.62e430p-1f, f - (half - y));
  y = x == INFINITY ? x : y;
  y = x == 0.0f ? -INFINITY : y;
  return x >= 0.0f ? y : x < 0.0f ? NAN : x;
}

/* One value of unary_f32. A product and a sum are rounded apart: kernels.h says no fmaf. */
KERNEL_INLINE float
kernel_unary_of (KernelUnary kind, float alpha, float beta, float x)
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
