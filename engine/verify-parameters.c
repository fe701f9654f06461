/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verify-parameters.c: what a node says beside its operands: windows, clamps, axes, sizes. */
#include "engine/verify.h"

#include <math.h>

static gboolean
is_clamp (float lo, float hi)
{
  return lo <= hi && lo < INFINITY && hi > -INFINITY; /* false for NaN */
}

/* Whether every window has a tap inside the input. Only windows that begin in the padding or end
 * beyond the input can miss it. */
static gboolean
windows_touch (gint64 in, gint64 out, gint64 kernel, gint64 stride, gint64 dilation, gint64 before)
{
  for (gint64 o = 0; o < out; o++) {
    const gint64 start = o * stride - before;
    const gint64 skipped = start < 0 ? (-start + dilation - 1) / dilation : 0;

    if (start >= 0 && start + (kernel - 1) * dilation < in) {
      /* so do all up to the last that ends inside */
      o = MAX (o, (in - 1 - (kernel - 1) * dilation + before) / stride);
      continue;
    }
    if (skipped >= kernel || start + skipped * dilation >= in)
      return FALSE;
  }
  return TRUE;
}

static gboolean
verify_windows (const EngineGraph *graph, const EngineNode *node, GError **error)
{
  int x[4], y[4];
  gboolean touch;

  engine_value_nhwc (engine_graph_value (graph, node->inputs[0]), x);
  engine_value_nhwc (engine_graph_value (graph, node->output), y);
  if (node->op == ENGINE_OP_CONV) {
    const EngineConvParams *p = &node->conv;
    const int *w = engine_graph_value (graph, node->inputs[ENGINE_CONV_W])->dims;

    touch = windows_touch (x[1], y[1], w[1], p->stride_h, p->dilation_h, p->pad_top) &&
            windows_touch (x[2], y[2], w[2], p->stride_w, p->dilation_w, p->pad_left);
    if ((gint64) w[1] * w[2] * w[3] > ENGINE_MAX_ACCUMULATED)
      return REFUSE_UNSUPPORTED ("%" G_GINT64_FORMAT
                                 " products are summed for each output; int32 holds %d",
          (gint64) w[1] * w[2] * w[3], ENGINE_MAX_ACCUMULATED);
  } else {
    const EnginePoolParams *p = &node->pool;

    touch = windows_touch (x[1], y[1], p->kh, p->stride_h, p->dilation_h, p->pad_top) &&
            windows_touch (x[2], y[2], p->kw, p->stride_w, p->dilation_w, p->pad_left);
    if (node->op == ENGINE_OP_AVGPOOL && (p->dilation_h != 1 || p->dilation_w != 1))
      return REFUSE_UNSUPPORTED ("an average pool with dilation");
  }
  if (!touch)
    return REFUSE_UNSUPPORTED ("a window lies in the padding as a whole");
  return TRUE;
}

static gboolean
verify_clamp (const EngineNode *node, float lo, float hi, GError **error)
{
  return is_clamp (lo, hi) || REFUSE_NODE ("clamp %g..%g", lo, hi);
}

static gboolean
verify_unary (const EngineNode *node, GError **error)
{
  const float alpha = node->unary.alpha, beta = node->unary.beta;

  if (node->unary.kind >= KERNEL_UNARY_COUNT)
    return REFUSE_NODE ("function %d does not exist", node->unary.kind);
  if (node->unary.kind == KERNEL_UNARY_CLIP ? !is_clamp (alpha, beta)
                                            : !isfinite (alpha) || !isfinite (beta))
    return REFUSE_NODE ("parameters %g and %g", alpha, beta);
  if (node->unary.kind == KERNEL_UNARY_ELU && beta < 0)
    return REFUSE_NODE ("its exponential grows towards minus infinity");
  return TRUE;
}

static gboolean
verify_matmul (const EngineNode *node, int inner, GError **error)
{
  if (!isfinite (node->matmul.factor))
    return REFUSE_NODE ("factor %g", node->matmul.factor);
  if (inner > KERNEL_MATMUL_MAX_INNER)
    return REFUSE_UNSUPPORTED ("%d products are summed for each output; int32 holds %d", inner,
        KERNEL_MATMUL_MAX_INNER);
  return TRUE;
}

/* Of what sums over the last axis. */
static gboolean
verify_sum (const EngineNode *node, int rank, GError **error)
{
  return rank >= 2 || REFUSE_UNSUPPORTED ("it sums over the batch axis");
}

static gboolean
verify_lrn (const EngineNode *node, int rank, GError **error)
{
  if (node->lrn.before < 0 || node->lrn.before > ENGINE_MAX_DIM || node->lrn.after < 0 ||
      node->lrn.after > ENGINE_MAX_DIM)
    return REFUSE_NODE ("a window from -%d to %d", node->lrn.before, node->lrn.after);
  if (!isfinite (node->lrn.alpha) || !isfinite (node->lrn.beta) || !isfinite (node->lrn.bias))
    return REFUSE_NODE ("alpha %g, beta %g, bias %g", node->lrn.alpha, node->lrn.beta,
        node->lrn.bias);
  return verify_sum (node, rank, error);
}

static gboolean
verify_pad (const EngineNode *node, GError **error)
{
  if (!isfinite (node->pad.value))
    return REFUSE_NODE ("padding with %g", node->pad.value);
  if (node->pad.before[0] != 0 || node->pad.after[0] != 0)
    return REFUSE_UNSUPPORTED ("it pads the batch axis");
  return TRUE;
}

gboolean
engine_verify_parameters (const EngineGraph *graph, const EngineNode *node, GError **error)
{
  const EngineValue *x = engine_graph_value (graph, node->inputs[0]);

  switch (node->op) {
  case ENGINE_OP_CONV:
    return verify_clamp (node, node->conv.lo, node->conv.hi, error) &&
           verify_windows (graph, node, error);
  case ENGINE_OP_MAXPOOL:
  case ENGINE_OP_AVGPOOL:
    return verify_windows (graph, node, error);
  case ENGINE_OP_ADD:
  case ENGINE_OP_MUL:
    return verify_clamp (node, node->binary.lo, node->binary.hi, error);
  case ENGINE_OP_UNARY:
    return verify_unary (node, error);
  case ENGINE_OP_CONCAT:
    return node->concat.axis != 0 || REFUSE_UNSUPPORTED ("it joins along the batch axis");
  case ENGINE_OP_SLICE:
    return node->slice.axis != 0 || REFUSE_UNSUPPORTED ("it cuts the batch axis");
  case ENGINE_OP_TRANSPOSE:
    return node->transpose.perm[0] == 0 || REFUSE_UNSUPPORTED ("it moves the batch axis");
  case ENGINE_OP_PAD:
    return verify_pad (node, error);
  case ENGINE_OP_MATMUL:
    return verify_matmul (node, x->dims[x->rank - 1], error);
  case ENGINE_OP_LRN:
    return verify_lrn (node, x->rank, error);
  case ENGINE_OP_LAYERNORM:
    if (!(node->layernorm.epsilon >= 0 && node->layernorm.epsilon < INFINITY))
      return REFUSE_NODE ("epsilon %g", node->layernorm.epsilon);
    return verify_sum (node, x->rank, error);
  case ENGINE_OP_SOFTMAX:
    return verify_sum (node, x->rank, error);
  default:
    return TRUE;
  }
}
