/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/broadcast.c: activations spread over larger shapes: Expand, Tile, and sums and products of shapes that
 * differ in other ways than one value per channel. The graph has copies, whose bytes pass through.
 */
#include <string.h>

#include "engine/onnx/import.h"

/* `times` copies that follow each other along an axis: of doubled ones, those that add up to them. */
static int
repeat (EngineOnnx *onnx, const EngineOnnxNode *node, int value, int axis, int times,
    GError **error)
{
  int parts[32], n = 0;
  EngineNode *concat;

  for (int size = 1; value != ENGINE_NONE; size *= 2) {
    if (times & size)
      parts[n++] = value;
    if (size > times / 2)
      break;
    concat = engine_onnx_add (onnx, node, ENGINE_OP_CONCAT, 0, (int[]){value, value}, 2);
    concat->concat.axis = axis;
    value = engine_onnx_infer (onnx, node, concat, error);
  }
  if (value == ENGINE_NONE || n == 1)
    return value;
  concat = engine_onnx_add (onnx, node, ENGINE_OP_CONCAT, 0, parts, n);
  concat->concat.axis = axis;
  return engine_onnx_infer (onnx, node, concat, error);
}

/* A graph value with the axes of size 1 repeated that are larger in dims; the last first, so that most
 * bytes are moved in large pieces. */
static int
spread (EngineOnnx *onnx, const EngineOnnxNode *node, int value, const int *dims, GError **error)
{
  for (int axis = value == ENGINE_NONE ? 0 : engine_graph_value (onnx->graph, value)->rank - 1;
       axis > 0 && value != ENGINE_NONE; axis--)
    if (engine_graph_value (onnx->graph, value)->dims[axis] == 1 && dims[axis] > 1)
      value = repeat (onnx, node, value, axis, dims[axis], error);
  return value;
}

/* --- Expand --------------------------------------------------------------------------------- */

/* The dims for one image of x, broadcast to a shape of the model; those of the batch stay. */
static gboolean
expanded_dims (const EngineOnnx *onnx, const EngineOnnxNode *node, const EngineOnnxValue *x,
    const EngineOnnxConstant *shape, int *dims, GError **error)
{
  if (shape->n > x->rank)
    return ENGINE_ONNX_UNSUPPORTED (
        "%" G_GINT64_FORMAT " axes of a value with %d; as many can be done", shape->n, x->rank);
  memcpy (dims, x->dims, x->rank * sizeof *dims);
  for (int i = 0; i < shape->n; i++) {
    const int axis = x->rank - (int) shape->n + i;
    const gboolean batch = axis == x->batch_axis;
    const gint64 wanted = engine_onnx_i (shape, i),
                 have = x->dims[axis] * (batch ? onnx->batch : 1);

    if (wanted == 1 || wanted == have)
      continue;
    if (batch || have != 1 || wanted < 1 || wanted > ENGINE_MAX_DIM)
      return ENGINE_ONNX_UNSUPPORTED ("axis %d becomes %" G_GINT64_FORMAT " from %" G_GINT64_FORMAT
                                      "; what is 1, and not the batch, can be repeated",
          axis, wanted, have);
    dims[axis] = wanted;
  }
  return TRUE;
}

gboolean
engine_onnx_expand_activation (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxValue *x,
    const EngineOnnxConstant *shape, GError **error)
{
  const EngineOnnxStorage storage = engine_onnx_storage (onnx, x);
  int dims[ENGINE_MAX_RANK], stored[ENGINE_MAX_RANK] = {1}, value;

  if (!expanded_dims (onnx, node, x, shape, dims, error))
    return FALSE;
  if (memcmp (dims, x->dims, x->rank * sizeof *dims) == 0)
    return engine_onnx_define_alias (onnx, node, x);
  for (int axis = 0; axis < x->rank; axis++)
    stored[engine_onnx_stored_axis (x, storage, axis)] = dims[axis];
  value = spread (onnx, node, engine_onnx_stored (onnx, node, x, storage, error), stored, error);
  if (value == ENGINE_NONE)
    return FALSE;
  engine_onnx_name_output (onnx, node, value);
  if (!engine_onnx_define (onnx, node, 0, value, storage))
    return FALSE;
  ((EngineOnnxValue *) g_hash_table_lookup (onnx->values, node->proto->output[0]))->repeated = x;
  return TRUE;
}

/* --- Tile ----------------------------------------------------------------------------------- */

gboolean
engine_onnx_tile_activation (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxValue *x,
    const EngineOnnxConstant *repeats, GError **error)
{
  const EngineOnnxStorage storage = engine_onnx_storage (onnx, x);
  int value = engine_onnx_stored (onnx, node, x, storage, error);
  gboolean same = TRUE;

  for (int axis = x->rank - 1; axis >= 0 && value != ENGINE_NONE; axis--) {
    const gint64 times = engine_onnx_i (repeats, axis);

    if (times == 1)
      continue;
    same = FALSE;
    if (axis == x->batch_axis || times < 1 || times > ENGINE_MAX_DIM)
      return ENGINE_ONNX_UNSUPPORTED (
          "axis %d is repeated %" G_GINT64_FORMAT
          " times; axes other than the batch, once or more, can be done",
          axis, times);
    value = repeat (onnx, node, value, engine_onnx_stored_axis (x, storage, axis), times, error);
  }
  if (value == ENGINE_NONE)
    return FALSE;
  if (same)
    return engine_onnx_define_alias (onnx, node, x);
  engine_onnx_name_output (onnx, node, value);
  return engine_onnx_define (onnx, node, 0, value, storage);
}

