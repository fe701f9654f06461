/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * winograd.c: the loops of winograd.h, and how they are shared by the threads of a queue.
 *
 * A task is a range of tiles times a range of blocks of output channels. It transforms the inputs of
 * a batch of tiles; then, for every group of blocks and every part of the input channels, makes U
 * and the 36 products of the batch, and transforms the sums back. V, U and M of a batch stay in the
 * second-level cache, or nearly; only int8 comes from further away.
 */
#include "kernels/cpu/winograd.h"

#include <math.h>

/* U of all blocks is made once for a task where it is not larger than this (bytes), and leaves room
 * for so many tiles in the cache; else every batch makes it anew, group by group, and must be larger
 * to be worth it. */
#define KEEP_WEIGHTS (384 * 1024)
#define KEEP_TILES   24
#define BATCH_TILES  49
/* Blocks of outputs in a cache line: two threads that write to one hinder each other. */
#define LINE_BLOCKS 4

typedef struct {
  const WinogradKind *kind;
  const KernelConvS8 *args;
  bool y_f32;
  const uint8_t *w;
  WinogradPacked packed;
  int lines, columns; /* of tiles in an image */
  int blocks, tiles, block_parts, tile_parts;
  bool keep;
  int batch;                        /* tiles */
  size_t row;                       /* values of a row of V */
  size_t v_point, u_point, u_block; /* values from point to point, and from block to block */
  size_t v_size, u_size, m_size, sums_size; /* bytes of a thread */
  uint8_t *scratch;
} Run;

/* Of one thread. sums are those of winograd.h's comment on parts. */
typedef struct {
  int16_t *v, *u;
  int32_t *m, *sums;
} Memory;

/* An output pixel: image, line, column. */
typedef struct {
  int n, oh, ow;
} Place;

static inline size_t
round_up (size_t size, size_t to)
{
  return (size + to - 1) / to * to;
}

/* --- Shapes --------------------------------------------------------------------------------- */

/* Strides from point to point are an odd number of cache lines, so that the 36 values of a channel
 * do not fall into one set. */
static void
plan (Run *run, const WinogradKind *kind, const KernelConvShape *shape)
{
  run->kind = kind;
  run->packed = kernel_winograd_packed (shape);
  run->lines = kernel_divide_up (shape->oh, WINOGRAD_OUT);
  run->columns = kernel_divide_up (shape->ow, WINOGRAD_OUT);
  run->tiles = shape->n * run->lines * run->columns;
  run->blocks = kernel_divide_up (shape->oc, IGEMM_NR);
  run->row = round_up (shape->ic, WINOGRAD_ROUND);

  const bool parts = run->packed.part < shape->ic;

  run->u_point = run->packed.part * IGEMM_NR + WINOGRAD_ROUND;
  run->u_block = WINOGRAD_POINTS * run->u_point;
  run->u_size = run->blocks * run->u_block * sizeof (int16_t);
  run->keep = !parts && run->u_size <= KEEP_WEIGHTS;
  if (!run->keep)
    run->u_size = kind->group * run->u_block * sizeof (int16_t);
  run->batch = kernel_min_int (run->tiles, run->keep ? KEEP_TILES : BATCH_TILES);
  run->v_point = run->batch * run->row + WINOGRAD_ROUND;
  run->v_size = WINOGRAD_POINTS * run->v_point * sizeof (int16_t);
  run->m_size = (size_t) run->batch * kind->group * WINOGRAD_M * sizeof (int32_t);
  run->sums_size = parts ? (size_t) run->batch * kind->group * WINOGRAD_SUMS * sizeof (int32_t) : 0;
}

static size_t
scratch_size (const Run *run)
{
  return round_up (run->v_size, KERNEL_ALIGN) + round_up (run->u_size, KERNEL_ALIGN) + run->m_size +
         run->sums_size;
}

