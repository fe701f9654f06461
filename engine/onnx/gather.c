/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* onnx/gather.c: Gather from an activation: one element of an axis, or some that follow each other. */
#include "engine/onnx/import.h"

#include <string.h>

/* The first of them and their number; FALSE where they do not follow each other. */
static gboolean
read_range (const EngineOnnxConstant *indices, gint64 dim, gint64 *first, gint64 *n)
{
  *n = indices->n;
  if (*n < 1)
    return FALSE;
  *first = engine_onnx_i (indices, 0);
  if (*first < 0)
    *first += dim;
  for (gint64 i = 1; i < *n; i++) {
    const gint64 at = engine_onnx_i (indices, i);

    if ((at < 0 ? at + dim : at) != *first + i)
      return FALSE;
  }
  return *first >= 0 && *first + *n <= dim;
}

/* The value without an axis of one element. */
static gboolean
drop_axis (EngineOnnx *onnx, const EngineOnnxNode *node, const EngineOnnxValue *x, int value,
    int axis, GError **error)
{
  const int batch_axis = x->batch_axis - (axis < x->batch_axis), offset = x->batch_axis != 0;
  int dims[ENGINE_MAX_RANK] = {1}, rank = offset;

  for (int i = 0; i < x->rank; i++)
    if (i != axis)
      dims[rank++] = x->dims[i];
  value = engine_onnx_add_reshape (onnx, node, 0, value, rank, dims, error);
  if (offset)
    return engine_onnx_define_free (onnx, node, 0, value, batch_axis, error);
  return engine_onnx_define (onnx, node, 0, value, ENGINE_ONNX_PLAIN);
}

/* Whether every element of a flat image is taken, in order: strides (as_strided) of a dense tensor. */
static gboolean
is_reshape (const EngineOnnx *onnx, const EngineOnnxValue *x, const EngineOnnxConstant *indices)
{
  gint64 first, n;

  return x->rank == 1 && onnx->batch == 1 && indices->rank > 0 &&
         indices->rank <= ENGINE_MAX_RANK && indices->n == x->dims[0] &&
         read_range (indices, x->dims[0], &first, &n) && first == 0;
}

static gboolean
reshape (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxValue *x,
    const EngineOnnxConstant *indices, GError **error)
{
  const int stored = engine_onnx_stored (onnx, node, x, ENGINE_ONNX_PLAIN, error);
  int dims[ENGINE_MAX_RANK];

  for (int i = 0; i < indices->rank; i++)
    dims[i] = indices->dims[i];
  return engine_onnx_define (onnx, node, 0,
      engine_onnx_add_reshape (onnx, node, 0, stored, indices->rank, dims, error),
      ENGINE_ONNX_PLAIN);
}

gboolean
engine_onnx_gather_activation (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxValue *x,
    GError **error)
{
  const EngineOnnxConstant *indices = engine_onnx_integers (onnx, node, 1, error);
  const EngineOnnxStorage storage = x->batch_axis != 0 ? ENGINE_ONNX_FREE : ENGINE_ONNX_PLAIN;
  gint64 attribute, first, n;
  EngineNode *slice;
  int axis, stored;

  if (!indices || !engine_onnx_int (node, "axis", 0, &attribute, error) ||
      !engine_onnx_axis (node, attribute, x->rank, &axis, error))
    return FALSE;
  if (is_reshape (onnx, x, indices))
    return reshape (onnx, node, x, indices, error);
  if (axis == x->batch_axis)
    return ENGINE_ONNX_UNSUPPORTED ("it takes images out of a batch");
  if (indices->rank > 1 || !read_range (indices, x->dims[axis], &first, &n))
    return ENGINE_ONNX_UNSUPPORTED (
        "indices of an activation that are no range within its axis of %d", x->dims[axis]);
  stored = engine_onnx_stored (onnx, node, x, storage, error);
  if (stored == ENGINE_NONE)
    return FALSE;
  slice = engine_onnx_add (onnx, node, ENGINE_OP_SLICE, 0, &stored, 1);
  slice->slice.axis = engine_onnx_stored_axis (x, storage, axis);
  slice->slice.start = first;
  slice->slice.size = n;
  stored = engine_onnx_infer (onnx, node, slice, error);
  if (stored == ENGINE_NONE)
    return FALSE;
  if (indices->rank == 0)
    return drop_axis (onnx, node, x, stored, axis, error);
  return engine_onnx_define (onnx, node, 0, stored, storage);
}
