/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pass/fold-pairs.c: of a model that is quantised already, pairs of quantise and dequantise that round
 * to where the values are: exporters put one around every op, also around those that only move values.
 * Equal ones of the same value become one.
 */
#include "engine/explicit.h"
#include "engine/pass/pass.h"
#include "engine/quant.h"
#include "engine/rewrite.h"

#include <math.h>

gboolean
engine_graph_is_explicit (const EngineGraph *graph)
{
  for (guint i = 0; i < graph->nodes->len; i++)
    if (engine_graph_node (graph, i)->op == ENGINE_OP_QUANTISE)
      return TRUE;
  return FALSE;
}

gboolean
engine_explicit_moves (const EngineNode *node, const EngineQuant *quant)
{
  switch (node->op) {
  case ENGINE_OP_RESHAPE:
  case ENGINE_OP_TRANSPOSE:
  case ENGINE_OP_SLICE:
  case ENGINE_OP_MAXPOOL:
  case ENGINE_OP_CONCAT:
    return TRUE;
  case ENGINE_OP_PAD:
    return !quant || engine_quant_real (quant, engine_quant_level (quant, node->pad.value)) ==
                         (double) node->pad.value;
  default:
    return FALSE;
  }
}

/* --- The levels on which values lie, whatever the image ---------------------------------------- */

/* scale 0: not known */
static EngineQuant
levels_of (const EngineGraph *graph, const EngineNode *node, const EngineQuant *levels)
{
  static const EngineQuant unknown;
  EngineQuant quant;

  if (node->op == ENGINE_OP_DEQUANTISE)
    return engine_graph_value (graph, node->inputs[0])->quant;
  quant = levels[node->inputs[0]];
  if (quant.scale == 0 || !engine_explicit_moves (node, &quant))
    return unknown;
  for (int k = 1; k < node->n_inputs; k++)
    if (!engine_quant_equal (&levels[node->inputs[k]], &quant))
      return unknown;
  return quant;
}

/* A dequantise whose input was quantised from the same levels. */
static gboolean
is_idle (const EngineGraph *graph, const EngineNode *node, const EngineQuant *levels, int *source)
{
  const EngineNode *quantise;

  if (node->op != ENGINE_OP_DEQUANTISE)
    return FALSE;
  quantise = engine_rewrite_producer (graph, node->inputs[0]);
  if (!quantise || quantise->op != ENGINE_OP_QUANTISE)
    return FALSE;
  *source = quantise->inputs[0];
  return engine_quant_equal (&levels[*source], &engine_graph_value (graph, node->inputs[0])->quant);
}

/* --- Equal ones ------------------------------------------------------------------------------- */

static gboolean
is_same (const EngineGraph *graph, const EngineNode *a, const EngineNode *b)
{
  return a->op == b->op && a->inputs[0] == b->inputs[0] &&
         (a->op != ENGINE_OP_QUANTISE ||
             engine_quant_equal (&engine_graph_value (graph, a->output)->quant,
                 &engine_graph_value (graph, b->output)->quant));
}

/* The first node like this one: conversions of one value hang in a chain. first: per value, the last
 * conversion that reads it so far; next: per node, the one before. */
static int
find_same (const EngineGraph *graph, const EngineNode *node, const int *first, const int *next)
{
  for (int i = first[node->inputs[0]]; i != ENGINE_NONE; i = next[i])
    if (is_same (graph, engine_graph_node (graph, i), node))
      return i;
  return ENGINE_NONE;
}

static void
join_equal (EngineGraph *graph)
{
  const int n_values = graph->values->len, n_nodes = graph->nodes->len;
  g_autofree int *first = g_new (int, n_values), *next = g_new (int, n_nodes);

  for (int v = 0; v < n_values; v++)
    first[v] = ENGINE_NONE;
  for (int i = 0; i < n_nodes; i++) {
    const EngineNode *node = engine_graph_node (graph, i);
    int same;

    if (node->op != ENGINE_OP_QUANTISE && node->op != ENGINE_OP_DEQUANTISE)
      continue;
    same = find_same (graph, node, first, next);
    if (same != ENGINE_NONE &&
        engine_rewrite_bypass (graph, node->output, engine_graph_node (graph, same)->output))
      continue;
    next[i] = first[node->inputs[0]];
    first[node->inputs[0]] = i;
  }
}

gboolean
engine_pass_fold_pairs (EngineGraph *graph, const EnginePassContext *context, GError **error)
{
  g_autofree EngineQuant *levels = NULL;

  if (!engine_graph_is_explicit (graph))
    return TRUE;
  join_equal (graph);
  levels = g_new0 (EngineQuant, graph->values->len);
  for (guint i = 0; i < graph->nodes->len; i++) {
    const EngineNode *node = engine_graph_node (graph, i);
    int source;

    if (node->op == ENGINE_OP_COUNT) /* bypassed */
      continue;
    if (node->op != ENGINE_OP_QUANTISE)
      levels[node->output] = levels_of (graph, node, levels);
    if (is_idle (graph, node, levels, &source))
      engine_rewrite_bypass (graph, node->output, source);
  }
  engine_graph_compact (graph);
  join_equal (graph); /* what read different pairs of one value reads the value now */
  engine_graph_compact (graph);
  return TRUE;
}

/* --- Clamps ------------------------------------------------------------------------------------ */

/* Levels that begin at 0 are a ReLU, and exporters leave out the one that was there. Said again it changes
 * no level, and who looks at real values (comparisons, bounds) sees what they are. */
gboolean
engine_pass_imply_relu (EngineGraph *graph, const EnginePassContext *context, GError **error)
{
  for (guint i = 0; i < graph->nodes->len; i++) {
    EngineNode *node = engine_graph_node (graph, i);
    const EngineNode *quantise = engine_graph_sole_consumer (graph, node->output);
    float *lo;

    if (!quantise || quantise->op != ENGINE_OP_QUANTISE ||
        engine_graph_value (graph, quantise->output)->quant.zero != -128)
      continue;
    if (node->op == ENGINE_OP_CONV && node->conv.hi > 0)
      lo = &node->conv.lo;
    else if ((node->op == ENGINE_OP_ADD || node->op == ENGINE_OP_MUL) && node->binary.hi > 0)
      lo = &node->binary.lo;
    else
      continue;
    *lo = fmaxf (*lo, 0);
  }
  return TRUE;
}
