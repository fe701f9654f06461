/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-f16.cu: convolutions of halves with float sums: the tensor-core tiles of conv-mma.cuh where
 * there is one group, else an output a thread, eight channels of a depthwise layer at once.
 */
#include "kernels/cuda/conv-mma.cuh"
#include "kernels/cuda/vector.h"

#include <stdlib.h>

/* --- Tiles ---------------------------------------------------------------------------------- */

/* To the tiles a half is two channels of bytes. */
static KernelConvShape
shape_in_bytes (const KernelConvShape *shape)
{
  KernelConvShape s = *shape;

  s.ic *= 2;
  return s;
}

static bool
suits_tiles (const KernelConvShape *s, int sm)
{
  return sm >= 80 && s->groups == 1 && s->ic <= INT32_MAX / 2 &&
         (int64_t) s->n * s->oh * s->ow <= INT32_MAX;
}

static size_t
pack_tiles (const KernelConvShape *shape, const float *w, void *packed)
{
  const KernelConvShape s = shape_in_bytes (shape);
  const size_t count = (size_t) s.oc * s.kh * s.kw * shape->ic;
  KernelHalf *half = packed ? (KernelHalf *) malloc (count * sizeof *half) : NULL;
  size_t size;

  for (size_t i = 0; half && i < count; i++)
    half[i] = kernel_half_of_f32 (w[i]);
  size = kernel_conv_blocks_pack (&s, 0, (const int8_t *) half, half ? packed : NULL);
  free (half);
  return packed && !half ? 0 : size;
}

typedef struct {
  ConvParams conv; /* in bytes; its r, y, lo and hi are not used */
  const KernelHalf *r;
  KernelHalf *y;
  float lo, hi;
} HalfParams;

/* 16 outputs of a pixel, or those that there are. */
template <class Get>
static __device__ __forceinline__ void
store_half (const HalfParams &p, int pixel, int channel, const float *b, Get get)
{
  const size_t at = (size_t) pixel * p.conv.oc + channel;

#pragma unroll
  for (int k = 0; k < 16; k += 8) {
    float t[8], r[8] = {};

    if (p.conv.wide && p.r)
      load_f32<8> (r, p.r + at + k);
#pragma unroll
    for (int i = 0; i < 8; i++) {
      const bool inside = channel + k + i < p.conv.oc;

      t[i] = get (k + i) + (inside ? b[channel + k + i] : 0.0f);
      if (p.r && !p.conv.wide && inside)
        r[i] = kernel_half_to_f32 (p.r[at + k + i]);
      t[i] = kernel_clamp_f32 (p.r ? t[i] + r[i] : t[i], p.lo, p.hi);
      if (!p.conv.wide && inside)
        p.y[at + k + i] = kernel_half_of_f32 (t[i]);
    }
    if (p.conv.wide)
      store_f32<8> (p.y + at + k, t);
  }
}

template <int bm, int wm, int wn, int kb, int stages, int unit>
static __global__ void __launch_bounds__ (32 * wm * wn)
    conv_tiles (const __grid_constant__ HalfParams p)
{
#if __CUDA_ARCH__ >= 800
  using Tile = Mma<bm, wm, wn, kb, stages, unit, 1>;
  extern __shared__ __align__ (1024) uint8_t ring[];
  const int lane = threadIdx.x % 32, warp_m = threadIdx.x / 32 / wn, warp_n = threadIdx.x / 32 % wn;
  const int n_tiles = (p.conv.n_blocks + wn - 1) / wn;
  const int n_block = blockIdx.x % n_tiles * wn, first = blockIdx.x / n_tiles * bm;
  const int channel = (n_block + warp_n) * 64 + lane % 4 * 16;
  float acc[Tile::tiles][8][4] = {};

  conv_let_next_start ();
  Tile::accumulate (acc, p.conv, first, n_block, 0, p.conv.k_blocks, conv_shared_address (ring));
  if (channel >= p.conv.oc)
    return;
#pragma unroll
  for (int i = 0; i < Tile::tiles * 2; i++) {
    const int pixel = first + warp_m * (bm / wm) + i * 8 + lane / 4;

    if (pixel < p.conv.pixels)
      store_half (p, pixel, channel, p.conv.b,
          [&] (int j) { return acc[i / 2][j / 2][i % 2 * 2 + j % 2]; });
  }
#endif
}

