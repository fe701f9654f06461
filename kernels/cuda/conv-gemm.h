/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-gemm.h: the convolutions of conv-gemm.cu and, in halves, of conv-f16.cu, all on tensor cores, for the
 * lists in conv.cu; and how both choose a tile by n.
 */
#pragma once

#include "kernels/cuda/conv-blocks.h"

#include <math.h>

/* The tiles, in the order in which they are timed: WAY (id, name, tile). Those with wgmma and mma exist for
 * both types, those that read a patch of the image once for int8. */
/* clang-format off */
#define CONV_WGMMA_WAYS(WAY)                                      \
  WAY (wgmma_192x128, "wgmma 192x128", CONV_WGMMA_192X128)        \
  WAY (wgmma_256x128, "wgmma 256x128", CONV_WGMMA_256X128)        \
  WAY (wgmma_128x256, "wgmma 128x256", CONV_WGMMA_128X256)        \
  WAY (wgmma_128x128, "wgmma 128x128", CONV_WGMMA_128X128)        \
  WAY (wgmma_128x64, "wgmma 128x64", CONV_WGMMA_128X64)           \
  WAY (wgmma_2x128x128, "wgmma 2 of 128x128", CONV_WGMMA_2_OF_128X128) \
  WAY (wgmma_2x64x256, "wgmma 2 of 64x256", CONV_WGMMA_2_OF_64X256)    \
  WAY (wgmma_2x128x64, "wgmma 2 of 128x64", CONV_WGMMA_2_OF_128X64)
#define CONV_PATCH_WAYS(WAY)                                      \
  WAY (patch_4x128x64, "patch 4 of 128x64", CONV_PATCH_4_OF_128X64) \
  WAY (patch_4x64x64, "patch 4 of 64x64", CONV_PATCH_4_OF_64X64)    \
  WAY (patch_3x64x128, "patch 3 of 64x128", CONV_PATCH_3_OF_64X128)
#define CONV_MMA_WAYS(WAY)                                        \
  WAY (mma_128x128, "mma 128x128", CONV_MMA_128X128)              \
  WAY (mma_64x64, "mma 64x64", CONV_MMA_64X64)
#define CONV_SPLIT_WAYS(WAY)                                      \
  WAY (mma_split2, "mma 64x64, k by 2", CONV_MMA_SPLIT2)          \
  WAY (mma_split4, "mma 64x64, k by 4", CONV_MMA_SPLIT4)          \
  WAY (mma_split8, "mma 64x64, k by 8", CONV_MMA_SPLIT8)
/* clang-format on */

extern const CudaConvS8 kernel_conv_s8_cuda_stem, kernel_conv_s8_cuda_gemm;
extern const CudaConvS8 kernel_conv_s8_cuda_narrow_or_gemm, kernel_conv_s8_cuda_narrow;

#define WAY(id, title, tile) extern const CudaConvS8 kernel_conv_s8_cuda_##id;
CONV_WGMMA_WAYS (WAY)
CONV_PATCH_WAYS (WAY)
CONV_MMA_WAYS (WAY)
CONV_SPLIT_WAYS (WAY)
#undef WAY

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

/* The quickest by that table; the next, where run (candidate) is false: what it lacks, shape, shared memory
 * or alignment, mma never does. */
template <int count, class Run>
static inline void
kernel_conv_run_best (const ConvCandidate (&candidates)[count], const KernelConvShape *shape,
    bool with_r, const CudaBackend *cuda, Run run)
{
  bool tried[count] = {};

  for (;;) {
    float least = INFINITY;
    int best = 0;

    for (int i = 0; i < count; i++) {
      const float cycles = kernel_conv_estimate (&candidates[i], shape, with_r, cuda);

      if (!tried[i] && cycles < least) {
        least = cycles;
        best = i;
      }
    }
    tried[best] = true;
    if (run (&candidates[best]))
      return;
  }
}
