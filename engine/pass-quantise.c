/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pass-quantise.c: which values become int8, and what that makes of the nodes.
 *
 * Everything is int8 that has an int8 kernel, but for the end of the network: what only float ops
 * read is float. There a convolution or an average pool writes floats itself (logits are never
 * int8); after any other op a dequantise follows.
 */
#include "engine/quantise.h"
#include "engine/quant.h"

#include <string.h>

typedef struct {
  EngineGraph *graph;
  const EnginePassContext *context;
  int n_values, n_nodes;  /* of the float graph; what the pass adds lies behind */
  gboolean *float_nodes;  /* per node: it works on floats */
  gboolean *float_output; /* per node: an int8 node that writes floats */
  gboolean *needed;       /* per value: it is int8, or read as int8 */
  EngineQuant *quant;     /* per value */
  int *twin;              /* per value: the same in the other type, ENGINE_NONE while not needed */
} Quantiser;

/* --- What is float -------------------------------------------------------------------------- */

/* Whether no int8 node reads the value: outputs of the network are read as floats. */
static gboolean
read_as_float_only (const Quantiser *q, int value)
{
  for (int i = 0; i < q->n_nodes; i++) {
    const EngineNode *node = engine_graph_node (q->graph, i);

    for (int k = 0; k < node->n_inputs && !q->float_nodes[i]; k++)
      if (node->inputs[k] == value)
        return FALSE;
  }
  return TRUE;
}

static void
choose_types (Quantiser *q)
{
  for (int i = q->n_nodes - 1; i >= 0; i--) {
    const EngineNode *node = engine_graph_node (q->graph, i);

    switch (node->op) {
    case ENGINE_OP_SOFTMAX:
      q->float_nodes[i] = TRUE;
      break;
    case ENGINE_OP_RESHAPE:
    case ENGINE_OP_TRANSPOSE:
    case ENGINE_OP_UNARY:
      q->float_nodes[i] = read_as_float_only (q, node->output);
      break;
    case ENGINE_OP_AVGPOOL:
      q->float_output[i] = read_as_float_only (q, node->output);
      break;
    case ENGINE_OP_CONV:
      q->float_output[i] =
          node->inputs[ENGINE_CONV_R] == ENGINE_NONE && read_as_float_only (q, node->output);
      break;
    default:
      break;
    }
  }
}

/* A value is int8 if an int8 node makes it and does not write floats, or reads it. */
static void
find_needed (Quantiser *q)
{
  for (int i = 0; i < q->n_nodes; i++) {
    const EngineNode *node = engine_graph_node (q->graph, i);

    if (q->float_nodes[i])
      continue;
    q->needed[node->output] |= !q->float_output[i];
    for (int k = 0; k < node->n_inputs; k++)
      if (node->inputs[k] != ENGINE_NONE && !engine_graph_value (q->graph, node->inputs[k])->data)
        q->needed[node->inputs[k]] = TRUE;
  }
}

static void
set_types (Quantiser *q)
{
  for (int v = 0; v < q->n_values; v++) {
    EngineValue *value = engine_graph_value (q->graph, v);
    const int producer = value->producer;

    if (!q->needed[v] || (producer != ENGINE_NONE && q->float_nodes[producer]))
      continue;
    value->type = ENGINE_TYPE_S8;
    value->quant = q->quant[v];
  }
}

/* --- Conversions ---------------------------------------------------------------------------- */

/* The value in the other type, made on first use. */
static int
twin_of (Quantiser *q, int value)
{
  const EngineValue *v = engine_graph_value (q->graph, value);
  const gboolean quantise = v->type == ENGINE_TYPE_F32;

  if (q->twin[value] != ENGINE_NONE)
    return q->twin[value];

  g_autofree char *name = g_strdup_printf ("%s (%s)", v->name, quantise ? "int8" : "float");
  EngineNode *node = engine_graph_add_node (q->graph,
      quantise ? ENGINE_OP_QUANTISE : ENGINE_OP_DEQUANTISE, name, &value, 1, name);
  EngineValue *made = engine_graph_value (q->graph, node->output);

  v = engine_graph_value (q->graph, value); /* the addition may have moved it */
  made->rank = v->rank;
  memcpy (made->dims, v->dims, sizeof made->dims);
  if (quantise) {
    made->type = ENGINE_TYPE_S8;
    made->quant = q->quant[value];
  }
  q->twin[value] = node->output;
  return node->output;
}

