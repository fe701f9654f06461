/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pass/fuse-hard-sigmoid.c: the hard sigmoid that exporters spell out for old opsets.
 *
 *     clip (s * x + t, 0, h) [* y] * v   ->   hard_sigmoid (s/h * x + t/h) [* y] * (h * v)
 *
 * MobileNetV3's h-swish, x * clip (x + 3, 0, 6) / 6, becomes x * hard_sigmoid (x) that way, which
 * fuse-silu knows; left alone, x + 3 and / 6 would be convolutions of their own.
 */
#include <math.h>

#include "engine/pass/pass.h"
#include "engine/rewrite.h"

/* The AFFINE that multiplies the clip's output, directly or after a MUL with something else. */
static EngineNode *
following_affine (const EngineGraph *graph, const EngineNode *clip, EngineNode **mul)
{
  EngineNode *next = engine_graph_sole_consumer (graph, clip->output);

  *mul = NULL;
  if (next && next->op == ENGINE_OP_MUL && next->inputs[0] != next->inputs[1]) {
    *mul = next;
    next = engine_graph_sole_consumer (graph, next->output);
  }
  return next && next->op == ENGINE_OP_AFFINE ? next : NULL;
}

static void
fuse (EngineGraph *graph, int index)
{
  EngineNode *clip = engine_graph_node (graph, index), *before, *after, *mul;
  float scale, shift;

  if (clip->op != ENGINE_OP_UNARY || clip->unary.kind != KERNEL_UNARY_CLIP ||
      clip->unary.alpha != 0 || !(clip->unary.beta > 0 && clip->unary.beta < INFINITY))
    return;
  before = engine_rewrite_own_producer (graph, clip, clip->inputs[0], ENGINE_OP_AFFINE);
  after = following_affine (graph, clip, &mul);
  if (!before || !after || !engine_rewrite_uniform (graph, before, &scale, &shift))
    return;

  const double h = clip->unary.beta;
  if (!isfinite ((float) (scale / h)) || !isfinite ((float) (shift / h)))
    return;
  clip->unary.kind = KERNEL_UNARY_HARD_SIGMOID;
  clip->unary.alpha = scale / h;
  clip->unary.beta = shift / h;
  clip->inputs[0] = before->inputs[0];
  engine_rewrite_scale_affine (graph, after, h);
  /* The values in between are h times smaller than the model's of that name. */
  for (const EngineNode *node = clip; node; node = node == clip ? mul : NULL) {
    char number[G_ASCII_DTOSTR_BUF_SIZE];
    g_autofree char *name = g_strconcat (engine_graph_value (graph, node->output)->name, "/",
        g_ascii_formatd (number, sizeof number, "%g", h), NULL);

    engine_graph_rename (graph, node->output, name);
  }
}

gboolean
engine_pass_fuse_hard_sigmoid (EngineGraph *graph, const EnginePassContext *context, GError **error)
{
  for (guint i = 0; i < graph->nodes->len; i++)
    fuse (graph, i);
  engine_graph_compact (graph);
  return TRUE;
}
