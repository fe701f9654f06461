/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cudnn-plans.h: the plans of one device, made when they are first asked for and kept until the back
 * end closes. Thread-safe.
 */
#pragma once

#include "kernels/cuda/cuda.h"
#include "kernels/cuda/cudnn-graph.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Plan number `rank` (from 1) of a convolution is made of what cuDNN's heuristics name in that place,
 * or, where that cannot be built, of the next that can. */
#define CUDNN_RANKS 5

/* Notes that this shape is going to be run on this queue with n images, and makes what can be made
 * beforehand. False: cuDNN does not work here. */
bool kernel_cudnn_prepare (KernelQueue *queue, const KernelConvShape *shape);

/* NULL where the shape with its n was not prepared, and where cuDNN has no plan of that rank that
 * gives the right bytes: the caller takes another way, with the same results. May take a second. */
const CudnnPlan *kernel_cudnn_plan (KernelQueue *queue, const KernelConvShape *shape,
    const CudnnConv *conv, int rank);

/* Most bytes of workspace that a plan may have. */
size_t kernel_cudnn_workspace (const CudnnConv *conv);

/* Queues the plan; what goes wrong sticks to the queue. */
void kernel_cudnn_run (KernelQueue *queue, const CudnnPlan *plan, const CudnnPointers *pointers);

/* conv-cudnn-check.cu: whether a plan gives the bytes of conv-plain.cu: one of int8 on data aimed at ties, one
 * of halves on data whose sums are exact in any order. Waits for the stream. */
bool kernel_cudnn_check (CudaBackend *cuda, cudnnHandle_t handle, cudaStream_t stream,
    const CudnnPlan *plan, char *why, size_t why_size);

#ifdef __cplusplus
}
#endif
