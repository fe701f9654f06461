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

typedef struct {
  int *group; /* per value: another member on the way to the one that stands for the group */
  float *scale;
  gboolean *fixed;
} Groups;

static int
find (const Groups *g, int value)
{
  int *group = g->group;

  while (group[value] != value)
    value = group[value] = group[group[value]];
  return value;
}

/* fmaxf prefers a number to NAN: a member without a range takes that of the others. */
static void
join (const Groups *g, int a, int b)
{
  const int root = find (g, a), other = find (g, b);

  if (root == other)
    return;
  if (g->fixed[root] == g->fixed[other])
    g->scale[root] = fmaxf (g->scale[root], g->scale[other]);
  else if (g->fixed[other])
    g->scale[root] = g->scale[other];
  g->fixed[root] |= g->fixed[other];
  g->group[other] = root;
}

static void
join_concat (const Groups *g, const EngineNode *node)
{
  float largest = g->scale[find (g, node->output)];

  for (int k = 0; k < node->n_inputs; k++)
    largest = fmaxf (largest, g->scale[find (g, node->inputs[k])]);
  for (int k = 0; k < node->n_inputs; k++) {
    const int input = find (g, node->inputs[k]), output = find (g, node->output);
    const float own = g->scale[input];

    /* What was given by hand is kept; the output holds it, unless that was given too. */
    if (g->fixed[input] && input != output) {
      if (!g->fixed[output])
        g->scale[output] = fmaxf (g->scale[output], own);
      continue;
    }
    /* What is always 0, or has no range of its own, is as well served by the group's. */
    if (own > 0 && own < ENGINE_RANGE_FAR_SMALLER * largest)
      continue;
    join (g, node->output, node->inputs[k]);
  }
}

int *
engine_ranges_share_fixed (const EngineGraph *graph, float *scale, gboolean *fixed)
{
  const int n = graph->values->len;
  const Groups g = {g_new (int, n), scale, fixed};

  for (int v = 0; v < n; v++)
    g.group[v] = v;
  for (guint i = 0; i < graph->nodes->len; i++) {
    const EngineNode *node = engine_graph_node (graph, i);

    if (engine_op_passes_values (node->op) && node->op != ENGINE_OP_CONCAT)
      join (&g, node->inputs[0], node->output);
  }
  /* Concats last and in order: whether an input is far smaller is asked of its whole group. */
  for (guint i = 0; i < graph->nodes->len; i++)
    if (engine_graph_node (graph, i)->op == ENGINE_OP_CONCAT)
      join_concat (&g, engine_graph_node (graph, i));

  for (int v = 0; v < n; v++)
    g.group[v] = find (&g, v);
  for (int v = 0; v < n; v++) {
    scale[v] = scale[g.group[v]];
    fixed[v] = fixed[g.group[v]];
  }
  return g.group;
}

int *
engine_ranges_share (const EngineGraph *graph, float *scale)
{
  g_autofree gboolean *fixed = g_new0 (gboolean, graph->values->len);

  return engine_ranges_share_fixed (graph, scale, fixed);
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

EngineQuant
engine_quant_covering (double lo, double hi)
{
  EngineQuant quant = engine_quant_from_range (lo, hi);

  if (quant.range != ENGINE_RANGE_AFFINE || hi <= 0)
    return quant;
  const double below = fmin (ceil (255 * -lo / (hi - lo)), 254); /* levels */

  quant.scale = (float) fmax (-lo / below, hi / (255 - below));
  quant.zero = (int) below - 128;
  return quant;
}

EngineQuant
engine_quant_widened (const EngineQuant *quant, double scale)
{
  EngineQuant wide = *quant;

  wide.scale = (float) scale;
  if (quant->range == ENGINE_RANGE_AFFINE)
    wide.zero =
        CLAMP ((int) rint (-128 + (128 + quant->zero) * (double) quant->scale / scale), -128, 127);
  return wide;
}
