/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* caffe/move.c: layers that move numbers: concat, slice, flatten, reshape. */
#include "engine/caffe/net.h"

#include <string.h>

/* Not the batch: that is one image here. */
static gboolean
read_axis (const EngineCaffeLayer *layer, gint64 axis, int *result, GError **error)
{
  if (!engine_caffe_axis (layer, axis, layer->bottoms[0]->rank, result, error))
    return FALSE;
  return *result > 0 || ENGINE_CAFFE_UNSUPPORTED ("axis 0 goes over the images of a batch");
}

gboolean
engine_caffe_import_concat (EngineCaffe *caffe, const EngineCaffeLayer *layer, GError **error)
{
  const EngineCaffe__Concat *param = layer->proto->concat_param;
  const EngineCaffeValue *x = layer->bottoms[0];
  g_autofree const char **inputs = g_new (const char *, layer->n_bottoms);
  gint64 dims[ENGINE_CAFFE_MAX_RANK];
  EngineOnnx__NodeProto *node;
  const char *name;
  int axis;

  if (!read_axis (layer,
          !param                  ? 1
          : param->has_concat_dim ? param->concat_dim
                                  : param->axis,
          &axis, error))
    return FALSE;
  memcpy (dims, x->dims, sizeof dims);
  dims[axis] = 0;
  for (gsize i = 0; i < layer->n_bottoms; i++) {
    const EngineCaffeValue *y = layer->bottoms[i];
    gboolean fits = y->rank == x->rank;

    for (int k = 0; fits && k < x->rank; k++)
      fits = k == axis || y->dims[k] == x->dims[k];
    if (!fits)
      return ENGINE_CAFFE_REFUSE ("bottoms \"%s\" and \"%s\" differ in other axes than %d",
          layer->proto->bottom[0], layer->proto->bottom[i], axis);
    dims[axis] += y->dims[axis];
    inputs[i] = y->name;
  }
  name = engine_caffe_top (caffe, layer, 0);
  node = engine_onnx_writer_node (caffe->writer, "Concat", inputs, (int) layer->n_bottoms, name);
  node->name = (char *) layer->name;
  engine_onnx_writer_int (caffe->writer, node, "axis", axis);
  return engine_caffe_define (caffe, layer, 0, name, x->rank, dims, error);
}

/* --- Slice ---------------------------------------------------------------------------------- */

/* Where part i ends. */
static gint64
slice_end (const EngineCaffe__Slice *param, gsize i, gsize n, gint64 whole)
{
  if (i + 1 == n)
    return whole;
  return param && param->n_slice_point > 0 ? param->slice_point[i]
                                           : whole / (gint64) n * (gint64) (i + 1);
}

static gboolean
check_slice (const EngineCaffeLayer *layer, const EngineCaffe__Slice *param, gint64 whole,
    GError **error)
{
  const gsize n = layer->proto->n_top;

  if (n == 0)
    return ENGINE_CAFFE_REFUSE ("it has no top");
  if (param && param->n_slice_point > 0 && param->n_slice_point + 1 != n)
    return ENGINE_CAFFE_REFUSE ("%" G_GSIZE_FORMAT " slice points for %" G_GSIZE_FORMAT " tops",
        param->n_slice_point, n);
  if ((!param || param->n_slice_point == 0) && whole % (gint64) n)
    return ENGINE_CAFFE_REFUSE ("%" G_GINT64_FORMAT " values in %" G_GSIZE_FORMAT " equal parts",
        whole, n);
  return TRUE;
}

gboolean
engine_caffe_import_slice (EngineCaffe *caffe, const EngineCaffeLayer *layer, GError **error)
{
  const EngineCaffe__Slice *param = layer->proto->slice_param;
  const EngineCaffeValue *x = layer->bottoms[0];
  const gsize n = layer->proto->n_top;
  gint64 dims[ENGINE_CAFFE_MAX_RANK], from = 0;
  int axis;

  if (!read_axis (layer,
          !param                 ? 1
          : param->has_slice_dim ? param->slice_dim
                                 : param->axis,
          &axis, error) ||
      !check_slice (layer, param, x->dims[axis], error))
    return FALSE;
  memcpy (dims, x->dims, sizeof dims);
  for (gsize i = 0; i < n; i++) {
    const gint64 to = slice_end (param, i, n, x->dims[axis]), of_axis = axis;
    const char *name = engine_caffe_top (caffe, layer, i), *starts, *ends, *axes;

    if (to <= from || to > x->dims[axis])
      return ENGINE_CAFFE_REFUSE ("slice point %" G_GINT64_FORMAT " after %" G_GINT64_FORMAT
                                  " of %" G_GINT64_FORMAT,
          to, from, x->dims[axis]);
    dims[axis] = to - from;
    starts = engine_caffe_integers (caffe, layer, "starts", 1, &from);
    ends = engine_caffe_integers (caffe, layer, "ends", 1, &to);
    axes = engine_caffe_integers (caffe, layer, "axes", 1, &of_axis);
    engine_caffe_node (caffe, layer, "Slice", name, x->name, starts, ends, axes, NULL);
    if (!engine_caffe_define (caffe, layer, i, name, x->rank, dims, error))
      return FALSE;
    from = to;
  }
  return TRUE;
}

/* --- Flatten and reshape -------------------------------------------------------------------- */

