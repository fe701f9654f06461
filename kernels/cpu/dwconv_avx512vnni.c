/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dwconv_avx512vnni.c: depthwise conv_s8 with vpdpbusd, 4 lines of input in every lane.
 *
 * Tile: 4 outputs of 2 lines, or 8 of 1, of 64 channels, a part of 16 after the other: 8 registers
 * of sums, 16 of finished integers, of which the third part's wait for the fourth's, 2 of weights,
 * 1 of x: 27 of 32. A 3x3 window takes 12 vpdpbusd for 64 outputs, and finishing them as many
 * instructions again: their bounds are applied to bytes, where that is once for 64.
 */
#include "kernels/cpu/dwconv.h"
#include "kernels/cpu/lanes_avx512.h"

/* --- Columns -------------------------------------------------------------------------------- */

LANES_INLINE __m512i
load_line (const DwconvColumns *c, int line, size_t at, const int places, const bool inside,
    __m512i padding)
{
  const int8_t *const *x = c->x[line];
  const __mmask64 mask = lanes_mask_64 (c->channels);

  if (places == 1)
    return inside || x[0] ? _mm512_maskz_loadu_epi8 (mask, x[0] + at) : padding;
  if (places == 2) {
    const __m256i part = _mm512_castsi512_si256 (padding);
    const __m256i low =
        inside || x[0] ? _mm256_maskz_loadu_epi8 ((__mmask32) mask, x[0] + at) : part;
    const __m256i high =
        inside || x[1] ? _mm256_maskz_loadu_epi8 ((__mmask32) mask, x[1] + at) : part;

    return _mm512_inserti64x4 (_mm512_castsi256_si512 (low), high, 1);
  }
  __m512i all = padding;

  IGEMM_EACH (i, DWCONV_PLACES)
    if (inside || x[i])
      all = _mm512_mask_broadcast_i32x4 (all, (__mmask16) (0xf << 4 * i),
          _mm_maskz_loadu_epi8 ((__mmask16) mask, x[i] + at));
  return all;
}

/* Values of one channel together: unpacking twice. */
LANES_INLINE void
store_column (uint8_t *to, __m512i x0, __m512i x1, __m512i x2, __m512i x3)
{
  const __m512i low01 = _mm512_unpacklo_epi8 (x0, x1), high01 = _mm512_unpackhi_epi8 (x0, x1);
  const __m512i low23 = _mm512_unpacklo_epi8 (x2, x3), high23 = _mm512_unpackhi_epi8 (x2, x3);

  _mm512_store_si512 (to, _mm512_unpacklo_epi16 (low01, low23));
  _mm512_store_si512 (to + 64, _mm512_unpackhi_epi16 (low01, low23));
  _mm512_store_si512 (to + 128, _mm512_unpacklo_epi16 (high01, high23));
  _mm512_store_si512 (to + 192, _mm512_unpackhi_epi16 (high01, high23));
}

static void
store_padding (const DwconvColumns *c, uint8_t *to, int count, __m512i value)
{
  for (int i = 0; i < count; i++, to += c->step)
    IGEMM_EACH (part, DWCONV_PARTS)
      _mm512_store_si512 (to + part * 64, value);
}

LANES_INLINE void
inner_columns (const DwconvColumns *c, uint8_t *to, const int places, const bool inside)
{
  const __m512i flip = _mm512_set1_epi8 (-128), padding = _mm512_set1_epi8 (c->zero_x);
  size_t at = 0;

  for (int i = 0; i < c->inner; i++, at += c->x_step, to += c->step) {
    __m512i x[DWCONV_GROUP];

    IGEMM_EACH (line, DWCONV_GROUP)
      x[line] = _mm512_xor_si512 (load_line (c, line, at, places, inside, padding), flip);
    store_column (to, x[0], x[1], x[2], x[3]);
  }
}

static void
columns (const DwconvColumns *args)
{
  const DwconvColumns c = *args;
  const __m512i padding = _mm512_set1_epi8 ((int8_t) (c.zero_x ^ -128));
  uint8_t *inner = c.columns + c.before * c.step;

  store_padding (&c, c.columns, c.before, padding);
  store_padding (&c, inner + c.inner * c.step, c.after, padding);
  if (!c.inside)
    c.places == 1   ? inner_columns (&c, inner, 1, false)
    : c.places == 2 ? inner_columns (&c, inner, 2, false)
                    : inner_columns (&c, inner, 4, false);
  else if (c.places == 1)
    inner_columns (&c, inner, 1, true);
  else if (c.places == 2)
    inner_columns (&c, inner, 2, true);
  else
    inner_columns (&c, inner, 4, true);
}

/* --- Strips --------------------------------------------------------------------------------- */

