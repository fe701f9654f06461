/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * locate-avx512.c: the extrema of a block and the bins of its values, 16 at a time and in one pass.
 * Zeros, half of the values behind a ReLU, are squeezed out: a counter is the costly part, and they
 * need none.
 */
#include "calib/private.h"

#ifdef CALIB_HAVE_AVX512
#include <immintrin.h>

#define AVX512 __attribute__ ((target ("avx512f")))

typedef struct {
  __m512i min, max;
} Extrema;

/* Appends the bins of 16 values at `at`; returns how many. */
AVX512 static inline guint
locate (const float *x, __m512 to_bin, guint16 *at, Extrema *extrema)
{
  const __m512i magnitude_bits = _mm512_set1_epi32 (G_MAXINT32);
  const __m512i bits = _mm512_loadu_si512 (x);
  const __m512i magnitude = _mm512_and_si512 (bits, magnitude_bits);
  const __m512i negative = _mm512_srai_epi32 (bits, 31);
  const __m512i key = _mm512_xor_si512 (bits, _mm512_and_si512 (negative, magnitude_bits));
  const __m512i half = _mm512_and_si512 (negative, _mm512_set1_epi32 (CALIB_BINS));
  const __m512i bin = _mm512_cvttps_epi32 (_mm512_mul_ps (_mm512_castsi512_ps (magnitude), to_bin));
  const __mmask16 binned = _mm512_test_epi32_mask (magnitude, magnitude);
  const __m512i squeezed = _mm512_maskz_compress_epi32 (binned, _mm512_add_epi32 (bin, half));

  extrema->min = _mm512_min_epi32 (extrema->min, key);
  extrema->max = _mm512_max_epi32 (extrema->max, key);
  _mm256_storeu_si256 ((__m256i *) (gpointer) at, _mm512_cvtepi32_epi16 (squeezed));
  return (guint) __builtin_popcount (binned);
}

AVX512 guint
calib_locate_avx512 (const float *x, guint n, float to_bin, const float *next, guint16 *at,
    CalibExtrema *extrema)
{
  const __m512 factor = _mm512_set1_ps (to_bin);
  Extrema a = {_mm512_set1_epi32 (G_MAXINT32), _mm512_set1_epi32 (G_MININT32)}, b = a;
  guint n_at = 0;

  for (guint i = 0; i < n; i += CALIB_LOCATE_STEP) {
    __builtin_prefetch (next + i);
    __builtin_prefetch (next + i + 16);
    n_at += locate (x + i, factor, at + n_at, &a);
    n_at += locate (x + i + 16, factor, at + n_at, &b);
  }
  extrema->min = _mm512_reduce_min_epi32 (_mm512_min_epi32 (a.min, b.min));
  extrema->max = _mm512_reduce_max_epi32 (_mm512_max_epi32 (a.max, b.max));
  return n_at;
}
#endif
