/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pooling.h: what pools of any instruction set share: the taps of an output pixel, and how pixels are
 * shared by the threads.
 */
#pragma once

#include "kernels/cpu/pool.h"
#include "kernels/kernels.h"
#include "kernels/ref/pool-window.h"

/* Input values per part: some microseconds of work. */
#define POOLING_GRAIN 32768

/* The taps of one output pixel that lie inside the input. */
typedef struct {
  size_t first; /* channel 0 of the first tap */
  size_t row_step, column_step;
  int rows, columns, divisor;
} PoolingWindow;

static inline PoolingWindow
pooling_window (const KernelPoolShape *s, size_t i)
{
  const size_t line = i / s->ow;
  const KernelPoolWindow w = kernel_pool_window (s, line % s->oh, i % s->ow);

  return (PoolingWindow){
      .first = kernel_pool_index (s, &w, line / s->oh, w.kh0, w.kw0),
      .row_step = (size_t) s->dilation_h * s->iw * s->c,
      .column_step = (size_t) s->dilation_w * s->c,
      .rows = w.kh1 - w.kh0,
      .columns = w.kw1 - w.kw0,
      .divisor = w.divisor,
  };
}

static inline size_t
pooling_pixels (const KernelPoolShape *s)
{
  return (size_t) s->n * s->oh * s->ow;
}

static inline size_t
pooling_grain (const KernelPoolShape *s)
{
  return 1 + POOLING_GRAIN / ((size_t) s->kh * s->kw * s->c);
}

/* Few pixels, such as that of a global pool, are shared by channels too: a unit is so many of one. */
#define POOLING_FEW_PIXELS 16
#define POOLING_CHANNELS   32

typedef struct {
  int width, parts; /* channels of a unit; units of a pixel */
} PoolingUnits;

static inline PoolingUnits
pooling_units (const KernelPoolShape *s)
{
  const int width = pooling_pixels (s) < POOLING_FEW_PIXELS ? POOLING_CHANNELS : s->c;

  return (PoolingUnits){width, (s->c + width - 1) / width};
}

/* Neighbouring units of one pixel: its channels c to last - 1. */
typedef struct {
  size_t pixel;
  int c, last;
} PoolingPart;

/* Those from *unit on, and before `end`; moves *unit behind them. */
static inline PoolingPart
pooling_part (const KernelPoolShape *s, size_t *unit, size_t end)
{
  const PoolingUnits units = pooling_units (s);
  const size_t pixel = *unit / units.parts, next = (pixel + 1) * units.parts;
  const int first = (int) (*unit - pixel * units.parts) * units.width;
  const int left = (int) ((end < next ? end : next) - *unit) * units.width;

  *unit = end < next ? end : next;
  return (PoolingPart){pixel, first, left < s->c - first ? first + left : s->c};
}

/* Calls fn for ranges of units. */
static inline void
pooling_run (KernelPool *pool, KernelPoolRangeFn fn, const void *ctx, const KernelPoolShape *s)
{
  const PoolingUnits units = pooling_units (s);

  kernel_pool_range (pool, fn, ctx, pooling_pixels (s) * units.parts,
      1 + POOLING_GRAIN / ((size_t) s->kh * s->kw * units.width));
}
