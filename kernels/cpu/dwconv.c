/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dwconv.c: the loops of dwconv.h, how they are shared by the threads of a queue, and the weights.
 *
  * A unit of work is a chunk of neighbouring groups of lines and one block; units of the same lines
 * follow each other, so that these lines are read from a cache.
 */
#include "kernels/cpu/dwconv.h"

#include <math.h>
#include <string.h>

/* Bytes of columns: half of a small first-level cache; of the input that one block after the other
 * reads: it stays in the second level. */
#define COLUMN_BYTES (16 * 1024)
#define INPUT_BYTES  (256 * 1024)
/* Tasks per thread, so that a thread that was late or slow does not keep the others waiting. */
#define TASKS_PER_THREAD 4
/* The largest product of two int8. */
#define PRODUCT (128.0f * 128.0f)

typedef struct {
  const DwconvKind *kind;
  const KernelConvShape *shape;
  int lines;       /* of output that are made together */
  int span;        /* lines of input that they need */
  int groups;      /* of these */
  int line_groups; /* of an image's output */
  int width;       /* channels of a block */
  int blocks;
  int places;      /* of the last block */
  int tile, strip; /* outputs of a line: of a tile; of a strip, at most */
  size_t reg;      /* bytes of a register */
  size_t column;   /* of a column */
  size_t columns;  /* of those of a strip */
  size_t factors;  /* of those of a block */
  size_t sums;     /* of those of a tile */
  size_t block_size;
} Plan;

typedef struct {
  Plan plan;
  const IgemmArgs *args;
  int8_t zero_x;
  bool plain; /* outputs of int8 without residual that no float step can overflow */
  int chunk;  /* line groups of a unit, a multiple of the places */
  int chunks; /* of an image */
  size_t units;
  int parts;
  uint8_t *scratch; /* aligned */
} Run;

static inline int
max_int (int a, int b)
{
  return a > b ? a : b;
}

static inline size_t
align (size_t size)
{
  return (size + KERNEL_ALIGN - 1) / KERNEL_ALIGN * KERNEL_ALIGN;
}

bool
kernel_dwconv_fits (const KernelConvShape *shape)
{
  return shape->groups == shape->ic && shape->ic == shape->oc && shape->kh <= DWCONV_WINDOW &&
         shape->kw <= DWCONV_WINDOW;
}

/* Columns that `outputs` outputs of a line need. */
static inline int
count_columns (const KernelConvShape *shape, int outputs)
{
  return (outputs - 1) * shape->stride_w + (shape->kw - 1) * shape->dilation_w + 1;
}

static Plan
make_plan (const DwconvKind *kind, const KernelConvShape *shape)
{
  Plan p = {.kind = kind, .shape = shape};

  /* Two lines of output where they need no more groups of lines of input than one. */
  p.groups = kernel_divide_up (shape->kh, kind->group);
  p.lines = shape->dilation_h == 1 && shape->oh > 1 &&
                    kernel_divide_up (shape->stride_h + shape->kh, kind->group) == p.groups
                ? 2
                : 1;
  p.span = (p.lines - 1) * shape->stride_h + shape->kh;
  p.line_groups = kernel_divide_up (shape->oh, p.lines);
  p.width = 16 * kind->lanes;
  p.blocks = kernel_divide_up (shape->oc, p.width);
  p.reg = p.width;
  const int last = shape->oc - (p.blocks - 1) * p.width;
  p.places = 1;
  while (last * p.places * 2 <= p.width)
    p.places *= 2;
  p.places = kernel_min_int (p.places, kind->lanes);
  /* An odd number of cache lines: neighbouring outputs read the same register of their columns. */
  p.column = p.groups * DWCONV_PARTS * p.reg + KERNEL_ALIGN;

  const int most = COLUMN_BYTES / p.column, window = count_columns (shape, 1);
  p.tile = kind->tile / p.lines;
  const int outputs = max_int (p.tile, (most - window) / shape->stride_w + 1);
  const int strips = kernel_divide_up (shape->ow, outputs);

  p.strip = kernel_divide_up (kernel_divide_up (shape->ow, strips), p.tile) * p.tile;
  p.columns = align (count_columns (shape, p.strip) * p.column);
  p.factors = 2 * DWCONV_PARTS * p.reg;
  p.sums = (size_t) kind->tile * DWCONV_PARTS * p.reg;
  p.block_size =
      DWCONV_PARTS * p.reg + (size_t) DWCONV_PARTS * shape->kw * p.groups * p.lines * p.reg;
  return p;
}

