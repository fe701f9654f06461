/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-mma.h: the convolution of conv-mma.cu, which serves every shape of one group.
 */
#pragma once

#include "kernels/cuda/conv-blocks.h"

/* Pixels x channels of a block; the blocks of a cluster share out k in the last three. */
typedef enum {
  CONV_MMA_128X128,
  CONV_MMA_64X64,
  CONV_MMA_SPLIT2,
  CONV_MMA_SPLIT4,
  CONV_MMA_SPLIT8,
} ConvMmaTile;

/* Takes the nearest tile that the device and x's alignment allow. */
void kernel_conv_mma_run (const KernelConvS8 *args, bool to_f32, ConvMmaTile tile,
    KernelQueue *queue);

/* The same for halves. */
void kernel_conv_mma_run_f16 (const KernelConvF16 *args, ConvMmaTile tile, KernelQueue *queue);
