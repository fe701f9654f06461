/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-cudnn.cu: convolutions of int8 and floats by cuDNN, which computes the chain of kernels.h in one kernel.
 *
 * A plan is for one n. Packed weights are cuDNN's and, behind them, those of an own kernel, which
 * takes over where there is no plan: for another n than was prepared, for pointers that are not
 * aligned, for what cuDNN refuses. int8 bytes are the same either way; float ones differ by rounding.
 *
 * cuDNN pads with 0. Where that is not zero_x, the input is copied into a frame of zero_x first.
 */
#include "kernels/cuda/conv-cudnn-shape.h"
#include "kernels/cuda/conv-gemm.h"
#include "kernels/cuda/vector.h"

#include <math.h>
#include <string.h>

/* --- The input ------------------------------------------------------------------------------ */

static bool
wants_frame (const KernelConvShape *s, int8_t zero_x)
{
  return (has_padding (s) && zero_x != 0) || has_surplus (s);
}

static size_t
frame_size (const KernelConvShape *s)
{
  return (size_t) s->n * reach_h (s) * reach_w (s) * s->ic;
}

/* y is all that windows reach, x where there is input and `zero` elsewhere; 16 channels a thread. */
static __global__ void
__launch_bounds__ (KERNEL_CUDA_THREADS) fill_frame (const __grid_constant__ KernelConvShape s,
    const uint4 *x, uint4 *y, int h, int w, uint32_t zero, size_t count)
{
  const size_t i = kernel_cuda_item ();
  const int chunks = s.ic / 16;

  if (i >= count)
    return;
  const size_t pixel = kernel_cuda_divide (i, chunks), row = kernel_cuda_divide (pixel, w);
  const size_t n = kernel_cuda_divide (row, h);
  const int ih = (int) (row - n * h) - s.pad_top, iw = (int) (pixel - row * w) - s.pad_left;

  if (ih >= 0 && ih < s.ih && iw >= 0 && iw < s.iw)
    y[i] = x[((n * s.ih + ih) * s.iw + iw) * chunks + (i - pixel * chunks)];
  else
    y[i] = make_uint4 (zero, zero, zero, zero);
}

static void
run_frame (const KernelConvS8 *args, void *frame, KernelQueue *queue)
{
  const KernelConvShape *s = &args->shape;
  const size_t count = frame_size (s) / 16;

  fill_frame<<<kernel_cuda_blocks (count, KERNEL_CUDA_THREADS), KERNEL_CUDA_THREADS, 0,
      queue->stream>>> (*s, (const uint4 *) args->x, (uint4 *) frame, reach_h (s), reach_w (s),
      (uint8_t) args->zero_x * 0x01010101u, count);
}

/* --- int8 ----------------------------------------------------------------------------------- */

/* cuDNN's tensor cores want 16 bytes a pixel; other inputs run 2.7 (24 channels) to 30 times (3) as long
 * as with the own kernels. */
static bool
suits_s8 (const KernelConvShape *s, int sm)
{
  return sm >= 80 && s->groups == 1 && s->ic % 16 == 0 && s->oc % 4 == 0 && is_there ();
}

static size_t
weights_s8 (const KernelConvShape *s)
{
  return round_up ((size_t) s->oc * s->kh * s->kw * s->ic);
}

/* The other kernel suits whatever suits_s8() does. */
static size_t
pack_s8 (const KernelConvShape *s, int8_t zero_x, const int8_t *w, void *packed)
{
  const size_t own = weights_s8 (s);

  if (!packed)
    return own + kernel_conv_s8_cuda_gemm.pack (s, zero_x, w, NULL);
  memset (packed, 0, own);
  memcpy (packed, w, (size_t) s->oc * s->kh * s->kw * s->ic);
  return own + kernel_conv_s8_cuda_gemm.pack (s, zero_x, w, (char *) packed + own);
}

static size_t
scratch_s8 (const KernelConvShape *s, KernelQueue *queue)
{
  CudnnConv conv = describe (s, false);

  conv.in = CUDNN_DATA_INT8;
  if (!kernel_cudnn_prepare (queue, s))
    return 0;
  return ALIGN + kernel_cudnn_workspace (&conv) +
         (has_padding (s) || has_surplus (s) ? round_up (frame_size (s)) : 0);
}