static Memory
memory_of (const Run *run, int thread)
{
  uint8_t *at = run->scratch + thread * scratch_size (run);
  Memory memory = {.v = (int16_t *) at};

  at += round_up (run->v_size, KERNEL_ALIGN);
  memory.u = (int16_t *) at;
  at += round_up (run->u_size, KERNEL_ALIGN);
  memory.m = (int32_t *) at;
  memory.sums = (int32_t *) (at + run->m_size);
  return memory;
}

size_t
kernel_winograd_scratch (const WinogradKind *kind, const KernelConvShape *shape, KernelQueue *queue)
{
  Run run;

  plan (&run, kind, shape);
  return KERNEL_ALIGN + scratch_size (&run) * kernel_pool_threads (queue->pool);
}

/* Whether an image takes less time than with the direct kernel. In cycles for each block of output
 * channels of 512 bits, measured on a Zen 5 and rounded: 9 for the products of a tile and input channel,
 * 150 for a tile of outputs (of each part), 40 for the weights of an input channel, each time; and 5
 * for a tile of inputs, which serves all blocks. Every thread makes the weights for its tiles. Those of
 * the measurement were in the cache, a network's may not be, so that a gain below a tenth is none. */
static bool
is_faster (const WinogradKind *kind, const KernelConvShape *shape)
{
  KernelConvShape image = *shape;
  Run run = {0};

  image.n = 1;
  plan (&run, kind, &image);

  const int threads = shape->threads > 1 ? shape->threads : 1;
  const double made =
      threads *
      (run.keep ? 1 : kernel_divide_up (kernel_divide_up (run.tiles, threads), run.batch));
  const double parts = kernel_divide_up (shape->ic, run.packed.part);
  const double block = shape->ic * (9.0 * run.tiles + 40.0 * made) + 150.0 * parts * run.tiles;
  const double inputs = 5.0 * run.tiles * shape->ic;
  const double direct = (double) kind->direct * shape->oh * shape->ow * shape->ic;

  return 1.1 * (run.blocks * block + inputs) < run.blocks * direct;
}

bool
kernel_winograd_chosen (const WinogradKind *kind, const IgemmKind *direct,
    const KernelConvShape *shape)
{
  if (!kernel_winograd_fits (shape))
    return false;
  if (shape->tactic == 0)
    return is_faster (kind, shape);

  const Igemm g = kernel_igemm (direct, shape);

  return !kernel_igemm_way (&g);
}

const char *
kernel_winograd_tactic (const WinogradKind *kind, const IgemmKind *direct,
    const KernelConvShape *shape, int tactic)
{
  KernelConvShape chosen = *shape;
  const char *name = kernel_igemm_tactic (direct, shape, tactic);

  chosen.tactic = tactic;
  if (tactic == 0 ? kernel_winograd_chosen (kind, direct, &chosen)
                  : !name && kernel_winograd_fits (shape) && tactic > 0 &&
                        kernel_igemm_tactic (direct, shape, tactic - 1))
    return "winograd 4x4";
  return name;
}

static inline Place
place_of (const Run *run, int tile)
{
  const int line = tile / run->columns;

  return (Place){
      .n = line / run->lines,
      .oh = line % run->lines * WINOGRAD_OUT,
      .ow = tile % run->columns * WINOGRAD_OUT,
  };
}

/* --- A batch -------------------------------------------------------------------------------- */

/* The pixels of a tile whose first one is at (ih, iw) of an image. */
static void
find_pixels (const KernelConvShape *shape, const int8_t *image, const int8_t *padding, int ih,
    int iw, const int8_t **pixels)
{
  const size_t line = (size_t) shape->iw * shape->ic;

  for (int i = 0; i < WINOGRAD_IN; i++, ih++, pixels += WINOGRAD_IN) {
    const bool inside = ih >= 0 && ih < shape->ih;

    if (inside && iw >= 0 && iw + WINOGRAD_IN <= shape->iw) {
      const int8_t *pixel = image + ih * line + (size_t) iw * shape->ic;

      for (int j = 0; j < WINOGRAD_IN; j++)
        pixels[j] = pixel + (size_t) j * shape->ic;
      continue;
    }
    for (int j = 0; j < WINOGRAD_IN; j++) {
      const bool there = inside && iw + j >= 0 && iw + j < shape->iw;

      pixels[j] = there ? image + ih * line + (size_t) (iw + j) * shape->ic : padding;
    }
  }
}

