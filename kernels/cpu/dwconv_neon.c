/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dwconv_neon.c: depthwise tiles of conv_s8 and conv_f32 with NEON.
 *
 * Tile: 6 pixels x 8 channels, then the next 8 channels: 12 registers of accumulators, 1 or 2 of
 * weights, loaded once for 6 pixels, 1 or 2 of x.
 */
#include "kernels/cpu/igemm.h"
#include "kernels/cpu/lanes_neon.h"

/* Where the weights of channel c, a multiple of 8, begin for tap 0; taps are IGEMM_NR apart. */
LANES_INLINE const void *
weights_of (const IgemmTile *t, int c, size_t element)
{
  return (const uint8_t *) t->w + c / IGEMM_NR * t->w_stride + c % IGEMM_NR * element;
}

LANES_INLINE void
tile_s8 (const IgemmTile *t, int c, int count)
{
  const LanesF32 m = lanes_load_f32 (t->m + c, count), b = lanes_load_f32 (t->b + c, count);
  const int8_t *w = weights_of (t, c, 1);
  const void *const *rows = t->rows;
  int32x4_t low[IGEMM_MR], high[IGEMM_MR];

  IGEMM_EACH (i, IGEMM_MR)
    low[i] = high[i] = vdupq_n_s32 (0);
  for (int tap = 0; tap < t->taps; tap++, w += IGEMM_NR, rows += IGEMM_MR) {
    const int16x8_t weights = lanes_load_s8 (w, 8);

    IGEMM_EACH (i, IGEMM_MR) {
      const int16x8_t x = lanes_load_s8 ((const int8_t *) rows[i] + t->channel + c, count);

      low[i] = vmlal_s16 (low[i], vget_low_s16 (x), vget_low_s16 (weights));
      high[i] = vmlal_high_s16 (high[i], x, weights);
    }
  }
  IGEMM_EACH (i, IGEMM_MR) {
    if (i >= t->pixels)
      break;
    lanes_finish_s8 (t, low[i], high[i], m, b, count, i * t->y_stride + c);
  }
}

/* Ends a chain, and begins the next. */
LANES_INLINE void
end_chain (const IgemmTile *t, LanesF32 *acc, bool first)
{
  IGEMM_EACH (i, IGEMM_MR) {
    float *total = t->totals + i * 8;

    vst1q_f32 (total, first ? acc[i].low : vaddq_f32 (vld1q_f32 (total), acc[i].low));
    vst1q_f32 (total + 4, first ? acc[i].high : vaddq_f32 (vld1q_f32 (total + 4), acc[i].high));
    acc[i].low = acc[i].high = vdupq_n_f32 (0);
  }
}

LANES_INLINE void
tile_f32 (const IgemmTile *t, int c, int count)
{
  const float *w = weights_of (t, c, sizeof *w);
  const LanesF32 b = lanes_load_f32 (t->b + c, count);
  const void *const *rows = t->rows;
  LanesF32 acc[IGEMM_MR];
  int left = KERNEL_CHAIN;
  bool first = true;

  IGEMM_EACH (i, IGEMM_MR)
    acc[i] = b;
  for (int tap = 0; tap < t->taps; tap++, w += IGEMM_NR, rows += IGEMM_MR) {
    if (left-- == 0) {
      end_chain (t, acc, first);
      first = false;
      left = KERNEL_CHAIN - 1;
    }

    const LanesF32 weights = lanes_load_f32 (w, 8);

    IGEMM_EACH (i, IGEMM_MR) {
      const LanesF32 x = lanes_load_f32 ((const float *) rows[i] + t->channel + c, count);

      acc[i].low = vfmaq_f32 (acc[i].low, x.low, weights.low);
      acc[i].high = vfmaq_f32 (acc[i].high, x.high, weights.high);
    }
  }
  IGEMM_EACH (i, IGEMM_MR) {
    if (i >= t->pixels)
      break;
    if (!first) {
      acc[i].low = vaddq_f32 (vld1q_f32 (t->totals + i * 8), acc[i].low);
      acc[i].high = vaddq_f32 (vld1q_f32 (t->totals + i * 8 + 4), acc[i].high);
    }
    lanes_finish_f32 (t, acc[i].low, acc[i].high, count, i * t->y_stride + c);
  }
}

static void
run_s8 (const IgemmTile *t)
{
  int c = 0;

  for (; c + 8 <= t->channels; c += 8)
    tile_s8 (t, c, 8);
  if (c < t->channels)
    tile_s8 (t, c, t->channels - c);
}

static void
run_f32 (const IgemmTile *t)
{
  int c = 0;

  for (; c + 8 <= t->channels; c += 8)
    tile_f32 (t, c, 8);
  if (c < t->channels)
    tile_f32 (t, c, t->channels - c);
}

const IgemmKind kernel_dwconv_s8_neon = {
    .tile = run_s8,
    .element = 1,
    .k_step = 1,
    .tile_blocks = IGEMM_ALL_BLOCKS,
    .grain = 1 << 15,
    .depthwise = true,
};

const IgemmKind kernel_dwconv_f32_neon = {
    .tile = run_f32,
    .element = sizeof (float),
    .k_step = 1,
    .tile_blocks = IGEMM_ALL_BLOCKS,
    .grain = 1 << 15,
    .depthwise = true,
};
