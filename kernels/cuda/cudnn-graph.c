/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cudnn-graph.c: the operation graph of a CudnnConv. */
#include "kernels/cuda/cudnn-maker.h"

#define ALIGNMENT 16

/* --- Tensors -------------------------------------------------------------------------------- */

/* Of n images with h rows, w columns and c channels, channels closest together. */
static cudnnBackendDescriptor_t
tensor (CudnnMaker *maker, int64_t uid, cudnnDataType_t type, int64_t n, int64_t c, int64_t h,
    int64_t w)
{
  const int64_t dims[4] = {n, c, h, w}, strides[4] = {h * w * c, 1, w * c, c};
  const int64_t alignment = ALIGNMENT;
  const bool is_virtual = uid >= CUDNN_UID_VIRTUAL, by_value = uid == CUDNN_UID_MR;
  cudnnBackendDescriptor_t t = kernel_cudnn_make (maker, CUDNN_BACKEND_TENSOR_DESCRIPTOR);

  kernel_cudnn_set (maker, t, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &uid);
  kernel_cudnn_set (maker, t, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
  kernel_cudnn_set (maker, t, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dims);
  kernel_cudnn_set (maker, t, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides);
  kernel_cudnn_set (maker, t, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment);
  if (is_virtual)
    kernel_cudnn_set (maker, t, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &is_virtual);
  if (by_value)
    kernel_cudnn_set (maker, t, CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, 1, &by_value);
  kernel_cudnn_finalise (maker, "a tensor", t);
  return t;
}

/* An output of the convolution's size: y itself, or what only the next operation sees. */
static cudnnBackendDescriptor_t
result (CudnnMaker *maker, const CudnnConv *conv, bool last, cudnnDataType_t type)
{
  return tensor (maker, last ? CUDNN_UID_Y : CUDNN_UID_VIRTUAL + maker->next_virtual++,
      last ? conv->out : type, conv->n, conv->oc, conv->oh, conv->ow);
}

/* --- Operations ----------------------------------------------------------------------------- */

static int64_t
at_least_0 (int64_t x)
{
  return x > 0 ? x : 0;
}

static void
add_convolution (CudnnMaker *maker, const CudnnConv *c, cudnnBackendDescriptor_t y)
{
  const int64_t stride[2] = {c->stride_h, c->stride_w},
                dilation[2] = {c->dilation_h, c->dilation_w};
  const int64_t before[2] = {c->pad_top, c->pad_left};
  const int64_t after[2] = {at_least_0 ((int64_t) (c->oh - 1) * c->stride_h +
                                        (int64_t) (c->kh - 1) * c->dilation_h + 1 - c->ih -
                                        c->pad_top),
      at_least_0 ((int64_t) (c->ow - 1) * c->stride_w + (int64_t) (c->kw - 1) * c->dilation_w + 1 -
                  c->iw - c->pad_left)};
  const int64_t spatial = 2;
  const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
  const float one = 1, zero = 0;
  cudnnBackendDescriptor_t x = tensor (maker, CUDNN_UID_X, c->in, c->n, c->ic, c->ih, c->iw);
  cudnnBackendDescriptor_t w =
      tensor (maker, CUDNN_UID_W, c->in, c->oc, c->ic / c->groups, c->kh, c->kw);
  cudnnBackendDescriptor_t d = kernel_cudnn_make (maker, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);

  kernel_cudnn_set (maker, d, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &c->sum);
  kernel_cudnn_set (maker, d, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1,
      &mode);
  kernel_cudnn_set (maker, d, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &spatial);
  kernel_cudnn_set (maker, d, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, dilation);
  kernel_cudnn_set (maker, d, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, stride);
  kernel_cudnn_set (maker, d, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, before);
  kernel_cudnn_set (maker, d, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, after);
  kernel_cudnn_finalise (maker, "a convolution", d);

  cudnnBackendDescriptor_t op =
      kernel_cudnn_make (maker, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
  kernel_cudnn_set_descriptor (maker, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, d);
  kernel_cudnn_set_descriptor (maker, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x);
  kernel_cudnn_set_descriptor (maker, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, w);
  kernel_cudnn_set_descriptor (maker, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, y);
  kernel_cudnn_set (maker, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT, 1,
      &one);
  kernel_cudnn_set (maker, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT, 1,
      &zero);
  kernel_cudnn_finalise (maker, "the operation of a convolution", op);
  maker->operations[maker->n_operations++] = op;
}

/* Adds y = x `mode` b; of a clamp, b is NULL. */
static void
add_pointwise (CudnnMaker *maker, const CudnnConv *c, cudnnPointwiseMode_t mode,
    cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t b, cudnnBackendDescriptor_t y)
{
  cudnnBackendDescriptor_t d = kernel_cudnn_make (maker, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  const double lo = c->lo, hi = c->hi;

  kernel_cudnn_set (maker, d, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
  kernel_cudnn_set (maker, d, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &c->inner);
  if (mode == CUDNN_POINTWISE_RELU_FWD) {
    kernel_cudnn_set (maker, d, CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP, CUDNN_TYPE_DOUBLE, 1, &lo);
    kernel_cudnn_set (maker, d, CUDNN_ATTR_POINTWISE_RELU_UPPER_CLIP, CUDNN_TYPE_DOUBLE, 1, &hi);
  }
  kernel_cudnn_finalise (maker, "a pointwise operation", d);

  cudnnBackendDescriptor_t op =
      kernel_cudnn_make (maker, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
  kernel_cudnn_set_descriptor (maker, op, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, d);
  kernel_cudnn_set_descriptor (maker, op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
  if (b)
    kernel_cudnn_set_descriptor (maker, op, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b);
  kernel_cudnn_set_descriptor (maker, op, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
  kernel_cudnn_finalise (maker, "the operation of a pointwise operation", op);
  maker->operations[maker->n_operations++] = op;
}

/* The operations after the sum, in the order of cudnn-graph.h; `left` counts what is to come. */
static void
add_operations (CudnnMaker *maker, const CudnnConv *c)
{
  int left = __builtin_popcount (c->steps);
  cudnnBackendDescriptor_t t = result (maker, c, left == 0, c->sum), y, other;

  add_convolution (maker, c, t);
  if (c->steps & CUDNN_STEP_SCALE) {
    y = result (maker, c, --left == 0, c->inner);
    other = tensor (maker, CUDNN_UID_M, c->inner, 1, c->oc, 1, 1);
    add_pointwise (maker, c, CUDNN_POINTWISE_MUL, t, other, y);
    t = y;
  }
  if (c->steps & CUDNN_STEP_BIAS) {
    y = result (maker, c, --left == 0, c->inner);
    other = tensor (maker, CUDNN_UID_B, c->inner, 1, c->oc, 1, 1);
    add_pointwise (maker, c, CUDNN_POINTWISE_ADD, t, other, y);
    t = y;
  }
  if (c->steps & CUDNN_STEP_RESIDUAL) {
    cudnnBackendDescriptor_t r = tensor (maker, CUDNN_UID_R, c->in, c->n, c->oc, c->oh, c->ow);
    cudnnBackendDescriptor_t mr = tensor (maker, CUDNN_UID_MR, c->inner, 1, 1, 1, 1);

    other = result (maker, c, false, c->inner);
    add_pointwise (maker, c, CUDNN_POINTWISE_MUL, r, mr, other);
    y = result (maker, c, --left == 0, c->inner);
    add_pointwise (maker, c, CUDNN_POINTWISE_ADD, t, other, y);
    t = y;
  }
  if (c->steps & CUDNN_STEP_CLAMP)
    add_pointwise (maker, c, CUDNN_POINTWISE_RELU_FWD, t, NULL, result (maker, c, true, c->inner));
}

cudnnBackendDescriptor_t
kernel_cudnn_make_graph (CudnnMaker *maker, cudnnHandle_t handle, const CudnnConv *conv)
{
  cudnnBackendDescriptor_t graph;

  add_operations (maker, conv);
  graph = kernel_cudnn_make (maker, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  kernel_cudnn_set (maker, graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle);
  kernel_cudnn_set (maker, graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
      maker->n_operations, maker->operations);
  kernel_cudnn_finalise (maker, "the graph", graph);
  return graph;
}
