/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * igemm.c: the loops around a tile, and how they are shared by the threads of a queue.
 *
 * The work is a line of units, a tile of pixels times a few blocks each. Units lie tile after tile
 * through all blocks of a chunk, a chunk being blocks whose weights stay in the second-level cache
 * while the pixels pass; then come the next chunk and the next group. Tasks are equal stretches of that
 * line, so that the last thread finishes one unit after the first at most, however few pixels or
 * channels there are: 13x13 pixels are 29 tiles, which four threads cannot share well, but 87 units of
 * 64 of 192 channels each. Where all weights are one chunk, threads own neighbouring pixels from layer to
 * layer; where there are many (late layers, fully connected ones), a thread reads its part of the
 * weights and all pixels.
 */
#include "kernels/cpu/igemm.h"
#include "kernels/cpu/dwconv-f32.h"
#include "kernels/cpu/dwconv.h"

#include <math.h>
#include <stdalign.h>

/* The largest product of two int8, and far more than a residual counts. */
#define PRODUCT  (128.0f * 128.0f)
#define RESIDUAL 0x1p20f
typedef struct {
  Igemm g;
  const IgemmArgs *args;
  const IgemmWay *way;
  IgemmSplit split;
  size_t pixels, tiles; /* of mr pixels */
  bool bounded;
  uint8_t *scratch;    /* aligned */
  size_t scratch_size; /* of one thread */
} Run;

static inline size_t
round_up (size_t size)
{
  return (size + KERNEL_ALIGN - 1) / KERNEL_ALIGN * KERNEL_ALIGN;
}

static size_t
pointers_size (const Igemm *g)
{
  return round_up ((size_t) g->taps * g->mr * sizeof (void *));
}

static size_t
scratch_size (const Igemm *g)
{
  return pointers_size (g) + round_up (kernel_igemm_rows_size (g));
}

size_t
kernel_igemm_scratch (const IgemmKind *kind, const KernelConvShape *shape, KernelQueue *queue)
{
  if (kind->lines && kernel_dwconv_fits (shape))
    return kernel_dwconv_scratch (kind->lines, shape, queue);

  const Igemm g = kernel_igemm (kind, shape);

  return KERNEL_ALIGN + scratch_size (&g) * kernel_pool_threads (queue->pool);
}

/* The blocks of a task in nearly equal calls: `longer` of them take one more than `each`. */
typedef struct {
  int group, first, count, calls, each, longer;
} Blocks;

static Blocks
share_blocks (const Run *run, int group, int first, int end)
{
  const int count = end - first,
            calls = (count - 1) / kernel_igemm_tile_blocks (&run->g, run->way) + 1;

  return (Blocks){group, first, count, calls, count / calls, count % calls};
}

/* All blocks of the task for the pixels whose rows are set. The first tiles of a chunk, by number, have
 * a block of the next chunk each to fetch, in the place of every block: 7x7 pixels, whose weights come
 * from the third-level cache, took a quarter longer without. */
static void
run_blocks (const Run *run, IgemmTile *tile, const Blocks *b, size_t pixel, size_t number)
{
  const Igemm *g = &run->g;
  const IgemmArgs *args = run->args;
  int block = b->first;

  for (int call = 0; call < b->calls; call++) {
    const int blocks = b->each + (call < b->longer);
    const int channel = block * IGEMM_NR, first = b->group * g->channels + channel;
    const size_t output = pixel * args->y_stride + first;

    tile->w = (const uint8_t *) args->w + ((size_t) b->group * g->blocks + block) * g->block_size;
    tile->ahead = number < (size_t) blocks
                      ? (const uint8_t *) tile->w + (b->count + number) * g->block_size
                      : tile->w;
    tile->channel = channel;
    tile->channels = kernel_min_int (blocks * IGEMM_NR, g->channels - channel);
    tile->y = (uint8_t *) args->y + output * args->y_element;
    tile->r = args->r ? (const uint8_t *) args->r + output * args->y_element : NULL;
    tile->m = args->m ? args->m + first : NULL;
    tile->b = args->b + first;
    g->kind->tile (tile);
    block += blocks;
  }
}

/* The pixels that can be read in place, up to `end` but for the last of the tensor. Returns the first
 * pixel that is left. */
