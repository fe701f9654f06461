/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sgemm_avx512.c: conv_f32 with AVX-512: chains of fused multiply-adds, 16 outputs in a register,
 * never a sum over lanes.
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

/* Ends a chain, and begins the next. */
LANES_INLINE void
end_chain (const IgemmTile *t, __m512 (*acc)[WIDE_BLOCKS], bool first, const int mr,
    const int blocks)
{
  float *total = t->totals;

  IGEMM_EACH (i, mr) {
    IGEMM_EACH (j, blocks) {
      _mm512_store_ps (total,
          first ? acc[i][j] : _mm512_add_ps (_mm512_load_ps (total), acc[i][j]));
      acc[i][j] = _mm512_setzero_ps ();
      total += IGEMM_NR;
    }
  }
}

/* The sums of all chains, the last of which is not ended. */
LANES_INLINE void
add_totals (const IgemmTile *t, __m512 (*acc)[WIDE_BLOCKS], const int mr, const int blocks)
{
  const float *total = t->totals;

  IGEMM_EACH (i, mr) {
    IGEMM_EACH (j, blocks) {
      acc[i][j] = _mm512_add_ps (_mm512_load_ps (total), acc[i][j]);
      total += IGEMM_NR;
    }
  }
}

/* Product k of the rows x. */
LANES_INLINE void
add_product (const IgemmTile *t, __m512 (*acc)[WIDE_BLOCKS], const float *const *x, const float *w,
    int k, const int mr, const int blocks)
{
  const size_t w_stride = t->w_stride / sizeof (float);
  __m512 weights[WIDE_BLOCKS];

  IGEMM_EACH (j, blocks)
    weights[j] = _mm512_loadu_ps (w + j * w_stride);
  IGEMM_EACH (i, mr) {
    const __m512 value = _mm512_set1_ps (x[i][k]);

    IGEMM_EACH (j, blocks)
      acc[i][j] = _mm512_fmadd_ps (value, weights[j], acc[i][j]);
  }
}

/* rows: pixels of the kind's tile. */
LANES_INLINE void
find_rows (const IgemmTile *t, int tap, const float **x, const int rows, const int mr)
{
  IGEMM_EACH (i, mr)
    x[i] = t->rows[tap * rows + i];
}

/* All of few products. What add_chains() keeps count of would take some percent of their time. */
LANES_INLINE void
add_chain (const IgemmTile *t, __m512 (*acc)[WIDE_BLOCKS], const int rows, const int mr,
    const int blocks)
{
  const float *w = t->w, *x[NARROW_MR];

  for (int tap = 0; tap < t->taps; tap++, w += t->run * IGEMM_NR) {
    find_rows (t, tap, x, rows, mr);
    for (int k = 0; k < t->run; k++)
      add_product (t, acc, x, w + k * IGEMM_NR, k, mr, blocks);
  }
}

/* Two products at once: loops of up to 96 turns end as predicted, longer ones do not. */
LANES_INLINE void
add_chains (const IgemmTile *t, __m512 (*acc)[WIDE_BLOCKS], const int rows, const int mr,
    const int blocks)
{
  const float *w = t->w, *x[NARROW_MR];
  int left = KERNEL_CHAIN;
  bool first = true;

  for (int tap = 0; tap < t->taps; tap++) {
    find_rows (t, tap, x, rows, mr);
    for (int k = 0, end; k < t->run; k = end) {
      if (left == 0) {
        end_chain (t, acc, first, mr, blocks);
        first = false;
        left = KERNEL_CHAIN;
      }
      end = kernel_min_int (t->run, k + left);
      left -= end - k;
      for (; k + 2 <= end; k += 2, w += 2 * IGEMM_NR) {
        add_product (t, acc, x, w, k, mr, blocks);
        add_product (t, acc, x, w + IGEMM_NR, k + 1, mr, blocks);
      }
      if (k < end) {
        add_product (t, acc, x, w, k, mr, blocks);
        w += IGEMM_NR;
      }
    }
  }
  add_totals (t, acc, mr, blocks);
}

LANES_INLINE void
tile (const IgemmTile *t, const int rows, const int mr, const int blocks)
{
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

  if (t->taps * t->run <= KERNEL_CHAIN)
    add_chain (t, acc, rows, mr, blocks);
  else
    add_chains (t, acc, rows, mr, blocks);
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
