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

/* The same of 64. */
LANES_INLINE __mmask64
lanes_mask_64 (int count)
{
  return count >= 64 ? ~(__mmask64) 0 : ((__mmask64) 1 << count) - 1;
}

/* To the nearest int32, even at ties, whatever the thread's mode. The bounds of an output are whole
 * numbers, so that a value may be clamped before. */
LANES_INLINE __m512i
lanes_round (__m512 t)
{
  return _mm512_cvt_roundps_epi32 (t, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* The residual's part of outputs. */
LANES_INLINE __m512
lanes_add_residual (const IgemmTile *t, __m512 y, __mmask16 mask, size_t at)
{
  const __m128i r = _mm_maskz_loadu_epi8 (mask, (const int8_t *) t->r + at);

  return _mm512_fmadd_ps (_mm512_cvtepi32_ps (_mm512_cvtepi8_epi32 (r)), _mm512_set1_ps (t->mr), y);
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
  if (t->r)
    y = lanes_add_residual (t, y, mask, at);
  /* Of a NaN and a number, max takes the second. */
  y = _mm512_min_ps (_mm512_max_ps (y, _mm512_set1_ps (t->lo)), _mm512_set1_ps (t->hi));
  _mm_mask_storeu_epi8 ((int8_t *) t->y + at, mask, _mm512_cvtepi32_epi8 (lanes_round (y)));
}

/* The same for 1 to 4 blocks of channels of one pixel, `mask` of which are there, as conv_s8 only and
 * where t->bounded, in two steps. First integers in place of sums. */
LANES_INLINE void
lanes_round_blocks_s8 (const IgemmTile *t, const bool residual, __m512i *acc, const int blocks,
    const __m512 *m, const __m512 *b, __mmask64 mask, size_t at)
{
  IGEMM_EACH (j, blocks) {
    __m512 y = _mm512_fmadd_ps (_mm512_cvtepi32_ps (acc[j]), m[j], b[j]);

    if (residual)
      y = lanes_add_residual (t, y, (__mmask16) (mask >> j * IGEMM_NR), at + j * IGEMM_NR);
    acc[j] = lanes_round (y);
  }
}

/* Then bytes, whose bounds are applied at once, with one store. Packing takes 4 values of each block
 * in turn. */
LANES_INLINE void
lanes_store_blocks_s8 (const IgemmTile *t, const __m512i *q, const int blocks, __mmask64 mask,
    size_t at)
{
  const __m512i order = _mm512_setr_epi32 (0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i lo = _mm512_set1_epi8 ((int8_t) t->lo), hi = _mm512_set1_epi8 ((int8_t) t->hi);

  if (blocks == 1) {
    const __m128i bytes = _mm_max_epi8 (_mm512_cvtsepi32_epi8 (q[0]), _mm512_castsi512_si128 (lo));

    _mm_mask_storeu_epi8 ((int8_t *) t->y + at, (__mmask16) mask,
        _mm_min_epi8 (bytes, _mm512_castsi512_si128 (hi)));
    return;
  }

  const __m512i low = _mm512_packs_epi32 (q[0], q[1]);
  const __m512i high = blocks == 2 ? low : _mm512_packs_epi32 (q[2], q[blocks - 1]);
  const __m512i bytes = _mm512_permutexvar_epi32 (order, _mm512_packs_epi16 (low, high));

  _mm512_mask_storeu_epi8 ((int8_t *) t->y + at, mask,
      _mm512_min_epi8 (_mm512_max_epi8 (bytes, lo), hi));
}

/* kernel_clamp_f32(): of a NaN and a number, max and min take the second. */
LANES_INLINE __m512
lanes_clamp (__m512 t, __m512 lo, __m512 hi)
{
  return _mm512_min_ps (hi, _mm512_max_ps (lo, t));
}

/* The steps of kernel_expf() in float-math.h; its two products with powers of two, the first of
 * which is exact, are one vscalefps. */
LANES_INLINE __m512
lanes_exp (__m512 x)
{
  const __m512 round = _mm512_set1_ps (0x1.8p23f), one = _mm512_set1_ps (1.0f);
  const __m512 clamped = lanes_clamp (x, _mm512_set1_ps (-104.0f), _mm512_set1_ps (89.0f));
  const __m512 n =
      _mm512_sub_ps (_mm512_fmadd_ps (clamped, _mm512_set1_ps (0x1.715476p0f), round), round);
  const __m512 r = _mm512_fmadd_ps (n, _mm512_set1_ps (0x1.05c610p-29f),
      _mm512_fmadd_ps (n, _mm512_set1_ps (-0x1.62e430p-1f), clamped));
  __m512 p = _mm512_set1_ps (0x1.a01a02p-13f);

  p = _mm512_fmadd_ps (p, r, _mm512_set1_ps (0x1.6c16c2p-10f));
  p = _mm512_fmadd_ps (p, r, _mm512_set1_ps (0x1.111112p-7f));
  p = _mm512_fmadd_ps (p, r, _mm512_set1_ps (0x1.555556p-5f));
  p = _mm512_fmadd_ps (p, r, _mm512_set1_ps (0x1.555556p-3f));
  p = _mm512_fmadd_ps (p, r, _mm512_set1_ps (0.5f));
  p = _mm512_fmadd_ps (p, r, one);
  p = _mm512_fmadd_ps (p, r, one);
  return _mm512_scalef_ps (p, n);
}

/* Brings a line into the cache to be written: where neighbouring stores lie far apart, each waits
 * for its line otherwise. PREFETCHW is on every CPU with AVX-512. */
LANES_INLINE void
lanes_prefetch_write (const void *y)
{
  __builtin_prefetch (y, 1);
}

/* Outputs of conv_f32. */
LANES_INLINE void
lanes_finish_f32 (const IgemmTile *t, __m512 y, __mmask16 mask, size_t at)
{
  if (t->r)
    y = _mm512_add_ps (y, _mm512_maskz_loadu_ps (mask, (const float *) t->r + at));
  y = lanes_clamp (y, _mm512_set1_ps (t->lo), _mm512_set1_ps (t->hi));
  _mm512_mask_storeu_ps ((float *) t->y + at, mask, y);
}
