/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * winograd_avx512vnni.c: winograd.h with vpdpwssd: 2 products of 16 channels per instruction.
 *
 * Product: 6 tiles x 4 blocks of 16 channels, as the direct kernel: 24 registers of sums, 4 of
 * weights, 1 of V. Transforms: 32 channels of a tile of inputs at once, 16 of outputs.
 */
#include "kernels/cpu/lanes_avx512.h"
#include "kernels/cpu/winograd.h"

#include <string.h>

#define GROUP 2  /* blocks of a product */
#define MR    12 /* tiles */

typedef __m512i WinogradVector;
#define v16_add _mm512_add_epi16
#define v16_sub _mm512_sub_epi16
#define v16_mul _mm512_mullo_epi16
#define v16_shl _mm512_slli_epi16
#define v16_set _mm512_set1_epi16
#define v32_add _mm512_add_epi32
#define v32_sub _mm512_sub_epi32
#define v32_mul _mm512_mullo_epi32
#define v32_shl _mm512_slli_epi32
#define v32_sar _mm512_srai_epi32
#define v32_set _mm512_set1_epi32
#include "kernels/cpu/winograd-transform.h"

/* --- Inputs --------------------------------------------------------------------------------- */

LANES_INLINE void
input_32 (const int8_t *const *x, int c, const __mmask32 mask, int16_t *v, size_t v_stride)
{
  __m512i t[WINOGRAD_IN][WINOGRAD_IN]; /* transposed */

  IGEMM_EACH (j, WINOGRAD_IN) {
    __m512i d[WINOGRAD_IN];

    IGEMM_EACH (i, WINOGRAD_IN)
      d[i] = _mm512_cvtepi8_epi16 (
          mask == 0xffffffff ? _mm256_loadu_si256 ((const __m256i *) (x[i * WINOGRAD_IN + j] + c))
                             : _mm256_maskz_loadu_epi8 (mask, x[i * WINOGRAD_IN + j] + c));
    transform_input (d, t[j]);
  }
  IGEMM_EACH (i, WINOGRAD_IN) {
    __m512i d[WINOGRAD_IN], line[WINOGRAD_IN];

    IGEMM_EACH (j, WINOGRAD_IN)
      d[j] = t[j][i];
    transform_input (d, line);
    IGEMM_EACH (j, WINOGRAD_IN)
      _mm512_storeu_si512 (v + (i * WINOGRAD_IN + j) * v_stride + c, line[j]);
  }
}

static void
input (const int8_t *const *x, int channels, int16_t *v, size_t v_stride)
{
  int c = 0;

  for (; c + 32 <= channels; c += 32)
    input_32 (x, c, 0xffffffff, v, v_stride);
  if (c < channels)
    input_32 (x, c, (__mmask32) ((1u << (channels - c)) - 1), v, v_stride);
}

/* --- Weights -------------------------------------------------------------------------------- */

static void
weights (const WinogradWeights *weights)
{
  const __m256i *w = (const __m256i *) weights->w;
  int16_t *u = weights->u;

  for (int pair = 0; pair < weights->pairs; pair++, w += 9, u += IGEMM_NR * 2) {
    __m512i t[3][WINOGRAD_IN]; /* transposed */

    IGEMM_EACH (j, 3) {
      __m512i column[3];

      IGEMM_EACH (i, 3)
        column[i] = _mm512_cvtepi8_epi16 (_mm256_loadu_si256 (w + i * 3 + j));
      transform_weights (column, t[j]);
    }
    IGEMM_EACH (i, WINOGRAD_IN) {
      const __m512i line[3] = {t[0][i], t[1][i], t[2][i]};
      __m512i point[WINOGRAD_IN];

      transform_weights (line, point);
      IGEMM_EACH (j, WINOGRAD_IN)
        _mm512_storeu_si512 (u + (i * WINOGRAD_IN + j) * weights->u_stride, point[j]);
    }
  }
}

/* --- Products ------------------------------------------------------------------------------- */

#if defined(__clang__)
#define EACH_TILE(i, count) _Pragma ("clang loop unroll(full)") for (int i = 0; i < (count); i++)
#else
#define EACH_TILE(i, count) _Pragma ("GCC unroll 16") for (int i = 0; i < (count); i++)
#endif

