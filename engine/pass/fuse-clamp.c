/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pass/fuse-clamp.c: Relu, Relu6 and other clips into the node before them. What is never negative
 * spends all 256 levels on the positive side, so the earlier a clamp is known, the better.
 */
#include <math.h>

#include "engine/pass/pass.h"
#include "engine/rewrite.h"

/* Where a node keeps its clamp; NULL for ops that have none. */
static gboolean
clamp_of (EngineNode *node, float **lo, float **hi)
{
  switch (node->op) {
  case ENGINE_OP_CONV:
    *lo = &node->conv.lo;
    *hi = &node->conv.hi;
    return TRUE;
  case ENGINE_OP_ADD:
  case ENGINE_OP_MUL:
    *lo = &node->binary.lo;
    *hi = &node->binary.hi;
    return TRUE;
  case ENGINE_OP_UNARY:
    *lo = &node->unary.alpha;
    *hi = &node->unary.beta;
    return node->unary.kind == KERNEL_UNARY_CLIP;
  default:
    return FALSE;
  }
}

static void
fuse (EngineGraph *graph, int index)
{
  const EngineNode *clip = engine_graph_node (graph, index);
  EngineNode *before = engine_rewrite_producer (graph, clip->inputs[0]);
  const float alpha = clip->unary.alpha, beta = clip->unary.beta;
  float *lo, *hi;

  if (clip->op != ENGINE_OP_UNARY || clip->unary.kind != KERNEL_UNARY_CLIP || !before ||
      engine_graph_sole_consumer (graph, clip->inputs[0]) != clip || !clamp_of (before, &lo, &hi))
    return;
  *lo = fminf (fmaxf (*lo, alpha), beta);
  *hi = fminf (fmaxf (*hi, alpha), beta);
  engine_rewrite_stand_for (graph, clip->output, before->output);
}

gboolean
engine_pass_fuse_clamp (EngineGraph *graph, const EnginePassContext *context, GError **error)
{
  for (guint i = 0; i < graph->nodes->len; i++)
    fuse (graph, i);
  engine_graph_compact (graph);
  return TRUE;
}
