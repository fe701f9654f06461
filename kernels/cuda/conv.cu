/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv.cu: which of the ways to convolve a shape takes. The slots that know no queue (packing, names)
 * exist once for each compute capability that makes a difference.
 */
#include "kernels/cuda/conv-cudnn.h"
#include "kernels/cuda/conv-f16.h"
#include "kernels/cuda/conv-gemm.h"

#define COUNT(array) ((int) (sizeof (array) / sizeof *(array)))

#define S8(id, title, tile)  &kernel_conv_s8_cuda_##id,
#define F16(id, title, tile) &kernel_conv_f16_cuda_##id,

/* Best first. Behind "plain": those that tactic 0 never takes, as making a plan of cuDNN takes up to a
 * second. */
/* clang-format off */
static const CudaConvS8 *const ways_s8[] = {
    &kernel_conv_s8_cuda_depthwise,
    &kernel_conv_s8_cuda_depthwise_small,
    &kernel_conv_s8_cuda_depthwise_strip,
    &kernel_conv_s8_cuda_depthwise_seven,
    &kernel_conv_s8_cuda_stem,
    &kernel_conv_s8_cuda_narrow_or_gemm,
    &kernel_conv_s8_cuda_gemm,
    &kernel_conv_s8_cuda_narrow,
    CONV_WGMMA_WAYS (S8)
    CONV_PATCH_WAYS (S8)
    CONV_MMA_WAYS (S8)
    CONV_SPLIT_WAYS (S8)
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
    &kernel_conv_f32_cuda_depthwise,
    &kernel_conv_f32_cuda_tiles,
    &kernel_conv_f32_cuda_plain,
#ifdef INT8_CUDNN_HEADERS
    &kernel_conv_f32_cuda_cudnn_1,
    &kernel_conv_f32_cuda_cudnn_2,
    &kernel_conv_f32_cuda_cudnn_3,
    &kernel_conv_f32_cuda_cudnn_4,
#endif
};

static const CudaConvF16 *const ways_f16[] = {
    &kernel_conv_f16_cuda_depthwise,
    &kernel_conv_f16_cuda_stem,
    &kernel_conv_f16_cuda_gemm,
    CONV_WGMMA_WAYS (F16)
    CONV_MMA_WAYS (F16)
    CONV_SPLIT_WAYS (F16)
    &kernel_conv_f16_cuda_plain,
#ifdef INT8_CUDNN_HEADERS
    &kernel_conv_f16_cuda_cudnn_1,
    &kernel_conv_f16_cuda_cudnn_2,
    &kernel_conv_f16_cuda_cudnn_3,
    &kernel_conv_f16_cuda_cudnn_4,
#endif
};
/* clang-format on */

template <typename Way> struct List {
  const Way *const *ways;
  int count;
};
template <typename Way> static List<Way> list ();
template <>
List<CudaConvS8>
list ()
{
  return {ways_s8, COUNT (ways_s8)};
}
template <>
List<CudaConvF32>
list ()
{
  return {ways_f32, COUNT (ways_f32)};
}
template <>
List<CudaConvF16>
list ()
{
  return {ways_f16, COUNT (ways_f16)};
}

/* Way number `tactic` of those that suit, from 1; the first for 0; NULL beyond the last. */
template <typename Way>
static const Way *
choose (const KernelConvShape *shape, int tactic, int sm)
{
  const List<Way> all = list<Way> ();
  int left = tactic == 0 ? 1 : tactic;

  for (int i = 0; i < all.count && left > 0; i++)
    if (all.ways[i]->suits (shape, sm) && --left == 0)
      return all.ways[i];
  return NULL;
}

/* --- The slots with a queue ----------------------------------------------------------------- */

template <typename Way>
static size_t
scratch (const KernelConvShape *shape, KernelQueue *queue)
{
  const Way *way = choose<Way> (shape, shape->tactic, queue->cuda->sm);

  return way->scratch ? way->scratch (shape, queue) : 0;
}

void
kernel_conv_s8_cuda (const KernelConvS8 *args, KernelQueue *queue)
{
  choose<CudaConvS8> (&args->shape, args->shape.tactic, queue->cuda->sm)->run (args, false, queue);
}

void
kernel_conv_s8_f32_cuda (const KernelConvS8 *args, KernelQueue *queue)
{
  choose<CudaConvS8> (&args->shape, args->shape.tactic, queue->cuda->sm)->run (args, true, queue);
}

void
kernel_conv_f32_cuda (const KernelConvF32 *args, KernelQueue *queue)
{
  choose<CudaConvF32> (&args->shape, args->shape.tactic, queue->cuda->sm)->run (args, queue);
}

void
kernel_conv_f16_cuda (const KernelConvF16 *args, KernelQueue *queue)
{
  choose<CudaConvF16> (&args->shape, args->shape.tactic, queue->cuda->sm)->run (args, queue);
}

/* --- The slots without ---------------------------------------------------------------------- */

template <int sm>
static size_t
pack_s8 (const KernelConvShape *shape, int8_t zero_x, const int8_t *w, void *packed)
{
  return choose<CudaConvS8> (shape, shape->tactic, sm)->pack (shape, zero_x, w, packed);
}

/* Of float weights. */
template <typename Way, int sm>
static size_t
pack (const KernelConvShape *shape, const float *w, void *packed)
{
  return choose<Way> (shape, shape->tactic, sm)->pack (shape, w, packed);
}

template <typename Way, int sm>
static const char *
name (const KernelConvShape *shape, int tactic)
{
  const Way *way = choose<Way> (shape, tactic, sm);

  return way ? way->name : NULL;
}

template <int sm>
static void
fill (KernelOps *ops)
{
  ops->conv_s8_pack = pack_s8<sm>;
  ops->conv_f32_pack = pack<CudaConvF32, sm>;
  ops->conv_f16_pack = pack<CudaConvF16, sm>;
  ops->conv_s8_tactic = name<CudaConvS8, sm>;
  ops->conv_f32_tactic = name<CudaConvF32, sm>;
  ops->conv_f16_tactic = name<CudaConvF16, sm>;
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
  ops->conv_s8_scratch = scratch<CudaConvS8>;
  ops->conv_f32_scratch = scratch<CudaConvF32>;
  ops->conv_f16_scratch = scratch<CudaConvF16>;
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
