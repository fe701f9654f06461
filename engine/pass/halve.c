/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pass/halve.c: an FP16 engine's activations become halves, all but the image that comes in, and the
 * end of the network from the first softmax on. Weights stay floats: back ends round them when they
 * pack.
 */
#include "engine/pass/pass.h"
#include "engine/rewrite.h"

typedef struct {
  EngineGraph *graph;
  int n_values, n_nodes; /* of the float graph; what the pass adds lies behind */
  gboolean *float_nodes; /* per node */
  int *twin;             /* per value: the same in the other type, or ENGINE_NONE */
} Halver;

static gboolean
is_constant (const EngineGraph *graph, int value)
{
  return value == ENGINE_NONE || engine_graph_value (graph, value)->data;
}

/* What there is no kernel of halves for, and what else reads nothing but floats that a node has made:
 * the end of the network, and sums and moves between attention's ops. */
static gboolean
works_on_floats (const Halver *h, const EngineNode *node)
{
  if (node->op == ENGINE_OP_SOFTMAX || node->op == ENGINE_OP_LRN || node->op == ENGINE_OP_LAYERNORM ||
      node->op == ENGINE_OP_MATMUL)
    return TRUE;
  if (node->op == ENGINE_OP_CONV)
    return FALSE;
  if ((node->op == ENGINE_OP_ADD || node->op == ENGINE_OP_MUL) &&
      is_constant (h->graph, node->inputs[ENGINE_BINARY_X2]))
    return TRUE;
  for (int k = 0; k < node->n_inputs; k++) {
    const int producer = is_constant (h->graph, node->inputs[k])
                             ? ENGINE_NONE
                             : engine_graph_value (h->graph, node->inputs[k])->producer;

    if (!is_constant (h->graph, node->inputs[k]) &&
        (producer == ENGINE_NONE || !h->float_nodes[producer]))
      return FALSE;
  }
  return TRUE;
}

/* The value in the other type, made on first use. */
static int
twin_of (Halver *h, int value)
{
  const gboolean narrow = engine_graph_value (h->graph, value)->type == ENGINE_TYPE_F32;

  if (h->twin[value] == ENGINE_NONE)
    h->twin[value] = narrow ? engine_rewrite_convert (h->graph, ENGINE_OP_NARROW, value, "half")
                            : engine_rewrite_convert (h->graph, ENGINE_OP_WIDEN, value, "float");
  return h->twin[value];
}

static void
convert_inputs (Halver *h, int i)
{
  const EngineType wanted = h->float_nodes[i] ? ENGINE_TYPE_F32 : ENGINE_TYPE_F16;

  for (int k = 0; k < engine_graph_node (h->graph, i)->n_inputs; k++) {
    const int input = engine_graph_node (h->graph, i)->inputs[k];

    if (is_constant (h->graph, input) || engine_graph_value (h->graph, input)->type == wanted)
      continue;
    const int twin = twin_of (h, input);
    engine_graph_node (h->graph, i)->inputs[k] = twin;
  }
}

static void
halve (Halver *h)
{
  GArray *outputs = h->graph->outputs;

  for (int i = 0; i < h->n_nodes; i++) {
    const EngineNode *node = engine_graph_node (h->graph, i);

    h->float_nodes[i] = works_on_floats (h, node);
    if (!h->float_nodes[i])
      engine_graph_value (h->graph, node->output)->type = ENGINE_TYPE_F16;
  }
  for (int i = 0; i < h->n_nodes; i++)
    convert_inputs (h, i);
  for (guint i = 0; i < outputs->len; i++)
    if (engine_graph_value (h->graph, g_array_index (outputs, int, i))->type == ENGINE_TYPE_F16) {
      const int twin = twin_of (h, g_array_index (outputs, int, i));

      g_array_index (outputs, int, i) = twin;
    }
  engine_graph_compact (h->graph);
}

gboolean
engine_pass_halve (EngineGraph *graph, const EnginePassContext *context, GError **error)
{
  const int n_values = graph->values->len, n_nodes = graph->nodes->len;
  Halver h = {graph, n_values, n_nodes, g_new0 (gboolean, n_nodes), g_new (int, n_values)};

  for (int v = 0; v < n_values; v++)
    h.twin[v] = ENGINE_NONE;
  halve (&h);
  g_free (h.float_nodes);
  g_free (h.twin);
  return TRUE;
}
