/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/conv-transpose.c: ConvTranspose as a convolution. With strides sh by sw it makes sh * sw outputs
 * of every input pixel, so it is a convolution with that many times the channels, whose channels then
 * become pixels ("sub-pixel convolution", Shi et al. 2016), cut at the pads:
 *
 *     y[q s + p] = sum over t of x[q - t] w[t s + p]        along each axis, p below s
 */
#include <string.h>

#include "engine/onnx/import.h"

/* Along an axis; before and after are what is cut off there. */
typedef struct {
  int in, out;
  int stride, dilation, kernel, before;
  int taps;  /* of the convolution */
  int after; /* its padding behind the input; before it there are taps - 1 */
} Axis;

typedef struct {
  int ic, oc, groups;
  Axis axis[2]; /* height, width */
} Shape;

static gboolean
read_ints (const EngineOnnxNode *node, const char *name, int n, int result[2], gboolean *there,
    GError **error)
{
  const gint64 *values;
  int count;

  if (!engine_onnx_ints (node, name, &values, &count, error))
    return FALSE;
  *there = count >= 0;
  /* Some exporters state the whole output_shape. */
  if (*there && count != n && !(count == n + 2 && strcmp (name, "output_shape") == 0))
    return ENGINE_ONNX_REFUSE ("%s has %d numbers; the input has %d spatial axes", name, count, n);
  for (int i = 0; *there && i < n; i++) {
    const gint64 value = values[count - n + i];

    if (value < 0 || value > 65535)
      return ENGINE_ONNX_UNSUPPORTED ("%s holds %" G_GINT64_FORMAT "; 0 to 65535 can be done", name,
          value);
    result[2 - n + i] = value;
  }
  return TRUE;
}

/* The output's extent and what is cut off before it: the specification's formulas. */
static gboolean
read_extents (const EngineOnnxNode *node, const EngineOnnxValue *x, const EngineOnnxWindow *window,
    Shape *shape, GError **error)
{
  const int n = x->rank - 2;
  int extra[2] = {0, 0}, stated[2] = {1, 1};
  gboolean has_extra, has_stated, same;
  g_autofree char *auto_pad = NULL;

  if (!read_ints (node, "output_padding", n, extra, &has_extra, error) ||
      !read_ints (node, "output_shape", n, stated, &has_stated, error) ||
      !engine_onnx_string (node, "auto_pad", "NOTSET", &auto_pad, error))
    return FALSE;
  same = strncmp (auto_pad, "SAME_", 5) == 0;
  for (int i = 2 - n; i < 2; i++) {
    Axis *a = &shape->axis[i];
    const gint64 reach = (gint64) (window->kernel[i] - 1) * window->dilation[i] + 1;
    const gint64 all = (gint64) window->stride[i] * (a->in - 1) + extra[i] + reach;
    gint64 cut = (gint64) window->before[i] + window->after[i];
    gint64 out = all - cut;

    if (same || has_stated) {
      out = has_stated ? stated[i] : (gint64) a->in * window->stride[i];
      cut = MAX (all - out, 0);
    }
    if (out < 1 || out > ENGINE_MAX_DIM || reach > 65535 || cut > ENGINE_MAX_DIM)
      return ENGINE_ONNX_REFUSE ("%" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " outputs from %d",
          out, all, a->in);
    a->out = out;
    a->before = window->before[i];
    if (same || has_stated)
      a->before = strcmp (auto_pad, "SAME_UPPER") == 0 ? cut / 2 : cut - cut / 2;
  }
  return TRUE;
}