/* --- Sums and products ---------------------------------------------------------------------- */

/* What is 1 in one of them is repeated. */
static gboolean
broadcast (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxValue *const x[2],
    EngineOnnxStorage *storage, int result[2], GError **error)
{
  const int rank = x[0]->rank;
  int dims[ENGINE_MAX_RANK];

  if (x[1]->rank != rank || x[0]->batch_axis != 0 || x[1]->batch_axis != 0)
    return ENGINE_ONNX_UNSUPPORTED (
        "\"%s\" and \"%s\" differ in their number of axes, or have the batch "
        "in others than the first",
        x[0]->name, x[1]->name);
  *storage = engine_onnx_storage (onnx, x[0]);
  if (*storage != engine_onnx_storage (onnx, x[1]))
    *storage = ENGINE_ONNX_PLAIN;
  for (int i = 0; i < rank; i++) {
    const int a = x[0]->dims[i], b = x[1]->dims[i];

    if (a != b && (i == 0 || (a != 1 && b != 1)))
      return ENGINE_ONNX_REFUSE ("\"%s\" and \"%s\" have sizes %d and %d of axis %d", x[0]->name,
          x[1]->name, a, b, i);
    dims[engine_onnx_stored_axis (x[0], *storage, i)] = MAX (a, b);
  }
  for (int k = 0; k < 2; k++) {
    result[k] =
        spread (onnx, node, engine_onnx_stored (onnx, node, x[k], *storage, error), dims, error);
    if (result[k] == ENGINE_NONE)
      return FALSE;
  }
  return TRUE;
}

static gboolean
same_dims (const EngineOnnxValue *a, const EngineOnnxValue *b)
{
  for (int i = 0; i < a->rank && a->rank == b->rank; i++)
    if (a->dims[i] != b->dims[i])
      return FALSE;
  return a->rank == b->rank;
}

/* Whether b has one value for each element of a's batch and this axis. */
static gboolean
per_axis (const EngineOnnxValue *a, const EngineOnnxValue *b, int axis)
{
  for (int i = 0; i < a->rank && a->rank == b->rank; i++)
    if (b->dims[i] != (i == 0 || i == axis ? a->dims[i] : 1))
      return FALSE;
  return a->rank == b->rank;
}

/* FALSE where b cannot be spread over a. */
static gboolean
common_storage (const EngineOnnx *onnx, const EngineOnnxValue *a, const EngineOnnxValue *b,
    EngineOnnxStorage *storage)
{
  const gboolean may = engine_onnx_may_be_channels_last (a);

  if (a->batch_axis != b->batch_axis)
    return FALSE;
  *storage = ENGINE_ONNX_FREE;
  if (a->batch_axis != 0)
    return same_dims (a, b);
  *storage = ENGINE_ONNX_CHANNELS_LAST;
  if (same_dims (a, b)) {
    if (!may || (engine_onnx_storage (onnx, a) == ENGINE_ONNX_PLAIN &&
                    engine_onnx_storage (onnx, b) == ENGINE_ONNX_PLAIN))
      *storage = ENGINE_ONNX_PLAIN;
    return TRUE;
  }
  if (may && per_axis (a, b, 1))
    return TRUE;
  *storage = ENGINE_ONNX_PLAIN;
  return a->rank > 2 && per_axis (a, b, a->rank - 1);
}

/* Copies of something are as good as that where the other operand has their shape. */
static EngineOnnxValue *
without_copies (EngineOnnxValue *x, const EngineOnnxValue *other)
{
  return x->repeated && same_dims (x, other) ? x->repeated : x;
}

/* The operands as the graph can combine them, the larger first. */
gboolean
engine_onnx_align (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxValue *a,
    EngineOnnxValue *b, EngineOnnxStorage *storage, int inputs[2], GError **error)
{
  EngineOnnxValue *x[2] = {a, without_copies (b, a)};

  if (x[1] == b)
    x[0] = without_copies (a, b);
  if (!common_storage (onnx, x[0], x[1], storage)) {
    EngineOnnxValue *swap = x[0];

    if (!common_storage (onnx, x[1], x[0], storage))
      return broadcast (onnx, node, x, storage, inputs, error);
    x[0] = x[1];
    x[1] = swap;
  }
  inputs[0] = engine_onnx_stored (onnx, node, x[0], *storage, error);
  inputs[1] = inputs[0] == ENGINE_NONE ? ENGINE_NONE
                                       : engine_onnx_stored (onnx, node, x[1], *storage, error);
  return inputs[1] != ENGINE_NONE;
}
