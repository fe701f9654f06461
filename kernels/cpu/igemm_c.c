/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * igemm_c.c: conv_s8 and conv_f32 in plain C, for machines without kernels of their own.
 *
 * The tiles are those of igemm.h with loops over 16 channels where the others have registers, so
 * that a compiler that vectorises can; and all threads work.
 */
#include "kernels/cpu/igemm.h"
#include "kernels/cpu/igemm-matmul.h"
#include "kernels/requant.h"

#include <string.h>

/* `channels` outputs of pixel i from channel c on. */
static void
finish_s8 (const IgemmTile *t, const int32_t *acc, int i, int c, int channels)
{
  const float *m = t->m + c, *b = t->b + c;
  const size_t at = i * t->y_stride + c;

  for (int j = 0; j < channels; j++) {
    float y = fmaf ((float) acc[j], m[j], b[j]);

    if (t->y_f32) {
      ((float *) t->y)[at + j] = y;
      continue;
    }
    if (t->r)
      y = fmaf ((float) ((const int8_t *) t->r)[at + j], t->mr, y);
    ((int8_t *) t->y)[at + j] = kernel_round_s8 (y, (int) t->lo, (int) t->hi);
  }
}

static void
finish_f32 (const IgemmTile *t, const float *acc, int i, int c, int channels)
{
  const size_t at = i * t->y_stride + c;

  for (int j = 0; j < channels; j++) {
    const float y = t->r ? acc[j] + ((const float *) t->r)[at + j] : acc[j];

    ((float *) t->y)[at + j] = kernel_clamp_f32 (y, t->lo, t->hi);
  }
}

/* --- Dense: IGEMM_MR pixels x 1 block ------------------------------------------------------- */

static void
tile_s8 (const IgemmTile *t)
{
  const int8_t *w = t->w;
  int32_t acc[IGEMM_MR][IGEMM_NR] = {{0}};

  for (int tap = 0; tap < t->taps; tap++, w += t->run * IGEMM_NR) {
    for (int i = 0; i < t->pixels; i++) {
      const int8_t *x = t->rows[tap * IGEMM_MR + i];

      for (int k = 0; k < t->run; k++)
        for (int j = 0; j < IGEMM_NR; j++)
          acc[i][j] += (int16_t) x[k] * (int16_t) w[k * IGEMM_NR + j];
    }
  }
  for (int i = 0; i < t->pixels; i++)
    finish_s8 (t, acc[i], i, 0, t->channels);
}

/* Of n outputs, and begins the next. */
static void
end_chain (float *acc, float *totals, int n, bool first)
{
  for (int i = 0; i < n; i++) {
    totals[i] = first ? acc[i] : totals[i] + acc[i];
    acc[i] = 0;
  }
}

static void
tile_f32 (const IgemmTile *t)
{
#ifdef FP_FAST_FMAF
  const int lanes = IGEMM_NR;
#else
  const int lanes = t->channels; /* each fmaf is a call */
#endif
  const float *w = t->w;
  float acc[IGEMM_MR][IGEMM_NR] = {{0}};
  int left = KERNEL_CHAIN;
  bool first = true;

  for (int i = 0; i < t->pixels; i++)
    memcpy (acc[i], t->b, t->channels * sizeof (float));
  for (int tap = 0; tap < t->taps; tap++, w += t->run * IGEMM_NR) {
    for (int k = 0, end; k < t->run; k = end) {
      if (left == 0) {
        end_chain (acc[0], t->totals, t->pixels * IGEMM_NR, first);
        first = false;
        left = KERNEL_CHAIN;
      }
      end = kernel_min_int (t->run, k + left);
      left -= end - k;
      for (int i = 0; i < t->pixels; i++)
        for (int n = k; n < end; n++)
          for (int j = 0; j < lanes; j++)
            acc[i][j] = fmaf (((const float *) t->rows[tap * IGEMM_MR + i])[n], w[n * IGEMM_NR + j],
                acc[i][j]);
    }
  }
  if (!first)
    end_chain (acc[0], t->totals, t->pixels * IGEMM_NR, false);
  for (int i = 0; i < t->pixels; i++)
    finish_f32 (t, first ? acc[i] : t->totals + i * IGEMM_NR, i, 0, t->channels);
}

