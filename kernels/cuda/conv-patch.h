/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-patch.h: the convolution of conv-patch.cu, of stride 1, for Hopper.
 */
#pragma once

#include "kernels/cuda/conv-blocks.h"

/* name, warpgroups, 64s of pixels and of channels of each. */
#define CONV_PATCH_TILES                                                                           \
  CONV_TILE (4_OF_64X64, 4, 1, 1)                                                                  \
  CONV_TILE (4_OF_128X64, 4, 2, 1)                                                                 \
  CONV_TILE (3_OF_64X128, 3, 1, 2)

typedef enum {
#define CONV_TILE(name, groups, mi, nj) CONV_PATCH_##name,
  CONV_PATCH_TILES
#undef CONV_TILE
      CONV_PATCH_COUNT
} ConvPatchTile;

/* Whatever n. */
bool kernel_conv_patch_suits (const KernelConvShape *shape, int sm);
/* False, and nothing launched, where shared memory or alignment is not enough. */
bool kernel_conv_patch_run (const KernelConvS8 *args, ConvPatchTile tile, KernelQueue *queue);
