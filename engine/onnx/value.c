/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* onnx/value.c: reading activations in the storage that an op wants, and making new ones. */
#include <math.h>
#include <string.h>

#include "engine/onnx/import.h"

gboolean
engine_onnx_may_be_channels_last (const EngineOnnxValue *value)
{
  return value->rank == 3 || value->rank == 4;
}

EngineOnnxStorage
engine_onnx_storage (const EngineOnnx *onnx, const EngineOnnxValue *value)
{
  if (value->batch_axis != 0)
    return ENGINE_ONNX_FREE;
  if (value->stored[ENGINE_ONNX_CHANNELS_LAST] != ENGINE_NONE ||
      (onnx->nchw && value->rank == 4 && !value->features_last))
    return ENGINE_ONNX_CHANNELS_LAST;
  return ENGINE_ONNX_PLAIN;
}

int
engine_onnx_stored_axis (const EngineOnnxValue *value, EngineOnnxStorage storage, int axis)
{
  if (storage == ENGINE_ONNX_FREE)
    return axis + 1;
  if (storage == ENGINE_ONNX_PLAIN || axis == 0)
    return axis;
  return axis == 1 ? value->rank - 1 : axis - 1;
}

/* --- Nodes ---------------------------------------------------------------------------------- */

EngineNode *
engine_onnx_add (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOp op, guint i,
    const int *inputs, int n_inputs)
{
  const char *output = i < node->proto->n_output ? node->proto->output[i] : node->name;

  if (output[0] == '\001') /* engine_onnx_temporary(): people see the node's */
    output = node->name;

  return engine_graph_add_node (onnx->graph, op, node->name, inputs, n_inputs, output);
}

int
engine_onnx_infer (EngineOnnx *onnx, const EngineOnnxNode *node, EngineNode *made, GError **error)
{
  g_autoptr (GError) cause = NULL;

  if (engine_graph_infer_shape (onnx->graph, made, &cause))
    return made->output;
  /* The graph's op may have another name than the one of ONNX that the user knows. */
  g_set_error (error, ENGINE_ERROR, cause->code, "%s (ONNX: %s)", cause->message,
      node->proto->op_type);
  return ENGINE_NONE;
}

int
engine_onnx_add_floats (EngineOnnx *onnx, const EngineOnnxNode *node, const char *what, int rank,
    const int *dims, float *data, GError **error)
{
  g_autofree char *name = g_strdup_printf ("%s.%s", node->name, what);
  gsize n = 1;

  for (int i = 0; i < rank; i++)
    n *= dims[i];
  for (gsize i = 0; i < n; i++) {
    const float x = data[i];

    if (isfinite (x))
      continue;
    g_free (data);
    ENGINE_ONNX_REFUSE ("%s holds %g, which makes every result useless; train or export again",
        what, x);
    return ENGINE_NONE;
  }
  return engine_graph_add_constant (onnx->graph, name, ENGINE_TYPE_F32, rank, dims,
      g_bytes_new_take (data, n * sizeof (float)));
}

/* --- Storages ------------------------------------------------------------------------------- */

static int
add_transpose (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxValue *value,
    EngineOnnxStorage storage, GError **error)
{
  const gboolean plain = storage == ENGINE_ONNX_PLAIN;
  const int rank = value->rank;
  const int from = value->stored[plain ? ENGINE_ONNX_CHANNELS_LAST : ENGINE_ONNX_PLAIN];
  const char *of = value->name[0] == '\001' ? node->name : value->name; /* as engine_onnx_add() */
  g_autofree char *name = g_strconcat (of, plain ? ENGINE_NCHW_SUFFIX : ENGINE_NHWC_SUFFIX, NULL);
  EngineNode *made = engine_graph_add_node (onnx->graph, ENGINE_OP_TRANSPOSE, name, &from, 1, name);

  for (int i = 1; i < rank; i++)
    made->transpose.perm[i] = plain ? (i == 1 ? rank - 1 : i - 1) : (i == rank - 1 ? 1 : i + 1);
  return engine_onnx_infer (onnx, node, made, error);
}

int
engine_onnx_stored (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxValue *value,
    EngineOnnxStorage storage, GError **error)
{
  if (value->batch_axis != 0) {
    if (storage == ENGINE_ONNX_FREE)
      return value->stored[ENGINE_ONNX_FREE];
    ENGINE_ONNX_UNSUPPORTED ("input \"%s\" has its batch in axis %d; 0 can be done", value->name,
        value->batch_axis);
    return ENGINE_NONE;
  }
  if (value->rank <= 2)
    storage = ENGINE_ONNX_PLAIN; /* nothing between batch and channels */
  else if (storage == ENGINE_ONNX_CHANNELS_LAST && !engine_onnx_may_be_channels_last (value)) {
    ENGINE_ONNX_UNSUPPORTED ("input \"%s\" has %d axes; 2 to 4 can be done", value->name,
        value->rank);
    return ENGINE_NONE;
  }
  if (value->stored[storage] == ENGINE_NONE)
    value->stored[storage] = add_transpose (onnx, node, value, storage, error);
  return value->stored[storage];
}

void
engine_onnx_name_output (EngineOnnx *onnx, const EngineOnnxNode *node, int value)
{
  if (node->proto->output[0][0] != '\001')
    engine_graph_rename (onnx->graph, value, node->proto->output[0]);
}

