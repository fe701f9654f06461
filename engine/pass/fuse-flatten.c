/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pass/fuse-flatten.c: a fully connected layer behind a flatten becomes a convolution whose window
 * is the whole picture. Flattening NCHW orders features (c, h, w), the stored picture is (h, w, c):
 * the weights are sorted once, here, and the transpose and the reshape vanish.
 */
#include <string.h>

#include "engine/pass/pass.h"
#include "engine/rewrite.h"

#define MAX_CHAIN 16

/* Where each element of the flat vector comes from, as an index into the picture. */
static void
follow_transpose (const EngineValue *x, const EngineValue *y, const int *perm, const int *from,
    int *to)
{
  gint64 stride[ENGINE_MAX_RANK], y_stride[ENGINE_MAX_RANK];
  const gint64 n = engine_value_elements (y);

  stride[x->rank - 1] = 1;
  for (int i = x->rank - 2; i >= 0; i--)
    stride[i] = stride[i + 1] * x->dims[i + 1];
  for (int i = 0; i < y->rank; i++)
    y_stride[i] = stride[perm[i]];
  for (gint64 i = 0; i < n; i++) {
    gint64 rest = i, at = 0;

    for (int axis = y->rank - 1; axis >= 0; axis--) {
      at += rest % y->dims[axis] * y_stride[axis];
      rest /= y->dims[axis];
    }
    to[i] = from[at];
  }
}

static gboolean
is_picture (const EngineValue *value)
{
  return value->rank >= 2 && value->rank <= 4 && value->dims[0] == 1;
}

/* The longest chain of reshapes and transposes before the layer that begins with a picture. The
 * node that reads it comes last. */
static int
find_chain (const EngineGraph *graph, const EngineNode *conv, const EngineNode **chain)
{
  const EngineNode *node = engine_rewrite_producer (graph, conv->inputs[ENGINE_CONV_X]);
  int depth = 0, found = 0;

  while (depth < MAX_CHAIN && node &&
         (node->op == ENGINE_OP_RESHAPE || node->op == ENGINE_OP_TRANSPOSE)) {
    chain[depth++] = node;
    if (is_picture (engine_graph_value (graph, node->inputs[0])))
      found = depth;
    node = engine_rewrite_producer (graph, node->inputs[0]);
  }
  return found;
}

static int *
follow_chain (const EngineGraph *graph, const EngineNode **chain, int depth, int n)
{
  int *order = g_new (int, n), *next = g_new (int, n);

  for (int i = 0; i < n; i++)
    order[i] = i;
  for (int i = depth - 1; i >= 0; i--) {
    int *swap = order;

    if (chain[i]->op != ENGINE_OP_TRANSPOSE)
      continue;
    follow_transpose (engine_graph_value (graph, chain[i]->inputs[0]),
        engine_graph_value (graph, chain[i]->output), chain[i]->transpose.perm, order, next);
    order = next;
    next = swap;
  }
  g_free (next);
  return order;
}

static gboolean
is_fully_connected (const EngineGraph *graph, const EngineNode *node)
{
  const EngineConvParams *p = &node->conv;
  const EngineValue *x, *w;

  if (node->op != ENGINE_OP_CONV)
    return FALSE;
  x = engine_graph_value (graph, node->inputs[ENGINE_CONV_X]);
  w = engine_graph_value (graph, node->inputs[ENGINE_CONV_W]);
  return x->rank == 2 && x->dims[0] == 1 && w->dims[1] == 1 && w->dims[2] == 1 && p->groups == 1 &&
         !p->pad_top && !p->pad_left && !p->pad_bottom && !p->pad_right;
}

static void
fuse (EngineGraph *graph, int index)
{
  EngineNode *conv = engine_graph_node (graph, index);
  const EngineNode *chain[MAX_CHAIN];
  g_autofree int *order = NULL;
  EngineValue w;
  const float *from;
  float *to;
  int depth, picture[4];

  if (!is_fully_connected (graph, conv))
    return;
  depth = find_chain (graph, conv, chain);
  if (depth == 0)
    return;
  w = *engine_graph_value (graph, conv->inputs[ENGINE_CONV_W]);
  const int x = chain[depth - 1]->inputs[0], oc = w.dims[0], ic = w.dims[3];

  order = follow_chain (graph, chain, depth, ic);
  from = engine_rewrite_floats (graph, conv->inputs[ENGINE_CONV_W]);
  to = g_new (float, (gsize) oc *ic);
  for (gsize k = 0; k < oc; k++)
    for (int i = 0; i < ic; i++)
      to[k * ic + order[i]] = from[k * ic + i];
  engine_value_nhwc (engine_graph_value (graph, x), picture);
  const int dims[4] = {oc, picture[1], picture[2], picture[3]};
  const int weights = engine_rewrite_constant (graph, w.name, 4, dims, to);

  engine_rewrite_keep_scales (graph, conv->inputs[ENGINE_CONV_W], weights, NULL);
  conv->inputs[ENGINE_CONV_X] = x;
  conv->inputs[ENGINE_CONV_W] = weights;
}

gboolean
engine_pass_fuse_flatten (EngineGraph *graph, const EnginePassContext *context, GError **error)
{
  for (guint i = 0; i < graph->nodes->len; i++)
    fuse (graph, i);
  engine_graph_compact (graph);
  return TRUE;
}
