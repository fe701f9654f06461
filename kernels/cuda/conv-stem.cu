/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-stem.cu: conv-stem.cuh for int8.
 *
 * A pixel is four bytes. One row of a window is then 8 pixels x 4 channels = 32 bytes, the k of one mma (7x7:
 * 7 of them), or, for windows at most 4 wide, 4 pixels of two rows. A lane's operand is two neighbouring
 * pixels: one 8-byte load, without conflicts for stride 2. Bound: mma for 7x7 (65 % of the products are not
 * padding), stores for 3x3.
 */
#include "kernels/cuda/conv-gemm.h"
#include "kernels/cuda/conv-stem.cuh"

#include <string.h>

/* `taps` pixels of a row are the k of a step, 8, or 4 of two rows. pair: two neighbours lie in an aligned
 * 8-byte word. stride: of windows along a row, 0 where it is known at run time only. */
template <int taps, bool pair, int stride> struct StemBytes {
  typedef uint32_t Pixel;
  typedef int Sum;

  static __device__ __forceinline__ void
  load_factors (uint8_t *memory, const ConvParams &p)
  {
    const int channels = p.n_blocks * 64;

    conv_load_factors ((float *) memory, (float *) memory + channels, p, 0, channels);
  }

  static __device__ __forceinline__ uint32_t
  outside (const ConvParams &p)
  {
    return p.zero_x;
  }

  static __device__ __forceinline__ void
  read_elements (uint32_t (&pixel)[4], const int8_t *row, int first, const ConvParams &p)
  {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      pixel[i] = p.zero_x;
      if ((unsigned) (first + i) >= (unsigned) p.iw)
        continue;
      pixel[i] = 0;
#pragma unroll 1
      for (int c = 0; c < p.ic; c++)
        pixel[i] |= (uint32_t) (uint8_t) row[(first + i) * p.ic + c] << (8 * c);
    }
  }

  static __device__ __forceinline__ void
  spread (uint32_t (&pixel)[4])
  {
    const uint32_t a = pixel[0], b = pixel[1], c = pixel[2];

    pixel[0] = a & 0xffffff;
    pixel[1] = __byte_perm (a, b, 0x0543) & 0xffffff;
    pixel[2] = __byte_perm (b, c, 0x0432) & 0xffffff;
    pixel[3] = c >> 8;
  }

  /* The first pixel of lane t of a row, and that of its window in a step. */
  static __device__ __forceinline__ int
  pixel_of (int t)
  {
    return taps == 8 ? 2 * t : t;
  }

  static __device__ __forceinline__ const uint32_t *
  find (const uint32_t *from, int step, const StemParams &q)
  {
    return from + step * (taps == 8 ? q.width : 2 * q.width);
  }

  /* 16 pixels x 32 bytes of k: lane 4 g + t has pixels g and g + 8. */
  static __device__ __forceinline__ void
  load (uint32_t (&a)[4], const uint32_t *x, const StemParams &q)
  {
    const int eight = 8 * (stride ? stride : q.p.stride_w);

    if (taps == 8 && pair) {
      const uint2 low = *(const uint2 *) x, high = *(const uint2 *) (x + eight);

      a[0] = low.x, a[1] = high.x, a[2] = low.y, a[3] = high.y;
    } else {
      const int second = taps == 8 ? 1 : q.width;

      a[0] = x[0], a[1] = x[eight], a[2] = x[second], a[3] = x[eight + second];
    }
  }

  template <int pixels, class Get>
  static __device__ __forceinline__ void
  store (const ConvParams &p, const uint8_t *memory, const int (&pixel)[pixels], int n, int t,
      Get get)
  {
    const float4 *m = (const float4 *) memory + n * 16 + t, *b = m + p.n_blocks * 16;

    mma_store (p, pixel, n * 64 + t * 16, m, b, get);
  }
};

/* --- On the host ---------------------------------------------------------------------------- */

static int
count_steps (const KernelConvShape *s)
{
  return s->kw <= 4 ? (s->kh + 1) / 2 : s->kh;
}

static bool
suits (const KernelConvShape *s, int sm)
{
  return stem_suits (s, sm, 1024, 4);
}

/* Word i of lane 4 g + t is the four channels of one pixel of a window's row. */
static size_t
pack (const KernelConvShape *s, int8_t zero_x, const int8_t *w, void *packed)
{
  const int steps = count_steps (s);
  const size_t size = stem_count_blocks (s) * steps * 8 * 32 * 8;
  uint8_t *to = (uint8_t *) packed;

  if (!packed)
    return size;
  memset (to, 0, size);
  for (int oc = 0; oc < s->oc; oc++) {
    int j, g;

    stem_place (oc, &j, &g);
    for (int kh = 0; kh < s->kh; kh++) {
      for (int kw = 0; kw < s->kw; kw++, w += s->ic) {
        const int step = s->kw <= 4 ? kh / 2 : kh, t = s->kw <= 4 ? kw : kw / 2;
        const int word = s->kw <= 4 ? kh % 2 : kw % 2;
        const size_t block = (size_t) (oc / CONV_BLOCK_CHANNELS) * steps + step;

        memcpy (to + (((block * 8 + j) * 32 + g * 4 + t) * 2 + word) * 4, w, s->ic);
      }
    }
  }
  return size;
}

static void
run (const KernelConvS8 *args, bool to_f32, KernelQueue *queue)
{
  const KernelConvShape *s = &args->shape;
  const int taps = s->kw <= 4 ? 4 : 8;
  const bool wgmma = queue->cuda->sm == 90 && s->stride_w == 2;
  StemParams q = {};
  const void *kernel;

  q.p = kernel_conv_params (args, to_f32);
  q.steps = count_steps (s);
  q.kh = taps == 4 ? q.steps * 2 : s->kh;
  q.width = (((s->ow + 15) / 16 * 16 - 1) * s->stride_w + taps + 1) / 2 * 2;
  q.words = s->ic == 3 && s->iw % 4 == 0 && kernel_cuda_aligned (args->x, 4);
  q.weights = q.p.n_blocks * 64 * 8;
  if (wgmma && taps == 8 && q.steps == 7)
    kernel = (const void *) conv_stem_wgmma<StemBytes<8, true, 2>, 7>;
  else if (wgmma && taps == 4 && q.steps == 2)
    kernel = (const void *) conv_stem_wgmma<StemBytes<4, false, 2>, 2>;
  else if (taps == 4)
    kernel = (const void *) conv_stem<StemBytes<4, false, 0>>;
  else if (s->stride_w % 2 == 0)
    kernel = (const void *) conv_stem<StemBytes<8, true, 0>>;
  else
    kernel = (const void *) conv_stem<StemBytes<8, false, 0>>;
  stem_launch (&q, kernel, sizeof (uint32_t), queue);
}

const CudaConvS8 kernel_conv_s8_cuda_stem = {"stem", suits, pack, NULL, run};
