/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * igemm_neondot.c: conv_s8 with sdot: 4 products of 4 channels per instruction, signed by signed,
 * so that no value needs an offset.
 *
 * Tile: 6 pixels x 1 block of 16 channels. 24 registers of accumulators, 4 of weights, 1 of x: 29
 * of 32. Every 4 steps of k take 24 sdot, 4 loads of weights and 6 of x.
 */
#include "kernels/cpu/igemm.h"
#include "kernels/cpu/lanes_neon.h"
#include "kernels/cpu/igemm-matmul.h"

/* Four values of x. */
LANES_INLINE int8x8_t
load_x (const int8_t *x)
{
  int32_t four;

  memcpy (&four, x, sizeof four);
  return vreinterpret_s8_s32 (vdup_n_s32 (four));
}

LANES_INLINE void
tile (const IgemmTile *t, const int mr)
{
  const int8_t *w = t->w;
  int32x4_t acc[IGEMM_MR][4];

  IGEMM_EACH (i, mr)
    acc[i][0] = acc[i][1] = acc[i][2] = acc[i][3] = vdupq_n_s32 (0);

  for (int tap = 0; tap < t->taps; tap++) {
    const int8_t *x[IGEMM_MR];

    IGEMM_EACH (i, mr)
      x[i] = t->rows[tap * IGEMM_MR + i];
    for (int k = 0; k < t->run; k += 4, w += IGEMM_NR * 4) {
      int8x16_t weights[4];

      IGEMM_EACH (j, 4)
        weights[j] = vld1q_s8 (w + j * 16);
      IGEMM_EACH (i, mr) {
        const int8x8_t four = load_x (x[i] + k);

        IGEMM_EACH (j, 4)
          acc[i][j] = vdotq_lane_s32 (acc[i][j], weights[j], four, 0);
      }
    }
  }

  lanes_finish_tile_s8 (t, mr, acc);
}

IGEMM_TILE (run_tile, tile)

static const IgemmKind dense = {
    .tile = run_tile,
    .element = 1,
    .k_step = 4,
    .tile_blocks = 1,
    .grain = 1 << 18,
};

static const IgemmKind *
kind_of (const KernelConvShape *shape)
{
  return kernel_igemm_is_depthwise (shape) ? &kernel_dwconv_s8_neon : &dense;
}

IGEMM_S8_SLOTS (neondot, kind_of)

MATMUL_S8_SLOTS (neondot, kind_of)
