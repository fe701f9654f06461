/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-f16.cu: convolutions of halves with float sums on tensor cores, as entries of conv.cu: the tiles
 * of conv-mma.cuh and of conv-wgmma.cu. All have the weights of conv-blocks.h, in which a half is two
 * channels of bytes, so that "gemm" may choose by n.
 */
#include "kernels/cuda/conv-f16.h"
#include "kernels/cuda/conv-gemm.h"
#include "kernels/cuda/conv-mma.cuh"
#include "kernels/cuda/conv-mma.h"
#include "kernels/cuda/conv-wgmma.h"

#include <math.h>
#include <stdlib.h>

/* --- Tiles ---------------------------------------------------------------------------------- */

/* Four neighbouring outputs. */
[[maybe_unused]] static __device__ __forceinline__ void
store_quad (const ConvParams &p, int pixel, int channel, const float (&sum)[4])
{
  const size_t at = (size_t) pixel * p.oc + channel;

#pragma unroll
  for (int i = 0; i < 4; i++) {
    if (channel + i >= p.oc)
      return;
    float t = sum[i] + p.b[channel + i];

    if (p.r)
      t += kernel_half_to_f32 (((const KernelHalf *) p.r)[at + i]);
    ((KernelHalf *) p.y)[at + i] = kernel_half_of_f32 (kernel_clamp_f32 (t, p.lo, p.hi));
  }
}

template <int bm, int wm, int wn, int kb, int stages, int unit, int split>
static __global__ void __launch_bounds__ (32 * wm * wn)
    conv_tiles (const __grid_constant__ ConvParams p)
{
#if __CUDA_ARCH__ >= 800
  using Tile = Mma<bm, wm, wn, kb, stages, unit, split>;
  extern __shared__ __align__ (1024) uint8_t ring[];
  const int lane = threadIdx.x % 32, warp_m = threadIdx.x / 32 / wn, warp_n = threadIdx.x / 32 % wn;
  const int n_tiles = (p.n_blocks + wn - 1) / wn, tile = blockIdx.x / split;
  const int n_block = tile % n_tiles * wn, first = tile / n_tiles * bm;
  const int rank = blockIdx.x % split, share = (p.k_blocks + split - 1) / split;
  const int channel = (n_block + warp_n) * 64 + lane % 4 * 16;
  float acc[Tile::tiles][8][4] = {};

  conv_let_next_start ();
  Tile::accumulate (acc, p, first, n_block, rank * share, min (p.k_blocks, (rank + 1) * share),
      conv_shared_address (ring));
  if constexpr (split > 1) {
    mma_reduce<split> (acc, ring, rank, [&] (int row, int quad, const float (&sum)[4]) {
      if (first + row < p.pixels)
        store_quad (p, first + row, n_block * 64 + quad * 4, sum);
    });
  } else {
#pragma unroll
    for (int i = 0; i < Tile::tiles * 2; i++) {
      const int pixel = first + warp_m * (bm / wm) + i * 8 + lane / 4;

      conv_store_f16 (p, pixel < p.pixels ? pixel : -1, channel,
          [&] (int j) { return acc[i / 2][j / 2][i % 2 * 2 + j % 2]; });
    }
  }
#endif
}

template <int bm, int wm, int wn, int kb, int stages, int unit, int split>
static void
launch (const ConvParams *p, KernelQueue *queue)
{
  const unsigned tiles = kernel_cuda_blocks (p->pixels, bm) * kernel_cuda_blocks (p->n_blocks, wn);
  void *arguments[] = {(void *) p};

  kernel_conv_launch (queue, (const void *) conv_tiles<bm, wm, wn, kb, stages, unit, split>,
      tiles * split, 32 * wm * wn, Mma<bm, wm, wn, kb, stages, unit, split>::shared, split,
      arguments);
}

