/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * igemm-split.c: how a dense convolution is cut and shared: the rule, and what else may be faster.
 *
 * The rule leaves most to the shape. Each other way fixes one thing, for whoever times them
 * (engine/tune.c): a rule cannot know the caches of a machine, nor what handing over costs there. All
 * ways use the same packed weights and scratch, and add up the same products in the same order.
 */
#include "kernels/cpu/igemm.h"

#include <math.h>

/* Bytes of weights that are read again and again, and fewer than are worth to be read by one thread
 * only. */
#define CHUNK_WEIGHTS (256 * 1024)
#define FEW_WEIGHTS   (32 * 1024)
/* A byte of input that another thread has written, in bytes of weights. Found by trying: 0.3 to 1.5 are
 * nearly the same. */
#define FOREIGN_INPUT 0.3
/* Units per thread, so that it is of no consequence that threads differ by one. */
#define UNITS_PER_THREAD 16

/* --- Ways ----------------------------------------------------------------------------------- */

#define ANY_TILE   IGEMM_ALL_BLOCKS
#define LONG_ROWS  (128 * 1024)
#define SHORT_ROWS (16 * 1024)

/* clang-format off */
static const IgemmWay ways[] = {
  {"direct",                     ANY_TILE, LONG_ROWS,  IGEMM_ORDER_LEAST,    IGEMM_THREADS_USEFUL, 4},
  {"direct, 48 channels a tile", 3,        LONG_ROWS,  IGEMM_ORDER_LEAST,    IGEMM_THREADS_USEFUL, 4},
  {"direct, 32 channels a tile", 2,        LONG_ROWS,  IGEMM_ORDER_LEAST,    IGEMM_THREADS_USEFUL, 4},
  {"direct, short rows",         ANY_TILE, SHORT_ROWS, IGEMM_ORDER_LEAST,    IGEMM_THREADS_USEFUL, 4},
  {"direct, by pixels",          ANY_TILE, LONG_ROWS,  IGEMM_ORDER_PIXELS,   IGEMM_THREADS_USEFUL, 4},
  {"direct, by channels",        ANY_TILE, LONG_ROWS,  IGEMM_ORDER_CHANNELS, IGEMM_THREADS_USEFUL, 4},
  {"direct, one task a thread",  ANY_TILE, LONG_ROWS,  IGEMM_ORDER_LEAST,    IGEMM_THREADS_USEFUL, 1},
  {"direct, all threads",        ANY_TILE, LONG_ROWS,  IGEMM_ORDER_LEAST,    IGEMM_THREADS_ALL,    4},
  {"direct, half the threads",   ANY_TILE, LONG_ROWS,  IGEMM_ORDER_LEAST,    IGEMM_THREADS_HALF,   4},
  {"direct, one thread",         ANY_TILE, LONG_ROWS,  IGEMM_ORDER_LEAST,    IGEMM_THREADS_ONE,    4},
};
/* clang-format on */
#define WAYS ((int) (sizeof ways / sizeof *ways))

static double
weights_size (const Igemm *g)
{
  return (double) g->blocks * g->block_size;
}

static int
count_calls (const Igemm *g)
{
  return (g->blocks - 1) / g->kind->tile_blocks + 1;
}

/* Whether the way differs from the rule in what it is meant to. */
static bool
offers (const Igemm *g, const IgemmWay *way)
{
  const KernelConvShape *shape = g->shape;
  const double rows = (double) shape->oh * shape->ow * shape->ic * g->kind->element;

  if (way == ways)
    return true;
  if (g->kind->depthwise)
    return false;
  if (way->tile_blocks != ANY_TILE)
    return way->tile_blocks < kernel_min_int (g->kind->tile_blocks, g->blocks);
  if (way->plain_rows != LONG_ROWS)
    return g->plain && g->kind->plain && rows > SHORT_ROWS;
  if (way->order == IGEMM_ORDER_PIXELS)
    return weights_size (g) >= (shape->threads > 1 ? FEW_WEIGHTS : CHUNK_WEIGHTS);
  if (way->order == IGEMM_ORDER_CHANNELS)
    return shape->threads > 1 && count_calls (g) > 1;
  return shape->threads > (way->threads == IGEMM_THREADS_HALF ? 2 : 1);
}

