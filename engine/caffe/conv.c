/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* caffe/conv.c: convolutions, fully connected layers, and pools. */
#include "engine/caffe/net.h"

#define MAX_EXTENT 65535

/* --- Windows -------------------------------------------------------------------------------- */

/* kernel_size, stride ...: one number for both axes, or two, or one each by name. */
typedef struct {
  const char *name;
  gsize n;
  const gint64 *values;
  gboolean has_h, has_w;
  gint64 h, w;
  int min, otherwise; /* -1: there is no default */
} Extent;

/* The fields of a message. */
#define EXTENT(param, field, prefix, min, otherwise)                                               \
  {                                                                                                \
#field, (param)->n_##field, (param)->field, (param)->has_##prefix##_h,                         \
        (param)->has_##prefix##_w, (param)->prefix##_h, (param)->prefix##_w, min, otherwise        \
  }

static gboolean
read_extent (const EngineCaffeLayer *layer, const Extent *extent, int result[2], GError **error)
{
  const gint64 *v = extent->values;
  gint64 pair[2] = {extent->otherwise, extent->otherwise};

  if (extent->n > 2)
    return ENGINE_CAFFE_UNSUPPORTED ("%s has %" G_GSIZE_FORMAT " numbers; an image has two axes",
        extent->name, extent->n);
  if (extent->n > 0 && (extent->has_h || extent->has_w))
    return ENGINE_CAFFE_REFUSE ("%s is given both for all axes and by axis", extent->name);
  if (extent->n > 0) {
    pair[0] = v[0];
    pair[1] = v[extent->n - 1];
  }
  if (extent->has_h)
    pair[0] = extent->h;
  if (extent->has_w)
    pair[1] = extent->w;
  for (int i = 0; i < 2; i++) {
    if (pair[i] < extent->min || pair[i] > MAX_EXTENT)
      return ENGINE_CAFFE_REFUSE ("%s is %s%" G_GINT64_FORMAT "; %d to %d can be done",
          extent->name, pair[i] < 0 ? "missing, or " : "", pair[i], extent->min, MAX_EXTENT);
    result[i] = (int) pair[i];
  }
  return TRUE;
}

static gboolean
is_image (const EngineCaffeLayer *layer, GError **error)
{
  if (layer->bottoms[0]->rank == 4)
    return TRUE;
  return ENGINE_CAFFE_UNSUPPORTED ("the input has %d axes; an image, [n c h w], is needed",
      layer->bottoms[0]->rank);
}

typedef struct {
  int kernel[2], stride[2], pad[2], dilation[2];
} Window;

static void
set_window (EngineCaffe *caffe, EngineOnnx__NodeProto *node, const Window *w)
{
  const int pads[] = {w->pad[0], w->pad[1], w->pad[0], w->pad[1]};

  engine_onnx_writer_ints (caffe->writer, node, "kernel_shape", w->kernel, 2);
  engine_onnx_writer_ints (caffe->writer, node, "strides", w->stride, 2);
  engine_onnx_writer_ints (caffe->writer, node, "pads", pads, 4);
}

/* --- Convolution ---------------------------------------------------------------------------- */

static gboolean
read_convolution (const EngineCaffeLayer *layer, const EngineCaffe__Convolution *param, Window *w,
    GError **error)
{
  const Extent kernel = EXTENT (param, kernel_size, kernel, 1, -1),
               stride = EXTENT (param, stride, stride, 1, 1), pad = EXTENT (param, pad, pad, 0, 0),
               dilation = {"dilation", param->n_dilation, param->dilation, FALSE, FALSE, 0, 0, 1,
                   1};
  const EngineCaffeValue *x = layer->bottoms[0];

  if (!is_image (layer, error) || !read_extent (layer, &kernel, w->kernel, error) ||
      !read_extent (layer, &stride, w->stride, error) ||
      !read_extent (layer, &pad, w->pad, error) ||
      !read_extent (layer, &dilation, w->dilation, error))
    return FALSE;
  if (param->axis != 1)
    return ENGINE_CAFFE_UNSUPPORTED ("axis %" G_GINT64_FORMAT "; 1, the channels, can be done",
        param->axis);
  if (param->num_output < 1 || param->num_output > G_MAXINT32 || param->group < 1 ||
      x->dims[1] % param->group || param->num_output % param->group)
    return ENGINE_CAFFE_REFUSE ("%" G_GINT64_FORMAT " outputs of %" G_GINT64_FORMAT
                                " channels in %" G_GINT64_FORMAT " groups",
        param->num_output, x->dims[1], param->group);
  return TRUE;
}