static gboolean
read_shape (EngineOnnx *onnx, const EngineOnnxNode *node, const EngineOnnxValue *x,
    const EngineOnnxConstant *w, Shape *shape, GError **error)
{
  EngineOnnxWindow window;
  gint64 groups, channels;

  if (x->rank < 3 || x->rank > 4 || w->rank != x->rank)
    return ENGINE_ONNX_UNSUPPORTED ("input of %d axes, weights of %d; both 3 or both 4 can be done",
        x->rank, w->rank);
  for (int i = 0; i < w->rank; i++)
    if (w->dims[i] < 1 || w->dims[i] > 65535)
      return ENGINE_ONNX_UNSUPPORTED ("axis %d of the weights has size %" G_GINT64_FORMAT, i,
          w->dims[i]);
  if (!engine_onnx_int (node, "group", 1, &groups, error))
    return FALSE;
  if (groups < 1 || groups > 65535 || w->dims[0] % groups != 0 || w->dims[0] != x->dims[1])
    return ENGINE_ONNX_REFUSE ("%" G_GINT64_FORMAT
                               " groups, %d channels, weights for %" G_GINT64_FORMAT,
        groups, x->dims[1], w->dims[0]);
  const int kernel[2] = {w->rank == 4 ? w->dims[2] : 1, w->dims[w->rank - 1]};

  if (!engine_onnx_window (node, x, kernel, &window, error))
    return FALSE;
  shape->ic = x->dims[1];
  shape->groups = groups;
  for (int i = 0; i < 2; i++)
    shape->axis[i] = (Axis){.in = i == 1         ? x->dims[x->rank - 1]
                                  : x->rank == 4 ? x->dims[2]
                                                 : 1,
        .out = 1,
        .stride = window.stride[i],
        .dilation = window.dilation[i],
        .kernel = kernel[i]};
  if (!read_extents (node, x, &window, shape, error))
    return FALSE;
  for (int i = 0; i < 2; i++) {
    Axis *a = &shape->axis[i];

    a->taps = ((a->kernel - 1) * a->dilation + a->stride) / a->stride;
    a->after = MAX (((gint64) a->before + a->out + a->stride - 1) / a->stride - a->in, 0);
  }
  channels = w->dims[1] * groups * shape->axis[0].stride * shape->axis[1].stride;
  if (channels > ENGINE_MAX_DIM)
    return ENGINE_ONNX_UNSUPPORTED ("strides that make %" G_GINT64_FORMAT " channels", channels);
  shape->oc = w->dims[1] * groups;
  return TRUE;
}

/* The index in the kernel that a tap has for an output's place in its stride, or -1. */
static int
kernel_index (const Axis *a, int tap, int place)
{
  const int reach = (a->taps - 1 - tap) * a->stride + place;

  return reach % a->dilation == 0 && reach / a->dilation < a->kernel ? reach / a->dilation : -1;
}

/* [ic oc/g kh kw] to [oc sh sw, taps taps ic/g]. */
static int
add_weights (EngineOnnx *onnx, const EngineOnnxNode *node, const EngineOnnxConstant *w,
    const Shape *shape, GError **error)
{
  const Axis *h = &shape->axis[0], *v = &shape->axis[1];
  const int ic = shape->ic / shape->groups, oc = shape->oc / shape->groups;
  const int dims[4] = {shape->oc * h->stride * v->stride, h->taps, v->taps, ic};
  const gint64 n = (gint64) dims[0] * dims[1] * dims[2] * ic;
  float *data = engine_onnx_alloc (onnx, n, sizeof (float), error);

  if (!data)
    return ENGINE_NONE;
  for (gint64 at = 0; at < n; at++) {
    const gint64 i = at % ic, pixel = at / ic, row = pixel / v->taps, to = row / h->taps;
    const int kw = kernel_index (v, pixel % v->taps, to % v->stride);
    const int kh = kernel_index (h, row % h->taps, to / v->stride % h->stride);
    const gint64 o = to / ((gint64) h->stride * v->stride);

    data[at] = kh < 0 || kw < 0
                   ? 0
                   : engine_onnx_f (w,
                         (((o / oc * ic + i) * oc + o % oc) * h->kernel + kh) * v->kernel + kw);
  }
  return engine_onnx_add_floats (onnx, node, "weights", 4, dims, data, error);
}

