/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* shape-window.c: convolutions and pools: how many places of a window the padded input has. */
#include "engine/shape.h"

typedef struct {
  const char *axis;
  gint64 in, kernel, stride, dilation, before, after;
  gboolean ceil_mode;
} Window;

static gboolean
window_outputs (const EngineNode *node, const Window *w, gint64 *out, GError **error)
{
  const gint64 padded = w->in + w->before + w->after;
  const gint64 reach = (w->kernel - 1) * w->dilation + 1;

  if (w->kernel < 1 || w->stride < 1 || w->dilation < 1 || w->before < 0 || w->after < 0)
    return engine_shape_misfit (node, error,
        "%s: kernel, stride and dilation must be at least 1 and padding at least 0", w->axis);
  if (reach > padded)
    return engine_shape_misfit (node, error,
        "%s: the window reaches over %" G_GINT64_FORMAT
        " pixels, the padded input has %" G_GINT64_FORMAT,
        w->axis, reach, padded);
  *out = (padded - reach) / w->stride + 1;
  if (w->ceil_mode && (padded - reach) % w->stride != 0 && *out * w->stride < w->in + w->before)
    (*out)++; /* only if the window starts inside the input or the padding before it */
  return TRUE;
}

/* n h w c of rank 2 to 4, as ENGINE_CONV_X says. */
static gboolean
shape_nhwc (const EngineNode *node, const EngineShape *x, gint64 nhwc[4], GError **error)
{
  if (x->rank < 2 || x->rank > 4)
    return engine_shape_misfit (node, error, "the input has rank %d; 2, 3 or 4 is needed", x->rank);
  nhwc[0] = x->dims[0];
  nhwc[1] = x->rank == 4 ? x->dims[1] : 1;
  nhwc[2] = x->rank >= 3 ? x->dims[x->rank - 2] : 1;
  nhwc[3] = x->dims[x->rank - 1];
  return TRUE;
}

/* y has x's rank, or 2 where it had that before and there is one output pixel. */
static gboolean
window_shape (const EngineGraph *graph, const EngineNode *node, const EngineShape *x, gint64 n,
    gint64 oh, gint64 ow, gint64 oc, EngineShape *y, GError **error)
{
  const gboolean flat = engine_graph_value (graph, node->output)->rank == 2 && oh == 1 && ow == 1;
  const int rank = flat ? 2 : x->rank;

  if (rank < 4 && oh != 1)
    return engine_shape_misfit (node, error, "padding makes height out of an input without one");
  if (rank < 3 && ow != 1)
    return engine_shape_misfit (node, error, "padding makes width out of an input without one");
  y->rank = rank;
  y->dims[0] = n;
  if (rank == 4)
    y->dims[1] = oh;
  if (rank >= 3)
    y->dims[rank - 2] = ow;
  y->dims[rank - 1] = oc;
  return TRUE;
}

gboolean
engine_shape_conv (const EngineGraph *graph, const EngineNode *node, EngineShape *y, GError **error)
{
  const EngineConvParams *p = &node->conv;
  const EngineShape x = engine_shape_of (graph, node->inputs[ENGINE_CONV_X]);
  const EngineShape w = engine_shape_of (graph, node->inputs[ENGINE_CONV_W]);
  gint64 nhwc[4] = {0}, oh = 0, ow = 0;

  if (!shape_nhwc (node, &x, nhwc, error))
    return FALSE;
  if (w.rank != 4)
    return engine_shape_misfit (node, error,
        "the weights have rank %d; [oc kh kw ic/groups] is needed", w.rank);
  if (p->groups < 1 || nhwc[3] % p->groups != 0 || w.dims[0] % p->groups != 0)
    return engine_shape_misfit (node, error,
        "%d groups do not divide %" G_GINT64_FORMAT " input and %" G_GINT64_FORMAT
        " output channels",
        p->groups, nhwc[3], w.dims[0]);
  if (w.dims[3] != nhwc[3] / p->groups)
    return engine_shape_misfit (node, error,
        "the weights read %" G_GINT64_FORMAT
        " channels in each of %d groups, the input has %" G_GINT64_FORMAT " in all",
        w.dims[3], p->groups, nhwc[3]);

  const Window h = {"height", nhwc[1], w.dims[1], p->stride_h, p->dilation_h, p->pad_top,
      p->pad_bottom, FALSE};
  const Window v = {"width", nhwc[2], w.dims[2], p->stride_w, p->dilation_w, p->pad_left,
      p->pad_right, FALSE};
  return window_outputs (node, &h, &oh, error) && window_outputs (node, &v, &ow, error) &&
         window_shape (graph, node, &x, nhwc[0], oh, ow, w.dims[0], y, error);
}

gboolean
engine_shape_pool (const EngineGraph *graph, const EngineNode *node, EngineShape *y, GError **error)
{
  const EnginePoolParams *p = &node->pool;
  const EngineShape x = engine_shape_of (graph, node->inputs[0]);
  gint64 nhwc[4] = {0}, oh = 0, ow = 0;

  if (!shape_nhwc (node, &x, nhwc, error))
    return FALSE;

  const Window h = {"height", nhwc[1], p->kh, p->stride_h, p->dilation_h, p->pad_top, p->pad_bottom,
      p->ceil_mode};
  const Window v = {"width", nhwc[2], p->kw, p->stride_w, p->dilation_w, p->pad_left, p->pad_right,
      p->ceil_mode};
  return window_outputs (node, &h, &oh, error) && window_outputs (node, &v, &ow, error) &&
         window_shape (graph, node, &x, nhwc[0], oh, ow, nhwc[3], y, error);
}
