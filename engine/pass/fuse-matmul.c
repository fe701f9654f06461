/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pass/fuse-matmul.c: what stands around products of activations. Attention's scale, which exporters
 * put on either operand or on the scores, becomes the matmul's factor; a second operand that is
 * transposed is read as it lies. Constants that are added one after the other become one. Runs before
 * "fold", which shortens the moves that are left.
 */
#include <math.h>

#include "engine/pass/pass.h"
#include "engine/rewrite.h"

/* The matmul's factor times that of an AFFINE that only multiplies, by one; FALSE where it does not, or
 * where both together are more than a float holds. */
static gboolean
joint_factor (const EngineGraph *graph, const EngineNode *matmul, const EngineNode *affine,
    float *factor)
{
  const float *scale = engine_rewrite_floats (graph, affine->inputs[1]);
  const float *shift = engine_rewrite_floats (graph, affine->inputs[2]);
  const int c = engine_graph_value (graph, affine->inputs[1])->dims[0];

  for (int k = 0; k < c; k++)
    if (scale[k] != scale[0] || shift[k] != 0)
      return FALSE;
  *factor = matmul->matmul.factor * scale[0];
  return isfinite (*factor);
}

static gboolean
is_move (const EngineNode *node)
{
  return node->op == ENGINE_OP_RESHAPE || node->op == ENGINE_OP_TRANSPOSE;
}

/* The factor on an operand, or before moves that nobody else reads. */
static void
take_operand_factor (EngineGraph *graph, int index, int operand)
{
  const EngineNode *reader = engine_graph_node (graph, index);
  int value = reader->inputs[operand];

  for (;;) {
    const EngineNode *node = engine_rewrite_producer (graph, value);
    float factor;

    if (!node || engine_graph_sole_consumer (graph, value) != reader ||
        (node->op != ENGINE_OP_AFFINE && !is_move (node)))
      return;
    if (is_move (node)) {
      reader = node;
      value = node->inputs[0];
    } else if (joint_factor (graph, engine_graph_node (graph, index), node, &factor) &&
               engine_rewrite_bypass (graph, node->output, node->inputs[0])) {
      engine_graph_node (graph, index)->matmul.factor = factor;
      return;
    } else {
      return;
    }
  }
}

static void
take_result_factor (EngineGraph *graph, int index)
{
  EngineNode *matmul = engine_graph_node (graph, index);
  const EngineNode *affine = engine_graph_sole_consumer (graph, matmul->output);
  float factor;

  if (!affine || affine->op != ENGINE_OP_AFFINE || !joint_factor (graph, matmul, affine, &factor))
    return;
  matmul->matmul.factor = factor;
  engine_rewrite_stand_for (graph, affine->output, matmul->output);
}

/* A transpose that moves the last axis to the one before it: without that, rows stay whole. */
static gboolean
take_transpose (EngineGraph *graph, int index, GError **error)
{
  EngineNode *matmul = engine_graph_node (graph, index);
  EngineNode *transpose =
      engine_rewrite_own_producer (graph, matmul, matmul->inputs[1], ENGINE_OP_TRANSPOSE);
  int *perm, last;

  if (!transpose)
    return TRUE;
  last = engine_graph_value (graph, transpose->output)->rank - 1;
  perm = transpose->transpose.perm;
  if (perm[last - 1] != last)
    return TRUE;
  perm[last - 1] = perm[last];
  perm[last] = last;
  matmul->matmul.transposed = !matmul->matmul.transposed;
  return engine_graph_infer_shape (graph, transpose, error);
}

/* --- Sums of constants ----------------------------------------------------------------------- */

static gboolean
adds_constant (const EngineGraph *graph, const EngineNode *node)
{
  return node && node->op == ENGINE_OP_ADD && node->binary.lo == -INFINITY &&
         node->binary.hi == INFINITY &&
         engine_graph_value (graph, node->inputs[ENGINE_BINARY_X2])->data;
}

/* Of two constants that are added, with nothing but reshapes between, each of which repeats along its
 * first axes: the second becomes the sum where the first repeats within it. */
static void
merge_constants (EngineGraph *graph, int index)
{
  EngineNode *second = engine_graph_node (graph, index), *first = second;
  const EngineValue k2 = *engine_graph_value (graph, second->inputs[ENGINE_BINARY_X2]);
  const gint64 n2 = engine_value_elements (&k2);
  float *sum;

  do {
    const int value = first->inputs[0];

    first = engine_graph_sole_consumer (graph, value) == first
                ? engine_rewrite_producer (graph, value)
                : NULL;
  } while (first && first->op == ENGINE_OP_RESHAPE);
  if (!adds_constant (graph, first))
    return;

  const int k1 = first->inputs[ENGINE_BINARY_X2];
  const gint64 n1 = engine_value_elements (engine_graph_value (graph, k1));
  const float *data1 = engine_rewrite_floats (graph, k1);
  const float *data2 = g_bytes_get_data (k2.data, NULL);

  if (n2 % n1 != 0)
    return;
  sum = g_new (float, n2);
  for (gint64 i = 0; i < n2; i++)
    sum[i] = data1[i % n1] + data2[i];
  if (!engine_rewrite_bypass (graph, first->output, first->inputs[0])) {
    g_free (sum);
    return;
  }
  second->inputs[ENGINE_BINARY_X2] =
      engine_rewrite_constant (graph, k2.name, k2.rank, k2.dims, sum);
}

/* -------------------------------------------------------------------------------------------- */

gboolean
engine_pass_fuse_matmul (EngineGraph *graph, const EnginePassContext *context, GError **error)
{
  for (guint i = 0; i < graph->nodes->len; i++) {
    if (engine_graph_node (graph, i)->op == ENGINE_OP_MATMUL) {
      take_operand_factor (graph, i, 0);
      take_operand_factor (graph, i, 1);
      take_result_factor (graph, i);
      if (!take_transpose (graph, i, error))
        return FALSE;
    } else if (adds_constant (graph, engine_graph_node (graph, i))) {
      merge_constants (graph, i);
    }
  }
  engine_graph_compact (graph);
  return TRUE;
}
