/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-gemm.h: the ways to convolve of conv-gemm.cu, all on tensor cores, for the list in conv.cu.
 */
#pragma once

#include "kernels/cuda/cuda.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const CudaConvS8 kernel_conv_s8_cuda_stem, kernel_conv_s8_cuda_gemm;
extern const CudaConvS8 kernel_conv_s8_cuda_mma_128x128, kernel_conv_s8_cuda_mma_64x64;
extern const CudaConvS8 kernel_conv_s8_cuda_mma_split2, kernel_conv_s8_cuda_mma_split4,
    kernel_conv_s8_cuda_mma_split8;
extern const CudaConvS8 kernel_conv_s8_cuda_wgmma_256x128, kernel_conv_s8_cuda_wgmma_192x128,
    kernel_conv_s8_cuda_wgmma_128x256, kernel_conv_s8_cuda_wgmma_128x128,
    kernel_conv_s8_cuda_wgmma_128x64;
extern const CudaConvS8 kernel_conv_s8_cuda_wgmma_2x128x128, kernel_conv_s8_cuda_wgmma_2x64x256,
    kernel_conv_s8_cuda_wgmma_2x128x64;
extern const CudaConvS8 kernel_conv_s8_cuda_patch_4x128x64, kernel_conv_s8_cuda_patch_4x64x64,
    kernel_conv_s8_cuda_patch_3x64x128;

#ifdef __cplusplus
}
#endif
