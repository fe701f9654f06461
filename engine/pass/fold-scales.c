/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pass/fold-scales.c: of a model that is quantised already, activations with a scale for each channel, as
 * NNCF gives the input of a depthwise convolution. The importer writes them with one scale for all between
 * two affines; here these come to where they move into weights: behind the convolution that makes the
 * activation, and into the one that reads it.
 */
#include "engine/explicit.h"
#include "engine/pass/pass.h"
#include "engine/rewrite.h"

#include <math.h>

/* Levels above 0 that a clamp must leave: what is beyond falls to the last one whatever it is. */
#define ALL_LEVELS 254.51

static gboolean
is_pure_scale (const EngineGraph *graph, const EngineNode *node)
{
  const int c =
      node->op == ENGINE_OP_AFFINE ? engine_graph_value (graph, node->inputs[1])->dims[0] : 0;

  for (int k = 0; k < c; k++)
    if (!(engine_rewrite_floats (graph, node->inputs[1])[k] > 0) ||
        engine_rewrite_floats (graph, node->inputs[2])[k] != 0)
      return FALSE;
  return c > 0;
}

/* Whether levels say that what is below 0 is 0, and cut off below the clamp's upper end. */
static gboolean
is_implied (const EngineGraph *graph, const EngineNode *clip, const EngineNode *affine,
    const EngineQuant *quant)
{
  const float *scale = engine_rewrite_floats (graph, affine->inputs[1]);

  if (clip->unary.kind != KERNEL_UNARY_CLIP || clip->unary.alpha != 0 || quant->zero != -128)
    return FALSE;
  for (int k = 0; k < engine_graph_value (graph, affine->inputs[1])->dims[0]; k++)
    if (!((double) clip->unary.beta * scale[k] / quant->scale > ALL_LEVELS))
      return FALSE;
  return TRUE;
}

/* clip -> affine -> quantise: without the clip. */
static void
drop_clip (EngineGraph *graph, const EngineNode *quantise)
{
  EngineNode *affine =
      engine_rewrite_own_producer (graph, quantise, quantise->inputs[0], ENGINE_OP_AFFINE);
  const EngineNode *clip;

  if (!affine || !is_pure_scale (graph, affine))
    return;
  clip = engine_rewrite_own_producer (graph, affine, affine->inputs[0], ENGINE_OP_UNARY);
  if (clip &&
      is_implied (graph, clip, affine, &engine_graph_value (graph, quantise->output)->quant))
    affine->inputs[0] = clip->inputs[0];
}

/* dequantise -> affine -> depthwise convolution: the affine goes into its weights. */
static void
merge_into_reader (EngineGraph *graph, const EngineNode *affine)
{
  const EngineNode *dequantise = engine_rewrite_producer (graph, affine->inputs[0]);
  EngineNode *conv = engine_graph_sole_consumer (graph, affine->output);
  const float *factor, *from;
  EngineValue w;

  if (!dequantise || dequantise->op != ENGINE_OP_DEQUANTISE || !conv ||
      conv->op != ENGINE_OP_CONV || conv->inputs[ENGINE_CONV_X] != affine->output ||
      conv->inputs[ENGINE_CONV_R] == affine->output || !is_pure_scale (graph, affine) ||
      conv->conv.groups != engine_graph_value (graph, affine->inputs[1])->dims[0])
    return;
  w = *engine_graph_value (graph, conv->inputs[ENGINE_CONV_W]);
  factor = engine_rewrite_floats (graph, affine->inputs[1]);
  from = engine_rewrite_floats (graph, conv->inputs[ENGINE_CONV_W]);

  const int weights = conv->inputs[ENGINE_CONV_W], oc = w.dims[0];
  const gsize size = engine_value_elements (&w);
  g_autofree float *of_filter = g_new (float, oc);
  float *to = g_new (float, size);

  for (int k = 0; k < oc; k++)
    of_filter[k] = factor[k / (oc / conv->conv.groups)];
  for (gsize i = 0; i < size; i++)
    to[i] = from[i] * of_filter[i / (size / oc)];
  conv->inputs[ENGINE_CONV_X] = affine->inputs[0];
  conv->inputs[ENGINE_CONV_W] = engine_rewrite_constant (graph, w.name, 4, w.dims, to);
  engine_rewrite_keep_scales (graph, weights, conv->inputs[ENGINE_CONV_W], of_filter);
}

gboolean
engine_pass_fold_scales (EngineGraph *graph, const EnginePassContext *context, GError **error)
{
  if (!engine_graph_is_explicit (graph))
    return TRUE;
  for (guint i = 0; i < graph->nodes->len; i++) {
    const EngineNode *node = engine_graph_node (graph, i);

    if (node->op == ENGINE_OP_QUANTISE)
      drop_clip (graph, node);
    else if (node->op == ENGINE_OP_AFFINE)
      merge_into_reader (graph, node);
  }
  engine_graph_compact (graph);
  return TRUE;
}
