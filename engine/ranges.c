/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ranges.c: groups of values that share a range, by union-find.
 */
#include "engine/ranges.h"

#include <math.h>

gboolean
engine_op_passes_values (EngineOp op)
{
  switch (op) {
  case ENGINE_OP_MAXPOOL:
  case ENGINE_OP_CONCAT:
  case ENGINE_OP_SLICE:
  case ENGINE_OP_RESHAPE:
  case ENGINE_OP_TRANSPOSE:
  case ENGINE_OP_PAD:
    return TRUE;
  default:
    return FALSE;
  }
}

static int
find (int *group, int value)
{
  while (group[value] != value)
    value = group[value] = group[group[value]];
  return value;
}

/* fmaxf prefers a number to NAN: a member without a range takes that of the others. */
static void
join (int *group, float *scale, int a, int b)
{
  const int root = find (group, a), other = find (group, b);

  if (root == other)
    return;
  scale[root] = fmaxf (scale[root], scale[other]);
  group[other] = root;
}

static void
join_concat (const EngineNode *node, int *group, float *scale)
{
  float largest = scale[find (group, node->output)];

  for (int k = 0; k < node->n_inputs; k++)
    largest = fmaxf (largest, scale[find (group, node->inputs[k])]);
  for (int k = 0; k < node->n_inputs; k++) {
    const float own = scale[find (group, node->inputs[k])];

    /* What is always 0, or has no range of its own, is as well served by the group's. */
    if (own > 0 && own < ENGINE_RANGE_FAR_SMALLER * largest)
      continue;
    join (group, scale, node->output, node->inputs[k]);
  }
}

int *
engine_ranges_share (const EngineGraph *graph, float *scale)
{
  const int n = graph->values->len;
  int *group = g_new (int, n);

  for (int v = 0; v < n; v++)
    group[v] = v;
  for (guint i = 0; i < graph->nodes->len; i++) {
    const EngineNode *node = engine_graph_node (graph, i);

    if (engine_op_passes_values (node->op) && node->op != ENGINE_OP_CONCAT)
      join (group, scale, node->inputs[0], node->output);
  }
  /* Concats last and in order: whether an input is far smaller is asked of its whole group. */
  for (guint i = 0; i < graph->nodes->len; i++)
    if (engine_graph_node (graph, i)->op == ENGINE_OP_CONCAT)
      join_concat (engine_graph_node (graph, i), group, scale);

  for (int v = 0; v < n; v++)
    group[v] = find (group, v);
  for (int v = 0; v < n; v++)
    scale[v] = scale[group[v]];
  return group;
}

EngineQuant
engine_quant_from_range (double lo, double hi)
{
  EngineQuant quant;

  lo = fmin (lo, 0);
  hi = fmax (hi, 0);
  if (lo == -hi) {
    quant.range = ENGINE_RANGE_SYMMETRIC;
    quant.scale = hi > 0 ? (float) (hi / 127) : 1.0f / 127;
    quant.zero = 0;
  } else {
    quant.range = lo < 0 ? ENGINE_RANGE_AFFINE : ENGINE_RANGE_FULL;
    quant.scale = (float) ((hi - lo) / 255);
    quant.zero = CLAMP ((int) rint (-128 - lo / quant.scale), -128, 127);
  }
  return quant;
}
