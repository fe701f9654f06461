/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pooling-s8_avx512.c: maximum pools of int8, 64 channels at a time.
 *
 * Output pixels follow each other, so that nothing is divided to find the next one.
 */
#include "kernels/cpu/lanes_avx512.h"
#include "kernels/cpu/pooling.h"

LANES_INLINE void
pool_pixel (const KernelPoolShape *s, const int8_t *x, int8_t *y, int rows, int columns)
{
  const size_t column_step = (size_t) s->dilation_w * s->c;
  const size_t row_step = (size_t) s->dilation_h * s->iw * s->c;

  for (int c = 0; c < s->c; c += 64) {
    const __mmask64 mask = lanes_mask_64 (s->c - c);
    const int8_t *line = x + c;
    __m512i max = _mm512_set1_epi8 (INT8_MIN);

    for (int row = 0; row < rows; row++, line += row_step) {
      const int8_t *tap = line;

      for (int column = 0; column < columns; column++, tap += column_step)
        max = _mm512_max_epi8 (max, _mm512_maskz_loadu_epi8 (mask, tap));
    }
    _mm512_mask_storeu_epi8 (y + c, mask, max);
  }
}

static void
max_range (const void *ctx, size_t begin, size_t end)
{
  const KernelPoolS8 *args = ctx;
  const KernelPoolShape s = args->shape; /* stays in registers: stores might change any other */
  const size_t line = begin / s.ow;
  size_t n = line / s.oh;
  int oh = line % s.oh, ow = begin % s.ow;
  int8_t *y = (int8_t *) args->y + begin * s.c;

  for (size_t i = begin; i < end; i++, y += s.c) {
    const KernelPoolWindow w = kernel_pool_window (&s, oh, ow);

    pool_pixel (&s, args->x + kernel_pool_index (&s, &w, n, w.kh0, w.kw0), y, w.kh1 - w.kh0,
        w.kw1 - w.kw0);
    if (++ow == s.ow) {
      ow = 0;
      if (++oh == s.oh) {
        oh = 0;
        n++;
      }
    }
  }
}

void
kernel_maxpool_s8_avx512 (const KernelPoolS8 *args, KernelQueue *queue)
{
  kernel_pool_range (queue->pool, max_range, args, pooling_pixels (&args->shape),
      pooling_grain (&args->shape));
}
