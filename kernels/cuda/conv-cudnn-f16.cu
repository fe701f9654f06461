/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-cudnn-f16.cu: convolutions of halves by cuDNN on tensor cores, sums and what follows them in float.
 *
 * As in conv-cudnn.cu a plan is for one n, and behind cuDNN's weights lie those of an own kernel for whatever
 * has no plan. Padding needs nothing: it is 0 in both.
 */
#include "kernels/cuda/conv-cudnn-shape.h"
#include "kernels/cuda/conv-f16.h"

#include <float.h>
#include <math.h>

/* cuDNN's tensor cores want 16 bytes a pixel. */
static bool
suits (const KernelConvShape *s, int sm)
{
  return sm >= 80 && s->groups == 1 && s->ic % 8 == 0 && s->oc % 8 == 0 && !has_surplus (s) &&
         is_there ();
}

static size_t
count_weights (const KernelConvShape *s)
{
  return (size_t) s->oc * s->kh * s->kw * s->ic;
}

static size_t
size_of_weights (const KernelConvShape *s)
{
  return round_up (count_weights (s) * sizeof (KernelHalf));
}

static size_t
pack (const KernelConvShape *s, const float *w, void *packed)
{
  const size_t own = size_of_weights (s);
  KernelHalf *to = (KernelHalf *) packed;

  for (size_t i = 0; packed && i < own / sizeof *to; i++)
    to[i] = i < count_weights (s) ? kernel_half_of_f32 (w[i]) : (KernelHalf) 0;
  return own + kernel_conv_f16_cuda_gemm.pack (s, w, packed ? (char *) packed + own : NULL);
}

/* A lower bound that halves do not reach stands for none, where there is an upper one. */
static CudnnConv
describe_f16 (const KernelConvF16 *args)
{
  CudnnConv c = describe (&args->shape, false);

  c.in = c.out = CUDNN_DATA_HALF;
  c.sum = CUDNN_DATA_FLOAT;
  c.steps = CUDNN_STEP_BIAS | (args->r ? CUDNN_STEP_RESIDUAL : 0);
  if (args->lo > -INFINITY || args->hi < INFINITY) {
    c.steps |= CUDNN_STEP_CLAMP;
    c.lo = args->lo > -INFINITY ? args->lo : -FLT_MAX;
    c.hi = args->hi;
  }
  return c;
}

static size_t
scratch (const KernelConvShape *s, KernelQueue *queue)
{
  CudnnConv conv = describe (s, false);

  conv.in = CUDNN_DATA_HALF;
  return kernel_cudnn_prepare (queue, s) ? ALIGN + kernel_cudnn_workspace (&conv) : 0;
}

static bool
try_plan (const KernelConvF16 *args, int rank, KernelQueue *queue)
{
  static const float one = 1;
  const CudnnConv conv = describe_f16 (args);
  const CudnnPlan *plan = NULL;
  const CudnnPointers p = {.x = args->x,
      .w = args->w,
      .b = args->b,
      .r = args->r,
      .mr = &one,
      .y = args->y,
      .workspace = align_up (args->scratch)};

  if (all_aligned (args->x, args->b, args->r, args->y))
    plan = kernel_cudnn_plan (queue, &args->shape, &conv, rank);
  if (!plan)
    return false;
  run_barrier (queue);
  kernel_cudnn_run (queue, plan, &p);
  return true;
}

template <int rank>
static void
run (const KernelConvF16 *args, KernelQueue *queue)
{
  static_assert (rank <= CUDNN_RANKS);
  KernelConvF16 other = *args;

  if (try_plan (args, rank, queue))
    return;
  other.w = (const char *) args->w + size_of_weights (&args->shape);
  kernel_conv_f16_cuda_gemm.run (&other, queue);
}

const CudaConvF16 kernel_conv_f16_cuda_cudnn_1 = {"cudnn 1", suits, pack, scratch, run<1>};
const CudaConvF16 kernel_conv_f16_cuda_cudnn_2 = {"cudnn 2", suits, pack, scratch, run<2>};
const CudaConvF16 kernel_conv_f16_cuda_cudnn_3 = {"cudnn 3", suits, pack, scratch, run<3>};
const CudaConvF16 kernel_conv_f16_cuda_cudnn_4 = {"cudnn 4", suits, pack, scratch, run<4>};