/* --- Weights -------------------------------------------------------------------------------- */

/* Where a lane of 32 bits of register `part` finds its channel in the block. */
static int
lane_channel (const Plan *p, int places, int part, int lane)
{
  return 16 * (lane / 4 % (p->kind->lanes / places)) + 4 * part + lane % 4;
}

static int32_t
start_of (const Plan *p, const int8_t *w)
{
  int32_t sum = 0;

  for (int i = 0; i < p->shape->kh * p->shape->kw; i++)
    sum += w[i];
  return -p->kind->x_offset * sum;
}

/* The values that one register multiplies with. */
static void
pack_register (const Plan *p, const int8_t *w, int channels, int places, int part, int kw,
    int first_line, uint8_t *to)
{
  const int group = p->kind->group, window = p->shape->kh * p->shape->kw;

  for (int lane = 0; lane < p->kind->lanes * 4; lane++) {
    const int c = lane_channel (p, places, part, lane);

    for (int i = 0; i < group; i++, to += group == 2 ? 2 : 1) {
      const int kh = first_line + i;
      const bool inside = c < channels && kh >= 0 && kh < p->shape->kh;
      const int16_t value = inside ? w[(size_t) c * window + kh * p->shape->kw + kw] : 0;

      if (group == 2)
        memcpy (to, &value, sizeof value);
      else
        *to = (uint8_t) value;
    }
  }
}

static void
pack_block (const Plan *p, const int8_t *w, int channels, int places, uint8_t *to)
{
  for (int part = 0; part < DWCONV_PARTS; part++) {
    for (int lane = 0; lane < p->kind->lanes * 4; lane++, to += sizeof (int32_t)) {
      const int c = lane_channel (p, places, part, lane);
      const int32_t start =
          c < channels ? start_of (p, w + (size_t) c * p->shape->kh * p->shape->kw) : 0;

      memcpy (to, &start, sizeof start);
    }
  }
  for (int part = 0; part < DWCONV_PARTS; part++)
    for (int kw = 0; kw < p->shape->kw; kw++)
      for (int group = 0; group < p->groups; group++)
        for (int line = 0; line < p->lines; line++, to += p->reg)
          pack_register (p, w, channels, places, part, kw,
              group * p->kind->group - line * p->shape->stride_h, to);
}

size_t
kernel_dwconv_pack (const DwconvKind *kind, const KernelConvShape *shape, const int8_t *w,
    void *packed)
{
  const Plan p = make_plan (kind, shape);
  const size_t filter = (size_t) shape->kh * shape->kw;

  for (int block = 0; packed && block < p.blocks; block++) {
    const int first = block * p.width;

    pack_block (&p, w + first * filter, kernel_min_int (shape->oc - first, p.width),
        block == p.blocks - 1 ? p.places : 1, (uint8_t *) packed + block * p.block_size);
  }
  return p.blocks * p.block_size;
}

/* --- Running -------------------------------------------------------------------------------- */

static size_t
scratch_size (const Plan *p)
{
  return p->columns + align (p->factors) + align (p->sums);
}

size_t
kernel_dwconv_scratch (const DwconvKind *kind, const KernelConvShape *shape, KernelQueue *queue)
{
  const Plan p = make_plan (kind, shape);

  return KERNEL_ALIGN + scratch_size (&p) * kernel_pool_threads (queue->pool);
}

