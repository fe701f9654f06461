/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-f16.cu: convolutions of halves with float sums on tensor cores, as entries of conv.cu: the kernels
 * of conv-mma.cu and of conv-wgmma.cu. All have the weights of conv-blocks.h, in which a half is two
 * channels of bytes, so that "gemm" may choose by n.
 */
#include "kernels/cuda/conv-f16.h"
#include "kernels/cuda/conv-gemm.h"
#include "kernels/cuda/conv-mma.h"
#include "kernels/cuda/conv-wgmma.h"

#include <stdlib.h>

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
  kernel_conv_mma_run_f16 (args, (ConvMmaTile) c->tile, queue);
  return true;
}

static void
run_best (const KernelConvF16 *args, KernelQueue *queue)
{
  const KernelConvShape s = kernel_conv_shape_in_bytes (&args->shape);

  kernel_conv_run_best (candidates, &s, args->r, queue->cuda,
      [=] (const ConvCandidate *c) { return run_candidate (c, args, queue); });
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

template <ConvMmaTile tile>
static void
run_mma (const KernelConvF16 *args, KernelQueue *queue)
{
  kernel_conv_mma_run_f16 (args, tile, queue);
}

/* Pointers that TMA refuses the other kernels take. */
template <ConvWgmmaTile tile>
static void
run_wgmma (const KernelConvF16 *args, KernelQueue *queue)
{
  if (!kernel_conv_wgmma_run_f16 (args, tile, queue))
    run_best (args, queue);
}

#define ENTRY(id, title, fits, way)                                                                \
  const CudaConvF16 kernel_conv_f16_cuda_##id = {title, fits, pack, NULL, way};
#define MMA(id, title, tile)   ENTRY (id, title, suits_mma, run_mma<tile>)
#define SPLIT(id, title, tile) ENTRY (id, title, suits_split, run_mma<tile>)
#define WGMMA(id, title, tile) ENTRY (id, title, kernel_conv_wgmma_suits_f16, run_wgmma<tile>)

ENTRY (gemm, "gemm", suits_mma, run_best)
CONV_WGMMA_WAYS (WGMMA)
CONV_MMA_WAYS (MMA)
CONV_SPLIT_WAYS (SPLIT)
