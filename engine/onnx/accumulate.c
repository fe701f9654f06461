/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/accumulate.c: products and running sums of constants: how many elements a shape has, and masks that
 * become positions. Nothing of it is left in the graph.
 */
#include "engine/onnx/fold.h"

static const EngineOnnxConstant *
constant_input (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  const EngineOnnxValue *value = engine_onnx_input (onnx, node, 0, error);

  if (value && (!value->constant || value->constant->levels)) {
    ENGINE_ONNX_UNSUPPORTED ("input 0 (\"%s\") is computed from the image, or quantised; constants "
                             "can be done",
        value->name);
    return NULL;
  }
  return value ? value->constant : NULL;
}

/* Element `to` becomes it op x[from]; integers wrap around, as they do everywhere else. */
static void
accumulate (const EngineOnnxResult *y, gint64 to, gboolean product, const EngineOnnxConstant *x,
    gint64 from)
{
  if (y->f) {
    const float f = engine_onnx_f (x, from);

    y->f[to] = product ? y->f[to] * f : y->f[to] + f;
  } else {
    const guint64 a = y->i[to], b = engine_onnx_i (x, from);

    y->i[to] = product ? a * b : a + b;
  }
}

static void
set_all (const EngineOnnxResult *y, int value)
{
  for (gint64 i = 0; i < y->constant->n; i++) {
    if (y->f)
      y->f[i] = value;
    else
      y->i[i] = value;
  }
}

/* --- Products ------------------------------------------------------------------------------- */

static gboolean
read_axes (EngineOnnx *onnx, const EngineOnnxNode *node, const EngineOnnxConstant *x,
    gboolean marked[ENGINE_ONNX_MAX_RANK], GError **error)
{
  g_autofree gint64 *axes = NULL;
  int n;

  return engine_onnx_ints_or_input (onnx, node, "axes", 1, &axes, &n, error) &&
         engine_onnx_mark_reduced (node, axes, n, x->rank, marked, error);
}

gboolean
engine_onnx_import_reduce_prod (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  const EngineOnnxConstant *x = constant_input (onnx, node, error);
  gint64 dims[ENGINE_ONNX_MAX_RANK], kept[ENGINE_ONNX_MAX_RANK], stride[ENGINE_ONNX_MAX_RANK], keep;
  gboolean marked[ENGINE_ONNX_MAX_RANK];
  EngineOnnxResult result;
  int rank = 0;

  if (!x || !engine_onnx_int (node, "keepdims", 1, &keep, error) ||
      !read_axes (onnx, node, x, marked, error))
    return FALSE;
  for (int i = 0; i < x->rank; i++) {
    kept[i] = marked[i] ? 1 : x->dims[i];
    if (keep || !marked[i])
      dims[rank++] = kept[i];
  }
  if (!engine_onnx_result_new (onnx, &result, x->f != NULL, rank, dims, error))
    return FALSE;
  set_all (&result, 1);
  engine_onnx_row_strides (x->rank, kept, stride);
  for (gint64 i = 0; i < x->n; i++) {
    gint64 to = 0, rest = i;

    for (int axis = x->rank - 1; axis >= 0; rest /= x->dims[axis--])
      to += marked[axis] ? 0 : rest % x->dims[axis] * stride[axis];
    accumulate (&result, to, TRUE, x, i);
  }
  return engine_onnx_define_constant (onnx, node, result.constant);
}

/* --- Running sums --------------------------------------------------------------------------- */

gboolean
engine_onnx_import_cum_sum (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  const EngineOnnxConstant *x = constant_input (onnx, node, error);
  const EngineOnnxConstant *along = x ? engine_onnx_integers (onnx, node, 1, error) : NULL;
  gint64 exclusive, reverse, stride[ENGINE_ONNX_MAX_RANK];
  EngineOnnxResult result;
  int axis;

  if (!along || !engine_onnx_int (node, "exclusive", 0, &exclusive, error) ||
      !engine_onnx_int (node, "reverse", 0, &reverse, error))
    return FALSE;
  if (along->n != 1)
    return ENGINE_ONNX_REFUSE ("%" G_GINT64_FORMAT " axes; one is needed", along->n);
  if (!engine_onnx_axis (node, engine_onnx_i (along, 0), x->rank, &axis, error) ||
      !engine_onnx_result_new (onnx, &result, x->f != NULL, x->rank, x->dims, error))
    return FALSE;
  set_all (&result, 0);
  engine_onnx_row_strides (x->rank, x->dims, stride);
  for (gint64 k = 0; k < x->n; k++) {
    const gint64 i = reverse ? x->n - 1 - k : k, at = i / stride[axis] % x->dims[axis];
    const gint64 before = reverse ? i + stride[axis] : i - stride[axis];

    if (reverse ? at < x->dims[axis] - 1 : at > 0) {
      if (result.f)
        result.f[i] = result.f[before];
      else
        result.i[i] = result.i[before];
      if (exclusive)
        accumulate (&result, i, FALSE, x, before);
    }
    if (!exclusive)
      accumulate (&result, i, FALSE, x, i);
  }
  return engine_onnx_define_constant (onnx, node, result.constant);
}
