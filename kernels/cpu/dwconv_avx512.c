/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dwconv_avx512.c: depthwise conv_f32 with AVX-512.
 *
 * Strips: 7 or 8 pixels x 16 channels: as many registers of accumulators, a window's line of
 * weights, 1 of x. Every other window: 6 pixels x 16 channels, then the next 16 channels.
 */
#include "kernels/cpu/dwconv-f32.h"
#include "kernels/cpu/lanes_avx512.h"

/* --- Any window ----------------------------------------------------------------------------- */

/* Ends a chain, and begins the next. */
LANES_INLINE void
end_chain (const IgemmTile *t, __m512 *acc, bool first)
{
  IGEMM_EACH (i, IGEMM_MR) {
    float *total = t->totals + i * IGEMM_NR;

    _mm512_store_ps (total, first ? acc[i] : _mm512_add_ps (_mm512_load_ps (total), acc[i]));
    acc[i] = _mm512_setzero_ps ();
  }
}

LANES_INLINE void
tile (const IgemmTile *t, int c, __mmask16 mask)
{
  const float *w = (const float *) ((const uint8_t *) t->w + c / IGEMM_NR * t->w_stride);
  const void *const *rows = t->rows;
  __m512 acc[IGEMM_MR];
  int left = KERNEL_CHAIN;
  bool first = true;

  IGEMM_EACH (i, IGEMM_MR)
    acc[i] = _mm512_maskz_loadu_ps (mask, t->b + c);
  for (int tap = 0; tap < t->taps; tap++, w += IGEMM_NR, rows += IGEMM_MR) {
    if (left-- == 0) {
      end_chain (t, acc, first);
      first = false;
      left = KERNEL_CHAIN - 1;
    }

    const __m512 weights = _mm512_loadu_ps (w);

    IGEMM_EACH (i, IGEMM_MR) {
      const float *x = (const float *) rows[i] + t->channel + c;

      acc[i] = _mm512_fmadd_ps (_mm512_maskz_loadu_ps (mask, x), weights, acc[i]);
    }
  }
  IGEMM_EACH (i, IGEMM_MR) {
    if (i >= t->pixels)
      break;
    if (!first)
      acc[i] = _mm512_add_ps (_mm512_load_ps (t->totals + i * IGEMM_NR), acc[i]);
    lanes_finish_f32 (t, acc[i], mask, i * t->y_stride + c);
  }
}

static void
run (const IgemmTile *t)
{
  int c = 0;

  for (; c + IGEMM_NR <= t->channels; c += IGEMM_NR)
    tile (t, c, 0xffff);
  if (c < t->channels)
    tile (t, c, lanes_mask (t->channels - c));
}

/* --- Strips --------------------------------------------------------------------------------- */

LANES_INLINE void
finish_line (const DwconvF32Line *t, const __m512 *acc, const int width, const bool whole)
{
  const __m512 lo = _mm512_set1_ps (t->args->lo), hi = _mm512_set1_ps (t->args->hi);
  const __mmask16 mask = whole ? 0xffff : lanes_mask (t->channels);
  const ptrdiff_t oc = t->args->shape.oc;
  const int outputs = t->outputs;
  const float *r = t->args->r ? t->args->r + t->at : NULL;
  float *y = t->args->y + t->at;

  IGEMM_EACH (i, width) {
    __m512 value = acc[i];

    if (!whole && i >= outputs)
      break;
    if (r)
      value = _mm512_add_ps (value, _mm512_maskz_loadu_ps (mask, r + i * oc));
    _mm512_mask_storeu_ps (y + i * oc, mask, lanes_clamp (value, lo, hi));
  }
}

LANES_INLINE void
run_line (const DwconvF32Line *t, const int kw, const int stride, const int width, const bool whole)
{
  static const float zeros[IGEMM_NR];
  const KernelConvF32 *args = t->args;
  const int columns = (width - 1) * stride + kw, kh = args->shape.kh, lines = args->shape.ih;
  const int dilation = args->shape.dilation_h;
  const ptrdiff_t line_step = (ptrdiff_t) args->shape.iw * args->shape.ic;
  const ptrdiff_t ic = args->shape.ic, oc = args->shape.oc;
  const __mmask16 mask = whole ? 0xffff : lanes_mask (t->channels);
  const __m512 b = _mm512_maskz_loadu_ps (mask, t->b);
  const float *w = t->w, *first = t->x + t->iw * ic;
  float *y = args->y + t->at;
  __m512 acc[DWCONV_F32_WIDTH];

  IGEMM_EACH (i, width) {
    lanes_prefetch_write (y + i * oc);
    acc[i] = b;
  }
  for (int i = 0, ih = t->ih; i < kh; i++, ih += dilation, w += kw * IGEMM_NR) {
    const bool inside = ih >= 0 && ih < lines;
    const float *x = inside ? first + ih * line_step : zeros;
    const ptrdiff_t step = inside ? ic : 0;
    __m512 weights[DWCONV_F32_KW];

    IGEMM_EACH (j, kw)
      weights[j] = _mm512_loadu_ps (w + j * IGEMM_NR);
    IGEMM_EACH (column, columns) {
      const __m512 value =
          _mm512_maskz_loadu_ps (whole ? 0xffff : t->inside[column], x + column * step);

      IGEMM_EACH (j, kw) {
        const int o = (column - j) / stride;

        if (column >= j && (column - j) % stride == 0 && o < width)
          acc[o] = _mm512_fmadd_ps (value, weights[j], acc[o]);
      }
    }
  }
  finish_line (t, acc, width, whole);
}

DWCONV_F32_KIND (avx512, 16)
