/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * softmax.cu: a block takes a row. All but the sum is parallel; the sum runs in ascending order, in
 * one thread, which keeps the bytes of ref: a thousand dependent additions are two microseconds.
 */
#include "kernels/cuda/cuda.h"
#include "kernels/float-math.h"

#define THREADS 256
#define PART    1024 /* terms in shared memory at once */

/* Any order does: of equal values either gives the same result, and a NaN makes the row NaN through
 * the sum. */
static __device__ inline float
row_max (const float *x, int c)
{
  __shared__ float partial[THREADS / 32];
  float max = -INFINITY;

  for (int i = threadIdx.x; i < c; i += THREADS)
    max = x[i] > max ? x[i] : max;
  for (int step = 16; step > 0; step /= 2)
    max = fmaxf (max, __shfl_xor_sync (0xffffffffu, max, step));
  if (threadIdx.x % 32 == 0)
    partial[threadIdx.x / 32] = max;
  __syncthreads ();
  max = partial[0];
  for (int i = 1; i < THREADS / 32; i++)
    max = fmaxf (max, partial[i]);
  return max;
}

/* y may be x: its terms take the place of x only where x is not needed again. */
static __global__ void
__launch_bounds__ (THREADS) softmax_f32 (const __grid_constant__ KernelSoftmax a)
{
  __shared__ float terms[PART], total;
  const float *x = a.x + (size_t) blockIdx.x * a.c;
  float *y = a.y + (size_t) blockIdx.x * a.c;
  const float max = row_max (x, a.c);
  float sum = 0.0f;

  for (int first = 0; first < a.c; first += PART) {
    const int count = a.c - first < PART ? a.c - first : PART;

    for (int i = threadIdx.x; i < count; i += THREADS) {
      terms[i] = kernel_expf (x[first + i] - max);
      if (!a.log)
        y[first + i] = terms[i];
    }
    __syncthreads ();
    if (threadIdx.x == 0) {
#pragma unroll 16
      for (int i = 0; i < count; i++)
        sum += terms[i];
      total = sum;
    }
    __syncthreads ();
  }
  sum = total;

  const float log_sum = kernel_logf (sum);
  for (int i = threadIdx.x; i < a.c; i += THREADS)
    y[i] = a.log ? x[i] - max - log_sum : y[i] / sum;
}

void
kernel_softmax_f32_cuda (const KernelSoftmax *args, KernelQueue *queue)
{
  softmax_f32<<<(unsigned) args->rows, THREADS, 0, queue->stream>>> (*args);
}