static CudnnConv
describe_s8 (const KernelConvS8 *args, bool to_f32, bool frame)
{
  CudnnConv c = describe (&args->shape, frame);

  c.in = CUDNN_DATA_INT8;
  c.sum = CUDNN_DATA_INT32;
  c.out = to_f32 ? CUDNN_DATA_FLOAT : CUDNN_DATA_INT8;
  c.steps = CUDNN_STEP_SCALE | CUDNN_STEP_BIAS;
  if (args->r && !to_f32)
    c.steps |= CUDNN_STEP_RESIDUAL;
  if (!to_f32 && (args->lo > INT8_MIN || args->hi < INT8_MAX)) { /* it saturates anyway */
    c.steps |= CUDNN_STEP_CLAMP;
    c.lo = args->lo;
    c.hi = args->hi;
  }
  return c;
}

static bool
try_s8 (const KernelConvS8 *args, bool to_f32, int rank, KernelQueue *queue)
{
  const bool frame = wants_frame (&args->shape, args->zero_x);
  const CudnnConv conv = describe_s8 (args, to_f32, frame);
  const CudnnPlan *plan = NULL;
  CudnnPointers p = {.x = args->x,
      .w = args->w,
      .m = args->m,
      .b = args->b,
      .r = args->r,
      .mr = &args->mr,
      .y = args->y,
      .workspace = align_up (args->scratch)};

  if (all_aligned (args->x, args->b, args->r, args->y) && kernel_cuda_aligned (args->m, 16))
    plan = kernel_cudnn_plan (queue, &args->shape, &conv, rank);
  if (!plan)
    return false;
  if (frame) {
    p.x = (char *) p.workspace + kernel_cudnn_workspace (&conv);
    run_frame (args, (void *) p.x, queue); /* a barrier, too */
  } else {
    run_barrier (queue);
  }
  kernel_cudnn_run (queue, plan, &p);
  return true;
}

static void
run_s8 (const KernelConvS8 *args, bool to_f32, int rank, KernelQueue *queue)
{
  KernelConvS8 other = *args;

  if (try_s8 (args, to_f32, rank, queue))
    return;
  other.w = (const char *) args->w + weights_s8 (&args->shape);
  kernel_conv_s8_cuda_gemm.run (&other, to_f32, queue);
}

/* --- float ---------------------------------------------------------------------------------- */

static bool
suits_f32 (const KernelConvShape *s, int sm)
{
  return !has_surplus (s) && is_there ();
}

static size_t
count_weights (const KernelConvShape *s)
{
  return (size_t) s->oc * s->kh * s->kw * (s->ic / s->groups);
}

static size_t
pack_f32 (const KernelConvShape *s, const float *w, void *packed)
{
  if (packed)
    memcpy (packed, w, count_weights (s) * sizeof *w);
  return count_weights (s) * sizeof *w;
}

/* The bound at 0 is cuDNN's; other bounds, and everything after a residual, come behind. */
static CudnnConv
describe_f32 (const KernelConvShape *s, bool relu, float hi)
{
  CudnnConv c = describe (s, false);

  c.in = c.sum = c.out = CUDNN_DATA_FLOAT;
  c.steps = CUDNN_STEP_BIAS;
  if (relu) {
    c.steps |= CUDNN_STEP_CLAMP;
    c.hi = hi;
  }
  return c;
}

static size_t
count_outputs (const KernelConvShape *s)
{
  return (size_t) s->n * s->oh * s->ow * s->oc;
}

/* cuDNN's workspace and a sum that waits for its residual, or the weights in the order of the
 * kernel that takes over. */
static size_t
scratch_f32 (const KernelConvShape *s, KernelQueue *queue)
{
  const CudnnConv conv = describe_f32 (s, false, 0);
  const size_t other = count_weights (s) * sizeof (float);
  const size_t own = kernel_cudnn_prepare (queue, s) ? round_up (kernel_cudnn_workspace (&conv)) +
                                                           count_outputs (s) * sizeof (float)
                                                     : 0;

  return ALIGN + (own > other ? own : other);
}

