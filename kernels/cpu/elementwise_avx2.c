/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * elementwise_avx2.c: add, mul, quantisation and unary functions, 8 values at a time.
 *
 * dequantise_f32 is not here: the compiler vectorises it as it stands in ref, and memory bounds it.
 */
#include "kernels/cpu/elementwise.h"
#include "kernels/cpu/lanes_avx2.h"

#include <math.h>

/* --- Two operands --------------------------------------------------------------------------- */

typedef __m256i (*BinaryFn) (const KernelBinaryS8 *args, __m256i x1, __m256i x2);

LANES_INLINE __m256i
add_lanes (const KernelBinaryS8 *args, __m256i x1, __m256i x2)
{
  const __m256 t = _mm256_fmadd_ps (_mm256_cvtepi32_ps (x2), _mm256_set1_ps (args->m2),
      _mm256_set1_ps (args->b));

  return lanes_round (_mm256_fmadd_ps (_mm256_cvtepi32_ps (x1), _mm256_set1_ps (args->m1), t),
      _mm256_set1_ps (args->lo), _mm256_set1_ps (args->hi));
}

LANES_INLINE __m256i
mul_lanes (const KernelBinaryS8 *args, __m256i x1, __m256i x2)
{
  const __m256i product =
      _mm256_mullo_epi32 (_mm256_sub_epi32 (x1, _mm256_set1_epi32 (args->zero1)),
          _mm256_sub_epi32 (x2, _mm256_set1_epi32 (args->zero2)));

  return lanes_round (_mm256_fmadd_ps (_mm256_cvtepi32_ps (product), _mm256_set1_ps (args->m1),
                          _mm256_set1_ps (args->b)),
      _mm256_set1_ps (args->lo), _mm256_set1_ps (args->hi));
}

LANES_INLINE void
binary_row (const KernelBinaryS8 *args, size_t at, const int8_t *x2, size_t count, BinaryFn fn)
{
  size_t i = 0;

  for (; i + 8 <= count; i += 8)
    lanes_store_s8 (args->y + at + i,
        fn (args, lanes_load_s8 (args->x1 + at + i, 8), lanes_load_s8 (x2 + i, 8)), 8);
  if (i < count) {
    const int left = count - i;

    lanes_store_s8 (args->y + at + i,
        fn (args, lanes_load_s8 (args->x1 + at + i, left), lanes_load_s8 (x2 + i, left)), left);
  }
}

