/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dwconv-f32_avx2.c: depthwise conv_f32 with AVX2 and FMA.
 *
 * Strips: 7 or 8 pixels x 8 channels: as many registers of accumulators, a window's line of weights,
 * 1 of x: 16 at most. Every other window: 6 pixels x 8 channels, then the next 8 channels.
 */
#include "kernels/cpu/dwconv-f32.h"
#include "kernels/cpu/lanes_avx2.h"

/* --- Any window ----------------------------------------------------------------------------- */

/* Ends a chain, and begins the next. */
LANES_INLINE void
end_chain (const IgemmTile *t, __m256 *acc, bool first)
{
  IGEMM_EACH (i, IGEMM_MR) {
    float *total = t->totals + i * 8;

    _mm256_store_ps (total, first ? acc[i] : _mm256_add_ps (_mm256_load_ps (total), acc[i]));
    acc[i] = _mm256_setzero_ps ();
  }
}

LANES_INLINE void
tile (const IgemmTile *t, int c, int count)
{
  /* Of channel c, a multiple of 8; taps are IGEMM_NR apart. */
  const float *w =
      (const float *) ((const uint8_t *) t->w + c / IGEMM_NR * t->w_stride) + c % IGEMM_NR;
  const void *const *rows = t->rows;
  __m256 acc[IGEMM_MR];
  int left = KERNEL_CHAIN;
  bool first = true;

  IGEMM_EACH (i, IGEMM_MR)
    acc[i] = lanes_load_f32 (t->b + c, count);
  for (int tap = 0; tap < t->taps; tap++, w += IGEMM_NR, rows += IGEMM_MR) {
    if (left-- == 0) {
      end_chain (t, acc, first);
      first = false;
      left = KERNEL_CHAIN - 1;
    }

    const __m256 weights = _mm256_loadu_ps (w);

    IGEMM_EACH (i, IGEMM_MR) {
      const __m256 x = lanes_load_f32 ((const float *) rows[i] + t->channel + c, count);

      acc[i] = _mm256_fmadd_ps (x, weights, acc[i]);
    }
  }
  IGEMM_EACH (i, IGEMM_MR) {
    if (i >= t->pixels)
      break;
    if (!first)
      acc[i] = _mm256_add_ps (_mm256_load_ps (t->totals + i * 8), acc[i]);
    lanes_finish_f32 (t, acc[i], count, i * t->y_stride + c);
  }
}

static void
run (const IgemmTile *t)
{
  int c = 0;

  for (; c + 8 <= t->channels; c += 8)
    tile (t, c, 8);
  if (c < t->channels)
    tile (t, c, t->channels - c);
}

/* --- Strips --------------------------------------------------------------------------------- */

LANES_INLINE void
finish_line (const DwconvF32Line *t, const __m256 *acc, const int width, const bool whole)
{
  const __m256 lo = _mm256_set1_ps (t->args->lo), hi = _mm256_set1_ps (t->args->hi);
  const int outputs = whole ? width : t->outputs, channels = whole ? 8 : t->channels;
  const ptrdiff_t oc = t->args->shape.oc;
  const float *r = t->args->r ? t->args->r + t->at : NULL;
  float *y = t->args->y + t->at;

  IGEMM_EACH (i, width) {
    __m256 value = acc[i];

    if (i >= outputs)
      break;
    if (r)
      value = _mm256_add_ps (value, lanes_load_f32 (r + i * oc, channels));
    lanes_store_f32 (y + i * oc, lanes_clamp (value, lo, hi), channels);
  }
}

LANES_INLINE void
run_line (const DwconvF32Line *t, const int kw, const int stride, const int width, const bool whole)
{
  static const float zeros[8];
  const KernelConvF32 *args = t->args;
  const int columns = (width - 1) * stride + kw, kh = args->shape.kh, lines = args->shape.ih;
  const int dilation = args->shape.dilation_h, channels = whole ? 8 : t->channels;
  const ptrdiff_t line_step = (ptrdiff_t) args->shape.iw * args->shape.ic;
  const ptrdiff_t ic = args->shape.ic, oc = args->shape.oc;
  const __m256 b = lanes_load_f32 (t->b, channels);
  const float *w = t->w, *first = t->x + t->iw * ic;
  float *y = args->y + t->at;
  __m256 acc[DWCONV_F32_WIDTH];

  IGEMM_EACH (i, width) {
    lanes_prefetch_write (y + i * oc);
    acc[i] = b;
  }
  for (int i = 0, ih = t->ih; i < kh; i++, ih += dilation, w += kw * IGEMM_NR) {
    const bool inside = ih >= 0 && ih < lines;
    const float *x = inside ? first + ih * line_step : zeros;
    const ptrdiff_t step = inside ? ic : 0;
    __m256 weights[DWCONV_F32_KW];

    IGEMM_EACH (j, kw)
      weights[j] = _mm256_loadu_ps (w + j * IGEMM_NR);
    IGEMM_EACH (column, columns) {
      const __m256 value = whole || t->inside[column] ? lanes_load_f32 (x + column * step, channels)
                                                      : _mm256_setzero_ps ();

      IGEMM_EACH (j, kw) {
        const int o = (column - j) / stride;

        if (column >= j && (column - j) % stride == 0 && o < width)
          acc[o] = _mm256_fmadd_ps (value, weights[j], acc[o]);
      }
    }
  }
  finish_line (t, acc, width, whole);
}

DWCONV_F32_KIND (avx2, 8)
