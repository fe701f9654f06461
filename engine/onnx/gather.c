/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/gather.c: Gather from an activation: one element of an axis, some that follow each other, or a few
 * runs of those, each with steps of one size: channels in another order, and the patches of an unfold.
 */
#include "engine/onnx/import.h"

#include <string.h>

/* More are a permutation at random, and as many slices. */
#define MAX_RUNS 64

typedef struct {
  gint64 first, step, n;
} Run;

static gboolean
check_indices (const EngineOnnxNode *node, const EngineOnnxConstant *indices, gint64 dim,
    GError **error)
{
  if (indices->n < 1)
    return ENGINE_ONNX_REFUSE ("there is no index");
  for (gint64 i = 0; i < indices->n; i++) {
    const gint64 index = engine_onnx_i (indices, i);

    if (index < -dim || index >= dim)
      return ENGINE_ONNX_REFUSE ("index %" G_GINT64_FORMAT " of an axis of size %" G_GINT64_FORMAT,
          index, dim);
  }
  return TRUE;
}

static gint64
index_at (const EngineOnnxConstant *indices, gint64 i, gint64 dim)
{
  const gint64 index = engine_onnx_i (indices, i);

  return index < 0 ? index + dim : index;
}

/* As many from the i-th on as follow each other in one step. */
static Run
next_run (const EngineOnnxConstant *indices, gint64 i, gint64 dim)
{
  Run run = {index_at (indices, i, dim), 1, 1};
  gint64 last = run.first;

  if (i + 1 < indices->n)
    run.step = MAX (index_at (indices, i + 1, dim) - run.first, 1);
  for (i++; i < indices->n && index_at (indices, i, dim) - last == run.step; i++, run.n++)
    last += run.step;
  if (run.n == 1)
    run.step = 1;
  return run;
}

/* The value with the axes of the indices, of which a scalar has none, in the place of one. */
static gboolean
replace_axis (EngineOnnx *onnx, const EngineOnnxNode *node, const EngineOnnxValue *x, int value,
    int axis, const EngineOnnxConstant *indices, GError **error)
{
  const int more = indices->rank - 1, offset = x->batch_axis != 0;
  const int batch_axis = x->batch_axis + (axis < x->batch_axis ? more : 0);
  int dims[ENGINE_MAX_RANK] = {1}, rank = offset;

  if (offset + x->rank + more > ENGINE_MAX_RANK)
    return ENGINE_ONNX_UNSUPPORTED ("indices of %d axes for one of %d; %d axes in all can be done",
        indices->rank, x->rank, ENGINE_MAX_RANK - offset);
  for (int i = 0; i < x->rank; i++) {
    if (i != axis)
      dims[rank++] = x->dims[i];
    for (int k = 0; i == axis && k < indices->rank; k++)
      dims[rank++] = indices->dims[k];
  }
  value = engine_onnx_add_reshape (onnx, node, 0, value, rank, dims, error);
  if (offset)
    return engine_onnx_define_free (onnx, node, 0, value, batch_axis, error);
  return engine_onnx_define (onnx, node, 0, value, ENGINE_ONNX_PLAIN);
}

/* Whether every element of a flat image is taken, in order: strides (as_strided) of a dense tensor. */
static gboolean
is_reshape (const EngineOnnx *onnx, const EngineOnnxValue *x, const EngineOnnxConstant *indices)
{
  if (x->rank != 1 || onnx->batch != 1 || indices->rank < 1 || indices->rank > ENGINE_MAX_RANK ||
      indices->n != x->dims[0])
    return FALSE;
  const Run run = next_run (indices, 0, x->dims[0]);
  return run.first == 0 && run.step == 1 && run.n == indices->n;
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

/* All of them, one behind the other. */
static int
add_runs (EngineOnnx *onnx, const EngineOnnxNode *node, int value, int axis,
    const EngineOnnxConstant *indices, GError **error)
{
  const gint64 dim = engine_graph_value (onnx->graph, value)->dims[axis];
  int parts[MAX_RUNS], n = 0;
  EngineNode *concat;
  Run run;

  for (gint64 i = 0; i < indices->n; i += run.n) {
    if (n == MAX_RUNS) {
      ENGINE_ONNX_UNSUPPORTED ("indices of an activation that are more than %d runs", MAX_RUNS);
      return ENGINE_NONE;
    }
    run = next_run (indices, i, dim);
    parts[n] =
        engine_onnx_add_strided_slice (onnx, node, value, axis, run.first, run.step, run.n, error);
    if (parts[n++] == ENGINE_NONE)
      return ENGINE_NONE;
  }
  if (n == 1)
    return parts[0];
  concat = engine_onnx_add (onnx, node, ENGINE_OP_CONCAT, 0, parts, n);
  concat->concat.axis = axis;
  return engine_onnx_infer (onnx, node, concat, error);
}

gboolean
engine_onnx_gather_activation (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxValue *x,
    GError **error)
{
  const EngineOnnxConstant *indices = engine_onnx_integers (onnx, node, 1, error);
  const EngineOnnxStorage storage = x->batch_axis != 0 ? ENGINE_ONNX_FREE : ENGINE_ONNX_PLAIN;
  gint64 attribute;
  int axis, stored;

  if (!indices || !engine_onnx_int (node, "axis", 0, &attribute, error) ||
      !engine_onnx_axis (node, attribute, x->rank, &axis, error))
    return FALSE;
  if (axis == x->batch_axis && x->rank > 1)
    return ENGINE_ONNX_UNSUPPORTED ("it takes images out of a batch");
  if (!check_indices (node, indices, x->dims[axis], error))
    return FALSE;
  if (is_reshape (onnx, x, indices))
    return reshape (onnx, node, x, indices, error);
  if (axis == x->batch_axis)
    return ENGINE_ONNX_UNSUPPORTED ("it takes elements out of a flat image");
  stored = engine_onnx_stored (onnx, node, x, storage, error);
  if (stored == ENGINE_NONE)
    return FALSE;
  stored =
      add_runs (onnx, node, stored, engine_onnx_stored_axis (x, storage, axis), indices, error);
  if (stored == ENGINE_NONE)
    return FALSE;
  engine_onnx_name_output (onnx, node, stored);
  if (indices->rank != 1)
    return replace_axis (onnx, node, x, stored, axis, indices, error);
  return engine_onnx_define (onnx, node, 0, stored, storage);
}
