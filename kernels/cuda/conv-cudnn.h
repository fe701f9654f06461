/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-cudnn.h: convolutions by cuDNN as entries of conv.cu, and what a back end and a queue have of
 * cuDNN. A build without cuDNN's headers has none of it.
 */
#pragma once

#include "kernels/cuda/cuda.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifdef INT8_CUDNN_HEADERS

/* "cudnn 1" ... "cudnn 5": what cuDNN's heuristics name first, second ... for the shape and n. */
extern const CudaConvS8 kernel_conv_s8_cuda_cudnn_1, kernel_conv_s8_cuda_cudnn_2,
    kernel_conv_s8_cuda_cudnn_3, kernel_conv_s8_cuda_cudnn_4, kernel_conv_s8_cuda_cudnn_5;
extern const CudaConvF32 kernel_conv_f32_cuda_cudnn_1, kernel_conv_f32_cuda_cudnn_2,
    kernel_conv_f32_cuda_cudnn_3, kernel_conv_f32_cuda_cudnn_4;
extern const CudaConvF16 kernel_conv_f16_cuda_cudnn_1, kernel_conv_f16_cuda_cudnn_2,
    kernel_conv_f16_cuda_cudnn_3, kernel_conv_f16_cuda_cudnn_4;

/* Sets cuda->cudnn where there is a cuDNN. */
void kernel_cuda_cudnn_open (CudaBackend *cuda);
/* With the device current, as the next. */
void kernel_cuda_cudnn_close (CudaBackend *cuda);
void kernel_cuda_cudnn_queue_free (KernelQueue *queue);
/* "cuDNN 9.19.0", or "no cuDNN", or that with a reason. */
const char *kernel_cuda_cudnn_about (void);

#else

static inline void
kernel_cuda_cudnn_open (CudaBackend *cuda)
{
}

static inline void
kernel_cuda_cudnn_close (CudaBackend *cuda)
{
}

static inline void
kernel_cuda_cudnn_queue_free (KernelQueue *queue)
{
}

static inline const char *
kernel_cuda_cudnn_about (void)
{
  return "built without cuDNN";
}

#endif

#ifdef __cplusplus
}
#endif
