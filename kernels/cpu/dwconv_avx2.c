/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dwconv_avx2.c: depthwise tile of conv_s8 with AVX2.
 *
 * Tile: 6 pixels x 8 channels, then the next 8 channels: 6 registers of accumulators, 1 of weights,
 * 1 of x. The weights of a tap are loaded once for 6 pixels.
 */
#include "kernels/cpu/igemm.h"
#include "kernels/cpu/lanes_avx2.h"

/* Where the weights of channel c, a multiple of 8, begin for tap 0; taps are IGEMM_NR apart. */
LANES_INLINE const void *
weights_of (const IgemmTile *t, int c, size_t element)
{
  return (const uint8_t *) t->w + c / IGEMM_NR * t->w_stride + c % IGEMM_NR * element;
}

/* x is sign-extended to 32 bits, w zero-extended from 16: the upper product of vpmaddwd is 0, the
 * lower one x * w. */
LANES_INLINE void
sum_s8 (const IgemmTile *t, int c, int count, __m256i *acc)
{
  const int8_t *w = weights_of (t, c, 1);
  const void *const *rows = t->rows;

  for (int tap = 0; tap < t->taps; tap++, w += IGEMM_NR, rows += IGEMM_MR) {
    const __m256i weights = _mm256_and_si256 (lanes_load_s8 (w, 8), _mm256_set1_epi32 (0xffff));

    IGEMM_EACH (i, IGEMM_MR) {
      const __m256i x = lanes_load_s8 ((const int8_t *) rows[i] + t->channel + c, count);

      acc[i] = _mm256_add_epi32 (acc[i], _mm256_madd_epi16 (x, weights));
    }
  }
}

LANES_INLINE void
tile_s8 (const IgemmTile *t, int c, int count)
{
  const __m256 m = lanes_load_f32 (t->m + c, count), b = lanes_load_f32 (t->b + c, count);
  __m256i acc[IGEMM_MR];

  IGEMM_EACH (i, IGEMM_MR)
    acc[i] = _mm256_setzero_si256 ();
  sum_s8 (t, c, count, acc);
  IGEMM_EACH (i, IGEMM_MR) {
    const size_t at = i * t->y_stride + c;

    if (i >= t->pixels)
      break;
    lanes_finish_s8 (t, acc[i], m, b, count, at);
  }
}

void
kernel_dwconv_tile_s8_avx2 (const IgemmTile *t)
{
  int c = 0;

  for (; c + 8 <= t->channels; c += 8)
    tile_s8 (t, c, 8);
  if (c < t->channels)
    tile_s8 (t, c, t->channels - c);
}

const IgemmKind kernel_dwconv_s8_avx2 = {
    .tile = kernel_dwconv_tile_s8_avx2,
    .element = 1,
    .k_step = 1,
    .tile_blocks = IGEMM_ALL_BLOCKS,
    .grain = 1 << 16,
    .depthwise = true,
};
