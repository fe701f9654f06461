/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * igemm_avx512vnni.c: conv_s8 with vpdpbusd: 4 products of 16 channels per instruction.
 *
 * Tile: 6 pixels x 4 blocks of 16 channels. 24 registers of accumulators, 4 of weights, 1 of x, 1
 * of constants: 30 of 32. Every 4 steps of k take 24 vpdpbusd, 4 loads of weights and 6 broadcasts
 * of x, so that the loads (10) hide behind the products. vpdpbusd wants unsigned x: x ^ 0x80 is
 * x + 128, and the accumulators start at -128 * sum (w), wrapping.
 */
#include "kernels/cpu/igemm.h"
#include "kernels/cpu/lanes_avx512.h"
#include "kernels/cpu/winograd.h"

#include <string.h>

/* Four values of x + 128 in every lane. */
LANES_INLINE __m512i
load_x (const uint8_t *x)
{
  int32_t four;

  memcpy (&four, x, sizeof four);
  return _mm512_xor_si512 (_mm512_set1_epi32 (four), _mm512_set1_epi32 ((int32_t) 0x80808080));
}

LANES_INLINE void
finish_pixels (const IgemmTile *t, const bool together, const bool residual, const int mr,
    const int blocks, __m512i (*acc)[4])
{
  const __mmask64 mask = lanes_mask_64 (t->channels);
  __m512 m[4], b[4];

  IGEMM_EACH (j, blocks) {
    m[j] = _mm512_maskz_loadu_ps ((__mmask16) (mask >> j * IGEMM_NR), t->m + j * IGEMM_NR);
    b[j] = _mm512_maskz_loadu_ps ((__mmask16) (mask >> j * IGEMM_NR), t->b + j * IGEMM_NR);
  }
  IGEMM_EACH (i, mr) {
    if (i >= t->pixels)
      break;
    if (together) {
      lanes_finish_blocks_s8 (t, residual, acc[i], blocks, m, b, mask, i * t->y_stride);
      continue;
    }
    IGEMM_EACH (j, blocks)
      lanes_finish_s8 (t, acc[i][j], m[j], b[j], (__mmask16) (mask >> j * IGEMM_NR),
          i * t->y_stride + j * IGEMM_NR);
  }
}

/* A copy of the tile stays in registers: stores of bytes might change any other. */
LANES_INLINE void
finish (const IgemmTile *tile, const int mr, const int blocks, __m512i (*acc)[4])
{
  const IgemmTile t = *tile;

  if (t.y_f32 || !t.bounded)
    finish_pixels (&t, false, false, mr, blocks, acc);
  else if (t.r)
    finish_pixels (&t, true, true, mr, blocks, acc);
  else
    finish_pixels (&t, true, false, mr, blocks, acc);
}

LANES_INLINE void
tile (const IgemmTile *t, const int mr, const int blocks)
{
  const uint8_t *w = t->w;
  __m512i acc[IGEMM_MR][4];

  IGEMM_EACH (j, blocks) {
    IGEMM_EACH (i, mr)
      acc[i][j] = _mm512_loadu_si512 (w + j * t->w_stride);
  }
  w += IGEMM_NR * sizeof (int32_t);

  for (int tap = 0; tap < t->taps; tap++) {
    const uint8_t *x[IGEMM_MR];

    IGEMM_EACH (i, mr)
      x[i] = t->rows[tap * IGEMM_MR + i];
    for (int k = 0; k < t->run; k += 4, w += IGEMM_NR * 4) {
      __m512i weights[4];

      IGEMM_EACH (j, blocks)
        weights[j] = _mm512_loadu_si512 (w + j * t->w_stride);
      IGEMM_EACH (i, mr) {
        const __m512i four = load_x (x[i] + k);

        IGEMM_EACH (j, blocks)
          acc[i][j] = _mm512_dpbusd_epi32 (acc[i][j], four, weights[j]);
      }
    }
  }

  finish (t, mr, blocks, acc);
}

/* clang-format off */
static void
run_tile (const IgemmTile *t)
{
  const int blocks = (t->channels + IGEMM_NR - 1) / IGEMM_NR;

  switch (t->pixels == 1 ? blocks : 4 + blocks) {
  case 1:
    tile (t, 1, 1);
    break;
  case 2:
    tile (t, 1, 2);
    break;
  case 3:
    tile (t, 1, 3);
    break;
  case 4:
    tile (t, 1, 4);
    break;
  case 5:
    tile (t, IGEMM_MR, 1);
    break;
  case 6:
    tile (t, IGEMM_MR, 2);
    break;
  case 7:
    tile (t, IGEMM_MR, 3);
    break;
  case 8:
    tile (t, IGEMM_MR, 4);
    break;
  }
}

/* clang-format on */

const IgemmKind kernel_igemm_s8_avx512vnni = {
    .tile = run_tile,
    .element = 1,
    .k_step = 4,
    .tile_blocks = 4,
    .grain = 1 << 20,
    .x_offset = 128,
    .bounded = kernel_bounded_avx512vnni,
};

static const IgemmKind *
kind_of (const KernelConvShape *shape)
{
  return kernel_igemm_is_depthwise (shape) ? &kernel_dwconv_s8_avx512vnni
                                           : &kernel_igemm_s8_avx512vnni;
}

WINOGRAD_S8_SLOTS (avx512vnni, kind_of, &kernel_winograd_s8_avx512vnni)
