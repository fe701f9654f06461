/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-cudnn-check.h: what the checks of cuDNN's plans share: memory in the order of a stream, random numbers,
 * and counting bytes that differ.
 */
#pragma once

#include "kernels/cuda/conv-f16.h"
#include "kernels/cuda/cudnn-plans.h"
#include "kernels/cuda/vector.h"

#define IMAGES     2 /* compared at either end of the batch */
#define MOST_TAKEN 16

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

static __global__ void
__launch_bounds__ (KERNEL_CUDA_THREADS) count_different (const uint8_t *a, const uint8_t *b,
    size_t count, unsigned long long *different)
{
  const size_t i = kernel_cuda_item ();

  if (i < count && a[i] != b[i])
    atomicAdd (different, 1);
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

/* The two checks: bytes that differ, or the first error, in `check`. */
void kernel_cudnn_check_s8 (CudnnCheck *check, cudnnHandle_t handle, const CudnnPlan *plan);
void kernel_cudnn_check_f16 (CudnnCheck *check, cudnnHandle_t handle, const CudnnPlan *plan);
