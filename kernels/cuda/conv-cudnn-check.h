/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-cudnn-check.h: what the checks of cuDNN's plans share: memory in the order of a stream, random numbers,
 * and a plan beside conv-plain.cu, its images at either end compared byte by byte.
 */
#pragma once

#include "kernels/cuda/conv-f16.h"
#include "kernels/cuda/cudnn-plans.h"
#include "kernels/cuda/vector.h"

#define IMAGES     2 /* compared at either end of the batch */
#define MOST_TAKEN 16
#define SEED_X     0x10000001u
#define SEED_R     0x20000001u

typedef struct {
  KernelQueue queue; /* for the kernel of conv-plain.cu: only the stream is used */
  KernelConvShape shape;
  const CudnnConv *conv;
  bool to_f32;
  void *taken[MOST_TAKEN];
  int n_taken;
  cudaError_t error; /* the first */
  size_t different;  /* bytes, or floats */
} CudnnCheck;

/* --- Memory --------------------------------------------------------------------------------- */

static inline void
note (CudnnCheck *check, cudaError_t error)
{
  if (check->error == cudaSuccess)
    check->error = error;
}

/* In the order of the stream: nothing waits for it, so that other queues may be recording. */
static inline void *
take (CudnnCheck *check, size_t size)
{
  void *memory = NULL;

  if (check->n_taken == MOST_TAKEN)
    note (check, cudaErrorMemoryAllocation);
  if (check->error != cudaSuccess)
    return NULL;
  note (check, cudaMallocAsync (&memory, size > 0 ? size : 1, check->queue.stream));
  if (memory)
    check->taken[check->n_taken++] = memory;
  return memory;
}

static inline void *
take_copy (CudnnCheck *check, const void *host, size_t size)
{
  void *memory = take (check, size);

  if (memory)
    note (check, cudaMemcpyAsync (memory, host, size, cudaMemcpyHostToDevice, check->queue.stream));
  return memory;
}

/* --- Data and results ----------------------------------------------------------------------- */

/* The finaliser of MurmurHash3, which is in the public domain. */
static __host__ __device__ inline uint32_t
scramble (uint32_t i)
{
  i = (i ^ (i >> 16)) * 0x85ebca6bu;
  i = (i ^ (i >> 13)) * 0xc2b2ae35u;
  return i ^ (i >> 16);
}

static inline KernelConvShape
shape_of (const CudnnConv *c)
{
  return {.n = c->n,
      .ih = c->ih,
      .iw = c->iw,
      .ic = c->ic,
      .oh = c->oh,
      .ow = c->ow,
      .oc = c->oc,
      .kh = c->kh,
      .kw = c->kw,
      .stride_h = c->stride_h,
      .stride_w = c->stride_w,
      .dilation_h = c->dilation_h,
      .dilation_w = c->dilation_w,
      .pad_top = c->pad_top,
      .pad_left = c->pad_left,
      .groups = c->groups};
}

static inline size_t
outputs_of_image (const CudnnCheck *check)
{
  return (size_t) check->shape.oh * check->shape.ow * check->shape.oc;
}

/* --- A plan and the plain kernel ------------------------------------------------------------ */

/* Kind is what differs between the types:
 *   Args, Value                 of the kernel; of x and r
 *   random (i, seed)            the i-th of a stream of values
 *   run_plain (args, check)     conv-plain.cu
 *   factors (args)              m, or NULL
 *   residual_factor (args)      where the one of r lies */
template <class Kind>
static __global__ void
__launch_bounds__ (KERNEL_CUDA_THREADS)
    fill (typename Kind::Value *x, size_t first, size_t count, uint32_t seed)
{
  const size_t i = kernel_cuda_item ();

  if (i < count)
    x[i] = Kind::random (first + i, seed);
}

