/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cudnn-graph.h: a convolution and what follows it as one operation graph of cuDNN, and the ways
 * ("configurations": an engine and its knobs) that cuDNN's heuristics know for it, best first. Any
 * data type: what one engine does with int8, another does with half or float.
 */
#pragma once

#include "kernels/cuda/cudnn-api.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What follows the sum t of x * w, in this order; y is what comes out. */
enum {
  CUDNN_STEP_SCALE = 1 << 0,    /* t * m[oc] */
  CUDNN_STEP_BIAS = 1 << 1,     /* t + b[oc] */
  CUDNN_STEP_RESIDUAL = 1 << 2, /* t + r * mr */
  CUDNN_STEP_CLAMP = 1 << 3,    /* min (max (t, lo), hi) */
};

/* NHWC, weights OHWI, as in kernels.h. Compared with memcmp: members of four bytes only. */
typedef struct {
  cudnnDataType_t in;    /* of x, w and r */
  cudnnDataType_t sum;   /* of the products' sum */
  cudnnDataType_t inner; /* of m, b, mr and everything between the sum and y */
  cudnnDataType_t out;   /* of y */
  int n, ih, iw, ic, oh, ow, oc, kh, kw;
  int stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left, groups;
  unsigned steps;
  float lo, hi; /* of CUDNN_STEP_CLAMP; else 0 */
} CudnnConv;

/* Where the tensors are; those that the graph lacks are not looked at. All 16-byte aligned but mr,
 * which is in host memory and read during the call. */
typedef struct {
  const void *x, *w, *m, *b, *r;
  const float *mr;
  void *y;
  void *workspace;
} CudnnPointers;

/* What a configuration may not do. */
typedef struct {
  bool exact;        /* no FFT, no Winograd; never reduced precision or a changing order of sums */
  bool tensor_cores; /* allowed */
  size_t workspace;  /* most bytes */
} CudnnLimits;

typedef struct CudnnChoices CudnnChoices;

/* At most `most` configurations within the limits (workspace aside, which only a plan knows).
 * NULL, and `why`, when cuDNN does not know the graph at all. */
CudnnChoices *kernel_cudnn_choices_new (cudnnHandle_t handle, const CudnnConv *conv,
    const CudnnLimits *limits, int most, char *why, size_t why_size);
void kernel_cudnn_choices_free (CudnnChoices *choices);
int kernel_cudnn_choices_count (const CudnnChoices *choices);
/* "engine 7: tile 5, stages 3" */
const char *kernel_cudnn_choices_name (const CudnnChoices *choices, int i);

typedef struct {
  cudnnBackendDescriptor_t plan;
  size_t workspace;
  CudnnConv conv;
} CudnnPlan;

/* False, and `why`, when it cannot be built here or needs more than `limit` bytes of workspace. */
bool kernel_cudnn_plan_init (CudnnPlan *plan, cudnnHandle_t handle, const CudnnChoices *choices,
    int i, size_t limit, char *why, size_t why_size);
void kernel_cudnn_plan_clear (CudnnPlan *plan);
/* Queues it on the handle's stream. */
cudnnStatus_t kernel_cudnn_plan_run (const CudnnPlan *plan, cudnnHandle_t handle,
    const CudnnPointers *pointers);

#ifdef __cplusplus
}
#endif
