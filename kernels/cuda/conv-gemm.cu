/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-gemm.cu: convolutions on tensor cores as entries of conv.cu. "gemm" chooses a kernel for the
 * shape and n when it runs; the others are for whoever times them. All have the weights of
 * conv-blocks.h, so that the choice may depend on n.
 */
#include "kernels/cuda/conv-gemm.h"
#include "kernels/cuda/conv-mma.h"
#include "kernels/cuda/conv-patch.h"
#include "kernels/cuda/conv-wgmma.h"

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
run_candidate (const ConvCandidate *c, const KernelConvS8 *args, bool to_f32, KernelQueue *queue)
{
  const int sm = queue->cuda->sm;

  switch (c->kind) {
  case CONV_WGMMA:
    return !to_f32 && kernel_conv_wgmma_suits (&args->shape, sm) &&
           kernel_conv_wgmma_run (args, (ConvWgmmaTile) c->tile, queue);
  case CONV_PATCH:
    return !to_f32 && kernel_conv_patch_suits (&args->shape, sm) &&
           kernel_conv_patch_run (args, (ConvPatchTile) c->tile, queue);
  case CONV_SPLIT:
    if (sm < 90)
      return false;
    break;
  case CONV_MMA:
    break;
  }
  kernel_conv_mma_run (args, to_f32, (ConvMmaTile) c->tile, queue);
  return true;
}

static void
run_best (const KernelConvS8 *args, bool to_f32, KernelQueue *queue)
{
  kernel_conv_run_best (candidates, &args->shape, args->r, queue->cuda,
      [=] (const ConvCandidate *c) { return run_candidate (c, args, to_f32, queue); });
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

template <ConvMmaTile tile>
static void
run_mma (const KernelConvS8 *args, bool to_f32, KernelQueue *queue)
{
  kernel_conv_mma_run (args, to_f32, tile, queue);
}

/* What these do not do, float or pointers that TMA refuses, the other kernels do. */
template <ConvWgmmaTile tile>
static void
run_wgmma (const KernelConvS8 *args, bool to_f32, KernelQueue *queue)
{
  if (to_f32 || !kernel_conv_wgmma_run (args, tile, queue))
    run_best (args, to_f32, queue);
}

template <ConvPatchTile tile>
static void
run_patch (const KernelConvS8 *args, bool to_f32, KernelQueue *queue)
{
  if (to_f32 || !kernel_conv_patch_run (args, tile, queue))
    run_best (args, to_f32, queue);
}

#define ENTRY(id, title, fits, way)                                                                \
  const CudaConvS8 kernel_conv_s8_cuda_##id = {title, fits, kernel_conv_blocks_pack, NULL, way};
#define MMA(id, title, tile)   ENTRY (id, title, suits_mma, run_mma<tile>)
#define SPLIT(id, title, tile) ENTRY (id, title, suits_split, run_mma<tile>)
#define WGMMA(id, title, tile) ENTRY (id, title, kernel_conv_wgmma_suits, run_wgmma<tile>)
#define PATCH(id, title, tile) ENTRY (id, title, kernel_conv_patch_suits, run_patch<tile>)

ENTRY (gemm, "gemm", suits_mma, run_best)
CONV_WGMMA_WAYS (WGMMA)
CONV_PATCH_WAYS (PATCH)
CONV_MMA_WAYS (MMA)
CONV_SPLIT_WAYS (SPLIT)
