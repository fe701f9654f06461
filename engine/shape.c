/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * shape.c: the dims of every op's output. One function per family; each writes the output's rank
 * and dims, or says what does not fit.
 */
#include "engine/engine.h"
#include "engine/graph.h"

typedef struct {
  int rank;
  gint64 dims[ENGINE_MAX_RANK];
} Shape;

static Shape
shape_of (const EngineGraph *graph, int value)
{
  const EngineValue *v = engine_graph_value (graph, value);
  Shape shape = {v->rank};

  for (int i = 0; i < v->rank; i++)
    shape.dims[i] = v->dims[i];
  return shape;
}

static char *
shape_text (const Shape *shape)
{
  GString *text = g_string_new ("[");

  for (int i = 0; i < shape->rank; i++)
    g_string_append_printf (text, "%s%" G_GINT64_FORMAT, i ? " " : "", shape->dims[i]);
  g_string_append_c (text, ']');
  return g_string_free (text, FALSE);
}

G_GNUC_PRINTF (3, 4)
static gboolean
misfit (const EngineNode *node, GError **error, const char *format, ...)
{
  g_autofree char *cause = NULL;
  va_list args;

  va_start (args, format);
  cause = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MODEL, "node \"%s\" (%s): %s", node->name,
      engine_op_name (node->op), cause);
  return FALSE;
}

