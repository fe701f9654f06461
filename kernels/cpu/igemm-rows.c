/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * igemm-rows.c: where the rows of the windows of a few output pixels lie, or copies of small windows.
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
  bool repeat;                 /* depthwise with a channel multiplier */
} Source;

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

/* A row that starts at column `iw` of the line and does not lie inside as a whole. What is added
 * beyond k meets weights of zero; it is written so that no byte is undefined. */
static void
copy_row (const Source *s, const uint8_t *line, int iw, uint8_t *to)
{
  const int first = max_int (iw, 0), last = kernel_min_int (iw + s->g->span, s->g->shape->iw);
  const size_t value = s->g->kind->element;
  const size_t k = (size_t) s->g->k * value;
  /* One pixel of a row is k / span values, of all its channels unless span is 1. */
  const size_t begin = k / s->g->span * (first - iw), end = k / s->g->span * (last - iw);

  memcpy (to, s->padding, begin);
  memcpy (to + begin, line + first * s->pixel_size + s->channel, end - begin);
  memcpy (to + end, s->padding, s->row_size - end);
}

/* The row of one pixel of `line` at column `iw`, copied to `memory` where it cannot be read in
 * place. */
static const void *
find_row (const Source *s, const uint8_t *line, int iw, uint8_t *memory)
{
  const KernelConvShape *shape = s->g->shape;

  if (iw >= shape->iw || iw + s->g->span <= 0)
    return s->padding;
  if (iw >= 0 && iw + s->g->span <= shape->iw) {
    const uint8_t *row = line + iw * s->pixel_size + s->channel;

    if (s->repeat) {
      repeat_channels (s->g, row, memory);
      return memory;
    }
    if ((size_t) (s->end - row) >= s->row_size)
      return row;
  }
  copy_row (s, line, iw, memory);
  return memory;
}

/* The rows that start at column iw, iw + stride_w, ... of one line, for `count` pixels. */
static inline void
line_rows (const Source *s, const uint8_t *line, int iw, int count, const void **rows,
    uint8_t *memory)
{
  const KernelConvShape *shape = s->g->shape;
  const int last = iw + (count - 1) * shape->stride_w;
  const size_t step = shape->stride_w * s->pixel_size;

  if (iw >= 0 && last + s->g->span <= shape->iw && !s->repeat) {
    const uint8_t *row = line + iw * s->pixel_size + s->channel;

    if ((size_t) (s->end - row) >= (count - 1) * step + s->row_size) {
      for (int i = 0; i < count; i++, row += step)
        rows[i] = row;
      return;
    }
  }
  for (int i = 0; i < count; i++)
    rows[i] = find_row (s, line, iw + i * shape->stride_w, memory + i * s->row_size);
}

/* The rows of `count` pixels of one output line. */
static void
segment_rows (const Source *s, const IgemmCursor *at, int count, const void **rows, uint8_t *memory)
{
  const KernelConvShape *shape = s->g->shape;
  const int columns = shape->kw / s->g->span;
  const int iw = at->ow * shape->stride_w - shape->pad_left;
  int ih = at->oh * shape->stride_h - shape->pad_top;

  for (int kh = 0; kh < shape->kh; kh++, ih += shape->dilation_h) {
    const bool inside = ih >= 0 && ih < shape->ih;
    const uint8_t *line =
        s->x + ((size_t) at->n * shape->ih + (inside ? ih : 0)) * shape->iw * s->pixel_size;

    for (int column = 0; column < columns; column++) {
      if (inside)
        line_rows (s, line, iw + column * shape->dilation_w, count, rows, memory);
      else
        for (int i = 0; i < count; i++)
          rows[i] = s->padding;
      rows += s->g->mr;
      memory += s->g->mr * s->row_size;
    }
  }
}

/* Replaces the rows by copies of wider values. */
static void
widen_rows (const Igemm *g, int pixels, const void **rows, uint8_t *memory)
{
  const size_t size = (size_t) g->row * g->kind->wide_element;

  for (int tap = 0; tap < g->taps; tap++) {
    for (int i = 0; i < pixels; i++) {
      uint8_t *to = memory + ((size_t) tap * g->mr + i) * size;

      g->kind->widen (rows[tap * g->mr + i], g->row, to);
      rows[tap * g->mr + i] = to;
    }
  }
}

static size_t
copies_size (const Igemm *g)
{
  const size_t size = (size_t) g->taps * g->mr * g->row * g->kind->element;

  return (size + KERNEL_ALIGN - 1) / KERNEL_ALIGN * KERNEL_ALIGN;
}

