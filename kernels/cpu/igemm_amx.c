/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * igemm_amx.c: conv_s8 with tdpbssd: 16 pixels x 16 channels x 64 values per instruction, signed.
 *
 * Tile: 32 pixels x 2 blocks of 16 channels: 4 registers of accumulators, 2 of x, 2 of weights: 8
 * of 8. Every 64 values of k take 4 products and 4 loads. A register of x is 16 rows at equal
 * distances; arrange() makes them so. The accumulators pass through memory to be finished with
 * AVX-512.
 */
#include "kernels/cpu/igemm.h"
#include "kernels/cpu/lanes_avx512.h"
#include "kernels/cpu/igemm-matmul.h"

#define ROWS  16             /* of a register */
#define BYTES 64             /* of its row */
#define MR    (2 * ROWS)     /* pixels of a tile */
#define CELL  (ROWS * BYTES) /* bytes of a register */

/* What ldtilecfg reads. */
typedef struct {
  uint8_t palette, start_row, reserved[14];
  uint16_t bytes[16]; /* of a row, by register */
  uint8_t rows[16];
} TileConfig;

static void
begin (void)
{
  static const TileConfig config = {
      .palette = 1,
      .bytes = {BYTES, BYTES, BYTES, BYTES, BYTES, BYTES, BYTES, BYTES},
      .rows = {ROWS, ROWS, ROWS, ROWS, ROWS, ROWS, ROWS, ROWS},
  };

  _tile_loadconfig (&config);
}

/* Without tiles in use the system need not save them when it switches threads. */
static void
end (void)
{
  _tile_release ();
}

/* --- Rows ----------------------------------------------------------------------------------- */

static inline ptrdiff_t
distance (const void *const *rows)
{
  return (ptrdiff_t) ((uintptr_t) rows[1] - (uintptr_t) rows[0]);
}

/* One row may be at any distance from those that nobody wants; 2 to 15 would be read beyond. */
static bool
are_equidistant (const void *const *rows, int count)
{
  const ptrdiff_t step = distance (rows);

  if (count < ROWS)
    return count == 1;
  for (int i = 2; i < ROWS; i++)
    if (distance (rows + i - 1) != step)
      return false;
  return true;
}

static void
copy_row (const void *row, int size, uint8_t *to)
{
  for (int k = 0; k < size; k += BYTES)
    _mm512_storeu_si512 (to + k, _mm512_loadu_si512 ((const uint8_t *) row + k));
}

static void
arrange (const Igemm *g, int pixels, const void **rows, void *memory)
{
  uint8_t *to = memory;

  for (int tap = 0; tap < g->taps; tap++, rows += MR, to += (size_t) MR * g->row) {
    for (int first = 0; first < pixels; first += ROWS) {
      const int count = pixels - first < ROWS ? pixels - first : ROWS;

      if (are_equidistant (rows + first, count))
        continue;
      for (int i = first; i < first + count; i++) {
        uint8_t *place = to + (size_t) i * g->row;

        if (rows[i] != place)
          copy_row (rows[i], g->row, place);
        rows[i] = place;
      }
    }
  }
}

/* --- The tile ------------------------------------------------------------------------------- */

/* Registers: 0 to 3 accumulators, 4 and 5 rows of x, 6 and 7 weights. Their numbers are part of
 * the instruction and cannot be variables. */
LANES_INLINE void
multiply (const IgemmTile *t, const bool two_rows, const bool two_blocks)
{
  const uint8_t *w = t->w;

  _tile_zero (0);
  _tile_zero (1);
  _tile_zero (2);
  _tile_zero (3);
  for (int tap = 0; tap < t->taps; tap++) {
    const void *const *upper = t->rows + tap * MR, *const *lower = upper + ROWS;
    const uint8_t *x0 = upper[0], *x1 = lower[0];
    const ptrdiff_t step0 = distance (upper), step1 = distance (lower);

    for (int k = 0; k < t->run; k += BYTES, w += CELL) {
      _tile_loadd (4, x0 + k, step0);
      _tile_loadd (6, w, BYTES);
      _tile_dpbssd (0, 4, 6);
      if (two_blocks) {
        _tile_loadd (7, w + t->w_stride, BYTES);
        _tile_dpbssd (1, 4, 7);
      }
      if (two_rows) {
        _tile_loadd (5, x1 + k, step1);
        _tile_dpbssd (2, 5, 6);
      }
      if (two_rows && two_blocks)
        _tile_dpbssd (3, 5, 7);
    }
  }
}

