/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-gemm.h: the ways to convolve of conv-gemm.cu, all on tensor cores, for the list in conv.cu.
 */
#pragma once

#include "kernels/cuda/conv-blocks.h"

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

/* --- Which kernel, by n --------------------------------------------------------------------- */

typedef enum { CONV_MMA, CONV_SPLIT, CONV_WGMMA, CONV_PATCH } ConvKind;

/* What a tile takes, in cycles. */
typedef struct {
  ConvKind kind;
  int tile; /* of its kind */
  int pixels, channels;
  int slots;            /* tiles at a time on a multiprocessor */
  int shares;           /* CONV_SPLIT: blocks that share out k */
  float alone, crowded; /* each 128 bytes of k, one tile or `slots` of them on a multiprocessor */
  float fixed, with_r;  /* each tile; the same with a residual where tiles are many */
} ConvCandidate;

/* Cycles of a convolution, channels of x in bytes. */
float kernel_conv_estimate (const ConvCandidate *candidate, const KernelConvShape *shape, bool with_r,
    const CudaBackend *cuda);
