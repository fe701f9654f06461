/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * winograd_avx2.c: winograd.h with vpmaddwd, and the transforms in registers of 256 bits: 16
 * channels of a tile of inputs at once, 8 of outputs.
 */
#define WINOGRAD_DOT(sums, v, u) _mm256_add_epi32 (sums, _mm256_madd_epi16 (v, u))
#include "kernels/cpu/winograd_avx2.h"

typedef __m256i WinogradVector;
#define v16_add _mm256_add_epi16
#define v16_sub _mm256_sub_epi16
#define v16_mul _mm256_mullo_epi16
#define v16_shl _mm256_slli_epi16
#define v16_set _mm256_set1_epi16
#define v32_add _mm256_add_epi32
#define v32_sub _mm256_sub_epi32
#define v32_mul _mm256_mullo_epi32
#define v32_shl _mm256_slli_epi32
#define v32_sar _mm256_srai_epi32
#define v32_set _mm256_set1_epi32
#include "kernels/cpu/winograd-transform.h"

/* --- Inputs --------------------------------------------------------------------------------- */

/* int8 to int16. */
LANES_INLINE __m256i
load_16 (const int8_t *x, int count)
{
  int8_t few[16] = {0};

  if (count >= 16)
    return _mm256_cvtepi8_epi16 (_mm_loadu_si128 ((const __m128i *) x));
  memcpy (few, x, count);
  return _mm256_cvtepi8_epi16 (_mm_loadu_si128 ((const __m128i *) few));
}

LANES_INLINE void
input_16 (const int8_t *const *x, int c, int count, int16_t *v, size_t v_stride)
{
  __m256i t[WINOGRAD_IN][WINOGRAD_IN]; /* transposed */

  IGEMM_EACH (j, WINOGRAD_IN) {
    __m256i d[WINOGRAD_IN];

    IGEMM_EACH (i, WINOGRAD_IN)
      d[i] = load_16 (x[i * WINOGRAD_IN + j] + c, count);
    transform_input (d, t[j]);
  }
  IGEMM_EACH (i, WINOGRAD_IN) {
    __m256i d[WINOGRAD_IN], line[WINOGRAD_IN];

    IGEMM_EACH (j, WINOGRAD_IN)
      d[j] = t[j][i];
    transform_input (d, line);
    IGEMM_EACH (j, WINOGRAD_IN)
      _mm256_storeu_si256 ((__m256i *) (v + (i * WINOGRAD_IN + j) * v_stride + c), line[j]);
  }
}

void
kernel_winograd_input_avx2 (const int8_t *const *x, int channels, int16_t *v, size_t v_stride)
{
  int c = 0;

  for (; c + 16 <= channels; c += 16)
    input_16 (x, c, 16, v, v_stride);
  if (c < channels)
    input_16 (x, c, channels - c, v, v_stride);
}

/* --- Weights -------------------------------------------------------------------------------- */

void
kernel_winograd_weights_avx2 (const WinogradWeights *weights)
{
  const __m128i *w = (const __m128i *) weights->w;
  int16_t *u = weights->u;

  for (int half = 0; half < weights->pairs * 2; half++, u += 16) {
    const __m128i *nine = w + half / 2 * 18 + half % 2;
    __m256i t[3][WINOGRAD_IN]; /* transposed */

    IGEMM_EACH (j, 3) {
      __m256i column[3];

      IGEMM_EACH (i, 3)
        column[i] = _mm256_cvtepi8_epi16 (_mm_loadu_si128 (nine + (i * 3 + j) * 2));
      transform_weights (column, t[j]);
    }
    IGEMM_EACH (i, WINOGRAD_IN) {
      const __m256i line[3] = {t[0][i], t[1][i], t[2][i]};
      __m256i point[WINOGRAD_IN];

      transform_weights (line, point);
      IGEMM_EACH (j, WINOGRAD_IN)
        _mm256_storeu_si256 ((__m256i *) (u + (i * WINOGRAD_IN + j) * weights->u_stride), point[j]);
    }
  }
}

/* --- Outputs -------------------------------------------------------------------------------- */

/* A line of outputs, `count` channels of each. */
LANES_INLINE void
finish_line (const WinogradOutput *o, const IgemmTile *to, __m256i *y, __m256 m, __m256 b,
    int count, size_t at, int32_t *sums)
{
  IGEMM_EACH (j, WINOGRAD_OUT) {
    __m256i *sum = (__m256i *) (sums + j * IGEMM_NR);

    if (j >= o->columns)
      break;
    if (o->sums && !o->first)
      y[j] = _mm256_add_epi32 (y[j], _mm256_loadu_si256 (sum));
    if (o->last)
      lanes_finish_s8 (to, y[j], m, b, count, at + j * to->y_stride);
    else
      _mm256_storeu_si256 (sum, y[j]);
  }
}

/* Channels k .. k + 7 of a group of blocks. */
LANES_INLINE void
output_8 (const WinogradOutput *o, const IgemmTile *to, int k)
{
  const int block = k / IGEMM_NR, count = to->channels - k;
  const int32_t *from = o->m + block * WINOGRAD_M + k % IGEMM_NR;
  const size_t sums = (size_t) block * IGEMM_NR * WINOGRAD_OUT * WINOGRAD_OUT + k % IGEMM_NR;
  const __m256 m = lanes_load_f32 (to->m + k, count), b = lanes_load_f32 (to->b + k, count);
  __m256i t[WINOGRAD_IN][WINOGRAD_OUT];

  IGEMM_EACH (j, WINOGRAD_IN) {
    __m256i column[WINOGRAD_IN];

    IGEMM_EACH (i, WINOGRAD_IN)
      column[i] = _mm256_loadu_si256 ((const __m256i *) (from + (i * WINOGRAD_IN + j) * IGEMM_NR));
    transform_output (column, t[j]);
  }
  IGEMM_EACH (i, WINOGRAD_OUT) {
    __m256i y[WINOGRAD_OUT];

    if (i >= o->rows)
      break;
    transform_line (t, i, y);
    finish_line (o, to, y, m, b, count, i * o->line + k,
        o->sums + sums + i * WINOGRAD_OUT * IGEMM_NR);
  }
}

void
kernel_winograd_output_avx2 (const WinogradOutput *output)
{
  const IgemmTile to = output->to; /* stays in registers: stores of bytes might change any other */

  for (int k = 0; k < to.channels; k += 8)
    output_8 (output, &to, k);
}

/* --- The kind ------------------------------------------------------------------------------- */

const WinogradKind kernel_winograd_s8_avx2 = {
    .input = kernel_winograd_input_avx2,
    .weights = kernel_winograd_weights_avx2,
    .product = winograd_product,
    .output = kernel_winograd_output_avx2,
    .direct = 2.9f,
    .group = 1,
    .grain = 1 << 18,
};
