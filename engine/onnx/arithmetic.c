/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* onnx/arithmetic.c: sums and casts of constants, element by element and over axes. */
#include "engine/onnx/fold.h"

#include <math.h>
#include <string.h>

gboolean
engine_onnx_fold_cast (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxConstant *x,
    gint64 to, GError **error)
{
  const gboolean floats = engine_onnx_is_float (to);
  EngineOnnxResult result;

  if (!floats && to != ENGINE_ONNX_INT32 && to != ENGINE_ONNX_INT64 && to != ENGINE_ONNX_BOOL)
    return ENGINE_ONNX_UNSUPPORTED (
        "a constant cast to %s; float, int32, int64 and bool can be done",
        engine_onnx_type_name (CLAMP (to, -1, 100)));
  if (!engine_onnx_result_new (onnx, &result, floats, x->rank, x->dims, error))
    return FALSE;
  for (gint64 k = 0; k < x->n; k++) {
    const double value = x->f ? engine_onnx_f (x, k) : (double) engine_onnx_i (x, k);

    if (floats) {
      result.f[k] = value;
    } else if (x->f && !(fabs (value) < 9e18)) {
      engine_onnx_constant_unref (result.constant);
      return ENGINE_ONNX_REFUSE ("%g does not fit into an integer", value);
    } else {
      const gint64 whole = x->f ? (gint64) value : engine_onnx_i (x, k);

      result.i[k] = to == ENGINE_ONNX_BOOL    ? value != 0
                    : to == ENGINE_ONNX_INT32 ? (gint32) whole
                                              : whole;
    }
  }
  return engine_onnx_define_constant (onnx, node, result.constant);
}

/* Integers wrap around, as they do everywhere else. */
static gboolean
compute (char op, const EngineOnnxResult *result, gint64 to, const EngineOnnxConstant *a, gint64 i,
    const EngineOnnxConstant *b, gint64 j)
{
  if (result->f) {
    const float x = engine_onnx_f (a, i), y = engine_onnx_f (b, j);

    result->f[to] = op == '+' ? x + y : op == '-' ? x - y : op == '*' ? x * y : x / y;
    return TRUE;
  }
  const guint64 x = engine_onnx_i (a, i), y = engine_onnx_i (b, j);

  if (op == '/' && (y == 0 || ((gint64) x == G_MININT64 && (gint64) y == -1)))
    return FALSE;
  result->i[to] = op == '+' ? x + y : op == '-' ? x - y : op == '*' ? x * y : 0;
  if (op == '/')
    result->i[to] = (gint64) x / (gint64) y;
  return TRUE;
}

/* Strides of x in the broadcast shape: 0 where its axis is 1 or missing. */
static gboolean
broadcast (const EngineOnnxConstant *x, int rank, gint64 *dims, gint64 *stride)
{
  gint64 own[ENGINE_ONNX_MAX_RANK];

  engine_onnx_row_strides (x->rank, x->dims, own);
  for (int i = 0; i < rank; i++) {
    const int axis = i - (rank - x->rank);

    stride[i] = axis < 0 || x->dims[axis] == 1 ? 0 : own[axis];
    if (axis < 0 || x->dims[axis] == 1)
      continue;
    if (dims[i] != 1 && dims[i] != x->dims[axis])
      return FALSE;
    dims[i] = x->dims[axis];
  }
  return TRUE;
}

gboolean
engine_onnx_fold_binary (EngineOnnx *onnx, const EngineOnnxNode *node, char op,
    const EngineOnnxConstant *a, const EngineOnnxConstant *b, GError **error)
{
  const int rank = MAX (a->rank, b->rank);
  gint64 dims[ENGINE_ONNX_MAX_RANK], sa[ENGINE_ONNX_MAX_RANK], sb[ENGINE_ONNX_MAX_RANK];
  gint64 index[ENGINE_ONNX_MAX_RANK] = {0}, i = 0, j = 0;
  EngineOnnxResult result;

  for (int axis = 0; axis < rank; axis++)
    dims[axis] = 1;
  if (!a->f != !b->f)
    return ENGINE_ONNX_REFUSE ("integers and floats");
  if (!broadcast (a, rank, dims, sa) || !broadcast (b, rank, dims, sb))
    return ENGINE_ONNX_REFUSE ("the shapes of two constants do not fit");
  /* the strides of `a` along axes that only b has are 0 already */
  if (!engine_onnx_result_new (onnx, &result, a->f != NULL, rank, dims, error))
    return FALSE;
  for (gint64 to = 0; to < result.constant->n; to++) {
    if (!compute (op, &result, to, a, i, b, j)) {
      engine_onnx_constant_unref (result.constant);
      return ENGINE_ONNX_REFUSE ("a division by zero");
    }
    for (int axis = rank - 1; axis >= 0; axis--) {
      i += sa[axis];
      j += sb[axis];
      if (++index[axis] < dims[axis])
        break;
      i -= sa[axis] * dims[axis];
      j -= sb[axis] * dims[axis];
      index[axis] = 0;
    }
  }
  return engine_onnx_define_constant (onnx, node, result.constant);
}

/* --- Sums over axes -------------------------------------------------------------------------- */

gboolean
engine_onnx_fold_reduce (EngineOnnx *onnx, const EngineOnnxNode *node, const EngineOnnxConstant *x,
    const gboolean *marked, gboolean max, gboolean keep, GError **error)
{
  gint64 dims[ENGINE_ONNX_MAX_RANK], kept[ENGINE_ONNX_MAX_RANK], stride[ENGINE_ONNX_MAX_RANK];
  g_autofree double *sums = NULL;
  EngineOnnxResult result;
  gint64 n = 1;
  int rank = 0;

  if (!x->f)
    return ENGINE_ONNX_UNSUPPORTED ("a constant of integers; of floats it can be done");
  for (int i = 0; i < x->rank; i++) {
    kept[i] = marked[i] ? 1 : x->dims[i];
    n *= kept[i];
    if (keep || !marked[i])
      dims[rank++] = kept[i];
  }
  if (x->n == 0 || n == 0)
    return ENGINE_ONNX_REFUSE ("there is nothing to reduce");
  engine_onnx_row_strides (x->rank, kept, stride);
  sums = engine_onnx_alloc (onnx, n, sizeof (double), error);
  if (!sums || !engine_onnx_result_new (onnx, &result, TRUE, rank, dims, error))
    return FALSE;
  for (gint64 i = 0; i < n; i++)
    sums[i] = max ? -INFINITY : 0;
  for (gint64 i = 0; i < x->n; i++) {
    gint64 to = 0, rest = i;

    for (int axis = x->rank - 1; axis >= 0; axis--) {
      to += marked[axis] ? 0 : rest % x->dims[axis] * stride[axis];
      rest /= x->dims[axis];
    }
    sums[to] = max ? fmax (sums[to], engine_onnx_f (x, i)) : sums[to] + engine_onnx_f (x, i);
  }
  for (gint64 i = 0; i < n; i++)
    result.f[i] = max ? sums[i] : sums[i] / ((double) x->n / n);
  return engine_onnx_define_constant (onnx, node, result.constant);
}
