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

/* Ends a chain, and begins the next. */
LANES_INLINE void
end_chain (const IgemmTile *t, __m256 (*acc)[2], bool first, const int mr)
{
  float *total = t->totals;

  IGEMM_EACH (i, mr) {
    IGEMM_EACH (j, 2) {
      _mm256_store_ps (total,
          first ? acc[i][j] : _mm256_add_ps (_mm256_load_ps (total), acc[i][j]));
      acc[i][j] = _mm256_setzero_ps ();
      total += 8;
    }
  }
}

/* The sums of all chains, the last of which is not ended. */
LANES_INLINE void
add_totals (const IgemmTile *t, __m256 (*acc)[2], const int mr)
{
  const float *total = t->totals;

  IGEMM_EACH (i, mr) {
    IGEMM_EACH (j, 2) {
      acc[i][j] = _mm256_add_ps (_mm256_load_ps (total), acc[i][j]);
      total += 8;
    }
  }
}

/* Product k of the rows x. */
LANES_INLINE void
add_product (__m256 (*acc)[2], const float *const *x, const float *w, int k, const int mr)
{
  const __m256 w0 = _mm256_loadu_ps (w), w1 = _mm256_loadu_ps (w + 8);

  IGEMM_EACH (i, mr) {
    const __m256 value = _mm256_broadcast_ss (x[i] + k);

    acc[i][0] = _mm256_fmadd_ps (value, w0, acc[i][0]);
    acc[i][1] = _mm256_fmadd_ps (value, w1, acc[i][1]);
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
add_chain (const IgemmTile *t, __m256 (*acc)[2], const int mr)
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
add_chains (const IgemmTile *t, __m256 (*acc)[2], const int mr)
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
  __m256 acc[IGEMM_MR][2];

  IGEMM_EACH (i, mr) {
    lanes_prefetch_write ((const float *) t->y + (AHEAD * IGEMM_MR + i) * t->y_stride);
    acc[i][0] = lanes_load_f32 (t->b, t->channels);
    acc[i][1] = lanes_load_f32 (t->b + 8, t->channels - 8);
  }

  if (t->taps * t->run <= KERNEL_CHAIN)
    add_chain (t, acc, mr);
  else
    add_chains (t, acc, mr);

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

static void
dense_tile (const IgemmTile *t)
{
  if (t->pixels == 1)
    tile (t, 1);
  else
    tile (t, IGEMM_MR);
}

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