static size_t
run_plain (const Run *run, IgemmTile *tile, const Blocks *blocks, size_t pixel, size_t end)
{
  const Igemm *g = &run->g;
  const size_t element = g->kind->element, pixel_size = run->args->shape->ic * element;
  const size_t channel = (size_t) blocks->group * g->k, beyond = channel + g->row;
  const size_t unsafe = (beyond * element - 1) / pixel_size; /* read past the end */
  const size_t safe = run->pixels > unsafe ? run->pixels - unsafe : 0;
  const size_t most = (run->way->plain_rows / pixel_size / g->mr + 4) * g->mr;
  const void *const *rows = tile->rows;

  tile->rows = NULL;
  tile->x_stride = pixel_size;
  end = end < safe ? end : safe;
  for (; pixel < end; pixel += tile->pixels) {
    tile->pixels = (int) (end - pixel < most ? end - pixel : most);
    tile->x = (const uint8_t *) run->args->x + pixel * pixel_size + channel * element;
    run_blocks (run, tile, blocks, pixel, SIZE_MAX);
  }
  tile->rows = rows;
  return pixel;
}

/* Windows of few values, copied to rows. */
static void
run_gathered (const Run *run, IgemmTile *tile, const Blocks *blocks, size_t pixel, size_t end,
    void *memory)
{
  const Igemm *g = &run->g;
  IgemmCursor at = kernel_igemm_cursor (run->args->shape, pixel);

  tile->rows = NULL;
  tile->x = memory;
  tile->x_stride = IGEMM_GATHERED_ROW (g);
  for (; pixel < end; pixel += tile->pixels) {
    tile->pixels = (int) (end - pixel < IGEMM_GATHERED ? end - pixel : IGEMM_GATHERED);
    kernel_igemm_gather (g, run->args->x, run->args->w, tile->pixels, &at, memory);
    run_blocks (run, tile, blocks, pixel, SIZE_MAX);
  }
}

/* The tiles [tile, end) of these blocks. */
static void
run_tiles (const Run *run, const Blocks *blocks, size_t first_tile, size_t end_tile,
    uint8_t *scratch)
{
  const Igemm *g = &run->g;
  const IgemmArgs *args = run->args;
  const void **rows = (const void **) scratch;
  const size_t end = end_tile < run->tiles ? end_tile * g->mr : run->pixels;
  size_t pixel = first_tile * g->mr;
  alignas (KERNEL_ALIGN) float totals[IGEMM_TOTALS];
  IgemmTile tile = {
      .rows = rows,
      .w_stride = g->block_size,
      .taps = g->taps,
      .run = g->run,
      .y_stride = args->y_stride,
      .mr = args->mr,
      .lo = args->lo,
      .hi = args->hi,
      .totals = totals,
      .y_f32 = args->y_f32,
      .bounded = run->bounded,
  };

  if (g->plain && g->kind->plain)
    pixel = run_plain (run, &tile, blocks, pixel, end);
  if (g->gathered) {
    run_gathered (run, &tile, blocks, pixel, end, scratch + pointers_size (g));
    pixel = end;
  }

  IgemmCursor at = kernel_igemm_cursor (args->shape, pixel);

  for (; pixel < end; pixel += g->mr) {
    tile.pixels = end - pixel < (size_t) g->mr ? (int) (end - pixel) : g->mr;
    kernel_igemm_rows (g, args->x, args->w, blocks->group, tile.pixels, &at, rows,
        scratch + pointers_size (g));
    run_blocks (run, &tile, blocks, pixel, pixel / g->mr - first_tile);
  }
}

/* The next units that are a rectangle: whole tiles of a chunk, or a part of one tile. Returns how many
 * of `left` they are. */