static void
transform_inputs (const Run *run, int first, int tiles, int16_t *v)
{
  const KernelConvShape *shape = &run->args->shape;
  const int8_t *padding = (const int8_t *) run->w + run->packed.padding;

  for (int i = 0; i < tiles; i++, v += run->row) {
    const Place at = place_of (run, first + i);
    const int8_t *image = run->args->x + (size_t) at.n * shape->ih * shape->iw * shape->ic;
    const int8_t *pixels[WINOGRAD_POINTS];

    find_pixels (shape, image, padding, at.oh - shape->pad_top, at.ow - shape->pad_left, pixels);
    run->kind->input (pixels, shape->ic, v, run->v_point);
  }
}

static void
transform_weights (const Run *run, int block, int blocks, int channel, int pairs, int16_t *u)
{
  for (int i = 0; i < blocks; i++) {
    const uint8_t *w =
        run->w + (block + i) * run->packed.block + (size_t) channel / 2 * WINOGRAD_PAIR;
    const WinogradWeights weights = {
        .w = (const int8_t *) w,
        .pairs = pairs,
        .u = u + i * run->u_block,
        .u_stride = run->u_point,
    };

    run->kind->weights (&weights);
  }
}

static void
multiply (const Run *run, const int16_t *v, const int16_t *u, int tiles, int blocks, int pairs,
    int32_t *m)
{
  WinogradProduct product = {
      .v = v,
      .v_stride = run->row,
      .u = u,
      .u_stride = run->u_block,
      .m = m,
      .tiles = tiles,
      .blocks = blocks,
      .pairs = pairs,
  };

  for (int point = 0; point < WINOGRAD_POINTS; point++) {
    run->kind->product (&product);
    product.v += run->v_point;
    product.u += run->u_point;
    product.m += IGEMM_NR;
  }
}

static void
transform_outputs (const Run *run, const Memory *memory, int first, int tiles, int block,
    int blocks, int channel)
{
  const KernelConvS8 *args = run->args;
  const KernelConvShape *shape = &args->shape;
  const int k = block * IGEMM_NR, element = run->y_f32 ? sizeof (float) : 1;
  WinogradOutput output = {
      .to =
          {
              .channels = kernel_min_int (blocks * IGEMM_NR, shape->oc - k),
              .y_stride = shape->oc,
              .m = args->m + k,
              .b = args->b + k,
              .mr = args->mr,
              .lo = args->lo,
              .hi = args->hi,
              .y_f32 = run->y_f32,
          },
      .m = memory->m,
      .line = (size_t) shape->ow * shape->oc,
      .sums = run->sums_size > 0 ? memory->sums : NULL,
      .first = channel == 0,
      .last = channel + run->packed.part >= shape->ic,
  };

  for (int i = 0; i < tiles; i++, output.m += blocks * WINOGRAD_M) {
    const Place at = place_of (run, first + i);
    const size_t pixel = ((size_t) at.n * shape->oh + at.oh) * shape->ow + at.ow;
    const size_t y = pixel * shape->oc + k;

    output.to.y = (uint8_t *) args->y + y * element;
    output.to.r = args->r && !run->y_f32 ? args->r + y : NULL;
    output.rows = kernel_min_int (WINOGRAD_OUT, shape->oh - at.oh);
    output.columns = kernel_min_int (WINOGRAD_OUT, shape->ow - at.ow);
    run->kind->output (&output);
    if (output.sums)
      output.sums += blocks * WINOGRAD_SUMS;
  }
}

/* --- Tasks ---------------------------------------------------------------------------------- */

