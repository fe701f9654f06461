/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * backend.h: what the back ends share inside kernels/. Not for other rooms.
 *
 * A kernel of `ref` never looks at its queue, so any back end with host memory may put it into its
 * own table: `cpu` starts from kernel_ops_ref and replaces the slots that it does better.
 */
#pragma once

#include "kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* As kernel_open(): NULL when it is not to be had, and `why` holds the cause. */
KernelBackend *kernel_open_ref (char *why, size_t why_size);
KernelBackend *kernel_open_cpu (char *why, size_t why_size);
KernelBackend *kernel_open_cuda (const char *name, char *why, size_t why_size);

extern const KernelOps kernel_ops_ref;

size_t kernel_conv_s8_pack_ref (const KernelConvShape *shape, int8_t zero_x, const int8_t *w,
    void *packed);
size_t kernel_conv_f32_pack_ref (const KernelConvShape *shape, const float *w, void *packed);
size_t kernel_conv_f16_pack_ref (const KernelConvShape *shape, const float *w, void *packed);
size_t kernel_matmul_s8_scratch_ref (const KernelMatmul *args, KernelQueue *queue);
size_t kernel_matmul_f32_scratch_ref (const KernelMatmul *args, KernelQueue *queue);

#define KERNEL_OP(name, Args) void kernel_##name##_ref (const Args *args, KernelQueue *queue);
#include "kernels/kernel-ops.inc"
#undef KERNEL_OP

#ifdef __cplusplus
}
#endif
