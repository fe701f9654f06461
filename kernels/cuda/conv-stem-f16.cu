/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-stem-f16.cu: conv-stem.cuh for halves.
 *
 * A pixel is four halves. Four neighbouring pixels of a window's row are the k of one mma: lane t of a row has
 * pixel t, one 8-byte load (7x7: two mma a row, 14 of them).
 */
#include "kernels/cuda/conv-f16.h"
#include "kernels/cuda/conv-stem.cuh"

#include <string.h>

/* row_steps: steps of a row of a window, 0 where they are known at run time only. */
template <int row_steps> struct StemHalves {
  typedef uint2 Pixel;
  typedef float Sum;

  static __device__ __forceinline__ void
  load_factors (uint8_t *memory, const ConvParams &p)
  {
  }

  static __device__ __forceinline__ uint2
  outside (const ConvParams &p)
  {
    return make_uint2 (0, 0);
  }

  /* Always loaded, so that loads of several pixels are under way. */
  static __device__ __forceinline__ void
  read_elements (uint2 (&pixel)[4], const int8_t *row, int first, const ConvParams &p)
  {
    const int ic = p.ic / 2;

#pragma unroll
    for (int i = 0; i < 4; i++) {
      const bool inside = (unsigned) (first + i) < (unsigned) p.iw;
      const KernelHalf *from = (const KernelHalf *) row + (inside ? (first + i) * ic : 0);
      uint32_t c[4];

#pragma unroll
      for (int k = 0; k < 4; k++) {
        c[k] = from[k < ic ? k : 0];
        c[k] = inside && k < ic ? c[k] : 0;
      }
      pixel[i] = make_uint2 (c[0] | c[1] << 16, c[2] | c[3] << 16);
    }
  }

  static __device__ __forceinline__ void
  spread (uint2 (&pixel)[4])
  {
    const uint2 a = pixel[0], b = pixel[1], c = pixel[2];

    pixel[0] = make_uint2 (a.x, a.y & 0xffff);
    pixel[1] = make_uint2 (__byte_perm (a.y, b.x, 0x5432), b.x >> 16);
    pixel[2] = make_uint2 (b.y, c.x & 0xffff);
    pixel[3] = make_uint2 (__byte_perm (c.x, c.y, 0x5432), c.y >> 16);
  }

  static __device__ __forceinline__ int
  pixel_of (int t)
  {
    return t;
  }

  /* A row of a window is one step or two. */
  static __device__ __forceinline__ const uint2 *
  find (const uint2 *from, int step, const StemParams &q)
  {
    const int of_row = row_steps ? row_steps : q.row_steps;

    return of_row == 1 ? from + step * q.width : from + step / 2 * q.width + step % 2 * 4;
  }

  static __device__ __forceinline__ void
  load (uint32_t (&a)[4], const uint2 *x, const StemParams &q)
  {
    const uint2 low = x[0], high = x[8 * q.p.stride_w];

    a[0] = low.x, a[1] = high.x, a[2] = low.y, a[3] = high.y;
  }

  template <int pixels, class Get>
  static __device__ __forceinline__ void
  store (const ConvParams &p, const uint8_t *memory, const int (&pixel)[pixels], int n, int t,
      Get get)
  {
#pragma unroll
    for (int i = 0; i < pixels; i++)
      conv_store_f16 (p, pixel[i], n * 64 + t * 16, [&] (int j) { return get (i, j); });
  }
};

/* --- On the host ---------------------------------------------------------------------------- */

static bool
suits (const KernelConvShape *s, int sm)
{
  return stem_suits (s, sm, 512, 2);
}

/* Lane 4 g + t has the four channels of pixel t of a step. */
static size_t
pack (const KernelConvShape *s, const float *w, void *packed)
{
  const int row_steps = (s->kw + 3) / 4, steps = s->kh * row_steps;
  const size_t size = stem_count_blocks (s) * steps * 8 * 32 * 4 * sizeof (KernelHalf);
  KernelHalf *to = (KernelHalf *) packed;

  if (!packed)
    return size;
  memset (to, 0, size);
  for (int oc = 0; oc < s->oc; oc++) {
    int j, g;

    stem_place (oc, &j, &g);
    for (int kh = 0; kh < s->kh; kh++)
      for (int kw = 0; kw < s->kw; kw++) {
        const size_t step = (oc / CONV_BLOCK_CHANNELS) * steps + kh * row_steps + kw / 4;
        KernelHalf *at = to + ((step * 8 + j) * 32 + g * 4 + kw % 4) * 4;

        for (int ic = 0; ic < s->ic; ic++)
          at[ic] = kernel_half_of_f32 (*w++);
      }
  }
  return size;
}

static void
run (const KernelConvF16 *args, KernelQueue *queue)
{
  const KernelConvShape *s = &args->shape;
  StemParams q = {};
  const void *kernel = (const void *) conv_stem<StemHalves<0>>;

  q.p = kernel_conv_params_f16 (args);
  q.row_steps = (s->kw + 3) / 4;
  q.steps = s->kh * q.row_steps;
  q.kh = s->kh;
  q.width = ((s->ow + 15) / 16 * 16 - 1) * s->stride_w + q.row_steps * 4;
  q.words = s->ic == 3 && s->iw % 4 == 0 && kernel_cuda_aligned (args->x, 8);
  if (queue->cuda->sm == 90 && q.row_steps == 2 && q.steps == 14)
    kernel = (const void *) conv_stem_wgmma<StemHalves<2>, 14>;
  else if (queue->cuda->sm == 90 && q.row_steps == 1 && q.steps == 3)
    kernel = (const void *) conv_stem_wgmma<StemHalves<1>, 3>;
  stem_launch (&q, kernel, sizeof (uint2), queue);
}

const CudaConvF16 kernel_conv_f16_cuda_stem = {"stem", suits, pack, NULL, run};
