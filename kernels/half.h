/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * half.h: binary16 of IEEE 754 and float, exactly: on a host in integers, on a device by its own
 * instructions. Rounding is half to even; what is too large becomes infinity, NaN stays NaN.
 */
#pragma once

#include "kernels/kernels.h"
#include "kernels/requant.h"

#include <string.h>

#ifdef __CUDACC__
#include <cuda_fp16.h>
#endif

KERNEL_INLINE float
kernel_half_to_f32 (KernelHalf half)
{
#ifdef __CUDA_ARCH__
  return __half2float (__ushort_as_half (half));
#else
  const uint32_t sign = (uint32_t) (half & 0x8000) << 16, rest = half & 0x7fff;
  const float subnormal = (float) rest * 0x1p-24f;
  uint32_t bits;
  float value;

  if (rest >= 0x7c00)
    bits = 0x7f800000 | rest << 13;
  else if (rest >= 0x0400)
    bits = (rest << 13) + (112u << 23);
  else
    memcpy (&bits, &subnormal, sizeof bits);
  bits |= sign;
  memcpy (&value, &bits, sizeof value);
  return value;
#endif
}

KERNEL_INLINE KernelHalf
kernel_half_of_f32 (float value)
{
#ifdef __CUDA_ARCH__
  return __half_as_ushort (__float2half_rn (value));
#else
  uint32_t bits, sign, half;

  memcpy (&bits, &value, sizeof bits);
  sign = bits >> 16 & 0x8000;
  bits &= 0x7fffffff;
  if (bits > 0x7f800000) {
    half = 0x7fff;
  } else if (bits >= 0x38800000) { /* 2^-14: normal */
    half = (bits + 0xfff + (bits >> 13 & 1)) >> 13;
    half = half < 0x7c00 + (112u << 10) ? half - (112u << 10) : 0x7c00;
  } else { /* the last digit of 0.5 is 2^-24, that of a subnormal: the sum is rounded there */
    const float magnitude = fabsf (value) + 0.5f;

    memcpy (&half, &magnitude, sizeof half);
    half -= 0x3f000000;
  }
  return (KernelHalf) (sign | half);
#endif
}