gboolean
engine_caffe_import_convolution (EngineCaffe *caffe, const EngineCaffeLayer *layer, GError **error)
{
  const EngineCaffe__Convolution *param = layer->proto->convolution_param;
  const EngineCaffeValue *x = layer->bottoms[0];
  const float *weights, *bias = NULL;
  const char *name, *w_name, *b_name = NULL;
  EngineOnnx__NodeProto *node;
  Window w;

  if (!param)
    return ENGINE_CAFFE_REFUSE ("it has no convolution_param");
  if (!read_convolution (layer, param, &w, error))
    return FALSE;
  const gint64 shape[] = {param->num_output, x->dims[1] / param->group, w.kernel[0], w.kernel[1]};
  gint64 dims[4] = {1, param->num_output};

  for (int i = 0; i < 2; i++) {
    const gint64 room =
        x->dims[2 + i] + 2 * w.pad[i] - (gint64) w.dilation[i] * (w.kernel[i] - 1) - 1;

    if (room < 0)
      return ENGINE_CAFFE_REFUSE ("the window is larger than the input");
    dims[2 + i] = room / w.stride[i] + 1;
  }
  weights = engine_caffe_weights (caffe, layer, 0, 4, shape, error);
  if (weights && param->bias_term)
    bias = engine_caffe_weights (caffe, layer, 1, 1, shape, error);
  if (!weights || (param->bias_term && !bias))
    return FALSE;
  w_name = engine_caffe_floats (caffe, layer, "weights", 4, shape, weights);
  if (bias)
    b_name = engine_caffe_floats (caffe, layer, "bias", 1, shape, bias);
  name = engine_caffe_top (caffe, layer, 0);
  node = engine_caffe_node (caffe, layer, "Conv", name, x->name, w_name, b_name, NULL);
  set_window (caffe, node, &w);
  engine_onnx_writer_ints (caffe->writer, node, "dilations", w.dilation, 2);
  engine_onnx_writer_int (caffe->writer, node, "group", param->group);
  return engine_caffe_define (caffe, layer, 0, name, 4, dims, error);
}

/* --- Fully connected ------------------------------------------------------------------------ */

gboolean
engine_caffe_import_inner_product (EngineCaffe *caffe, const EngineCaffeLayer *layer,
    GError **error)
{
  const EngineCaffe__InnerProduct *param = layer->proto->inner_product_param;
  const EngineCaffeValue *x = layer->bottoms[0];
  const char *flat = x->name, *name, *w_name, *b_name = NULL;
  const float *weights, *bias = NULL;
  EngineOnnx__NodeProto *node;
  int axis;

  if (!param)
    return ENGINE_CAFFE_REFUSE ("it has no inner_product_param");
  if (!engine_caffe_axis (layer, param->axis, x->rank, &axis, error))
    return FALSE;
  if (axis != 1)
    return ENGINE_CAFFE_UNSUPPORTED ("axis %d; 1, all but the batch, can be done", axis);
  if (param->num_output < 1 || param->num_output > G_MAXINT32)
    return ENGINE_CAFFE_REFUSE ("num_output is %" G_GINT64_FORMAT, param->num_output);
  const gint64 n = param->num_output, k = engine_caffe_count (x, 1, x->rank);
  const gint64 shape[] = {param->transpose ? k : n, param->transpose ? n : k}, dims[] = {1, n};

  weights = engine_caffe_weights (caffe, layer, 0, 2, shape, error);
  if (weights && param->bias_term)
    bias = engine_caffe_weights (caffe, layer, 1, 1, &n, error);
  if (!weights || (param->bias_term && !bias))
    return FALSE;
  if (x->rank > 2) {
    flat = engine_caffe_inner (caffe, layer, "flatten");
    engine_onnx_writer_int (caffe->writer,
        engine_caffe_node (caffe, layer, "Flatten", flat, x->name, NULL), "axis", 1);
  }
  w_name = engine_caffe_floats (caffe, layer, "weights", 2, shape, weights);
  if (bias)
    b_name = engine_caffe_floats (caffe, layer, "bias", 1, &n, bias);
  name = engine_caffe_top (caffe, layer, 0);
  node = engine_caffe_node (caffe, layer, "Gemm", name, flat, w_name, b_name, NULL);
  engine_onnx_writer_int (caffe->writer, node, "transB", !param->transpose);
  return engine_caffe_define (caffe, layer, 0, name, 2, dims, error);
}

