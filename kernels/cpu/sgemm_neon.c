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

/* Ends a chain, and begins the next. */
LANES_INLINE void
end_chain (const IgemmTile *t, float32x4_t (*acc)[4], bool first, const int mr)
{
  float *total = t->totals;

  IGEMM_EACH (i, mr) {
    IGEMM_EACH (j, 4) {
      vst1q_f32 (total, first ? acc[i][j] : vaddq_f32 (vld1q_f32 (total), acc[i][j]));
      acc[i][j] = vdupq_n_f32 (0);
      total += 4;
    }
  }
}

/* The sums of all chains, the last of which is not ended. */
LANES_INLINE void
add_totals (const IgemmTile *t, float32x4_t (*acc)[4], const int mr)
{
  const float *total = t->totals;

  IGEMM_EACH (i, mr) {
    IGEMM_EACH (j, 4) {
      acc[i][j] = vaddq_f32 (vld1q_f32 (total), acc[i][j]);
      total += 4;
    }
  }
}

/* Product k of the rows x. */
LANES_INLINE void
add_product (float32x4_t (*acc)[4], const float *const *x, const float *w, int k, const int mr)
{
  float32x4_t weights[4];

  IGEMM_EACH (j, 4)
    weights[j] = vld1q_f32 (w + j * 4);
  IGEMM_EACH (i, mr) {
    IGEMM_EACH (j, 4)
      acc[i][j] = vfmaq_n_f32 (acc[i][j], weights[j], x[i][k]);
  }
}

LANES_INLINE void
find_rows (const IgemmTile *t, int tap, const float **x, const int mr)
{
  IGEMM_EACH (i, mr)
    x[i] = t->rows[tap * IGEMM_MR + i];
}

/* All of few products. What add_chains() keeps count of would take some percent of their time. */
LANES_INLINE void
add_chain (const IgemmTile *t, float32x4_t (*acc)[4], const int mr)
{
  const float *w = t->w, *x[IGEMM_MR];

  for (int tap = 0; tap < t->taps; tap++, w += t->run * IGEMM_NR) {
    find_rows (t, tap, x, mr);
    for (int k = 0; k < t->run; k++)
      add_product (acc, x, w + k * IGEMM_NR, k, mr);
  }
}

/* Two products at once: loops of up to 96 turns end as predicted, longer ones do not. */
LANES_INLINE void
add_chains (const IgemmTile *t, float32x4_t (*acc)[4], const int mr)
{
  const float *w = t->w, *x[IGEMM_MR];
  int left = KERNEL_CHAIN;
  bool first = true;

  for (int tap = 0; tap < t->taps; tap++) {
    find_rows (t, tap, x, mr);
    for (int k = 0, end; k < t->run; k = end) {
      if (left == 0) {
        end_chain (t, acc, first, mr);
        first = false;
        left = KERNEL_CHAIN;
      }
      end = kernel_min_int (t->run, k + left);
      left -= end - k;
      for (; k + 2 <= end; k += 2, w += 2 * IGEMM_NR) {
        add_product (acc, x, w, k, mr);
        add_product (acc, x, w + IGEMM_NR, k + 1, mr);
      }
      if (k < end) {
        add_product (acc, x, w, k, mr);
        w += IGEMM_NR;
      }
    }
  }
  add_totals (t, acc, mr);
}

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

  if (t->taps * t->run <= KERNEL_CHAIN)
    add_chain (t, acc, mr);
  else
    add_chains (t, acc, mr);

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
