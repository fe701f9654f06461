/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-maps.h: descriptions of tensors for Hopper's copy engine (TMA). All are of bytes, swizzled
 * in shared memory by the width of a box's row, 64 or 128, and read as zero outside. False when the
 * driver refuses: pointers and strides must be multiples of 16.
 */
#pragma once

#include "kernels/cuda/cuda.h"

bool kernel_conv_map_matrix (KernelQueue *queue, CUtensorMap *map, const void *data, int rows,
    int columns, int box_rows, int box_columns);
/* NHWC, in boxes of one image. */
bool kernel_conv_map_images (KernelQueue *queue, CUtensorMap *map, const void *data, int n, int h,
    int w, int c, int box_h, int box_w, int box_c);
/* x as im2col walks it: the pixels of tap (0, 0) of every window, `pixels` at a time. */
bool kernel_conv_map_windows (KernelQueue *queue, CUtensorMap *map, const KernelConvShape *s,
    const void *x, int pixels, int kb);