LANES_INLINE void
multiply (const WinogradProduct *p, const int16_t *v, int32_t *m, const int mr, const int blocks)
{
  const int16_t *u = p->u;
  __m512i acc[MR][GROUP];

  EACH_TILE (i, mr)
  {
    IGEMM_EACH (j, blocks)
      acc[i][j] = _mm512_setzero_si512 ();
  }
  for (int k = 0; k < p->pairs; k++, u += IGEMM_NR * 2, v += 2) {
    __m512i weights[GROUP];

    IGEMM_EACH (j, blocks)
      weights[j] = _mm512_loadu_si512 (u + j * p->u_stride);
    EACH_TILE (i, mr)
    {
      int32_t two;

      memcpy (&two, v + i * p->v_stride, sizeof two);
      IGEMM_EACH (j, blocks)
        acc[i][j] = _mm512_dpwssd_epi32 (acc[i][j], _mm512_set1_epi32 (two), weights[j]);
    }
  }
  EACH_TILE (i, mr)
  {
    IGEMM_EACH (j, blocks)
      _mm512_storeu_si512 (m + (i * blocks + j) * WINOGRAD_M, acc[i][j]);
  }
}

/* clang-format off */
LANES_INLINE void
multiply_tiles (const WinogradProduct *p, const int blocks)
{
  const int16_t *v = p->v;
  int32_t *m = p->m;

  for (int left = p->tiles; left > 0;) {
    const int calls = (left + MR - 1) / MR, mr = (left + calls - 1) / calls;

    switch (mr) {
    case 1: multiply (p, v, m, 1, blocks); break;
    case 2: multiply (p, v, m, 2, blocks); break;
    case 3: multiply (p, v, m, 3, blocks); break;
    case 4: multiply (p, v, m, 4, blocks); break;
    case 5: multiply (p, v, m, 5, blocks); break;
    case 6: multiply (p, v, m, 6, blocks); break;
    case 7: multiply (p, v, m, 7, blocks); break;
    case 8: multiply (p, v, m, 8, blocks); break;
    case 9: multiply (p, v, m, 9, blocks); break;
    case 10: multiply (p, v, m, 10, blocks); break;
    case 11: multiply (p, v, m, 11, blocks); break;
    case 12: multiply (p, v, m, 12, blocks); break;
    }
    left -= mr;
    v += mr * p->v_stride;
    m += mr * blocks * WINOGRAD_M;
  }
}

static void
product (const WinogradProduct *p)
{
  switch (p->blocks) {
  case 1: multiply_tiles (p, 1); break;
  case 2: multiply_tiles (p, 2); break;
  }
}
/* clang-format on */

/* --- Outputs -------------------------------------------------------------------------------- */

/* t[j] is column j of A m. */
LANES_INLINE void
transform_columns (const int32_t *m, __m512i (*t)[WINOGRAD_OUT])
{
  IGEMM_EACH (j, WINOGRAD_IN) {
    __m512i column[WINOGRAD_IN];

    IGEMM_EACH (i, WINOGRAD_IN)
      column[i] = _mm512_loadu_si512 (m + (i * WINOGRAD_IN + j) * IGEMM_NR);
    transform_output (column, t[j]);
  }
}

