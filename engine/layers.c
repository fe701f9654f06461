/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* layers.c: the layers and tensors of models and engines, by their names. */
#include "engine/build.h"
#include "engine/layer-rules.h"
#include "engine/model.h"

#include <string.h>

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

/* What the notes say behind "NAME: PRECISION (", up to the last ')'. */
static char *
rule_of (const Engine *engine, const EngineLayer *layer)
{
  const GPtrArray *obeyed = engine->notes.obeyed;
  g_autofree char *start =
      g_strdup_printf ("%s: %s (", layer->name, engine_precision_name (layer->precision));

  for (guint i = 0; obeyed && i < obeyed->len; i++) {
    const char *line = obeyed->pdata[i];

    if (g_str_has_prefix (line, start))
      return g_strdup_printf ("rule %.*s", (int) (strlen (line) - strlen (start) - 1),
          line + strlen (start));
  }
  return NULL;
}

static gboolean
has_int8 (const char *name)
{
  for (int op = 0; op < ENGINE_OP_COUNT; op++)
    if (g_str_equal (engine_op_name (op), name))
      return engine_op_has_int8 (op);
  return FALSE;
}

char *
engine_layer_reason (const Engine *engine, const EngineLayer *layer)
{
  const EngineProvenance *from = &engine->provenance;
  char *rule = rule_of (engine, layer);

  if (rule || layer->precision != ENGINE_PRECISION_FP32 ||
      engine->precision == ENGINE_PRECISION_FP32)
    return rule;
  if (engine->precision == ENGINE_PRECISION_FP16)
    return g_strdup ("no half kernel, or it reads only what is in floats");
  if (!has_int8 (layer->op))
    return g_strdup_printf ("no int8 kernel for %s", layer->op);
  if (*from->table == '\0' && *from->dynamic_ranges == '\0')
    return g_strdup ("the model has not quantised it");
  return g_strdup ("only layers in floats read its output");
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
