/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bounds.c: what a value can be, whatever the image. Interval arithmetic over the nodes before it;
 * an interval that is wider than the truth costs accuracy, one that is narrower would be wrong.
 */
#include "engine/graph.h"

#include <math.h>

typedef struct {
  float lo, hi;
} Bounds;

static const Bounds unknown = {-INFINITY, INFINITY};

/* Minima of x / (1 + exp (-x)), x * min (max (x / 6 + 0.5, 0), 1), the two forms of GELU and Mish,
 * rounded down. */
#define SILU_MIN       -0.2784646f
#define HARD_SWISH_MIN -0.375f
#define GELU_MIN       -0.1699713f
#define GELU_TANH_MIN  -0.1700408f
#define MISH_MIN       -0.3088435f

static Bounds
clamp_to (Bounds b, float lo, float hi)
{
  return (Bounds){fminf (fmaxf (b.lo, lo), hi), fminf (fmaxf (b.hi, lo), hi)};
}

static Bounds
merge (Bounds a, Bounds b)
{
  return (Bounds){fminf (a.lo, b.lo), fmaxf (a.hi, b.hi)};
}

/* inf - inf and 0 * inf: nothing is known. */
static Bounds
known_or_infinite (Bounds b)
{
  return (Bounds){isnan (b.lo) ? -INFINITY : b.lo, isnan (b.hi) ? INFINITY : b.hi};
}

/* fminf and fmaxf drop NaN, which 0 * inf gives; the bound of 0 * x for any finite x is 0. */
static Bounds
product (Bounds a, Bounds b)
{
  const float p[4] = {a.lo * b.lo, a.lo * b.hi, a.hi * b.lo, a.hi * b.hi};
  Bounds out = {INFINITY, -INFINITY};

  for (int i = 0; i < 4; i++) {
    const float v = isnan (p[i]) ? 0 : p[i];

    out.lo = fminf (out.lo, v);
    out.hi = fmaxf (out.hi, v);
  }
  return out;
}

/* Of functions that are 0 at 0, dip to a minimum below it, and never exceed a positive x. */
static Bounds
gated (Bounds x, float minimum)
{
  return (Bounds){x.lo >= 0 ? 0 : minimum, fmaxf (x.hi, 0)};
}

static Bounds
unary_bounds (const EngineNode *node, Bounds x)
{
  const float alpha = node->unary.alpha, beta = node->unary.beta;

  switch (node->unary.kind) {
  case KERNEL_UNARY_CLIP:
    return clamp_to (x, alpha, beta);
  case KERNEL_UNARY_LEAKY_RELU:
    if (alpha < 0)
      return x.lo >= 0 ? x : unknown;
    return (Bounds){x.lo < 0 ? alpha * x.lo : x.lo, x.hi < 0 ? alpha * x.hi : x.hi};
  case KERNEL_UNARY_SIGMOID:
  case KERNEL_UNARY_HARD_SIGMOID:
    return (Bounds){0, 1};
  case KERNEL_UNARY_HARD_SWISH:
    return gated (x, HARD_SWISH_MIN);
  case KERNEL_UNARY_SILU:
    return gated (x, SILU_MIN);
  case KERNEL_UNARY_GELU:
    return gated (x, GELU_MIN);
  case KERNEL_UNARY_GELU_TANH:
    return gated (x, GELU_TANH_MIN);
  case KERNEL_UNARY_MISH:
    return gated (x, MISH_MIN);
  case KERNEL_UNARY_TANH:
  case KERNEL_UNARY_ERF:
  case KERNEL_UNARY_SOFTSIGN:
    return (Bounds){x.lo >= 0 ? 0 : -1, x.hi <= 0 ? 0 : 1};
  case KERNEL_UNARY_ELU: /* never below -alpha: beta is not negative, see the verifier */
    return alpha >= 0 ? (Bounds){x.lo >= 0 ? x.lo : -alpha, fmaxf (x.hi, 0)} : unknown;
  case KERNEL_UNARY_EXP:
  case KERNEL_UNARY_SOFTPLUS:
    return (Bounds){0, INFINITY};
  case KERNEL_UNARY_SQRT:
    return (Bounds){0, x.hi > 0 ? sqrtf (x.hi) : 0};
  case KERNEL_UNARY_ABS:
    return (Bounds){x.lo > 0 ? x.lo : x.hi < 0 ? -x.hi : 0, fmaxf (fabsf (x.lo), fabsf (x.hi))};
  case KERNEL_UNARY_RECIPROCAL:
    return x.lo >= 0 ? (Bounds){0, INFINITY} : unknown;
  case KERNEL_UNARY_POW:
    return x.lo >= 0 || fmodf (alpha, 2) == 0 ? (Bounds){0, INFINITY} : unknown;
  case KERNEL_UNARY_THRESHOLD:
    return merge ((Bounds){fmaxf (x.lo, alpha), fmaxf (x.hi, alpha)}, (Bounds){beta, beta});
  case KERNEL_UNARY_LOG:
  case KERNEL_UNARY_SELU:
  case KERNEL_UNARY_COUNT:
    break;
  }
  return unknown;
}

