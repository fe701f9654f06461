/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * elementwise_avx512.c: float add, mul and unary functions, 16 values at a time.
 */
#include "kernels/cpu/elementwise.h"
#include "kernels/cpu/lanes_avx512.h"

#include <math.h>

/* --- Two operands --------------------------------------------------------------------------- */

typedef __m512 (*BinaryFn) (__m512 x1, __m512 x2);

LANES_INLINE __m512
add_lanes (__m512 x1, __m512 x2)
{
  return _mm512_add_ps (x1, x2);
}

LANES_INLINE __m512
mul_lanes (__m512 x1, __m512 x2)
{
  return _mm512_mul_ps (x1, x2);
}

LANES_INLINE void
binary_row (const float *x1, const float *x2, float *y, size_t count, __m512 lo, __m512 hi,
    BinaryFn fn)
{
  size_t i = 0;

  for (; i + 16 <= count; i += 16) {
    const __m512 t = fn (_mm512_loadu_ps (x1 + i), _mm512_loadu_ps (x2 + i));

    _mm512_storeu_ps (y + i, lanes_clamp (t, lo, hi));
  }
  if (i < count) {
    const __mmask16 mask = lanes_mask (count - i);
    const __m512 t =
        fn (_mm512_maskz_loadu_ps (mask, x1 + i), _mm512_maskz_loadu_ps (mask, x2 + i));

    _mm512_mask_storeu_ps (y + i, mask, lanes_clamp (t, lo, hi));
  }
}

/* begin and end count what elementwise_split() says. */
LANES_INLINE void
binary_range (const KernelBinaryF32 *args, size_t begin, size_t end, BinaryFn fn)
{
  const __m512 lo = _mm512_set1_ps (args->lo), hi = _mm512_set1_ps (args->hi);
  const size_t rows = args->rows, c = args->c;

  if (!args->x2_broadcast) {
    const size_t period = ELEMENTWISE_PERIOD (args);

    for (size_t count; begin < end; begin += count) {
      count = elementwise_until (begin, end - begin, period);
      binary_row (args->x1 + begin, args->x2 + begin % period, args->y + begin, count, lo, hi, fn);
    }
    return;
  }
  for (size_t image = begin / rows; begin < end; image++)
    for (; begin < end && begin < (image + 1) * rows; begin++)
      binary_row (args->x1 + begin * c, args->x2 + image * c, args->y + begin * c, c, lo, hi, fn);
}

static void
add_range (const void *ctx, size_t begin, size_t end)
{
  binary_range (ctx, begin, end, add_lanes);
}

static void
mul_range (const void *ctx, size_t begin, size_t end)
{
  binary_range (ctx, begin, end, mul_lanes);
}

void
kernel_add_f32_avx512 (const KernelBinaryF32 *args, KernelQueue *queue)
{
  ELEMENTWISE_SPLIT (args, ELEMENTWISE_GRAIN, queue, add_range);
}

void
kernel_mul_f32_avx512 (const KernelBinaryF32 *args, KernelQueue *queue)
{
  ELEMENTWISE_SPLIT (args, ELEMENTWISE_GRAIN, queue, mul_range);
}

/* --- Unary functions ------------------------------------------------------------------------ */

/* The oldest kinds by hand; the others as the compiler vectorises them. */
LANES_INLINE __m512
apply (const KernelUnary kind, __m512 alpha, __m512 beta, __m512 x)
{
  const __m512 zero = _mm512_setzero_ps (), one = _mm512_set1_ps (1.0f);
  const __m512 minus_x = _mm512_xor_ps (x, _mm512_set1_ps (-0.0f));

  switch (kind) {
  case KERNEL_UNARY_CLIP:
    return lanes_clamp (x, alpha, beta);
  case KERNEL_UNARY_LEAKY_RELU:
    return _mm512_mask_mul_ps (x, _mm512_cmp_ps_mask (x, zero, _CMP_LT_OQ), alpha, x);
  case KERNEL_UNARY_SIGMOID:
    return _mm512_div_ps (one, _mm512_add_ps (one, lanes_exp (minus_x)));
  case KERNEL_UNARY_HARD_SIGMOID:
    return lanes_clamp (_mm512_add_ps (_mm512_mul_ps (alpha, x), beta), zero, one);
  case KERNEL_UNARY_HARD_SWISH:
    return _mm512_mul_ps (x, lanes_clamp (_mm512_add_ps (_mm512_div_ps (x, _mm512_set1_ps (6.0f)),
                                              _mm512_set1_ps (0.5f)),
                                 zero, one));
  case KERNEL_UNARY_SILU:
    return _mm512_div_ps (x, _mm512_add_ps (one, lanes_exp (minus_x)));
  default:
    break;
  }
  return _mm512_set1_ps (NAN); /* not one of these */
}

LANES_INLINE void
unary_range (const KernelUnaryF32 *args, size_t begin, size_t end, const KernelUnary kind)
{
  if (kind > KERNEL_UNARY_SILU) {
    elementwise_unary_range (args, begin, end, kind);
    return;
  }

  const __m512 alpha = _mm512_set1_ps (args->alpha), beta = _mm512_set1_ps (args->beta);
  const float *x = args->x;
  float *y = args->y;
  size_t i = begin;

  for (; i + 16 <= end; i += 16)
    _mm512_storeu_ps (y + i, apply (kind, alpha, beta, _mm512_loadu_ps (x + i)));
  if (i < end) {
    const __mmask16 mask = lanes_mask (end - i);

    _mm512_mask_storeu_ps (y + i, mask,
        apply (kind, alpha, beta, _mm512_maskz_loadu_ps (mask, x + i)));
  }
}

#define ELEMENTWISE_UNARY_SLOT kernel_unary_f32_avx512
#include "kernels/cpu/elementwise-unary.inc"
