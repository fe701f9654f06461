/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-narrow.cu: 1x1 convolutions of few channels, int8, where moving x and y is nearly all there is to
 * do and tiles of 64 channels would be half empty: those that expand and project in networks like
 * MobileNet. Compute capability 8.0 on.
 *
 * x and y are matrices whose rows lie side by side, so that 32 pixels are one piece of memory, whatever
 * the channels: 16-byte copies in, 16-byte stores out. A warp has a ring of two such pieces of x and takes
 * tile after tile on its own; all weights stay in shared memory. The k of one mma is 32 bytes of a pixel,
 * in an order in which a lane's two words are neighbours: beyond x's channels they are the next pixel's,
 * and the weights are zero. Residuals come into the buffer that y is made in.
 *
 * A lane keeps the whole k of its pixels: 8 registers each 32 channels of x.
 */
#include "kernels/cuda/conv-gemm.h"
#include "kernels/cuda/conv-mma.cuh"

#include <string.h>

#define ROWS      32 /* pixels of a warp's tile: two mma */
#define WARPS     8  /* of a block, at most */
#define MAX_STEPS 6  /* of 32 channels of x */
#define MAX_OC    192
#define BEYOND    32 /* bytes behind a tile of x that are read and count nothing */
#define STAGES    2
#define FEWEST    8 /* tiles for each multiprocessor */

/* Packed weights: [16 channels][step][lane][4 words]. Lane 4 g + t has bytes 8 t .. 8 t + 7 of the step
 * for channel 4 (g / 2) + g % 2, then for the one two behind it, so that the lanes 0 .. 3 of a row end up
 * with four neighbouring channels each. */
typedef struct {
  ConvParams p;
  int tiles, groups;       /* of 32 pixels; of 16 channels of y */
  bool aligned_x, aligned; /* by 16: x; r and y */
  unsigned x_size, y_size; /* bytes of a tile in shared memory */
  unsigned factors, warps; /* offsets in shared memory; weights begin at 0 */
  unsigned warp_size;
} NarrowParams;

/* --- Tiles between memory and shared memory ------------------------------------------------------ */

[[maybe_unused]] static __device__ __forceinline__ void
fetch (uint8_t *to, const int8_t *from, int bytes, bool aligned)
{
  const int lane = threadIdx.x % 32;

  if (aligned) {
    for (int i = lane * 16; i < bytes; i += 32 * 16)
      asm volatile(
          "cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(conv_shared_address (to + i)),
          "l"(from + i), "r"(min (16, bytes - i))
          : "memory");
    return;
  }
  for (int i = lane; i < bytes; i += 32)
    to[i] = (uint8_t) from[i];
}

[[maybe_unused]] static __device__ __forceinline__ void
put (int8_t *to, const uint8_t *from, int bytes, bool aligned)
{
  const int lane = threadIdx.x % 32, whole = aligned ? bytes / 16 * 16 : 0;

  for (int i = lane * 16; i < whole; i += 32 * 16)
    *(uint4 *) (to + i) = *(const uint4 *) (from + i);
  for (int i = whole + lane; i < bytes; i += 32)
    to[i] = (int8_t) from[i];
}

/* What a warp has in shared memory. */
typedef struct {
  uint8_t *x, *y; /* rings of STAGES; y is one tile where there is no residual */
  unsigned x_size, y_size;
} Rings;

/* x's tile and the residual's, as one group of copies; none beyond the last. */
[[maybe_unused]] static __device__ __forceinline__ void
fetch_tile (const NarrowParams &q, const Rings &rings, int tile, int stage)
{
  const ConvParams &p = q.p;
  const size_t first = (size_t) tile * ROWS;

  if (tile < q.tiles) {
    const int rows = min (ROWS, p.pixels - (int) first);

    fetch (rings.x + stage * q.x_size, p.x + first * p.ic, rows * p.ic, q.aligned_x);
    if (p.r)
      fetch (rings.y + stage * q.y_size, p.r + first * p.oc, rows * p.oc, q.aligned);
  }
  asm volatile("cp.async.commit_group;" ::: "memory");
}

/* --- The product --------------------------------------------------------------------------------- */

template <int steps>
static __device__ __forceinline__ void
load_pixels (uint32_t (&a)[2][steps][4], const uint8_t *x, int ic)
{
  const int lane = threadIdx.x % 32;

#pragma unroll
  for (int i = 0; i < 4; i++) {
    const uint8_t *from = x + (i * 8 + lane / 4) * ic + lane % 4 * 8;

#pragma unroll
    for (int step = 0; step < steps; step++) {
      const uint2 two = *(const uint2 *) (from + step * 32);

      a[i / 2][step][i % 2] = two.x;
      a[i / 2][step][i % 2 + 2] = two.y;
    }
  }
}

