/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pass/fuse-residual.c: the sum at the end of a residual block into the convolution before it. The
 * sum is then rounded once, and the convolution's own output is never stored.
 */
#include <math.h>

#include "engine/pass/pass.h"
#include "engine/rewrite.h"

/* The convolution that can take the other operand as its residual, or NULL. */
static EngineNode *
candidate (const EngineGraph *graph, const EngineNode *add, int operand)
{
  EngineNode *conv = engine_rewrite_own_producer (graph, add, add->inputs[operand], ENGINE_OP_CONV);

  if (!conv || conv->inputs[ENGINE_CONV_R] != ENGINE_NONE || conv->conv.lo > -INFINITY ||
      conv->conv.hi < INFINITY)
    return NULL;
  return conv;
}

static void
fuse (EngineGraph *graph, int index)
{
  const EngineNode *add = engine_graph_node (graph, index);
  EngineNode *conv, *other;
  int residual;

  if (add->op != ENGINE_OP_ADD ||
      engine_graph_value (graph, add->inputs[ENGINE_BINARY_X2])->data ||
      !engine_value_same_dims (engine_graph_value (graph, add->inputs[0]),
          engine_graph_value (graph, add->inputs[1])))
    return;
  conv = candidate (graph, add, 0);
  other = candidate (graph, add, 1);
  residual = add->inputs[1];
  if (!conv || (other && other > conv)) { /* of two, the one that is computed later */
    conv = other;
    residual = add->inputs[0];
  }
  if (!conv)
    return;
  conv->inputs[ENGINE_CONV_R] = residual;
  conv->conv.lo = add->binary.lo;
  conv->conv.hi = add->binary.hi;
  engine_rewrite_stand_for (graph, add->output, conv->output);
}

gboolean
engine_pass_fuse_residual (EngineGraph *graph, const EnginePassContext *context, GError **error)
{
  for (guint i = 0; i < graph->nodes->len; i++)
    fuse (graph, i);
  engine_graph_compact (graph);
  return TRUE;
}
