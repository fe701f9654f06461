/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-blocks.cu: see conv-blocks.h. The host's part.
 */
#include "kernels/cuda/conv-blocks.h"

#include <string.h>

static size_t
round_up (size_t value, size_t to)
{
  return (value + to - 1) / to * to;
}

/* Taps whose position lies inside the image: first .. last, which are neighbours. */
static void
taps_inside (int out, int in, int k, int stride, int dilation, int pad, int *first, int *last)
{
  *first = k;
  *last = -1;
  for (int tap = 0; tap < k; tap++) {
    const int i = out * stride - pad + tap * dilation;

    if (i < 0 || i >= in)
      continue;
    if (*first == k)
      *first = tap;
    *last = tap;
  }
}

/* Numbers the outputs of one axis by their taps inside; class 0 has all. Writes the classes unless
 * `classes` is NULL, and the taps of each to first and last. */
static int
classify (int out, int in, int k, int stride, int dilation, int pad, uint8_t *classes, int *first,
    int *last)
{
  int count = 1;

  first[0] = 0;
  last[0] = k - 1;
  for (int o = 0; o < out; o++) {
    int f, l, c;

    taps_inside (o, in, k, stride, dilation, pad, &f, &l);
    for (c = 0; c < count && (first[c] != f || last[c] != l); c++)
      ;
    if (c == count) {
      if (count == CONV_MAX_CLASSES)
        return CONV_MAX_CLASSES + 1;
      first[c] = f;
      last[c] = l;
      count++;
    }
    if (classes)
      classes[o] = (uint8_t) c;
  }
  return count;
}

/* 64 where that wastes less: 16, 64 or 192 channels; 128 where not: 128, 96 or 1024. */
static int
choose_kb (int ic)
{
  return round_up (ic, 64) < round_up (ic, 128) ? 64 : 128;
}

ConvBlocks
kernel_conv_blocks (const KernelConvShape *s)
{
  int first[CONV_MAX_CLASSES], last[CONV_MAX_CLASSES];
  ConvBlocks blocks;

  blocks.kb = choose_kb (s->ic);
  blocks.tap_blocks = (int) round_up (s->ic, blocks.kb) / blocks.kb;
  blocks.k_blocks = s->kh * s->kw * blocks.tap_blocks;
  blocks.n_blocks = (int) round_up (s->oc, CONV_BLOCK_CHANNELS) / CONV_BLOCK_CHANNELS;
  blocks.row_classes =
      classify (s->oh, s->ih, s->kh, s->stride_h, s->dilation_h, s->pad_top, NULL, first, last);
  blocks.column_classes =
      classify (s->ow, s->iw, s->kw, s->stride_w, s->dilation_w, s->pad_left, NULL, first, last);
  blocks.row_class = (size_t) blocks.n_blocks * blocks.k_blocks * CONV_BLOCK_CHANNELS * blocks.kb;
  blocks.column_class = blocks.row_class;
  blocks.corrections = blocks.row_class;
  blocks.size = blocks.row_class;
  if (blocks.row_classes * blocks.column_classes > 1 && blocks.row_classes <= CONV_MAX_CLASSES &&
      blocks.column_classes <= CONV_MAX_CLASSES) {
    blocks.column_class = blocks.row_class + s->oh;
    blocks.corrections = round_up (blocks.column_class + s->ow, 16);
    blocks.size = blocks.corrections + (size_t) blocks.row_classes * blocks.column_classes *
                                           blocks.n_blocks * CONV_BLOCK_CHANNELS * sizeof (int32_t);
  }
  return blocks;
}

/* Row of a block that holds channel 0 .. 63. */
static int
row_of_channel (int channel)
{
  return channel % 16 / 2 * 8 + channel / 16 * 2 + channel % 2;
}

static void
pack_weights (const KernelConvShape *s, const ConvBlocks *blocks, const int8_t *w, uint8_t *packed)
{
  const int kb = blocks->kb;

  for (int oc = 0; oc < s->oc; oc++) {
    const int row = row_of_channel (oc % CONV_BLOCK_CHANNELS);
    const int turn = kb == 128 ? row & 7 : row >> 1 & 3;
    uint8_t *block =
        packed + (size_t) (oc / CONV_BLOCK_CHANNELS) * blocks->k_blocks * CONV_BLOCK_CHANNELS * kb;

    for (int tap = 0; tap < s->kh * s->kw; tap++) {
      /* 16 bytes stay together; most of loading an engine is spent here. */
      for (int ic = 0; ic < s->ic; ic += 16) {
        const int n = s->ic - ic < 16 ? s->ic - ic : 16;
        uint8_t *to = block + (size_t) (ic / kb) * CONV_BLOCK_CHANNELS * kb + row * kb;

        memcpy (to + ((((ic % kb) >> 4) ^ turn) << 4), w, (size_t) n);
        w += n;
      }
      block += (size_t) blocks->tap_blocks * CONV_BLOCK_CHANNELS * kb;
    }
  }
}

static int32_t
sum_weights (const int8_t *w, int count)
{
  int32_t sum = 0;

  for (int i = 0; i < count; i++)
    sum += w[i];
  return sum;
}

/* Each channel's sums of the weights of taps outside, one for every pair of classes, which begin as 0:
 * a weight is looked at once. */
