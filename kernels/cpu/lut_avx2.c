/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lut_avx2.c: lut_s8 and copy_s8 with vpshufb: 16 tables of 16 bytes instead of one load per value.
 *
 * A byte u of the index is looked up in every table t: u - 16 t, plus 0x70 with saturation, is 0x70
 * to 0x7f where t is the right one, so that vpshufb takes its low 4 bits; elsewhere it is 0x80 or
 * more, which vpshufb turns into 0. 128 values pass at a time: 4 registers of u, 4 of y, and the
 * loads of the tables are shared by 4.
 */
#include "kernels/cpu/cpu.h"

#include <immintrin.h>
#include <string.h>

/* Values per part: some microseconds of work. */
#define GRAIN         32768
#define MAX_REGISTERS 4

static inline __attribute__ ((always_inline)) void
look_up (const int8_t *lut, const int8_t *x, int8_t *y, const int registers)
{
  const __m256i sixteen = _mm256_set1_epi8 (16), bias = _mm256_set1_epi8 (0x70);
  __m256i u[MAX_REGISTERS], found[MAX_REGISTERS];

  for (int i = 0; i < registers; i++) {
    const __m256i value = _mm256_loadu_si256 ((const __m256i *) (x + i * 32));

    u[i] = _mm256_xor_si256 (value, _mm256_set1_epi8 (-128)); /* x + 128 */
    found[i] = _mm256_setzero_si256 ();
  }
  for (int t = 0; t < 16; t++) {
    const __m128i part = _mm_loadu_si128 ((const __m128i *) (lut + t * 16));
    const __m256i table = _mm256_broadcastsi128_si256 (part);

    for (int i = 0; i < registers; i++) {
      const __m256i at = _mm256_adds_epu8 (u[i], bias);

      found[i] = _mm256_or_si256 (found[i], _mm256_shuffle_epi8 (table, at));
      u[i] = _mm256_sub_epi8 (u[i], sixteen);
    }
  }
  for (int i = 0; i < registers; i++)
    _mm256_storeu_si256 ((__m256i *) (y + i * 32), found[i]);
}

static void
lut_row (const int8_t *lut, const int8_t *x, int8_t *y, size_t count)
{
  size_t i = 0;

  for (; i + MAX_REGISTERS * 32 <= count; i += MAX_REGISTERS * 32)
    look_up (lut, x + i, y + i, MAX_REGISTERS);
  if (i + 64 <= count) {
    look_up (lut, x + i, y + i, 2);
    i += 64;
  }
  if (i + 32 <= count) {
    look_up (lut, x + i, y + i, 1);
    i += 32;
  }
  for (; i < count; i++)
    y[i] = lut[x[i] + 128];
}

static void
lut_range (const void *ctx, size_t begin, size_t end)
{
  const KernelLutS8 *args = ctx;

  lut_row (args->lut, args->x + begin, args->y + begin, end - begin);
}

void
kernel_lut_s8_avx2 (const KernelLutS8 *args, KernelQueue *queue)
{
  kernel_pool_range (queue->pool, lut_range, args, args->size, GRAIN);
}

static void
copy_range (const void *ctx, size_t begin, size_t end)
{
  const KernelCopy *args = ctx;

  for (size_t row = begin; row < end; row++) {
    const int8_t *x = (const int8_t *) args->x + row * args->x_stride;
    int8_t *y = (int8_t *) args->y + row * args->y_stride;

    if (args->lut)
      lut_row (args->lut, x, y, args->width);
    else
      memcpy (y, x, args->width);
  }
}

void
kernel_copy_s8_avx2 (const KernelCopy *args, KernelQueue *queue)
{
  const size_t width = args->width > 0 ? args->width : 1;

  kernel_pool_range (queue->pool, copy_range, args, args->rows, 1 + GRAIN / width);
}
