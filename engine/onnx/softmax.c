/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/softmax.c: Softmax and LogSoftmax. Since opset 13 they go along one axis. Before, the input
 * was taken as a matrix, cut in front of `axis`, and its rows were normalised.
 */
#include "engine/onnx/import.h"

static int
add_softmax (EngineOnnx *onnx, const EngineOnnxNode *node, gboolean log, int stored, GError **error)
{
  EngineNode *made = engine_onnx_add (onnx, node, ENGINE_OP_SOFTMAX, 0, &stored, 1);

  made->softmax.log = log;
  return engine_onnx_infer (onnx, node, made, error);
}

static int
add_reshape (EngineOnnx *onnx, const EngineOnnxNode *node, int stored, int rank, const int *dims,
    GError **error)
{
  EngineNode *made = engine_onnx_add (onnx, node, ENGINE_OP_RESHAPE, 0, &stored, 1);
  EngineValue *y = engine_graph_value (onnx->graph, made->output);

  y->rank = rank;
  for (int i = 0; i < rank; i++)
    y->dims[i] = dims[i];
  return engine_onnx_infer (onnx, node, made, error);
}

/* A transpose that exchanges an axis with the last one. */
static int
exchange (EngineOnnx *onnx, const EngineOnnxNode *node, int stored, int axis, GError **error)
{
  const int last = engine_graph_value (onnx->graph, stored)->rank - 1;
  EngineNode *made = engine_onnx_add (onnx, node, ENGINE_OP_TRANSPOSE, 0, &stored, 1);

  for (int i = 0; i <= last; i++)
    made->transpose.perm[i] = i == axis ? last : i == last ? axis : i;
  return engine_onnx_infer (onnx, node, made, error);
}

/* Along one axis, in a storage that has it last, or with it there for the while. */
static gboolean
along_axis (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxValue *x, int axis,
    gboolean log, GError **error)
{
  const gboolean channels = axis == 1 && engine_onnx_may_be_channels_last (x);
  const gboolean moved = !channels && axis != x->rank - 1;
  const EngineOnnxStorage storage = channels ? ENGINE_ONNX_CHANNELS_LAST : ENGINE_ONNX_PLAIN;
  int value = engine_onnx_stored (onnx, node, x, storage, error);

  if (value != ENGINE_NONE && moved)
    value = exchange (onnx, node, value, axis, error);
  if (value != ENGINE_NONE)
    value = add_softmax (onnx, node, log, value, error);
  if (value != ENGINE_NONE && moved)
    value = exchange (onnx, node, value, axis, error);
  if (value == ENGINE_NONE)
    return FALSE;
  engine_onnx_name_output (onnx, node, value);
  return engine_onnx_define (onnx, node, 0, value, storage);
}

/* All axes from `axis` on as one. */
static gboolean
along_rows (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxValue *x, int axis,
    gboolean log, GError **error)
{
  gint64 rows = 1, columns = 1;
  int value;

  for (int i = 0; i < axis; i++)
    rows *= x->dims[i];
  for (int i = axis; i < x->rank; i++)
    columns *= x->dims[i];
  if (rows > ENGINE_MAX_DIM || columns > ENGINE_MAX_DIM)
    return ENGINE_ONNX_UNSUPPORTED ("rows of %" G_GINT64_FORMAT " elements; %d can be done",
        columns, ENGINE_MAX_DIM);
  value = engine_onnx_stored (onnx, node, x, ENGINE_ONNX_PLAIN, error);
  if (value == ENGINE_NONE)
    return FALSE;
  value = add_reshape (onnx, node, value, 2, (int[]){rows, columns}, error);
  if (value == ENGINE_NONE)
    return FALSE;
  value = add_softmax (onnx, node, log, value, error);
  if (value == ENGINE_NONE)
    return FALSE;
  value = add_reshape (onnx, node, value, x->rank, x->dims, error);
  if (value == ENGINE_NONE)
    return FALSE;
  engine_graph_rename (onnx->graph, value, node->proto->output[0]);
  return engine_onnx_define (onnx, node, 0, value, ENGINE_ONNX_PLAIN);
}

static gboolean
import_softmax (EngineOnnx *onnx, const EngineOnnxNode *node, gboolean log, GError **error)
{
  EngineOnnxValue *x = engine_onnx_input (onnx, node, 0, error);
  gboolean one_axis = onnx->opset >= 13;
  gint64 attribute;
  int axis;

  if (!x || !engine_onnx_int (node, "axis", one_axis ? -1 : 1, &attribute, error))
    return FALSE;
  if (x->constant)
    return engine_onnx_fold_softmax (onnx, node, attribute, one_axis, log, error);
  if (!engine_onnx_axis (node, attribute, x->rank, &axis, error))
    return FALSE;
  if (axis == x->batch_axis)
    return ENGINE_ONNX_UNSUPPORTED ("it sums over the images of a batch");
  if (!one_axis) {
    one_axis = TRUE;
    for (int i = axis + 1; i < x->rank; i++)
      one_axis = one_axis && x->dims[i] == 1;
  }
  return one_axis ? along_axis (onnx, node, x, axis, log, error)
                  : along_rows (onnx, node, x, axis, log, error);
}

gboolean
engine_onnx_import_softmax (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  return import_softmax (onnx, node, FALSE, error);
}

gboolean
engine_onnx_import_log_softmax (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  return import_softmax (onnx, node, TRUE, error);
}
