/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dwconv_avx512.c: depthwise tile of conv_f32 with AVX-512.
 *
 * Tile: 6 pixels x 16 channels, then the next 16 channels: 6 registers of accumulators, 1 of
 * weights, loaded once for 6 pixels; x is an operand in memory.
 */
#include "kernels/cpu/igemm.h"
#include "kernels/cpu/lanes_avx512.h"

LANES_INLINE void
tile (const IgemmTile *t, int c, __mmask16 mask)
{
  const float *w = (const float *) ((const uint8_t *) t->w + c / IGEMM_NR * t->w_stride);
  const void *const *rows = t->rows;
  __m512 acc[IGEMM_MR];

  IGEMM_EACH (i, IGEMM_MR)
    acc[i] = _mm512_maskz_loadu_ps (mask, t->b + c);
  for (int tap = 0; tap < t->taps; tap++, w += IGEMM_NR, rows += IGEMM_MR) {
    const __m512 weights = _mm512_loadu_ps (w);

    IGEMM_EACH (i, IGEMM_MR) {
      const float *x = (const float *) rows[i] + t->channel + c;

      acc[i] = _mm512_fmadd_ps (_mm512_maskz_loadu_ps (mask, x), weights, acc[i]);
    }
  }
  IGEMM_EACH (i, IGEMM_MR) {
    if (i >= t->pixels)
      break;
    lanes_finish_f32 (t, acc[i], mask, i * t->y_stride + c);
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

const IgemmKind kernel_dwconv_f32_avx512 = {
    .tile = run,
    .element = sizeof (float),
    .k_step = 1,
    .tile_blocks = IGEMM_ALL_BLOCKS,
    .grain = 1 << 16,
    .depthwise = true,
};
