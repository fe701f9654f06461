/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rows.h: softmax_f32, layernorm_f32 and lrn_f32 in plain C, with the steps of ref in loops over
 * KERNEL_ROW_LANES values that a compiler turns into registers of the file's instruction set.
 */
#pragma once

#include "kernels/cpu/cpu.h"
#include "kernels/float-math.h"
#include "kernels/ref/rows.h"

/* Values that take some microseconds. */
#define ROWS_GRAIN 8192

#define ROWS_INLINE static inline __attribute__ ((always_inline))

/* --- Softmax -------------------------------------------------------------------------------- */

/* Which of equal values it is does not matter, and a NaN makes the row NaN through the sum. */
ROWS_INLINE float
rows_max (const float *x, int c)
{
  float lane[KERNEL_ROW_LANES], max = x[0];
  int i = 0;

  if (c >= KERNEL_ROW_LANES) {
    memcpy (lane, x, sizeof lane);
    for (i = KERNEL_ROW_LANES; i + KERNEL_ROW_LANES <= c; i += KERNEL_ROW_LANES)
      for (int l = 0; l < KERNEL_ROW_LANES; l++)
        lane[l] = x[i + l] > lane[l] ? x[i + l] : lane[l];
    for (int half = KERNEL_ROW_LANES / 2; half > 0; half /= 2)
      for (int l = 0; l < half; l++)
        lane[l] = lane[l + half] > lane[l] ? lane[l + half] : lane[l];
    max = lane[0];
  }
  for (; i < c; i++)
    max = x[i] > max ? x[i] : max;
  return max;
}

/* exp (x - max) of 16 values, each added to its partial sum, and to y but for log. */
ROWS_INLINE void
rows_terms (const float *x, float *y, float max, const bool log, float *partial)
{
  float term[KERNEL_ROW_LANES];

  KERNEL_IVDEP
  for (int l = 0; l < KERNEL_ROW_LANES; l++) {
    term[l] = kernel_expf (x[l] - max);
    partial[l] += term[l];
  }
  if (!log)
    memcpy (y, term, sizeof term);
}

/* y may be x: the terms of the sum are kept in y only where x is not needed again. */
ROWS_INLINE void
rows_softmax (const float *x, float *y, int c, const bool log)
{
  const float max = rows_max (x, c);
  float partial[KERNEL_ROW_LANES] = {0};
  int i = 0;

  for (; i + KERNEL_ROW_LANES <= c; i += KERNEL_ROW_LANES)
    rows_terms (x + i, y + i, max, log, partial);
  if (i < c) {
    const int left = c - i;
    float last[KERNEL_ROW_LANES], terms[KERNEL_ROW_LANES];

    /* exp of what is not there is 0, and adding that changes no partial sum */
    for (int l = 0; l < KERNEL_ROW_LANES; l++)
      last[l] = -INFINITY;
    for (int l = 0; l < left; l++)
      last[l] = x[i + l];
    rows_terms (last, terms, max, false, partial);
    for (int l = 0; l < left && !log; l++)
      y[i + l] = terms[l];
  }

  const float sum = kernel_row_total (partial), log_sum = kernel_logf (sum);
  KERNEL_IVDEP
  for (i = 0; i < c; i++)
    y[i] = log ? x[i] - max - log_sum : y[i] / sum;
}

ROWS_INLINE void
rows_softmax_range (const void *ctx, size_t begin, size_t end)
{
  const KernelSoftmax *args = ctx;

  for (size_t row = begin; row < end; row++) {
    const float *x = args->x + row * args->c;

    if (args->log)
      rows_softmax (x, args->y + row * args->c, args->c, true);
    else
      rows_softmax (x, args->y + row * args->c, args->c, false);
  }
}

/* --- Layer normalisation -------------------------------------------------------------------- */

ROWS_INLINE float
rows_mean (const float *x, int c)
{
  float partial[KERNEL_ROW_LANES] = {0};
  int i = 0;

  for (; i + KERNEL_ROW_LANES <= c; i += KERNEL_ROW_LANES)
    for (int l = 0; l < KERNEL_ROW_LANES; l++)
      partial[l] += x[i + l];
  for (int l = 0; i < c; i++, l++)
    partial[l] += x[i];
  return kernel_row_total (partial) / (float) c;
}