/* --- Pools ---------------------------------------------------------------------------------- */

static gboolean
global_pool (EngineCaffe *caffe, const EngineCaffeLayer *layer, gboolean max, GError **error)
{
  const EngineCaffeValue *x = layer->bottoms[0];
  const char *name = engine_caffe_top (caffe, layer, 0);
  const gint64 dims[] = {1, x->dims[1], 1, 1};

  engine_caffe_node (caffe, layer, max ? "GlobalMaxPool" : "GlobalAveragePool", name, x->name,
      NULL);
  return engine_caffe_define (caffe, layer, 0, name, 4, dims, error);
}

/* Caffe counts windows that begin inside of the input or of the padding in front, rounding up, as
 * ceil_mode does; without padding it does not look where they begin. */
static gboolean
pooled_dim (const EngineCaffeLayer *layer, const Window *w, int axis, gboolean ceil, gint64 *result,
    GError **error)
{
  const gint64 in = layer->bottoms[0]->dims[2 + axis], stride = w->stride[axis];
  const gint64 room = in + 2 * w->pad[axis] - w->kernel[axis];
  gint64 out;

  if (w->pad[axis] >= w->kernel[axis])
    return ENGINE_CAFFE_REFUSE ("the padding, %d, is not less than the window, %d", w->pad[axis],
        w->kernel[axis]);
  if (room < 0)
    return ENGINE_CAFFE_REFUSE ("the window is larger than the input");
  out = (ceil ? (room + stride - 1) / stride : room / stride) + 1;
  if ((out - 1) * stride >= in + w->pad[axis]) {
    if (w->pad[0] == 0 && w->pad[1] == 0)
      return ENGINE_CAFFE_UNSUPPORTED ("the last window lies outside of the input");
    out--;
  }
  *result = out;
  return TRUE;
}

gboolean
engine_caffe_import_pooling (EngineCaffe *caffe, const EngineCaffeLayer *layer, GError **error)
{
  const EngineCaffe__Pooling *param = layer->proto->pooling_param;
  const EngineCaffeValue *x = layer->bottoms[0];
  EngineOnnx__NodeProto *node;
  gint64 dims[4] = {1};
  const char *name;
  Window w;

  if (!param)
    return ENGINE_CAFFE_REFUSE ("it has no pooling_param");
  const gboolean max = param->pool == ENGINE_CAFFE__POOLING__METHOD__MAX;
  const gboolean ceil = param->ceil_mode && param->round_mode == ENGINE_CAFFE__POOLING__ROUND__CEIL;
  const Extent kernel = EXTENT (param, kernel_size, kernel, 1, -1),
               stride = EXTENT (param, stride, stride, 1, 1), pad = EXTENT (param, pad, pad, 0, 0);

  if (!is_image (layer, error))
    return FALSE;
  if (param->pool == ENGINE_CAFFE__POOLING__METHOD__STOCHASTIC)
    return ENGINE_CAFFE_UNSUPPORTED ("pool STOCHASTIC; MAX and AVE can be done");
  if (!read_extent (layer, &stride, w.stride, error) || !read_extent (layer, &pad, w.pad, error))
    return FALSE;
  if (param->global_pooling && (w.pad[0] || w.pad[1] || w.stride[0] != 1 || w.stride[1] != 1))
    return ENGINE_CAFFE_REFUSE ("global_pooling with padding or a stride");
  if (param->global_pooling)
    return global_pool (caffe, layer, max, error);
  dims[1] = x->dims[1];
  if (!read_extent (layer, &kernel, w.kernel, error) ||
      !pooled_dim (layer, &w, 0, ceil, &dims[2], error) ||
      !pooled_dim (layer, &w, 1, ceil, &dims[3], error))
    return FALSE;
  name = engine_caffe_top (caffe, layer, 0);
  node = engine_caffe_node (caffe, layer, max ? "MaxPool" : "AveragePool", name, x->name, NULL);
  set_window (caffe, node, &w);
  engine_onnx_writer_int (caffe->writer, node, "ceil_mode", ceil);
  if (!max) /* padding counts, but not what a last window has beyond it */
    engine_onnx_writer_int (caffe->writer, node, "count_include_pad", 1);
  return engine_caffe_define (caffe, layer, 0, name, 4, dims, error);
}
