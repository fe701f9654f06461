/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rows.cu: softmax, layer and local response normalisation. Of the first two a warp takes a row, 32 values at a time; the lower half
 * of its threads hold the partial sums of KERNEL_ROW_LANES, so that the bytes are those of ref.
 */
#include "kernels/cuda/vector.h"
#include "kernels/float-math.h"

#define WARPS 8
#define ALL   0xffffffffu

/* The warp's row; false where there is none. */
static __device__ inline bool
own_row (size_t rows, size_t *row)
{
  *row = (size_t) blockIdx.x * WARPS + threadIdx.x / 32;
  return *row < rows;
}

static unsigned
blocks_for (size_t rows)
{
  return kernel_cuda_blocks (rows, WARPS);
}

/* A thread of the lower half adds its own term, then that of the thread 16 above it. `there`: whether
 * this thread has a term. */
static __device__ inline float
add_terms (float partial, float term, bool there)
{
  const float other = __shfl_down_sync (ALL, term, 16);
  const bool other_there = __shfl_down_sync (ALL, (int) there, 16);

  partial = there ? partial + term : partial;
  return other_there ? partial + other : partial;
}

/* To all threads. */
static __device__ inline float
row_total (float partial)
{
  for (int half = KERNEL_ROW_LANES / 2; half > 0; half /= 2)
    partial += __shfl_down_sync (ALL, partial, half);
  return __shfl_sync (ALL, partial, 0);
}

/* --- Softmax -------------------------------------------------------------------------------- */

/* Any order does: of equal values either gives the same result, and a NaN makes the row NaN through
 * the sum. */
static __device__ inline float
row_max (const float *x, int c, int lane)
{
  float max = -INFINITY;

  for (int i = lane; i < c; i += 32)
    max = x[i] > max ? x[i] : max;
  for (int step = 16; step > 0; step /= 2)
    max = fmaxf (max, __shfl_xor_sync (ALL, max, step));
  return max;
}

/* y may be x: its terms take the place of x only where x is not needed again. */
static __global__ void
__launch_bounds__ (WARPS * 32) softmax_f32 (const __grid_constant__ KernelSoftmax a)
{
  const int lane = threadIdx.x % 32;
  float partial = 0.0f;
  size_t row;

  if (!own_row (a.rows, &row))
    return;
  const float *x = a.x + row * a.c;
  float *y = a.y + row * a.c;
  const float max = row_max (x, a.c, lane);

  for (int first = 0; first < a.c; first += 32) {
    const int i = first + lane;
    const float term = i < a.c ? kernel_expf (x[i] - max) : 0.0f;

    if (i < a.c && !a.log)
      y[i] = term;
    partial = add_terms (partial, term, i < a.c);
  }

  const float sum = row_total (partial), log_sum = kernel_logf (sum);
  for (int i = lane; i < a.c; i += 32)
    y[i] = a.log ? x[i] - max - log_sum : y[i] / sum;
}

void
kernel_softmax_f32_cuda (const KernelSoftmax *args, KernelQueue *queue)
{
  softmax_f32<<<blocks_for (args->rows), WARPS * 32, 0, queue->stream>>> (*args);
}

/* --- Layer normalisation -------------------------------------------------------------------- */

/* A thread of the lower half adds the square of its own value, then that of the one 16 above it. */
static __device__ inline float
add_squares (float partial, float d, bool there)
{
  const float other = __shfl_down_sync (ALL, d, 16);
  const bool other_there = __shfl_down_sync (ALL, (int) there, 16);

  partial = there ? fmaf (d, d, partial) : partial;
  return other_there ? fmaf (other, other, partial) : partial;
}

static __global__ void
__launch_bounds__ (WARPS * 32) layernorm_f32 (const __grid_constant__ KernelLayernorm a)
{
  const int lane = threadIdx.x % 32;
  float sum = 0.0f, squares = 0.0f;
  size_t row;

  if (!own_row (a.rows, &row))
    return;
  const float *x = a.x + row * a.c;
  float *y = a.y + row * a.c;

  for (int first = 0; first < a.c; first += 32)
    sum = add_terms (sum, first + lane < a.c ? x[first + lane] : 0.0f, first + lane < a.c);
  const float mean = row_total (sum) / (float) a.c;

  for (int first = 0; first < a.c; first += 32)
    squares = add_squares (squares, first + lane < a.c ? x[first + lane] - mean : 0.0f,
        first + lane < a.c);
  const float factor = 1.0f / sqrtf (row_total (squares) / (float) a.c + a.epsilon);

  for (int i = lane; i < a.c; i += 32)
    y[i] = fmaf ((x[i] - mean) * factor, a.scale[i], a.shift[i]);
}

void
kernel_layernorm_f32_cuda (const KernelLayernorm *args, KernelQueue *queue)
{
  layernorm_f32<<<blocks_for (args->rows), WARPS * 32, 0, queue->stream>>> (*args);
}

/* --- Local response normalisation ----------------------------------------------------------- */

/* A thread takes a value: its neighbours are in the cache for those beside it. */
static __global__ void
__launch_bounds__ (KERNEL_CUDA_THREADS) lrn_f32 (const __grid_constant__ KernelLrn a)
{
  const size_t item = kernel_cuda_item ();

  if (item >= a.rows * a.c)
    return;
  const size_t row = kernel_cuda_divide (item, a.c);
  const float *x = a.x + row * a.c;
  const int i = (int) (item - row * a.c);
  const int first = i < a.before ? 0 : i - a.before;
  const int last = i + a.after < a.c ? i + a.after : a.c - 1;
  float sum = 0.0f;

  for (int k = first; k <= last; k++)
    sum = fmaf (x[k], x[k], sum);
  a.y[item] = kernel_lrn_of (x[i], fmaf (sum, a.alpha, a.bias), a.beta);
}

void
kernel_lrn_f32_cuda (const KernelLrn *args, KernelQueue *queue)
{
  lrn_f32<<<kernel_cuda_blocks (args->rows * args->c, KERNEL_CUDA_THREADS), KERNEL_CUDA_THREADS, 0,
      queue->stream>>> (*args);
}
