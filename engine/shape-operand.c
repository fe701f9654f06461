/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* shape-operand.c: ops of several tensors: whether they fit each other. */
#include "engine/shape.h"

/* Whether b is one value per image and channel of a. */
static gboolean
per_channel (const EngineShape *a, const EngineShape *b)
{
  const int last = a->rank - 1;

  if (a->rank != b->rank || a->rank < 3 || a->dims[0] != b->dims[0] ||
      a->dims[last] != b->dims[last])
    return FALSE;
  for (int i = 1; i < last; i++)
    if (b->dims[i] != 1)
      return FALSE;
  return TRUE;
}

/* Whether b, once for every image, is repeated along the first axes of a. */
static gboolean
repeats (const EngineShape *a, const EngineShape *b)
{
  int axis = 0;

  while (axis < b->rank && b->dims[axis] == 1)
    axis++;
  for (; axis < a->rank && a->rank == b->rank; axis++)
    if (a->dims[axis] != b->dims[axis])
      return FALSE;
  return a->rank == b->rank;
}

gboolean
engine_shape_binary (const EngineGraph *graph, const EngineNode *node, EngineShape *y,
    GError **error)
{
  const gboolean constant =
      engine_graph_value (graph, node->inputs[ENGINE_BINARY_X2])->data != NULL;
  const EngineShape a = engine_shape_of (graph, node->inputs[0]);
  const EngineShape b = engine_shape_of (graph, node->inputs[1]);

  if (constant ? !repeats (&a, &b) : !engine_shape_equal (&a, &b) && !per_channel (&a, &b)) {
    g_autofree char *a_text = engine_shape_text (&a), *b_text = engine_shape_text (&b);

    return engine_shape_misfit (node, error,
        "%s and %s do not fit: equal shapes, %s as the second, are needed", a_text, b_text,
        constant ? "or the last axes of the first" : "or one value per channel");
  }
  *y = a;
  return TRUE;
}

gboolean
engine_shape_matmul (const EngineGraph *graph, const EngineNode *node, EngineShape *y,
    GError **error)
{
  const EngineShape a = engine_shape_of (graph, node->inputs[0]);
  const EngineShape b = engine_shape_of (graph, node->inputs[1]);
  const int last = a.rank - 1, inner = node->matmul.transposed ? last : last - 1;
  gboolean fits = a.rank == b.rank && a.rank >= 3;

  for (int axis = 0; fits && axis < last - 1; axis++)
    fits = a.dims[axis] == b.dims[axis];
  if (!fits || a.dims[last] != b.dims[inner]) {
    g_autofree char *a_text = engine_shape_text (&a), *b_text = engine_shape_text (&b);

    return engine_shape_misfit (node, error,
        "%s and %s%s do not fit: matrices in equal numbers are needed", a_text, b_text,
        node->matmul.transposed ? " transposed" : "");
  }
  *y = a;
  y->dims[last] = b.dims[inner == last ? last - 1 : last];
  return TRUE;
}

gboolean
engine_shape_affine (const EngineGraph *graph, const EngineNode *node, EngineShape *y,
    GError **error)
{
  const EngineShape x = engine_shape_of (graph, node->inputs[0]);

  if (x.rank < 1)
    return engine_shape_misfit (node, error, "the input is a scalar");
  for (int i = 1; i < 3; i++) {
    const EngineShape s = engine_shape_of (graph, node->inputs[i]);

    if (s.rank != 1 || s.dims[0] != x.dims[x.rank - 1])
      return engine_shape_misfit (node, error,
          "%s needs one value for each of %" G_GINT64_FORMAT " channels",
          i == 1 ? "scale" : "shift", x.dims[x.rank - 1]);
  }
  *y = x;
  return TRUE;
}