/* Sums of all pixels and channels of a tile. */
typedef struct {
  _Alignas(BYTES) int32_t of[MR][2][IGEMM_NR];
} Sums;

LANES_INLINE void
finish_pixels (const IgemmTile *t, const bool together, const bool residual, const int blocks,
    const Sums *sums)
{
  const __mmask64 mask = lanes_mask_64 (t->channels);
  __m512 m[2], b[2];

  IGEMM_EACH (j, blocks) {
    m[j] = _mm512_maskz_loadu_ps ((__mmask16) (mask >> j * IGEMM_NR), t->m + j * IGEMM_NR);
    b[j] = _mm512_maskz_loadu_ps ((__mmask16) (mask >> j * IGEMM_NR), t->b + j * IGEMM_NR);
  }
  for (int i = 0; i < t->pixels; i++) {
    const size_t at = i * t->y_stride;
    __m512i acc[2];

    IGEMM_EACH (j, blocks)
      acc[j] = _mm512_load_si512 (sums->of[i][j]);
    if (together) {
      lanes_round_blocks_s8 (t, residual, acc, blocks, m, b, mask, at);
      lanes_store_blocks_s8 (t, acc, blocks, mask, at);
      continue;
    }
    IGEMM_EACH (j, blocks)
      lanes_finish_s8 (t, acc[j], m[j], b[j], (__mmask16) (mask >> j * IGEMM_NR),
          at + j * IGEMM_NR);
  }
}

LANES_INLINE void
finish (const IgemmTile *tile, const int blocks, const Sums *sums)
{
  const IgemmTile t = *tile; /* stays in registers: stores of bytes might change any other */

  if (t.y_f32 || !t.bounded)
    finish_pixels (&t, false, false, blocks, sums);
  else if (t.r)
    finish_pixels (&t, true, true, blocks, sums);
  else
    finish_pixels (&t, true, false, blocks, sums);
}

LANES_INLINE void
tile (const IgemmTile *t, const bool two_rows, const bool two_blocks)
{
  const ptrdiff_t step = sizeof (int32_t[2][IGEMM_NR]);
  Sums sums;

  multiply (t, two_rows, two_blocks);
  _tile_stored (0, sums.of[0][0], step);
  if (two_blocks)
    _tile_stored (1, sums.of[0][1], step);
  if (two_rows)
    _tile_stored (2, sums.of[ROWS][0], step);
  if (two_rows && two_blocks)
    _tile_stored (3, sums.of[ROWS][1], step);
  finish (t, two_blocks ? 2 : 1, &sums);
}

static void
run_tile (const IgemmTile *t)
{
  const bool two_blocks = t->channels > IGEMM_NR;

  if (t->pixels > ROWS && two_blocks)
    tile (t, true, true);
  else if (t->pixels > ROWS)
    tile (t, true, false);
  else if (two_blocks)
    tile (t, false, true);
  else
    tile (t, false, false);
}

static const IgemmKind dense = {
    .tile = run_tile,
    .mr = MR,
    .element = 1,
    .k_step = 4,
    .k_round = BYTES,
    .tile_blocks = 2,
    .grain = 1 << 22,
    .arrange = arrange,
    .bounded = kernel_bounded_avx512vnni,
    .begin = begin,
    .end = end,
};

/* Where tiles would lie half empty AVX-512 is faster: fewer pixels than a register has rows (a fully
 * connected layer: 82 GOP/s against 47), or rows that are padding for half or more (a stem, 7x7x3: 237
 * against 182; measured on a Xeon with AMX, docs/PERFORMANCE.md). Images (n) do not count: the weights
 * are packed before they are known. */
static bool
fills_tiles (const KernelConvShape *shape)
{
  const Igemm g = kernel_igemm (&dense, shape);

  return shape->oh * shape->ow >= ROWS && 2 * g.k > g.run;
}

static const IgemmKind *
kind_of (const KernelConvShape *shape)
{
  if (kernel_igemm_is_depthwise (shape))
    return &kernel_dwconv_s8_avx512vnni;
  return fills_tiles (shape) ? &dense : &kernel_igemm_s8_avx512vnni;
}

IGEMM_S8_SLOTS (amx, kind_of)

MATMUL_S8_SLOTS (amx, kind_of)
