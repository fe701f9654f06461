/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv.cu: which of the ways to convolve a shape takes. The slots that know no queue (packing, names)
 * exist once for each compute capability that makes a difference.
 */
#include "kernels/cuda/conv-cudnn.h"
#include "kernels/cuda/conv-gemm.h"
#include "kernels/cuda/cuda.h"

#define COUNT(array) ((int) (sizeof (array) / sizeof *(array)))

/* Best first. Behind "plain": those that tactic 0 never takes, as making a plan of cuDNN takes up to a
 * second. */
static const CudaConvS8 *const ways_s8[] = {
    &kernel_conv_s8_cuda_depthwise,
    &kernel_conv_s8_cuda_depthwise_small,
    &kernel_conv_s8_cuda_depthwise_strip,
    &kernel_conv_s8_cuda_depthwise_seven,
    &kernel_conv_s8_cuda_stem,
    &kernel_conv_s8_cuda_gemm,
    &kernel_conv_s8_cuda_wgmma_192x128,
    &kernel_conv_s8_cuda_wgmma_256x128,
    &kernel_conv_s8_cuda_wgmma_128x256,
    &kernel_conv_s8_cuda_wgmma_128x128,
    &kernel_conv_s8_cuda_wgmma_128x64,
    &kernel_conv_s8_cuda_wgmma_2x128x128,
    &kernel_conv_s8_cuda_wgmma_2x64x256,
    &kernel_conv_s8_cuda_wgmma_2x128x64,
    &kernel_conv_s8_cuda_patch_4x128x64,
    &kernel_conv_s8_cuda_patch_4x64x64,
    &kernel_conv_s8_cuda_patch_3x64x128,
    &kernel_conv_s8_cuda_mma_128x128,
    &kernel_conv_s8_cuda_mma_64x64,
    &kernel_conv_s8_cuda_mma_split2,
    &kernel_conv_s8_cuda_mma_split4,
    &kernel_conv_s8_cuda_mma_split8,
    &kernel_conv_s8_cuda_plain,
#ifdef INT8_CUDNN_HEADERS
    &kernel_conv_s8_cuda_cudnn_1,
    &kernel_conv_s8_cuda_cudnn_2,
    &kernel_conv_s8_cuda_cudnn_3,
    &kernel_conv_s8_cuda_cudnn_4,
    &kernel_conv_s8_cuda_cudnn_5,
#endif
};

static const CudaConvF32 *const ways_f32[] = {
    &kernel_conv_f32_cuda_tiles,
    &kernel_conv_f32_cuda_plain,
#ifdef INT8_CUDNN_HEADERS
    &kernel_conv_f32_cuda_cudnn_1,
    &kernel_conv_f32_cuda_cudnn_2,
    &kernel_conv_f32_cuda_cudnn_3,
    &kernel_conv_f32_cuda_cudnn_4,
#endif
};

/* Way number `tactic` of those that suit, from 1; the first for 0; NULL beyond the last. */
template <typename Way>
static const Way *
choose (const Way *const *ways, int count, const KernelConvShape *shape, int tactic, int sm)
{
  int left = tactic > 0 ? tactic : 1;

  for (int i = 0; i < count; i++)
    if (ways[i]->suits (shape, sm) && --left == 0)
      return ways[i];
  return NULL;
}

static const CudaConvS8 *
choose_s8 (const KernelConvShape *shape, int sm)
{
  return choose (ways_s8, COUNT (ways_s8), shape, shape->tactic, sm);
}

static const CudaConvF32 *
choose_f32 (const KernelConvShape *shape, int sm)
{
  return choose (ways_f32, COUNT (ways_f32), shape, shape->tactic, sm);
}

/* --- The slots with a queue ----------------------------------------------------------------- */

static size_t
scratch_s8 (const KernelConvShape *shape, KernelQueue *queue)
{
  const CudaConvS8 *way = choose_s8 (shape, queue->cuda->sm);

  return way->scratch ? way->scratch (shape, queue) : 0;
}

static size_t
scratch_f32 (const KernelConvShape *shape, KernelQueue *queue)
{
  const CudaConvF32 *way = choose_f32 (shape, queue->cuda->sm);

  return way->scratch ? way->scratch (shape, queue) : 0;
}

void
kernel_conv_s8_cuda (const KernelConvS8 *args, KernelQueue *queue)
{
  choose_s8 (&args->shape, queue->cuda->sm)->run (args, false, queue);
}

void
kernel_conv_s8_f32_cuda (const KernelConvS8 *args, KernelQueue *queue)
{
  choose_s8 (&args->shape, queue->cuda->sm)->run (args, true, queue);
}

void
kernel_conv_f32_cuda (const KernelConvF32 *args, KernelQueue *queue)
{
  choose_f32 (&args->shape, queue->cuda->sm)->run (args, queue);
}

/* --- The slots without ---------------------------------------------------------------------- */

template <int sm>
static size_t
pack_s8 (const KernelConvShape *shape, int8_t zero_x, const int8_t *w, void *packed)
{
  return choose_s8 (shape, sm)->pack (shape, zero_x, w, packed);
}

template <int sm>
static size_t
pack_f32 (const KernelConvShape *shape, const float *w, void *packed)
{
  return choose_f32 (shape, sm)->pack (shape, w, packed);
}

template <int sm>
static const char *
tactic_s8 (const KernelConvShape *shape, int tactic)
{
  const CudaConvS8 *way = choose (ways_s8, COUNT (ways_s8), shape, tactic, sm);

  return way ? way->name : NULL;
}

template <int sm>
static const char *
tactic_f32 (const KernelConvShape *shape, int tactic)
{
  const CudaConvF32 *way = choose (ways_f32, COUNT (ways_f32), shape, tactic, sm);

  return way ? way->name : NULL;
}

template <int sm>
static void
fill (KernelOps *ops)
{
  ops->conv_s8_pack = pack_s8<sm>;
  ops->conv_f32_pack = pack_f32<sm>;
  ops->conv_s8_tactic = tactic_s8<sm>;
  ops->conv_f32_tactic = tactic_f32<sm>;
}

/* The capabilities between those named here have the same instructions for convolutions. */
int
kernel_cuda_conv_level (int sm)
{
  return sm >= 120 ? 120 : sm >= 100 ? 100 : sm >= 90 ? 90 : sm >= 80 ? 80 : 75;
}

void
kernel_cuda_fill_conv (KernelOps *ops, int level)
{
  ops->conv_s8_scratch = scratch_s8;
  ops->conv_f32_scratch = scratch_f32;
  switch (level) {
  case 120:
    fill<120> (ops);
    break;
  case 100:
    fill<100> (ops);
    break;
  case 90:
    fill<90> (ops);
    break;
  case 80:
    fill<80> (ops);
    break;
  default:
    fill<75> (ops);
    break;
  }
}
