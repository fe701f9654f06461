/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * shape.c: the dims of every op's output: which function knows them, the bounds they are held to, and
 * what those functions share.
 */
#include "engine/shape.h"

#include "engine/engine.h"

EngineShape
engine_shape_of (const EngineGraph *graph, int value)
{
  const EngineValue *v = engine_graph_value (graph, value);
  EngineShape shape = {v->rank};

  for (int i = 0; i < v->rank; i++)
    shape.dims[i] = v->dims[i];
  return shape;
}

gboolean
engine_shape_equal (const EngineShape *a, const EngineShape *b)
{
  if (a->rank != b->rank)
    return FALSE;
  for (int i = 0; i < a->rank; i++)
    if (a->dims[i] != b->dims[i])
      return FALSE;
  return TRUE;
}

char *
engine_shape_text (const EngineShape *shape)
{
  GString *text = g_string_new ("[");

  for (int i = 0; i < shape->rank; i++)
    g_string_append_printf (text, "%s%" G_GINT64_FORMAT, i ? " " : "", shape->dims[i]);
  g_string_append_c (text, ']');
  return g_string_free (text, FALSE);
}

gboolean
engine_shape_misfit (const EngineNode *node, GError **error, const char *format, ...)
{
  g_autofree char *cause = NULL;
  va_list args;

  va_start (args, format);
  cause = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MODEL, "node \"%s\" (%s): %s", node->name,
      engine_op_name (node->op), cause);
  return FALSE;
}

/* --- Every op ------------------------------------------------------------------------------- */

static gboolean
output_shape (const EngineGraph *graph, const EngineNode *node, EngineShape *y, GError **error)
{
  switch (node->op) {
  case ENGINE_OP_CONV:
    return engine_shape_conv (graph, node, y, error);
  case ENGINE_OP_MAXPOOL:
  case ENGINE_OP_AVGPOOL:
    return engine_shape_pool (graph, node, y, error);
  case ENGINE_OP_AFFINE:
  case ENGINE_OP_LAYERNORM:
    return engine_shape_affine (graph, node, y, error);
  case ENGINE_OP_MATMUL:
    return engine_shape_matmul (graph, node, y, error);
  case ENGINE_OP_ADD:
  case ENGINE_OP_MUL:
    return engine_shape_binary (graph, node, y, error);
  case ENGINE_OP_CONCAT:
    return engine_shape_concat (graph, node, y, error);
  case ENGINE_OP_SLICE:
    return engine_shape_slice (graph, node, y, error);
  case ENGINE_OP_RESHAPE:
    return engine_shape_reshape (graph, node, y, error);
  case ENGINE_OP_TRANSPOSE:
    return engine_shape_transpose (graph, node, y, error);
  case ENGINE_OP_PAD:
    return engine_shape_pad (graph, node, y, error);
  case ENGINE_OP_UNARY:
  case ENGINE_OP_LRN:
  case ENGINE_OP_SOFTMAX:
  case ENGINE_OP_QUANTISE:
  case ENGINE_OP_DEQUANTISE:
  case ENGINE_OP_NARROW:
  case ENGINE_OP_WIDEN:
    *y = engine_shape_of (graph, node->inputs[0]);
    return TRUE;
  case ENGINE_OP_COUNT:
    break;
  }
  g_return_val_if_reached (FALSE);
}

/* The bounds of graph.h. Axes are checked before their product, which therefore cannot overflow:
 * it stays below MAX_ELEMENTS * MAX_DIM = 2^55. */
static gboolean
check_size (const EngineNode *node, const EngineShape *y, GError **error)
{
  gint64 elements = 1;

  for (int i = 0; i < y->rank; i++) {
    if (y->dims[i] < 1 || y->dims[i] > ENGINE_MAX_DIM)
      return engine_shape_misfit (node, error,
          "axis %d of the output has size %" G_GINT64_FORMAT "; 1 to %d is possible", i, y->dims[i],
          ENGINE_MAX_DIM);
    elements *= y->dims[i];
    if (elements > ENGINE_MAX_ELEMENTS)
      return engine_shape_misfit (node, error,
          "the output has more than %" G_GINT64_FORMAT " elements", ENGINE_MAX_ELEMENTS);
  }
  return TRUE;
}

gboolean
engine_graph_output_dims (const EngineGraph *graph, const EngineNode *node, int *rank,
    int dims[ENGINE_MAX_RANK], GError **error)
{
  EngineShape shape = {0};

  if (!output_shape (graph, node, &shape, error) || !check_size (node, &shape, error))
    return FALSE;
  *rank = shape.rank;
  for (int i = 0; i < shape.rank; i++)
    dims[i] = shape.dims[i];
  return TRUE;
}

gboolean
engine_graph_infer_shape (EngineGraph *graph, EngineNode *node, GError **error)
{
  EngineValue *y = engine_graph_value (graph, node->output);

  if (!engine_graph_output_dims (graph, node, &y->rank, y->dims, error))
    return FALSE;
  if (node->op == ENGINE_OP_QUANTISE)
    y->type = ENGINE_TYPE_S8;
  else if (node->op == ENGINE_OP_NARROW)
    y->type = ENGINE_TYPE_F16;
  else if (node->op == ENGINE_OP_DEQUANTISE || node->op == ENGINE_OP_WIDEN)
    y->type = ENGINE_TYPE_F32;
  return TRUE;
}
