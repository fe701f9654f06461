/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-wgmma.h: the convolution of conv-wgmma.cu, for Hopper.
 */
#pragma once

#include "kernels/cuda/conv-blocks.h"

/* name, warpgroups, 64s of pixels and of channels of each, blocks of a multiprocessor, and whether
 * warpgroups have tiles of their own. */
#define CONV_WGMMA_TILES                                                                           \
  CONV_TILE (256X128, 2, 2, 2, 1, false)                                                           \
  CONV_TILE (192X128, 3, 1, 2, 1, false)                                                           \
  CONV_TILE (128X256, 2, 1, 4, 1, false)                                                           \
  CONV_TILE (128X128, 2, 1, 2, 2, false)                                                           \
  CONV_TILE (128X64, 2, 1, 1, 2, false)                                                            \
  CONV_TILE (2_OF_128X128, 2, 2, 2, 1, true)                                                       \
  CONV_TILE (2_OF_64X256, 2, 1, 4, 1, true)                                                        \
  CONV_TILE (2_OF_128X64, 2, 2, 1, 1, true)

typedef enum {
#define CONV_TILE(name, groups, mi, nj, blocks, apart) CONV_WGMMA_##name,
  CONV_WGMMA_TILES
#undef CONV_TILE
      CONV_WGMMA_COUNT
} ConvWgmmaTile;

/* Whatever n. */
bool kernel_conv_wgmma_suits (const KernelConvShape *shape, int sm);
/* False, and nothing launched, where shared memory or alignment is not enough. */
bool kernel_conv_wgmma_run (const KernelConvS8 *args, ConvWgmmaTile tile, KernelQueue *queue);

/* The same for halves. */
bool kernel_conv_wgmma_suits_f16 (const KernelConvShape *shape, int sm);
bool kernel_conv_wgmma_run_f16 (const KernelConvF16 *args, ConvWgmmaTile tile, KernelQueue *queue);