template <int bm, int wm, int wn, int kb, int unit>
static void
launch_tiles (const HalfParams *p, KernelQueue *queue)
{
  constexpr int stages = kb == 128 && bm * wn >= 256 ? 3 : 4;
  const unsigned tiles =
      kernel_cuda_blocks (p->conv.pixels, bm) * kernel_cuda_blocks (p->conv.n_blocks, wn);
  void *arguments[] = {(void *) p};

  kernel_conv_launch (queue, (const void *) conv_tiles<bm, wm, wn, kb, stages, unit>, tiles,
      32 * wm * wn, Mma<bm, wm, wn, kb, stages, unit, 1>::shared, 1, arguments);
}

template <int bm, int wm, int wn, int unit>
static void
launch_kb (const HalfParams *p, int kb, KernelQueue *queue)
{
  if (kb == 64)
    launch_tiles<bm, wm, wn, 64, unit> (p, queue);
  else
    launch_tiles<bm, wm, wn, 128, unit> (p, queue);
}

static HalfParams
half_params (const KernelConvF16 *args)
{
  KernelConvS8 bytes = {};
  HalfParams p = {};

  bytes.shape = shape_in_bytes (&args->shape);
  bytes.x = (const int8_t *) args->x;
  bytes.w = args->w;
  bytes.b = args->b;
  p.conv = kernel_conv_params (&bytes, false);
  p.conv.wide = args->shape.oc % 16 == 0 && kernel_cuda_aligned (args->y, 16) &&
                kernel_cuda_aligned (args->r, 16);
  p.r = args->r;
  p.y = args->y;
  p.lo = args->lo;
  p.hi = args->hi;
  return p;
}

/* large: 128 pixels x 128 channels a block, where they fill the device. */
static void
run_tiles (const KernelConvF16 *args, bool large, KernelQueue *queue)
{
  const HalfParams p = half_params (args);
  const KernelConvShape s = shape_in_bytes (&args->shape);
  const int kb = kernel_conv_blocks (&s).kb;

  if (s.ic % 16 == 0 && kernel_cuda_aligned (args->x, 16)) {
    if (large && queue->cuda->sm >= 90) /* shared memory */
      launch_kb<128, 4, 2, 16> (&p, kb, queue);
    else
      launch_kb<64, 4, 1, 16> (&p, kb, queue);
  } else if (s.ic % 4 == 0 && kernel_cuda_aligned (args->x, 4)) {
    launch_kb<64, 4, 1, 4> (&p, kb, queue);
  } else {
    launch_kb<64, 4, 1, 1> (&p, kb, queue);
  }
}

static void
run_small (const KernelConvF16 *args, KernelQueue *queue)
{
  run_tiles (args, false, queue);
}

static void
run_large (const KernelConvF16 *args, KernelQueue *queue)
{
  run_tiles (args, true, queue);
}

static void
run_best (const KernelConvF16 *args, KernelQueue *queue)
{
  const KernelConvShape *s = &args->shape;
  const int64_t tiles = ((int64_t) s->n * s->oh * s->ow + 127) / 128 * ((s->oc + 127) / 128);

  run_tiles (args, s->oc > 64 && tiles >= queue->cuda->multiprocessors, queue);
}

/* --- One output a thread -------------------------------------------------------------------- */

/* [kh][kw][ic / groups][oc] */
static size_t
pack_plain (const KernelConvShape *s, const float *w, void *packed)
{
  const size_t terms = (size_t) s->kh * s->kw * (s->ic / s->groups);
  KernelHalf *y = (KernelHalf *) packed;

  for (int oc = 0; packed && oc < s->oc; oc++)
    for (size_t k = 0; k < terms; k++)
      y[k * s->oc + oc] = kernel_half_of_f32 (w[oc * terms + k]);
  return terms * s->oc * sizeof *y;
}