/* Outputs that a strip cannot finish. */
static void
finish (const Run *run, const DwconvStrip *s, int channel)
{
  const Plan *p = &run->plan;
  const IgemmArgs *args = run->args;
  const int lane = 4 * p->kind->lanes / s->places;
  const IgemmTile t = {
      .channels = s->channels,
      .y = args->y,
      .r = args->r,
      .m = args->m + channel,
      .b = args->b + channel,
      .mr = args->mr,
      .lo = args->lo,
      .hi = args->hi,
      .y_f32 = args->y_f32,
  };

  for (int o = 0; o < s->outputs; o++) {
    for (int line = 0; line < p->lines; line++) {
      const int32_t *sums = s->sums + (o * p->lines + line) * DWCONV_PARTS * 4 * p->kind->lanes;

      for (int place = 0; place < s->places; place++) {
        const int8_t *y = s->y[line][place];

        /* y counts values of y, whatever their size. */
        if (y)
          p->kind->finish (&t, sums + place * lane, y - (const int8_t *) args->y + o * s->y_step);
      }
    }
  }
}

/* The lines of input of one group, for all places. */
static void
find_lines (const Run *run, DwconvColumns *columns, int image, int line_group, int group, int iw,
    int channel)
{
  const Plan *p = &run->plan;
  const KernelConvShape *shape = p->shape;

  columns->inside = true;
  for (int i = 0; i < p->kind->group; i++) {
    /* Lines beyond the last meet weights of zero. */
    const int line = kernel_min_int (group * p->kind->group + i, p->span - 1);

    for (int place = 0; place < columns->places; place++) {
      const int oh = kernel_min_int (line_group + place, p->line_groups - 1) * p->lines;
      const int ih = oh * shape->stride_h - shape->pad_top + line * shape->dilation_h;
      const bool inside = ih >= 0 && ih < shape->ih;

      columns->inside = columns->inside && inside;
      columns->x[i][place] =
          inside ? (const int8_t *) run->args->x +
                       (((size_t) image * shape->ih + ih) * shape->iw + iw) * shape->ic + channel
                 : NULL;
    }
  }
}

/* Outputs ow .. ow + strip->outputs - 1 of the lines of line_group and the following places. */
static void
run_strip (const Run *run, DwconvStrip *strip, int image, int line_group, int ow, int channel,
    uint8_t *scratch)
{
  const Plan *p = &run->plan;
  const KernelConvShape *shape = p->shape;
  const int iw = ow * shape->stride_w - shape->pad_left;
  const int count = count_columns (shape, strip->outputs);
  const int first = kernel_min_int (max_int (-iw, 0), count);
  const int last = max_int (kernel_min_int (shape->iw - iw, count), first);
  DwconvColumns columns = {
      .end = (const int8_t *) run->args->x + (size_t) shape->n * shape->ih * shape->iw * shape->ic,
      .places = strip->places,
      .channels = strip->channels,
      .before = first,
      .inner = last - first,
      .after = count - last,
      .x_step = shape->ic,
      .zero_x = run->zero_x,
      .step = p->column,
  };

  for (int group = 0; group < p->groups; group++) {
    find_lines (run, &columns, image, line_group, group, iw + first, channel);
    columns.columns = scratch + group * DWCONV_PARTS * p->reg;
    p->kind->columns (&columns);
  }
  for (int line = 0; line < p->lines; line++) {
    for (int place = 0; place < strip->places; place++) {
      const int oh = (line_group + place) * p->lines + line;
      const size_t at = (((size_t) image * shape->oh + oh) * shape->ow + ow) * shape->oc + channel;

      strip->y[line][place] = oh < shape->oh ? (int8_t *) run->args->y + at : NULL;
    }
  }
  p->kind->strip[p->lines - 1](strip);
  if (strip->sums)
    finish (run, strip, channel);
}

