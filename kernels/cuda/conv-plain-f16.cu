/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-plain-f16.cu: convolutions of halves without tensor cores: an output a thread, which serves every
 * shape; and, for depthwise layers, eight channels of some neighbouring outputs. Sums are one chain of
 * fmaf an output, as in conv_f32. Bound of the latter: memory at stride 2, loads at stride 1.
 */
#include "kernels/cuda/conv-f16.h"

/* --- Any shape ------------------------------------------------------------------------------ */

static bool
suits_all (const KernelConvShape *shape, int sm)
{
  return true;
}

/* [kh][kw][ic / groups][oc] */
static size_t
pack (const KernelConvShape *s, const float *w, void *packed)
{
  const size_t terms = (size_t) s->kh * s->kw * (s->ic / s->groups);
  KernelHalf *y = (KernelHalf *) packed;

  for (int oc = 0; packed && oc < s->oc; oc++)
    for (size_t k = 0; k < terms; k++)
      y[k * s->oc + oc] = kernel_half_of_f32 (w[oc * terms + k]);
  return terms * s->oc * sizeof *y;
}

static __global__ void
__launch_bounds__ (KERNEL_CUDA_THREADS)
    conv_plain (const __grid_constant__ KernelConvF16 a, size_t count)
{
  const KernelConvShape &s = a.shape;
  const size_t i = kernel_cuda_item ();

  if (i >= count)
    return;
  const size_t pixel = kernel_cuda_divide (i, s.oc), row = kernel_cuda_divide (pixel, s.ow);
  const size_t n = kernel_cuda_divide (row, s.oh);
  const int oc = (int) (i - pixel * s.oc), ic = s.ic / s.groups;
  const int ih = (int) (row - n * s.oh) * s.stride_h - s.pad_top;
  const int iw = (int) (pixel - row * s.ow) * s.stride_w - s.pad_left;
  const int first = oc / (s.oc / s.groups) * ic;
  const KernelHalf *w = (const KernelHalf *) a.w + oc;
  float t = a.b[oc];

  for (int kh = 0; kh < s.kh; kh++) {
    for (int kw = 0; kw < s.kw; kw++) {
      const int h = ih + kh * s.dilation_h, c = iw + kw * s.dilation_w;
      const bool inside = h >= 0 && h < s.ih && c >= 0 && c < s.iw;
      const KernelHalf *from = a.x + (inside ? ((n * s.ih + h) * s.iw + c) * s.ic + first : 0);

#pragma unroll 4
      for (int k = 0; k < ic; k++, w += s.oc)
        t = fmaf (inside ? kernel_half_to_f32 (from[k]) : 0.0f, kernel_half_to_f32 (*w), t);
    }
  }
  if (a.r)
    t += kernel_half_to_f32 (a.r[i]);
  a.y[i] = kernel_half_of_f32 (kernel_clamp_f32 (t, a.lo, a.hi));
}

static void
run_plain (const KernelConvF16 *args, KernelQueue *queue)
{
  const KernelConvShape *s = &args->shape;
  const size_t count = (size_t) s->n * s->oh * s->ow * s->oc;

  conv_plain<<<kernel_cuda_blocks (count, KERNEL_CUDA_THREADS), KERNEL_CUDA_THREADS, 0,
      queue->stream>>> (*args, count);
}

const CudaConvF16 kernel_conv_f16_cuda_plain = {"plain", suits_all, pack, NULL, run_plain};

/* --- Depthwise ------------------------------------------------------------------------------ */

#define OUTPUTS 4 /* of a row, of a thread */

/* Eight channels of OUTPUTS neighbouring pixels; k and stride are those of both axes. A value of x is
 * loaded once for all outputs that it touches. */