/* --- Depthwise: 1 pixel x 1 block, for all of the task -------------------------------------- */

static void
depthwise_s8 (const IgemmTile *t)
{
  const int8_t *w = t->w;

  for (int c = 0; c < t->channels; c += IGEMM_NR, w += t->w_stride) {
    const int channels = kernel_min_int (t->channels - c, IGEMM_NR);

    for (int i = 0; i < t->pixels; i++) {
      int32_t acc[IGEMM_NR] = {0};

      for (int tap = 0; tap < t->taps; tap++) {
        const int8_t *x = (const int8_t *) t->rows[tap * IGEMM_MR + i] + t->channel + c;

        for (int j = 0; j < channels; j++)
          acc[j] += (int16_t) x[j] * (int16_t) w[tap * IGEMM_NR + j];
      }
      finish_s8 (t, acc, i, c, channels);
    }
  }
}

static void
depthwise_f32 (const IgemmTile *t)
{
  const float *w = t->w;

  for (int c = 0; c < t->channels; c += IGEMM_NR, w += t->w_stride / sizeof *w) {
    const int channels = kernel_min_int (t->channels - c, IGEMM_NR);

    for (int i = 0; i < t->pixels; i++) {
      float acc[IGEMM_NR];
      bool first = true;

      memcpy (acc, t->b + c, channels * sizeof (float));
      for (int tap = 0; tap < t->taps; tap++) {
        if (tap > 0 && tap % KERNEL_CHAIN == 0) {
          end_chain (acc, t->totals, channels, first);
          first = false;
        }

        const float *x = (const float *) t->rows[tap * IGEMM_MR + i] + t->channel + c;

        for (int j = 0; j < channels; j++)
          acc[j] = fmaf (x[j], w[tap * IGEMM_NR + j], acc[j]);
      }
      if (!first)
        end_chain (acc, t->totals, channels, false);
      finish_f32 (t, first ? acc : t->totals, i, c, channels);
    }
  }
}

/* --- Kernels -------------------------------------------------------------------------------- */

static const IgemmKind *
kind_s8 (const KernelConvShape *shape)
{
  static const IgemmKind dense = {
      .tile = tile_s8,
      .element = 1,
      .k_step = 1,
      .tile_blocks = 1,
      .grain = 1 << 15,
  };
  static const IgemmKind depthwise = {
      .tile = depthwise_s8,
      .element = 1,
      .k_step = 1,
      .tile_blocks = IGEMM_ALL_BLOCKS,
      .grain = 1 << 14,
      .depthwise = true,
  };

  return kernel_igemm_is_depthwise (shape) ? &depthwise : &dense;
}

static const IgemmKind *
kind_f32 (const KernelConvShape *shape)
{
  static const IgemmKind dense = {
      .tile = tile_f32,
      .element = sizeof (float),
      .k_step = 1,
      .tile_blocks = 1,
      .grain = 1 << 14,
  };
  static const IgemmKind depthwise = {
      .tile = depthwise_f32,
      .element = sizeof (float),
      .k_step = 1,
      .tile_blocks = IGEMM_ALL_BLOCKS,
      .grain = 1 << 14,
      .depthwise = true,
  };

  return kernel_igemm_is_depthwise (shape) ? &depthwise : &dense;
}

IGEMM_S8_SLOTS (c, kind_s8)

MATMUL_S8_SLOTS (c, kind_s8)

IGEMM_F32_SLOTS (c, kind_f32)

MATMUL_F32_SLOTS (c, kind_f32)
