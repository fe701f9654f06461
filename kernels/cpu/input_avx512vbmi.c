/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * input_avx512vbmi.c: input_s8 with vpermi2b, where the components of a pixel lie beside each other. Two
 * registers of the picture hold the pixels of one register of the tensor; one vpermi2b puts their
 * bytes in place, and each channel's table is looked up for all of them, of which its own are kept.
 */
#include "kernels/cpu/cpu.h"

#include <immintrin.h>

#define INPUT_INLINE static inline __attribute__ ((always_inline))

/* Values per part: some microseconds of work. */
#define GRAIN (128 * 1024)

#define MAX_CHANNELS 4

typedef struct {
  const KernelInput *args;
  const uint8_t *base;            /* of the components of a pixel, the first */
  int pixels;                     /* in a register of the tensor */
  int last;                       /* of the components of a pixel, the last, from `base` on */
  uint8_t place[64];              /* value i is byte place[i] of the picture's two registers */
  uint64_t channel[MAX_CHANNELS]; /* which values it has */
} Layout;

/* Whether the components are neighbours: within a pixel, in rows of one length. */
static bool
are_neighbours (const KernelInput *p, Layout *layout)
{
  uintptr_t first = (uintptr_t) p->in[0].data, last = first;

  layout->base = p->in[0].data;
  for (int k = 1; k < p->channels; k++) {
    const uintptr_t at = (uintptr_t) p->in[k].data;

    if (p->in[k].step != p->in[0].step || p->in[k].stride != p->in[0].stride)
      return false;
    if (at < first) {
      first = at;
      layout->base = p->in[k].data;
    }
    last = at > last ? at : last;
  }
  layout->last = (int) (last - first);
  return last - first < (uintptr_t) p->in[0].step;
}

static void
lay_out (Layout *layout)
{
  const KernelInput *p = layout->args;
  const int step = p->in[0].step, most = (127 - layout->last) / step + 1;

  layout->pixels = kernel_min_int (64 / p->channels, most);
  for (int i = 0; i < layout->pixels * p->channels; i++) {
    const int pixel = i / p->channels, k = i % p->channels;

    layout->place[i] = (uint8_t) (pixel * step + (p->in[k].data - layout->base));
    layout->channel[k] |= (uint64_t) 1 << i;
  }
}

/* The first `count` of 64. */
INPUT_INLINE __mmask64
first_of (int count)
{
  return count >= 64 ? ~(__mmask64) 0 : count <= 0 ? 0 : ((__mmask64) 1 << count) - 1;
}

INPUT_INLINE void
input_row (const Layout *layout, const __m512i *table, int channels, size_t row)
{
  const KernelInput *p = layout->args;
  const __m512i place = _mm512_loadu_si512 (layout->place);
  const uint8_t *x = layout->base + (ptrdiff_t) row * p->in[0].stride;
  int8_t *y = (int8_t *) p->y + row * (size_t) p->width * channels;

  for (int col = 0; col < p->width; col += layout->pixels) {
    const int n = kernel_min_int (layout->pixels, p->width - col);
    const int bytes = (n - 1) * p->in[0].step + layout->last + 1;
    const __m512i in = _mm512_permutex2var_epi8 (_mm512_maskz_loadu_epi8 (first_of (bytes), x),
        place, _mm512_maskz_loadu_epi8 (first_of (bytes - 64), x + 64));
    const __mmask64 high = _mm512_movepi8_mask (in);
    __m512i out = _mm512_setzero_si512 ();

#pragma GCC unroll 4
    for (int k = 0; k < channels; k++) {
      const __m512i *t = &table[4 * k];
      const __mmask64 own = layout->channel[k];

      out = _mm512_mask_mov_epi8 (out, own & ~high, _mm512_permutex2var_epi8 (t[0], in, t[1]));
      out = _mm512_mask_mov_epi8 (out, own & high, _mm512_permutex2var_epi8 (t[2], in, t[3]));
    }
    _mm512_mask_storeu_epi8 (y, first_of (n * channels), out);
    x += (ptrdiff_t) n * p->in[0].step;
    y += n * channels;
  }
}

static void
input_range (const void *ctx, size_t begin, size_t end)
{
  const Layout *layout = ctx;
  const KernelInput *p = layout->args;
  __m512i table[4 * MAX_CHANNELS];

  for (int i = 0; i < 4 * p->channels; i++)
    table[i] = _mm512_loadu_si512 ((const int8_t *) p->table + 64 * i);
  for (size_t row = begin; row < end; row++) {
    if (p->channels == 3)
      input_row (layout, table, 3, row);
    else if (p->channels == 1)
      input_row (layout, table, 1, row);
    else
      input_row (layout, table, p->channels, row);
  }
}

void
kernel_input_s8_avx512vbmi (const KernelInput *args, KernelQueue *queue)
{
  Layout layout = {.args = args};

  if (args->mean || !are_neighbours (args, &layout)) {
    kernel_input_s8_c (args, queue);
    return;
  }
  lay_out (&layout);
  kernel_pool_range (queue->pool, input_range, &layout, (size_t) args->height,
      1 + GRAIN / (1 + (size_t) args->width * args->channels));
}