/* Each of [oc] for all places. ENGINE_NONE with TRUE where there is none. */
static gboolean
add_bias (EngineOnnx *onnx, const EngineOnnxNode *node, const Shape *shape, int *value,
    GError **error)
{
  const int places = shape->axis[0].stride * shape->axis[1].stride, n = shape->oc * places;
  const EngineOnnxConstant *bias;
  float *data;

  *value = ENGINE_NONE;
  if (!engine_onnx_has_input (node, 2))
    return TRUE;
  bias = engine_onnx_floats (onnx, node, 2, error);
  if (!bias)
    return FALSE;
  if (bias->rank != 1 || bias->dims[0] != shape->oc)
    return ENGINE_ONNX_REFUSE ("the bias does not have one value for each of %d outputs",
        shape->oc);
  data = engine_onnx_alloc (onnx, n, sizeof (float), error);
  if (!data)
    return FALSE;
  for (int k = 0; k < n; k++)
    data[k] = engine_onnx_f (bias, k / places);
  *value = engine_onnx_add_floats (onnx, node, "bias", 1, &n, data, error);
  return *value != ENGINE_NONE;
}

/* Channels to pixels. */
static int
add_pixels (EngineOnnx *onnx, const EngineOnnxNode *node, int value, const Shape *shape,
    GError **error)
{
  const EngineValue conv = *engine_graph_value (onnx->graph, value);
  const int sh = shape->axis[0].stride, sw = shape->axis[1].stride;
  const int h = conv.rank == 4 ? conv.dims[1] : 1, w = conv.dims[conv.rank - 2];
  const int before[] = {1, h, w, shape->oc, sh, sw}, perm[] = {0, 1, 4, 2, 5, 3};
  const int image[] = {1, h * sh, w * sw, shape->oc}, row[] = {1, w * sw, shape->oc};

  if (sh * sw == 1)
    return value;
  return engine_onnx_add_shuffle (onnx, node, value, before, perm, conv.rank,
      conv.rank == 4 ? image : row, error);
}

static int
add_cut (EngineOnnx *onnx, const EngineOnnxNode *node, int value, const Shape *shape,
    GError **error)
{
  for (int i = 0; i < 2 && value != ENGINE_NONE; i++) {
    const Axis *a = &shape->axis[i];
    const int rank = engine_graph_value (onnx->graph, value)->rank, axis = rank - 3 + i;

    if (axis > 0 && engine_graph_value (onnx->graph, value)->dims[axis] != a->out)
      value = engine_onnx_add_slice (onnx, node, 0, value, axis, a->before, a->out, error);
  }
  return value;
}

gboolean
engine_onnx_import_conv_transpose (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  EngineOnnxValue *x = engine_onnx_activation (onnx, node, 0, error);
  const EngineOnnxConstant *w = x ? engine_onnx_floats (onnx, node, 1, error) : NULL;
  int inputs[ENGINE_CONV_INPUTS] = {ENGINE_NONE, ENGINE_NONE, ENGINE_NONE, ENGINE_NONE,
      ENGINE_NONE};
  EngineNode *conv;
  Shape shape = {0};
  int value;

  if (!w || !read_shape (onnx, node, x, w, &shape, error))
    return FALSE;
  inputs[ENGINE_CONV_W] = add_weights (onnx, node, w, &shape, error);
  if (inputs[ENGINE_CONV_W] == ENGINE_NONE ||
      !add_bias (onnx, node, &shape, &inputs[ENGINE_CONV_B], error))
    return FALSE;
  inputs[ENGINE_CONV_X] = engine_onnx_stored (onnx, node, x, ENGINE_ONNX_CHANNELS_LAST, error);
  if (inputs[ENGINE_CONV_X] == ENGINE_NONE)
    return FALSE;
  conv = engine_onnx_add (onnx, node, ENGINE_OP_CONV, 0, inputs, ENGINE_CONV_INPUTS);
  conv->conv.pad_top = shape.axis[0].taps - 1;
  conv->conv.pad_left = shape.axis[1].taps - 1;
  conv->conv.pad_bottom = shape.axis[0].after;
  conv->conv.pad_right = shape.axis[1].after;
  conv->conv.groups = shape.groups;
  value = engine_onnx_infer (onnx, node, conv, error);
  if (value != ENGINE_NONE)
    value = add_pixels (onnx, node, value, &shape, error);
  value = value == ENGINE_NONE ? value : add_cut (onnx, node, value, &shape, error);
  if (value == ENGINE_NONE)
    return FALSE;
  engine_onnx_name_output (onnx, node, value);
  return engine_onnx_define (onnx, node, 0, value, ENGINE_ONNX_CHANNELS_LAST);
}
