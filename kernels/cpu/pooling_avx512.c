/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pooling_avx512.c: maximum and average pools of float, over channels.
 *
 * As pooling_avx2.c: the taps of an output pixel are walked for 128 or 64 channels at a time, so that
 * 8 or 4 chains run side by side, then for 16.
 */
#include "kernels/cpu/lanes_avx512.h"
#include "kernels/cpu/pooling.h"

#include <math.h>

typedef __m512 (*TapFn) (__m512 acc, __m512 x);
typedef __m512 (*FinishFn) (__m512 acc, __m512 divisor);

/* As ref: the first of equal values stays, and so does the first NaN. */
LANES_INLINE __m512
greater (__m512 max, __m512 x)
{
  const __mmask16 number = _mm512_cmp_ps_mask (max, max, _CMP_ORD_Q);

  return _mm512_mask_mov_ps (max, _mm512_mask_cmp_ps_mask (number, x, max, _CMP_NLE_UQ), x);
}

LANES_INLINE __m512
same (__m512 acc, __m512 divisor)
{
  return acc;
}

LANES_INLINE __m512
sum (__m512 acc, __m512 x)
{
  return _mm512_add_ps (acc, x);
}

LANES_INLINE __m512
quotient (__m512 acc, __m512 divisor)
{
  return _mm512_div_ps (acc, divisor);
}

/* registers * 16 channels, or those of the mask of the only 16. */
LANES_INLINE void
pool_lanes (const PoolingWindow *w, const float *x, float *y, const int registers, __mmask16 mask,
    float start, TapFn tap, FinishFn finish)
{
  const __m512 divisor = _mm512_set1_ps ((float) w->divisor);
  const int rows = w->rows, columns = w->columns;
  const size_t column_step = w->column_step;
  __m512 acc[8];

  IGEMM_EACH (j, registers)
    acc[j] = _mm512_set1_ps (start);
  x += w->first;
  for (int row = 0; row < rows; row++, x += w->row_step) {
    const float *at = x;

    for (int column = 0; column < columns; column++, at += column_step)
      IGEMM_EACH (j, registers)
        acc[j] = tap (acc[j], _mm512_maskz_loadu_ps (mask, at + j * 16));
  }
  IGEMM_EACH (j, registers)
    _mm512_mask_storeu_ps (y + j * 16, mask, finish (acc[j], divisor));
}

LANES_INLINE void
pool_range (const KernelPoolF32 *args, size_t begin, size_t end, float start, TapFn tap,
    FinishFn finish)
{
  const int channels = args->shape.c;

  while (begin < end) {
    const PoolingPart part = pooling_part (&args->shape, &begin, end);
    const PoolingWindow w = pooling_window (&args->shape, part.pixel);
    const float *x = args->x;
    float *y = args->y + part.pixel * channels;
    int c = part.c;

    for (; c + 128 <= part.last; c += 128)
      pool_lanes (&w, x + c, y + c, 8, 0xffff, start, tap, finish);
    for (; c + 64 <= part.last; c += 64)
      pool_lanes (&w, x + c, y + c, 4, 0xffff, start, tap, finish);
    for (; c + 16 <= part.last; c += 16)
      pool_lanes (&w, x + c, y + c, 1, 0xffff, start, tap, finish);
    if (c < part.last)
      pool_lanes (&w, x + c, y + c, 1, lanes_mask (part.last - c), start, tap, finish);
  }
}

static void
max_range (const void *ctx, size_t begin, size_t end)
{
  pool_range (ctx, begin, end, -INFINITY, greater, same);
}

static void
average_range (const void *ctx, size_t begin, size_t end)
{
  pool_range (ctx, begin, end, 0.0f, sum, quotient);
}

void
kernel_maxpool_f32_avx512 (const KernelPoolF32 *args, KernelQueue *queue)
{
  pooling_run (queue->pool, max_range, args, &args->shape);
}

void
kernel_avgpool_f32_avx512 (const KernelPoolF32 *args, KernelQueue *queue)
{
  pooling_run (queue->pool, average_range, args, &args->shape);
}