/* Those of channels 4 part .. 4 part + 3 of every 16. */
LANES_INLINE __m512
order_factors (const float *f, int channels, int places, int part)
{
  __m512 all = _mm512_setzero_ps ();

  IGEMM_EACH (lane, 4) {
    const int c = 16 * (lane % (4 / places)) + 4 * part, left = channels - c;
    const __mmask8 mask = left >= 4 ? 0xf : left > 0 ? (1 << left) - 1 : 0;

    all = _mm512_mask_broadcast_f32x4 (all, (__mmask16) (0xf << 4 * lane),
        _mm_maskz_loadu_ps (mask, f + (mask ? c : 0)));
  }
  return all;
}

static void
factors (const float *m, const float *b, int channels, int places, float *to)
{
  IGEMM_EACH (part, DWCONV_PARTS) {
    _mm512_store_ps (to + part * 16, order_factors (m, channels, places, part));
    _mm512_store_ps (to + (DWCONV_PARTS + part) * 16, order_factors (b, channels, places, part));
  }
}

LANES_INLINE void
store_bytes (const DwconvStrip *s, __m512i bytes, int line, int at)
{
  const __mmask64 mask = lanes_mask_64 (s->channels);
  int8_t *const *y = s->y[line];

  if (s->places == 1) {
    if (y[0])
      _mm512_mask_storeu_epi8 (y[0] + at * s->y_step, mask, bytes);
  } else if (s->places == 2) {
    if (y[0])
      _mm256_mask_storeu_epi8 (y[0] + at * s->y_step, (__mmask32) mask,
          _mm512_castsi512_si256 (bytes));
    if (y[1])
      _mm256_mask_storeu_epi8 (y[1] + at * s->y_step, (__mmask32) mask,
          _mm512_extracti64x4_epi64 (bytes, 1));
  } else {
    const __m128i quarter[DWCONV_PLACES] = {_mm512_castsi512_si128 (bytes),
        _mm512_extracti32x4_epi32 (bytes, 1), _mm512_extracti32x4_epi32 (bytes, 2),
        _mm512_extracti32x4_epi32 (bytes, 3)};

    IGEMM_EACH (i, DWCONV_PLACES)
      if (y[i])
        _mm_mask_storeu_epi8 (y[i] + at * s->y_step, (__mmask16) mask, quarter[i]);
  }
}

typedef __m512i Tile[8]; /* [outputs][lines] */

/* Sums of one part, from its weights on. */
LANES_INLINE void
sum_part (const DwconvStrip *s, const uint8_t *x, const uint8_t *w, __m512i start, const int kw,
    const int groups, const int lines, __m512i *acc)
{
  const int outputs = 8 / lines;
  const size_t step = s->output_step;

  IGEMM_EACH (i, 8)
    acc[i] = start;
  for (int tap = 0; tap < kw; tap++, x += s->tap_step) {
    for (int group = 0; group < groups; group++, w += lines * 64) {
      const uint8_t *column = x + group * DWCONV_PARTS * 64;
      const __m512i w0 = _mm512_loadu_si512 (w);
      const __m512i w1 = lines == 2 ? _mm512_loadu_si512 (w + 64) : w0;

      IGEMM_EACH (o, outputs) {
        const __m512i value = _mm512_load_si512 (column + o * step);

        acc[o * lines] = _mm512_dpbusd_epi32 (acc[o * lines], value, w0);
        if (lines == 2)
          acc[o * lines + 1] = _mm512_dpbusd_epi32 (acc[o * lines + 1], value, w1);
      }
    }
  }
}

LANES_INLINE void
finish_part (const DwconvStrip *s, int part, __m512i *acc)
{
  const __m512 m = _mm512_load_ps (s->factors + part * 16);
  const __m512 b = _mm512_load_ps (s->factors + (DWCONV_PARTS + part) * 16);

  IGEMM_EACH (i, 8)
    acc[i] = lanes_round (_mm512_fmadd_ps (_mm512_cvtepi32_ps (acc[i]), m, b));
}

LANES_INLINE void
strip_tile (const DwconvStrip *s, int first, const int kw, const int groups, const int lines)
{
  const int outputs = 8 / lines;
  const uint8_t *x = s->columns + first * s->output_step, *w = s->w + DWCONV_PARTS * 64;
  const size_t w_part = (size_t) kw * groups * lines * 64;
  const __m512i lo = _mm512_set1_epi8 ((int8_t) s->lo), hi = _mm512_set1_epi8 ((int8_t) s->hi);
  Tile low, high, acc;

  sum_part (s, x, w, _mm512_loadu_si512 (s->w), kw, groups, lines, low);
  finish_part (s, 0, low);
  sum_part (s, x + 64, w + w_part, _mm512_loadu_si512 (s->w + 64), kw, groups, lines, acc);
  finish_part (s, 1, acc);
  IGEMM_EACH (i, 8)
    low[i] = _mm512_packs_epi32 (low[i], acc[i]);
  sum_part (s, x + 128, w + 2 * w_part, _mm512_loadu_si512 (s->w + 128), kw, groups, lines, high);
  finish_part (s, 2, high);
  sum_part (s, x + 192, w + 3 * w_part, _mm512_loadu_si512 (s->w + 192), kw, groups, lines, acc);
  finish_part (s, 3, acc);
  IGEMM_EACH (i, 8) {
    const __m512i bytes = _mm512_packs_epi16 (low[i], _mm512_packs_epi32 (high[i], acc[i]));

    low[i] = _mm512_min_epi8 (_mm512_max_epi8 (bytes, lo), hi);
  }
  IGEMM_EACH (o, outputs) {
    if (first + o >= s->outputs)
      break;
    IGEMM_EACH (line, lines)
      store_bytes (s, low[o * lines + line], line, first + o);
  }
}

