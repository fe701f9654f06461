/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-f16.h: the ways to convolve halves, for the list in conv.cu, and the end of those on tensor
 * cores that store from registers.
 */
#pragma once

#include "kernels/cuda/conv-gemm.h"
#include "kernels/cuda/vector.h"

extern const CudaConvF16 kernel_conv_f16_cuda_gemm, kernel_conv_f16_cuda_stem,
    kernel_conv_f16_cuda_depthwise, kernel_conv_f16_cuda_plain;

#define WAY(id, title, tile) extern const CudaConvF16 kernel_conv_f16_cuda_##id;
CONV_WGMMA_WAYS (WAY)
CONV_MMA_WAYS (WAY)
CONV_SPLIT_WAYS (WAY)
#undef WAY

#ifdef __CUDACC__

/* 16 outputs of a pixel from `channel` on, or those that there are; pixel -1: none. y = min (max (get (i) +
 * b + r, lo), hi). All lanes of a warp come here together, neighbours with neighbouring channels: of two that
 * have 32 bytes each, each stores halves of both, so that no store writes half a sector. */
template <class Get>
static __device__ __forceinline__ void
conv_store_f16 (const ConvParams &p, int pixel, int channel, Get get)
{
  const KernelHalf *r = pixel >= 0 ? (const KernelHalf *) p.r : NULL;
  const size_t row = (size_t) (pixel >= 0 ? pixel : 0) * p.oc;
  KernelHalf *y = (KernelHalf *) p.y + row;
  uint32_t word[8];

  if (!p.wide) {
#pragma unroll
    for (int i = 0; i < 16; i++)
      if (pixel >= 0 && channel + i < p.oc) {
        const float t = get (i) + p.b[channel + i];

        y[channel + i] = kernel_half_of_f32 (
            kernel_clamp_f32 (r ? t + kernel_half_to_f32 (r[row + channel + i]) : t, p.lo, p.hi));
      }
    return;
  }
#pragma unroll
  for (int k = 0; k < 16; k += 8) {
    float t[8], b[8] = {}, other[8] = {};

    if (channel + k < p.oc) {
      load_f32<8> (b, p.b + channel + k);
      if (r)
        load_f32<8> (other, r + row + channel + k);
    }
#pragma unroll
    for (int i = 0; i < 8; i++) {
      t[i] = get (k + i) + b[i];
      t[i] = kernel_clamp_f32 (r ? t[i] + other[i] : t[i], p.lo, p.hi);
    }
#pragma unroll
    for (int i = 0; i < 8; i += 2)
      word[(k + i) / 2] = kernel_half_of_f32 (t[i]) | (uint32_t) kernel_half_of_f32 (t[i + 1])
                                                          << 16;
  }
  const bool odd = threadIdx.x % 2;
  const int first = channel - odd * 16 + odd * 8;

#pragma unroll
  for (int i = 0; i < 4; i++) {
    const uint32_t got = __shfl_xor_sync (0xffffffff, odd ? word[i] : word[4 + i], 1);

    word[i] = odd ? got : word[i];
    word[4 + i] = odd ? word[4 + i] : got;
  }
  if (pixel >= 0 && first < p.oc)
    *(uint4 *) (y + first) = make_uint4 (word[0], word[1], word[2], word[3]);
  if (pixel >= 0 && first + 16 < p.oc)
    *(uint4 *) (y + first + 16) = make_uint4 (word[4], word[5], word[6], word[7]);
}

#endif
