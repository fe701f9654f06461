/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sgemm_avx2.c: conv_f32 with AVX2 and FMA: chains of fused multiply-adds, 8 outputs in a register,
 * never a sum over lanes.
 *
 * Tile: 6 pixels x 1 block of 16 channels. 12 registers of accumulators, 2 of weights, 1 of x: 15
 * of 16. Every k takes 12 multiply-adds, 2 loads and 6 broadcasts.
 */
#include "kernels/cpu/igemm.h"
#include "kernels/cpu/lanes_avx2.h"
#include "kernels/cpu/igemm-matmul.h"

#define AHEAD 2 /* tiles: so long before they are written, lines of y are fetched */

/* The outputs of a tile, 16 channels each, from their sums. */
LANES_INLINE void
finish (const IgemmTile *t, __m256 (*acc)[2], const int mr)
{
  const __m256 lo = _mm256_set1_ps (t->lo), hi = _mm256_set1_ps (t->hi);
  const int pixels = t->pixels;
  const size_t y_stride = t->y_stride;
  const float *r = t->r;
  float *y = t->y;

  if (r) {
    IGEMM_EACH (i, mr) {
      if (i >= pixels)
        break;
      IGEMM_EACH (j, 2)
        acc[i][j] = _mm256_add_ps (acc[i][j], _mm256_loadu_ps (r + i * y_stride + j * 8));
    }
  }
  IGEMM_EACH (i, mr) {
    if (i >= pixels)
      break;
    IGEMM_EACH (j, 2)
      _mm256_storeu_ps (y + i * y_stride + j * 8, lanes_clamp (acc[i][j], lo, hi));
  }
}

typedef __m256 SgemmVector;
#define SGEMM_VECTORS 2
#define sgemm_zero    _mm256_setzero_ps
#define sgemm_add     _mm256_add_ps
#define sgemm_load    _mm256_load_ps
#define sgemm_store   _mm256_store_ps

/* Product k of the rows x. */
LANES_INLINE void
add_product (SgemmVector (*acc)[SGEMM_VECTORS], const float *const *x, const float *w, int k,
    const int mr)
{
  const __m256 w0 = _mm256_loadu_ps (w), w1 = _mm256_loadu_ps (w + 8);

  IGEMM_EACH (i, mr) {
    const __m256 value = _mm256_broadcast_ss (x[i] + k);

    acc[i][0] = _mm256_fmadd_ps (value, w0, acc[i][0]);
    acc[i][1] = _mm256_fmadd_ps (value, w1, acc[i][1]);
  }
}

#include "kernels/cpu/sgemm-chains.h"

LANES_INLINE void
tile (const IgemmTile *t, const int mr)
{
  __m256 acc[IGEMM_MR][2];

  IGEMM_EACH (i, mr) {
    lanes_prefetch_write ((const float *) t->y + (AHEAD * IGEMM_MR + i) * t->y_stride);
    acc[i][0] = lanes_load_f32 (t->b, t->channels);
    acc[i][1] = lanes_load_f32 (t->b + 8, t->channels - 8);
  }

  add_products (t, acc, mr);

  if (t->channels == IGEMM_NR) {
    finish (t, acc, mr);
    return;
  }
  IGEMM_EACH (i, mr) {
    if (i >= t->pixels)
      break;
    lanes_finish_f32 (t, acc[i][0], t->channels, i * t->y_stride);
    lanes_finish_f32 (t, acc[i][1], t->channels - 8, i * t->y_stride + 8);
  }
}

IGEMM_TILE (dense_tile, tile)

static void
run (const IgemmTile *t)
{
  kernel_igemm_tiles_f32 (t, IGEMM_MR, dense_tile);
}

static const IgemmKind dense = {
    .tile = run,
    .element = sizeof (float),
    .k_step = 1,
    .tile_blocks = 1,
    .grain = 1 << 17,
    .plain = true,
};

static const IgemmKind *
kind_of (const KernelConvShape *shape)
{
  return kernel_igemm_is_depthwise (shape) ? &kernel_dwconv_f32_avx2 : &dense;
}

IGEMM_F32_SLOTS (avx2, kind_of)

MATMUL_F32_SLOTS (avx2, kind_of)