size_t
kernel_igemm_rows_size (const Igemm *g)
{
  if (g->gathered)
    return IGEMM_GATHERED * IGEMM_GATHERED_ROW (g);
  return copies_size (g) + (size_t) g->taps * g->mr * g->row * g->kind->wide_element;
}

IgemmCursor
kernel_igemm_cursor (const KernelConvShape *shape, size_t pixel)
{
  const size_t line = pixel / shape->ow;

  return (IgemmCursor){.pixel = pixel,
      .n = line / shape->oh,
      .oh = line % shape->oh,
      .ow = pixel % shape->ow};
}

/* The rows of pixels that are input pixels; false where the last would be read past the end. */
static bool
plain_rows (const Source *s, size_t pixel, int pixels, const void **rows)
{
  const uint8_t *row = s->x + pixel * s->pixel_size + s->channel;

  if ((size_t) (s->end - row) < (pixels - 1) * s->pixel_size + s->row_size)
    return false;
  for (int i = 0; i < pixels; i++, row += s->pixel_size)
    rows[i] = row;
  return true;
}

/* The rows of a whole tile on one line of the output, whose windows lie inside the image: without a
 * look at each. False where they do not. */
static bool
inner_rows (const Source *source, const IgemmCursor *at, const void **rows)
{
  const Igemm *g = source->g;
  const KernelConvShape *s = g->shape;
  const int columns = s->kw / g->span, across = (g->mr - 1) * s->stride_w;
  const int iw = at->ow * s->stride_w - s->pad_left, ih = at->oh * s->stride_h - s->pad_top;
  const int last_iw = iw + across + (columns - 1) * s->dilation_w;
  const int last_ih = ih + (s->kh - 1) * s->dilation_h;

  if (at->ow + g->mr > s->ow || iw < 0 || last_iw + g->span > s->iw || ih < 0 || last_ih >= s->ih ||
      source->repeat)
    return false;

  const size_t pixel = source->pixel_size, line = s->iw * pixel;
  const uint8_t *x =
      source->x + ((size_t) at->n * s->ih + ih) * line + iw * pixel + source->channel;
  const uint8_t *last = x + (last_ih - ih) * line + (last_iw - iw) * pixel;

  if ((size_t) (source->end - last) < source->row_size)
    return false;
  for (int kh = 0; kh < s->kh; kh++, x += s->dilation_h * line) {
    const uint8_t *row = x;

    for (int column = 0; column < columns; column++, row += s->dilation_w * pixel, rows += g->mr)
      for (int i = 0; i < g->mr; i++)
        rows[i] = row + i * (s->stride_w * pixel);
  }
  return true;
}

/* Moves the cursor behind `count` pixels of its line. */
static void
step_cursor (const KernelConvShape *shape, IgemmCursor *at, int count)
{
  at->ow += count;
  if (at->ow == shape->ow) {
    at->ow = 0;
    if (++at->oh == shape->oh) {
      at->oh = 0;
      at->n++;
    }
  }
}

/* The rows of windows, line by line of the output. */
static void
window_rows (const Source *s, int pixels, IgemmCursor *at, const void **rows, uint8_t *memory)
{
  const KernelConvShape *shape = s->g->shape;

  for (int i = 0, count; i < pixels; i += count) {
    count = kernel_min_int (pixels - i, shape->ow - at->ow);
    if (count < s->g->mr || !inner_rows (s, at, rows))
      segment_rows (s, at, count, rows + i, memory + i * s->row_size);
    step_cursor (shape, at, count);
  }
}

/* --- Gathered windows ----------------------------------------------------------------------- */

/* A line of a window that crosses the border, or lies where the tensor ends. */
static void
copy_piece (const Source *s, const uint8_t *line, int iw, uint8_t *to)
{
  const int first = max_int (iw, 0), last = kernel_min_int (iw + s->g->span, s->g->shape->iw);

  memcpy (to, s->padding, s->g->span * s->pixel_size);
  if (first < last)
    memcpy (to + (first - iw) * s->pixel_size, line + first * s->pixel_size,
        (last - first) * s->pixel_size);
}

/* `size` bytes to each of `count` rows. */
static inline void
copy_pieces (const uint8_t *from, size_t from_step, uint8_t *to, size_t to_step, int count,
    const size_t size)
{
  for (int i = 0; i < count; i++, from += from_step, to += to_step)
    memcpy (to, from, size);
}

