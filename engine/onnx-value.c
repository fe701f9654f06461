/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* onnx-value.c: reading activations in the storage that an op wants, and making new ones. */
#include <math.h>
#include <string.h>

#include "engine/onnx-import.h"

gboolean
engine_onnx_may_be_channels_last (const EngineOnnxValue *value)
{
  return value->rank == 3 || value->rank == 4;
}

EngineOnnxStorage
engine_onnx_storage (const EngineOnnx *onnx, const EngineOnnxValue *value)
{
  if (value->stored[ENGINE_ONNX_CHANNELS_LAST] != ENGINE_NONE || (onnx->nchw && value->rank == 4))
    return ENGINE_ONNX_CHANNELS_LAST;
  return ENGINE_ONNX_PLAIN;
}

int
engine_onnx_stored_axis (const EngineOnnxValue *value, EngineOnnxStorage storage, int axis)
{
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
  g_autofree char *name =
      g_strconcat (value->name, plain ? ENGINE_NCHW_SUFFIX : ENGINE_NHWC_SUFFIX, NULL);
  EngineNode *made = engine_graph_add_node (onnx->graph, ENGINE_OP_TRANSPOSE, name, &from, 1, name);

  for (int i = 1; i < rank; i++)
    made->transpose.perm[i] = plain ? (i == 1 ? rank - 1 : i - 1) : (i == rank - 1 ? 1 : i + 1);
  return engine_onnx_infer (onnx, node, made, error);
}

int
engine_onnx_stored (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxValue *value,
    EngineOnnxStorage storage, GError **error)
{
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

/* --- Definitions ---------------------------------------------------------------------------- */

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
  value->rank = stored->rank;
  if (value->rank <= 2)
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
  return engine_onnx_define_as (onnx, node->proto->output[i], graph_value, storage);
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