const IgemmWay *
kernel_igemm_way (const Igemm *g)
{
  int left = g->shape->tactic > 0 ? g->shape->tactic : 1;

  for (int i = 0; i < WAYS; i++)
    if (offers (g, &ways[i]) && --left == 0)
      return &ways[i];
  return NULL;
}

const char *
kernel_igemm_tactic (const IgemmKind *kind, const KernelConvShape *shape, int tactic)
{
  KernelConvShape chosen = *shape;

  chosen.tactic = tactic;
  const Igemm g = kernel_igemm (kind, &chosen);
  const IgemmWay *way = tactic < 0 ? NULL : kernel_igemm_way (&g);

  return way ? way->name : NULL;
}

int
kernel_igemm_tile_blocks (const Igemm *g, const IgemmWay *way)
{
  return kernel_min_int (g->kind->tile_blocks, way->tile_blocks);
}

/* --- Cutting -------------------------------------------------------------------------------- */

/* Chunks for so many threads. With one, every thread reads all weights and the pixels that it owns;
 * with one for each thread, its part of the weights and all pixels; in between, parts of both. */
static int
share_chunks (const Igemm *g, const IgemmWay *way, int busy)
{
  const KernelConvShape *shape = g->shape;
  const double weights = weights_size (g);
  const double input = (double) shape->n * shape->ih * shape->iw * shape->ic * g->kind->element;
  const int most = kernel_min_int (busy, count_calls (g));
  double least = INFINITY;
  int best = 1;

  if (way->order == IGEMM_ORDER_CHANNELS)
    return most;
  if (weights < FEW_WEIGHTS)
    return 1;
  for (int chunks = 1;; chunks = kernel_min_int (2 * chunks, most)) {
    const double cost = weights / chunks + FOREIGN_INPUT * input * (chunks - 1) / busy;

    if (cost < least) {
      least = cost;
      best = chunks;
    }
    if (chunks == most)
      return best;
  }
}

/* Those that the cache asks for are a multiple of that. */
static int
count_chunks (const Igemm *g, const IgemmWay *way, int busy)
{
  const int needed = (int) fmin (count_calls (g), 1 + weights_size (g) / CHUNK_WEIGHTS);

  if (way->order == IGEMM_ORDER_PIXELS)
    return 1;

  const int shared = share_chunks (g, way, busy);

  return kernel_min_int (g->blocks, (needed + shared - 1) / shared * shared);
}

static int
count_threads (const IgemmWay *way, double useful, int threads)
{
  switch (way->threads) {
  case IGEMM_THREADS_ALL:
    return threads;
  case IGEMM_THREADS_HALF:
    return kernel_divide_up (threads, 2);
  case IGEMM_THREADS_ONE:
    return 1;
  case IGEMM_THREADS_USEFUL:
    break;
  }
  return useful < threads ? (int) useful : threads;
}

IgemmSplit
kernel_igemm_split (const Igemm *g, const IgemmWay *way, size_t image_tiles, int threads)
{
  const size_t tiles = image_tiles * g->groups;
  /* A tile takes the same time for 1 pixel or channel as for all. */
  const double products = (double) tiles * g->mr * g->blocks * IGEMM_NR * g->taps * g->run;
  const double useful = 1 + 2 * products / g->kind->grain;
  const int busy = count_threads (way, useful, threads);
  const int wanted = (int) ((busy * UNITS_PER_THREAD - 1) / tiles + 1);
  IgemmSplit split = {.chunks = count_chunks (g, way, busy)};

  /* A tile that two threads share has its rows found twice, and maybe cut into narrower calls: only
   * where there are too few tiles, or to have chunks. */
  split.cuts =
      kernel_min_int (g->blocks, (wanted + split.chunks - 1) / split.chunks * split.chunks);
  split.units = tiles * split.cuts;
  split.tasks =
      busy == 1 ? 1 : (int) fmin (fmin (fmax (useful, busy), busy * way->tasks), split.units);
  return split;
}
