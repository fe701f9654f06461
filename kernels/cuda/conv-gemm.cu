/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-gemm.cu: convolutions on tensor cores as entries of conv.cu. "gemm" chooses a kernel for the
 * shape and n when it runs; the others are for whoever times them. All have the weights of
 * conv-blocks.h, so that the choice may depend on n.
 */
#include "kernels/cuda/conv-gemm.h"
#include "kernels/cuda/conv-mma.h"
#include "kernels/cuda/conv-patch.h"
#include "kernels/cuda/conv-stem.h"
#include "kernels/cuda/conv-wgmma.h"

static int
count_tiles (const KernelConvShape *s, int pixels, int channels)
{
  return (int) (kernel_cuda_blocks ((size_t) s->n * s->oh * s->ow, pixels) *
                kernel_cuda_blocks (s->oc, channels));
}

/* How many blocks may share out k, so that they fill the device: 1, where k is too short for it. */
static ConvMmaTile
choose_mma (const KernelConvShape *s, const CudaBackend *cuda)
{
  const int tiles = count_tiles (s, 64, 64);

  if (cuda->sm >= 90 && kernel_conv_blocks (s).k_blocks >= 12 && tiles * 2 <= cuda->multiprocessors)
    return tiles * 8 <= cuda->multiprocessors   ? CONV_MMA_SPLIT8
           : tiles * 4 <= cuda->multiprocessors ? CONV_MMA_SPLIT4
                                                : CONV_MMA_SPLIT2;
  if (s->oc > 64 && count_tiles (s, 128, 128) >= cuda->multiprocessors)
    return CONV_MMA_128X128;
  return CONV_MMA_64X64;
}

/* On Hopper: the largest tiles that occupy it. */
static ConvWgmmaTile
choose_wgmma (const KernelConvShape *s, const CudaBackend *cuda)
{
  if (s->oc <= 64)
    return CONV_WGMMA_128X64;
  return count_tiles (s, 192, 128) >= cuda->multiprocessors ? CONV_WGMMA_192X128
                                                            : CONV_WGMMA_128X64;
}

static void
run_best (const KernelConvS8 *args, bool to_f32, KernelQueue *queue)
{
  const KernelConvShape *s = &args->shape;
  const ConvMmaTile tile = choose_mma (s, queue->cuda);

  if (!to_f32 && s->oc <= 64 && kernel_conv_patch_suits (s, queue->cuda->sm) &&
      kernel_conv_patch_run (args,
          count_tiles (s, 128, 64) >= 4 * queue->cuda->multiprocessors ? CONV_PATCH_4_OF_128X64
                                                                       : CONV_PATCH_4_OF_64X64,
          queue))
    return;

  if (to_f32 || tile >= CONV_MMA_SPLIT2 || !kernel_conv_wgmma_suits (s, queue->cuda->sm) ||
      !kernel_conv_wgmma_run (args, choose_wgmma (s, queue->cuda), queue))
    kernel_conv_mma_run (args, to_f32, tile, queue);
}

static bool
suits_mma (const KernelConvShape *s, int sm)
{
  return sm >= 80 && s->groups == 1;
}

static bool
suits_split (const KernelConvShape *s, int sm)
{
  return sm >= 90 && s->groups == 1 && kernel_conv_blocks (s).k_blocks >= 8;
}

#define ENTRY(id, title, fits, way)                                                                \
  const CudaConvS8 kernel_conv_s8_cuda_##id = {title, fits, kernel_conv_blocks_pack, NULL, way};

#define MMA(id, title, fits, tile)                                                                 \
  static void run_##id (const KernelConvS8 *args, bool to_f32, KernelQueue *queue)                 \
  {                                                                                                \
    kernel_conv_mma_run (args, to_f32, tile, queue);                                               \
  }                                                                                                \
  ENTRY (id, title, fits, run_##id)

/* What it does not do, float or pointers that TMA refuses, the other kernels do. */
#define WGMMA(id, title, tile)                                                                     \
  static void run_##id (const KernelConvS8 *args, bool to_f32, KernelQueue *queue)                 \
  {                                                                                                \
    if (to_f32 || !kernel_conv_wgmma_run (args, tile, queue))                                      \
      run_best (args, to_f32, queue);                                                              \
  }                                                                                                \
  ENTRY (id, title, kernel_conv_wgmma_suits, run_##id)

#define PATCH(id, title, tile)                                                                     \
  static void run_##id (const KernelConvS8 *args, bool to_f32, KernelQueue *queue)                 \
  {                                                                                                \
    if (to_f32 || !kernel_conv_patch_run (args, tile, queue))                                      \
      run_best (args, to_f32, queue);                                                              \
  }                                                                                                \
  ENTRY (id, title, kernel_conv_patch_suits, run_##id)

ENTRY (gemm, "gemm", suits_mma, run_best)
MMA (mma_128x128, "mma 128x128", suits_mma, CONV_MMA_128X128)
MMA (mma_64x64, "mma 64x64", suits_mma, CONV_MMA_64X64)
MMA (mma_split2, "mma 64x64, k by 2", suits_split, CONV_MMA_SPLIT2)
MMA (mma_split4, "mma 64x64, k by 4", suits_split, CONV_MMA_SPLIT4)
MMA (mma_split8, "mma 64x64, k by 8", suits_split, CONV_MMA_SPLIT8)
WGMMA (wgmma_256x128, "wgmma 256x128", CONV_WGMMA_256X128)
WGMMA (wgmma_192x128, "wgmma 192x128", CONV_WGMMA_192X128)
WGMMA (wgmma_128x256, "wgmma 128x256", CONV_WGMMA_128X256)
WGMMA (wgmma_128x128, "wgmma 128x128", CONV_WGMMA_128X128)
WGMMA (wgmma_128x64, "wgmma 128x64", CONV_WGMMA_128X64)
WGMMA (wgmma_2x128x128, "wgmma 2 of 128x128", CONV_WGMMA_2_OF_128X128)
WGMMA (wgmma_2x64x256, "wgmma 2 of 64x256", CONV_WGMMA_2_OF_64X256)
WGMMA (wgmma_2x128x64, "wgmma 2 of 128x64", CONV_WGMMA_2_OF_128X64)
PATCH (patch_4x128x64, "patch 4 of 128x64", CONV_PATCH_4_OF_128X64)
PATCH (patch_4x64x64, "patch 4 of 64x64", CONV_PATCH_4_OF_64X64)
PATCH (patch_3x64x128, "patch 3 of 64x128", CONV_PATCH_3_OF_64X128)

const CudaConvS8 kernel_conv_s8_cuda_stem = {
    "stem", kernel_conv_stem_suits, kernel_conv_stem_pack, NULL, kernel_conv_stem_run};