/* The outputs of a batch in a group of blocks. */
static void
run_group (const Run *run, const Memory *memory, int tile, int tiles, int block, int blocks,
    const int16_t *kept)
{
  const int part = run->packed.part;

  for (int channel = 0; channel < run->args->shape.ic; channel += part) {
    const int pairs = kernel_min_int (part / 2, run->packed.pairs - channel / 2);

    if (!kept)
      transform_weights (run, block, blocks, channel, pairs, memory->u);
    multiply (run, memory->v + channel, kept ? kept : memory->u, tiles, blocks, pairs, memory->m);
    transform_outputs (run, memory, tile, tiles, block, blocks, channel);
  }
}

static void
run_task (const void *ctx, int task, int thread)
{
  const Run *run = ctx;
  const Memory memory = memory_of (run, thread);
  const int tile_part = task % run->tile_parts, block_part = task / run->tile_parts;
  const int lines = kernel_divide_up (run->blocks, LINE_BLOCKS);
  const int first = kernel_pool_part (lines, run->block_parts, block_part) * LINE_BLOCKS;
  const int end = kernel_min_int (run->blocks,
      kernel_pool_part (lines, run->block_parts, block_part + 1) * LINE_BLOCKS);
  const int tile_end = kernel_pool_part (run->tiles, run->tile_parts, tile_part + 1);
  int tile = kernel_pool_part (run->tiles, run->tile_parts, tile_part);

  if (run->keep)
    transform_weights (run, first, end - first, 0, run->packed.pairs, memory.u);
  while (tile < tile_end) {
    const int tiles =
        kernel_divide_up (tile_end - tile, kernel_divide_up (tile_end - tile, run->batch));

    transform_inputs (run, tile, tiles, memory.v);
    for (int block = first, blocks; block < end; block += blocks) {
      const int16_t *kept = run->keep ? memory.u + (block - first) * run->u_block : NULL;

      blocks = kernel_divide_up (end - block, kernel_divide_up (end - block, run->kind->group));
      run_group (run, &memory, tile, tiles, block, blocks, kept);
    }
    tile += tiles;
  }
}

/* One or two tasks for each thread, cut so that the last is done soonest. In cycles for every 4 input
 * channels: 36 for the products of a tile and block, 160 for the weights of a block, each time, 20 for
 * the inputs of a tile. */
static void
split (Run *run, int threads)
{
  const double products =
      (double) run->tiles * WINOGRAD_POINTS * run->packed.pairs * 2 * run->blocks * IGEMM_NR;
  const int useful = (int) fmin (products / run->kind->grain + 1, threads);
  const int lines = kernel_divide_up (run->blocks, LINE_BLOCKS);
  double least = INFINITY;

  for (int wanted = useful; wanted <= (threads == 1 ? 1 : 2 * useful); wanted += useful) {
    for (int tile_parts = 1; tile_parts <= kernel_min_int (wanted, run->tiles); tile_parts++) {
      const int block_parts = kernel_min_int (lines, wanted / tile_parts);
      const int tiles = kernel_divide_up (run->tiles, tile_parts);
      const int blocks = kernel_divide_up (lines, block_parts) * LINE_BLOCKS;
      const int made = run->keep ? 1 : kernel_divide_up (tiles, run->batch);
      const double task = 36.0 * tiles * blocks + 160.0 * blocks * made + 20.0 * tiles;
      const double cost = task * kernel_divide_up (tile_parts * block_parts, useful);

      if (cost < least) {
        least = cost;
        run->tile_parts = tile_parts;
        run->block_parts = block_parts;
      }
    }
  }
}

void
kernel_winograd_run (const WinogradKind *kind, const KernelConvS8 *args, bool y_f32,
    KernelQueue *queue)
{
  Run run = {.args = args, .y_f32 = y_f32, .w = args->w};

  plan (&run, kind, &args->shape);
  run.scratch = (uint8_t *) round_up ((uintptr_t) args->scratch, KERNEL_ALIGN);
  split (&run, kernel_pool_threads (queue->pool));
  kernel_pool_run (queue->pool, run_task, &run, run.tile_parts * run.block_parts);
}
