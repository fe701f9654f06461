/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * histogram.cu: count_f32. The first launch finds extrema and sums, and its last block makes room in the
 * bins; the second counts. Both read an activation that the convolution before has just written.
 *
 * Zeros are the most common value by far and are counted in registers. Bins of one sign are 64 KiB of
 * shared memory, which every device has: a block counts one sign.
 */
#include "kernels/cuda/cuda.h"

#define THREADS 512
#define AHEAD   4 /* loads that a thread has under way */
/* Values of a block, at the least: what it does once is then a small part. */
#define OBSERVED 8192
#define COUNTED  32768

typedef struct {
  uint32_t highest, lowest;
  unsigned long long zeros, nonfinite;
} Observed;

template <typename T, typename Merge>
static __device__ inline T
over_warp (T x, Merge merge)
{
  for (int step = 16; step > 0; step /= 2)
    x = merge (x, __shfl_xor_sync (0xffffffffu, x, step));
  return x;
}

/* Every thread has called; the first one's atomics are the block's. */
static __device__ inline void
observe_block (const Observed &own, KernelCounts *y)
{
  const auto most = [] (uint32_t a, uint32_t b) { return a > b ? a : b; };
  const auto sum = [] (unsigned long long a, unsigned long long b) { return a + b; };
  __shared__ Observed of_warp[THREADS / 32];
  const Observed warp = {over_warp (own.highest, most), over_warp (own.lowest, most),
      over_warp (own.zeros, sum), over_warp (own.nonfinite, sum)};

  if (threadIdx.x % 32 == 0)
    of_warp[threadIdx.x / 32] = warp;
  __syncthreads ();
  if (threadIdx.x > 0)
    return;
  Observed all = of_warp[0];
  for (int i = 1; i < THREADS / 32; i++)
    all = {most (all.highest, of_warp[i].highest), most (all.lowest, of_warp[i].lowest),
        all.zeros + of_warp[i].zeros, all.nonfinite + of_warp[i].nonfinite};
  atomicMax (&y->highest, all.highest);
  atomicMax (&y->lowest, all.lowest);
  atomicAdd ((unsigned long long *) &y->n_zero, all.zeros);
  atomicAdd ((unsigned long long *) &y->n_nonfinite, all.nonfinite);
}

/* By one block. A pass writes below what later passes read. */
static __device__ inline void
fold (uint64_t *bins, int folds)
{
  const int left = KERNEL_COUNT_BINS >> folds;

  for (int first = 0; first < left; first += THREADS) {
    const int j = first + (int) threadIdx.x;
    uint64_t sum = 0;

    for (int k = j << folds; j < left && k < (j + 1) << folds; k++)
      sum += bins[k];
    __syncthreads ();
    if (j < left)
      bins[j] = sum;
    __syncthreads ();
  }
  for (int j = left + (int) threadIdx.x; j < KERNEL_COUNT_BINS; j += THREADS)
    bins[j] = 0;
}

/* By the block that came last: extrema are complete. */
static __device__ inline void
make_room (KernelCounts *y, size_t size)
{
  const uint32_t range = kernel_count_range (__ldcg (&y->highest), __ldcg (&y->lowest));
  const int folds = kernel_count_folds (y->range, range);

  for (int half = 0; half < 2 && folds > 0; half++)
    fold (y->bins[half], folds);
  __syncthreads (); /* y->range has been read */
  if (threadIdx.x > 0)
    return;
  y->range = range;
  y->n += size;
  y->blocks = 0;
}

