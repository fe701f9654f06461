/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* layers.c: the layers and tensors of models and engines, by their names. */
#include "engine/build.h"
#include "engine/layer-rules.h"
#include "engine/model.h"

gboolean
engine_op_computes (EngineOp op)
{
  switch (op) {
  case ENGINE_OP_CONV:
  case ENGINE_OP_MATMUL:
  case ENGINE_OP_LRN:
  case ENGINE_OP_LAYERNORM:
  case ENGINE_OP_ADD:
  case ENGINE_OP_MUL:
  case ENGINE_OP_UNARY:
  case ENGINE_OP_MAXPOOL:
  case ENGINE_OP_AVGPOOL:
  case ENGINE_OP_SOFTMAX:
    return TRUE;
  default:
    return FALSE;
  }
}

gboolean
engine_op_has_int8 (EngineOp op)
{
  return op != ENGINE_OP_SOFTMAX && op != ENGINE_OP_LRN && op != ENGINE_OP_LAYERNORM &&
         op != ENGINE_OP_AFFINE;
}

guint64
engine_node_operations (const EngineGraph *graph, const EngineNode *node)
{
  guint64 n = 0;

  if (node->op == ENGINE_OP_CONV) {
    const EngineValue *w = engine_graph_value (graph, node->inputs[ENGINE_CONV_W]);

    n = engine_value_elements (engine_graph_value (graph, node->output));
    for (int axis = 1; axis < w->rank; axis++)
      n *= w->dims[axis];
    return n;
  }
  if (node->op == ENGINE_OP_MATMUL) {
    const EngineValue *x1 = engine_graph_value (graph, node->inputs[0]);

    return engine_value_elements (engine_graph_value (graph, node->output)) *
           x1->dims[x1->rank - 1];
  }
  for (int k = 0; k < node->n_inputs; k++)
    if (node->inputs[k] != ENGINE_NONE)
      n += engine_value_elements (engine_graph_value (graph, node->inputs[k]));
  return n;
}

static EngineLayer
layer_of (const EngineGraph *graph, const EngineNode *node, EnginePrecision precision)
{
  const EngineValue *y = engine_graph_value (graph, node->output);

  return (EngineLayer){node->name, y->name, engine_op_name (node->op), precision, y->type};
}

GArray *
engine_model_layers (const EngineModel *model)
{
  GArray *layers = g_array_new (FALSE, FALSE, sizeof (EngineLayer));

  for (guint i = 0; i < model->graph->nodes->len; i++) {
    const EngineNode *node = engine_graph_node (model->graph, i);
    const EngineLayer layer = layer_of (model->graph, node,
        engine_op_has_int8 (node->op) ? ENGINE_PRECISION_INT8 : ENGINE_PRECISION_FP32);

    if (engine_op_computes (node->op))
      g_array_append_val (layers, layer);
  }
  return layers;
}

static EnginePrecision
precision_of (EngineType type)
{
  return type == ENGINE_TYPE_S8    ? ENGINE_PRECISION_INT8
         : type == ENGINE_TYPE_F16 ? ENGINE_PRECISION_FP16
                                   : ENGINE_PRECISION_FP32;
}

GArray *
engine_layers (const Engine *engine)
{
  const EngineGraph *graph = engine->graph;
  GArray *layers = g_array_new (FALSE, FALSE, sizeof (EngineLayer));

  for (guint i = 0; i < graph->nodes->len; i++) {
    const EngineNode *node = engine_graph_node (graph, i);
    const EngineType x = engine_graph_value (graph, node->inputs[0])->type;
    const EngineLayer layer = layer_of (graph, node, precision_of (x));

    if (engine_op_computes (node->op))
      g_array_append_val (layers, layer);
  }
  return layers;
}

GPtrArray *
engine_model_tensors (const EngineModel *model)
{
  const EngineGraph *graph = model->graph;
  GPtrArray *names = g_ptr_array_new ();

  g_ptr_array_add (names, engine_graph_value (graph, g_array_index (graph->inputs, int, 0))->name);
  for (guint i = 0; i < graph->nodes->len; i++)
    g_ptr_array_add (names, engine_graph_value (graph, engine_graph_node (graph, i)->output)->name);
  return names;
}