/* V neighbouring channels of one pixel: more than one only where each has one input channel. */
template <int V>
static __global__ void
__launch_bounds__ (KERNEL_CUDA_THREADS)
    conv_plain (const __grid_constant__ KernelConvF16 a, size_t count)
{
  const KernelConvShape &s = a.shape;
  const size_t i = kernel_cuda_item () * V;

  if (i >= count)
    return;
  const size_t pixel = kernel_cuda_divide (i, s.oc), row = kernel_cuda_divide (pixel, s.ow);
  const size_t n = kernel_cuda_divide (row, s.oh);
  const int oc = (int) (i - pixel * s.oc), ic = s.ic / s.groups;
  const int ih = (int) (row - n * s.oh) * s.stride_h - s.pad_top;
  const int iw = (int) (pixel - row * s.ow) * s.stride_w - s.pad_left;
  const int first = V > 1 ? oc : oc / (s.oc / s.groups) * ic;
  const KernelHalf *w = (const KernelHalf *) a.w + oc;
  float t[V], x[V], wv[V];

  load_f32<1> (t, a.b + oc);
#pragma unroll
  for (int k = 1; k < V; k++)
    t[k] = a.b[oc + k];
  for (int kh = 0; kh < s.kh; kh++) {
    for (int kw = 0; kw < s.kw; kw++) {
      const int h = ih + kh * s.dilation_h, c = iw + kw * s.dilation_w;
      const bool inside = h >= 0 && h < s.ih && c >= 0 && c < s.iw;
      const KernelHalf *from = a.x + (inside ? ((n * s.ih + h) * s.iw + c) * s.ic + first : 0);

#pragma unroll 4
      for (int k = 0; k < ic; k++, w += s.oc) {
        load_f32<V> (x, from + (inside ? k : 0));
        load_f32<V> (wv, w);
#pragma unroll
        for (int j = 0; j < V; j++)
          t[j] = fmaf (inside ? x[j] : 0.0f, wv[j], t[j]);
      }
    }
  }
  if (a.r)
    load_f32<V> (x, a.r + i);
#pragma unroll
  for (int j = 0; j < V; j++)
    t[j] = kernel_clamp_f32 (a.r ? t[j] + x[j] : t[j], a.lo, a.hi);
  store_f32<V> (a.y + i, t);
}

static void
run_plain (const KernelConvF16 *args, KernelQueue *queue)
{
  const KernelConvShape *s = &args->shape;
  const size_t count = (size_t) s->n * s->oh * s->ow * s->oc;
  const bool wide = s->groups == s->ic && s->groups == s->oc && s->oc % 8 == 0 &&
                    kernel_cuda_aligned (args->x, 16) && kernel_cuda_aligned (args->w, 16) &&
                    kernel_cuda_aligned (args->r, 16) && kernel_cuda_aligned (args->y, 16);

  if (wide)
    conv_plain<8><<<kernel_cuda_blocks (count / 8, KERNEL_CUDA_THREADS), KERNEL_CUDA_THREADS, 0,
        queue->stream>>> (*args, count);
  else
    conv_plain<1><<<kernel_cuda_blocks (count, KERNEL_CUDA_THREADS), KERNEL_CUDA_THREADS, 0,
        queue->stream>>> (*args, count);
}

static bool
suits_all (const KernelConvShape *shape, int sm)
{
  return true;
}

/* --- The ways, best first ------------------------------------------------------------------- */

static const struct Way {
  const char *name;
  bool (*suits) (const KernelConvShape *shape, int sm);
  KernelConvF32PackFn pack;
  void (*run) (const KernelConvF16 *args, KernelQueue *queue);
} ways[] = {
    {"mma", suits_tiles, pack_tiles, run_best},
    {"mma 128x128", suits_tiles, pack_tiles, run_large},
    {"mma 64x64", suits_tiles, pack_tiles, run_small},
    {"plain", suits_all, pack_plain, run_plain},
};

/* As in conv.cu: number 1, 2, ... of those that suit, and the first for 0. */
static const Way *
choose (const KernelConvShape *shape, int tactic, int sm)
{
  int left = tactic > 0 ? tactic : 1;

  for (const Way &way : ways)
    if (way.suits (shape, sm) && --left == 0)
      return &way;
  return NULL;
}

void
kernel_conv_f16_cuda (const KernelConvF16 *args, KernelQueue *queue)
{
  choose (&args->shape, args->shape.tactic, queue->cuda->sm)->run (args, queue);
}

/* From 80 on, all have the same ways. */
template <int sm>
static size_t
pack (const KernelConvShape *shape, const float *w, void *packed)
{
  return choose (shape, shape->tactic, sm)->pack (shape, w, packed);
}

template <int sm>
static const char *
tactic (const KernelConvShape *shape, int tactic)
{
  const Way *way = choose (shape, tactic, sm);

  return way ? way->name : NULL;
}

static size_t
no_scratch (const KernelConvShape *shape, KernelQueue *queue)
{
  return 0;
}

void
kernel_cuda_fill_conv_f16 (KernelOps *ops, int sm)
{
  ops->conv_f16_pack = sm >= 80 ? pack<80> : pack<75>;
  ops->conv_f16_tactic = sm >= 80 ? tactic<80> : tactic<75>;
  ops->conv_f16_scratch = no_scratch;
}
