/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * igemm_avx2.c: conv_s8 with vpmaddwd: 2 products of 8 channels per instruction, on int16, exact
 * for every value (vpmaddubsw would saturate).
 *
 * Tile: 6 pixels x 1 block of 16 channels. 12 registers of accumulators, 2 of weights, 1 of x, 1 of
 * products: 16 of 16. The driver widens the rows of x once per pixel, for all channels; weights
 * stay int8 in memory and are widened as they are loaded, once for 6 pixels. Every 2 steps of k
 * take 12 vpmaddwd, 12 vpaddd, 2 widening loads and 6 broadcasts.
 */
#include "kernels/cpu/igemm.h"
#include "kernels/cpu/lanes_avx2.h"
#include "kernels/cpu/igemm-matmul.h"
#include "kernels/cpu/winograd.h"

static void
widen (const void *x, int count, void *wide)
{
  const int8_t *from = x;
  int16_t *to = wide;
  int i = 0;

  for (; i + 16 <= count; i += 16)
    _mm256_storeu_si256 ((__m256i *) (to + i),
        _mm256_cvtepi8_epi16 (_mm_loadu_si128 ((const __m128i *) (from + i))));
  for (; i < count; i++)
    to[i] = from[i];
}

/* 8 channels of 2 weights. */
LANES_INLINE __m256i
load_w (const int8_t *w)
{
  return _mm256_cvtepi8_epi16 (_mm_loadu_si128 ((const __m128i *) w));
}

/* Two values of x in every lane. */
LANES_INLINE __m256i
load_x (const int16_t *x)
{
  int32_t two;

  memcpy (&two, x, sizeof two);
  return _mm256_set1_epi32 (two);
}

LANES_INLINE void
tile (const IgemmTile *t, const int mr)
{
  const int8_t *w = t->w;
  __m256i acc[IGEMM_MR][2];

  IGEMM_EACH (i, mr)
    acc[i][0] = acc[i][1] = _mm256_setzero_si256 ();

  for (int tap = 0; tap < t->taps; tap++) {
    const int16_t *x[IGEMM_MR];

    IGEMM_EACH (i, mr)
      x[i] = t->rows[tap * IGEMM_MR + i];
    for (int k = 0; k < t->run; k += 2, w += IGEMM_NR * 2) {
      const __m256i w0 = load_w (w), w1 = load_w (w + IGEMM_NR);

      IGEMM_EACH (i, mr) {
        const __m256i two = load_x (x[i] + k);

        acc[i][0] = _mm256_add_epi32 (acc[i][0], _mm256_madd_epi16 (two, w0));
        acc[i][1] = _mm256_add_epi32 (acc[i][1], _mm256_madd_epi16 (two, w1));
      }
    }
  }

  lanes_finish_tile_s8 (t, mr, acc);
}

IGEMM_TILE (run_tile, tile)

static const IgemmKind dense = {
    .tile = run_tile,
    .element = 1,
    .k_step = 2,
    .tile_blocks = 1,
    .grain = 1 << 18,
    .wide_element = sizeof (int16_t),
    .widen = widen,
};

static const IgemmKind *
kind_of (const KernelConvShape *shape)
{
  return kernel_igemm_is_depthwise (shape) ? &kernel_dwconv_s8_avx2 : &dense;
}

WINOGRAD_S8_SLOTS (avx2, kind_of, &kernel_winograd_s8_avx2)

MATMUL_S8_SLOTS (avx2, kind_of)
