/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * limits.cu: what the device can do at the most: loops that do nothing but multiply, or nothing but
 * copy. Operands are random bytes: with zeros a chip takes less power and clocks higher than any
 * network lets it.
 */
#include "kernels/cuda/conv-mma.cuh"
#include "kernels/cuda/conv-wgmma.cuh"

#include <type_traits>

#define LOOPS     4000
#define MULTIPLY  16 /* products of a loop */
#define BYTES     ((size_t) 512 << 20)
#define ROUNDS    5 /* the fastest counts: other work only ever adds time */
#define BLOCKS_SM 4 /* blocks a multiprocessor that copy or add */
#define COPIES    4 /* loads of a thread under way */

static __device__ uint32_t
random_word (uint32_t i)
{
  i = (i ^ 61) ^ i >> 16;
  i *= 9;
  i ^= i >> 4;
  i *= 0x27d4eb2d;
  return i ^ i >> 15;
}

/* Four random bytes, or two halves of both signs between 0.5 and 2: no sum overflows in a loop. */
template <typename Sum>
static __device__ uint32_t
random_operand (uint32_t i)
{
  const uint32_t word = random_word (i);

  return std::is_same_v<Sum, int> ? word : (word & 0x87ff87ffu) + 0x38003800u;
}

/* --- Loops ---------------------------------------------------------------------------------- */

#define WGMMA_THREADS 512
#define WGMMA_BYTES   ((64 + 128) * 128) /* a: 64 pixels, b: 128 channels, 128 bytes each */

/* Four warpgroups multiply the same two tiles in shared memory. */
template <typename Sum>
static __global__ void
__launch_bounds__ (WGMMA_THREADS) multiply_wgmma (Sum *out)
{
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__ (1024) uint32_t tiles[];
  const uint32_t a = (uint32_t) __cvta_generic_to_shared (tiles), b = a + 64 * 128;
  Sum d[64] = {0}, sum = 0;

  for (int i = threadIdx.x; i < WGMMA_BYTES / 4; i += WGMMA_THREADS)
    tiles[i] = random_operand<Sum> (i);
  store_fence ();
  __syncthreads ();
  for (int loop = 0; loop < LOOPS; loop++) {
    wgmma_fence ();
#pragma unroll
    for (int k = 0; k < MULTIPLY; k++)
      wgmma (d, matrix<128> (a + k % 4 * 32), matrix<128> (b + k % 4 * 32), 1);
    wgmma_commit ();
    wgmma_wait<0> ();
  }
  for (int i = 0; i < 64; i++)
    sum += d[i];
  out[kernel_cuda_item ()] = sum;
#endif
}

template <typename Sum>
static __global__ void
multiply_mma (Sum *out)
{
#if __CUDA_ARCH__ >= 800
  const uint32_t thread = (uint32_t) kernel_cuda_item ();
  const uint32_t a[4] = {random_operand<Sum> (thread), random_operand<Sum> (thread + 1),
      random_operand<Sum> (thread + 2), random_operand<Sum> (thread + 3)};
  const uint32_t b0 = random_operand<Sum> (thread + 4), b1 = random_operand<Sum> (thread + 5);
  Sum d[MULTIPLY][4] = {{0}}, sum = 0;

  for (int loop = 0; loop < LOOPS; loop++)
#pragma unroll
    for (int k = 0; k < MULTIPLY; k++)
      mma_multiply (d[k], a, b0, b1);
  for (int k = 0; k < MULTIPLY; k++)
    sum += d[k][0] + d[k][1] + d[k][2] + d[k][3];
  out[thread] = sum;
#endif
}

static __global__ void
add_products (float *out)
{
  const uint32_t thread = (uint32_t) kernel_cuda_item ();
  const float x = 1e-3f * (float) (random_word (thread) & 0xff), y = 0.5f;
  float d[MULTIPLY] = {0}, sum = 0;

  for (int loop = 0; loop < LOOPS; loop++)
#pragma unroll
    for (int k = 0; k < MULTIPLY; k++)
      d[k] = fmaf (d[k], y, x);
  for (int k = 0; k < MULTIPLY; k++)
    sum += d[k];
  out[thread] = sum;
}

static __global__ void
fill (uint32_t *x, size_t words)
{
  for (size_t i = kernel_cuda_item (); i < words; i += (size_t) gridDim.x * blockDim.x)
    x[i] = random_word ((uint32_t) i);
}

static __global__ void
copy (const uint4 *x, uint4 *y, size_t items)
{
  const size_t step = (size_t) gridDim.x * blockDim.x;

  for (size_t i = kernel_cuda_item (); i < items; i += COPIES * step) {
    uint4 v[COPIES];

#pragma unroll
    for (int k = 0; k < COPIES; k++)
      v[k] = i + k * step < items ? x[i + k * step] : make_uint4 (0, 0, 0, 0);
#pragma unroll
    for (int k = 0; k < COPIES; k++)
      if (i + k * step < items)
        y[i + k * step] = v[k];
  }
}

