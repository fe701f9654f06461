/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * module.h: between kernels/ and the module libgstint8-cuda.so, which has the back end "cuda:N" and
 * is loaded when one is opened: a machine without a driver never sees it.
 */
#pragma once

#include "kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The module's one symbol, KERNEL_CUDA_OPEN. `version` is the caller's INT8_VERSION: structs are
 * shared, so that both must be of one build. context: a CUcontext of the device, or NULL for its
 * primary one. As kernel_open(). */
typedef KernelBackend *(
    *KernelCudaOpenFn) (const char *version, int device, void *context, char *why, size_t why_size);

#define KERNEL_CUDA_MODULE "libgstint8-cuda.so"
#define KERNEL_CUDA_OPEN   "kernel_cuda_open"

#ifdef __cplusplus
}
#endif
