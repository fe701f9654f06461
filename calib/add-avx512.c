/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * add-avx512.c: the loops over a block's values with AVX-512.
 *
 * Zeros, half of the values behind a ReLU, are squeezed out of the bins: a counter is the costly part,
 * and they need none. Counting is a chain of loads and stores that leaves the vector units idle, so
 * the bins of a block are counted while those of the next one are found.
 */
#include "calib/private.h"

#ifdef CALIB_HAVE_AVX512
#include <immintrin.h>

#define AVX512 __attribute__ ((target ("avx512f,avx512dq")))
#define WIDTH  16 /* floats of a vector */

gboolean
calib_has_avx512 (void)
{
  return __builtin_cpu_supports ("avx512f") && __builtin_cpu_supports ("avx512dq");
}

/* --- Bins ----------------------------------------------------------------------------------- */

typedef struct {
  __m512i min, max;
} Extrema;

/* Writes the bins of a vector of values to `at`; returns how many. */
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
    CalibExtrema *extrema, guint64 *restrict bins, const guint16 *counted, guint n_counted)
{
  const guint16 *const end = counted + n_counted;
  const guint share = n_counted / (n / CALIB_LOCATE_STEP) / 4 * 4; /* of the counts, for a step */
  const __m512 factor = _mm512_set1_ps (to_bin);
  Extrema a = {_mm512_set1_epi32 (G_MAXINT32), _mm512_set1_epi32 (G_MININT32)}, b = a;
  guint n_at = 0;

  for (guint i = 0; i < n; i += CALIB_LOCATE_STEP) {
    __builtin_prefetch (next + i);
    __builtin_prefetch (next + i + WIDTH);
    n_at += locate (x + i, factor, at + n_at, &a);
    for (const guint16 *last = counted + share; counted < last; counted += 4) {
      bins[counted[0]]++;
      bins[counted[1]]++;
      bins[counted[2]]++;
      bins[counted[3]]++;
    }
    n_at += locate (x + i + WIDTH, factor, at + n_at, &b);
  }
  while (counted < end)
    bins[*counted++]++;
  extrema->min = _mm512_reduce_min_epi32 (_mm512_min_epi32 (a.min, b.min));
  extrema->max = _mm512_reduce_max_epi32 (_mm512_max_epi32 (a.max, b.max));
  return n_at;
}

/* --- Sums ----------------------------------------------------------------------------------- */

/* Rows of `width` values, each behind the last. Units are whole numbers below 2^61, and rounding to one is
 * to nearest, half to even, as everywhere. */
AVX512 static inline void
add_rows (gint64 *sums, const float *x, guint width, guint rows)
{
  const __m512 to_units = _mm512_set1_ps (0x1p40f);

  for (guint c = 0; c < width; c += WIDTH) {
    const __mmask16 used = width - c < WIDTH ? (__mmask16) ((1u << (width - c)) - 1) : 0xffff;
    const __mmask8 low = (__mmask8) used, high = (__mmask8) (used >> 8);
    __m512i a = _mm512_maskz_loadu_epi64 (low, sums + c);
    __m512i b = _mm512_maskz_loadu_epi64 (high, sums + c + WIDTH / 2);

    for (guint row = 0; row < rows; row++) {
      const __m512 units =
          _mm512_mul_ps (_mm512_maskz_loadu_ps (used, x + (gsize) row * width + c), to_units);

      a = _mm512_add_epi64 (a, _mm512_cvtps_epi64 (_mm512_castps512_ps256 (units)));
      b = _mm512_add_epi64 (b, _mm512_cvtps_epi64 (_mm512_extractf32x8_ps (units, 1)));
    }
    _mm512_mask_storeu_epi64 (sums + c, low, a);
    _mm512_mask_storeu_epi64 (sums + c + WIDTH / 2, high, b);
  }
}

AVX512 void
calib_sums_avx512 (gint64 *sums, guint channels, const float *x, guint n, guint channel)
{
  const guint head = channel > 0 ? MIN (n, channels - channel) : 0;
  const guint rows = (n - head) / channels, tail = (n - head) % channels;

  add_rows (sums + channel, x, head, 1);
  add_rows (sums, x + head, channels, rows);
  add_rows (sums, x + n - tail, tail, 1);
}
#endif