/* begin and end count what elementwise_split() says. */
LANES_INLINE void
binary_range (const KernelBinaryS8 *args, size_t begin, size_t end, BinaryFn fn)
{
  if (!args->x2_broadcast) {
    const size_t period = ELEMENTWISE_PERIOD (args);

    for (size_t count; begin < end; begin += count) {
      count = elementwise_until (begin, end - begin, period);
      binary_row (args, begin, args->x2 + begin % period, count, fn);
    }
    return;
  }
  for (size_t row = begin; row < end; row++)
    binary_row (args, row * args->c, args->x2 + row / args->rows * args->c, args->c, fn);
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
kernel_add_s8_avx2 (const KernelBinaryS8 *args, KernelQueue *queue)
{
  ELEMENTWISE_SPLIT (args, ELEMENTWISE_GRAIN, queue, add_range);
}

void
kernel_mul_s8_avx2 (const KernelBinaryS8 *args, KernelQueue *queue)
{
  ELEMENTWISE_SPLIT (args, ELEMENTWISE_GRAIN, queue, mul_range);
}

/* --- Two float operands ---------------------------------------------------------------------- */

typedef __m256 (*BinaryF32Fn) (__m256 x1, __m256 x2);

LANES_INLINE __m256
add_f32_lanes (__m256 x1, __m256 x2)
{
  return _mm256_add_ps (x1, x2);
}

LANES_INLINE __m256
mul_f32_lanes (__m256 x1, __m256 x2)
{
  return _mm256_mul_ps (x1, x2);
}

LANES_INLINE void
binary_f32_row (const KernelBinaryF32 *args, size_t at, const float *x2, size_t count,
    BinaryF32Fn fn)
{
  const __m256 lo = _mm256_set1_ps (args->lo), hi = _mm256_set1_ps (args->hi);

  for (size_t i = 0; i < count; i += 8) {
    const int left = count - i < 8 ? count - i : 8;
    const __m256 t = fn (lanes_load_f32 (args->x1 + at + i, left), lanes_load_f32 (x2 + i, left));

    lanes_store_f32 (args->y + at + i, lanes_clamp (t, lo, hi), left);
  }
}

/* As binary_range(). */
LANES_INLINE void
binary_f32_range (const KernelBinaryF32 *args, size_t begin, size_t end, BinaryF32Fn fn)
{
  if (!args->x2_broadcast) {
    const size_t period = ELEMENTWISE_PERIOD (args);

    for (size_t count; begin < end; begin += count) {
      count = elementwise_until (begin, end - begin, period);
      binary_f32_row (args, begin, args->x2 + begin % period, count, fn);
    }
    return;
  }
  for (size_t row = begin; row < end; row++)
    binary_f32_row (args, row * args->c, args->x2 + row / args->rows * args->c, args->c, fn);
}

static void
add_f32_range (const void *ctx, size_t begin, size_t end)
{
  binary_f32_range (ctx, begin, end, add_f32_lanes);
}

static void
mul_f32_range (const void *ctx, size_t begin, size_t end)
{
  binary_f32_range (ctx, begin, end, mul_f32_lanes);
}

void
kernel_add_f32_avx2 (const KernelBinaryF32 *args, KernelQueue *queue)
{
  ELEMENTWISE_SPLIT (args, ELEMENTWISE_GRAIN, queue, add_f32_range);
}

void
kernel_mul_f32_avx2 (const KernelBinaryF32 *args, KernelQueue *queue)
{
  ELEMENTWISE_SPLIT (args, ELEMENTWISE_GRAIN, queue, mul_f32_range);
}

/* --- Quantisation --------------------------------------------------------------------------- */

static void
quantise_range (const void *ctx, size_t begin, size_t end)
{
  const KernelConvert *args = ctx;
  const float *x = args->x;
  int8_t *y = args->y;
  const __m256 m = _mm256_set1_ps (args->m), zero = _mm256_set1_ps (args->zero);
  const __m256 lo = _mm256_set1_ps (-128), hi = _mm256_set1_ps (127);

  for (size_t i = begin; i < end; i += 8) {
    const int count = end - i < 8 ? end - i : 8;
    const __m256 t = _mm256_fmadd_ps (lanes_load_f32 (x + i, count), m, zero);

    lanes_store_s8 (y + i, lanes_round (t, lo, hi), count);
  }
}

void
kernel_quantise_s8_avx2 (const KernelConvert *args, KernelQueue *queue)
{
  kernel_pool_range (queue->pool, quantise_range, args, args->size, ELEMENTWISE_GRAIN);
}

/* --- Unary functions ------------------------------------------------------------------------ */

/* The steps of kernel_expf() in float-math.h. */
LANES_INLINE __m256
exp_lanes (__m256 x)
{
  const __m256 round = _mm256_set1_ps (0x1.8p23f), one = _mm256_set1_ps (1.0f);
  const __m256 clamped = lanes_clamp (x, _mm256_set1_ps (-104.0f), _mm256_set1_ps (89.0f));
  const __m256 shifted = _mm256_fmadd_ps (clamped, _mm256_set1_ps (0x1.715476p0f), round);
  const __m256 n = _mm256_sub_ps (shifted, round);
  const __m256 r = _mm256_fmadd_ps (n, _mm256_set1_ps (0x1.05c610p-29f),
      _mm256_fmadd_ps (n, _mm256_set1_ps (-0x1.62e430p-1f), clamped));
  const __m256i k = _mm256_add_epi32 (
      _mm256_sub_epi32 (_mm256_castps_si256 (shifted), _mm256_castps_si256 (round)),
      _mm256_set1_epi32 (256));
  const __m256i half = _mm256_srli_epi32 (k, 1), minus_one = _mm256_set1_epi32 (-1);
  const __m256i rest = _mm256_sub_epi32 (k, half);
  __m256 p = _mm256_set1_ps (0x1.a01a02p-13f);

  p = _mm256_fmadd_ps (p, r, _mm256_set1_ps (0x1.6c16c2p-10f));
  p = _mm256_fmadd_ps (p, r, _mm256_set1_ps (0x1.111112p-7f));
  p = _mm256_fmadd_ps (p, r, _mm256_set1_ps (0x1.555556p-5f));
  p = _mm256_fmadd_ps (p, r, _mm256_set1_ps (0x1.555556p-3f));
  p = _mm256_fmadd_ps (p, r, _mm256_set1_ps (0.5f));
  p = _mm256_fmadd_ps (p, r, one);
  p = _mm256_fmadd_ps (p, r, one);
  p = _mm256_mul_ps (p,
      _mm256_castsi256_ps (_mm256_slli_epi32 (_mm256_add_epi32 (half, minus_one), 23)));
  return _mm256_mul_ps (p,
      _mm256_castsi256_ps (_mm256_slli_epi32 (_mm256_add_epi32 (rest, minus_one), 23)));
}

/* The oldest kinds by hand; the others as the compiler vectorises them. */
LANES_INLINE __m256
apply (const KernelUnary kind, __m256 alpha, __m256 beta, __m256 x)
{
  const __m256 zero = _mm256_setzero_ps (), one = _mm256_set1_ps (1.0f);
  const __m256 minus_x = _mm256_xor_ps (x, _mm256_set1_ps (-0.0f));

  switch (kind) {
  case KERNEL_UNARY_CLIP:
    return lanes_clamp (x, alpha, beta);
  case KERNEL_UNARY_LEAKY_RELU:
    return _mm256_blendv_ps (x, _mm256_mul_ps (alpha, x), _mm256_cmp_ps (x, zero, _CMP_LT_OQ));
  case KERNEL_UNARY_SIGMOID:
    return _mm256_div_ps (one, _mm256_add_ps (one, exp_lanes (minus_x)));
  case KERNEL_UNARY_HARD_SIGMOID:
    return lanes_clamp (_mm256_add_ps (_mm256_mul_ps (alpha, x), beta), zero, one);
  case KERNEL_UNARY_HARD_SWISH:
    return _mm256_mul_ps (x, lanes_clamp (_mm256_add_ps (_mm256_div_ps (x, _mm256_set1_ps (6.0f)),
                                              _mm256_set1_ps (0.5f)),
                                 zero, one));
  case KERNEL_UNARY_SILU:
    return _mm256_div_ps (x, _mm256_add_ps (one, exp_lanes (minus_x)));
  default:
    break;
  }
  return _mm256_set1_ps (NAN); /* not one of these */
}

LANES_INLINE void
unary_range (const KernelUnaryF32 *args, size_t begin, size_t end, const KernelUnary kind)
{
  if (kind > KERNEL_UNARY_SILU) {
    elementwise_unary_range (args, begin, end, kind);
    return;
  }

  const __m256 alpha = _mm256_set1_ps (args->alpha), beta = _mm256_set1_ps (args->beta);

  for (size_t i = begin; i < end; i += 8) {
    const int count = end - i < 8 ? end - i : 8;

    lanes_store_f32 (args->y + i, apply (kind, alpha, beta, lanes_load_f32 (args->x + i, count)),
        count);
  }
}

#define ELEMENTWISE_UNARY_SLOT kernel_unary_f32_avx2
#include "kernels/cpu/elementwise-unary.inc"
