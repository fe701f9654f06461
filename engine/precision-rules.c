/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * precision-rules.c: the rules that give layers back to FP32. A rule is for one node and leaves its
 * neighbours alone, so that a concat or a reshape between two layers in FP32 would still quantise what
 * it passes on: it gets a rule as well.
 */
#include "engine/choose-precision.h"

#include "engine/layer-rules.h"
#include "engine/model.h"

typedef struct {
  const EngineGraph *graph;
  GHashTable *int8; /* output tensors of the layers in int8 */
  gboolean *made;   /* by value: a float layer's values are in it */
  gboolean *read;   /* a float layer reads it */
} Floats;

static gboolean
is_float_layer (const Floats *floats, const EngineNode *node)
{
  return engine_op_computes (node->op) &&
         !g_hash_table_contains (floats->int8,
             engine_graph_value (floats->graph, node->output)->name);
}

static void
follow_values (Floats *floats)
{
  const EngineGraph *graph = floats->graph;

  floats->made[g_array_index (graph->inputs, int, 0)] = TRUE;
  for (guint i = 0; i < graph->nodes->len; i++) {
    const EngineNode *node = engine_graph_node (graph, i);
    gboolean made = is_float_layer (floats, node);

    for (int k = 0; k < node->n_inputs && !engine_op_computes (node->op); k++)
      made |= node->inputs[k] != ENGINE_NONE && floats->made[node->inputs[k]];
    floats->made[node->output] = made;
  }
  for (guint i = graph->nodes->len; i-- > 0;) {
    const EngineNode *node = engine_graph_node (graph, i);
    const gboolean read =
        engine_op_computes (node->op) ? is_float_layer (floats, node) : floats->read[node->output];

    for (int k = 0; k < node->n_inputs; k++)
      if (node->inputs[k] != ENGINE_NONE)
        floats->read[node->inputs[k]] |= read;
  }
}

static void
add_fp32 (EngineLayerRules *rules, const char *tensor)
{
  g_autofree char *pattern = engine_layer_pattern (tensor);

  engine_layer_rules_add (rules, pattern, ENGINE_PRECISION_FP32);
}

/* What moves values from a float layer to a float layer. */
static void
add_moves (EngineLayerRules *rules, const EngineGraph *graph, GHashTable *int8)
{
  g_autofree gboolean *made = g_new0 (gboolean, graph->values->len);
  g_autofree gboolean *read = g_new0 (gboolean, graph->values->len);
  Floats floats = {graph, int8, made, read};

  for (guint i = 0; i < graph->outputs->len; i++)
    read[g_array_index (graph->outputs, int, i)] = TRUE;
  follow_values (&floats);
  for (guint i = 0; i < graph->nodes->len; i++) {
    const EngineNode *node = engine_graph_node (graph, i);

    if (!engine_op_computes (node->op) && made[node->output] && read[node->output])
      add_fp32 (rules, engine_graph_value (graph, node->output)->name);
  }
}

EngineLayerRules *
engine_precision_rules (const EngineModel *model, const EngineLayerRules *given,
    const GArray *layers)
{
  EngineLayerRules *rules = given ? engine_layer_rules_copy (given) : engine_layer_rules_new ();
  g_autoptr (GHashTable) int8 = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint i = 0; i < layers->len; i++) {
    const EnginePrecisionLayer *layer = &g_array_index (layers, EnginePrecisionLayer, i);

    if (layer->fp32)
      add_fp32 (rules, layer->tensor);
    else
      g_hash_table_add (int8, layer->tensor);
  }
  if (g_hash_table_size (int8) < layers->len)
    add_moves (rules, model->graph, int8);
  return rules;
}
