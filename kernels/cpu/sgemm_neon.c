/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sgemm_neon.c: conv_f32 with NEON: chains of fused multiply-adds, 4 outputs in a register, never a
 * sum over lanes.
 *
 * Tile: 6 pixels x 1 block of 16 channels. 24 registers of accumulators, 4 of weights, 1 of x: 29
 * of 32. Every k takes 24 fmla, 4 loads of weights and 6 of x.
 */
#include "kernels/cpu/igemm.h"
#include "kernels/cpu/lanes_neon.h"
#include "kernels/cpu/igemm-matmul.h"

typedef float32x4_t SgemmVector;
#define SGEMM_VECTORS 4
#define sgemm_zero()  vdupq_n_f32 (0)
#define sgemm_add     vaddq_f32
#define sgemm_load    vld1q_f32
#define sgemm_store   vst1q_f32

/* Product k of the rows x. */
LANES_INLINE void
add_product (SgemmVector (*acc)[SGEMM_VECTORS], const float *const *x, const float *w, int k,
    const int mr)
{
  float32x4_t weights[4];

  IGEMM_EACH (j, 4)
    weights[j] = vld1q_f32 (w + j * 4);
  IGEMM_EACH (i, mr) {
    IGEMM_EACH (j, 4)
      acc[i][j] = vfmaq_n_f32 (acc[i][j], weights[j], x[i][k]);
  }
}

#include "kernels/cpu/sgemm-chains.h"

LANES_INLINE void
tile (const IgemmTile *t, const int mr)
{
  const LanesF32 b0 = lanes_load_f32 (t->b, t->channels);
  const LanesF32 b1 = lanes_load_f32 (t->b + 8, t->channels - 8);
  float32x4_t acc[IGEMM_MR][4];

  IGEMM_EACH (i, mr) {
    acc[i][0] = b0.low;
    acc[i][1] = b0.high;
    acc[i][2] = b1.low;
    acc[i][3] = b1.high;
  }

  add_products (t, acc, mr);

  IGEMM_EACH (i, mr) {
    if (i >= t->pixels)
      break;
    lanes_finish_f32 (t, acc[i][0], acc[i][1], t->channels, i * t->y_stride);
    lanes_finish_f32 (t, acc[i][2], acc[i][3], t->channels - 8, i * t->y_stride + 8);
  }
}

IGEMM_TILE (run_tile, tile)

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
