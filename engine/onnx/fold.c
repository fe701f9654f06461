/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/fold.c: constants that are stated, made of shapes, or moved: the shapes that exporters derive
 * from other shapes, and weights that they bring into form. Nothing of it is left in the graph.
 */
#include "engine/onnx/fold.h"

#include <math.h>
#include <string.h>

gboolean
engine_onnx_result_new (EngineOnnx *onnx, EngineOnnxResult *result, gboolean floats, int rank,
    const gint64 *dims, GError **error)
{
  *result = (EngineOnnxResult){NULL, NULL, NULL};
  if (rank > ENGINE_ONNX_MAX_RANK) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_UNSUPPORTED,
        "a constant of %d axes; %d can be done", rank, ENGINE_ONNX_MAX_RANK);
    return FALSE;
  }
  result->constant = floats ? engine_onnx_new_floats (onnx, rank, dims, FALSE, &result->f, error)
                            : engine_onnx_new_integers (onnx, rank, dims, &result->i, error);
  return result->constant != NULL;
}

void
engine_onnx_result_copy (EngineOnnxResult *result, gint64 to, const EngineOnnxConstant *x,
    gint64 from)
{
  if (result->f)
    result->f[to] = engine_onnx_f (x, from);
  else
    result->i[to] = engine_onnx_i (x, from);
}

void
engine_onnx_row_strides (int rank, const gint64 *dims, gint64 *stride)
{
  gint64 next = 1;

  for (int i = rank - 1; i >= 0; i--) {
    stride[i] = next;
    next *= dims[i];
  }
}

/* Copies x[from + sum of index * stride] for every index within dims. */
static void
copy_strided (EngineOnnxResult *result, const EngineOnnxConstant *x, gint64 from,
    const gint64 *stride)
{
  const EngineOnnxConstant *y = result->constant;
  gint64 index[ENGINE_ONNX_MAX_RANK] = {0};

  for (gint64 to = 0; to < y->n; to++) {
    engine_onnx_result_copy (result, to, x, from);
    for (int axis = y->rank - 1; axis >= 0; axis--) {
      from += stride[axis];
      if (++index[axis] < y->dims[axis])
        break;
      from -= stride[axis] * y->dims[axis];
      index[axis] = 0;
    }
  }
}

/* --- Made of nothing, or of a shape ----------------------------------------------------------- */

static EngineOnnxConstant *
from_attribute (EngineOnnx *onnx, const EngineOnnx__AttributeProto *attribute, GError **error)
{
  const char *name = attribute->name;
  gint64 n;
  EngineOnnxResult result;

  if (strcmp (name, "value") == 0) {
    if (attribute->t)
      return engine_onnx_tensor_constant (onnx, attribute->t, error);
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MODEL, "attribute \"value\" is no tensor");
    return NULL;
  }
  const gboolean floats = g_str_has_prefix (name, "value_float");
  const gboolean list = g_str_has_suffix (name, "s");

  n = !list ? 1 : floats ? attribute->n_floats : attribute->n_ints;
  if (!engine_onnx_result_new (onnx, &result, floats, list, &n, error))
    return NULL;
  for (gint64 i = 0; i < n; i++) {
    if (floats)
      result.f[i] = list ? attribute->floats[i] : attribute->f;
    else
      result.i[i] = list ? attribute->ints[i] : attribute->i;
  }
  return result.constant;
}

gboolean
engine_onnx_import_constant (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  EngineOnnxConstant *constant;

  if (node->proto->n_attribute != 1)
    return ENGINE_ONNX_REFUSE ("%" G_GSIZE_FORMAT " values; one is needed",
        node->proto->n_attribute);
  constant = from_attribute (onnx, node->proto->attribute[0], error);
  return engine_onnx_define_constant (onnx, node, constant);
}

gboolean
engine_onnx_import_constant_of_shape (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  const EngineOnnxConstant *shape = engine_onnx_integers (onnx, node, 0, error);
  const EngineOnnx__AttributeProto *attribute = engine_onnx_attribute (node, "value");
  g_autoptr (EngineOnnxConstant) value = NULL;
  gint64 dims[ENGINE_ONNX_MAX_RANK], *i;
  EngineOnnxConstant *result;
  float *f;

  if (!shape)
    return FALSE;
  if (shape->rank != 1 || shape->n > ENGINE_ONNX_MAX_RANK)
    return ENGINE_ONNX_UNSUPPORTED ("a constant of %" G_GINT64_FORMAT " axes", shape->n);
  for (gint64 k = 0; k < shape->n; k++)
    dims[k] = engine_onnx_i (shape, k);
  if (attribute) {
    value = from_attribute (onnx, attribute, error);
    if (!value)
      return FALSE;
    if (value->n != 1)
      return ENGINE_ONNX_REFUSE ("value has %" G_GINT64_FORMAT " elements", value->n);
    if (value->levels)
      return ENGINE_ONNX_UNSUPPORTED ("a constant of 8 bits");
  }
  if (!value || value->f) { /* one element stands for all */
    result = engine_onnx_new_floats (onnx, shape->n, dims, TRUE, &f, error);
    if (result)
      f[0] = value ? value->f[0] : 0;
  } else {
    result = engine_onnx_new_integers (onnx, shape->n, dims, &i, error);
    for (gint64 k = 0; result && k < result->n; k++)
      i[k] = value->i[0];
  }
  return engine_onnx_define_constant (onnx, node, result);
}

