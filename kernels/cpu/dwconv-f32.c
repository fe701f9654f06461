/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dwconv-f32.c: the loops of dwconv-f32.h, and how they are shared by the threads of a queue.
 */
#include "kernels/cpu/dwconv-f32.h"

/* Channels that go down together: their lines of x fit the first-level cache. */
#define CHUNK 128
/* Products that take some microseconds. */
#define GRAIN (1 << 17)

typedef struct {
  const DwconvF32Kind *kind;
  const KernelConvF32 *args;
  DwconvF32Fn whole, any;
  int width, columns; /* outputs of a strip, and columns of x below it */
  int strips, chunks; /* of a line, of a pixel */
} Run;

static const DwconvF32Window *
find_window (const DwconvF32Kind *kind, const KernelConvShape *shape)
{
  if (shape->oc != shape->ic || shape->dilation_w != 1 || shape->kh * shape->kw > KERNEL_CHAIN)
    return NULL;
  for (int i = 0; i < kind->n_windows; i++)
    if (kind->windows[i].kw == shape->kw && kind->windows[i].stride_w == shape->stride_w)
      return &kind->windows[i];
  return NULL;
}

static void
set_channels (const Run *run, DwconvF32Line *line, int channels)
{
  const int mask = (1 << kernel_min_int (channels, run->kind->lanes)) - 1, iw = run->args->shape.iw;

  line->channels = channels;
  for (int i = 0; i < run->columns; i++)
    line->inside[i] = line->iw + i >= 0 && line->iw + i < iw ? mask : 0;
}

/* Lines oh .. oh_end - 1 of one strip, one chunk of its channels. */
static void
run_strip (const Run *run, int n, int chunk, int strip, int oh, int oh_end)
{
  const KernelConvF32 *args = run->args;
  const KernelConvShape *shape = &args->shape;
  const int lanes = run->kind->lanes, taps = shape->kh * shape->kw, ow = strip * run->width;
  const int c_begin = chunk * CHUNK, c_end = kernel_min_int (shape->oc, c_begin + CHUNK);
  DwconvF32Line line = {
      .args = args,
      .iw = ow * shape->stride_w - shape->pad_left,
      .outputs = kernel_min_int (run->width, shape->ow - ow),
  };
  const bool whole =
      line.iw >= 0 && line.iw + run->columns <= shape->iw && line.outputs == run->width;

  for (; oh < oh_end; oh++) {
    line.ih = oh * shape->stride_h - shape->pad_top;
    for (int c = c_begin; c < c_end; c += lanes) {
      const int channels = kernel_min_int (c_end - c, lanes);

      if (channels != line.channels)
        set_channels (run, &line, channels);
      line.x = args->x + (size_t) n * shape->ih * shape->iw * shape->ic + c;
      line.w = (const float *) args->w + (size_t) (c / IGEMM_NR) * IGEMM_NR * taps + c % IGEMM_NR;
      line.b = args->b + c;
      line.at = (((size_t) n * shape->oh + oh) * shape->ow + ow) * shape->oc + c;
      (whole && channels == lanes ? run->whole : run->any) (&line);
    }
  }
}

/* Items are the lines of all strips, downwards. */
static void
run_items (const void *ctx, size_t begin, size_t end)
{
  const Run *run = ctx;
  const size_t oh = run->args->shape.oh;

  while (begin < end) {
    const size_t strip = begin / oh, first = begin % oh;
    const size_t last = oh - first < end - begin ? oh : first + end - begin;

    run_strip (run, strip / run->strips / run->chunks, strip / run->strips % run->chunks,
        strip % run->strips, first, last);
    begin += last - first;
  }
}

bool
kernel_dwconv_f32_run (const DwconvF32Kind *kind, const KernelConvF32 *args, KernelQueue *queue)
{
  const KernelConvShape *shape = &args->shape;
  const DwconvF32Window *window = find_window (kind, shape);
  const bool eight = (shape->ow + 7) / 8 * 8 < (shape->ow + 6) / 7 * 7;

  if (!window)
    return false;

  Run run = {
      .kind = kind,
      .args = args,
      .whole = window->whole[eight],
      .any = window->any[eight],
      .width = eight ? 8 : 7,
      .chunks = (shape->oc + CHUNK - 1) / CHUNK,
  };
  run.columns = (run.width - 1) * shape->stride_w + shape->kw;
  run.strips = (shape->ow + run.width - 1) / run.width;
  const size_t products =
      (size_t) kernel_min_int (shape->oc, CHUNK) * run.width * shape->kh * shape->kw;

  kernel_pool_range (queue->pool, run_items, &run,
      (size_t) shape->n * run.chunks * run.strips * shape->oh, 1 + GRAIN / products);
  return true;
}
