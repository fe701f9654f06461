/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * igemm_neon.c: conv_s8 with smull and sadalp: 2 products of 4 channels per pair of instructions,
 * for processors without sdot. A product fits int16 for every value (two may not: no smlal), and
 * sadalp adds pairs of them to int32.
 *
 * Tile: 6 pixels x 1 block of 16 channels. 24 registers of accumulators, 2 of weights, 1 of x and
 * the rest for products: 32. Every 2 steps of k take 24 smull, 24 sadalp, 2 loads and 6 broadcasts.
 */
#include "kernels/cpu/igemm.h"
#include "kernels/cpu/lanes_neon.h"
#include "kernels/cpu/igemm-matmul.h"

/* Two values of x in every pair of bytes. */
LANES_INLINE int8x16_t
load_x (const int8_t *x)
{
  int16_t two;

  memcpy (&two, x, sizeof two);
  return vreinterpretq_s8_s16 (vdupq_n_s16 (two));
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
    for (int k = 0; k < t->run; k += 2, w += IGEMM_NR * 2) {
      const int8x16_t w0 = vld1q_s8 (w), w1 = vld1q_s8 (w + IGEMM_NR);

      IGEMM_EACH (i, mr) {
        const int8x16_t two = load_x (x[i] + k);

        acc[i][0] = vpadalq_s16 (acc[i][0], vmull_s8 (vget_low_s8 (two), vget_low_s8 (w0)));
        acc[i][1] = vpadalq_s16 (acc[i][1], vmull_high_s8 (two, w0));
        acc[i][2] = vpadalq_s16 (acc[i][2], vmull_s8 (vget_low_s8 (two), vget_low_s8 (w1)));
        acc[i][3] = vpadalq_s16 (acc[i][3], vmull_high_s8 (two, w1));
      }
    }
  }

  lanes_finish_tile_s8 (t, mr, acc);
}

IGEMM_TILE (run_tile, tile)

static const IgemmKind dense = {
    .tile = run_tile,
    .element = 1,
    .k_step = 2,
    .tile_blocks = 1,
    .grain = 1 << 17,
};

static const IgemmKind *
kind_of (const KernelConvShape *shape)
{
  return kernel_igemm_is_depthwise (shape) ? &kernel_dwconv_s8_neon : &dense;
}

IGEMM_S8_SLOTS (neon, kind_of)

MATMUL_S8_SLOTS (neon, kind_of)
