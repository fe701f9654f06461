/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * winograd.c: the loops of winograd.h, and how they are shared by the threads of a queue.
 *
 * A task is a range of tiles times a range of blocks of output channels. It transforms the inputs of
 * a few tiles (a batch), whose V stays in the second-level cache; then, for every group of blocks,
 * makes the 36 products of all the batch, so that weights that come from memory serve many tiles,
 * and transforms the sums back.
 */
#include "kernels/cpu/winograd.h"

#include <math.h>
#include <string.h>

/* Blocks of a group: what a product takes at once. */
#define GROUP 4
/* Bytes of V of a batch, and its tiles, at most. */
#define BATCH_BYTES (448 * 1024)
#define BATCH_TILES 24
/* Tiles of a task are not cut below: the weights are read once for all of them. */
#define TASK_TILES 12

typedef struct {
  const WinogradKind *kind;
  const KernelConvS8 *args;
  bool y_f32;
  const uint8_t *w;
  WinogradPacked packed;
  int part; /* input channels */
  int lines, columns, blocks;
  int tiles, tile_parts, block_parts;
  int batch;                        /* tiles */
  size_t row;                       /* values of a row of V */
  size_t v_point;                   /* values from point to point */
  size_t v_size, m_size, sums_size; /* bytes */
  uint8_t *scratch;
} Run;

static inline size_t
round_up (size_t size, size_t to)
{
  return (size + to - 1) / to * to;
}

static inline int
min_int (int a, int b)
{
  return a < b ? a : b;
}

static inline int
divide_up (int a, int b)
{
  return (a + b - 1) / b;
}

/* All that follows from the shape. An odd number of cache lines from point to point keeps the 36
 * values of a channel from falling into the same set. */
static void
plan (Run *run, const KernelConvShape *shape)
{
  run->packed = kernel_winograd_packed (shape);
  run->lines = divide_up (shape->oh, WINOGRAD_OUT);
  run->columns = divide_up (shape->ow, WINOGRAD_OUT);
  run->blocks = divide_up (shape->oc, IGEMM_NR);
  run->row = round_up (shape->ic, WINOGRAD_ROUND);

  const size_t tile = WINOGRAD_POINTS * run->row * sizeof (int16_t);
  const int most = tile > BATCH_BYTES ? 1 : min_int (BATCH_TILES, (int) (BATCH_BYTES / tile));

  run->tiles = shape->n * run->lines * run->columns;
  run->batch = min_int (run->tiles, most);
  run->v_point = run->batch * run->row + WINOGRAD_ROUND;
  run->v_size = WINOGRAD_POINTS * run->v_point * sizeof (int16_t);
  run->m_size = (size_t) run->batch * GROUP * WINOGRAD_M * sizeof (int32_t);
  run->sums_size =
      (size_t) run->batch * GROUP * IGEMM_NR * WINOGRAD_OUT * WINOGRAD_OUT * sizeof (int32_t);
}

static size_t
scratch_size (const Run *run)
{
  return round_up (run->v_size, KERNEL_ALIGN) + round_up (run->m_size, KERNEL_ALIGN) +
         round_up (run->sums_size, KERNEL_ALIGN);
}

size_t
kernel_winograd_scratch (const KernelConvShape *shape, KernelQueue *queue)
{
  Run run;

  plan (&run, shape);
  return KERNEL_ALIGN + scratch_size (&run) * kernel_pool_threads (queue->pool);
}

bool
kernel_winograd_chosen (const WinogradKind *kind, const KernelConvShape *shape)
{
  return kernel_winograd_fits (shape) &&
         (shape->tactic == 0 ? kind->prefer (shape) : shape->tactic == 2);
}

const char *
kernel_winograd_tactic (const WinogradKind *kind, const KernelConvShape *shape, int tactic)
{
  KernelConvShape chosen = *shape;

  if (tactic < 0 || tactic > 2 || (tactic == 2 && !kernel_winograd_fits (shape)))
    return NULL;
  chosen.tactic = tactic;
  return kernel_winograd_chosen (kind, &chosen) ? "winograd 4x4" : "direct";
}

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

typedef struct {
  int n, oh, ow;
} Place;

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

typedef struct {
  int16_t *v;
  int32_t *m, *sums;
} Memory;

/* The products of one part of the input channels. */
static void
multiply (const Run *run, const Memory *memory, int tiles, int block, int blocks, int channel)
{
  const int channels = min_int (run->part, run->packed.channels - channel);
  const size_t point_size = (size_t) channels * IGEMM_NR * sizeof (int16_t);
  const uint8_t *u = run->w + run->packed.weights + block * run->packed.block +
                     (size_t) channel * WINOGRAD_POINTS * IGEMM_NR * sizeof (int16_t);
  WinogradProduct product = {
      .v_stride = run->row,
      .u_stride = run->packed.block,
      .tiles = tiles,
      .blocks = blocks,
      .pairs = channels / 2,
  };

  for (int point = 0; point < WINOGRAD_POINTS; point++) {
    product.v = memory->v + point * run->v_point + channel;
    product.u = u + point * point_size;
    product.m = memory->m + point * IGEMM_NR;
    run->kind->product (&product);
  }
}

