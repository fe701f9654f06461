/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * winograd_avx2.c: winograd.h with vpmaddwd, and the transforms in registers of 256 bits: 16
 * channels of a tile of inputs at once, 8 of outputs.
 */
#define WINOGRAD_DOT(sums, v, u) _mm256_add_epi32 (sums, _mm256_madd_epi16 (v, u))
#include "kernels/cpu/winograd_avx2.h"

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

/* V = B d along one axis. */
LANES_INLINE void
transform_input (const __m256i *d, __m256i *v)
{
  const __m256i a = _mm256_sub_epi16 (d[4], _mm256_slli_epi16 (d[2], 2));
  const __m256i b = _mm256_sub_epi16 (d[3], _mm256_slli_epi16 (d[1], 2));
  const __m256i c = _mm256_sub_epi16 (d[4], d[2]);
  const __m256i e = _mm256_slli_epi16 (_mm256_sub_epi16 (d[3], d[1]), 1);

  v[0] = _mm256_add_epi16 (c, _mm256_slli_epi16 (_mm256_sub_epi16 (d[0], d[2]), 2));
  v[1] = _mm256_add_epi16 (a, b);
  v[2] = _mm256_sub_epi16 (a, b);
  v[3] = _mm256_add_epi16 (c, e);
  v[4] = _mm256_sub_epi16 (c, e);
  v[5] = _mm256_sub_epi16 (_mm256_sub_epi16 (d[5], d[3]), _mm256_slli_epi16 (e, 1));
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

/* U = G w along one axis. */
LANES_INLINE void
transform_weights (const __m256i *w, __m256i *u)
{
  const __m256i six = _mm256_set1_epi16 (6);
  const __m256i outer = _mm256_add_epi16 (w[0], w[2]), twice = _mm256_slli_epi16 (w[1], 1);
  const __m256i far = _mm256_add_epi16 (w[0], _mm256_slli_epi16 (w[2], 2));

  u[0] = _mm256_mullo_epi16 (w[0], six);
  u[1] = _mm256_add_epi16 (outer, w[1]);
  u[2] = _mm256_sub_epi16 (outer, w[1]);
  u[3] = _mm256_add_epi16 (far, twice);
  u[4] = _mm256_sub_epi16 (far, twice);
  u[5] = _mm256_mullo_epi16 (w[2], six);
}

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

/* F = A m along one axis. */
LANES_INLINE void
transform_output (const __m256i *m, __m256i *f)
{
  const __m256i s = _mm256_add_epi32 (m[1], m[2]), d = _mm256_sub_epi32 (m[1], m[2]);
  const __m256i p = _mm256_add_epi32 (m[3], m[4]), q = _mm256_sub_epi32 (m[3], m[4]);

  f[0] = _mm256_add_epi32 (_mm256_sub_epi32 (m[0], _mm256_slli_epi32 (s, 2)), p);
  f[1] = _mm256_sub_epi32 (q, _mm256_slli_epi32 (d, 1));
  f[2] = _mm256_sub_epi32 (p, s);
  f[3] = _mm256_add_epi32 (_mm256_sub_epi32 (_mm256_slli_epi32 (q, 1), d), m[5]);
}

/* Line i of the outputs. */
LANES_INLINE void
transform_line (__m256i (*t)[WINOGRAD_OUT], const int i, __m256i *y)
{
  static const int shifts[WINOGRAD_OUT] = WINOGRAD_SHIFTS;
  __m256i line[WINOGRAD_IN];

  IGEMM_EACH (j, WINOGRAD_IN)
    line[j] = t[j][i];
  transform_output (line, y);
  IGEMM_EACH (j, WINOGRAD_OUT) {
    y[j] = _mm256_mullo_epi32 (y[j], _mm256_set1_epi32 (WINOGRAD_INV_9));
    y[j] = _mm256_srai_epi32 (y[j], shifts[i] + shifts[j]);
  }
}

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