ROWS_INLINE float
rows_variance (const float *x, int c, float mean)
{
  float partial[KERNEL_ROW_LANES] = {0};
  int i = 0;

  for (; i + KERNEL_ROW_LANES <= c; i += KERNEL_ROW_LANES)
    for (int l = 0; l < KERNEL_ROW_LANES; l++)
      partial[l] = fmaf (x[i + l] - mean, x[i + l] - mean, partial[l]);
  for (int l = 0; i < c; i++, l++)
    partial[l] = fmaf (x[i] - mean, x[i] - mean, partial[l]);
  return kernel_row_total (partial) / (float) c;
}

ROWS_INLINE void
rows_layernorm_range (const void *ctx, size_t begin, size_t end)
{
  const KernelLayernorm *args = ctx;
  const float *scale = args->scale, *shift = args->shift;

  for (size_t row = begin; row < end; row++) {
    const float *x = args->x + row * args->c;
    float *y = args->y + row * args->c;
    const float mean = rows_mean (x, args->c);
    const float factor = 1.0f / sqrtf (rows_variance (x, args->c, mean) + args->epsilon);

    KERNEL_IVDEP
    for (int i = 0; i < args->c; i++)
      y[i] = fmaf ((x[i] - mean) * factor, scale[i], shift[i]);
  }
}

/* --- Local response normalisation ----------------------------------------------------------- */

/* Each distance within the window in turn, over all channels that have a neighbour there. */
ROWS_INLINE void
rows_lrn (const KernelLrn *args, const float *x, float *y)
{
  const float alpha = args->alpha, beta = args->beta, bias = args->bias;
  const int c = args->c;

  for (int i = 0; i < c; i++)
    y[i] = 0.0f;
  for (int d = -args->before; d <= args->after; d++) {
    const int first = d < 0 ? -d : 0, last = d > 0 ? c - d : c;

    KERNEL_IVDEP
    for (int i = first; i < last; i++)
      y[i] = fmaf (x[i + d], x[i + d], y[i]);
  }
  if (beta == 0.75f) {
    KERNEL_IVDEP
    for (int i = 0; i < c; i++)
      y[i] = kernel_lrn_of (x[i], fmaf (y[i], alpha, bias), 0.75f);
  } else {
    KERNEL_IVDEP
    for (int i = 0; i < c; i++)
      y[i] = kernel_lrn_of (x[i], fmaf (y[i], alpha, bias), beta);
  }
}

ROWS_INLINE void
rows_lrn_range (const void *ctx, size_t begin, size_t end)
{
  const KernelLrn *args = ctx;

  for (size_t row = begin; row < end; row++)
    rows_lrn (args, args->x + row * args->c, args->y + row * args->c);
}

/* --- The slots of an instruction set, kernel_<slot>_<suffix> -------------------------------- */

/* clang-format off */
/* What calls softmax_range(), of this file's own or by hand. */
#define ROWS_SOFTMAX_SLOT(suffix)                                                                  \
  void kernel_softmax_f32_##suffix (const KernelSoftmax *args, KernelQueue *queue)                 \
  {                                                                                                \
    kernel_pool_range (queue->pool, softmax_range, args, args->rows, 1 + ROWS_GRAIN / args->c);    \
  }

#define ROWS_OTHER_SLOTS(suffix)                                                                   \
  static void layernorm_range (const void *ctx, size_t begin, size_t end)                          \
  {                                                                                                \
    rows_layernorm_range (ctx, begin, end);                                                        \
  }                                                                                                \
  static void lrn_range (const void *ctx, size_t begin, size_t end)                                \
  {                                                                                                \
    rows_lrn_range (ctx, begin, end);                                                              \
  }                                                                                                \
  void kernel_layernorm_f32_##suffix (const KernelLayernorm *args, KernelQueue *queue)             \
  {                                                                                                \
    kernel_pool_range (queue->pool, layernorm_range, args, args->rows, 1 + ROWS_GRAIN / args->c);  \
  }                                                                                                \
  void kernel_lrn_f32_##suffix (const KernelLrn *args, KernelQueue *queue)                         \
  {                                                                                                \
    kernel_pool_range (queue->pool, lrn_range, args, args->rows, 1 + ROWS_GRAIN / args->c);        \
  }

#define ROWS_SLOTS(suffix)                                                                         \
  static void softmax_range (const void *ctx, size_t begin, size_t end)                            \
  {                                                                                                \
    rows_softmax_range (ctx, begin, end);                                                          \
  }                                                                                                \
  ROWS_SOFTMAX_SLOT (suffix)                                                                       \
                                                                                                   \
  ROWS_OTHER_SLOTS (suffix)
/* clang-format on */
