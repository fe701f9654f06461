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
  y = x < 0.0f ? NAN : y;
  return x != x ? x : y; /* nvcc 13.0 takes fabsf (x) >= 0 for true, whatever x is */
}

/* erf (x) within 3 ulp (2.1 measured). Below 1 an odd polynomial, minimax to 2e-9; above, 1 - exp (q (x)), where
 * q is log (erfc) to 4e-11 of 1 between 1 and 4, beyond which erf rounds to 1. */
KERNEL_INLINE float
kernel_erff (float x)
{
  const float a = fabsf (x), z = x * x;
  const float t = kernel_clamp_f32 (a, 1.0f, 4.0f);
  float p = 0x1.496a28p-14f, q = -0x1.6bd850p-16f, y;

  p = fmaf (p, z, -0x1.a3f6fcp-11f);
  p = fmaf (p, z, 0x1.5405b2p-8f);
  p = fmaf (p, z, -0x1.b7f90cp-6f);
  p = fmaf (p, z, 0x1.ce2cf8p-4f);
  p = fmaf (p, z, -0x1.81273ep-2f);
  p = fmaf (p, z, 0x1.20dd74p+0f);
  q = fmaf (q, t, 0x1.cec654p-12f);
  q = fmaf (q, t, -0x1.138cd8p-8f);
  q = fmaf (q, t, 0x1.9d0318p-6f);
  q = fmaf (q, t, -0x1.bc151ep-4f);
  q = fmaf (q, t, -0x1.443566p-1f);
  q = fmaf (q, t, -0x1.212c0ep+0f);
  q = fmaf (q, t, 0x1.8a5954p-13f);
  y = 1.0f - kernel_expf (q);
  return a < 1.0f ? x * p : copysignf (y, x);
}

/* tanh (x) within 3 ulp (2.0 measured). Below 0.625 x + x^3 p (x^2), minimax to 5e-9; above, 1 - 2 / (exp (2 x) + 1). */
KERNEL_INLINE float
kernel_tanhf (float x)
{
  const float a = fabsf (x), z = x * x;
  const float far = 1.0f - 2.0f / (kernel_expf (2.0f * a) + 1.0f);
  float p = -0x1.75e1a8p-8f, near;

  p = fmaf (p, z, 0x1.522692p-6f);
  p = fmaf (p, z, -0x1.b83c58p-5f);
  p = fmaf (p, z, 0x1.110726p-3f);
  p = fmaf (p, z, -0x1.555532p-2f);
  near = fmaf (x * z, p, x);
  return a < 0.625f ? near : copysignf (far, x);
}

/* exp (x) - 1 within 2^-23 for x <= 0: of a sum, that is what counts. */
KERNEL_INLINE float
kernel_expm1f (float x)
{
  return kernel_expf (x) - 1.0f;
}

/* log (1 + exp (x)), which is x for large ones. */
KERNEL_INLINE float
kernel_softplusf (float x)
{
  const float positive = x < 0.0f ? 0.0f : x; /* NaN stays */

  return positive + kernel_logf (1.0f + kernel_expf (-fabsf (x)));
}

/* x * tanh (softplus (x)): with e = exp (x), tanh (log (1 + e)) = (e^2 + 2 e) / (e^2 + 2 e + 2). */
KERNEL_INLINE float
kernel_mishf (float x)
{
  const float e = kernel_expf (x > 20.0f ? 20.0f : x); /* above, the quotient is 1 */
  const float n = e * (e + 2.0f);
  const float finite = x < -200.0f ? -200.0f : x; /* below, e is 0 */

  return finite * (n / (n + 2.0f));
}

/* x / 2 * (1 + gate), 0 where the gate is shut. */
KERNEL_INLINE float
kernel_gatedf (float x, float gate)
{
  const float finite = x < -200.0f ? -200.0f : x;

  return 0.5f * finite * (1.0f + gate);
}

KERNEL_INLINE float
kernel_geluf_tanh (float x)
{
  const float cubic = fmaf (0.044715f * x * x, x, x);

  return kernel_gatedf (x, kernel_tanhf (0x1.988454p-1f * cubic));
}

/* x divided by t^beta, as lrn_f32 does. */
KERNEL_INLINE float
kernel_lrn_of (float x, float t, float beta)
{
  const float root = sqrtf (t);
  const float usual = x / (root * sqrtf (root)), any = x * kernel_expf (-beta * kernel_logf (t));

  return beta == 0.75f ? usual : any;
}

/* |x|^alpha by way of the logarithm: relative error about alpha * log (x) * 2^-24. */
KERNEL_INLINE float
kernel_powf (float x, float alpha)
{
  const float a = fabsf (x), whole = truncf (alpha), half = 0.5f * alpha;
  const float magnitude = alpha == 0.0f ? 1.0f : kernel_expf (alpha * kernel_logf (a));
  const float odd = truncf (half) == half ? magnitude : -magnitude;
  const float negative = whole == alpha ? odd : NAN;

  return x < 0.0f ? negative : magnitude;
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
  case KERNEL_UNARY_GELU:
    return kernel_gatedf (x, kernel_erff (0x1.6a09e6p-1f * x));
  case KERNEL_UNARY_GELU_TANH:
    return kernel_geluf_tanh (x);
  case KERNEL_UNARY_TANH:
    return kernel_tanhf (x);
  case KERNEL_UNARY_ERF:
    return kernel_erff (x);
  case KERNEL_UNARY_EXP:
    return kernel_expf (x);
  case KERNEL_UNARY_LOG:
    return kernel_logf (x);
  case KERNEL_UNARY_SQRT:
    return sqrtf (x);
  case KERNEL_UNARY_RECIPROCAL:
    return 1.0f / x;
  case KERNEL_UNARY_ABS:
    return fabsf (x);
  case KERNEL_UNARY_POW:
    return kernel_powf (x, alpha);
  case KERNEL_UNARY_ELU:
    return x < 0.0f ? alpha * kernel_expm1f (beta * x) : x;
  case KERNEL_UNARY_SELU:
    return x < 0.0f ? alpha * kernel_expm1f (x) : beta * x;
  case KERNEL_UNARY_SOFTPLUS:
    return kernel_softplusf (x);
  case KERNEL_UNARY_SOFTSIGN:
    return x / (1.0f + fabsf (x));
  case KERNEL_UNARY_MISH:
    return kernel_mishf (x);
  case KERNEL_UNARY_THRESHOLD:
    return x <= alpha ? beta : x;
  case KERNEL_UNARY_COUNT:
    break;
  }
  return NAN; /* not a kind */
}