static void
pack_corrections (const KernelConvShape *s, const ConvBlocks *blocks, int8_t zero_x,
    const int8_t *w, uint8_t *packed)
{
  int row_first[CONV_MAX_CLASSES], row_last[CONV_MAX_CLASSES];
  int column_first[CONV_MAX_CLASSES], column_last[CONV_MAX_CLASSES];
  int32_t *to = (int32_t *) (packed + blocks->corrections);

  classify (s->oh, s->ih, s->kh, s->stride_h, s->dilation_h, s->pad_top, packed + blocks->row_class,
      row_first, row_last);
  classify (s->ow, s->iw, s->kw, s->stride_w, s->dilation_w, s->pad_left,
      packed + blocks->column_class, column_first, column_last);
  for (int oc = 0; oc < s->oc; oc++) {
    for (int tap = 0; tap < s->kh * s->kw; tap++, w += s->ic) {
      const int kh = tap / s->kw, kw = tap % s->kw;
      const int32_t sum = zero_x * sum_weights (w, s->ic);
      int32_t *of = to + oc;

      for (int row = 0; row < blocks->row_classes; row++)
        for (int column = 0; column < blocks->column_classes; column++) {
          if (kh < row_first[row] || kh > row_last[row] || kw < column_first[column] ||
              kw > column_last[column])
            *of += sum;
          of += blocks->n_blocks * CONV_BLOCK_CHANNELS;
        }
    }
  }
}

size_t
kernel_conv_blocks_pack (const KernelConvShape *s, int8_t zero_x, const int8_t *w, void *packed)
{
  const ConvBlocks blocks = kernel_conv_blocks (s);
  uint8_t *to = (uint8_t *) packed;

  if (!packed)
    return blocks.size;
  memset (to, 0, blocks.size);
  pack_weights (s, &blocks, w, to);
  if (zero_x != 0 && blocks.corrections > blocks.row_class) /* else they are 0 */
    pack_corrections (s, &blocks, zero_x, w, to);
  return blocks.size;
}

ConvParams
kernel_conv_params (const KernelConvS8 *args, bool to_f32)
{
  const KernelConvShape *s = &args->shape;
  const ConvBlocks blocks = kernel_conv_blocks (s);
  const uint8_t *w = (const uint8_t *) args->w;
  const bool tables = blocks.corrections > blocks.row_class;
  ConvParams p = {};

  p.x = args->x, p.r = args->r, p.w = w, p.m = args->m, p.b = args->b, p.y = args->y;
  p.pixels = s->n * s->oh * s->ow;
  p.ih = s->ih, p.iw = s->iw, p.ic = s->ic, p.oh = s->oh, p.ow = s->ow, p.oc = s->oc, p.kw = s->kw;
  p.stride_h = s->stride_h, p.stride_w = s->stride_w;
  p.dilation_h = s->dilation_h, p.dilation_w = s->dilation_w;
  p.pad_top = s->pad_top, p.pad_left = s->pad_left;
  p.tap_blocks = blocks.tap_blocks, p.k_blocks = blocks.k_blocks, p.n_blocks = blocks.n_blocks;
  p.zero_x = 0x01010101u * (uint8_t) args->zero_x;
  p.row_class = tables ? w + blocks.row_class : NULL;
  p.column_class = tables ? w + blocks.column_class : NULL;
  p.corrections = tables ? (const int32_t *) (w + blocks.corrections) : NULL;
  p.column_classes = blocks.column_classes;
  p.mr = args->mr, p.lo = args->lo, p.hi = args->hi;
  p.to_f32 = to_f32;
  p.wide =
      s->oc % 16 == 0 && kernel_cuda_aligned (args->y, 16) && kernel_cuda_aligned (args->r, 16);
  return p;
}

KernelConvShape
kernel_conv_shape_in_bytes (const KernelConvShape *shape)
{
  KernelConvShape s = *shape;

  s.ic *= 2;
  return s;
}

ConvParams
kernel_conv_params_f16 (const KernelConvF16 *args)
{
  KernelConvS8 bytes = {};
  ConvParams p;

  bytes.shape = kernel_conv_shape_in_bytes (&args->shape);
  bytes.x = (const int8_t *) args->x;
  bytes.r = (const int8_t *) args->r;
  bytes.w = args->w;
  bytes.m = bytes.b = args->b;
  bytes.y = args->y;
  p = kernel_conv_params (&bytes, false);
  p.lo = args->lo;
  p.hi = args->hi;
  p.wide = p.oc % 8 == 0 && kernel_cuda_aligned (args->y, 16) &&
           kernel_cuda_aligned (args->r, 16) && kernel_cuda_aligned (args->b, 16);
  return p;
}

void
kernel_conv_launch (KernelQueue *queue, const void *kernel, unsigned blocks, unsigned threads,
    unsigned shared, unsigned cluster, void **arguments)
{
  cudaLaunchAttribute attributes[2] = {};
  cudaLaunchConfig_t config = {};

  attributes[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[0].val.programmaticStreamSerializationAllowed = 1;
  attributes[1].id = cudaLaunchAttributeClusterDimension;
  attributes[1].val.clusterDim.x = cluster;
  attributes[1].val.clusterDim.y = attributes[1].val.clusterDim.z = 1;
  config.gridDim = dim3 (blocks);
  config.blockDim = dim3 (threads);
  config.dynamicSmemBytes = shared;
  config.stream = queue->stream;
  config.attrs = attributes;
  config.numAttrs = queue->cuda->sm < 90 ? 0 : cluster > 1 ? 2 : 1;
  kernel_cuda_check (queue, "a convolution",
      cudaFuncSetAttribute (kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int) shared));
  kernel_cuda_check (queue, "a convolution", cudaLaunchKernelExC (&config, kernel, arguments));
}
