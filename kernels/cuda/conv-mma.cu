/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-mma.cu: the kernels of conv-mma.cuh and their launch.
 */
#include "kernels/cuda/conv-mma.h"
#include "kernels/cuda/conv-mma.cuh"

template <int bm, int wm, int wn, int kb, int stages, int unit, int split>
static __global__ void __launch_bounds__ (32 * wm * wn)
    conv_mma (const __grid_constant__ ConvParams p)
{
#if __CUDA_ARCH__ >= 800
  using Tile = Mma<bm, wm, wn, kb, stages, unit, split>;
  extern __shared__ __align__ (1024) uint8_t ring[];
  __shared__ float4 m[16 * wn], b[16 * wn];
  const int lane = threadIdx.x % 32, warp_m = threadIdx.x / 32 / wn, warp_n = threadIdx.x / 32 % wn;
  const int n_tiles = (p.n_blocks + wn - 1) / wn, tile = blockIdx.x / split;
  const int n_block = tile % n_tiles * wn, first = tile / n_tiles * bm;
  const int rank = blockIdx.x % split, share = (p.k_blocks + split - 1) / split;
  int acc[Tile::tiles][8][4] = {};

  conv_let_next_start ();
  conv_load_factors ((float *) m, (float *) b, p, n_block * 64, 64 * wn);
  Tile::accumulate (acc, p, first, n_block, rank * share, min (p.k_blocks, (rank + 1) * share),
      conv_shared_address (ring));
  if constexpr (split > 1) {
    mma_reduce<split> (acc, ring, rank, [&] (int row, int quad, const int (&sum)[4]) {
      const int place = quad % 4 * 4 + quad / 4;

      mma_store_quad (p, sum, m[place], b[place], first + row < p.pixels ? first + row : -1,
          n_block * 64 + quad * 4);
    });
  } else {
    __syncthreads (); /* factors: there may have been no iteration */
    int pixel[Tile::tiles * 2];

#pragma unroll
    for (int i = 0; i < Tile::tiles * 2; i++) {
      pixel[i] = first + warp_m * (bm / wm) + i * 8 + lane / 4;
      pixel[i] = pixel[i] < p.pixels ? pixel[i] : -1;
    }
    mma_store (p, pixel, (n_block + warp_n) * 64 + lane % 4 * 16, m + warp_n * 16 + lane % 4,
        b + warp_n * 16 + lane % 4,
        [&] (int i, int j) { return acc[i / 2][j / 2][i % 2 * 2 + j % 2]; });
  }
#endif
}

template <int bm, int wm, int wn, int kb, int stages, int unit, int split>
static void
launch (const ConvParams *p, KernelQueue *queue)
{
  using Tile = Mma<bm, wm, wn, kb, stages, unit, split>;
  const unsigned tiles = kernel_cuda_blocks (p->pixels, bm) * kernel_cuda_blocks (p->n_blocks, wn);
  void *arguments[] = {(void *) p};

  kernel_conv_launch (queue, (const void *) conv_mma<bm, wm, wn, kb, stages, unit, split>,
      tiles * split, Tile::threads, Tile::shared, split, arguments);
}

/* kb and stages: a ring of at most 96 KiB, so that two blocks share a multiprocessor of 227 KiB and
 * one fits everywhere. */
template <int bm, int wm, int wn, int unit>
static void
launch_kb (const ConvParams *p, int kb, KernelQueue *queue)
{
  constexpr int stages = bm * wn >= 256 ? 3 : 4;

  if (kb == 64)
    launch<bm, wm, wn, 64, 4, unit, 1> (p, queue);
  else
    launch<bm, wm, wn, 128, stages, unit, 1> (p, queue);
}

template <int split>
static void
launch_split (const ConvParams *p, int kb, KernelQueue *queue)
{
  if (kb == 64)
    launch<64, 4, 1, 64, 6, 16, split> (p, queue);
  else
    launch<64, 4, 1, 128, 5, 16, split> (p, queue);
}

/* Bytes of a copy that x allows. */
static int
find_unit (const KernelConvS8 *args)
{
  int unit = 16;

  while (unit > 1 && (args->shape.ic % unit || !kernel_cuda_aligned (args->x, unit)))
    unit /= 2;
  return unit == 2 ? 1 : unit;
}

void
kernel_conv_mma_run (const KernelConvS8 *args, bool to_f32, ConvMmaTile tile, KernelQueue *queue)
{
  const ConvParams p = kernel_conv_params (args, to_f32);
  const int kb = kernel_conv_blocks (&args->shape).kb, unit = find_unit (args);

  if (unit < 16) {
    if (unit == 8)
      launch_kb<64, 4, 1, 8> (&p, kb, queue);
    else if (unit == 4)
      launch_kb<64, 4, 1, 4> (&p, kb, queue);
    else
      launch_kb<64, 4, 1, 1> (&p, kb, queue);
    return;
  }
  if (queue->cuda->sm < 90 && tile > CONV_MMA_64X64)
    tile = CONV_MMA_64X64;
  switch (tile) {
  case CONV_MMA_128X128:
    launch_kb<128, 4, 2, 16> (&p, kb, queue);
    break;
  case CONV_MMA_128X64:
    launch_kb<128, 4, 1, 16> (&p, kb, queue);
    break;
  case CONV_MMA_64X64:
    launch_kb<64, 4, 1, 16> (&p, kb, queue);
    break;
  case CONV_MMA_SPLIT2:
    launch_split<2> (&p, kb, queue);
    break;
  case CONV_MMA_SPLIT4:
    launch_split<4> (&p, kb, queue);
    break;
  case CONV_MMA_SPLIT8:
    launch_split<8> (&p, kb, queue);
    break;
  }
}
