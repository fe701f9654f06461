/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sgemm_avx512.c: conv_f32 with AVX-512: one chain of fused multiply-adds per output, 16 outputs in
 * a register, never a sum over lanes.
 *
 * Tile: 6 pixels x 4 blocks of 16 channels: 24 registers of accumulators, 4 of weights, 1 of x.
 * Every k takes 24 multiply-adds, 4 loads and 6 broadcasts. Up to 32 channels have 12 pixels x 2
 * blocks: 6 pixels of one block would wait for the latency of their own sums.
 */
#include "kernels/cpu/igemm.h"
#include "kernels/cpu/lanes_avx512.h"
#include "kernels/cpu/igemm-matmul.h"

#define WIDE_BLOCKS   4
#define NARROW_MR     IGEMM_MAX_MR
#define NARROW_BLOCKS 2
#define AHEAD         2 /* tiles: so long before they are written, lines of y are fetched */

/* The outputs of a tile, from their sums. */
LANES_INLINE void
finish (const IgemmTile *t, __m512 (*acc)[WIDE_BLOCKS], const __mmask16 *mask, const int mr,
    const int blocks)
{
  const __m512 lo = _mm512_set1_ps (t->lo), hi = _mm512_set1_ps (t->hi);
  const int pixels = t->pixels;
  const size_t y_stride = t->y_stride;
  const float *r = t->r;
  float *y = t->y;

  if (r) {
    IGEMM_EACH (i, mr) {
      if (i >= pixels)
        break;
      IGEMM_EACH (j, blocks)
        acc[i][j] = _mm512_add_ps (acc[i][j], _mm512_maskz_loadu_ps (mask[j], r + j * IGEMM_NR));
      r += y_stride;
    }
  }
  IGEMM_EACH (i, mr) {
    if (i >= pixels)
      break;
    IGEMM_EACH (j, blocks)
      _mm512_mask_storeu_ps (y + j * IGEMM_NR, mask[j], lanes_clamp (acc[i][j], lo, hi));
    y += y_stride;
  }
}

/* rows: pixels of the kind's tile. */
LANES_INLINE void
tile (const IgemmTile *t, const int rows, const int mr, const int blocks)
{
  const size_t w_stride = t->w_stride / sizeof (float);
  const float *w = t->w;
  __m512 acc[NARROW_MR][WIDE_BLOCKS];
  __mmask16 mask[WIDE_BLOCKS];

  IGEMM_EACH (j, blocks) {
    mask[j] = lanes_mask (t->channels - j * IGEMM_NR);
    acc[0][j] = _mm512_maskz_loadu_ps (mask[j], t->b + j * IGEMM_NR);
    IGEMM_EACH (i, mr)
      acc[i][j] = acc[0][j];
  }

  IGEMM_EACH (i, mr)
    IGEMM_EACH (j, blocks)
      lanes_prefetch_write ((const float *) t->y + (AHEAD * rows + i) * t->y_stride + j * IGEMM_NR);

  for (int tap = 0; tap < t->taps; tap++) {
    const float *x[NARROW_MR];

    IGEMM_EACH (i, mr)
      x[i] = t->rows[tap * rows + i];
    for (int k = 0; k < t->run; k++, w += IGEMM_NR) {
      __m512 weights[WIDE_BLOCKS];

      IGEMM_EACH (j, blocks)
        weights[j] = _mm512_loadu_ps (w + j * w_stride);
      IGEMM_EACH (i, mr) {
        const __m512 value = _mm512_set1_ps (x[i][k]);

        IGEMM_EACH (j, blocks)
          acc[i][j] = _mm512_fmadd_ps (value, weights[j], acc[i][j]);
      }
    }
  }
  finish (t, acc, mask, mr, blocks);
}

typedef void (*TileFn) (const IgemmTile *tile);

#define TILE(name, rows, mr, blocks)                                                               \
  static void name (const IgemmTile *t)                                                            \
  {                                                                                                \
    tile (t, rows, mr, blocks);                                                                    \
  }
#define WIDE_TILES(blocks)                                                                         \
  TILE (wide_1_##blocks, IGEMM_MR, 1, blocks)                                                      \
  TILE (wide_6_##blocks, IGEMM_MR, IGEMM_MR, blocks)
#define NARROW_TILES(blocks)                                                                       \
  TILE (narrow_1_##blocks, NARROW_MR, 1, blocks)                                                   \
  TILE (narrow_12_##blocks, NARROW_MR, NARROW_MR, blocks)

WIDE_TILES (1)
WIDE_TILES (2)
WIDE_TILES (3)
WIDE_TILES (4)
NARROW_TILES (1)
NARROW_TILES (2)

static void
wide_tile (const IgemmTile *t)
{
  static const TileFn tiles[2][WIDE_BLOCKS] = {
      {wide_1_1, wide_1_2, wide_1_3, wide_1_4},
      {wide_6_1, wide_6_2, wide_6_3, wide_6_4},
  };

  tiles[t->pixels > 1][(t->channels - 1) / IGEMM_NR](t);
}

static void
narrow_tile (const IgemmTile *t)
{
  static const TileFn tiles[2][NARROW_BLOCKS] = {
      {narrow_1_1, narrow_1_2},
      {narrow_12_1, narrow_12_2},
  };

  tiles[t->pixels > 1][(t->channels - 1) / IGEMM_NR](t);
}

static void
run_wide (const IgemmTile *t)
{
  kernel_igemm_tiles_f32 (t, IGEMM_MR, wide_tile);
}

static void
run_narrow (const IgemmTile *t)
{
  kernel_igemm_tiles_f32 (t, NARROW_MR, narrow_tile);
}

static const IgemmKind wide = {
    .tile = run_wide,
    .element = sizeof (float),
    .k_step = 1,
    .tile_blocks = WIDE_BLOCKS,
    .grain = 1 << 18,
    .plain = true,
};

static const IgemmKind narrow = {
    .tile = run_narrow,
    .mr = NARROW_MR,
    .element = sizeof (float),
    .k_step = 1,
    .tile_blocks = NARROW_BLOCKS,
    .grain = 1 << 18,
    .plain = true,
};

static const IgemmKind *
kind_of (const KernelConvShape *shape)
{
  if (kernel_igemm_is_depthwise (shape))
    return &kernel_dwconv_f32_avx512;
  return shape->oc / shape->groups <= NARROW_BLOCKS * IGEMM_NR ? &narrow : &wide;
}

IGEMM_F32_SLOTS (avx512, kind_of)

MATMUL_F32_SLOTS (avx512, kind_of)