/* One line of the windows of `count` outputs. Those inside are copied as whole registers: the next
 * line's piece overwrites what is too much. */
static void
gather_line (const Source *s, const uint8_t *line, int iw, int count, uint8_t *to)
{
  const KernelConvShape *shape = s->g->shape;
  const int stride = shape->stride_w, room = shape->iw - shape->kw - iw;
  const size_t to_step = IGEMM_GATHERED_ROW (s->g), step = stride * s->pixel_size;
  int first = line && iw < 0 ? (stride - 1 - iw) / stride : 0;
  int last = line && room >= 0 ? kernel_min_int (room / stride + 1, count) : 0;

  first = kernel_min_int (first, count);
  while (last > first && s->end - (line + (iw + (last - 1) * stride) * s->pixel_size) < IGEMM_PIECE)
    last--;
  last = max_int (last, first);
  for (int i = 0; i < first; i++)
    copy_piece (s, line, iw + i * stride, to + i * to_step);
  if (first < last) {
    const uint8_t *from = line + (size_t) (iw + first * stride) * s->pixel_size;

    if (shape->kw * s->pixel_size <= IGEMM_PIECE / 2)
      copy_pieces (from, step, to + first * to_step, to_step, last - first, IGEMM_PIECE / 2);
    else
      copy_pieces (from, step, to + first * to_step, to_step, last - first, IGEMM_PIECE);
  }
  for (int i = last; i < count; i++)
    copy_piece (s, line, line ? iw + i * stride : shape->iw, to + i * to_step);
}

/* The windows of `count` outputs of one line. */
static void
gather_segment (const Source *s, const IgemmCursor *at, int count, uint8_t *to)
{
  const KernelConvShape *shape = s->g->shape;
  const int iw = at->ow * shape->stride_w - shape->pad_left;

  for (int kh = 0; kh < shape->kh; kh++) {
    const int ih = at->oh * shape->stride_h - shape->pad_top + kh * shape->dilation_h;
    const bool inside = ih >= 0 && ih < shape->ih;

    gather_line (s,
        inside ? s->x + ((size_t) at->n * shape->ih + ih) * shape->iw * s->pixel_size : NULL, iw,
        count, to + kh * shape->kw * s->pixel_size);
  }
}

static Source
source_of (const Igemm *g, const void *x, const void *w, int group)
{
  const KernelConvShape *shape = g->shape;
  const size_t element = g->kind->element;
  const size_t pixel_size = shape->ic * element;

  return (Source){
      .g = g,
      .x = x,
      .end = (const uint8_t *) x + (size_t) shape->n * shape->ih * shape->iw * pixel_size,
      .padding = (const uint8_t *) w + g->pad_row,
      .pixel_size = pixel_size,
      .row_size = g->row * element,
      .channel = (size_t) group * (shape->ic / shape->groups) * element,
      .repeat = g->kind->depthwise && shape->oc != shape->ic,
  };
}

void
kernel_igemm_gather (const Igemm *g, const void *x, const void *w, int pixels, IgemmCursor *at,
    void *memory)
{
  const Source s = source_of (g, x, w, 0);
  uint8_t *to = memory;

  at->pixel += pixels;
  for (int count; pixels > 0; pixels -= count, to += count * IGEMM_GATHERED_ROW (g)) {
    count = kernel_min_int (pixels, g->shape->ow - at->ow);
    gather_segment (&s, at, count, to);
    step_cursor (g->shape, at, count);
  }
}

void
kernel_igemm_rows (const Igemm *g, const void *x, const void *w, int group, int pixels,
    IgemmCursor *at, const void **rows, void *memory)
{
  const KernelConvShape *shape = g->shape;
  const Source s = source_of (g, x, w, group);

  if (!g->plain) {
    window_rows (&s, pixels, at, rows, memory);
  } else if (!plain_rows (&s, at->pixel, pixels, rows)) {
    IgemmCursor last = kernel_igemm_cursor (shape, at->pixel);

    window_rows (&s, pixels, &last, rows, memory);
  }
  at->pixel += pixels;
  if (g->kind->arrange)
    g->kind->arrange (g, pixels, rows, memory);
  if (g->kind->widen)
    widen_rows (g, pixels, rows, (uint8_t *) memory + copies_size (g));
  for (int tap = 0; tap < g->taps && pixels < g->mr; tap++)
    for (int i = pixels; i < g->mr; i++)
      rows[tap * g->mr + i] = rows[tap * g->mr + pixels - 1];
}