/* --- Timing --------------------------------------------------------------------------------- */

typedef void (*Launch) (KernelQueue *queue, void *memory);

template <typename Sum>
static void
launch_wgmma (KernelQueue *queue, void *memory)
{
  multiply_wgmma<<<queue->cuda->multiprocessors, WGMMA_THREADS, WGMMA_BYTES, queue->stream>>> (
      (Sum *) memory);
}

template <typename Sum>
static void
launch_mma (KernelQueue *queue, void *memory)
{
  multiply_mma<<<BLOCKS_SM * queue->cuda->multiprocessors, 256, 0, queue->stream>>> (
      (Sum *) memory);
}

static void
launch_add (KernelQueue *queue, void *memory)
{
  add_products<<<BLOCKS_SM * queue->cuda->multiprocessors, 256, 0, queue->stream>>> (
      (float *) memory);
}

static void
launch_copy (KernelQueue *queue, void *memory)
{
  copy<<<BLOCKS_SM * queue->cuda->multiprocessors, 512, 0, queue->stream>>> ((const uint4 *) memory,
      (uint4 *) memory + BYTES / sizeof (uint4), BYTES / sizeof (uint4));
}

/* Seconds of the fastest of some launches; 0 when one failed, which the queue tells. */
static double
fastest (KernelQueue *queue, Launch launch, void *memory, const cudaEvent_t events[2])
{
  float best = 0, ms;

  for (int round = 0; round <= ROUNDS; round++) {
    cudaEventRecord (events[0], queue->stream);
    launch (queue, memory);
    cudaEventRecord (events[1], queue->stream);
    kernel_cuda_check (queue, "measuring limits", cudaGetLastError ());
    kernel_cuda_check (queue, "measuring limits", cudaStreamSynchronize (queue->stream));
    if (queue->failure[0] != '\0' ||
        cudaEventElapsedTime (&ms, events[0], events[1]) != cudaSuccess)
      return 0;
    best = round == 1 || (round > 1 && ms < best) ? ms : best; /* round 0 warms up */
  }
  return 1e-3 * best;
}

static double
rate (double amount, double seconds)
{
  return seconds > 0 ? amount / seconds : 0;
}

/* Operations a second of the tensor cores: an instruction has k values of 32 bytes. */
template <typename Sum>
static double
measure_products (KernelQueue *queue, void *memory, const cudaEvent_t events[2], int k)
{
  const double steps = 2.0 * k * LOOPS * MULTIPLY * queue->cuda->multiprocessors;

  if (queue->cuda->sm == 90)
    return rate (steps * (WGMMA_THREADS / 128) * 64 * 128,
        fastest (queue, launch_wgmma<Sum>, memory, events));
  return rate (steps * BLOCKS_SM * (256 / 32) * 16 * 8,
      fastest (queue, launch_mma<Sum>, memory, events));
}

static void
measure (KernelQueue *queue, void *memory, const cudaEvent_t events[2], KernelLimits *limits)
{
  const double steps = (double) LOOPS * MULTIPLY * queue->cuda->multiprocessors;
  const bool wgmma = queue->cuda->sm == 90;

  fill<<<BLOCKS_SM * queue->cuda->multiprocessors, 512, 0, queue->stream>>> ((uint32_t *) memory,
      BYTES / 4);
  limits->bytes = rate (2.0 * BYTES, fastest (queue, launch_copy, memory, events));
  limits->fp32 = rate (steps * BLOCKS_SM * 256 * 2, fastest (queue, launch_add, memory, events));
  limits->fp32_instruction = "fma";
  if (queue->cuda->sm < 80)
    return;
  limits->int8 = measure_products<int> (queue, memory, events, 32);
  limits->int8_instruction = wgmma ? "wgmma m64n128k32" : "mma m16n8k32";
  limits->fp16 = measure_products<float> (queue, memory, events, 16);
  limits->fp16_instruction = wgmma ? "wgmma m64n128k16" : "mma m16n8k16";
}

bool
kernel_cuda_limits (KernelQueue *queue, KernelLimits *limits)
{
  cudaEvent_t events[2] = {NULL, NULL};
  void *memory = NULL;

  *limits = (KernelLimits){0};
  if (!kernel_cuda_enter (queue->cuda, queue))
    return false;
  kernel_cuda_check (queue, "1 GiB for measuring limits", cudaMalloc (&memory, 2 * BYTES));
  for (int i = 0; i < 2; i++)
    kernel_cuda_check (queue, "events for measuring limits", cudaEventCreate (&events[i]));
  if (queue->failure[0] == '\0')
    measure (queue, memory, events, limits);
  for (int i = 0; i < 2 && events[i]; i++)
    cudaEventDestroy (events[i]);
  cudaFree (memory);
  (void) cudaGetLastError ();
  kernel_cuda_leave (queue->cuda);
  return queue->failure[0] == '\0';
}
