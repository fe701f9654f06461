/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pass/fuse-silu.c: x * sigmoid (x) is SiLU, x * hard_sigmoid (x) is h-swish. One table lookup in
 * int8 instead of a lookup and a product, and no range for the sigmoid.
 */
#include <math.h>

#include "engine/pass/pass.h"
#include "engine/rewrite.h"

/* Exporters write 1/6 with 6 to 9 digits. */
#define SIXTH_TOLERANCE 1e-6

/* The product of x and gate (x) as one function, or KERNEL_UNARY_COUNT. */
static KernelUnary
product_with (const EngineNode *gate)
{
  if (gate->unary.kind == KERNEL_UNARY_SIGMOID)
    return KERNEL_UNARY_SILU;
  if (gate->unary.kind == KERNEL_UNARY_HARD_SIGMOID && gate->unary.beta == 0.5f &&
      fabs (gate->unary.alpha - 1.0 / 6) <= SIXTH_TOLERANCE)
    return KERNEL_UNARY_HARD_SWISH;
  return KERNEL_UNARY_COUNT;
}

static void
fuse (EngineGraph *graph, int index)
{
  EngineNode *mul = engine_graph_node (graph, index);

  if (mul->op != ENGINE_OP_MUL || mul->inputs[0] == mul->inputs[1])
    return;
  for (int i = 0; i < 2; i++) {
    const int x = mul->inputs[1 - i];
    const EngineNode *gate =
        engine_rewrite_own_producer (graph, mul, mul->inputs[i], ENGINE_OP_UNARY);
    const float lo = mul->binary.lo, hi = mul->binary.hi;
    KernelUnary kind;

    if (!gate || gate->inputs[0] != x || lo > -INFINITY || hi < INFINITY)
      continue;
    kind = product_with (gate);
    if (kind == KERNEL_UNARY_COUNT)
      continue;
    engine_rewrite_to_unary (mul, x, kind);
    return;
  }
}

gboolean
engine_pass_fuse_silu (EngineGraph *graph, const EnginePassContext *context, GError **error)
{
  for (guint i = 0; i < graph->nodes->len; i++)
    fuse (graph, i);
  engine_graph_compact (graph);
  return TRUE;
}
