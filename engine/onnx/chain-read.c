/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* onnx/chain-read.c: whether a chain of nodes that onnx/chain.c found is a layer normalisation. */
#include "engine/onnx/chain.h"

#include <string.h>

typedef const EngineOnnx__NodeProto *Node;

/* The one axis that a mean goes over, and keeps. */
static gboolean
mean_axis (EngineOnnx *onnx, Node mean, int rank, int *axis)
{
  const EngineOnnxNode node = {mean, mean->output[0]};
  g_autofree gint64 *axes = NULL;
  gint64 keep;
  int n;

  if (strcmp (mean->op_type, "GlobalAveragePool") == 0) {
    *axis = 2;
    return rank == 3;
  }
  return engine_onnx_int (&node, "keepdims", 1, &keep, NULL) && keep &&
         engine_onnx_ints_or_input (onnx, &node, "axes", 1, &axes, &n, NULL) && n == 1 &&
         engine_onnx_axis (&node, axes[0], rank, axis, NULL);
}

/* Whether a Reshape gives a mean over this axis of x the dims that it has already. */
static gboolean
changes_nothing (EngineOnnx *onnx, Node reshape, const EngineOnnxValue *x, int axis)
{
  const EngineOnnxNode node = {reshape, reshape->output[0]};
  const EngineOnnxConstant *dims = engine_onnx_integers (onnx, &node, 1, NULL);
  int open = 0;

  if (!dims || dims->n != x->rank)
    return FALSE;
  for (int i = 0; i < x->rank; i++) {
    const gint64 size = i == axis ? 1 : x->dims[i] * (i == x->batch_axis ? onnx->batch : 1);

    open += engine_onnx_i (dims, i) == -1;
    if (engine_onnx_i (dims, i) != -1 && engine_onnx_i (dims, i) != size)
      return FALSE;
  }
  return open <= 1;
}

/* The constant among the two inputs of a Mul or Add, if it has one value or one for each index of an axis. */
static const EngineOnnxConstant *
operand (EngineOnnx *onnx, Node proto, const EngineOnnxValue *x, int axis)
{
  const EngineOnnxNode node = {proto, proto->output[0]};
  const EngineOnnxConstant *constant = NULL;

  for (guint i = 0; i < 2 && !constant; i++)
    constant = engine_onnx_floats (onnx, &node, i, NULL);
  if (!constant || constant->rank > x->rank)
    return NULL;
  for (int i = 0; i < constant->rank; i++) {
    const int of_x = x->rank - constant->rank + i;

    if (constant->dims[i] != 1 && (of_x != axis || constant->dims[i] != x->dims[axis]))
      return NULL;
  }
  return constant;
}

/* Exponents other than 2 make no variance. */
static gboolean
is_square (EngineOnnx *onnx, Node square)
{
  const EngineOnnxNode node = {square, square->output[0]};
  float exponent;

  return strcmp (square->op_type, "Pow") != 0 ||
         (engine_onnx_scalar (onnx, &node, 1, &exponent, NULL) && exponent == 2);
}

gboolean
engine_onnx_chain_read (EngineOnnx *onnx, const EngineOnnxChain *chain, EngineOnnxLayerNorm *norm)
{
  const EngineOnnxNode mean = {chain->mean, chain->mean->output[0]};
  EngineOnnxValue *x = engine_onnx_activation (onnx, &mean, 0, NULL);
  const EngineOnnxConstant *epsilon;
  int axis, other;

  *norm = (EngineOnnxLayerNorm){.x = x};
  if (!x || !mean_axis (onnx, chain->mean, x->rank, &axis) ||
      !mean_axis (onnx, chain->variance, x->rank, &other) || axis != other ||
      !engine_onnx_may_normalise (x, axis) || !is_square (onnx, chain->square) ||
      (chain->copy && !changes_nothing (onnx, chain->copy, x, axis)))
    return FALSE;
  epsilon = operand (onnx, chain->epsilon, x, axis);
  if (!epsilon || epsilon->n != 1)
    return FALSE;
  norm->axis = axis;
  norm->epsilon = engine_onnx_f (epsilon, 0);
  norm->scale = chain->scale ? operand (onnx, chain->scale, x, axis) : NULL;
  norm->shift = chain->shift ? operand (onnx, chain->shift, x, axis) : NULL;
  return (!chain->scale || norm->scale) && (!chain->shift || norm->shift);
}