/* Four channels of a lane's four pixels: `acc` is of two mma a pixel's row. */
[[maybe_unused]] static __device__ __forceinline__ void
finish (const NarrowParams &q, const int (&acc)[2][2][4], uint8_t *y, int tile, int channel,
    float4 m, float4 b)
{
  const ConvParams &p = q.p;
  const int row = threadIdx.x % 32 / 4;

  if (channel >= p.oc)
    return;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const int (&one)[2][4] = acc[i / 2];
    const int v[4] = {one[0][i % 2 * 2], one[0][i % 2 * 2 + 1], one[1][i % 2 * 2],
        one[1][i % 2 * 2 + 1]};
    const int pixel = tile * ROWS + row + i * 8;
    uint32_t *at = (uint32_t *) (y + (row + i * 8) * p.oc + channel);

    if (p.to_f32)
      mma_store_quad (p, v, m, b, pixel < p.pixels ? pixel : -1, channel);
    else if (p.r)
      *at = conv_requant<true> (v, m, b, *at, p.mr, p.lo, p.hi);
    else
      *at = conv_requant<false> (v, m, b, 0, 0, p.lo, p.hi);
  }
}

template <int steps>
static __device__ __forceinline__ void
multiply_tile (const NarrowParams &q, const uint8_t *memory, const uint8_t *x, uint8_t *y, int tile)
{
  const int lane = threadIdx.x % 32;
  const uint4 *w = (const uint4 *) memory + lane;
  const float4 *m = (const float4 *) (memory + q.factors) + lane % 4, *b = m + q.groups * 4;
  uint32_t a[2][steps][4];

  load_pixels<steps> (a, x, q.p.ic);
  for (int group = 0; group < q.groups; group++) {
    int acc[2][2][4] = {};

#pragma unroll
    for (int step = 0; step < steps; step++, w += 32) {
      const uint4 v = *w;

#pragma unroll
      for (int i = 0; i < 2; i++) {
        mma_multiply (acc[i][0], a[i][step], v.x, v.y);
        mma_multiply (acc[i][1], a[i][step], v.z, v.w);
      }
    }
    finish (q, acc, y, tile, group * 16 + lane % 4 * 4, m[group * 4], b[group * 4]);
  }
}

template <int steps>
static __global__ void __launch_bounds__ (32 * WARPS, steps == 1   ? 4
                                                      : steps <= 3 ? 3
                                                                   : 2)
    conv_narrow (const __grid_constant__ NarrowParams q)
{
#if __CUDA_ARCH__ >= 800
  extern __shared__ __align__ (128) uint8_t memory[];
  const ConvParams &p = q.p;
  const int warp = threadIdx.x / 32, warps = blockDim.x / 32, stride = gridDim.x * warps;
  float *m = (float *) (memory + q.factors), *b = m + q.groups * 16;
  const Rings rings = {memory + q.warps + warp * q.warp_size,
      memory + q.warps + warp * q.warp_size + STAGES * q.x_size, q.x_size, q.y_size};
  int tile = blockIdx.x * warps + warp;

  conv_let_next_start ();
  for (int i = threadIdx.x; i < q.groups * steps * 32; i += blockDim.x)
    ((uint4 *) memory)[i] = ((const uint4 *) p.w)[i];
  for (int i = threadIdx.x; i < q.groups * 16; i += blockDim.x) {
    m[i] = i < p.oc ? p.m[i] : 0.0f;
    b[i] = i < p.oc ? p.b[i] : 0.0f;
  }
  conv_wait_for_inputs ();
#pragma unroll
  for (int i = 0; i < STAGES; i++)
    fetch_tile (q, rings, tile + i * stride, i);
  __syncthreads ();
  for (int stage = 0; tile < q.tiles; tile += stride, stage = (stage + 1) % STAGES) {
    const size_t first = (size_t) tile * ROWS;
    uint8_t *y = rings.y + (p.r ? stage * q.y_size : 0);

    asm volatile("cp.async.wait_group %0;" ::"n"(STAGES - 1) : "memory");
    __syncwarp ();
    multiply_tile<steps> (q, memory, rings.x + stage * q.x_size, y, tile);
    __syncwarp ();
    if (!p.to_f32)
      put ((int8_t *) p.y + first * p.oc, y, min (ROWS, p.pixels - (int) first) * p.oc, q.aligned);
    __syncwarp ();
    fetch_tile (q, rings, tile + STAGES * stride, stage);
  }
#endif
}

/* --- On the host ---------------------------------------------------------------------------------- */

static int
count_steps (const KernelConvShape *s)
{
  return (s->ic + 31) / 32;
}

static int
count_groups (const KernelConvShape *s)
{
  return (s->oc + 15) / 16;
}