static Bounds
pool_bounds (const EngineNode *node, Bounds x)
{
  const EnginePoolParams *p = &node->pool;
  const gboolean padded = p->pad_top || p->pad_left || p->pad_bottom || p->pad_right;

  /* An average leaves the interval by rounding only: far less than a quantisation step, and never
   * across zero. */
  return node->op == ENGINE_OP_AVGPOOL && p->include_pad && padded ? merge (x, (Bounds){0, 0}) : x;
}

/* Divided by the power of something that is bias at the least. */
static Bounds
lrn_bounds (const EngineNode *node, Bounds x)
{
  const float factor = powf (node->lrn.bias, -node->lrn.beta) * 1.00001f;

  if (node->lrn.alpha < 0 || node->lrn.beta < 0 || !(factor < INFINITY))
    return unknown;
  return known_or_infinite ((Bounds){x.lo * factor, x.hi * factor});
}

static Bounds
node_bounds (const EngineNode *node, const Bounds *of)
{
  const Bounds x = node->inputs[0] == ENGINE_NONE ? unknown : of[node->inputs[0]];
  Bounds y = x;

  switch (node->op) {
  case ENGINE_OP_CONV:
    return clamp_to (unknown, node->conv.lo, node->conv.hi);
  case ENGINE_OP_ADD:
    y = (Bounds){x.lo + of[node->inputs[1]].lo, x.hi + of[node->inputs[1]].hi};
    return clamp_to (known_or_infinite (y), node->binary.lo, node->binary.hi);
  case ENGINE_OP_MUL:
    return clamp_to (product (x, of[node->inputs[1]]), node->binary.lo, node->binary.hi);
  case ENGINE_OP_UNARY:
    return unary_bounds (node, x);
  case ENGINE_OP_MAXPOOL:
  case ENGINE_OP_AVGPOOL:
    return pool_bounds (node, x);
  case ENGINE_OP_CONCAT:
    for (int i = 1; i < node->n_inputs; i++)
      y = merge (y, of[node->inputs[i]]);
    return y;
  case ENGINE_OP_PAD:
    return merge (x, (Bounds){node->pad.value, node->pad.value});
  case ENGINE_OP_LRN:
    return lrn_bounds (node, x);
  case ENGINE_OP_SOFTMAX:
    return node->softmax.log ? (Bounds){-INFINITY, 0} : (Bounds){0, 1};
  case ENGINE_OP_SLICE:
  case ENGINE_OP_RESHAPE:
  case ENGINE_OP_TRANSPOSE:
  case ENGINE_OP_QUANTISE:
  case ENGINE_OP_DEQUANTISE:
  case ENGINE_OP_NARROW:
  case ENGINE_OP_WIDEN:
    return x;
  case ENGINE_OP_MATMUL:
  case ENGINE_OP_LAYERNORM:
  case ENGINE_OP_AFFINE:
  case ENGINE_OP_COUNT:
    break;
  }
  return unknown;
}

void
engine_graph_bounds (const EngineGraph *graph, int value, float *lo, float *hi)
{
  const int producer = engine_graph_value (graph, value)->producer;
  g_autofree Bounds *of = g_new (Bounds, graph->values->len);

  for (guint i = 0; i < graph->values->len; i++)
    of[i] = unknown;
  for (int i = 0; i <= producer; i++) {
    const EngineNode *node = engine_graph_node (graph, i);

    of[node->output] = node_bounds (node, of);
  }
  *lo = of[value].lo;
  *hi = of[value].hi;
}
