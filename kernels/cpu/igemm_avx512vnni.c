/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * igemm_avx512vnni.c: conv_s8 with vpdpbusd: 4 products of 16 channels per instruction.
 *
 * Tile: 6 pixels x 4 blocks of 16 channels. 24 registers of accumulators, 4 of weights, 1 of x, 1
 * of constants: 30 of 32. Every 4 steps of k take 24 vpdpbusd, 4 loads of weights and 6 broadcasts
 * of x, so that the loads (10) hide behind the products. vpdpbusd wants unsigned x: x ^ 0x80 is
 * x + 128, and the accumulators start at -128 * sum (w), wrapping.
 *
 * Where rows are plain (1x1), a tile of up to 3 blocks takes 7 pixels, which divides the images of
 * most classifiers.
 */
#include "kernels/cpu/igemm.h"
#include "kernels/cpu/lanes_avx512.h"
#include "kernels/cpu/igemm-matmul.h"
#include "kernels/cpu/winograd.h"

#include <string.h>

/* Pixels of a tile of few blocks whose rows are plain. */
#define PLAIN_MR    7
#define MOST_PIXELS PLAIN_MR
/* Bytes before the weights of a block. */
#define START (IGEMM_NR * sizeof (int32_t))

/* Four values of x + 128 in every lane. */
LANES_INLINE __m512i
load_x (const uint8_t *x)
{
  int32_t four;

  memcpy (&four, x, sizeof four);
  return _mm512_xor_si512 (_mm512_set1_epi32 (four), _mm512_set1_epi32 ((int32_t) 0x80808080));
}

/* All residuals are read before anything is stored: they may lie where y does, and a masked store
 * delays the loads of all that its 64 bytes touch. */
LANES_INLINE void
finish_together (const IgemmTile *t, const bool residual, const int mr, const int blocks,
    const __m512 *m, const __m512 *b, __m512i (*acc)[4])
{
  const __mmask64 mask = lanes_mask_64 (t->channels);

  IGEMM_EACH (i, mr) {
    const int pixel = i < t->pixels ? i : t->pixels - 1;

    lanes_round_blocks_s8 (t, residual, acc[i], blocks, m, b, mask, pixel * t->y_stride);
  }
  IGEMM_EACH (i, mr) {
    if (i >= t->pixels)
      break;
    lanes_store_blocks_s8 (t, acc[i], blocks, mask, i * t->y_stride);
  }
}

LANES_INLINE void
finish (const IgemmTile *t, const int mr, const int blocks, __m512i (*acc)[4])
{
  const __mmask64 mask = lanes_mask_64 (t->channels);
  __m512 m[4], b[4];

  IGEMM_EACH (j, blocks) {
    m[j] = _mm512_maskz_loadu_ps ((__mmask16) (mask >> j * IGEMM_NR), t->m + j * IGEMM_NR);
    b[j] = _mm512_maskz_loadu_ps ((__mmask16) (mask >> j * IGEMM_NR), t->b + j * IGEMM_NR);
  }
  if (t->bounded && !t->y_f32) {
    if (t->r)
      finish_together (t, true, mr, blocks, m, b, acc);
    else
      finish_together (t, false, mr, blocks, m, b, acc);
    return;
  }
  IGEMM_EACH (i, mr) {
    if (i >= t->pixels)
      break;
    IGEMM_EACH (j, blocks)
      lanes_finish_s8 (t, acc[i][j], m[j], b[j], (__mmask16) (mask >> j * IGEMM_NR),
          i * t->y_stride + j * IGEMM_NR);
  }
}

LANES_INLINE void
start (const IgemmTile *t, const int mr, const int blocks, __m512i (*acc)[4])
{
  IGEMM_EACH (j, blocks) {
    IGEMM_EACH (i, mr)
      acc[i][j] = _mm512_loadu_si512 ((const uint8_t *) t->w + j * t->w_stride);
  }
}

/* The products of one row of every pixel. Weights that lie `ahead` are fetched meanwhile. */
LANES_INLINE void
add_rows (const IgemmTile *t, const uint8_t *const *x, const uint8_t *w, const uint8_t *ahead,
    const int mr, const int blocks, __m512i (*acc)[4])
{
  for (int k = 0; k < t->run; k += 4, w += IGEMM_NR * 4) {
    __m512i weights[4];

    _mm_prefetch (ahead + k * IGEMM_NR, _MM_HINT_T1);
    IGEMM_EACH (j, blocks)
      weights[j] = _mm512_loadu_si512 (w + j * t->w_stride);
    IGEMM_EACH (i, mr) {
      const __m512i four = load_x (x[i] + k);

      IGEMM_EACH (j, blocks)
        acc[i][j] = _mm512_dpbusd_epi32 (acc[i][j], four, weights[j]);
    }
  }
}

