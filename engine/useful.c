/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * useful.c: between which reals it matters what a value is: what it can be (bounds.c), cut to what its
 * readers tell apart. Beyond that a value may as well lie at the end: the network gives the same outputs,
 * exactly. An interval that is wider than the truth costs accuracy, one that is narrower would be wrong.
 */
#include "engine/graph.h"
#include "engine/ranges.h"

#include <math.h>

typedef struct {
  float lo, hi;
} Interval;

static const Interval everything = {-INFINITY, INFINITY};

/* Beyond it the function is constant, and continuous at its ends. The smooth ones never quite are
 * constant. */
static Interval
seen_by_unary (const EngineNode *node)
{
  const float alpha = node->unary.alpha, beta = node->unary.beta;
  double ends[2];

  switch (node->unary.kind) {
  case KERNEL_UNARY_CLIP:
    return (Interval){alpha, beta};
  case KERNEL_UNARY_HARD_SWISH:
    return (Interval){-3, INFINITY};
  case KERNEL_UNARY_HARD_SIGMOID:
    ends[0] = (0 - (double) beta) / alpha;
    ends[1] = (1 - (double) beta) / alpha;
    return isfinite ((float) ends[0]) && isfinite ((float) ends[1])
               ? (Interval){(float) fmin (ends[0], ends[1]), (float) fmax (ends[0], ends[1])}
               : everything;
  default:
    return everything;
  }
}

/* What a node tells apart of its inputs, `of_output` being seen of its output. Whether the largest of
 * several is clamped or each of them is the same. */
static Interval
seen_by (const EngineNode *node, Interval of_output)
{
  if (node->op == ENGINE_OP_UNARY)
    return seen_by_unary (node);
  return engine_op_passes_values (node->op) ? of_output : everything;
}

/* What all readers of a value together tell apart. */
static Interval
seen_of (const EngineGraph *graph, int value)
{
  const Interval nothing = {INFINITY, -INFINITY};
  g_autofree Interval *seen = g_new (Interval, graph->values->len);

  for (guint v = 0; v < graph->values->len; v++)
    seen[v] = engine_graph_is_output (graph, (int) v) ? everything : nothing;
  for (int i = (int) graph->nodes->len - 1; i >= 0; i--) {
    const EngineNode *node = engine_graph_node (graph, i);
    const Interval here = seen_by (node, seen[node->output]);

    for (int k = 0; k < node->n_inputs; k++) {
      const int input = node->inputs[k];

      if (input != ENGINE_NONE)
        seen[input] = (Interval){fminf (seen[input].lo, here.lo), fmaxf (seen[input].hi, here.hi)};
    }
  }
  return seen[value].lo <= seen[value].hi ? seen[value] : everything;
}

void
engine_graph_useful (const EngineGraph *graph, int value, float *lo, float *hi)
{
  const Interval seen = seen_of (graph, value);

  engine_graph_bounds (graph, value, lo, hi);
  *lo = CLAMP (*lo, seen.lo, seen.hi);
  *hi = CLAMP (*hi, seen.lo, seen.hi);
}
