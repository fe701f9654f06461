/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pass/fuse-affine.c: batch normalisation and other per-channel scales and shifts. Chains become
 * one; one behind a convolution moves into its weights; the rest become depthwise convolutions.
 * Products are computed in double and rounded once.
 */
#include "engine/engine.h"
#include "engine/pass/pass.h"
#include "engine/rewrite.h"

#include <math.h>

static int
channels (const EngineGraph *graph, const EngineNode *affine)
{
  return engine_graph_value (graph, affine->inputs[1])->dims[0];
}

/* second (first (x)) */
static void
merge_chain (EngineGraph *graph, EngineNode *first, EngineNode *second)
{
  const int c = channels (graph, first);
  const float *s1 = engine_rewrite_floats (graph, first->inputs[1]);
  const float *t1 = engine_rewrite_floats (graph, first->inputs[2]);
  const float *s2 = engine_rewrite_floats (graph, second->inputs[1]);
  const float *t2 = engine_rewrite_floats (graph, second->inputs[2]);
  float *scale = g_new (float, c), *shift = g_new (float, c);

  for (int k = 0; k < c; k++) {
    scale[k] = (double) s1[k] * s2[k];
    shift[k] = (double) t1[k] * s2[k] + t2[k];
  }
  second->inputs[0] = first->inputs[0];
  second->inputs[1] = engine_rewrite_constant (graph,
      engine_graph_value (graph, second->inputs[1])->name, 1, &c, scale);
  second->inputs[2] = engine_rewrite_constant (graph,
      engine_graph_value (graph, second->inputs[2])->name, 1, &c, shift);
}

static gboolean
is_identity (const EngineGraph *graph, const EngineNode *affine)
{
  const float *s = engine_rewrite_floats (graph, affine->inputs[1]);
  const float *t = engine_rewrite_floats (graph, affine->inputs[2]);

  for (int k = 0; k < channels (graph, affine); k++)
    if (s[k] != 1 || t[k] != 0)
      return FALSE;
  return TRUE;
}

static gboolean
is_plain (const EngineNode *conv)
{
  return conv->inputs[ENGINE_CONV_R] == ENGINE_NONE && conv->conv.lo == -INFINITY &&
         conv->conv.hi == INFINITY;
}

/* Puts the affine into the weights and the bias of the convolution before it. */
static void
merge_into_conv (EngineGraph *graph, EngineNode *conv, const EngineNode *affine)
{
  const EngineValue w = *engine_graph_value (graph, conv->inputs[ENGINE_CONV_W]);
  const float *s = engine_rewrite_floats (graph, affine->inputs[1]);
  const float *t = engine_rewrite_floats (graph, affine->inputs[2]);
  const float *from = engine_rewrite_floats (graph, conv->inputs[ENGINE_CONV_W]);
  const int bias = conv->inputs[ENGINE_CONV_B], output = conv->output;
  const float *b = bias == ENGINE_NONE ? NULL : engine_rewrite_floats (graph, bias);
  const int oc = w.dims[0], from_affine = affine->output;
  const gsize per_channel = engine_value_elements (&w) / oc;
  float *to = g_new (float, per_channel *oc), *to_b = g_new (float, oc);

  for (int k = 0; k < oc; k++) {
    for (gsize i = k * per_channel; i < (k + 1) * per_channel; i++)
      to[i] = (double) from[i] * s[k];
    to_b[k] = b ? (double) b[k] * s[k] + t[k] : t[k];
  }
  const int weights = conv->inputs[ENGINE_CONV_W];

  conv->inputs[ENGINE_CONV_W] = engine_rewrite_constant (graph, w.name, 4, w.dims, to);
  engine_rewrite_keep_scales (graph, weights, conv->inputs[ENGINE_CONV_W], s);
  conv->inputs[ENGINE_CONV_B] = engine_rewrite_constant (graph,
      engine_graph_value (graph, b ? bias : affine->inputs[2])->name, 1, &oc, to_b);
  engine_rewrite_stand_for (graph, from_affine, output);
}

/* A depthwise convolution with one tap. The node keeps its place. */
static gboolean
lower (EngineGraph *graph, int index, GError **error)
{
  EngineNode *affine = engine_graph_node (graph, index);
  const int c = channels (graph, affine), dims[4] = {c, 1, 1, 1};
  const EngineValue *scale = engine_graph_value (graph, affine->inputs[1]);
  const int rank = engine_graph_value (graph, affine->inputs[0])->rank;
  int inputs[ENGINE_CONV_INPUTS] = {affine->inputs[0], ENGINE_NONE, affine->inputs[2], ENGINE_NONE,
      ENGINE_NONE};

  if (rank < 2 || rank > 4) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_UNSUPPORTED,
        "node \"%s\": scale and shift of a tensor of rank %d; 2 to 4 can be done", affine->name,
        rank);
    return FALSE;
  }
  inputs[ENGINE_CONV_W] = engine_graph_add_constant (graph, scale->name, ENGINE_TYPE_F32, 4, dims,
      g_bytes_ref (scale->data));
  g_free (affine->inputs);
  affine->op = ENGINE_OP_CONV;
  affine->n_inputs = ENGINE_CONV_INPUTS;
  affine->inputs = g_memdup2 (inputs, sizeof inputs);
  affine->conv = (EngineConvParams){1, 1, 1, 1, .groups = c, .lo = -INFINITY, .hi = INFINITY};
  return TRUE;
}

static void
merge_chains (EngineGraph *graph)
{
  for (guint i = 0; i < graph->nodes->len; i++) {
    EngineNode *node = engine_graph_node (graph, i), *before;

    if (node->op != ENGINE_OP_AFFINE)
      continue;
    before = engine_rewrite_own_producer (graph, node, node->inputs[0], ENGINE_OP_AFFINE);
    if (before)
      merge_chain (graph, before, node);
  }
  engine_graph_compact (graph); /* dead nodes count as readers */
}

static void
remove_identity (EngineGraph *graph, const EngineNode *affine)
{
  const int x = affine->inputs[0];

  if (engine_rewrite_producer (graph, x) && engine_graph_sole_consumer (graph, x) == affine)
    engine_rewrite_stand_for (graph, affine->output, x);
  else
    engine_rewrite_bypass (graph, affine->output, x);
}

static void
merge_into_convs (EngineGraph *graph)
{
  for (guint i = 0; i < graph->nodes->len; i++) {
    const EngineNode *node = engine_graph_node (graph, i);
    EngineNode *before;

    if (node->op != ENGINE_OP_AFFINE)
      continue;
    before = engine_rewrite_own_producer (graph, node, node->inputs[0], ENGINE_OP_CONV);
    if (before && is_plain (before))
      merge_into_conv (graph, before, node);
    else if (is_identity (graph, node))
      remove_identity (graph, node);
  }
  engine_graph_compact (graph);
}

gboolean
engine_pass_fuse_affine (EngineGraph *graph, const EnginePassContext *context, GError **error)
{
  merge_chains (graph);
  merge_into_convs (graph);
  for (guint i = 0; i < graph->nodes->len; i++)
    if (engine_graph_node (graph, i)->op == ENGINE_OP_AFFINE && !lower (graph, i, error))
      return FALSE;
  return TRUE;
}