/* What a strip without y wants. */
LANES_INLINE void
store_sums (const DwconvStrip *s, const int lines)
{
  const uint8_t *w = s->w + DWCONV_PARTS * 64;

  for (int part = 0; part < DWCONV_PARTS; part++) {
    Tile acc;

    sum_part (s, s->columns + part * 64, w + (size_t) part * s->kw * s->groups * lines * 64,
        _mm512_loadu_si512 (s->w + part * 64), s->kw, s->groups, lines, acc);
    IGEMM_EACH (i, 8)
      _mm512_storeu_si512 (s->sums + (i * DWCONV_PARTS + part) * 16, acc[i]);
  }
}

LANES_INLINE void
strip (const DwconvStrip *args, const int lines)
{
  const DwconvStrip s = *args; /* stays in registers: stores of bytes might change any other */

  if (s.sums) {
    store_sums (&s, lines);
    return;
  }
  if (s.kw == 3 && s.groups == 1)
    for (int o = 0; o < s.outputs; o += 8 / lines)
      strip_tile (&s, o, 3, 1, lines);
  else if (s.kw == 5 && s.groups == 2)
    for (int o = 0; o < s.outputs; o += 8 / lines)
      strip_tile (&s, o, 5, 2, lines);
  else
    for (int o = 0; o < s.outputs; o += 8 / lines)
      strip_tile (&s, o, s.kw, s.groups, lines);
}

static void
strip_1 (const DwconvStrip *s)
{
  strip (s, 1);
}

static void
strip_2 (const DwconvStrip *s)
{
  strip (s, 2);
}

static void
finish (const IgemmTile *t, const int32_t *sums, size_t at)
{
  for (int c = 0; c < t->channels; c += 16, sums += 4) {
    const __mmask16 mask = lanes_mask (t->channels - c);
    __m512i acc = _mm512_setzero_si512 ();

    IGEMM_EACH (part, DWCONV_PARTS)
      acc = _mm512_mask_broadcast_i32x4 (acc, (__mmask16) (0xf << 4 * part),
          _mm_loadu_si128 ((const __m128i *) (const void *) (sums + part * 16)));
    lanes_finish_s8 (t, acc, _mm512_maskz_loadu_ps (mask, t->m + c),
        _mm512_maskz_loadu_ps (mask, t->b + c), mask, at + c);
  }
}

/* Whether fmaf (acc, m, b) is far within int32 for every |acc| <= terms; false where it may be a NaN.
 * Integers packed with saturation are then right, and an output's bounds may be applied to bytes. */
bool
kernel_bounded_avx512vnni (const float *m, const float *b, int channels, float terms)
{
  const __m512 limit = _mm512_set1_ps (0x1p30f), most = _mm512_set1_ps (terms);
  __mmask16 beyond = 0;

  for (int c = 0; c < channels; c += 16) {
    const __mmask16 mask = lanes_mask (channels - c);
    const __m512 largest = _mm512_fmadd_ps (_mm512_abs_ps (_mm512_maskz_loadu_ps (mask, m + c)),
        most, _mm512_abs_ps (_mm512_maskz_loadu_ps (mask, b + c)));

    beyond |= _mm512_cmp_ps_mask (largest, limit, _CMP_NLT_UQ);
  }
  return beyond == 0;
}

static const DwconvKind lines = {
    .lanes = 4,
    .group = 4,
    .tile = 8,
    .x_offset = 128,
    .columns = columns,
    .factors = factors,
    .strip = {strip_1, strip_2},
    .finish = finish,
    .bounded = kernel_bounded_avx512vnni,
    .grain = 1 << 18,
};

const IgemmKind kernel_dwconv_s8_avx512vnni = {
    .tile = kernel_dwconv_tile_s8_avx2,
    .element = 1,
    .k_step = 1,
    .tile_blocks = IGEMM_ALL_BLOCKS,
    .grain = 1 << 16,
    .depthwise = true,
    .lines = &lines,
};