gboolean
engine_onnx_import_shape (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  const EngineOnnxValue *x = engine_onnx_input (onnx, node, 0, error);
  gint64 start, end, rank, n;
  EngineOnnxResult result;

  if (!x)
    return FALSE;
  rank = x->constant ? x->constant->rank : x->rank;
  if (!engine_onnx_int (node, "start", 0, &start, error) ||
      !engine_onnx_int (node, "end", rank, &end, error))
    return FALSE;
  start = CLAMP (start < 0 ? start + rank : start, 0, rank);
  end = CLAMP (end < 0 ? end + rank : end, start, rank);
  n = end - start;
  if (!engine_onnx_result_new (onnx, &result, FALSE, 1, &n, error))
    return FALSE;
  for (gint64 i = 0; i < n; i++)
    result.i[i] = x->constant                  ? x->constant->dims[start + i]
                  : start + i == x->batch_axis ? x->dims[start + i] * onnx->batch
                                               : x->dims[start + i];
  return engine_onnx_define_constant (onnx, node, result.constant);
}

static gboolean
range_of_floats (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  float v[3]; /* start, limit, delta */
  EngineOnnxResult result;

  for (int i = 0; i < 3; i++)
    if (!engine_onnx_scalar (onnx, node, i, &v[i], error))
      return FALSE;
  const double steps = ceil (((double) v[1] - v[0]) / v[2]);
  if (!(fabs (steps) <= ENGINE_ONNX_MAX_INTEGERS))
    return ENGINE_ONNX_REFUSE ("%g elements", steps);
  const gint64 n = MAX ((gint64) steps, 0);
  if (!engine_onnx_result_new (onnx, &result, TRUE, 1, &n, error))
    return FALSE;
  for (gint64 i = 0; i < n; i++)
    result.f[i] = v[0] + i * v[2];
  return engine_onnx_define_constant (onnx, node, result.constant);
}

gboolean
engine_onnx_import_range (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  const EngineOnnxValue *start = engine_onnx_input (onnx, node, 0, error);
  gint64 v[3], n; /* start, limit, delta */
  EngineOnnxResult result;

  if (!start)
    return FALSE;
  if (start->constant && start->constant->f)
    return range_of_floats (onnx, node, error);
  for (int i = 0; i < 3; i++) {
    const EngineOnnxConstant *constant = engine_onnx_integers (onnx, node, i, error);

    if (!constant)
      return FALSE;
    if (constant->n != 1)
      return ENGINE_ONNX_REFUSE ("input %d has %" G_GINT64_FORMAT " elements", i, constant->n);
    v[i] = CLAMP (engine_onnx_i (constant, 0), -G_MAXINT32, G_MAXINT32);
  }
  if (v[2] == 0)
    return ENGINE_ONNX_REFUSE ("a step of 0");
  n = v[2] > 0 ? (v[1] - v[0] + v[2] - 1) / v[2] : (v[0] - v[1] - v[2] - 1) / -v[2];
  n = MAX (n, 0);
  if (!engine_onnx_result_new (onnx, &result, FALSE, 1, &n, error))
    return FALSE;
  for (gint64 i = 0; i < n; i++)
    result.i[i] = v[0] + i * v[2];
  return engine_onnx_define_constant (onnx, node, result.constant);
}

/* --- Moved ---------------------------------------------------------------------------------- */

gboolean
engine_onnx_import_gather (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  EngineOnnxValue *value = engine_onnx_input (onnx, node, 0, error);
  const EngineOnnxConstant *x, *indices;
  gint64 attribute, dims[2 * ENGINE_ONNX_MAX_RANK], inner = 1, outer = 1, at;
  int axis, rank = 0;
  EngineOnnxResult result;

  if (!value)
    return FALSE;
  if (!value->constant)
    return engine_onnx_gather_activation (onnx, node, value, error);
  x = value->constant;
  indices = engine_onnx_integers (onnx, node, 1, error);
  if (!indices || !engine_onnx_int (node, "axis", 0, &attribute, error) ||
      !engine_onnx_axis (node, attribute, x->rank, &axis, error))
    return FALSE;
  for (int i = 0; i < axis; i++)
    outer *= dims[rank++] = x->dims[i];
  for (int i = 0; i < indices->rank; i++)
    dims[rank++] = indices->dims[i];
  for (int i = axis + 1; i < x->rank; i++)
    inner *= dims[rank++] = x->dims[i];
  if (!engine_onnx_result_new (onnx, &result, x->f != NULL, rank, dims, error))
    return FALSE;
  for (gint64 o = 0; o < outer; o++)
    for (gint64 k = 0; k < indices->n; k++) {
      at = engine_onnx_i (indices, k);
      if (at < -x->dims[axis] || at >= x->dims[axis]) {
        engine_onnx_constant_unref (result.constant);
        return ENGINE_ONNX_REFUSE (
            "index %" G_GINT64_FORMAT " of an axis of size %" G_GINT64_FORMAT, at, x->dims[axis]);
      }
      at = (o * x->dims[axis] + (at < 0 ? at + x->dims[axis] : at)) * inner;
      for (gint64 i = 0; i < inner; i++)
        engine_onnx_result_copy (&result, (o * indices->n + k) * inner + i, x, at + i);
    }
  return engine_onnx_define_constant (onnx, node, result.constant);
}

