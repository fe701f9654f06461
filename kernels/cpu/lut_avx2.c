/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lut_avx2.c: lut_s8 with vpshufb: 16 tables of 16 bytes instead of one load per value.
 *
 * A byte u of the index is looked up in every table t: u - 16 t, plus 0x70 with saturation, is 0x70
 * to 0x7f where t is the right one, so that vpshufb takes its low 4 bits; elsewhere it is 0x80 or
 * more, which vpshufb turns into 0. 128 values pass at a time: 4 registers of u, 4 of y, and the
 * loads of the tables are shared by 4.
 */
#include "kernels/cpu/cpu.h"

#include <immintrin.h>

/* Values per part: some microseconds of work. */
#define GRAIN     32768
#define REGISTERS 4

static void
look_up (const int8_t *lut, const int8_t *x, int8_t *y)
{
  const __m256i sixteen = _mm256_set1_epi8 (16), bias = _mm256_set1_epi8 (0x70);
  __m256i u[REGISTERS], found[REGISTERS];

  for (int i = 0; i < REGISTERS; i++) {
    const __m256i value = _mm256_loadu_si256 ((const __m256i *) (x + i * 32));

    u[i] = _mm256_xor_si256 (value, _mm256_set1_epi8 (-128)); /* x + 128 */
    found[i] = _mm256_setzero_si256 ();
  }
  for (int t = 0; t < 16; t++) {
    const __m128i part = _mm_loadu_si128 ((const __m128i *) (lut + t * 16));
    const __m256i table = _mm256_broadcastsi128_si256 (part);

    for (int i = 0; i < REGISTERS; i++) {
      const __m256i at = _mm256_adds_epu8 (u[i], bias);

      found[i] = _mm256_or_si256 (found[i], _mm256_shuffle_epi8 (table, at));
      u[i] = _mm256_sub_epi8 (u[i], sixteen);
    }
  }
  for (int i = 0; i < REGISTERS; i++)
    _mm256_storeu_si256 ((__m256i *) (y + i * 32), found[i]);
}

static void
lut_range (const void *ctx, size_t begin, size_t end)
{
  const KernelLutS8 *args = ctx;
  size_t i = begin;

  for (; i + REGISTERS * 32 <= end; i += REGISTERS * 32)
    look_up (args->lut, args->x + i, args->y + i);
  for (; i < end; i++)
    args->y[i] = args->lut[args->x[i] + 128];
}

void
kernel_lut_s8_avx2 (const KernelLutS8 *args, KernelQueue *queue)
{
  kernel_pool_range (queue->pool, lut_range, args, args->size, GRAIN);
}