/* Thread i takes values i, i + stride ...: all of one channel. */
template <bool sums>
static __global__ void
__launch_bounds__ (THREADS)
    observe (const float *__restrict__ x, size_t size, size_t stride, int channels, KernelCounts *y)
{
  const size_t thread = kernel_cuda_item ();
  Observed own = {0, 0, 0, 0};
  uint32_t zeros = 0, nonfinite = 0; /* fewer than 2^32 a thread */
  int64_t high = 0;
  uint64_t low = 0;
  __shared__ bool is_last;

  for (size_t i = thread < stride ? thread : size; i < size; i += AHEAD * stride) {
    float value[AHEAD];

#pragma unroll
    for (int k = 0; k < AHEAD; k++)
      value[k] = i + k * stride < size ? x[i + k * stride] : 0.0f;
#pragma unroll
    for (int k = 0; k < AHEAD; k++) {
      const uint32_t bits = __float_as_uint (value[k]), key = kernel_count_key (bits);
      const bool there = i + k * stride < size;
      const bool finite = (bits & KERNEL_COUNT_INFINITY) != KERNEL_COUNT_INFINITY;

      own.highest = there && finite && key > own.highest ? key : own.highest;
      own.lowest = there && finite && ~key > own.lowest ? ~key : own.lowest;
      zeros += there && (bits & ~KERNEL_COUNT_SIGN) == 0;
      nonfinite += !finite;
      if (sums) {
        const float clamped = fminf (fmaxf (value[k], -KERNEL_COUNT_MAX_SUM), KERNEL_COUNT_MAX_SUM);
        const int64_t units = finite ? __float2ll_rn (clamped * KERNEL_COUNT_UNIT) : 0;

        high += units >> 32;
        low += (uint32_t) units;
      }
    }
  }
  if (sums && thread < stride) {
    KernelChannelCounts *channel = (KernelChannelCounts *) (y + 1) + thread % channels;

    atomicAdd ((unsigned long long *) &channel->high, (unsigned long long) high);
    atomicAdd ((unsigned long long *) &channel->low, (unsigned long long) low);
    if (nonfinite > 0)
      atomicAdd ((unsigned long long *) &channel->nonfinite, nonfinite);
  }
  own.zeros = zeros;
  own.nonfinite = nonfinite;
  observe_block (own, y);
  if (threadIdx.x == 0) {
    __threadfence (); /* this block's extrema before its ticket */
    is_last = atomicAdd (&y->blocks, 1) == gridDim.x - 1;
    __threadfence ();
  }
  __syncthreads ();
  if (is_last)
    make_room (y, size);
}

static __global__ void
__launch_bounds__ (THREADS) count (const float *__restrict__ x, size_t size, KernelCounts *y)
{
  extern __shared__ uint32_t cells[];
  const uint32_t sign = blockIdx.y == 0 ? 0 : KERNEL_COUNT_SIGN;
  /* What the extrema rule out needs no look: behind a ReLU, one half. */
  const bool any =
      blockIdx.y == 0 ? y->highest > KERNEL_COUNT_SIGN : (y->lowest & KERNEL_COUNT_SIGN) != 0;
  const size_t stride = (size_t) gridDim.x * THREADS;
  const float to_bin = kernel_count_to_bin (y->range);

  if (!any)
    return;
  for (int j = threadIdx.x; j < KERNEL_COUNT_BINS; j += THREADS)
    cells[j] = 0;
  __syncthreads ();
  for (size_t i = kernel_cuda_item (); i < size; i += AHEAD * stride) {
    uint32_t bits[AHEAD];

#pragma unroll
    for (int k = 0; k < AHEAD; k++)
      bits[k] = (i + k * stride < size ? __float_as_uint (x[i + k * stride]) : 0) ^ sign;
#pragma unroll
    for (int k = 0; k < AHEAD; k++) /* of this sign, neither zero nor infinite */
      if (bits[k] - 1 < KERNEL_COUNT_INFINITY - 1)
        atomicAdd (&cells[(int) (__uint_as_float (bits[k]) * to_bin)], 1);
  }
  __syncthreads ();
  for (int j = threadIdx.x; j < KERNEL_COUNT_BINS; j += THREADS)
    if (cells[j] > 0)
      atomicAdd ((unsigned long long *) &y->bins[blockIdx.y][j], cells[j]);
}

/* One for every `least` values, as many as are resident at once and some more. */
static unsigned
blocks_for (const KernelCount *args, size_t least, int resident, const KernelQueue *queue)
{
  const size_t wanted = (args->size + least - 1) / least;
  const size_t most = (size_t) queue->cuda->multiprocessors * resident;

  return (unsigned) (wanted < 1 ? 1 : wanted < most ? wanted : most);
}

void
kernel_count_f32_cuda (const KernelCount *args, KernelQueue *queue)
{
  const int shared = KERNEL_COUNT_BINS * sizeof (uint32_t);
  const unsigned for_channels = kernel_cuda_blocks (args->channels, THREADS);
  unsigned blocks = blocks_for (args, OBSERVED, 4, queue);

  blocks = blocks > for_channels ? blocks : for_channels;
  if (args->channels > 0)
    observe<true><<<blocks, THREADS, 0, queue->stream>>> (args->x, args->size,
        (size_t) blocks * THREADS / args->channels * args->channels, args->channels, args->y);
  else
    observe<false><<<blocks, THREADS, 0, queue->stream>>> (args->x, args->size,
        (size_t) blocks * THREADS, 0, args->y);
  kernel_cuda_check (queue, "count_f32",
      cudaFuncSetAttribute (count, cudaFuncAttributeMaxDynamicSharedMemorySize, shared));
  count<<<dim3 (blocks_for (args, COUNTED, 3, queue), 2), THREADS, shared, queue->stream>>> (
      args->x, args->size, args->y);
}
