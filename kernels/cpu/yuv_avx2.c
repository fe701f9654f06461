/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * yuv_avx2.c: yuv_rgb_u8 with AVX2, 8 pixels at a time, for planar and semiplanar pictures (steps 1
 * and 2). The same int32 sums as ref. Other steps and the last pixels of a row are left to ref.
 */
#include "kernels/backend.h"
#include "kernels/cpu/cpu.h"

#include <immintrin.h>

#define INLINE static inline __attribute__ ((always_inline))

/* 8 samples as int32, reading 8 * step bytes. */
INLINE __m256i
load_component (const uint8_t *x, int step)
{
  if (step == 1)
    return _mm256_cvtepu8_epi32 (_mm_loadl_epi64 ((const __m128i *) x));
  return _mm256_cvtepu16_epi32 (
      _mm_and_si128 (_mm_loadu_si128 ((const __m128i *) x), _mm_set1_epi16 (0xff)));
}

/* Three times 8 values of int32 to 24 bytes r g b r g b ... */
INLINE void
store_rgb (uint8_t *y, const __m256i *v)
{
  /* Per half: r0..r3 g0..g3 b0..b3 b0..b3, clipped to bytes. */
  const __m256i bytes =
      _mm256_packus_epi16 (_mm256_packs_epi32 (v[0], v[1]), _mm256_packs_epi32 (v[2], v[2]));
  const __m256i mixed = _mm256_shuffle_epi8 (bytes,
      _mm256_broadcastsi128_si256 (
          _mm_setr_epi8 (0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11, -1, -1, -1, -1)));
  /* Twelve bytes of each half, side by side. */
  const __m256i rgb =
      _mm256_permutevar8x32_epi32 (mixed, _mm256_setr_epi32 (0, 1, 2, 4, 5, 6, 3, 7));

  _mm_storeu_si128 ((__m128i *) y, _mm256_castsi256_si128 (rgb));
  _mm_storel_epi64 ((__m128i *) (y + 16), _mm256_extracti128_si256 (rgb, 1));
}

/* Pixels of a part: a microsecond of work. */
#define GRAIN 2048

/* The first `width` pixels of a row, a multiple of 8. */
INLINE void
convert_row (const KernelYuv *p, int row, int width, int chroma_step)
{
  uint8_t *y = p->y + row * p->y_stride;
  const uint8_t *x[3];

  for (int j = 0; j < 3; j++)
    x[j] = p->in[j].data + row * p->in[j].stride;
  for (int col = 0; col < width; col += 8, y += 24) {
    __m256i in[3], v[3];

#pragma GCC unroll 3
    for (int j = 0; j < 3; j++) {
      const int step = j == 0 ? 1 : chroma_step;

      in[j] = _mm256_sub_epi32 (load_component (x[j] + (size_t) col * step, step),
          _mm256_set1_epi32 (p->offset[j]));
    }
#pragma GCC unroll 3
    for (int i = 0; i < 3; i++) {
      v[i] = _mm256_set1_epi32 (1 << 15);
#pragma GCC unroll 3
      for (int j = 0; j < 3; j++)
        v[i] = _mm256_add_epi32 (v[i],
            _mm256_mullo_epi32 (in[j], _mm256_set1_epi32 (p->matrix[i][j])));
      v[i] = _mm256_srai_epi32 (v[i], 16);
    }
    store_rgb (y, v);
  }
}

static void
convert_range (const void *ctx, size_t begin, size_t end)
{
  const KernelYuv *p = ctx;
  const int chroma_step = p->in[1].step;
  /* The second of two interleaved components ends a byte before the 16 that a load would read. */
  const int width = chroma_step == 1 ? p->width / 8 * 8 : (p->width - 1) / 8 * 8;
  KernelYuv rest = *p;

  for (size_t row = begin; row < end; row++) {
    if (chroma_step == 1)
      convert_row (p, (int) row, width, 1);
    else
      convert_row (p, (int) row, width, 2);
  }
  rest.width -= width;
  rest.height = (int) (end - begin);
  rest.y += (ptrdiff_t) begin * p->y_stride + (ptrdiff_t) width * 3;
  for (int j = 0; j < 3; j++)
    rest.in[j].data += (ptrdiff_t) begin * p->in[j].stride + (ptrdiff_t) width * p->in[j].step;
  kernel_yuv_rgb_u8_ref (&rest, NULL);
}

void
kernel_yuv_rgb_u8_avx2 (const KernelYuv *p, KernelQueue *queue)
{
  const int chroma_step = p->in[1].step;

  if (p->in[0].step != 1 || p->in[2].step != chroma_step || chroma_step > 2)
    kernel_yuv_rgb_u8_ref (p, queue);
  else
    kernel_pool_range (queue->pool, convert_range, p, (size_t) p->height,
        1 + GRAIN / (1 + (size_t) p->width));
}
