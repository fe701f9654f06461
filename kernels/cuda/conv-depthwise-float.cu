/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-depthwise-float.cu: depthwise convolutions 3x3 and 5x5 of stride 1 and 2, of floats and of halves.
 *
 * A thread makes four neighbouring outputs of 16 bytes of channels, one chain of fmaf each; a value of x is
 * loaded once for all outputs that it touches. Bound: memory at stride 2, loads at stride 1.
 */
#include "kernels/cuda/conv-float.h"

#define OUTPUTS 4 /* of a row, of a thread */

/* A row of the window that lies outside: steps with x = 0. */
template <int outputs, int k, int V, typename Value>
static __device__ inline void
add_padding (float (&t)[outputs][V], const Value *w, int oc)
{
  float v[V];

#pragma unroll
  for (int kw = 0; kw < k; kw++) {
    load_f32<V> (v, w + kw * oc);
#pragma unroll
    for (int o = 0; o < outputs; o++)
#pragma unroll
      for (int j = 0; j < V; j++)
        t[o][j] = fmaf (0.0f, v[j], t[o][j]);
  }
}

/* k and stride are those of both axes. Of floats padding is a step with x = 0, which may change -0 to +0;
 * halves leave out rows of it, with which they took a third longer at stride 2. */
template <typename Value, int k, int stride>
static __global__ void
__launch_bounds__ (KERNEL_CUDA_THREADS) conv_depthwise (
    const __grid_constant__ typename ConvFloat<Value>::Args a, int groups, size_t count)
{
  constexpr int V = ConvFloat<Value>::channels;
  static_assert (k * k <= KERNEL_CHAIN, "one chain");
  const KernelConvShape &s = a.shape;
  const size_t i = kernel_cuda_item ();

  if (i >= count)
    return;
  const int blocks = s.oc / V;
  const size_t group = kernel_cuda_divide (i, blocks), row = kernel_cuda_divide (group, groups);
  const size_t n = kernel_cuda_divide (row, s.oh);
  const int c = (int) (i - group * blocks) * V, ow = (int) (group - row * groups) * OUTPUTS;
  const int ih = (int) (row - n * s.oh) * s.stride_h - s.pad_top;
  const int iw = ow * s.stride_w - s.pad_left;
  const Value *x = a.x + n * s.ih * s.iw * s.ic + c, *w = (const Value *) a.w + c;
  float t[OUTPUTS][V], v[V], b[V];

#pragma unroll
  for (int j = 0; j < V; j += 4)
    load_f32<4> (b + j, a.b + c + j);
#pragma unroll
  for (int o = 0; o < OUTPUTS; o++)
#pragma unroll
    for (int j = 0; j < V; j++)
      t[o][j] = b[j];
#pragma unroll
  for (int kh = 0; kh < k; kh++) {
    const int h = ih + kh;
    float wv[k][V];

    if ((unsigned) h >= (unsigned) s.ih) {
      if constexpr (ConvFloat<Value>::same_bytes)
        add_padding<OUTPUTS, k, V> (t, w + kh * k * s.oc, s.oc);
      continue;
    }
#pragma unroll
    for (int kw = 0; kw < k; kw++)
      load_f32<V> (wv[kw], w + (kh * k + kw) * s.oc);
#pragma unroll
    for (int q = 0; q < (OUTPUTS - 1) * stride + k; q++) {
      const bool inside = (unsigned) (iw + q) < (unsigned) s.iw;

      load_f32<V> (v, x + (inside ? ((size_t) h * s.iw + iw + q) * s.ic : 0));
#pragma unroll
      for (int o = 0; o < OUTPUTS; o++) {
        const int kw = q - o * stride;

        if (kw < 0 || kw >= k)
          continue;
#pragma unroll
        for (int j = 0; j < V; j++)
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
      load_f32<V> (v, a.r + at);
#pragma unroll
    for (int j = 0; j < V; j++)
      t[o][j] = kernel_clamp_f32 (a.r ? t[o][j] + v[j] : t[o][j], a.lo, a.hi);
    store_f32<V> (a.y + at, t[o]);
  }
}

/* --- On the host ---------------------------------------------------------------------------- */

template <typename Value>
static bool
suits (const KernelConvShape *s, int sm)
{
  return s->groups == s->ic && s->groups == s->oc && s->oc % ConvFloat<Value>::channels == 0 &&
         s->kh == s->kw && (s->kh == 3 || s->kh == 5) && s->stride_h == s->stride_w &&
         s->stride_h <= 2 && s->dilation_h == 1 && s->dilation_w == 1;
}

template <typename Value, int k, int stride>
static void
launch (const typename ConvFloat<Value>::Args *args, KernelQueue *queue)
{
  const KernelConvShape *s = &args->shape;
  const int groups = (s->ow + OUTPUTS - 1) / OUTPUTS;
  const size_t count = (size_t) s->n * s->oh * groups * (s->oc / ConvFloat<Value>::channels);

  conv_depthwise<Value, k, stride>
      <<<kernel_cuda_blocks (count, KERNEL_CUDA_THREADS), KERNEL_CUDA_THREADS, 0, queue->stream>>> (
          *args, groups, count);
}

/* False where pointers are not aligned. */
template <typename Value>
static bool
run (const typename ConvFloat<Value>::Args *args, KernelQueue *queue)
{
  const KernelConvShape *s = &args->shape;
  const size_t bits = kernel_cuda_bits (args->x) | kernel_cuda_bits (args->w) |
                      kernel_cuda_bits (args->b) | kernel_cuda_bits (args->r) |
                      kernel_cuda_bits (args->y);

  if (bits % 16 != 0)
    return false;
  if (s->kh == 3)
    s->stride_h == 1 ? launch<Value, 3, 1> (args, queue) : launch<Value, 3, 2> (args, queue);
  else
    s->stride_h == 1 ? launch<Value, 5, 1> (args, queue) : launch<Value, 5, 2> (args, queue);
  return true;
}

static void
run_f32 (const KernelConvF32 *args, KernelQueue *queue)
{
  if (!run<float> (args, queue))
    kernel_conv_f32_cuda_plain.run (args, queue);
}

static void
run_f16 (const KernelConvF16 *args, KernelQueue *queue)
{
  if (!run<KernelHalf> (args, queue))
    kernel_conv_f16_cuda_plain.run (args, queue);
}

const CudaConvF32 kernel_conv_f32_cuda_depthwise = {"depthwise", suits<float>,
    kernel_conv_f32_pack_cuda_plain, NULL, run_f32};
const CudaConvF16 kernel_conv_f16_cuda_depthwise = {"depthwise", suits<KernelHalf>,
    kernel_conv_f16_pack_cuda_plain, NULL, run_f16};