static size_t
run_rectangle (const Run *run, size_t unit, size_t left, uint8_t *scratch)
{
  const Igemm *g = &run->g;
  const IgemmSplit *split = &run->split;
  const int cut = (int) (unit / run->tiles % split->cuts); /* of the chunk, in any case */
  int chunk = (int) ((size_t) cut * split->chunks / split->cuts);

  if (kernel_pool_part (split->cuts, split->chunks, chunk + 1) <= (size_t) cut)
    chunk++;
  const int first = (int) kernel_pool_part (split->cuts, split->chunks, chunk);
  const int cuts = (int) kernel_pool_part (split->cuts, split->chunks, chunk + 1) - first;
  const size_t in_chunk = unit % (run->tiles * split->cuts) - run->tiles * first;
  const size_t tile = in_chunk / cuts, whole = left / cuts, in_tile = in_chunk % cuts;
  const bool part = in_tile > 0 || whole == 0;
  const size_t tiles = part ? 1 : whole < run->tiles - tile ? whole : run->tiles - tile;
  const size_t wide = !part ? (size_t) cuts : left < cuts - in_tile ? left : cuts - in_tile;
  const int begin = first + (int) in_tile, end = begin + (int) wide;
  const Blocks blocks = share_blocks (run, (int) (unit / (run->tiles * split->cuts)),
      (int) kernel_pool_part (g->blocks, split->cuts, begin),
      (int) kernel_pool_part (g->blocks, split->cuts, end));

  run_tiles (run, &blocks, tile, tile + tiles, scratch);
  return tiles * wide;
}

static void
run_task (const void *ctx, int task, int thread)
{
  const Run *run = ctx;
  const IgemmKind *kind = run->g.kind;
  uint8_t *scratch = run->scratch + thread * run->scratch_size;
  const size_t end = kernel_pool_part (run->split.units, run->split.tasks, task + 1);

  if (kind->begin)
    kind->begin ();
  for (size_t unit = kernel_pool_part (run->split.units, run->split.tasks, task); unit < end;)
    unit += run_rectangle (run, unit, end - unit, scratch);
  if (kind->end)
    kind->end ();
}

void
kernel_igemm_run (const IgemmKind *kind, const IgemmArgs *args, KernelQueue *queue)
{
  const KernelConvShape *shape = args->shape;
  Run run = {.g = kernel_igemm (kind, shape), .args = args};

  run.way = kernel_igemm_way (&run.g);
  run.bounded = kind->bounded && args->mr < RESIDUAL &&
                kind->bounded (args->m, args->b, shape->oc, PRODUCT * run.g.taps * run.g.k);
  run.pixels = (size_t) shape->n * shape->oh * shape->ow;
  run.tiles = (run.pixels + run.g.mr - 1) / run.g.mr;
  run.scratch = (uint8_t *) round_up ((uintptr_t) args->scratch);
  run.scratch_size = scratch_size (&run.g);
  run.split = kernel_igemm_split (&run.g, run.way, run.tiles, kernel_pool_threads (queue->pool));
  kernel_pool_run (queue->pool, run_task, &run, run.split.tasks);
}

void
kernel_igemm_s8 (const IgemmKind *kind, const KernelConvS8 *args, bool y_f32, KernelQueue *queue)
{
  const IgemmArgs igemm = {
      .shape = &args->shape,
      .x = args->x,
      .w = args->w,
      .r = y_f32 ? NULL : args->r,
      .m = args->m,
      .b = args->b,
      .mr = args->mr,
      .lo = args->lo,
      .hi = args->hi,
      .y = args->y,
      .y_stride = args->shape.oc,
      .scratch = args->scratch,
      .y_f32 = y_f32,
      .y_element = y_f32 ? sizeof (float) : 1,
  };

  if (kind->lines && kernel_dwconv_fits (&args->shape))
    kernel_dwconv_run (kind->lines, &igemm, args->zero_x, queue);
  else
    kernel_igemm_run (kind, &igemm, queue);
}

void
kernel_igemm_f32 (const IgemmKind *kind, const KernelConvF32 *args, KernelQueue *queue)
{
  const IgemmArgs igemm = {
      .shape = &args->shape,
      .x = args->x,
      .w = args->w,
      .r = args->r,
      .b = args->b,
      .lo = args->lo,
      .hi = args->hi,
      .y = args->y,
      .y_stride = args->shape.oc,
      .scratch = args->scratch,
      .y_f32 = true,
      .y_element = sizeof (float),
  };

  if (!kind->strips || !kernel_dwconv_f32_run (kind->strips, args, queue))
    kernel_igemm_run (kind, &igemm, queue);
}
