/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-cudnn-shape.h: what convolutions by cuDNN share, whatever their type: the graph's shape, padding, and
 * what comes before a plan.
 */
#pragma once

#include "kernels/cuda/conv-cudnn.h"
#include "kernels/cuda/cudnn-plans.h"

#define ALIGN 256 /* of what scratch and packed weights are divided into */

static inline size_t
round_up (size_t size)
{
  return (size + ALIGN - 1) / ALIGN * ALIGN;
}

static inline char *
align_up (void *pointer)
{
  return (char *) round_up ((uintptr_t) pointer);
}

static inline bool
is_there (void)
{
  return kernel_cudnn_api () != NULL;
}

/* The rows and columns that windows reach, padding included. */
static inline int
reach_h (const KernelConvShape *s)
{
  return (s->oh - 1) * s->stride_h + (s->kh - 1) * s->dilation_h + 1;
}

static inline int
reach_w (const KernelConvShape *s)
{
  return (s->ow - 1) * s->stride_w + (s->kw - 1) * s->dilation_w + 1;
}

static inline bool
has_padding (const KernelConvShape *s)
{
  return s->pad_top > 0 || s->pad_left > 0 || reach_h (s) - s->pad_top > s->ih ||
         reach_w (s) - s->pad_left > s->iw;
}

/* cuDNN makes as many outputs as fit: input beyond the last window may not be enough for another. */
static inline bool
has_surplus (const KernelConvShape *s)
{
  return s->pad_top + s->ih - reach_h (s) >= s->stride_h ||
         s->pad_left + s->iw - reach_w (s) >= s->stride_w;
}

static inline CudnnConv
describe (const KernelConvShape *s, bool frame)
{
  CudnnConv c = {};

  c.n = s->n;
  c.ih = frame ? reach_h (s) : s->ih;
  c.iw = frame ? reach_w (s) : s->iw;
  c.ic = s->ic;
  c.oh = s->oh;
  c.ow = s->ow;
  c.oc = s->oc;
  c.kh = s->kh;
  c.kw = s->kw;
  c.stride_h = s->stride_h;
  c.stride_w = s->stride_w;
  c.dilation_h = s->dilation_h;
  c.dilation_w = s->dilation_w;
  c.pad_top = frame ? 0 : s->pad_top;
  c.pad_left = frame ? 0 : s->pad_left;
  c.groups = s->groups;
  c.inner = CUDNN_DATA_FLOAT;
  return c;
}

static inline bool
all_aligned (const void *x, const void *b, const void *r, const void *y)
{
  return kernel_cuda_aligned (x, 16) && kernel_cuda_aligned (b, 16) &&
         kernel_cuda_aligned (r, 16) && kernel_cuda_aligned (y, 16);
}

static __global__ void
nothing (void)
{
}

/* The kernel before may be one of kernel_conv_launch(), which lets the next start before it ends.
 * cuDNN's do start so, and read their residual before they wait (9.19; tests/kernels/conv-chain.c):
 * between them comes one that does neither. */
static inline void
run_barrier (KernelQueue *queue)
{
  nothing<<<1, 1, 0, queue->stream>>> ();
}
