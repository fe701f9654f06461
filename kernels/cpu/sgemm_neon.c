/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sgemm_neon.c: conv_f32 with NEON: one chain of fused multiply-adds per output, 4 outputs in a
 * register, never a sum over lanes.
 *
 * Tile: 6 pixels x 1 block of 16 channels. 24 registers of accumulators, 4 of weights, 1 of x: 29
 * of 32. Every k takes 24 fmla, 4 loads of weights and 6 of x.
 */
#include "kernels/cpu/igemm.h"
#include "kernels/cpu/lanes_neon.h"
#include "kernels/cpu/igemm-matmul.h"

LANES_INLINE void
tile (const IgemmTile *t, const int mr)
{
  const float *w = t->w;
  const LanesF32 b0 = lanes_load_f32 (t->b, t->channels);
  const LanesF32 b1 = lanes_load_f32 (t->b + 8, t->channels - 8);
  float32x4_t acc[IGEMM_MR][4];

  IGEMM_EACH (i, mr) {
    acc[i][0] = b0.low;
    acc[i][1] = b0.high;
    acc[i][2] = b1.low;
    acc[i][3] = b1.high;
  }

  for (int tap = 0; tap < t->taps; tap++) {
    const float *x[IGEMM_MR];

    IGEMM_EACH (i, mr)
      x[i] = t->rows[tap * IGEMM_MR + i];
    for (int k = 0; k < t->run; k++, w += IGEMM_NR) {
      float32x4_t weights[4];

      IGEMM_EACH (j, 4)
        weights[j] = vld1q_f32 (w + j * 4);
      IGEMM_EACH (i, mr) {
        IGEMM_EACH (j, 4)
          acc[i][j] = vfmaq_n_f32 (acc[i][j], weights[j], x[i][k]);
      }
    }
  }

  IGEMM_EACH (i, mr) {
    if (i >= t->pixels)
      break;
    lanes_finish_f32 (t, acc[i][0], acc[i][1], t->channels, i * t->y_stride);
    lanes_finish_f32 (t, acc[i][2], acc[i][3], t->channels - 8, i * t->y_stride + 8);
  }
}

static void
run_tile (const IgemmTile *t)
{
  if (t->pixels == 1)
    tile (t, 1);
  else
    tile (t, IGEMM_MR);
}

static const IgemmKind dense = {
    .tile = run_tile,
    .element = sizeof (float),
    .k_step = 1,
    .tile_blocks = 1,
    .grain = 1 << 16,
};

static const IgemmKind *
kind_of (const KernelConvShape *shape)
{
  return kernel_igemm_is_depthwise (shape) ? &kernel_dwconv_f32_neon : &dense;
}

IGEMM_F32_SLOTS (neon, kind_of)

MATMUL_F32_SLOTS (neon, kind_of)
