/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-stem.h: the convolution of conv-stem.cu, of up to 4 channels.
 */
#pragma once

#include "kernels/cuda/conv-blocks.h"

bool kernel_conv_stem_suits (const KernelConvShape *shape, int sm);
size_t kernel_conv_stem_pack (const KernelConvShape *shape, int8_t zero_x, const int8_t *w,
    void *packed);
void kernel_conv_stem_run (const KernelConvS8 *args, bool to_f32, KernelQueue *queue);
