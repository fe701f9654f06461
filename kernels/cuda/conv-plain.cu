/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-plain.cu: any convolution, by one thread an output. Neighbouring threads have neighbouring
 * output channels: they read the same pixels, and weights that lie side by side.
 */
#include "kernels/cuda/conv-float.h"

#include <string.h>

static bool
suits_all (const KernelConvShape *shape, int sm)
{
  return true;
}

static size_t
count_outputs (const KernelConvShape *s)
{
  return (size_t) s->n * s->oh * s->ow * s->oc;
}

typedef struct {
  size_t n;
  int oh, ow, oc;
} Output;

static __device__ inline Output
find_output (const KernelConvShape &s, size_t i)
{
  const size_t pixel = kernel_cuda_divide (i, s.oc), row = kernel_cuda_divide (pixel, s.ow);
  const size_t n = kernel_cuda_divide (row, s.oh);

  return {n, (int) (row - n * s.oh), (int) (pixel - row * s.ow), (int) (i - pixel * s.oc)};
}

/* The index of channel 0 of the pixel under tap (kh, kw); false where it is padding. */
static __device__ inline bool
find_pixel (const KernelConvShape &s, const Output &o, int kh, int kw, size_t *index)
{
  const int ih = o.oh * s.stride_h - s.pad_top + kh * s.dilation_h;
  const int iw = o.ow * s.stride_w - s.pad_left + kw * s.dilation_w;

  *index = ((o.n * s.ih + ih) * s.iw + iw) * s.ic;
  return ih >= 0 && ih < s.ih && iw >= 0 && iw < s.iw;
}

/* --- int8 ----------------------------------------------------------------------------------- */

/* [kh][kw][quads of ic / groups][oc], a quad being the weights of four channels, the last filled up
 * with 0. */
static size_t
pack_s8 (const KernelConvShape *s, int8_t zero_x, const int8_t *w, void *packed)
{
  const size_t ic = s->ic / s->groups, quads = (ic + 3) / 4, taps = (size_t) s->kh * s->kw;
  int8_t *y = (int8_t *) packed;

  if (!packed)
    return taps * quads * s->oc * 4;
  memset (y, 0, taps * quads * s->oc * 4);
  for (int oc = 0; oc < s->oc; oc++)
    for (size_t tap = 0; tap < taps; tap++)
      for (size_t k = 0; k < ic; k++)
        y[((tap * quads + k / 4) * s->oc + oc) * 4 + k % 4] = w[(oc * taps + tap) * ic + k];
  return taps * quads * s->oc * 4;
}

/* Four channels of a pixel; of the last quad, those that there are. */
static __device__ inline int
load_quad (const int8_t *x, int left, bool aligned)
{
  uint32_t word = 0;

  if (aligned)
    return *(const int *) x;
  for (int k = 0; k < 4 && k < left; k++)
    word |= (uint32_t) (uint8_t) x[k] << (8 * k);
  return (int) word;
}

static __device__ inline int32_t
accumulate (const KernelConvS8 &a, const Output &o, bool aligned)
{
  const KernelConvShape &s = a.shape;
  const int ic = s.ic / s.groups, first = o.oc / (s.oc / s.groups) * ic;
  const int *w = (const int *) a.w + o.oc;
  const int padding = (uint8_t) a.zero_x * 0x01010101;
  int32_t acc = 0;

  for (int kh = 0; kh < s.kh; kh++) {
    for (int kw = 0; kw < s.kw; kw++) {
      size_t index;
      const bool inside = find_pixel (s, o, kh, kw, &index);
      const int8_t *x = a.x + index + first;

#pragma unroll 4
      for (int k = 0; k < ic; k += 4, w += s.oc)
        acc = __dp4a (inside ? load_quad (x + k, ic - k, aligned) : padding, *w, acc);
    }
  }
  return acc;
}

static __global__ void
__launch_bounds__ (KERNEL_CUDA_THREADS)
    conv_s8 (const __grid_constant__ KernelConvS8 a, size_t count, bool to_f32, bool aligned)
{
  const size_t i = kernel_cuda_item ();

  if (i >= count)
    return;
  const Output o = find_output (a.shape, i);
  float t = fmaf ((float) accumulate (a, o, aligned), a.m[o.oc], a.b[o.oc]);

  if (to_f32) {
    ((float *) a.y)[i] = t;
    return;
  }
  if (a.r)
    t = fmaf ((float) a.r[i], a.mr, t);
  ((int8_t *) a.y)[i] = kernel_round_s8 (t, a.lo, a.hi);
}

