/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sgemm_avx512.c: conv_f32 with AVX-512: one chain of fused multiply-adds per output, 16 outputs in
 * a register, never a sum over lanes.
 *
 * Tile: 6 pixels x 4 blocks of 16 channels. 24 registers of accumulators and 4 of weights; x is a
 * broadcast operand of the multiply-add itself. Every k takes 24 multiply-adds and 4 loads.
 */
#include "kernels/cpu/igemm.h"
#include "kernels/cpu/lanes_avx512.h"

LANES_INLINE void
tile (const IgemmTile *t, const int mr, const int blocks)
{
  const size_t w_stride = t->w_stride / sizeof (float);
  const float *w = t->w;
  __m512 acc[IGEMM_MR][4];
  __mmask16 mask[4];

  IGEMM_EACH (j, blocks) {
    mask[j] = lanes_mask (t->channels - j * IGEMM_NR);
    IGEMM_EACH (i, mr)
      acc[i][j] = _mm512_maskz_loadu_ps (mask[j], t->b + j * IGEMM_NR);
  }

  for (int tap = 0; tap < t->taps; tap++) {
    const float *x[IGEMM_MR];

    IGEMM_EACH (i, mr)
      x[i] = t->rows[tap * IGEMM_MR + i];
    for (int k = 0; k < t->run; k++, w += IGEMM_NR) {
      __m512 weights[4];

      IGEMM_EACH (j, blocks)
        weights[j] = _mm512_loadu_ps (w + j * w_stride);
      IGEMM_EACH (i, mr) {
        const __m512 value = _mm512_set1_ps (x[i][k]);

        IGEMM_EACH (j, blocks)
          acc[i][j] = _mm512_fmadd_ps (value, weights[j], acc[i][j]);
      }
    }
  }

  IGEMM_EACH (j, blocks) {
    IGEMM_EACH (i, mr) {
      if (i >= t->pixels)
        break;
      lanes_finish_f32 (t, acc[i][j], mask[j], i * t->y_stride + j * IGEMM_NR);
    }
  }
}

/* clang-format off */
static void
run_tile (const IgemmTile *t)
{
  const int blocks = (t->channels + IGEMM_NR - 1) / IGEMM_NR;

  switch (t->pixels == 1 ? blocks : 4 + blocks) {
  case 1: tile (t, 1, 1); break;
  case 2: tile (t, 1, 2); break;
  case 3: tile (t, 1, 3); break;
  case 4: tile (t, 1, 4); break;
  case 5: tile (t, IGEMM_MR, 1); break;
  case 6: tile (t, IGEMM_MR, 2); break;
  case 7: tile (t, IGEMM_MR, 3); break;
  case 8: tile (t, IGEMM_MR, 4); break;
  }
}
/* clang-format on */

static const IgemmKind dense = {
    .tile = run_tile,
    .element = sizeof (float),
    .k_step = 1,
    .tile_blocks = 4,
    .grain = 1 << 18,
};

static const IgemmKind *
kind_of (const KernelConvShape *shape)
{
  return kernel_igemm_is_depthwise (shape) ? &kernel_dwconv_f32_avx512 : &dense;
}

IGEMM_F32_SLOTS (avx512, kind_of)
