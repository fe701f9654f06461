/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lanes_avx2.h: 8 channels in a register, fewer at the end of a row, and how a tile finishes
 * them. For files compiled with AVX2.
 *
 * `count` is how many channels are left; 8 and more mean a whole register. Memory beyond them is
 * neither read nor written. The masked forms are kept off the main path: a masked store is slow
 * where AVX2 is all there is.
 */
#pragma once

#include "kernels/cpu/igemm.h"

#include <immintrin.h>
#include <string.h>

#define LANES_INLINE static inline __attribute__ ((always_inline))

LANES_INLINE __m256i
lanes_mask (int count)
{
  return _mm256_cmpgt_epi32 (_mm256_set1_epi32 (count), _mm256_setr_epi32 (0, 1, 2, 3, 4, 5, 6, 7));
}

LANES_INLINE __m256
lanes_load_f32 (const float *x, int count)
{
  return count >= 8 ? _mm256_loadu_ps (x) : _mm256_maskload_ps (x, lanes_mask (count));
}

LANES_INLINE void
lanes_store_f32 (float *y, __m256 value, int count)
{
  if (count >= 8)
    _mm256_storeu_ps (y, value);
  else
    _mm256_maskstore_ps (y, lanes_mask (count), value);
}

/* int8 to int32. */
LANES_INLINE __m256i
lanes_load_s8 (const int8_t *x, int count)
{
  int64_t eight = 0;

  if (count >= 8)
    memcpy (&eight, x, 8);
  else if (count > 0)
    memcpy (&eight, x, count);
  return _mm256_cvtepi8_epi32 (_mm_cvtsi64_si128 (eight));
}

/* int32 that are within int8. */
LANES_INLINE void
lanes_store_s8 (int8_t *y, __m256i value, int count)
{
  const __m128i sixteen =
      _mm_packs_epi32 (_mm256_castsi256_si128 (value), _mm256_extracti128_si256 (value, 1));
  const int64_t eight = _mm_cvtsi128_si64 (_mm_packs_epi16 (sixteen, sixteen));

  if (count >= 8)
    memcpy (y, &eight, 8);
  else if (count > 0)
    memcpy (y, &eight, count);
}

/* kernel_round_s8() of requant.h. Of a NaN and a number, max takes the second. */
LANES_INLINE __m256i
lanes_round (__m256 t, __m256 lo, __m256 hi)
{
  t = _mm256_round_ps (t, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  return _mm256_cvtps_epi32 (_mm256_min_ps (_mm256_max_ps (t, lo), hi));
}

/* kernel_clamp_f32(): of a NaN and a number, max and min take the second. */
LANES_INLINE __m256
lanes_clamp (__m256 t, __m256 lo, __m256 hi)
{
  return _mm256_min_ps (hi, _mm256_max_ps (lo, t));
}

/* Brings a line into the cache to be written: where neighbouring stores lie far apart, each waits
 * for its line otherwise. PREFETCHW does nothing on CPUs that do not have it. */
LANES_INLINE void
lanes_prefetch_write (const void *y)
{
  __builtin_prefetch (y, 1);
}

/* Outputs of conv_s8 or conv_s8_f32 at value `at` of the tile, from their accumulators. */
LANES_INLINE void
lanes_finish_s8 (const IgemmTile *t, __m256i acc, __m256 m, __m256 b, int count, size_t at)
{
  __m256 y = _mm256_fmadd_ps (_mm256_cvtepi32_ps (acc), m, b);

  if (t->y_f32) {
    lanes_store_f32 ((float *) t->y + at, y, count);
    return;
  }
  if (t->r) {
    const __m256i r = lanes_load_s8 ((const int8_t *) t->r + at, count);

    y = _mm256_fmadd_ps (_mm256_cvtepi32_ps (r), _mm256_set1_ps (t->mr), y);
  }
  lanes_store_s8 ((int8_t *) t->y + at,
      lanes_round (y, _mm256_set1_ps (t->lo), _mm256_set1_ps (t->hi)), count);
}

/* All of a tile of one block. */
LANES_INLINE void
lanes_finish_tile_s8 (const IgemmTile *t, const int mr, __m256i (*acc)[2])
{
  IGEMM_EACH (j, 2) {
    const int count = t->channels - j * 8;
    const __m256 m = lanes_load_f32 (t->m + j * 8, count);
    const __m256 b = lanes_load_f32 (t->b + j * 8, count);

    IGEMM_EACH (i, mr) {
      if (i >= t->pixels)
        break;
      lanes_finish_s8 (t, acc[i][j], m, b, count, i * t->y_stride + j * 8);
    }
  }
}

/* Outputs of conv_f32. */
LANES_INLINE void
lanes_finish_f32 (const IgemmTile *t, __m256 y, int count, size_t at)
{
  if (t->r)
    y = _mm256_add_ps (y, lanes_load_f32 ((const float *) t->r + at, count));
  y = lanes_clamp (y, _mm256_set1_ps (t->lo), _mm256_set1_ps (t->hi));
  lanes_store_f32 ((float *) t->y + at, y, count);
}