int
engine_onnx_add_reshape (EngineOnnx *onnx, const EngineOnnxNode *node, guint i, int value, int rank,
    const int *dims, GError **error)
{
  EngineNode *made;
  EngineValue *y;

  if (value == ENGINE_NONE)
    return ENGINE_NONE;
  made = engine_onnx_add (onnx, node, ENGINE_OP_RESHAPE, i, &value, 1);
  y = engine_graph_value (onnx->graph, made->output);
  y->rank = rank;
  memcpy (y->dims, dims, rank * sizeof (int));
  return engine_onnx_infer (onnx, node, made, error);
}

int
engine_onnx_stored_free (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxValue *value,
    GError **error)
{
  int dims[ENGINE_MAX_RANK] = {1};

  if (value->batch_axis != 0)
    return value->stored[ENGINE_ONNX_FREE];
  if (value->rank == ENGINE_MAX_RANK) {
    ENGINE_ONNX_UNSUPPORTED ("it moves the batch of \"%s\", which has %d axes; %d can be done",
        value->name, value->rank, ENGINE_MAX_RANK - 1);
    return ENGINE_NONE;
  }
  memcpy (dims + 1, value->dims, value->rank * sizeof (int));
  return engine_onnx_add_reshape (onnx, node, 0,
      engine_onnx_stored (onnx, node, value, ENGINE_ONNX_PLAIN, error), value->rank + 1, dims,
      error);
}

/* --- Definitions ---------------------------------------------------------------------------- */

/* What a node makes of values whose last axis has the features, or whose batch has moved, is such a
 * value too, unless it says otherwise. */
static void
inherit (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxStorage storage,
    EngineOnnxValue *value)
{
  for (gsize i = 0; i < node->proto->n_input; i++) {
    const EngineOnnxValue *input = g_hash_table_lookup (onnx->values, node->proto->input[i]);

    if (!input || input->constant || input == value)
      continue;
    value->features_last |= input->features_last && storage != ENGINE_ONNX_CHANNELS_LAST;
    if (storage == ENGINE_ONNX_FREE && value->batch_axis == 0)
      value->batch_axis = input->batch_axis;
  }
}

EngineOnnxValue *
engine_onnx_new_value (EngineOnnx *onnx, const char *name)
{
  EngineOnnxValue *value = g_new0 (EngineOnnxValue, 1);

  value->name = name;
  for (int i = 0; i < ENGINE_ONNX_STORAGES; i++)
    value->stored[i] = ENGINE_NONE;
  g_ptr_array_add (onnx->owned, value);
  g_hash_table_insert (onnx->values, (char *) name, value);
  return value;
}

gboolean
engine_onnx_define_as (EngineOnnx *onnx, const char *name, int graph_value,
    EngineOnnxStorage storage)
{
  const EngineValue *stored;
  EngineOnnxValue *value;

  if (graph_value == ENGINE_NONE)
    return FALSE;
  stored = engine_graph_value (onnx->graph, graph_value);
  value = engine_onnx_new_value (onnx, name);
  value->rank = stored->rank - (storage == ENGINE_ONNX_FREE);
  if (value->rank <= 2 && storage == ENGINE_ONNX_CHANNELS_LAST)
    storage = ENGINE_ONNX_PLAIN;
  value->stored[storage] = graph_value;
  for (int axis = 0; axis < value->rank; axis++)
    value->dims[axis] = stored->dims[engine_onnx_stored_axis (value, storage, axis)];
  return TRUE;
}

gboolean
engine_onnx_define (EngineOnnx *onnx, const EngineOnnxNode *node, guint i, int graph_value,
    EngineOnnxStorage storage)
{
  if (!engine_onnx_define_as (onnx, node->proto->output[i], graph_value, storage))
    return FALSE;
  inherit (onnx, node, storage, g_hash_table_lookup (onnx->values, node->proto->output[i]));
  return TRUE;
}

gboolean
engine_onnx_define_free (EngineOnnx *onnx, const EngineOnnxNode *node, guint i, int graph_value,
    int batch_axis, GError **error)
{
  const EngineValue *free_value;
  int dims[ENGINE_MAX_RANK];
  EngineOnnxValue *value;

  if (graph_value == ENGINE_NONE)
    return FALSE;
  free_value = engine_graph_value (onnx->graph, graph_value);
  if (batch_axis == 0) {
    const int rank = free_value->rank - 1;

    memcpy (dims, free_value->dims + 1, rank * sizeof (int));
    return engine_onnx_define (onnx, node, i,
        engine_onnx_add_reshape (onnx, node, i, graph_value, rank, dims, error), ENGINE_ONNX_PLAIN);
  }
  if (!engine_onnx_define_as (onnx, node->proto->output[i], graph_value, ENGINE_ONNX_FREE))
    return FALSE;
  value = g_hash_table_lookup (onnx->values, node->proto->output[i]);
  value->batch_axis = batch_axis;
  inherit (onnx, node, ENGINE_ONNX_FREE, value);
  return TRUE;
}

gboolean
engine_onnx_mark_features (EngineOnnx *onnx, const EngineOnnxNode *node)
{
  EngineOnnxValue *value = g_hash_table_lookup (onnx->values, node->proto->output[0]);

  value->features_last = TRUE;
  return TRUE;
}

gboolean
engine_onnx_define_constant (EngineOnnx *onnx, const EngineOnnxNode *node,
    EngineOnnxConstant *constant)
{
  if (!constant)
    return FALSE;
  engine_onnx_new_value (onnx, node->proto->output[0])->constant = constant;
  return TRUE;
}

gboolean
engine_onnx_define_alias (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxValue *value)
{
  g_hash_table_insert (onnx->values, node->proto->output[0], value);
  return TRUE;
}
