/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pass/fuse-pad.c: a Pad with zeros into the windows that read it. A convolution counts padding as
 * zero, so it may always. An average pool may if its divisor then counts what it counted before. A
 * maximum leaves padding out, which is the same as zero only where nothing is negative.
 */
#include "engine/pass/pass.h"
#include "engine/rewrite.h"

typedef struct {
  int top, left, bottom, right;
} Pads;

/* What a Pad adds around the image; FALSE where it pads channels or with something else than 0. */
static gboolean
spatial_pads (const EngineGraph *graph, const EngineNode *pad, Pads *pads)
{
  const int rank = engine_graph_value (graph, pad->output)->rank;
  const int *before = pad->pad.before, *after = pad->pad.after;

  if (pad->pad.value != 0 || rank < 3 || rank > 4 || before[rank - 1] || after[rank - 1])
    return FALSE;
  pads->top = rank == 4 ? before[1] : 0;
  pads->bottom = rank == 4 ? after[1] : 0;
  pads->left = before[rank - 2];
  pads->right = after[rank - 2];
  return TRUE;
}

/* Whether windows of these extents, widened by the pads, all see a pixel: first and last do. */
static gboolean
sees_pixels (const EngineGraph *graph, int x, const Pads *all, int reach_h, int reach_w,
    int dilation_h, int dilation_w)
{
  int nhwc[4];

  engine_value_nhwc (engine_graph_value (graph, x), nhwc);
  return all->top < reach_h && all->bottom < reach_h && all->left < reach_w &&
         all->right < reach_w && dilation_h <= nhwc[1] && dilation_w <= nhwc[2];
}

static void
add_pads (int *top, int *left, int *bottom, int *right, const Pads *pads)
{
  *top += pads->top;
  *left += pads->left;
  *bottom += pads->bottom;
  *right += pads->right;
}

static gboolean
fuse_into_conv (EngineGraph *graph, const EngineNode *pad, const Pads *pads, EngineNode *node)
{
  EngineConvParams *p = &node->conv;
  const int *w = engine_graph_value (graph, node->inputs[ENGINE_CONV_W])->dims;

  add_pads (&p->pad_top, &p->pad_left, &p->pad_bottom, &p->pad_right, pads);
  return sees_pixels (graph, pad->inputs[0],
      &(Pads){p->pad_top, p->pad_left, p->pad_bottom, p->pad_right}, (w[1] - 1) * p->dilation_h + 1,
      (w[2] - 1) * p->dilation_w + 1, p->dilation_h, p->dilation_w);
}

static gboolean
fuse_into_pool (EngineGraph *graph, const EngineNode *pad, const Pads *pads, EngineNode *node)
{
  EnginePoolParams *p = &node->pool;
  const gboolean padded = p->pad_top || p->pad_left || p->pad_bottom || p->pad_right;
  float lo, hi;

  if (node->op == ENGINE_OP_MAXPOOL) {
    engine_graph_bounds (graph, pad->inputs[0], &lo, &hi);
    if (!(lo >= 0))
      return FALSE;
  } else if (padded && !p->include_pad) {
    return FALSE; /* some padding counts, some does not */
  }
  p->include_pad = node->op == ENGINE_OP_AVGPOOL;
  add_pads (&p->pad_top, &p->pad_left, &p->pad_bottom, &p->pad_right, pads);
  return sees_pixels (graph, pad->inputs[0],
      &(Pads){p->pad_top, p->pad_left, p->pad_bottom, p->pad_right},
      (p->kh - 1) * p->dilation_h + 1, (p->kw - 1) * p->dilation_w + 1, p->dilation_h,
      p->dilation_w);
}

/* With ceil_mode, a last window may fall away when padding moves into the pool. */
static gboolean
keeps_shape (EngineGraph *graph, const EngineNode *node)
{
  const EngineValue *y = engine_graph_value (graph, node->output);
  int rank, dims[ENGINE_MAX_RANK];

  return engine_graph_output_dims (graph, node, &rank, dims, NULL) &&
         engine_value_has_dims (y, rank, dims);
}

static void
fuse (EngineGraph *graph, EngineNode *node)
{
  const EngineNode *pad = engine_rewrite_producer (graph, node->inputs[0]), before = *node;
  gboolean fused = FALSE;
  Pads pads;

  if (!pad || pad->op != ENGINE_OP_PAD || !spatial_pads (graph, pad, &pads))
    return;
  if (node->op == ENGINE_OP_CONV)
    fused = fuse_into_conv (graph, pad, &pads, node);
  else if (node->op == ENGINE_OP_MAXPOOL || node->op == ENGINE_OP_AVGPOOL)
    fused = fuse_into_pool (graph, pad, &pads, node);
  node->inputs[0] = pad->inputs[0];
  if (!fused || !keeps_shape (graph, node)) {
    *node = before;
    node->inputs[0] = pad->output;
  }
}

gboolean
engine_pass_fuse_pad (EngineGraph *graph, const EnginePassContext *context, GError **error)
{
  for (guint i = 0; i < graph->nodes->len; i++)
    fuse (graph, engine_graph_node (graph, i));
  engine_graph_compact (graph);
  return TRUE;
}
