/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rows_avx512.c: softmax_f32 with a register for KERNEL_ROW_LANES values, and the others as the
 * compiler vectorises rows.h. Rows are short, in windowed attention 49 values: their ends are masked.
 */
#include "kernels/cpu/lanes_avx512.h"
#include "kernels/cpu/rows.h"

/* As kernel_row_total(). */
LANES_INLINE float
total (__m512 partial)
{
  const __m256 eight =
      _mm256_add_ps (_mm512_castps512_ps256 (partial), _mm512_extractf32x8_ps (partial, 1));
  const __m128 four =
      _mm_add_ps (_mm256_castps256_ps128 (eight), _mm256_extractf128_ps (eight, 1));
  const __m128 two = _mm_add_ps (four, _mm_movehl_ps (four, four));

  return _mm_cvtss_f32 (_mm_add_ss (two, _mm_movehdup_ps (two)));
}

/* A NaN makes the row NaN through the sum, whatever this makes of it. */
LANES_INLINE __m512
row_max (const float *x, int c)
{
  const __m512 lowest = _mm512_set1_ps (-INFINITY);
  __m512 max = lowest;

  for (int i = 0; i < c; i += KERNEL_ROW_LANES)
    max = _mm512_max_ps (max, _mm512_mask_loadu_ps (lowest, lanes_mask (c - i), x + i));
  return _mm512_set1_ps (_mm512_reduce_max_ps (max));
}

/* y may be x: the terms of the sum are kept in y only where x is not needed again. */
LANES_INLINE void
softmax_row (const float *x, float *y, int c, const bool log)
{
  const __m512 max = row_max (x, c);
  __m512 partial = _mm512_setzero_ps ();

  for (int i = 0; i < c; i += KERNEL_ROW_LANES) {
    const __mmask16 mask = lanes_mask (c - i);
    const __m512 term = lanes_exp (_mm512_sub_ps (_mm512_maskz_loadu_ps (mask, x + i), max));

    partial = _mm512_mask_add_ps (partial, mask, partial, term);
    if (!log)
      _mm512_mask_storeu_ps (y + i, mask, term);
  }

  const float sum = total (partial);
  const __m512 sums = _mm512_set1_ps (sum);
  const __m512 log_sum = log ? _mm512_set1_ps (kernel_logf (sum)) : sums;

  for (int i = 0; i < c; i += KERNEL_ROW_LANES) {
    const __mmask16 mask = lanes_mask (c - i);
    const __m512 t = _mm512_maskz_loadu_ps (mask, (log ? x : y) + i);

    _mm512_mask_storeu_ps (y + i, mask,
        log ? _mm512_sub_ps (_mm512_sub_ps (t, max), log_sum) : _mm512_div_ps (t, sums));
  }
}

static void
softmax_range (const void *ctx, size_t begin, size_t end)
{
  const KernelSoftmax *args = ctx;

  for (size_t row = begin; row < end; row++) {
    const float *x = args->x + row * args->c;

    if (args->log)
      softmax_row (x, args->y + row * args->c, args->c, true);
    else
      softmax_row (x, args->y + row * args->c, args->c, false);
  }
}

ROWS_SOFTMAX_SLOT (avx512)

ROWS_OTHER_SLOTS (avx512)