template <class Kind>
static void
run_fill (const CudnnCheck *check, const void *x, size_t first, size_t count, uint32_t seed)
{
  if (x)
    fill<Kind><<<kernel_cuda_blocks (count, KERNEL_CUDA_THREADS), KERNEL_CUDA_THREADS, 0,
        check->queue.stream>>> ((typename Kind::Value *) x, first, count, seed);
}

static __global__ void
__launch_bounds__ (KERNEL_CUDA_THREADS) count_different (const uint8_t *a, const uint8_t *b,
    size_t count, unsigned long long *different)
{
  const size_t i = kernel_cuda_item ();

  if (i < count && a[i] != b[i])
    atomicAdd (different, 1);
}

/* The images first ... by the plain kernel against those of args.y. */
template <class Kind>
static void
compare (CudnnCheck *check, typename Kind::Args args, int first, int images, bool with_r,
    unsigned long long *different)
{
  const size_t element = check->to_f32 ? sizeof (float) : sizeof (typename Kind::Value);
  const size_t one = outputs_of_image (check), bytes = images * one * element;
  const uint8_t *y = (const uint8_t *) args.y + first * one * element;

  args.shape.n = images;
  args.x += (size_t) first * args.shape.ih * args.shape.iw * args.shape.ic;
  args.y = (decltype (args.y)) take (check, bytes);
  if (with_r) {
    args.r = (const typename Kind::Value *) take (check, images * one * sizeof *args.r);
    run_fill<Kind> (check, args.r, first * one, images * one, SEED_R);
  }
  if (check->error != cudaSuccess)
    return;
  Kind::run_plain (&args, check);
  count_different<<<kernel_cuda_blocks (bytes, KERNEL_CUDA_THREADS), KERNEL_CUDA_THREADS, 0,
      check->queue.stream>>> (y, (const uint8_t *) args.y, bytes, different);
}

/* w is in the plan's order. Plans overwrite their residual, which engines have them do too. */
template <class Kind>
static void
run_both (CudnnCheck *check, cudnnHandle_t handle, const CudnnPlan *plan, typename Kind::Args args,
    const void *w)
{
  const KernelConvShape *s = &check->shape;
  const bool with_r = check->conv->steps & CUDNN_STEP_RESIDUAL;
  const size_t count = s->n * outputs_of_image (check);
  const size_t size = count * (check->to_f32 ? sizeof (float) : sizeof (typename Kind::Value));
  const int images = s->n < IMAGES ? s->n : IMAGES;
  unsigned long long *different = (unsigned long long *) take (check, sizeof *different), found = 0;
  CudnnPointers p = {.x = args.x,
      .w = w,
      .m = Kind::factors (args),
      .b = args.b,
      .mr = Kind::residual_factor (args)};

  args.y = (decltype (args.y)) take (check, size);
  p.r = p.y = args.y;
  p.workspace = take (check, plan->workspace);
  if (check->error != cudaSuccess)
    return;
  note (check, cudaMemsetAsync (different, 0, sizeof *different, check->queue.stream));
  note (check, cudaMemsetAsync (args.y, 0x55, size, check->queue.stream));
  if (with_r)
    run_fill<Kind> (check, args.y, 0, count, SEED_R);
  if (kernel_cudnn_plan_run (plan, handle, &p) != CUDNN_STATUS_SUCCESS)
    note (check, cudaErrorLaunchFailure);
  compare<Kind> (check, args, 0, images, with_r, different);
  if (s->n > images)
    compare<Kind> (check, args, s->n - images, images, with_r, different);
  note (check, cudaGetLastError ());
  note (check, cudaMemcpyAsync (&found, different, sizeof found, cudaMemcpyDeviceToHost,
                   check->queue.stream));
  note (check, cudaStreamSynchronize (check->queue.stream));
  check->different = found;
}

/* The two checks: bytes that differ, or the first error, in `check`. */
void kernel_cudnn_check_s8 (CudnnCheck *check, cudnnHandle_t handle, const CudnnPlan *plan);
void kernel_cudnn_check_f16 (CudnnCheck *check, cudnnHandle_t handle, const CudnnPlan *plan);
