/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* equalise-match.c: which values' channels may have scales of their own, and what reads them. */
#include "engine/equalise.h"

#include <math.h>

static gboolean
is_depthwise (const EngineGraph *graph, const EngineNode *node, int channels)
{
  const EngineValue *w = engine_graph_value (graph, node->inputs[ENGINE_CONV_W]);

  return node->conv.groups == channels && w->dims[0] == channels && w->dims[3] == 1;
}

/* Weights that a model has quantised itself stay as they are. */
static gboolean
is_dense (const EngineGraph *graph, const EngineNode *node, int channels)
{
  const EngineValue *w = engine_graph_value (graph, node->inputs[ENGINE_CONV_W]);

  return node->conv.groups == 1 && w->dims[3] == channels && !w->scales;
}

/* A convolution whose clamp, if any, begins at 0: it is the same for every scale, and its end is the
 * threshold's to keep. */
static gboolean
may_have_scales (const EngineGraph *graph, const EngineValue *value)
{
  const EngineNode *from =
      value->producer == ENGINE_NONE ? NULL : engine_graph_node (graph, value->producer);

  return from && from->op == ENGINE_OP_CONV && from->inputs[ENGINE_CONV_R] == ENGINE_NONE &&
         (from->conv.lo == 0 || from->conv.lo == -INFINITY) && from->conv.hi > 0;
}

/* Adds what reads a value; FALSE where that cannot do with scales. */
static gboolean
add_readers (const EngineGraph *graph, int value, int channels, GArray *values, GArray *nodes)
{
  if (engine_graph_is_output (graph, value))
    return FALSE;
  for (int i = 0; i < (int) graph->nodes->len; i++) {
    const EngineNode *node = engine_graph_node (graph, i);

    for (int k = 0; k < node->n_inputs; k++) {
      if (node->inputs[k] != value)
        continue;
      if (node->op == ENGINE_OP_MAXPOOL)
        g_array_append_val (values, node->output);
      else if (node->op != ENGINE_OP_CONV || k != ENGINE_CONV_X ||
               !is_dense (graph, node, channels))
        return FALSE;
      g_array_append_val (nodes, i);
    }
  }
  return TRUE;
}

GArray *
engine_equalise_readers (const EngineGraph *graph, int value)
{
  const EngineValue *x = engine_graph_value (graph, value);
  const int channels = x->rank > 0 ? x->dims[x->rank - 1] : 0;
  const EngineNode *sole = engine_graph_sole_consumer (graph, value);
  g_autoptr (GArray) values = g_array_new (FALSE, FALSE, sizeof (int));
  g_autoptr (GArray) nodes = g_array_new (FALSE, FALSE, sizeof (int));

  if (!may_have_scales (graph, x))
    return NULL;
  if (sole && sole->op == ENGINE_OP_CONV && sole->inputs[ENGINE_CONV_X] == value &&
      is_depthwise (graph, sole, channels)) {
    g_array_append_val (nodes, engine_graph_value (graph, sole->output)->producer);
    return g_steal_pointer (&nodes);
  }
  g_array_append_val (values, value);
  for (guint i = 0; i < values->len; i++)
    if (!add_readers (graph, g_array_index (values, int, i), channels, values, nodes))
      return NULL;
  return nodes->len > 0 ? g_steal_pointer (&nodes) : NULL;
}

gboolean
engine_equalise_is_dense (const EngineGraph *graph, int value)
{
  g_autoptr (GArray) readers = engine_equalise_readers (graph, value);
  const EngineNode *first =
      readers ? engine_graph_node (graph, g_array_index (readers, int, 0)) : NULL;

  return first && (first->op == ENGINE_OP_MAXPOOL || first->conv.groups == 1);
}
