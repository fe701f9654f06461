/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lanes_avx512.h: 16 channels in a register, fewer at the end of a row, and how a tile finishes
 * them. For files compiled with AVX-512. Memory outside a mask is neither read nor written.
 */
#pragma once

#include "kernels/cpu/igemm.h"

#include <immintrin.h>

#define LANES_INLINE static inline __attribute__ ((always_inline))

/* The first `count` of 16 lanes; 16 and more mean all. */
LANES_INLINE __mmask16
lanes_mask (int count)
{
  return count >= 16 ? 0xffff : (__mmask16) ((1 << count) - 1);
}

/* Outputs of conv_s8 or conv_s8_f32 at value `at` of the tile, from their accumulators. */
LANES_INLINE void
lanes_finish_s8 (const IgemmTile *t, __m512i acc, __m512 m, __m512 b, __mmask16 mask, size_t at)
{
  __m512 y = _mm512_fmadd_ps (_mm512_cvtepi32_ps (acc), m, b);

  if (t->y_f32) {
    _mm512_mask_storeu_ps ((float *) t->y + at, mask, y);
    return;
  }
  if (t->r) {
    const __m128i r = _mm_maskz_loadu_epi8 (mask, (const int8_t *) t->r + at);

    y = _mm512_fmadd_ps (_mm512_cvtepi32_ps (_mm512_cvtepi8_epi32 (r)), _mm512_set1_ps (t->mr), y);
  }
  y = _mm512_roundscale_ps (y, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  /* Of a NaN and a number, max takes the second. */
  y = _mm512_min_ps (_mm512_max_ps (y, _mm512_set1_ps (t->lo)), _mm512_set1_ps (t->hi));
  _mm_mask_storeu_epi8 ((int8_t *) t->y + at, mask, _mm512_cvtepi32_epi8 (_mm512_cvtps_epi32 (y)));
}

/* Outputs of conv_f32. */
LANES_INLINE void
lanes_finish_f32 (const IgemmTile *t, __m512 y, __mmask16 mask, size_t at)
{
  if (t->r)
    y = _mm512_add_ps (y, _mm512_maskz_loadu_ps (mask, (const float *) t->r + at));
  /* Of a NaN and a number, max and min take the second. */
  y = _mm512_min_ps (_mm512_set1_ps (t->hi), _mm512_max_ps (_mm512_set1_ps (t->lo), y));
  _mm512_mask_storeu_ps ((float *) t->y + at, mask, y);
}