static void
run_unit (const Run *run, size_t unit, uint8_t *scratch)
{
  const Plan *p = &run->plan;
  const KernelConvShape *shape = p->shape;
  const int block = unit % p->blocks, channel = block * p->width;
  const int chunk = unit / p->blocks % run->chunks, image = unit / p->blocks / run->chunks;
  const int begin = chunk * run->chunk, end = kernel_min_int (begin + run->chunk, p->line_groups);
  const int most = run->plain ? p->strip : p->tile;
  float *factors = (float *) (void *) (scratch + p->columns);
  DwconvStrip strip = {
      .columns = scratch,
      .output_step = shape->stride_w * p->column,
      .tap_step = shape->dilation_w * p->column,

      .kw = shape->kw,
      .groups = p->groups,
      .w = (const uint8_t *) run->args->w + block * p->block_size,
      .factors = factors,
      .channels = kernel_min_int (shape->oc - channel, p->width),
      .places = block == p->blocks - 1 ? p->places : 1,
      .y_step = shape->oc,
      .lo = (int) run->args->lo,
      .hi = (int) run->args->hi,
      .sums = run->plain ? NULL : (int32_t *) (void *) ((uint8_t *) factors + align (p->factors)),
  };

  p->kind->factors (run->args->m + channel, run->args->b + channel, strip.channels, strip.places,
      factors);
  for (int group = begin; group < end; group += strip.places) {
    for (int ow = 0; ow < shape->ow; ow += most) {
      strip.outputs = kernel_min_int (shape->ow - ow, most);
      run_strip (run, &strip, image, group, ow, channel, scratch);
    }
  }
}

static void
run_task (const void *ctx, int task, int thread)
{
  const Run *run = ctx;
  const size_t end = kernel_pool_part (run->units, run->parts, task + 1);
  uint8_t *scratch = run->scratch + thread * scratch_size (&run->plan);

  for (size_t unit = kernel_pool_part (run->units, run->parts, task); unit < end; unit++)
    run_unit (run, unit, scratch);
}

/* Chunks whose input stays in a cache, and small enough for `parts` tasks. */
static void
cut (Run *run, int parts)
{
  const Plan *p = &run->plan;
  const KernelConvShape *shape = p->shape;
  const size_t line_group = (size_t) p->lines * shape->stride_h * shape->iw * shape->ic;
  int chunk = (int) fmin (INPUT_BYTES / line_group + 1, p->line_groups);

  while (chunk > p->places &&
         (double) shape->n * p->blocks * kernel_divide_up (p->line_groups, chunk) < parts)
    chunk = kernel_divide_up (chunk, 2);
  run->chunk = kernel_divide_up (chunk, p->places) * p->places;
  run->chunks = kernel_divide_up (p->line_groups, run->chunk);
  run->units = (size_t) shape->n * run->chunks * p->blocks;
  run->parts = (int) fmin (run->units, parts);
}

void
kernel_dwconv_run (const DwconvKind *kind, const IgemmArgs *args, int8_t zero_x, KernelQueue *queue)
{
  const KernelConvShape *shape = args->shape;
  const int threads = kernel_pool_threads (queue->pool), window = shape->kh * shape->kw;
  const double products = (double) shape->n * shape->oh * shape->ow * shape->oc * window;
  const double useful = 1 + products / kind->grain;
  Run run = {.plan = make_plan (kind, shape), .args = args, .zero_x = zero_x};

  run.plain =
      !args->y_f32 && !args->r && kind->bounded (args->m, args->b, shape->oc, PRODUCT * window);
  run.scratch = (uint8_t *) align ((uintptr_t) args->scratch);
  cut (&run, threads == 1 ? 1 : (int) fmin (useful, threads * TASKS_PER_THREAD));
  kernel_pool_run (queue->pool, run_task, &run, run.parts);
}