/* The tile is a copy, which stays in registers: stores of bytes might change any other. */
LANES_INLINE void
tile_of_rows (IgemmTile t, const int mr, const int blocks)
{
  const uint8_t *w = (const uint8_t *) t.w + START, *ahead = (const uint8_t *) t.ahead + START;
  const size_t step = (size_t) t.run * IGEMM_NR;
  __m512i acc[MOST_PIXELS][4];

  start (&t, mr, blocks, acc);
  for (int tap = 0; tap < t.taps; tap++, w += step, ahead += step) {
    const uint8_t *x[MOST_PIXELS];

    IGEMM_EACH (i, mr)
      x[i] = t.rows[tap * IGEMM_MR + i];
    add_rows (&t, x, w, ahead, mr, blocks, acc);
  }
  finish (&t, mr, blocks, acc);
}

LANES_INLINE void
tile_of_plain (IgemmTile t, const int mr, const int blocks)
{
  const uint8_t *w = (const uint8_t *) t.w + START, *ahead = (const uint8_t *) t.ahead + START;
  const uint8_t *x[MOST_PIXELS];
  __m512i acc[MOST_PIXELS][4];

  IGEMM_EACH (i, mr)
    x[i] = (const uint8_t *) t.x + (i < t.pixels ? i : t.pixels - 1) * t.x_stride;
  start (&t, mr, blocks, acc);
  add_rows (&t, x, w, ahead, mr, blocks, acc);
  finish (&t, mr, blocks, acc);
}

/* Functions of their own: a compiler that sees the loop around a tile keeps too much in registers. */
#define TILE(name, function, mr, blocks)                                                           \
  static __attribute__ ((noinline)) void name (const IgemmTile *t)                                 \
  {                                                                                                \
    function (*t, mr, blocks);                                                                     \
  }
TILE (rows_1x1, tile_of_rows, 1, 1)
TILE (rows_1x2, tile_of_rows, 1, 2)
TILE (rows_1x3, tile_of_rows, 1, 3)
TILE (rows_1x4, tile_of_rows, 1, 4)
TILE (rows_6x1, tile_of_rows, IGEMM_MR, 1)
TILE (rows_6x2, tile_of_rows, IGEMM_MR, 2)
TILE (rows_6x3, tile_of_rows, IGEMM_MR, 3)
TILE (rows_6x4, tile_of_rows, IGEMM_MR, 4)
TILE (plain_1x1, tile_of_plain, 1, 1)
TILE (plain_1x2, tile_of_plain, 1, 2)
TILE (plain_1x3, tile_of_plain, 1, 3)
TILE (plain_1x4, tile_of_plain, 1, 4)
TILE (plain_7x1, tile_of_plain, PLAIN_MR, 1)
TILE (plain_7x2, tile_of_plain, PLAIN_MR, 2)
TILE (plain_7x3, tile_of_plain, PLAIN_MR, 3)
TILE (plain_6x4, tile_of_plain, IGEMM_MR, 4)

typedef void (*TileFn) (const IgemmTile *t);

/* By pixels, one or many, and blocks. */
static const TileFn rows_tiles[2][4] = {{rows_1x1, rows_1x2, rows_1x3, rows_1x4},
    {rows_6x1, rows_6x2, rows_6x3, rows_6x4}};
static const TileFn plain_tiles[2][4] = {{plain_1x1, plain_1x2, plain_1x3, plain_1x4},
    {plain_7x1, plain_7x2, plain_7x3, plain_6x4}};

static void
run_plain (const IgemmTile *tile, int blocks)
{
  const uint8_t *next = (const uint8_t *) tile->w + blocks * tile->w_stride;
  const int mr = blocks == 4 ? IGEMM_MR : PLAIN_MR;
  const size_t y_size = tile->y_f32 ? sizeof (float) : 1;
  IgemmTile t = *tile;

  for (int left = tile->pixels, i = 0; left > 0; left -= mr, i++) {
    t.pixels = left < mr ? left : mr;
    t.ahead = i < blocks ? next + i * t.w_stride : t.w;
    plain_tiles[left > 1][blocks - 1](&t);
    t.x = (const uint8_t *) t.x + mr * t.x_stride;
    t.y = (uint8_t *) t.y + mr * t.y_stride * y_size;
    t.r = t.r ? (const uint8_t *) t.r + mr * t.y_stride : NULL;
  }
}

static void
run_tile (const IgemmTile *t)
{
  const int blocks = (t->channels + IGEMM_NR - 1) / IGEMM_NR;

  if (t->rows)
    rows_tiles[t->pixels > 1][blocks - 1](t);
  else if (t->pixels == 1)
    plain_tiles[0][blocks - 1](t);
  else
    run_plain (t, blocks);
}

const IgemmKind kernel_igemm_s8_avx512vnni = {
    .tile = run_tile,
    .element = 1,
    .k_step = 4,
    .tile_blocks = 4,
    .grain = 1 << 20,
    .x_offset = 128,
    .plain = true,
    .bounded = kernel_bounded_avx512vnni,
};

static const IgemmKind *
kind_of (const KernelConvShape *shape)
{
  return kernel_igemm_is_depthwise (shape) ? &kernel_dwconv_s8_avx512vnni
                                           : &kernel_igemm_s8_avx512vnni;
}

WINOGRAD_S8_SLOTS (avx512vnni, kind_of, &kernel_winograd_s8_avx512vnni)

MATMUL_S8_SLOTS (avx512vnni, kind_of)