gboolean
engine_caffe_import_flatten (EngineCaffe *caffe, const EngineCaffeLayer *layer, GError **error)
{
  const EngineCaffe__Flatten *param = layer->proto->flatten_param;
  const EngineCaffeValue *x = layer->bottoms[0];
  gint64 dims[ENGINE_CAFFE_MAX_RANK];
  int first, last, rank = 0;
  const char *name;

  if (!read_axis (layer, param ? param->axis : 1, &first, error) ||
      !read_axis (layer, param ? param->end_axis : -1, &last, error))
    return FALSE;
  if (last < first)
    return ENGINE_CAFFE_REFUSE ("end_axis %d is before axis %d", last, first);
  for (int i = 0; i < x->rank; i++)
    if (i < first || i > last)
      dims[rank++] = x->dims[i];
    else if (i == first)
      dims[rank++] = engine_caffe_count (x, first, last + 1);
  name = engine_caffe_top (caffe, layer, 0);
  if (first == 1 && last == x->rank - 1)
    engine_onnx_writer_int (caffe->writer,
        engine_caffe_node (caffe, layer, "Flatten", name, x->name, NULL), "axis", 1);
  else
    engine_caffe_reshape (caffe, layer, x->name, name, rank, dims);
  return engine_caffe_define (caffe, layer, 0, name, rank, dims, error);
}

/* The dims that are asked for, 0 and -1 resolved, as the prototxt means them: for its batch. */
static gboolean
resolve (const EngineCaffe *caffe, const EngineCaffeLayer *layer, int first, int n,
    gint64 dims[ENGINE_CAFFE_MAX_RANK], int *rank, GError **error)
{
  const EngineCaffe__Shape *shape = layer->proto->reshape_param->shape;
  const EngineCaffeValue *x = layer->bottoms[0];
  const int n_shape = shape ? (int) MIN (shape->n_dim, ENGINE_CAFFE_MAX_RANK + 1) : 0;
  gint64 in[ENGINE_CAFFE_MAX_RANK], rest, whole;
  int unknown = -1;

  memcpy (in, x->dims, sizeof in);
  in[0] = caffe->batch;
  *rank = x->rank - n + n_shape;
  if (*rank < 1 || *rank > ENGINE_CAFFE_MAX_RANK)
    return ENGINE_CAFFE_UNSUPPORTED ("an output with %d axes; 1 to %d can be done", *rank,
        ENGINE_CAFFE_MAX_RANK);
  for (int i = 0; i < *rank; i++)
    dims[i] = i < first ? in[i] : in[CLAMP (i - n_shape + n, 0, ENGINE_CAFFE_MAX_RANK - 1)];
  for (int i = 0; i < n_shape; i++) {
    gint64 *dim = &dims[first + i];

    *dim = shape->dim[i];
    if (*dim == 0 && first + i >= x->rank)
      return ENGINE_CAFFE_REFUSE ("dim %d is 0, and the input has no such axis", i);
    if (*dim == 0)
      *dim = in[first + i];
    if (*dim < -1 || (*dim == -1 && unknown >= 0))
      return ENGINE_CAFFE_REFUSE ("dim %d is %" G_GINT64_FORMAT, i, *dim);
    if (*dim == -1)
      unknown = first + i;
  }
  if (unknown >= 0)
    dims[unknown] = 1;
  whole = engine_onnx_elements (x->rank, in);
  rest = engine_onnx_elements (*rank, dims);
  if (unknown >= 0 && rest > 0 && whole > 0)
    dims[unknown] = whole / rest;
  if (whole < 1 || engine_onnx_elements (*rank, dims) != whole)
    return ENGINE_CAFFE_REFUSE ("the output would not have the input's number of values");
  return TRUE;
}

gboolean
engine_caffe_import_reshape (EngineCaffe *caffe, const EngineCaffeLayer *layer, GError **error)
{
  const EngineCaffe__Reshape *param = layer->proto->reshape_param;
  const EngineCaffeValue *x = layer->bottoms[0];
  gint64 dims[ENGINE_CAFFE_MAX_RANK], first, n;
  const char *name;
  int rank;

  if (!param)
    return ENGINE_CAFFE_REFUSE ("it has no reshape_param");
  first = param->axis < 0 ? param->axis + x->rank + 1 : param->axis;
  if (first < 0 || first > x->rank)
    return ENGINE_CAFFE_REFUSE ("axis %" G_GINT64_FORMAT " of an input with %d", param->axis,
        x->rank);
  n = param->num_axes < 0 ? x->rank - first : param->num_axes;
  if (param->num_axes < -1 || first + n > x->rank)
    return ENGINE_CAFFE_REFUSE ("num_axes is %" G_GINT64_FORMAT, param->num_axes);
  if (!resolve (caffe, layer, (int) first, (int) n, dims, &rank, error))
    return FALSE;
  if (dims[0] != caffe->batch)
    return ENGINE_CAFFE_UNSUPPORTED ("it mixes the images of a batch: %" G_GINT64_FORMAT
                                     " of %" G_GINT64_FORMAT,
        dims[0], caffe->batch);
  dims[0] = 1;
  name = engine_caffe_top (caffe, layer, 0);
  engine_caffe_reshape (caffe, layer, x->name, name, rank, dims);
  return engine_caffe_define (caffe, layer, 0, name, rank, dims, error);
}
