/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pass/explicit-move.c: reshapes, transposes, slices, max pools and concats of a quantised model move int8. */
#include "engine/explicit.h"
#include "engine/quant.h"
#include "engine/rewrite.h"

static EngineNode *
producer_of (const EngineGraph *graph, int value, EngineOp op)
{
  EngineNode *node = engine_rewrite_producer (graph, value);

  return node && node->op == op ? node : NULL;
}

/* --- Dequantise behind -------------------------------------------------------------------------- */

/* The levels that all inputs are dequantised from; NULL where they are not, or differ. */
static const EngineQuant *
common_levels (const EngineGraph *graph, const EngineNode *node)
{
  const EngineQuant *quant = NULL;

  for (int k = 0; k < node->n_inputs; k++) {
    const EngineNode *dequantise = producer_of (graph, node->inputs[k], ENGINE_OP_DEQUANTISE);
    const EngineQuant *own;

    if (!dequantise)
      return NULL;
    own = &engine_graph_value (graph, dequantise->inputs[0])->quant;
    if (quant && !engine_quant_equal (own, quant))
      return NULL;
    quant = own;
  }
  return quant;
}

/* Behind a value that becomes int8: whoever read it reads its dequantised form. */
static void
dequantise_output (EngineGraph *graph, int value, const EngineQuant *quant)
{
  EngineValue *y = engine_graph_value (graph, value);
  int real, node;

  y->type = ENGINE_TYPE_S8;
  y->quant = *quant;
  real = engine_rewrite_convert (graph, ENGINE_OP_DEQUANTISE, value, "float");
  node = engine_graph_value (graph, real)->producer;
  engine_graph_replace (graph, value, real);
  engine_graph_node (graph, node)->inputs[0] = value;
}

void
engine_explicit_sink (EngineGraph *graph)
{
  const guint n = graph->nodes->len;

  for (guint i = 0; i < n; i++) {
    EngineNode *node = engine_graph_node (graph, i);
    const EngineQuant *common;
    EngineQuant quant;

    if (!engine_explicit_moves (node, NULL) || !(common = common_levels (graph, node)))
      continue;
    quant = *common;
    if (!engine_explicit_moves (node, &quant))
      continue;
    for (int k = 0; k < node->n_inputs; k++)
      node->inputs[k] = producer_of (graph, node->inputs[k], ENGINE_OP_DEQUANTISE)->inputs[0];
    dequantise_output (graph, node->output, &quant);
  }
  engine_graph_compact (graph);
}

/* --- Quantise before ---------------------------------------------------------------------------- */

/* An input as these levels. A concat reads other levels, too, and translates them. */
static int
quantised_input (EngineGraph *graph, int value, gboolean any_levels, const EngineQuant *quant)
{
  const EngineNode *dequantise = producer_of (graph, value, ENGINE_OP_DEQUANTISE);
  int made;

  if (dequantise &&
      (any_levels ||
          engine_quant_equal (&engine_graph_value (graph, dequantise->inputs[0])->quant, quant)))
    return dequantise->inputs[0];
  made = engine_rewrite_convert (graph, ENGINE_OP_QUANTISE, value, "int8");
  engine_graph_value (graph, made)->quant = *quant;
  return made;
}

/* The op before a quantise that nobody else reads moves int8, and its inputs are quantised instead. */
static gboolean
hoist (EngineGraph *graph, int index)
{
  const EngineNode *quantise = engine_graph_node (graph, index);
  const EngineNode *move = engine_rewrite_producer (graph, quantise->inputs[0]);
  const EngineQuant quant = engine_graph_value (graph, quantise->output)->quant;
  const int output = quantise->output;
  int at;

  if (!move || !engine_explicit_moves (move, NULL) ||
      engine_graph_sole_consumer (graph, move->output) != quantise)
    return FALSE;
  at = engine_graph_value (graph, move->output)->producer;
  for (int k = 0; k < engine_graph_node (graph, at)->n_inputs; k++) {
    const gboolean concat = engine_graph_node (graph, at)->op == ENGINE_OP_CONCAT;
    const int made =
        quantised_input (graph, engine_graph_node (graph, at)->inputs[k], concat, &quant);

    engine_graph_node (graph, at)->inputs[k] = made;
  }
  engine_graph_value (graph, engine_graph_node (graph, at)->output)->type = ENGINE_TYPE_S8;
  engine_graph_value (graph, engine_graph_node (graph, at)->output)->quant = quant;
  return engine_rewrite_bypass (graph, output, engine_graph_node (graph, at)->output);
}

void
engine_explicit_hoist (EngineGraph *graph)
{
  /* What is added lies behind and has its turn. */
  for (guint i = 0; i < graph->nodes->len; i++)
    if (engine_graph_node (graph, i)->op == ENGINE_OP_QUANTISE)
      hoist (graph, i);
  engine_graph_compact (graph);
}
