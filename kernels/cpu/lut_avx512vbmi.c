/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lut_avx512vbmi.c: lut_s8 and copy_s8 with vpermi2b: a table of 256 bytes is 4 registers.
 *
 * vpermi2b takes the low 7 bits of x as an index into two registers. The sign of x chooses between
 * the halves of the table: lut[0 .. 127] are the negative x, whose low 7 bits are x + 128, as are
 * those of the others x.
 */
#include "kernels/cpu/cpu.h"

#include <immintrin.h>
#include <string.h>

#define LUT_INLINE static inline __attribute__ ((always_inline))

/* Values per part: some microseconds of work. */
#define GRAIN (128 * 1024)

typedef struct {
  __m512i of[4];
} Table;

LUT_INLINE Table
load_table (const int8_t *lut)
{
  return (Table){{_mm512_loadu_si512 (lut), _mm512_loadu_si512 (lut + 64),
      _mm512_loadu_si512 (lut + 128), _mm512_loadu_si512 (lut + 192)}};
}

LUT_INLINE __m512i
look_up (const Table *t, __m512i x)
{
  const __m512i negative = _mm512_permutex2var_epi8 (t->of[0], x, t->of[1]);
  const __m512i others = _mm512_permutex2var_epi8 (t->of[2], x, t->of[3]);

  return _mm512_mask_mov_epi8 (others, _mm512_movepi8_mask (x), negative);
}

LUT_INLINE void
lut_row (const Table *t, const int8_t *x, int8_t *y, size_t count)
{
  size_t i = 0;

  for (; i + 64 <= count; i += 64)
    _mm512_storeu_si512 (y + i, look_up (t, _mm512_loadu_si512 (x + i)));
  if (i < count) {
    const __mmask64 mask = ((__mmask64) 1 << (count - i)) - 1;

    _mm512_mask_storeu_epi8 (y + i, mask, look_up (t, _mm512_maskz_loadu_epi8 (mask, x + i)));
  }
}

static void
lut_range (const void *ctx, size_t begin, size_t end)
{
  const KernelLutS8 *args = ctx;
  const Table table = load_table (args->lut);

  lut_row (&table, args->x + begin, args->y + begin, end - begin);
}

void
kernel_lut_s8_avx512vbmi (const KernelLutS8 *args, KernelQueue *queue)
{
  kernel_pool_range (queue->pool, lut_range, args, args->size, GRAIN);
}

static void
copy_range (const void *ctx, size_t begin, size_t end)
{
  const KernelCopy args = *(const KernelCopy *) ctx;
  const Table table = load_table (args.lut);

  for (size_t row = begin; row < end; row++)
    lut_row (&table, (const int8_t *) args.x + row * args.x_stride,
        (int8_t *) args.y + row * args.y_stride, args.width);
}

void
kernel_copy_s8_avx512vbmi (const KernelCopy *args, KernelQueue *queue)
{
  if (args->lut)
    kernel_pool_range (queue->pool, copy_range, args, args->rows, 1 + GRAIN / (1 + args->width));
  else
    kernel_copy_s8_avx2 (args, queue);
}
