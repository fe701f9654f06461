/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dwconv_avx512vnni.c: depthwise tile of conv_s8 with vpdpwssd.
 *
 * Tile: 6 pixels x 16 channels, then the next 16 channels: 6 registers of accumulators, 1 of
 * weights, loaded once for 6 pixels, 1 of x. x is sign-extended to 32 bits, w zero-extended from
 * 16: the upper product of vpdpwssd is 0, the lower one x * w.
 */
#include "kernels/cpu/igemm.h"
#include "kernels/cpu/lanes_avx512.h"

LANES_INLINE __m512i
load_s8 (const void *x, __mmask16 mask)
{
  return _mm512_cvtepi8_epi32 (_mm_maskz_loadu_epi8 (mask, x));
}

LANES_INLINE void
tile (const IgemmTile *t, int c, __mmask16 mask)
{
  const int8_t *w = (const int8_t *) t->w + c / IGEMM_NR * t->w_stride;
  const void *const *rows = t->rows;
  const __m512 m = _mm512_maskz_loadu_ps (mask, t->m + c);
  const __m512 b = _mm512_maskz_loadu_ps (mask, t->b + c);
  __m512i acc[IGEMM_MR];

  IGEMM_EACH (i, IGEMM_MR)
    acc[i] = _mm512_setzero_si512 ();
  for (int tap = 0; tap < t->taps; tap++, w += IGEMM_NR, rows += IGEMM_MR) {
    const __m512i weights = _mm512_and_si512 (load_s8 (w, 0xffff), _mm512_set1_epi32 (0xffff));

    IGEMM_EACH (i, IGEMM_MR) {
      const int8_t *x = (const int8_t *) rows[i] + t->channel + c;

      acc[i] = _mm512_dpwssd_epi32 (acc[i], load_s8 (x, mask), weights);
    }
  }
  IGEMM_EACH (i, IGEMM_MR) {
    if (i >= t->pixels)
      break;
    lanes_finish_s8 (t, acc[i], m, b, mask, i * t->y_stride + c);
  }
}

static void
run (const IgemmTile *t)
{
  int c = 0;

  for (; c + IGEMM_NR <= t->channels; c += IGEMM_NR)
    tile (t, c, 0xffff);
  if (c < t->channels)
    tile (t, c, lanes_mask (t->channels - c));
}

const IgemmKind kernel_dwconv_s8_avx512vnni = {
    .tile = run,
    .element = 1,
    .k_step = 1,
    .tile_blocks = IGEMM_ALL_BLOCKS,
    .grain = 1 << 16,
    .depthwise = true,
};
