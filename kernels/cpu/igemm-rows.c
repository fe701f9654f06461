/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * igemm-rows.c: where the rows of the windows of a few output pixels lie.
 */
#include "kernels/cpu/igemm.h"

#include <string.h>

/* What all rows of one tile share. */
typedef struct {
  const Igemm *g;
  const uint8_t *x, *end; /* the tensor */
  const uint8_t *padding;
  size_t pixel_size, row_size; /* bytes */
  size_t channel;              /* bytes from a pixel to the group's first channel */
} Source;

static inline int
min_int (int a, int b)
{
  return a < b ? a : b;
}

static inline int
max_int (int a, int b)
{
  return a > b ? a : b;
}

/* Repeats each channel for its `multiplier` outputs. */
static void
repeat_channels (const Igemm *g, const uint8_t *x, uint8_t *to)
{
  const size_t element = g->kind->element;
  const int multiplier = g->shape->oc / g->shape->ic;

  for (int c = 0; c < g->shape->ic; c++, x += element)
    for (int i = 0; i < multiplier; i++, to += element)
      memcpy (to, x, element);
}

/* A row that starts at column `iw` of the line and does not lie inside as a whole. What k_step
 * adds beyond k meets weights of zero; it is written so that no byte is undefined. */
static void
copy_row (const Source *s, const uint8_t *line, int iw, uint8_t *to)
{
  const int first = max_int (iw, 0), last = min_int (iw + s->g->span, s->g->shape->iw);
  const size_t value = s->g->kind->element;
  const size_t k = (size_t)s->g->k * value;
  /* One pixel of a row is k / span values, of all its channels unless span is 1. */
  const size_t begin = k / s->g->span * (first - iw), end = k / s->g->span * (last - iw);

  memcpy (to, s->padding, begin);
  memcpy (to + begin, line + first * s->pixel_size + s->channel, end - begin);
  memcpy (to + end, s->padding, s->row_size - end);
}

/* The row of line `ih` of an image at column `iw`, copied to `memory` where it cannot be read in
 * place. */
static inline const void *
find_row (const Source *s, const uint8_t *image, int ih, int iw, uint8_t *memory)
{
  const KernelConvShape *shape = s->g->shape;

  if (ih < 0 || ih >= shape->ih || iw >= shape->iw || iw + s->g->span <= 0)
    return s->padding;

  const uint8_t *line = image + (size_t)ih * shape->iw * s->pixel_size;

  if (iw >= 0 && iw + s->g->span <= shape->iw) {
    const uint8_t *row = line + iw * s->pixel_size + s->channel;

    if (s->g->kind->depthwise && shape->oc != shape->ic) {
      repeat_channels (s->g, row, memory);
      return memory;
    }
    if ((size_t)(s->end - row) >= s->row_size)
      return row;
  }
  copy_row (s, line, iw, memory);
  return memory;
}

/* The rows of one window whose corner is (ih, iw). */
static void
window_rows (
    const Source *s, const uint8_t *image, int ih, int iw, const void **rows, uint8_t *memory)
{
  const KernelConvShape *shape = s->g->shape;
  const int columns = shape->kw / s->g->span;

  for (int kh = 0; kh < shape->kh; kh++) {
    for (int column = 0; column < columns; column++) {
      *rows =
          find_row (s, image, ih + kh * shape->dilation_h, iw + column * shape->dilation_w, memory);
      rows += IGEMM_MR;
      memory += IGEMM_MR * s->row_size;
    }
  }
}

/* Replaces the rows by copies of wider values. */
static void
widen_rows (const Igemm *g, int pixels, const void **rows, uint8_t *memory)
{
  const size_t size = (size_t)g->row * g->kind->wide_element;

  for (int tap = 0; tap < g->taps; tap++) {
    for (int i = 0; i < pixels; i++) {
      uint8_t *to = memory + ((size_t)tap * IGEMM_MR + i) * size;

      g->kind->widen (rows[tap * IGEMM_MR + i], g->row, to);
      rows[tap * IGEMM_MR + i] = to;
    }
  }
}

static size_t
copies_size (const Igemm *g)
{
  const size_t size = (size_t)g->taps * IGEMM_MR * g->row * g->kind->element;

  return (size + KERNEL_ALIGN - 1) / KERNEL_ALIGN * KERNEL_ALIGN;
}

size_t
kernel_igemm_rows_size (const Igemm *g)
{
  return copies_size (g) + (size_t)g->taps * IGEMM_MR * g->row * g->kind->wide_element;
}

void
kernel_igemm_rows (const Igemm *g, const void *x, const void *w, int group, size_t pixel,
    int pixels, const void **rows, void *memory)
{
  const KernelConvShape *shape = g->shape;
  const size_t element = g->kind->element;
  const size_t image_size = (size_t)shape->ih * shape->iw * shape->ic * element;
  const Source s = {
      .g = g,
      .x = x,
      .end = (const uint8_t *)x + shape->n * image_size,
      .padding = (const uint8_t *)w + g->pad_row,
      .pixel_size = shape->ic * element,
      .row_size = g->row * element,
      .channel = (size_t)group * (shape->ic / shape->groups) * element,
  };
  int ow = pixel % shape->ow, oh = pixel / shape->ow % shape->oh;
  const uint8_t *image = s.x + pixel / shape->ow / shape->oh * image_size;

  for (int i = 0; i < pixels; i++) {
    window_rows (&s, image, oh * shape->stride_h - shape->pad_top,
        ow * shape->stride_w - shape->pad_left, rows + i, (uint8_t *)memory + i * s.row_size);
    if (++ow == shape->ow) {
      ow = 0;
      if (++oh == shape->oh) {
        oh = 0;
        image += image_size;
      }
    }
  }
  if (g->kind->widen)
    widen_rows (g, pixels, rows, (uint8_t *)memory + copies_size (g));
  for (int tap = 0; tap < g->taps && pixels < IGEMM_MR; tap++)
    for (int i = pixels; i < IGEMM_MR; i++)
      rows[tap * IGEMM_MR + i] = rows[tap * IGEMM_MR + pixels - 1];
}
