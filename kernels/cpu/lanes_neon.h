/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lanes_neon.h: 8 channels in two registers, fewer at the end of a row, and how a tile finishes
 * them. For AArch64, where NEON is always there.
 *
 * `count` is how many channels are left; 8 and more mean both registers. Memory beyond them is
 * neither read nor written.
 */
#pragma once

#include "kernels/cpu/igemm.h"

#include <arm_neon.h>
#include <string.h>

#define LANES_INLINE static inline __attribute__ ((always_inline))

typedef struct {
  float32x4_t low, high;
} LanesF32;

typedef struct {
  int32x4_t low, high;
} LanesS32;

LANES_INLINE LanesF32
lanes_load_f32 (const float *x, int count)
{
  float eight[8] = {0};

  if (count >= 8)
    return (LanesF32){vld1q_f32 (x), vld1q_f32 (x + 4)};
  if (count > 0)
    memcpy (eight, x, count * sizeof *x);
  return (LanesF32){vld1q_f32 (eight), vld1q_f32 (eight + 4)};
}

LANES_INLINE void
lanes_store_f32 (float *y, LanesF32 value, int count)
{
  float eight[8];

  if (count >= 8) {
    vst1q_f32 (y, value.low);
    vst1q_f32 (y + 4, value.high);
  } else if (count > 0) {
    vst1q_f32 (eight, value.low);
    vst1q_f32 (eight + 4, value.high);
    memcpy (y, eight, count * sizeof *y);
  }
}

/* int8 to int16. */
LANES_INLINE int16x8_t
lanes_load_s8 (const int8_t *x, int count)
{
  int8_t eight[8] = {0};

  if (count >= 8)
    return vmovl_s8 (vld1_s8 (x));
  if (count > 0)
    memcpy (eight, x, count);
  return vmovl_s8 (vld1_s8 (eight));
}

/* int32 that are within int8. */
LANES_INLINE void
lanes_store_s8 (int8_t *y, LanesS32 value, int count)
{
  const int16x8_t sixteen = vcombine_s16 (vmovn_s32 (value.low), vmovn_s32 (value.high));
  int8_t eight[8];

  if (count >= 8) {
    vst1_s8 (y, vmovn_s16 (sixteen));
  } else if (count > 0) {
    vst1_s8 (eight, vmovn_s16 (sixteen));
    memcpy (y, eight, count);
  }
}

/* kernel_round_s8() of requant.h: between two integers, the bounds may come before the rounding.
 * Of a NaN and a number, maxnm takes the number. */
LANES_INLINE int32x4_t
lanes_round (float32x4_t t, float32x4_t lo, float32x4_t hi)
{
  return vcvtnq_s32_f32 (vminnmq_f32 (vmaxnmq_f32 (t, lo), hi));
}

/* kernel_clamp_f32(): selections, for vmaxq takes +0 of the two zeros, whichever is the bound. */
LANES_INLINE float32x4_t
lanes_clamp (float32x4_t t, float32x4_t lo, float32x4_t hi)
{
  t = vbslq_f32 (vcltq_f32 (t, lo), lo, t);
  return vbslq_f32 (vcgtq_f32 (t, hi), hi, t);
}

/* Outputs of conv_s8 or conv_s8_f32 at value `at` of the tile, from their accumulators. */
LANES_INLINE void
lanes_finish_s8 (const IgemmTile *t, int32x4_t low, int32x4_t high, LanesF32 m, LanesF32 b,
    int count, size_t at)
{
  const float32x4_t lo = vdupq_n_f32 (t->lo), hi = vdupq_n_f32 (t->hi);
  LanesF32 y = {
      vfmaq_f32 (b.low, vcvtq_f32_s32 (low), m.low),
      vfmaq_f32 (b.high, vcvtq_f32_s32 (high), m.high),
  };

  if (t->y_f32) {
    lanes_store_f32 ((float *) t->y + at, y, count);
    return;
  }
  if (t->r) {
    const int16x8_t r = lanes_load_s8 ((const int8_t *) t->r + at, count);
    const float32x4_t mr = vdupq_n_f32 (t->mr);

    y.low = vfmaq_f32 (y.low, vcvtq_f32_s32 (vmovl_s16 (vget_low_s16 (r))), mr);
    y.high = vfmaq_f32 (y.high, vcvtq_f32_s32 (vmovl_high_s16 (r)), mr);
  }
  lanes_store_s8 ((int8_t *) t->y + at,
      (LanesS32){lanes_round (y.low, lo, hi), lanes_round (y.high, lo, hi)}, count);
}

/* All of a tile of one block. */
LANES_INLINE void
lanes_finish_tile_s8 (const IgemmTile *t, const int mr, int32x4_t (*acc)[4])
{
  IGEMM_EACH (j, 2) {
    const int count = t->channels - j * 8;
    const LanesF32 m = lanes_load_f32 (t->m + j * 8, count);
    const LanesF32 b = lanes_load_f32 (t->b + j * 8, count);

    IGEMM_EACH (i, mr) {
      if (i >= t->pixels)
        break;
      lanes_finish_s8 (t, acc[i][j * 2], acc[i][j * 2 + 1], m, b, count, i * t->y_stride + j * 8);
    }
  }
}

/* Outputs of conv_f32. */
LANES_INLINE void
lanes_finish_f32 (const IgemmTile *t, float32x4_t low, float32x4_t high, int count, size_t at)
{
  const float32x4_t lo = vdupq_n_f32 (t->lo), hi = vdupq_n_f32 (t->hi);

  if (t->r) {
    const LanesF32 r = lanes_load_f32 ((const float *) t->r + at, count);

    low = vaddq_f32 (low, r.low);
    high = vaddq_f32 (high, r.high);
  }
  lanes_store_f32 ((float *) t->y + at,
      (LanesF32){lanes_clamp (low, lo, hi), lanes_clamp (high, lo, hi)}, count);
}