/* y = min (max (t + r, lo), hi); r may be NULL; V values a thread. */
template <int V>
static __global__ void
__launch_bounds__ (KERNEL_CUDA_THREADS)
    finish (const float *t, const float *r, float *y, float lo, float hi, size_t count)
{
  const size_t i = kernel_cuda_item () * V;
  float v[V], w[V];

  if (i >= count)
    return;
  load_f32<V> (v, t + i);
  if (r)
    load_f32<V> (w, r + i);
#pragma unroll
  for (int k = 0; k < V; k++)
    v[k] = kernel_clamp_f32 (r ? v[k] + w[k] : v[k], lo, hi);
  store_f32<V> (y + i, v);
}

static void
run_finish (const KernelConvF32 *args, const float *t, KernelQueue *queue)
{
  const size_t count = count_outputs (&args->shape);

  if (count % 4 == 0)
    finish<4><<<kernel_cuda_blocks (count / 4, KERNEL_CUDA_THREADS), KERNEL_CUDA_THREADS, 0,
        queue->stream>>> (t, args->r, args->y, args->lo, args->hi, count);
  else
    finish<1><<<kernel_cuda_blocks (count, KERNEL_CUDA_THREADS), KERNEL_CUDA_THREADS, 0,
        queue->stream>>> (t, args->r, args->y, args->lo, args->hi, count);
}

static bool
try_f32 (const KernelConvF32 *args, int rank, KernelQueue *queue)
{
  const bool relu = !args->r && args->lo == 0;
  const bool bounded = args->lo > -INFINITY || args->hi < INFINITY;
  const CudnnConv conv = describe_f32 (&args->shape, relu, args->hi);
  const CudnnPlan *plan = NULL;
  char *scratch = align_up (args->scratch);
  float *t = args->r ? (float *) (scratch + round_up (kernel_cudnn_workspace (&conv))) : args->y;
  const CudnnPointers p = {.x = args->x, .w = args->w, .b = args->b, .y = t, .workspace = scratch};

  if (all_aligned (args->x, args->b, args->r, args->y))
    plan = kernel_cudnn_plan (queue, &args->shape, &conv, rank);
  if (!plan)
    return false;
  run_barrier (queue);
  kernel_cudnn_run (queue, plan, &p);
  if (args->r || (bounded && !relu))
    run_finish (args, t, queue);
  return true;
}

static void
run_f32 (const KernelConvF32 *args, int rank, KernelQueue *queue)
{
  const KernelConvShape *s = &args->shape;
  KernelConvF32 other = *args;
  KernelTranspose order = {.rank = 2, .perm = {1, 0}, .x = args->w, .y = align_up (args->scratch)};

  if (try_f32 (args, rank, queue))
    return;
  order.dims[0] = s->oc;
  order.dims[1] = (int) (count_weights (s) / s->oc);
  kernel_transpose_f32_cuda (&order, queue);
  other.w = order.y;
  other.scratch = NULL; /* it is taken */
  if (kernel_conv_f32_cuda_tiles.suits (s, queue->cuda->sm))
    kernel_conv_f32_cuda_tiles.run (&other, queue);
  else
    kernel_conv_f32_cuda_plain.run (&other, queue);
}

/* --- Entries -------------------------------------------------------------------------------- */

#define S8_ENTRY(rank)                                                                             \
  static_assert (rank <= CUDNN_RANKS);                                                             \
  static void run_s8_##rank (const KernelConvS8 *args, bool to_f32, KernelQueue *queue)            \
  {                                                                                                \
    run_s8 (args, to_f32, rank, queue);                                                            \
  }                                                                                                \
  const CudaConvS8 kernel_conv_s8_cuda_cudnn_##rank = {"cudnn " #rank, suits_s8, pack_s8,          \
      scratch_s8, run_s8_##rank};

#define F32_ENTRY(rank)                                                                            \
  static_assert (rank <= CUDNN_RANKS);                                                             \
  static void run_f32_##rank (const KernelConvF32 *args, KernelQueue *queue)                       \
  {                                                                                                \
    run_f32 (args, rank, queue);                                                                   \
  }                                                                                                \
  const CudaConvF32 kernel_conv_f32_cuda_cudnn_##rank = {"cudnn " #rank, suits_f32, pack_f32,      \
      scratch_f32, run_f32_##rank};

S8_ENTRY (1)
S8_ENTRY (2)
S8_ENTRY (3)
S8_ENTRY (4)
S8_ENTRY (5)
F32_ENTRY (1)
F32_ENTRY (2)
F32_ENTRY (3)
F32_ENTRY (4)
