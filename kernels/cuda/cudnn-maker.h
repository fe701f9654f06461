/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cudnn-maker.h: descriptors of cuDNN, made one after the other. The first failure sticks, and
 * everything after it does nothing, so that it is asked for once, at the end. Internal to cudnn-*.c.
 */
#pragma once

#include "kernels/cuda/cudnn-api.h"
#include "kernels/cuda/cudnn-graph.h"

#include <stdbool.h>
#include <stdint.h>

#define CUDNN_MAX_DESCRIPTORS 32
#define CUDNN_MAX_OPERATIONS  6

typedef struct {
  const CudnnApi *api;
  cudnnBackendDescriptor_t made[CUDNN_MAX_DESCRIPTORS];
  int n_made;
  cudnnBackendDescriptor_t operations[CUDNN_MAX_OPERATIONS];
  int n_operations;
  int64_t next_virtual;
  cudnnStatus_t status;
  const char *where; /* what failed */
} CudnnMaker;

/* Keeps the status, unless it is a success or one is kept already. */
void kernel_cudnn_note (CudnnMaker *maker, const char *what, cudnnStatus_t status);
bool kernel_cudnn_failed (const CudnnMaker *maker);
/* What failed, as cuDNN tells it. */
void kernel_cudnn_explain (const CudnnMaker *maker, char *why, size_t why_size);

/* The maker's, until kernel_cudnn_clear(). */
cudnnBackendDescriptor_t kernel_cudnn_make (CudnnMaker *maker, cudnnBackendDescriptorType_t type);
void kernel_cudnn_set (CudnnMaker *maker, cudnnBackendDescriptor_t descriptor,
    cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
    const void *values);
void kernel_cudnn_set_descriptor (CudnnMaker *maker, cudnnBackendDescriptor_t descriptor,
    cudnnBackendAttributeName_t name, cudnnBackendDescriptor_t value);
void kernel_cudnn_finalise (CudnnMaker *maker, const char *what,
    cudnnBackendDescriptor_t descriptor);
void kernel_cudnn_clear (CudnnMaker *maker);

/* cudnn-graph.c: the tensors' names in a run, and the graph. */
enum {
  CUDNN_UID_X = 1,
  CUDNN_UID_W,
  CUDNN_UID_M,
  CUDNN_UID_B,
  CUDNN_UID_R,
  CUDNN_UID_MR,
  CUDNN_UID_Y,
  CUDNN_UID_VIRTUAL /* and above: seen by the next operation only */
};
cudnnBackendDescriptor_t kernel_cudnn_make_graph (CudnnMaker *maker, cudnnHandle_t handle,
    const CudnnConv *conv);