/* --- Windows -------------------------------------------------------------------------------- */

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
    return misfit (node, error,
        "%s: kernel, stride and dilation must be at least 1 and padding at least 0", w->axis);
  if (reach > padded)
    return misfit (node, error,
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
shape_nhwc (const EngineNode *node, const Shape *x, gint64 nhwc[4], GError **error)
{
  if (x->rank < 2 || x->rank > 4)
    return misfit (node, error, "the input has rank %d; 2, 3 or 4 is needed", x->rank);
  nhwc[0] = x->dims[0];
  nhwc[1] = x->rank == 4 ? x->dims[1] : 1;
  nhwc[2] = x->rank >= 3 ? x->dims[x->rank - 2] : 1;
  nhwc[3] = x->dims[x->rank - 1];
  return TRUE;
}

/* y has x's rank, or 2 where it had that before and there is one output pixel. */
static gboolean
window_shape (const EngineGraph *graph, const EngineNode *node, const Shape *x, gint64 n, gint64 oh,
    gint64 ow, gint64 oc, Shape *y, GError **error)
{
  const gboolean flat = engine_graph_value (graph, node->output)->rank == 2 && oh == 1 && ow == 1;
  const int rank = flat ? 2 : x->rank;

  if (rank < 4 && oh != 1)
    return misfit (node, error, "padding makes height out of an input without one");
  if (rank < 3 && ow != 1)
    return misfit (node, error, "padding makes width out of an input without one");
  y->rank = rank;
  y->dims[0] = n;
  if (rank == 4)
    y->dims[1] = oh;
  if (rank >= 3)
    y->dims[rank - 2] = ow;
  y->dims[rank - 1] = oc;
  return TRUE;
}

static gboolean
conv_shape (const EngineGraph *graph, const EngineNode *node, Shape *y, GError **error)
{
  const EngineConvParams *p = &node->conv;
  const Shape x = shape_of (graph, node->inputs[ENGINE_CONV_X]);
  const Shape w = shape_of (graph, node->inputs[ENGINE_CONV_W]);
  gint64 nhwc[4] = {0}, oh, ow;

  if (!shape_nhwc (node, &x, nhwc, error))
    return FALSE;
  if (w.rank != 4)
    return misfit (node, error, "the weights have rank %d; [oc kh kw ic/groups] is needed", w.rank);
  if (p->groups < 1 || nhwc[3] % p->groups != 0 || w.dims[0] % p->groups != 0)
    return misfit (node, error,
        "%d groups do not divide %" G_GINT64_FORMAT " input and %" G_GINT64_FORMAT
        " output channels",
        p->groups, nhwc[3], w.dims[0]);
  if (w.dims[3] != nhwc[3] / p->groups)
    return misfit (node, error,
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

static gboolean
pool_shape (const EngineGraph *graph, const EngineNode *node, Shape *y, GError **error)
{
  const EnginePoolParams *p = &node->pool;
  const Shape x = shape_of (graph, node->inputs[0]);
  gint64 nhwc[4] = {0}, oh, ow;

  if (!shape_nhwc (node, &x, nhwc, error))
    return FALSE;

  const Window h = {"height", nhwc[1], p->kh, p->stride_h, p->dilation_h, p->pad_top, p->pad_bottom,
      p->ceil_mode};
  const Window v = {"width", nhwc[2], p->kw, p->stride_w, p->dilation_w, p->pad_left, p->pad_right,
      p->ceil_mode};
  return window_outputs (node, &h, &oh, error) && window_outputs (node, &v, &ow, error) &&
         window_shape (graph, node, &x, nhwc[0], oh, ow, nhwc[3], y, error);
}

/* --- Element-wise --------------------------------------------------------------------------- */

static gboolean
same_shape (const Shape *a, const Shape *b)
{
  if (a->rank != b->rank)
    return FALSE;
  for (int i = 0; i < a->rank; i++)
    if (a->dims[i] != b->dims[i])
      return FALSE;
  return TRUE;
}

/* Whether b is one value per image and channel of a. */
static gboolean
per_channel (const Shape *a, const Shape *b)
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
repeats (const Shape *a, const Shape *b)
{
  int axis = 0;

  while (axis < b->rank && b->dims[axis] == 1)
    axis++;
  for (; axis < a->rank && a->rank == b->rank; axis++)
    if (a->dims[axis] != b->dims[axis])
      return FALSE;
  return a->rank == b->rank;
}

static gboolean
binary_shape (const EngineGraph *graph, const EngineNode *node, Shape *y, GError **error)
{
  const gboolean constant =
      engine_graph_value (graph, node->inputs[ENGINE_BINARY_X2])->data != NULL;
  const Shape a = shape_of (graph, node->inputs[0]), b = shape_of (graph, node->inputs[1]);

  if (constant ? !repeats (&a, &b) : !same_shape (&a, &b) && !per_channel (&a, &b)) {
    g_autofree char *a_text = shape_text (&a), *b_text = shape_text (&b);

    return misfit (node, error, "%s and %s do not fit: equal shapes, %s as the second, are needed",
        a_text, b_text, constant ? "or the last axes of the first" : "or one value per channel");
  }
  *y = a;
  return TRUE;
}

static gboolean
matmul_shape (const EngineGraph *graph, const EngineNode *node, Shape *y, GError **error)
{
  const Shape a = shape_of (graph, node->inputs[0]), b = shape_of (graph, node->inputs[1]);
  const int last = a.rank - 1, inner = node->matmul.transposed ? last : last - 1;
  gboolean fits = a.rank == b.rank && a.rank >= 3;

  for (int axis = 0; fits && axis < last - 1; axis++)
    fits = a.dims[axis] == b.dims[axis];
  if (!fits || a.dims[last] != b.dims[inner]) {
    g_autofree char *a_text = shape_text (&a), *b_text = shape_text (&b);

    return misfit (node, error, "%s and %s%s do not fit: matrices in equal numbers are needed",
        a_text, b_text, node->matmul.transposed ? " transposed" : "");
  }
  *y = a;
  y->dims[last] = b.dims[inner == last ? last - 1 : last];
  return TRUE;
}

static gboolean
affine_shape (const EngineGraph *graph, const EngineNode *node, Shape *y, GError **error)
{
  const Shape x = shape_of (graph, node->inputs[0]);

  if (x.rank < 1)
    return misfit (node, error, "the input is a scalar");
  for (int i = 1; i < 3; i++) {
    const Shape s = shape_of (graph, node->inputs[i]);

    if (s.rank != 1 || s.dims[0] != x.dims[x.rank - 1])
      return misfit (node, error, "%s needs one value for each of %" G_GINT64_FORMAT " channels",
          i == 1 ? "scale" : "shift", x.dims[x.rank - 1]);
  }
  *y = x;
  return TRUE;
}

/* --- Shape changes -------------------------------------------------------------------------- */

static gboolean
concat_shape (const EngineGraph *graph, const EngineNode *node, Shape *y, GError **error)
{
  const int axis = node->concat.axis;

  *y = shape_of (graph, node->inputs[0]);
  if (axis < 0 || axis >= y->rank)
    return misfit (node, error, "axis %d of an input of rank %d", axis, y->rank);
  for (int i = 1; i < node->n_inputs; i++) {
    Shape x = shape_of (graph, node->inputs[i]);
    const gint64 size = axis < x.rank ? x.dims[axis] : 0;

    if (axis < x.rank)
      x.dims[axis] = y->dims[axis];
    if (!same_shape (&x, y))
      return misfit (node, error, "input %d differs from the first in more than axis %d", i, axis);
    y->dims[axis] += size;
  }
  return TRUE;
}

static gboolean
slice_shape (const EngineGraph *graph, const EngineNode *node, Shape *y, GError **error)
{
  const int axis = node->slice.axis, start = node->slice.start, size = node->slice.size;

  *y = shape_of (graph, node->inputs[0]);
  if (axis < 0 || axis >= y->rank)
    return misfit (node, error, "axis %d of an input of rank %d", axis, y->rank);
  if (start < 0 || size < 1 || start + (gint64) size > y->dims[axis])
    return misfit (node, error, "%d elements from %d on, of %" G_GINT64_FORMAT " on axis %d", size,
        start, y->dims[axis], axis);
  y->dims[axis] = size;
  return TRUE;
}

static gboolean
reshape_shape (const EngineGraph *graph, const EngineNode *node, Shape *y, GError **error)
{
  const EngineValue *from = engine_graph_value (graph, node->inputs[0]);
  const EngineValue *to = engine_graph_value (graph, node->output);

  *y = shape_of (graph, node->output);
  if (to->rank < 1 || engine_value_elements (from) != engine_value_elements (to)) {
    const Shape x = shape_of (graph, node->inputs[0]);
    g_autofree char *x_text = shape_text (&x), *y_text = shape_text (y);

    return misfit (node, error, "%s does not have as many elements as %s", x_text, y_text);
  }
  return TRUE;
}

static gboolean
transpose_shape (const EngineGraph *graph, const EngineNode *node, Shape *y, GError **error)
{
  const Shape x = shape_of (graph, node->inputs[0]);
  unsigned seen = 0;

  y->rank = x.rank;
  for (int i = 0; i < x.rank; i++) {
    const int from = node->transpose.perm[i];

    if (from < 0 || from >= x.rank || seen & 1u << from)
      return misfit (node, error, "the permutation is none of %d axes", x.rank);
    seen |= 1u << from;
    y->dims[i] = x.dims[from];
  }
  return TRUE;
}

static gboolean
pad_shape (const EngineGraph *graph, const EngineNode *node, Shape *y, GError **error)
{
  *y = shape_of (graph, node->inputs[0]);
  for (int i = 0; i < y->rank; i++) {
    if (node->pad.before[i] < 0 || node->pad.after[i] < 0)
      return misfit (node, error, "negative padding on axis %d", i);
    y->dims[i] += (gint64) node->pad.before[i] + node->pad.after[i];
  }
  return TRUE;
}

/* -------------------------------------------------------------------------------------------- */

static gboolean
output_shape (const EngineGraph *graph, const EngineNode *node, Shape *y, GError **error)
{
  switch (node->op) {
  case ENGINE_OP_CONV:
    return conv_shape (graph, node, y, error);
  case ENGINE_OP_MAXPOOL:
  case ENGINE_OP_AVGPOOL:
    return pool_shape (graph, node, y, error);
  case ENGINE_OP_AFFINE:
  case ENGINE_OP_LAYERNORM:
    return affine_shape (graph, node, y, error);
  case ENGINE_OP_MATMUL:
    return matmul_shape (graph, node, y, error);
  case ENGINE_OP_ADD:
  case ENGINE_OP_MUL:
    return binary_shape (graph, node, y, error);
  case ENGINE_OP_CONCAT:
    return concat_shape (graph, node, y, error);
  case ENGINE_OP_SLICE:
    return slice_shape (graph, node, y, error);
  case ENGINE_OP_RESHAPE:
    return reshape_shape (graph, node, y, error);
  case ENGINE_OP_TRANSPOSE:
    return transpose_shape (graph, node, y, error);
  case ENGINE_OP_PAD:
    return pad_shape (graph, node, y, error);
  case ENGINE_OP_UNARY:
  case ENGINE_OP_LRN:
  case ENGINE_OP_SOFTMAX:
  case ENGINE_OP_QUANTISE:
  case ENGINE_OP_DEQUANTISE:
  case ENGINE_OP_NARROW:
  case ENGINE_OP_WIDEN:
    *y = shape_of (graph, node->inputs[0]);
    return TRUE;
  case ENGINE_OP_COUNT:
    break;
  }
  g_return_val_if_reached (FALSE);
}

/* The bounds of graph.h. Axes are checked before their product, which therefore cannot overflow:
 * it stays below MAX_ELEMENTS * MAX_DIM = 2^55. */
static gboolean
check_size (const EngineNode *node, const Shape *y, GError **error)
{
  gint64 elements = 1;

  for (int i = 0; i < y->rank; i++) {
    if (y->dims[i] < 1 || y->dims[i] > ENGINE_MAX_DIM)
      return misfit (node, error,
          "axis %d of the output has size %" G_GINT64_FORMAT "; 1 to %d is possible", i, y->dims[i],
          ENGINE_MAX_DIM);
    elements *= y->dims[i];
    if (elements > ENGINE_MAX_ELEMENTS)
      return misfit (node, error, "the output has more than %" G_GINT64_FORMAT " elements",
          ENGINE_MAX_ELEMENTS);
  }
  return TRUE;
}

gboolean
engine_graph_output_dims (const EngineGraph *graph, const EngineNode *node, int *rank,
    int dims[ENGINE_MAX_RANK], GError **error)
{
  Shape shape = {0};

  if (!output_shape (graph, node, &shape, error) || !check_size (node, &shape, error))
    return FALSE;
  *rank = shape.rank;
  for (int i = 0; i < shape.rank; i++)
    dims[i] = shape.dims[i];
  return TRUE;
}

gboolean
engine_graph_infer_shape (EngineGraph *graph, EngineNode *node, GError **error)
{
  EngineValue *y = engine_graph_value (graph, node->output);

  if (!engine_graph_output_dims (graph, node, &y->rank, y->dims, error))
    return FALSE;
  if (node->op == ENGINE_OP_QUANTISE)
    y->type = ENGINE_TYPE_S8;
  else if (node->op == ENGINE_OP_NARROW)
    y->type = ENGINE_TYPE_F16;
  else if (node->op == ENGINE_OP_DEQUANTISE || node->op == ENGINE_OP_WIDEN)
    y->type = ENGINE_TYPE_F32;
  return TRUE;
}