/* Others have tiles of 64 channels, and copies of 16 bytes a pixel. */
static bool
suits (const KernelConvShape *s, int sm)
{
  const bool matrix = s->groups == 1 && s->kh == 1 && s->kw == 1 && s->stride_h == 1 &&
                      s->stride_w == 1 && s->oh == s->ih && s->ow == s->iw;

  return sm >= 80 && matrix && s->ic % 8 == 0 && s->oc % 4 == 0 && s->ic <= 32 * MAX_STEPS &&
         s->oc <= MAX_OC && (s->ic <= 32 || s->oc <= 32) && (int64_t) s->ih * s->iw >= 64;
}

static size_t
size_of_weights (const KernelConvShape *s)
{
  return (size_t) count_groups (s) * count_steps (s) * 32 * 16;
}

static size_t
pack (const KernelConvShape *s, int8_t zero_x, const int8_t *w, void *packed)
{
  const int steps = count_steps (s);
  const size_t size = size_of_weights (s);
  int8_t *to = (int8_t *) packed;

  if (!packed)
    return size;
  memset (to, 0, size);
  for (int oc = 0; oc < s->oc; oc++) {
    const int c = oc % 16, g = c / 4 * 2 + c % 2, second = c / 2 % 2;

    for (int ic = 0; ic < s->ic; ic++) {
      const int lane = g * 4 + ic % 32 / 8;
      const size_t at = ((size_t) (oc / 16) * steps + ic / 32) * 32 + lane;

      to[at * 16 + second * 8 + ic % 8] = w[(size_t) oc * s->ic + ic];
    }
  }
  return size;
}

static unsigned
plan (NarrowParams *q, int steps, int warps)
{
  q->x_size = ROWS * q->p.ic + BEYOND;
  q->y_size = ROWS * q->p.oc;
  q->factors = q->groups * steps * 32 * 16;
  q->warps = q->factors + q->groups * 16 * 8;
  q->warp_size = STAGES * q->x_size + (q->p.r ? STAGES : 1) * q->y_size;
  return q->warps + warps * q->warp_size;
}

static int
count_tiles (const KernelConvShape *s)
{
  return (int) kernel_cuda_blocks ((size_t) s->n * s->oh * s->ow, ROWS);
}

static void
run (const KernelConvS8 *args, bool to_f32, KernelQueue *queue)
{
  static const void *const kernels[MAX_STEPS] = {(const void *) conv_narrow<1>,
      (const void *) conv_narrow<2>, (const void *) conv_narrow<3>, (const void *) conv_narrow<4>,
      (const void *) conv_narrow<5>, (const void *) conv_narrow<6>};
  const int steps = count_steps (&args->shape), most = 4 * queue->cuda->multiprocessors;
  NarrowParams q = {};
  void *arguments[] = {&q};
  int warps = WARPS, blocks;
  unsigned shared;

  q.p = kernel_conv_params (args, to_f32);
  if (to_f32)
    q.p.r = NULL;
  q.tiles = count_tiles (&args->shape);
  q.groups = count_groups (&args->shape);
  q.aligned_x = kernel_cuda_aligned (args->x, 16);
  q.aligned = kernel_cuda_aligned (args->y, 16) && kernel_cuda_aligned (args->r, 16);
  shared = plan (&q, steps, warps);
  while (warps > 1 && (int) shared > queue->cuda->shared_memory / 2)
    shared = plan (&q, steps, warps /= 2);
  blocks = (int) kernel_cuda_blocks (q.tiles, warps);
  kernel_conv_launch (queue, kernels[steps - 1], blocks < most ? blocks : most, 32 * warps, shared,
      1, arguments);
}

/* --- Entries ------------------------------------------------------------------------------------ */

/* Of a few images there are too few tiles of all channels to fill the device: those "gemm" takes, whose
 * weights lie behind the others. */
static size_t
pack_both (const KernelConvShape *s, int8_t zero_x, const int8_t *w, void *packed)
{
  const size_t own = pack (s, zero_x, w, packed);

  return own + kernel_conv_s8_cuda_gemm.pack (s, zero_x, w, packed ? (char *) packed + own : NULL);
}

static void
run_either (const KernelConvS8 *args, bool to_f32, KernelQueue *queue)
{
  KernelConvS8 other = *args;

  if (count_tiles (&args->shape) >= FEWEST * queue->cuda->multiprocessors) {
    run (args, to_f32, queue);
    return;
  }
  other.w = (const char *) args->w + size_of_weights (&args->shape);
  kernel_conv_s8_cuda_gemm.run (&other, to_f32, queue);
}

const CudaConvS8 kernel_conv_s8_cuda_narrow_or_gemm = {"narrow or gemm", suits, pack_both, NULL,
    run_either};
const CudaConvS8 kernel_conv_s8_cuda_narrow = {"narrow", suits, pack, NULL, run};
