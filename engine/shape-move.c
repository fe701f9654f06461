/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* shape-move.c: ops that leave values as they are: concat, slice, reshape, transpose and pad. */
#include "engine/shape.h"

gboolean
engine_shape_concat (const EngineGraph *graph, const EngineNode *node, EngineShape *y,
    GError **error)
{
  const int axis = node->concat.axis;

  *y = engine_shape_of (graph, node->inputs[0]);
  if (axis < 0 || axis >= y->rank)
    return engine_shape_misfit (node, error, "axis %d of an input of rank %d", axis, y->rank);
  for (int i = 1; i < node->n_inputs; i++) {
    EngineShape x = engine_shape_of (graph, node->inputs[i]);
    const gint64 size = axis < x.rank ? x.dims[axis] : 0;

    if (axis < x.rank)
      x.dims[axis] = y->dims[axis];
    if (!engine_shape_equal (&x, y))
      return engine_shape_misfit (node, error,
          "input %d differs from the first in more than axis %d", i, axis);
    y->dims[axis] += size;
  }
  return TRUE;
}

gboolean
engine_shape_slice (const EngineGraph *graph, const EngineNode *node, EngineShape *y,
    GError **error)
{
  const int axis = node->slice.axis, start = node->slice.start, size = node->slice.size;

  *y = engine_shape_of (graph, node->inputs[0]);
  if (axis < 0 || axis >= y->rank)
    return engine_shape_misfit (node, error, "axis %d of an input of rank %d", axis, y->rank);
  if (start < 0 || size < 1 || start + (gint64) size > y->dims[axis])
    return engine_shape_misfit (node, error,
        "%d elements from %d on, of %" G_GINT64_FORMAT " on axis %d", size, start, y->dims[axis],
        axis);
  y->dims[axis] = size;
  return TRUE;
}

gboolean
engine_shape_reshape (const EngineGraph *graph, const EngineNode *node, EngineShape *y,
    GError **error)
{
  const EngineValue *from = engine_graph_value (graph, node->inputs[0]);
  const EngineValue *to = engine_graph_value (graph, node->output);

  *y = engine_shape_of (graph, node->output);
  if (to->rank < 1 || engine_value_elements (from) != engine_value_elements (to)) {
    const EngineShape x = engine_shape_of (graph, node->inputs[0]);
    g_autofree char *x_text = engine_shape_text (&x), *y_text = engine_shape_text (y);

    return engine_shape_misfit (node, error, "%s does not have as many elements as %s", x_text,
        y_text);
  }
  return TRUE;
}

gboolean
engine_shape_transpose (const EngineGraph *graph, const EngineNode *node, EngineShape *y,
    GError **error)
{
  const EngineShape x = engine_shape_of (graph, node->inputs[0]);
  unsigned seen = 0;

  y->rank = x.rank;
  for (int i = 0; i < x.rank; i++) {
    const int from = node->transpose.perm[i];

    if (from < 0 || from >= x.rank || seen & 1u << from)
      return engine_shape_misfit (node, error, "the permutation is none of %d axes", x.rank);
    seen |= 1u << from;
    y->dims[i] = x.dims[from];
  }
  return TRUE;
}

gboolean
engine_shape_pad (const EngineGraph *graph, const EngineNode *node, EngineShape *y, GError **error)
{
  *y = engine_shape_of (graph, node->inputs[0]);
  for (int i = 0; i < y->rank; i++) {
    if (node->pad.before[i] < 0 || node->pad.after[i] < 0)
      return engine_shape_misfit (node, error, "negative padding on axis %d", i);
    y->dims[i] += (gint64) node->pad.before[i] + node->pad.after[i];
  }
  return TRUE;
}
