/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pass/fuse-gelu.c: GELU as exporters spell it out, one function instead of five to eight nodes:
 *
 *     f * x * (1 + erf (x / sqrt (2)))                              ->   2 f * gelu (x)
 *     f * x * (1 + tanh (sqrt (2 / pi) * (x + 0.044715 * x^3)))     ->   2 f * gelu_tanh (x)
 *
 * where the factors that make up f (1/2 in all) stand before or behind the products.
 */
#include <math.h>

#include "engine/pass/pass.h"
#include "engine/rewrite.h"

/* Of the constants: exporters write them with 4 digits or more. */
#define TOLERANCE 2e-4

static gboolean
is_close (double x, double y)
{
  return fabs (x - y) <= TOLERANCE * fabs (y);
}

/* The AFFINE that makes a value, the same for all channels, or NULL. */
static const EngineNode *
uniform_of (const EngineGraph *graph, int value, float *scale, float *shift)
{
  const EngineNode *affine = engine_rewrite_producer (graph, value);

  return affine && affine->op == ENGINE_OP_AFFINE &&
                 engine_rewrite_uniform (graph, affine, scale, shift)
             ? affine
             : NULL;
}

/* Whether value is factor * x, by up to three affines (Keras: the factor, and -x twice); factor 1 where it
 * is x itself. */
static gboolean
is_multiple (const EngineGraph *graph, int value, int x, float *factor)
{
  float scale, shift;

  *factor = 1;
  for (int i = 0; i < 3 && value != x; i++) {
    const EngineNode *affine = uniform_of (graph, value, &scale, &shift);

    if (!affine || shift != 0)
      return FALSE;
    *factor *= scale;
    value = affine->inputs[0];
  }
  return value == x;
}

static gboolean
is_product (const EngineNode *node)
{
  return node && node->op == ENGINE_OP_MUL && node->binary.lo == -INFINITY &&
         node->binary.hi == INFINITY;
}

/* x^3 as Pow, or as products in any order, times a factor. */
static gboolean
is_cube (const EngineGraph *graph, int value, int x, double *factor)
{
  const EngineNode *node = engine_rewrite_producer (graph, value);
  float scale, shift;

  *factor = 1;
  if (uniform_of (graph, value, &scale, &shift)) {
    *factor = scale;
    if (shift != 0)
      return FALSE;
    node = engine_rewrite_producer (graph, node->inputs[0]);
  }
  if (node && node->op == ENGINE_OP_UNARY)
    return node->inputs[0] == x && node->unary.kind == KERNEL_UNARY_POW && node->unary.alpha == 3;
  for (int i = 0; i < 2 && is_product (node); i++) {
    const EngineNode *square = engine_rewrite_producer (graph, node->inputs[i]);
    float other;

    if (!is_multiple (graph, node->inputs[1 - i], x, &other))
      continue;
    *factor *= other;
    if (square && square->op == ENGINE_OP_UNARY)
      return square->inputs[0] == x && square->unary.kind == KERNEL_UNARY_POW &&
             square->unary.alpha == 2;
    if (!is_product (square) || !is_multiple (graph, square->inputs[0], x, &scale) ||
        !is_multiple (graph, square->inputs[1], x, &other))
      return FALSE;
    *factor *= scale * other;
    return TRUE;
  }
  return FALSE;
}

/* Whether value is sqrt (2 / pi) * (x + 0.044715 * x^3). */
static gboolean
is_tanh_argument (const EngineGraph *graph, int value, int x)
{
  float scale, shift;
  double factor;
  const EngineNode *affine = uniform_of (graph, value, &scale, &shift);
  const EngineNode *sum = affine ? engine_rewrite_producer (graph, affine->inputs[0]) : NULL;

  if (!sum || sum->op != ENGINE_OP_ADD || shift != 0 || !is_close (scale, 0.7978845608))
    return FALSE;
  for (int i = 0; i < 2; i++)
    if (sum->inputs[i] == x && is_cube (graph, sum->inputs[1 - i], x, &factor) &&
        is_close (factor, 0.044715))
      return TRUE;
  return FALSE;
}

/* Which function x * (1 + gate) is, if any. */
static KernelUnary
function_of (const EngineGraph *graph, const EngineNode *gate, int x)
{
  float factor;

  if (gate->unary.kind == KERNEL_UNARY_ERF && is_multiple (graph, gate->inputs[0], x, &factor) &&
      is_close (factor, 0.7071067812))
    return KERNEL_UNARY_GELU;
  if (gate->unary.kind == KERNEL_UNARY_TANH && is_tanh_argument (graph, gate->inputs[0], x))
    return KERNEL_UNARY_GELU_TANH;
  return KERNEL_UNARY_COUNT;
}

/* Which function the product is, with the gate as its input i: of x, and times 2 f. */
static KernelUnary
gelu_of (const EngineGraph *graph, const EngineNode *mul, int i, int *x, double *f)
{
  float scale, shift, factor, nothing;
  const EngineNode *sum = uniform_of (graph, mul->inputs[i], &scale, &shift), *gate, *before;
  KernelUnary kind;

  gate = sum && scale == shift ? engine_rewrite_producer (graph, sum->inputs[0]) : NULL;
  if (!gate || gate->op != ENGINE_OP_UNARY)
    return KERNEL_UNARY_COUNT;
  *x = mul->inputs[1 - i];
  *f = scale;
  kind = function_of (graph, gate, *x);
  before = uniform_of (graph, *x, &factor, &nothing);
  if (kind != KERNEL_UNARY_COUNT || !before || nothing != 0)
    return kind;
  *x = before->inputs[0];
  *f *= factor;
  return function_of (graph, gate, *x);
}

/* The factor behind the product, 1/2 then, is taken away; FALSE where there is another. */
static gboolean
settle_factor (EngineGraph *graph, EngineNode *mul, double f)
{
  EngineNode *after;
  float scale, shift;

  if (is_close (2 * f, 1))
    return TRUE;
  after = engine_graph_sole_consumer (graph, mul->output);
  if (!after || after->op != ENGINE_OP_AFFINE)
    return FALSE;
  if (engine_rewrite_uniform (graph, after, &scale, &shift) && shift == 0 &&
      is_close (2 * f * scale, 1))
    engine_rewrite_stand_for (graph, after->output, mul->output);
  else
    engine_rewrite_scale_affine (graph, after, 2 * f);
  return TRUE;
}

static void
fuse (EngineGraph *graph, int index)
{
  EngineNode *mul = engine_graph_node (graph, index);
  KernelUnary kind;
  double f;
  int x;

  for (int i = 0; i < 2 && is_product (mul); i++) {
    kind = gelu_of (graph, mul, i, &x, &f);
    if (kind == KERNEL_UNARY_COUNT || !settle_factor (graph, mul, f))
      continue;
    engine_rewrite_to_unary (mul, x, kind);
    return;
  }
}

gboolean
engine_pass_fuse_gelu (EngineGraph *graph, const EnginePassContext *context, GError **error)
{
  for (guint i = 0; i < graph->nodes->len; i++)
    fuse (graph, i);
  engine_graph_compact (graph);
  return TRUE;
}