static void
convert_inputs (Quantiser *q, int i)
{
  const EngineType wanted = q->float_nodes[i] ? ENGINE_TYPE_F32 : ENGINE_TYPE_S8;

  for (int k = 0; k < engine_graph_node (q->graph, i)->n_inputs; k++) {
    const int input = engine_graph_node (q->graph, i)->inputs[k];

    if (input == ENGINE_NONE || engine_graph_value (q->graph, input)->data ||
        engine_graph_value (q->graph, input)->type == wanted)
      continue;
    const int twin = twin_of (q, input);
    engine_graph_node (q->graph, i)->inputs[k] = twin;
  }
}

static void
convert_outputs (Quantiser *q)
{
  for (guint i = 0; i < q->graph->outputs->len; i++) {
    const int output = g_array_index (q->graph->outputs, int, i);

    if (engine_graph_value (q->graph, output)->type == ENGINE_TYPE_S8)
      g_array_index (q->graph->outputs, int, i) = twin_of (q, output);
  }
}

/* A convolution that writes floats cannot clamp: the clamp becomes a node after it, which takes the
 * name that the table and the user know. */
static void
split_clamp (Quantiser *q, int i)
{
  EngineNode *node = engine_graph_node (q->graph, i);
  const float lo = node->conv.lo, hi = node->conv.hi;
  const int raw = node->output;

  if (lo == -INFINITY && hi == INFINITY)
    return;
  node->conv.lo = -INFINITY;
  node->conv.hi = INFINITY;

  const char *name = engine_graph_value (q->graph, raw)->name;
  g_autofree char *known = g_strdup (name), *inner = g_strconcat (name, " (unclamped)", NULL);
  EngineNode *clip = engine_graph_add_node (q->graph, ENGINE_OP_UNARY, known, &raw, 1, known);
  const int clipped = clip->output, clip_index = q->graph->nodes->len - 1;

  clip->unary.kind = KERNEL_UNARY_CLIP;
  clip->unary.alpha = lo;
  clip->unary.beta = hi;
  engine_graph_value (q->graph, clipped)->rank = engine_graph_value (q->graph, raw)->rank;
  memcpy (engine_graph_value (q->graph, clipped)->dims, engine_graph_value (q->graph, raw)->dims,
      sizeof (int) * ENGINE_MAX_RANK);
  engine_graph_replace (q->graph, raw, clipped);
  engine_graph_node (q->graph, clip_index)->inputs[0] = raw;
  engine_graph_rename (q->graph, raw, inner);
  engine_graph_rename (q->graph, clipped, known);
}

/* --- Constants ------------------------------------------------------------------------------ */

static gboolean
quantise_weights (Quantiser *q, GError **error)
{
  const EnginePassContext *context = q->context;
  guint total = 0, done = 0;

  for (int i = 0; i < q->n_nodes; i++)
    total += engine_graph_node (q->graph, i)->op == ENGINE_OP_CONV;
  for (int i = 0; i < q->n_nodes; i++) {
    const EngineNode *node = engine_graph_node (q->graph, i);

    if (node->op != ENGINE_OP_CONV)
      continue;
    if (g_cancellable_set_error_if_cancelled (context->cancellable, error))
      return FALSE;
    if (context->progress)
      context->progress (done++, total, node->name, context->progress_data);
    if (!engine_quantise_conv (q->graph, i, error))
      return FALSE;
    if (q->float_output[i])
      split_clamp (q, i);
  }
  if (context->progress)
    context->progress (total, total, "done", context->progress_data);
  return TRUE;
}

/* --- The pass ------------------------------------------------------------------------------- */

static gboolean
quantise (Quantiser *q, GError **error)
{
  choose_types (q);
  find_needed (q);
  if (!engine_quantise_ranges (q->graph, q->context, q->needed, q->quant, error))
    return FALSE;
  set_types (q);
  for (int i = 0; i < q->n_nodes; i++)
    convert_inputs (q, i);
  convert_outputs (q);
  if (!quantise_weights (q, error))
    return FALSE;
  engine_graph_compact (q->graph);
  return TRUE;
}

gboolean
engine_pass_quantise (EngineGraph *graph, const EnginePassContext *context, GError **error)
{
  const int n_values = graph->values->len, n_nodes = graph->nodes->len;
  Quantiser q = {
      .graph = graph,
      .context = context,
      .n_values = n_values,
      .n_nodes = n_nodes,
      .float_nodes = g_new0 (gboolean, n_nodes),
      .float_output = g_new0 (gboolean, n_nodes),
      .needed = g_new0 (gboolean, n_values),
      .quant = g_new0 (EngineQuant, n_values),
      .twin = g_new (int, n_values),
  };

  for (int v = 0; v < n_values; v++)
    q.twin[v] = ENGINE_NONE;

  const gboolean ok = quantise (&q, error);

  g_free (q.float_nodes);
  g_free (q.float_output);
  g_free (q.needed);
  g_free (q.quant);
  g_free (q.twin);
  return ok;
}