gboolean
engine_onnx_fold_slice (EngineOnnx *onnx, const EngineOnnxNode *node, const EngineOnnxConstant *x,
    const gint64 *from, const gint64 *step, const gint64 *count, GError **error)
{
  gint64 stride[ENGINE_ONNX_MAX_RANK], start = 0;
  EngineOnnxResult result;

  engine_onnx_row_strides (x->rank, x->dims, stride);
  for (int i = 0; i < x->rank; i++) {
    start += from[i] * stride[i];
    stride[i] *= step[i];
  }
  if (!engine_onnx_result_new (onnx, &result, x->f != NULL, x->rank, count, error))
    return FALSE;
  copy_strided (&result, x, start, stride);
  return engine_onnx_define_constant (onnx, node, result.constant);
}

gboolean
engine_onnx_fold_transpose (EngineOnnx *onnx, const EngineOnnxNode *node,
    const EngineOnnxConstant *x, const int *perm, GError **error)
{
  gint64 stride[ENGINE_ONNX_MAX_RANK], moved[ENGINE_ONNX_MAX_RANK], dims[ENGINE_ONNX_MAX_RANK];
  EngineOnnxResult result;

  engine_onnx_row_strides (x->rank, x->dims, stride);
  for (int i = 0; i < x->rank; i++) {
    dims[i] = x->dims[perm[i]];
    moved[i] = stride[perm[i]];
  }
  if (!engine_onnx_result_new (onnx, &result, x->f != NULL, x->rank, dims, error))
    return FALSE;
  copy_strided (&result, x, 0, moved);
  return engine_onnx_define_constant (onnx, node, result.constant);
}

/* Every input has x's type and dims but for the axis; adds up that axis. */
static gboolean
concat_dims (EngineOnnx *onnx, const EngineOnnxNode *node, int axis, gint64 *dims, GError **error)
{
  const EngineOnnxConstant *first = engine_onnx_input (onnx, node, 0, error)->constant;

  for (int i = 0; i < first->rank; i++)
    dims[i] = i == axis ? 0 : first->dims[i];
  for (guint k = 0; k < node->proto->n_input; k++) {
    const EngineOnnxConstant *x = engine_onnx_input (onnx, node, k, error)->constant;

    if (x->rank != first->rank || !x->f != !first->f)
      return ENGINE_ONNX_REFUSE ("input %u differs from the first in type or number of axes", k);
    for (int i = 0; i < x->rank; i++)
      if (i != axis && x->dims[i] != dims[i])
        return ENGINE_ONNX_REFUSE ("input %u differs in axis %d", k, i);
    dims[axis] += x->dims[axis];
  }
  return TRUE;
}

gboolean
engine_onnx_fold_concat (EngineOnnx *onnx, const EngineOnnxNode *node, gint64 attribute,
    GError **error)
{
  const EngineOnnxConstant *first = engine_onnx_input (onnx, node, 0, error)->constant;
  gint64 dims[ENGINE_ONNX_MAX_RANK], outer = 1, inner = 1, offset = 0;
  EngineOnnxResult result;
  int axis;

  if (!engine_onnx_axis (node, attribute, first->rank, &axis, error) ||
      !concat_dims (onnx, node, axis, dims, error) ||
      !engine_onnx_result_new (onnx, &result, first->f != NULL, first->rank, dims, error))
    return FALSE;
  for (int i = 0; i < first->rank; i++) {
    outer *= i < axis ? dims[i] : 1;
    inner *= i > axis ? dims[i] : 1;
  }
  for (guint k = 0; k < node->proto->n_input; k++) {
    const EngineOnnxConstant *x = engine_onnx_input (onnx, node, k, error)->constant;
    const gint64 row = x->dims[axis] * inner;

    for (gint64 o = 0; o < outer; o++)
      for (gint64 i = 0; i < row; i++)
        engine_onnx_result_copy (&result, o * dims[axis] * inner + offset + i, x, o * row + i);
    offset += row;
  }
  return engine_onnx_define_constant (onnx, node, result.constant);
}
