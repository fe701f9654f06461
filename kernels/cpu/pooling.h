/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pooling.h: what pools of any instruction set share: the taps of an output pixel, and how pixels are
 * shared by the threads.
 */
#pragma once

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