/* A line of outputs of conv_s8: as lanes_finish_blocks_s8(), with pixels for blocks. */
LANES_INLINE void
finish_line (const WinogradOutput *o, const IgemmTile *to, const bool whole, const bool residual,
    const __m512i *y, __m512 m, __m512 b, __mmask16 mask, size_t at)
{
  const __m512i order = _mm512_setr_epi32 (0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  __m512i q[WINOGRAD_OUT];

  IGEMM_EACH (j, WINOGRAD_OUT) {
    __m512 t = _mm512_fmadd_ps (_mm512_cvtepi32_ps (y[j]), m, b);

    if (residual)
      t = lanes_add_residual (to, t, whole || j < o->columns ? mask : 0, at + j * to->y_stride);
    q[j] = lanes_round (_mm512_min_ps (_mm512_set1_ps (to->hi), t));
  }

  const __m512i words =
      _mm512_packs_epi16 (_mm512_packs_epi32 (q[0], q[1]), _mm512_packs_epi32 (q[2], q[3]));
  const __m512i bytes =
      _mm512_max_epi8 (_mm512_permutexvar_epi32 (order, words), _mm512_set1_epi8 ((int8_t) to->lo));
  const __m128i pixels[WINOGRAD_OUT] = {_mm512_castsi512_si128 (bytes),
      _mm512_extracti32x4_epi32 (bytes, 1), _mm512_extracti32x4_epi32 (bytes, 2),
      _mm512_extracti32x4_epi32 (bytes, 3)};
  int8_t *to_y = (int8_t *) to->y + at;

  if (whole) {
    IGEMM_EACH (j, WINOGRAD_OUT)
      _mm_storeu_si128 ((__m128i *) (to_y + j * to->y_stride), pixels[j]);
    return;
  }
  IGEMM_EACH (j, WINOGRAD_OUT)
    _mm_mask_storeu_epi8 (to_y + j * to->y_stride, j < o->columns ? mask : 0, pixels[j]);
}

/* The same as float. */
LANES_INLINE void
finish_line_f32 (const WinogradOutput *o, const IgemmTile *to, const __m512i *y, __m512 m, __m512 b,
    __mmask16 mask, size_t at)
{
  IGEMM_EACH (j, WINOGRAD_OUT) {
    if (j >= o->columns)
      break;
    lanes_finish_s8 (to, y[j], m, b, mask, at + j * to->y_stride);
  }
}

/* Adds what the parts before have, and leaves it for the next. */
LANES_INLINE void
add_parts (const WinogradOutput *o, __m512i *y, int32_t *sums)
{
  IGEMM_EACH (j, WINOGRAD_OUT) {
    if (!o->first)
      y[j] = _mm512_add_epi32 (y[j], _mm512_loadu_si512 (sums + j * IGEMM_NR));
    if (!o->last)
      _mm512_storeu_si512 (sums + j * IGEMM_NR, y[j]);
  }
}

LANES_INLINE void
output_blocks (const WinogradOutput *o, const bool usual, const bool residual)
{
  const IgemmTile to = o->to; /* stays in registers: stores of bytes might change any other */

  for (int k = 0; k < to.channels; k += IGEMM_NR) {
    const __mmask16 mask = lanes_mask (to.channels - k);
    const __m512 m = _mm512_maskz_loadu_ps (mask, to.m + k);
    const __m512 b = _mm512_maskz_loadu_ps (mask, to.b + k);
    int32_t *sums = o->sums + (size_t) k * WINOGRAD_OUT * WINOGRAD_OUT;
    __m512i t[WINOGRAD_IN][WINOGRAD_OUT];

    transform_columns (o->m + (size_t) k * WINOGRAD_POINTS, t);
    IGEMM_EACH (i, WINOGRAD_OUT) {
      __m512i y[WINOGRAD_OUT];

      if (i >= o->rows)
        break;
      transform_line (t, i, y);
      if (o->sums)
        add_parts (o, y, sums + i * WINOGRAD_OUT * IGEMM_NR);
      if (!o->last)
        continue;
      if (!usual)
        finish_line_f32 (o, &to, y, m, b, mask, i * o->line + k);
      else if (o->columns == WINOGRAD_OUT && mask == 0xffff)
        finish_line (o, &to, true, residual, y, m, b, 0xffff, i * o->line + k);
      else
        finish_line (o, &to, false, residual, y, m, b, mask, i * o->line + k);
    }
  }
}

static void
output (const WinogradOutput *o)
{
  if (o->to.y_f32)
    output_blocks (o, false, false);
  else if (o->to.r)
    output_blocks (o, true, true);
  else
    output_blocks (o, true, false);
}

/* --- The kind ------------------------------------------------------------------------------- */

const WinogradKind kernel_winograd_s8_avx512vnni = {
    .input = input,
    .product = product,
    .output = output,
    .direct = 1.2f,
    .group = GROUP,
    .weights = weights,
    .grain = 1 << 20,
};
