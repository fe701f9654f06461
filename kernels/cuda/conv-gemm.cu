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

#include <math.h>

/* --- The choice ----------------------------------------------------------------------------- */

/* Measured on an H100 at 256, 8 and 1 images of ResNet-50. */
/* clang-format off */
static const ConvCandidate candidates[] = {
    {CONV_WGMMA, CONV_WGMMA_192X128,     192, 128, 1, 1,  810,  810, 5000, 5000},
    {CONV_WGMMA, CONV_WGMMA_256X128,     256, 128, 1, 1, 1080, 1080, 6900, 6900},
    {CONV_WGMMA, CONV_WGMMA_128X256,     128, 256, 1, 1, 1080, 1080, 6800, 6800},
    {CONV_WGMMA, CONV_WGMMA_2_OF_128X64, 128,  64, 2, 1,  430, 1000, 3900, 2900},
    {CONV_WGMMA, CONV_WGMMA_128X64,      128,  64, 2, 1,  410, 1000, 3900, 3900},
    {CONV_PATCH, CONV_PATCH_4_OF_128X64, 112,  64, 4, 1,  400, 1150, 5000, 5000},
    {CONV_PATCH, CONV_PATCH_4_OF_64X64,   56,  64, 4, 1,  225,  450, 4600, 4600},
    {CONV_MMA,   CONV_MMA_64X64,          64,  64, 3, 1,  700, 1400, 2700, 2700},
    {CONV_MMA,   CONV_MMA_128X128,       128, 128, 1, 1, 2000, 2000, 6000, 6000},
    {CONV_SPLIT, CONV_MMA_SPLIT2,         64,  64, 2, 2,  640, 1100, 5700, 5700},
    {CONV_SPLIT, CONV_MMA_SPLIT4,         64,  64, 2, 4,  640, 1100, 5700, 5700},
    {CONV_SPLIT, CONV_MMA_SPLIT8,         64,  64, 2, 8,  640, 1100, 5700, 5700},
};
/* clang-format on */

float
kernel_conv_estimate (const ConvCandidate *c, const KernelConvShape *s, bool with_r,
    const CudaBackend *cuda)
{
  const ConvBlocks blocks = kernel_conv_blocks (s);
  const int k = (blocks.k_blocks + c->shares - 1) / c->shares;
  const double tiles = (double) kernel_cuda_blocks ((size_t) s->n * s->oh * s->ow, c->pixels) *
                       kernel_cuda_blocks (s->oc, c->channels) * c->shares;
  const double each = tiles / cuda->multiprocessors; /* tiles on a multiprocessor */
  const float per_k = each <= 0.5 ? c->alone : each <= 1 ? (c->alone + c->crowded) / 2 : c->crowded;
  const float fixed = with_r && each > 1 ? c->with_r : c->fixed;

  return (float) (each <= 1 ? 1 : ceil (each / c->slots)) * (k * per_k * blocks.kb / 128 + fixed);
}

static bool
can (const ConvCandidate *c, const KernelConvS8 *args, bool to_f32, int sm)
{
  switch (c->kind) {
  case CONV_SPLIT:
    return sm >= 90;
  case CONV_WGMMA:
    return !to_f32 && kernel_conv_wgmma_suits (&args->shape, sm);
  case CONV_PATCH:
    return !to_f32 && !args->r && kernel_conv_patch_suits (&args->shape, sm);
  default:
    return true;
  }
}

static bool
run_candidate (const ConvCandidate *c, const KernelConvS8 *args, bool to_f32, KernelQueue *queue)
{
  if (c->kind == CONV_WGMMA)
    return kernel_conv_wgmma_run (args, (ConvWgmmaTile) c->tile, queue);
  if (c->kind == CONV_PATCH)
    return kernel_conv_patch_run (args, (ConvPatchTile) c->tile, queue);
  kernel_conv_mma_run (args, to_f32, (ConvMmaTile) c->tile, queue);
  return true;
}

/* The quickest by that table; the next, where a kernel lacks shared memory or alignment: mma never
 * does. */
static void
run_best (const KernelConvS8 *args, bool to_f32, KernelQueue *queue)
{
  constexpr int count = sizeof candidates / sizeof *candidates;
  bool tried[count] = {};

  for (;;) {
    float least = INFINITY;
    int best = -1;

    for (int i = 0; i < count; i++) {
      const float cycles =
          kernel_conv_estimate (&candidates[i], &args->shape, args->r, queue->cuda);

      if (!tried[i] && cycles < least && can (&candidates[i], args, to_f32, queue->cuda->sm)) {
        least = cycles;
        best = i;
      }
    }
    tried[best] = true;
    if (run_candidate (&candidates[best], args, to_f32, queue))
      return;
  }
}

/* --- Entries -------------------------------------------------------------------------------- */

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

#define MMA_ENTRY(id, title, fits, tile)                                                           \
  static void run_##id (const KernelConvS8 *args, bool to_f32, KernelQueue *queue)                 \
  {                                                                                                \
    kernel_conv_mma_run (args, to_f32, tile, queue);                                               \
  }                                                                                                \
  ENTRY (id, title, fits, run_##id)

/* What it does not do, float or pointers that TMA refuses, the other kernels do. */
#define WGMMA_ENTRY(id, title, tile)                                                               \
  static void run_##id (const KernelConvS8 *args, bool to_f32, KernelQueue *queue)                 \
  {                                                                                                \
    if (to_f32 || !kernel_conv_wgmma_run (args, tile, queue))                                      \
      run_best (args, to_f32, queue);                                                              \
  }                                                                                                \
  ENTRY (id, title, kernel_conv_wgmma_suits, run_##id)

#define PATCH_ENTRY(id, title, tile)                                                               \
  static void run_##id (const KernelConvS8 *args, bool to_f32, KernelQueue *queue)                 \
  {                                                                                                \
    if (to_f32 || !kernel_conv_patch_run (args, tile, queue))                                      \
      run_best (args, to_f32, queue);                                                              \
  }                                                                                                \
  ENTRY (id, title, kernel_conv_patch_suits, run_##id)

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
PATCH_ENTRY (patch_4x128x64, "patch 4 of 128x64", CONV_PATCH_4_OF_128X64)
PATCH_ENTRY (patch_4x64x64, "patch 4 of 64x64", CONV_PATCH_4_OF_64X64)
PATCH_ENTRY (patch_3x64x128, "patch 3 of 64x128", CONV_PATCH_3_OF_64X128)

const CudaConvS8 kernel_conv_s8_cuda_stem = {"stem", kernel_conv_stem_suits, kernel_conv_stem_pack,
    NULL, kernel_conv_stem_run};
