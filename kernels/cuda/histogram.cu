/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * histogram.cu: count_f32. The first launch finds extrema and sums, and its last block makes room in the
 * bins; the second counts. Both read an activation that the convolution before has just written.
 *
 * Zeros are the most common value by far and are counted in registers. Bins of one sign are 64 KiB of
 * shared memory, which every device has: a block counts one sign. Whatever goes to the state is brought
 * together in a block before: many atomics on few addresses take longer than all else.
 */
#include "kernels/cuda/cuda.h"

#define OBSERVERS 512 /* threads of a block that observes, and of one that counts */
#define COUNTERS  1024
#define AHEAD     8 /* loads that a thread has under way */

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
  __shared__ Observed of_warp[OBSERVERS / 32];
  const Observed warp = {over_warp (own.highest, most), over_warp (own.lowest, most),
      over_warp (own.zeros, sum), over_warp (own.nonfinite, sum)};

  if (threadIdx.x % 32 == 0)
    of_warp[threadIdx.x / 32] = warp;
  __syncthreads ();
  if (threadIdx.x > 0)
    return;
  Observed all = of_warp[0];
  for (int i = 1; i < OBSERVERS / 32; i++)
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

  for (int first = 0; first < left; first += OBSERVERS) {
    const int j = first + (int) threadIdx.x;
    uint64_t sum = 0;

    for (int k = j << folds; j < left && k < (j + 1) << folds; k++)
      sum += bins[k];
    __syncthreads ();
    if (j < left)
      bins[j] = sum;
    __syncthreads ();
  }
  for (int j = left + (int) threadIdx.x; j < KERNEL_COUNT_BINS; j += OBSERVERS)
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

/* What a thread has seen of its channel. */
typedef struct {
  int64_t high;
  uint64_t low;
  uint32_t zeros, nonfinite; /* fewer than 2^32 a thread */
} Sums;

template <bool sums>
static __device__ inline void
look (float value, Observed *own, Sums *sum)
{
  const uint32_t bits = __float_as_uint (value), key = kernel_count_key (bits);
  const bool finite = (bits & KERNEL_COUNT_INFINITY) != KERNEL_COUNT_INFINITY;

  own->highest = finite && key > own->highest ? key : own->highest;
  own->lowest = finite && ~key > own->lowest ? ~key : own->lowest;
  sum->zeros += value == 0;
  sum->nonfinite += !finite;
  if (sums) {
    const float clamped = fminf (fmaxf (value, -KERNEL_COUNT_MAX_SUM), KERNEL_COUNT_MAX_SUM);
    const int64_t units = finite ? __float2ll_rn (clamped * KERNEL_COUNT_UNIT) : 0;

    sum->high += units >> 32;
    sum->low += (uint32_t) units;
  }
}

static __device__ inline void
add_to_channel (KernelCounts *y, int channel, int64_t high, uint64_t low)
{
  KernelChannelCounts *to = (KernelChannelCounts *) (y + 1) + channel;

  atomicAdd ((unsigned long long *) &to->high, (unsigned long long) high);
  atomicAdd ((unsigned long long *) &to->low, (unsigned long long) low);
}

/* Of a block whose threads 0, channels, 2 channels ... have the first channel, and so on. */
static __device__ inline void
add_block (KernelCounts *y, int channels, int threads, const Sums &own)
{
  __shared__ int64_t high[OBSERVERS];
  __shared__ uint64_t low[OBSERVERS];
  Sums all = {};

  high[threadIdx.x] = own.high;
  low[threadIdx.x] = own.low;
  __syncthreads ();
  if ((int) threadIdx.x >= channels)
    return;
  for (int i = threadIdx.x; i < threads; i += channels) {
    all.high += high[i];
    all.low += low[i];
  }
  add_to_channel (y, threadIdx.x, all.high, all.low);
}

/* Where a thread begins: `threads` of a block take part, and all in steps of `stride`, a multiple of the
 * channels. So are the threads of a block, unless it has fewer than there are channels. */
typedef struct {
  int channels, threads;
  size_t stride;
} Walk;

