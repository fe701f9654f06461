/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-float.h: floats and halves as one idea, for convolutions without tensor cores: what their arguments
 * are, and how a value becomes a float and back.
 */
#pragma once

#include "kernels/cuda/conv-f16.h"
#include "kernels/cuda/vector.h"

template <typename Value> struct ConvFloat;

template <> struct ConvFloat<float> {
  typedef KernelConvF32 Args;
  static constexpr int channels = 4;       /* in 16 bytes */
  static constexpr bool same_bytes = true; /* as ref, signs of zeros included */

  static __host__ __device__ inline float
  widen (float value)
  {
    return value;
  }
  static __host__ __device__ inline float
  narrow (float value)
  {
    return value;
  }
};

template <> struct ConvFloat<KernelHalf> {
  typedef KernelConvF16 Args;
  static constexpr int channels = 8;
  static constexpr bool same_bytes = false;

  static __host__ __device__ inline float
  widen (KernelHalf value)
  {
    return kernel_half_to_f32 (value);
  }
  static __host__ __device__ inline KernelHalf
  narrow (float value)
  {
    return kernel_half_of_f32 (value);
  }
};

/* Weights of "plain" as [kh][kw][ic / groups][oc]; those of floats are in cuda.h. */
size_t kernel_conv_f16_pack_cuda_plain (const KernelConvShape *shape, const float *w, void *packed);