static void
transform_outputs (const Run *run, const Memory *memory, int first, int tiles, int block,
    int blocks, int channel)
{
  const KernelConvS8 *args = run->args;
  const KernelConvShape *shape = &args->shape;
  const int k = block * IGEMM_NR, element = run->y_f32 ? sizeof (float) : 1;
  const bool whole = run->part >= shape->ic;
  WinogradOutput output = {
      .to =
          {
              .channels = min_int (blocks * IGEMM_NR, shape->oc - k),
              .y_stride = shape->oc,
              .m = args->m + k,
              .b = args->b + k,
              .mr = args->mr,
              .lo = args->lo,
              .hi = args->hi,
              .y_f32 = run->y_f32,
          },
      .line = (size_t) shape->ow * shape->oc,
      .first = channel == 0,
      .last = channel + run->part >= shape->ic,
  };

  for (int i = 0; i < tiles; i++) {
    const Place at = place_of (run, first + i);
    const size_t pixel = ((size_t) at.n * shape->oh + at.oh) * shape->ow + at.ow;
    const size_t y = pixel * shape->oc + k;

    output.to.y = (uint8_t *) args->y + y * element;
    output.to.r = args->r && !run->y_f32 ? args->r + y : NULL;
    output.m = memory->m + (size_t) i * blocks * WINOGRAD_M;
    output.sums =
        whole ? NULL : memory->sums + (size_t) i * blocks * IGEMM_NR * WINOGRAD_OUT * WINOGRAD_OUT;
    output.rows = min_int (WINOGRAD_OUT, shape->oh - at.oh);
    output.columns = min_int (WINOGRAD_OUT, shape->ow - at.ow);
    run->kind->output (&output);
  }
}

static void
run_task (const void *ctx, int task, int thread)
{
  const Run *run = ctx;
  const KernelConvShape *shape = &run->args->shape;
  uint8_t *scratch = run->scratch + thread * scratch_size (run);
  const int tile_part = task % run->tile_parts, block_part = task / run->tile_parts;
  const int block_begin = kernel_pool_part (run->blocks, run->block_parts, block_part);
  const int block_end = kernel_pool_part (run->blocks, run->block_parts, block_part + 1);
  const int tile_end = kernel_pool_part (run->tiles, run->tile_parts, tile_part + 1);
  int tile = kernel_pool_part (run->tiles, run->tile_parts, tile_part);
  Memory memory = {.v = (int16_t *) scratch};

  memory.m = (int32_t *) (scratch + round_up (run->v_size, KERNEL_ALIGN));
  memory.sums = (int32_t *) ((uint8_t *) memory.m + round_up (run->m_size, KERNEL_ALIGN));
  while (tile < tile_end) {
    const int tiles = divide_up (tile_end - tile, divide_up (tile_end - tile, run->batch));

    transform_inputs (run, tile, tiles, memory.v);
    for (int block = block_begin; block < block_end; block += GROUP) {
      const int blocks = min_int (GROUP, block_end - block);

      for (int channel = 0; channel < shape->ic; channel += run->part) {
        multiply (run, &memory, tiles, block, blocks, channel);
        transform_outputs (run, &memory, tile, tiles, block, blocks, channel);
      }
    }
    tile += tiles;
  }
}

static void
split (Run *run, int threads)
{
  const double products =
      (double) run->tiles * WINOGRAD_POINTS * run->packed.channels * run->blocks * IGEMM_NR;
  const int wanted = threads == 1 ? 1 : (int) fmin (products / run->kind->grain + 1, threads);

  run->tile_parts = min_int (wanted, divide_up (run->tiles, TASK_TILES));
  run->block_parts = min_int (run->blocks, divide_up (wanted, run->tile_parts));
}

void
kernel_winograd_run (const WinogradKind *kind, const KernelConvS8 *args, bool y_f32,
    KernelQueue *queue)
{
  Run run = {.kind = kind, .args = args, .y_f32 = y_f32, .w = args->w};
  int32_t part;

  plan (&run, &args->shape);
  memcpy (&part, args->w, sizeof part);
  run.part = part;
  run.scratch = (uint8_t *) round_up ((uintptr_t) args->scratch, KERNEL_ALIGN);
  split (&run, kernel_pool_threads (queue->pool));
  kernel_pool_run (queue->pool, run_task, &run, run.tile_parts * run.block_parts);
}
