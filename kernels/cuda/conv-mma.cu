/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-mma.cu: the kernels of conv-mma.cuh and their launch, of int8 with int32 sums or of halves with float
 * sums, whose channels of x are counted in bytes.
 */
#include "kernels/cuda/conv-mma.h"
#include "kernels/cuda/conv-f16.h"
#include "kernels/cuda/conv-mma.cuh"

#include <type_traits>

/* Four neighbouring outputs of halves; pixel -1: none. */
[[maybe_unused]] static __device__ __forceinline__ void
store_quad_f16 (const ConvParams &p, const float (&sum)[4], int pixel, int channel)
{
  const size_t at = (size_t) pixel * p.oc + channel;

#pragma unroll
  for (int i = 0; i < 4; i++) {
    if (pixel < 0 || channel + i >= p.oc)
      return;
    float t = sum[i] + p.b[channel + i];

    if (p.r)
      t += kernel_half_to_f32 (((const KernelHalf *) p.r)[at + i]);
    ((KernelHalf *) p.y)[at + i] = kernel_half_of_f32 (kernel_clamp_f32 (t, p.lo, p.hi));
  }
}

template <typename Sum, int bm, int wm, int wn, int kb, int stages, int unit, int split>
static __global__ void __launch_bounds__ (32 * wm * wn)
    conv_mma (const __grid_constant__ ConvParams p)
{
#if __CUDA_ARCH__ >= 800
  using Tile = Mma<bm, wm, wn, kb, stages, unit, split>;
  constexpr bool halves = std::is_same_v<Sum, float>;
  extern __shared__ __align__ (1024) uint8_t ring[];
  __shared__ float4 m[halves ? 1 : 16 * wn], b[halves ? 1 : 16 * wn];
  const int lane = threadIdx.x % 32, warp_m = threadIdx.x / 32 / wn, warp_n = threadIdx.x / 32 % wn;
  const int n_tiles = (p.n_blocks + wn - 1) / wn, tile = blockIdx.x / split;
  const int n_block = tile % n_tiles * wn, first = tile / n_tiles * bm;
  const int rank = blockIdx.x % split, share = (p.k_blocks + split - 1) / split;
  Sum acc[Tile::tiles][8][4] = {};

  conv_let_next_start ();
  if constexpr (!halves)
    conv_load_factors ((float *) m, (float *) b, p, n_block * 64, 64 * wn);
  Tile::accumulate (acc, p, first, n_block, rank * share, min (p.k_blocks, (rank + 1) * share),
      conv_shared_address (ring));
  if constexpr (split > 1) {
    mma_reduce<split> (acc, ring, rank, [&] (int row, int quad, const Sum (&sum)[4]) {
      const int pixel = first + row < p.pixels ? first + row : -1;
      const int channel = n_block * 64 + quad * 4, place = quad % 4 * 4 + quad / 4;

      if constexpr (halves)
        store_quad_f16 (p, sum, pixel, channel);
      else
        mma_store_quad (p, sum, m[place], b[place], pixel, channel);
    });
  } else {
    const int channel = (n_block + warp_n) * 64 + lane % 4 * 16;
    const auto get = [&] (int i, int j) { return acc[i / 2][j / 2][i % 2 * 2 + j % 2]; };
    int pixel[Tile::tiles * 2];

    __syncthreads (); /* factors: there may have been no iteration */
#pragma unroll
    for (int i = 0; i < Tile::tiles * 2; i++) {
      pixel[i] = first + warp_m * (bm / wm) + i * 8 + lane / 4;
      pixel[i] = pixel[i] < p.pixels ? pixel[i] : -1;
      if constexpr (halves)
        conv_store_f16 (p, pixel[i], channel, [&] (int j) { return get (i, j); });
    }
    if constexpr (!halves)
      mma_store (p, pixel, channel, m + warp_n * 16 + lane % 4, b + warp_n * 16 + lane % 4, get);
  }
#endif
}

template <typename Sum, int bm, int wm, int wn, int kb, int stages, int unit, int split>
static void
launch (const ConvParams *p, KernelQueue *queue)
{
  using Tile = Mma<bm, wm, wn, kb, stages, unit, split>;
  const unsigned tiles = kernel_cuda_blocks (p->pixels, bm) * kernel_cuda_blocks (p->n_blocks, wn);
  void *arguments[] = {(void *) p};

  kernel_conv_launch (queue, (const void *) conv_mma<Sum, bm, wm, wn, kb, stages, unit, split>,
      tiles * split, Tile::threads, Tile::shared, split, arguments);
}

/* kb and stages: a ring of at most 96 KiB, so that two blocks share a multiprocessor of 227 KiB and
 * one fits everywhere. */
template <typename Sum, int bm, int wm, int wn, int unit>
static void
launch_kb (const ConvParams *p, int kb, KernelQueue *queue)
{
  constexpr int stages = bm * wn >= 256 ? 3 : 4;

  if (kb == 64)
    launch<Sum, bm, wm, wn, 64, 4, unit, 1> (p, queue);
  else
    launch<Sum, bm, wm, wn, 128, stages, unit, 1> (p, queue);
}

template <typename Sum, int split>
static void
launch_split (const ConvParams *p, int kb, KernelQueue *queue)
{
  if (kb == 64)
    launch<Sum, 64, 4, 1, 64, 6, 16, split> (p, queue);
  else
    launch<Sum, 64, 4, 1, 128, 5, 16, split> (p, queue);
}

/* Bytes of a copy that x allows. */
static int
find_unit (const ConvParams *p)
{
  int unit = 16;

  while (unit > 1 && (p->ic % unit || !kernel_cuda_aligned (p->x, unit)))
    unit /= 2;
  return unit == 2 ? 1 : unit;
}

template <typename Sum>
static void
run (const ConvParams *p, int kb, ConvMmaTile tile, KernelQueue *queue)
{
  const int unit = find_unit (p);

  if (unit < 16) {
    if (unit == 8)
      launch_kb<Sum, 64, 4, 1, 8> (p, kb, queue);
    else if (unit == 4)
      launch_kb<Sum, 64, 4, 1, 4> (p, kb, queue);
    else
      launch_kb<Sum, 64, 4, 1, 1> (p, kb, queue);
    return;
  }
  if (queue->cuda->sm < 90 && tile > CONV_MMA_64X64)
    tile = CONV_MMA_64X64;
  switch (tile) {
  case CONV_MMA_128X128:
    launch_kb<Sum, 128, 4, 2, 16> (p, kb, queue);
    break;
  case CONV_MMA_64X64:
    launch_kb<Sum, 64, 4, 1, 16> (p, kb, queue);
    break;
  case CONV_MMA_SPLIT2:
    launch_split<Sum, 2> (p, kb, queue);
    break;
  case CONV_MMA_SPLIT4:
    launch_split<Sum, 4> (p, kb, queue);
    break;
  case CONV_MMA_SPLIT8:
    launch_split<Sum, 8> (p, kb, queue);
    break;
  }
}

void
kernel_conv_mma_run (const KernelConvS8 *args, bool to_f32, ConvMmaTile tile, KernelQueue *queue)
{
  const ConvParams p = kernel_conv_params (args, to_f32);

  run<int> (&p, kernel_conv_blocks (&args->shape).kb, tile, queue);
}

void
kernel_conv_mma_run_f16 (const KernelConvF16 *args, ConvMmaTile tile, KernelQueue *queue)
{
  const KernelConvShape s = kernel_conv_shape_in_bytes (&args->shape);
  const ConvParams p = kernel_conv_params_f16 (args);

  run<float> (&p, kernel_conv_blocks (&s).kb, tile, queue);
}
