/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * igemm_avxvnni.c: conv_s8 with the 256-bit vpdpbusd of CPUs that need not have AVX-512: 4 products
 * of 8 channels per instruction.
 *
 * Tile: 6 pixels x 1 block of 16 channels. 12 registers of accumulators, 2 of weights, 1 of x, 1 of
 * constants: 16 of 16. Every 4 steps of k take 12 vpdpbusd, 2 loads of weights and 6 broadcasts of
 * x. vpdpbusd wants unsigned x: x ^ 0x80 is x + 128, and the accumulators start at -128 * sum (w),
 * wrapping. Depthwise is AVX2's: a product of two bytes per channel does not fill four.
 */
#include "kernels/cpu/igemm.h"
#include "kernels/cpu/lanes_avx2.h"
#include "kernels/cpu/igemm-matmul.h"
#include "kernels/cpu/winograd.h"

LANES_INLINE __m256i
load (const void *memory)
{
  return _mm256_loadu_si256 (memory);
}

/* Four values of x + 128 in every lane. */
LANES_INLINE __m256i
load_x (const uint8_t *x)
{
  int32_t four;

  memcpy (&four, x, sizeof four);
  return _mm256_xor_si256 (_mm256_set1_epi32 (four), _mm256_set1_epi32 ((int32_t) 0x80808080));
}

LANES_INLINE void
tile (const IgemmTile *t, const int mr)
{
  const uint8_t *w = t->w;
  __m256i acc[IGEMM_MR][2];

  IGEMM_EACH (i, mr) {
    acc[i][0] = load (w);
    acc[i][1] = load (w + 32);
  }
  w += IGEMM_NR * sizeof (int32_t);

  for (int tap = 0; tap < t->taps; tap++) {
    const uint8_t *x[IGEMM_MR];

    IGEMM_EACH (i, mr)
      x[i] = t->rows[tap * IGEMM_MR + i];
    for (int k = 0; k < t->run; k += 4, w += IGEMM_NR * 4) {
      const __m256i w0 = load (w), w1 = load (w + 32);

      IGEMM_EACH (i, mr) {
        const __m256i four = load_x (x[i] + k);

        acc[i][0] = _mm256_dpbusd_avx_epi32 (acc[i][0], four, w0);
        acc[i][1] = _mm256_dpbusd_avx_epi32 (acc[i][1], four, w1);
      }
    }
  }

  lanes_finish_tile_s8 (t, mr, acc);
}

IGEMM_TILE (run_tile, tile)

static const IgemmKind dense = {
    .tile = run_tile,
    .element = 1,
    .k_step = 4,
    .tile_blocks = 1,
    .grain = 1 << 19,
    .x_offset = 128,
};

static const IgemmKind *
kind_of (const KernelConvShape *shape)
{
  return kernel_igemm_is_depthwise (shape) ? &kernel_dwconv_s8_avx2 : &dense;
}

WINOGRAD_S8_SLOTS (avxvnni, kind_of, &kernel_winograd_s8_avxvnni)

MATMUL_S8_SLOTS (avxvnni, kind_of)