template <bool sums>
static __global__ void
__launch_bounds__ (OBSERVERS)
    observe (const float *__restrict__ x, size_t size, Walk walk, KernelCounts *y)
{
  const size_t stride = walk.stride;
  const size_t first = (size_t) blockIdx.x * walk.threads + threadIdx.x;
  const bool takes_part = (int) threadIdx.x < walk.threads && first < stride;
  size_t i = takes_part ? first : size;
  Observed own = {};
  Sums sum = {};
  float value[AHEAD];
  __shared__ bool is_last;

  for (; i + (AHEAD - 1) * stride < size; i += AHEAD * stride) {
#pragma unroll
    for (int k = 0; k < AHEAD; k++)
      value[k] = x[i + k * stride];
#pragma unroll
    for (int k = 0; k < AHEAD; k++)
      look<sums> (value[k], &own, &sum);
  }
#pragma unroll
  for (int k = 0; k < AHEAD; k++)
    value[k] = i + k * stride < size ? x[i + k * stride] : 0.0f;
#pragma unroll
  for (int k = 0; k < AHEAD; k++)
    if (i + k * stride < size)
      look<sums> (value[k], &own, &sum);

  if (sums) {
    const int channel =
        (int) ((unsigned) first % (unsigned) walk.channels); /* a stride has few values */

    if (takes_part && sum.nonfinite > 0)
      atomicAdd ((unsigned long long *) &((KernelChannelCounts *) (y + 1))[channel].nonfinite,
          sum.nonfinite);
    if (walk.channels <= OBSERVERS)
      add_block (y, walk.channels, walk.threads, sum);
    else if (takes_part)
      add_to_channel (y, channel, sum.high, sum.low);
  }
  own.zeros = sum.zeros;
  own.nonfinite = sum.nonfinite;
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
__launch_bounds__ (COUNTERS) count (const float *__restrict__ x, size_t size, KernelCounts *y)
{
  extern __shared__ uint32_t cells[];
  const uint32_t sign = blockIdx.y == 0 ? 0 : KERNEL_COUNT_SIGN;
  /* What the extrema rule out needs no look: behind a ReLU, one half. */
  const bool any =
      blockIdx.y == 0 ? y->highest > KERNEL_COUNT_SIGN : (y->lowest & KERNEL_COUNT_SIGN) != 0;
  const size_t stride = (size_t) gridDim.x * COUNTERS;
  const float to_bin = kernel_count_to_bin (y->range);

  if (!any)
    return;
  for (int j = threadIdx.x; j < KERNEL_COUNT_BINS; j += COUNTERS)
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
  for (int j = threadIdx.x; j < KERNEL_COUNT_BINS; j += COUNTERS)
    if (cells[j] > 0)
      atomicAdd ((unsigned long long *) &y->bins[blockIdx.y][j], cells[j]);
}

/* Each for AHEAD values a thread, but no more than `resident` on a multiprocessor: what a block does once
 * would then be most of its work. */
static unsigned
blocks_for (const KernelCount *args, int threads, int resident, const KernelQueue *queue)
{
  const size_t wanted = (args->size + threads * AHEAD - 1) / (threads * AHEAD);
  const size_t most = (size_t) queue->cuda->multiprocessors * resident;

  return (unsigned) (wanted < 1 ? 1 : wanted < most ? wanted : most);
}

static void
launch_observe (const KernelCount *args, KernelQueue *queue)
{
  const int channels = args->channels > 0 ? args->channels : 1;
  const int threads = channels <= OBSERVERS ? OBSERVERS / channels * channels : OBSERVERS;
  const unsigned for_channels = kernel_cuda_blocks (channels, threads);
  const unsigned for_size = blocks_for (args, threads, 3, queue);
  const unsigned blocks = for_size > for_channels ? for_size : for_channels;
  const Walk walk = {channels, threads, (size_t) blocks * threads / channels * channels};

  if (args->channels > 0)
    observe<true><<<blocks, OBSERVERS, 0, queue->stream>>> (args->x, args->size, walk, args->y);
  else
    observe<false><<<blocks, OBSERVERS, 0, queue->stream>>> (args->x, args->size, walk, args->y);
}

void
kernel_count_f32_cuda (const KernelCount *args, KernelQueue *queue)
{
  const int shared = KERNEL_COUNT_BINS * sizeof (uint32_t);

  launch_observe (args, queue);
  kernel_cuda_check (queue, "count_f32",
      cudaFuncSetAttribute (count, cudaFuncAttributeMaxDynamicSharedMemorySize, shared));
  count<<<dim3 (blocks_for (args, COUNTERS, 1, queue), 2), COUNTERS, shared, queue->stream>>> (
      args->x, args->size, args->y);
}