static void
run_s8 (const KernelConvS8 *args, bool to_f32, KernelQueue *queue)
{
  const KernelConvShape *s = &args->shape;
  const size_t count = count_outputs (s);
  const bool aligned =
      kernel_cuda_aligned (args->x, 4) && s->ic % 4 == 0 && s->ic / s->groups % 4 == 0;

  conv_s8<<<kernel_cuda_blocks (count, KERNEL_CUDA_THREADS), KERNEL_CUDA_THREADS, 0,
      queue->stream>>> (*args, count, to_f32, aligned);
}

const CudaConvS8 kernel_conv_s8_cuda_plain = {.name = "plain",
    .suits = suits_all,
    .pack = pack_s8,
    .run = run_s8};

/* --- float and half ------------------------------------------------------------------------- */

/* [kh][kw][ic / groups][oc] */
template <typename Value>
static size_t
pack (const KernelConvShape *s, const float *w, void *packed)
{
  const size_t terms = (size_t) s->kh * s->kw * (s->ic / s->groups);
  Value *y = (Value *) packed;

  for (int oc = 0; packed && oc < s->oc; oc++)
    for (size_t k = 0; k < terms; k++)
      y[k * s->oc + oc] = ConvFloat<Value>::narrow (w[oc * terms + k]);
  return terms * s->oc * sizeof *y;
}

size_t
kernel_conv_f32_pack_cuda_plain (const KernelConvShape *s, const float *w, void *packed)
{
  return pack<float> (s, w, packed);
}

size_t
kernel_conv_f16_pack_cuda_plain (const KernelConvShape *s, const float *w, void *packed)
{
  return pack<KernelHalf> (s, w, packed);
}

/* Chains of fmaf in (kh, kw, ic) order; padding is a step with x = 0. */
template <typename Value>
static __global__ void
__launch_bounds__ (KERNEL_CUDA_THREADS)
    conv_float (const __grid_constant__ typename ConvFloat<Value>::Args a, size_t count)
{
  typedef ConvFloat<Value> Type;
  const KernelConvShape &s = a.shape;
  const size_t i = kernel_cuda_item ();

  if (i >= count)
    return;
  const Output o = find_output (s, i);
  const int ic = s.ic / s.groups, first = o.oc / (s.oc / s.groups) * ic;
  const Value *w = (const Value *) a.w + o.oc;
  float t = a.b[o.oc], total = -0.0f; /* to which the first chain's sum can be added as it is */
  int left = KERNEL_CHAIN;

  for (int kh = 0; kh < s.kh; kh++) {
    for (int kw = 0; kw < s.kw; kw++) {
      size_t index;
      const bool inside = find_pixel (s, o, kh, kw, &index);
      const Value *x = a.x + index + first;

      for (int k = 0; k < ic;) {
        if (left == 0) {
          total += t;
          t = 0.0f;
          left = KERNEL_CHAIN;
        }
        const int end = min (ic, k + left);

        left -= end - k;
#pragma unroll 4
        for (; k < end; k++, w += s.oc)
          t = fmaf (inside ? Type::widen (x[k]) : 0.0f, Type::widen (*w), t);
      }
    }
  }
  t = total + t;
  if (a.r)
    t = t + Type::widen (a.r[i]);
  a.y[i] = Type::narrow (kernel_clamp_f32 (t, a.lo, a.hi));
}

template <typename Value>
static void
run (const typename ConvFloat<Value>::Args *args, KernelQueue *queue)
{
  const size_t count = count_outputs (&args->shape);

  conv_float<Value>
      <<<kernel_cuda_blocks (count, KERNEL_CUDA_THREADS), KERNEL_CUDA_THREADS, 0, queue->stream>>> (
          *args, count);
}

const CudaConvF32 kernel_conv_f32_cuda_plain = {"plain", suits_all, pack<float>, NULL, run<float>};
const CudaConvF16 kernel_conv_f16_cuda_plain = {"plain", suits_all, pack<KernelHalf>, NULL,
    run<KernelHalf>};
