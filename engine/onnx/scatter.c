/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/scatter.c: ScatterND of constants; and where it replaces all of an activation by another, as MViT's
 * x[:, :, :, :] = y is exported.
 */
#include <string.h>

#include "engine/onnx/fold.h"

/* --- Constants ------------------------------------------------------------------------------ */

/* The first element that a row of indices names; -1 where it is outside. */
static gint64
place_of (const EngineOnnxConstant *x, const gint64 *stride, const EngineOnnxConstant *indices,
    gint64 row, gint64 depth)
{
  gint64 at = 0;

  for (gint64 i = 0; i < depth; i++) {
    gint64 index = engine_onnx_i (indices, row * depth + i);

    index += index < 0 ? x->dims[i] : 0;
    if (index < 0 || index >= x->dims[i])
      return -1;
    at += index * stride[i];
  }
  return at;
}

static gboolean
of_constants (EngineOnnx *onnx, const EngineOnnxNode *node, const EngineOnnxConstant *x,
    const EngineOnnxConstant *indices, const EngineOnnxConstant *updates, GError **error)
{
  const gint64 depth = indices->dims[indices->rank - 1];
  gint64 stride[ENGINE_ONNX_MAX_RANK], rows, width = 1;
  EngineOnnxResult result;

  if (depth > x->rank || !x->f != !updates->f)
    return ENGINE_ONNX_REFUSE ("data, indices and updates do not fit");
  rows = indices->n / depth;
  for (int i = depth; i < x->rank; i++)
    width *= x->dims[i];
  if (updates->n != rows * width)
    return ENGINE_ONNX_REFUSE ("%" G_GINT64_FORMAT " updates for %" G_GINT64_FORMAT " places",
        updates->n, rows * width);
  if (!engine_onnx_result_new (onnx, &result, x->f != NULL, x->rank, x->dims, error))
    return FALSE;
  for (gint64 i = 0; i < x->n; i++)
    engine_onnx_result_copy (&result, i, x, i);
  engine_onnx_row_strides (x->rank, x->dims, stride);
  for (gint64 row = 0; row < rows; row++) {
    const gint64 at = place_of (x, stride, indices, row, depth);

    if (at < 0) {
      engine_onnx_constant_unref (result.constant);
      return ENGINE_ONNX_REFUSE ("an index is outside the data");
    }
    for (gint64 i = 0; i < width; i++)
      engine_onnx_result_copy (&result, at + i, updates, row * width + i);
  }
  return engine_onnx_define_constant (onnx, node, result.constant);
}

/* --- Activations ---------------------------------------------------------------------------- */

/* Whether the indices are the places of x along its first axes, all of them, in order. */
static gboolean
names_all (const EngineOnnx *onnx, const EngineOnnxValue *x, const EngineOnnxConstant *indices)
{
  const gint64 depth = indices->dims[indices->rank - 1], rows = indices->n / depth;
  gint64 dims[ENGINE_MAX_RANK], places = 1;

  if (depth > x->rank)
    return FALSE;
  for (int i = 0; i < depth; i++)
    places *= dims[i] = x->dims[i] * (i == x->batch_axis ? onnx->batch : 1);
  for (gint64 row = 0; row < rows && rows == places; row++) {
    gint64 rest = row;

    for (int i = depth - 1; i >= 0; rest /= dims[i--])
      if (engine_onnx_i (indices, row * depth + i) != rest % dims[i])
        return FALSE;
  }
  return rows == places;
}

static gboolean
of_activations (EngineOnnx *onnx, const EngineOnnxNode *node, const EngineOnnxValue *x,
    const EngineOnnxConstant *indices, EngineOnnxValue *updates, GError **error)
{
  if (!names_all (onnx, x, indices))
    return ENGINE_ONNX_UNSUPPORTED (
        "it replaces some of what is computed from the image; all of it, in order, can be");
  if (updates->constant || updates->rank != x->rank || updates->batch_axis != x->batch_axis ||
      memcmp (updates->dims, x->dims, x->rank * sizeof *x->dims) != 0)
    return ENGINE_ONNX_UNSUPPORTED ("updates that are constant, or have other dims than the data");
  return engine_onnx_define_alias (onnx, node, updates);
}

gboolean
engine_onnx_import_scatter_nd (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  const EngineOnnxValue *x = engine_onnx_input (onnx, node, 0, error);
  const EngineOnnxConstant *indices = x ? engine_onnx_integers (onnx, node, 1, error) : NULL;
  EngineOnnxValue *updates = indices ? engine_onnx_input (onnx, node, 2, error) : NULL;
  g_autofree char *reduction = NULL;

  if (!updates || !engine_onnx_string (node, "reduction", "none", &reduction, error))
    return FALSE;
  if (strcmp (reduction, "none") != 0)
    return ENGINE_ONNX_UNSUPPORTED ("reduction \"%.16s\"; none can be done", reduction);
  if (indices->rank < 1 || indices->dims[indices->rank - 1] < 1)
    return ENGINE_ONNX_REFUSE ("the indices have no numbers");
  if (!x->constant)
    return of_activations (onnx, node, x, indices, updates, error);
  if (!updates->constant)
    return ENGINE_ONNX_UNSUPPORTED (
        "input 2 (\"%s\") is computed from the image, the data are constant", updates->name);
  return of_constants (onnx, node, x->constant, indices, updates->constant, error);
}