/* Rings as in conv-mma.cu. */
template <int bm, int wm, int wn, int unit>
static void
launch_kb (const ConvParams *p, int kb, KernelQueue *queue)
{
  if (kb == 64)
    launch<bm, wm, wn, 64, 4, unit, 1> (p, queue);
  else
    launch<bm, wm, wn, 128, bm * wn >= 256 ? 3 : 4, unit, 1> (p, queue);
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

/* The nearest tile that the device and x's alignment allow. */
static void
run_mma (const KernelConvF16 *args, ConvMmaTile tile, KernelQueue *queue)
{
  const KernelConvShape s = kernel_conv_shape_in_bytes (&args->shape);
  const ConvParams p = kernel_conv_params_f16 (args);
  const int kb = kernel_conv_blocks (&s).kb;

  if (s.ic % 16 != 0 || !kernel_cuda_aligned (args->x, 16)) {
    if (s.ic % 4 == 0 && kernel_cuda_aligned (args->x, 4))
      launch_kb<64, 4, 1, 4> (&p, kb, queue);
    else
      launch_kb<64, 4, 1, 1> (&p, kb, queue);
    return;
  }
  if (queue->cuda->sm < 90) /* shared memory; clusters */
    tile = CONV_MMA_64X64;
  switch (tile) {
  case CONV_MMA_128X128:
  case CONV_MMA_128X64:
    launch_kb<128, 4, 2, 16> (&p, kb, queue);
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

/* --- The choice ----------------------------------------------------------------------------- */

/* As in conv-gemm.cu: a product takes what it takes there, a store twice as long. */
/* clang-format off */
static const ConvCandidate candidates[] = {
    {CONV_WGMMA, CONV_WGMMA_192X128,     192, 128, 1, 1,  810,  810,  7000,  7500},
    {CONV_WGMMA, CONV_WGMMA_256X128,     256, 128, 1, 1, 1080, 1080,  9700, 10500},
    {CONV_WGMMA, CONV_WGMMA_128X256,     128, 256, 1, 1, 1080, 1080,  9600, 10500},
    {CONV_WGMMA, CONV_WGMMA_2_OF_128X64, 128,  64, 2, 1,  430, 1000,  5300,  5500},
    {CONV_WGMMA, CONV_WGMMA_128X64,      128,  64, 2, 1,  410, 1000,  5300,  6500},
    {CONV_MMA,   CONV_MMA_64X64,          64,  64, 3, 1,  700, 1400,  5000,  6700},
    {CONV_MMA,   CONV_MMA_128X128,       128, 128, 1, 1, 2000, 2000,  8900, 14400},
    {CONV_SPLIT, CONV_MMA_SPLIT2,         64,  64, 2, 2,  640, 1100,  5700,  5700},
    {CONV_SPLIT, CONV_MMA_SPLIT4,         64,  64, 2, 4,  640, 1100,  5700,  5700},
    {CONV_SPLIT, CONV_MMA_SPLIT8,         64,  64, 2, 8,  640, 1100,  5700,  5700},
};
/* clang-format on */

static bool
run_candidate (const ConvCandidate *c, const KernelConvF16 *args, KernelQueue *queue)
{
  if (c->kind == CONV_WGMMA)
    return kernel_conv_wgmma_suits_f16 (&args->shape, queue->cuda->sm) &&
           kernel_conv_wgmma_run_f16 (args, (ConvWgmmaTile) c->tile, queue);
  if (c->kind == CONV_SPLIT && queue->cuda->sm < 90)
    return false;
  run_mma (args, (ConvMmaTile) c->tile, queue);
  return true;
}

/* The quickest by that table that can. */
static void
run_best (const KernelConvF16 *args, KernelQueue *queue)
{
  const KernelConvShape s = kernel_conv_shape_in_bytes (&args->shape);
  constexpr int count = sizeof candidates / sizeof *candidates;
  bool tried[count] = {};

  for (;;) {
    float least = INFINITY;
    int best = 0;

    for (int i = 0; i < count; i++) {
      const float cycles = kernel_conv_estimate (&candidates[i], &s, args->r, queue->cuda);

      if (!tried[i] && cycles < least) {
        least = cycles;
        best = i;
      }
    }
    tried[best] = true;
    if (run_candidate (&candidates[best], args, queue))
      return;
  }
}

/* --- Entries -------------------------------------------------------------------------------- */

static bool
suits_mma (const KernelConvShape *s, int sm)
{
  return sm >= 80 && s->groups == 1 && s->ic <= INT32_MAX / 2;
}

static bool
suits_split (const KernelConvShape *s, int sm)
{
  const KernelConvShape bytes = kernel_conv_shape_in_bytes (s);

  return sm >= 90 && suits_mma (s, sm) && kernel_conv_blocks (&bytes).k_blocks >= 8;
}

static size_t
pack (const KernelConvShape *shape, const float *w, void *packed)
{
  const KernelConvShape s = kernel_conv_shape_in_bytes (shape);
  const size_t count = (size_t) s.oc * s.kh * s.kw * shape->ic;
  KernelHalf *half = packed ? (KernelHalf *) malloc (count * sizeof *half) : NULL;
  size_t size;

  for (size_t i = 0; half && i < count; i++)
    half[i] = kernel_half_of_f32 (w[i]);
  size = kernel_conv_blocks_pack (&s, 0, (const int8_t *) half, half ? packed : NULL);
  free (half);
  return packed && !half ? 0 : size;
}

#define ENTRY(id, title, fits, way)                                                                \
  const CudaConvF16 kernel_conv_f16_cuda_##id = {title, fits, pack, NULL, way};

#define MMA_ENTRY(id, title, fits, tile)                                                           \
  static void run_##id (const KernelConvF16 *args, KernelQueue *queue)                             \
  {                                                                                                \
    run_mma (args, tile, queue);                                                                   \
  }                                                                                                \
  ENTRY (id, title, fits, run_##id)

/* Pointers that TMA refuses the other kernels take. */
#define WGMMA_ENTRY(id, title, tile)                                                               \
  static void run_##id (const KernelConvF16 *args, KernelQueue *queue)                             \
  {                                                                                                \
    if (!kernel_conv_wgmma_run_f16 (args, tile, queue))                                            \
      run_best (args, queue);                                                                      \
  }                                                                                                \
  ENTRY (id, title, kernel_conv_wgmma_suits_f16, run_##id)

ENTRY (gemm, "gemm", suits_mma, run_best)
MMA_ENTRY (mma_128x128, "mma 128x128", suits_mma, CONV_MMA_128X128)
MMA_ENTRY (mma_64x64, "mma 64x64", suits_mma, CONV_MMA_64X64)
MMA_ENTRY (mma_split2, "mma 64x64, k by 2", suits_split, CONV_MMA_SPLIT2)
MMA_ENTRY (mma_split4, "mma 64x64, k by 4", suits_split, CONV_MMA_SPLIT4)
MMA_ENTRY (mma_split8, "mma 64x64, k by 8", suits_split, CONV_MMA_SPLIT8)
WGMMA_ENTRY (wgmma_256x128, "wgmma 256x128", CONV_WGMMA_256X128)
WGMMA_ENTRY (wgmma_192x128, "wgmma 192x128", CONV_WGMMA_192X128)
WGMMA_ENTRY (wgmma_128x256, "wgmma 128x256", CONV_WGMMA_128X256)
WGMMA_ENTRY (wgmma_128x128, "wgmma 128x128", CONV_WGMMA_128X128)
WGMMA_ENTRY (wgmma_128x64, "wgmma 128x64", CONV_WGMMA_128X64)
WGMMA_ENTRY (wgmma_2x128x128, "wgmma 2 of 128x128", CONV_WGMMA_2_OF_128X128)
WGMMA_ENTRY (wgmma_2x64x256, "wgmma 2 of 64x256", CONV_WGMMA_2_OF_64X256)
WGMMA_ENTRY (wgmma_2x128x64, "wgmma 2 of 128x64", CONV_WGMMA_2_OF_128X64)