template <int k, int stride>
static __global__ void
__launch_bounds__ (KERNEL_CUDA_THREADS)
    conv_depthwise (const __grid_constant__ KernelConvF16 a, int groups, size_t count)
{
  const KernelConvShape &s = a.shape;
  const size_t i = kernel_cuda_item ();

  if (i >= count)
    return;
  const int blocks = s.oc / 8;
  const size_t group = kernel_cuda_divide (i, blocks), row = kernel_cuda_divide (group, groups);
  const size_t n = kernel_cuda_divide (row, s.oh);
  const int c = (int) (i - group * blocks) * 8, ow = (int) (group - row * groups) * OUTPUTS;
  const int ih = (int) (row - n * s.oh) * s.stride_h - s.pad_top;
  const int iw = ow * s.stride_w - s.pad_left;
  const KernelHalf *x = a.x + n * s.ih * s.iw * s.ic + c, *w = (const KernelHalf *) a.w + c;
  float t[OUTPUTS][8], v[8], b[8];

  load_f32<4> (b, a.b + c);
  load_f32<4> (b + 4, a.b + c + 4);
#pragma unroll
  for (int o = 0; o < OUTPUTS; o++)
#pragma unroll
    for (int j = 0; j < 8; j++)
      t[o][j] = b[j];
#pragma unroll
  for (int kh = 0; kh < k; kh++) {
    const int h = ih + kh;
    float wv[k][8];

    if ((unsigned) h >= (unsigned) s.ih)
      continue;
#pragma unroll
    for (int kw = 0; kw < k; kw++)
      load_f32<8> (wv[kw], w + (kh * k + kw) * s.oc);
#pragma unroll
    for (int q = 0; q < (OUTPUTS - 1) * stride + k; q++) {
      const bool inside = (unsigned) (iw + q) < (unsigned) s.iw;

      load_f32<8> (v, x + (inside ? ((size_t) h * s.iw + iw + q) * s.ic : 0));
#pragma unroll
      for (int o = 0; o < OUTPUTS; o++) {
        const int kw = q - o * stride;

        if (kw < 0 || kw >= k)
          continue;
#pragma unroll
        for (int j = 0; j < 8; j++)
          t[o][j] = fmaf (inside ? v[j] : 0.0f, wv[kw][j], t[o][j]);
      }
    }
  }
#pragma unroll
  for (int o = 0; o < OUTPUTS; o++) {
    const size_t at = (row * s.ow + ow + o) * s.oc + c;

    if (ow + o >= s.ow)
      return;
    if (a.r)
      load_f32<8> (v, a.r + at);
#pragma unroll
    for (int j = 0; j < 8; j++)
      t[o][j] = kernel_clamp_f32 (a.r ? t[o][j] + v[j] : t[o][j], a.lo, a.hi);
    store_f32<8> (a.y + at, t[o]);
  }
}

static bool
suits_depthwise (const KernelConvShape *s, int sm)
{
  return s->groups == s->ic && s->groups == s->oc && s->oc % 8 == 0 && s->kh == s->kw &&
         (s->kh == 3 || s->kh == 5) && s->stride_h == s->stride_w && s->stride_h <= 2 &&
         s->dilation_h == 1 && s->dilation_w == 1;
}

template <int k, int stride>
static void
launch (const KernelConvF16 *args, KernelQueue *queue)
{
  const KernelConvShape *s = &args->shape;
  const int groups = (s->ow + OUTPUTS - 1) / OUTPUTS;
  const size_t count = (size_t) s->n * s->oh * groups * (s->oc / 8);

  conv_depthwise<k, stride>
      <<<kernel_cuda_blocks (count, KERNEL_CUDA_THREADS), KERNEL_CUDA_THREADS, 0, queue->stream>>> (
          *args, groups, count);
}

static void
run_depthwise (const KernelConvF16 *args, KernelQueue *queue)
{
  const KernelConvShape *s = &args->shape;
  const bool aligned = kernel_cuda_aligned (args->x, 16) && kernel_cuda_aligned (args->w, 16) &&
                       kernel_cuda_aligned (args->b, 16) && kernel_cuda_aligned (args->r, 16) &&
                       kernel_cuda_aligned (args->y, 16);

  if (!aligned)
    run_plain (args, queue);
  else if (s->kh == 3)
    s->stride_h == 1 ? launch<3, 1> (args, queue) : launch<3, 2> (args, queue);
  else
    s->stride_h == 1 ? launch<5, 1> (args, queue) : launch<5, 2> (args, queue);
}

const CudaConvF16 kernel_conv_f16_cuda_depthwise = {"depthwise", suits_depthwise, pack, NULL,
    run_depthwise};
