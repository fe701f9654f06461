/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/einsum.c: Einsum of two operands, one of which may be weights. A label is of both and of the result
 * (a batch), of both only (summed), or of one and of the result: its rows or columns. Operands are brought
 * into the order of a product of matrices, and the result out of it; where an equation is one already,
 * nothing is moved. Weights are a convolution's, with a group for each index of the batch.
 */
#include <string.h>

#include "engine/onnx/levels.h"

typedef char Labels[ENGINE_MAX_RANK + 1];

typedef struct {
  Labels a, b, y;                      /* as the equation has them */
  Labels batch, rows, columns, summed; /* rows of a, columns of b; in the order of y */
  int size[128];                       /* of each label; 0: not one */
} Einsum;

/* --- The equation --------------------------------------------------------------------------- */

/* Without blanks. */
static gboolean
read_equation (const char *equation, Einsum *e)
{
  char *const parts[] = {e->a, e->b, e->y};
  int part = 0, n = 0;

  for (const char *c = equation; *c; c++) {
    if (*c == ' ')
      continue;
    if ((*c == ',' && part == 0) || (*c == '-' && c[1] == '>' && part == 1)) {
      parts[part++][n] = '\0';
      n = 0;
      c += *c == '-';
    } else if (g_ascii_isalpha (*c) && n < ENGINE_MAX_RANK && !memchr (parts[part], *c, n)) {
      parts[part][n++] = *c;
    } else {
      return FALSE;
    }
  }
  parts[part][n] = '\0';
  return part == 2;
}

/* FALSE where a label of one operand is summed, or where the result has one of its own. */
static gboolean
sort_labels (Einsum *e)
{
  int batch = 0, rows = 0, columns = 0, summed = 0;

  for (const char *c = e->y; *c; c++) {
    const gboolean in_a = strchr (e->a, *c) != NULL, in_b = strchr (e->b, *c) != NULL;

    if (!in_a && !in_b)
      return FALSE;
    if (in_a && in_b)
      e->batch[batch++] = *c;
    else if (in_a)
      e->rows[rows++] = *c;
    else
      e->columns[columns++] = *c;
  }
  for (const char *c = e->a; *c; c++)
    if (!strchr (e->y, *c)) {
      if (!strchr (e->b, *c))
        return FALSE;
      e->summed[summed++] = *c;
    }
  for (const char *c = e->b; *c; c++)
    if (!strchr (e->y, *c) && !strchr (e->a, *c))
      return FALSE;
  e->batch[batch] = e->rows[rows] = e->columns[columns] = e->summed[summed] = '\0';
  return TRUE;
}

static gboolean
read_sizes (const EngineOnnxNode *node, Einsum *e, const char *labels, const EngineOnnxValue *x,
    GError **error)
{
  const int rank = x->constant ? x->constant->rank : x->rank;

  if ((int) strlen (labels) != rank)
    return ENGINE_ONNX_REFUSE ("labels %s for %d axes", labels, rank);
  for (int i = 0; i < rank; i++) {
    const gint64 size = x->constant ? x->constant->dims[i] : x->dims[i];
    int *known = &e->size[(guchar) labels[i]];

    if (size < 1 || size > ENGINE_MAX_DIM || (*known != 0 && *known != size))
      return ENGINE_ONNX_REFUSE ("label %c has the sizes %d and %" G_GINT64_FORMAT, labels[i],
          *known, size);
    *known = (int) size;
  }
  return TRUE;
}

/* --- Axes ----------------------------------------------------------------------------------- */

/* A graph value whose axes have these labels, in another order. */
static int
arrange (EngineOnnx *onnx, const EngineOnnxNode *node, int value, const char *from, const char *to,
    GError **error)
{
  EngineNode *transpose;

  if (value == ENGINE_NONE || strcmp (from, to) == 0)
    return value;
  transpose = engine_onnx_add (onnx, node, ENGINE_OP_TRANSPOSE, 0, &value, 1);
  for (int i = 0; to[i]; i++)
    transpose->transpose.perm[i] = (int) (strchr (from, to[i]) - from);
  return engine_onnx_infer (onnx, node, transpose, error);
}

static gint64
product (const Einsum *e, const char *labels)
{
  gint64 n = 1;

  for (const char *c = labels; *c; c++)
    n *= e->size[(guchar) *c];
  return n;
}

/* With the labels of `each` as axes, and those of both lists behind as one each; NULL: none. */
static int
merge (EngineOnnx *onnx, const EngineOnnxNode *node, const Einsum *e, int value, const char *from,
    const char *each, const char *first, const char *second, GError **error)
{
  g_autofree char *to = g_strconcat (each, first, second, NULL);
  int dims[ENGINE_MAX_RANK + 2], rank = 0;

  value = arrange (onnx, node, value, from, to, error);
  for (const char *c = each; *c; c++)
    dims[rank++] = e->size[(guchar) *c];
  dims[rank++] =
      (int) product (e, first); /* of a value's elements, of which there are fewer than 2^31 */
  if (second)
    dims[rank++] = (int) product (e, second);
  if (value == ENGINE_NONE || (strlen (first) == 1 && (!second || strlen (second) == 1)))
    return value;
  return engine_onnx_add_reshape (onnx, node, 0, value, rank, dims, error);
}

/* A graph value with these labels, whatever its axes are, is the result. */
static gboolean
define (EngineOnnx *onnx, const EngineOnnxNode *node, const Einsum *e, const char *from, int value,
    GError **error)
{
  const gboolean features =
      e->columns[0] && e->y[strlen (e->y) - 1] == e->columns[strlen (e->columns) - 1];
  int dims[ENGINE_MAX_RANK], rank = 0;

  for (const char *c = from; *c; c++)
    dims[rank++] = e->size[(guchar) *c];
  if (!engine_value_has_dims (engine_graph_value (onnx->graph, value), rank, dims))
    value = engine_onnx_add_reshape (onnx, node, 0, value, rank, dims, error);
  value = arrange (onnx, node, value, from, e->y, error);
  if (value == ENGINE_NONE)
    return FALSE;
  engine_onnx_name_output (onnx, node, value);
  return engine_onnx_define (onnx, node, 0, value, ENGINE_ONNX_PLAIN) &&
         (!features || engine_onnx_mark_features (onnx, node));
}

/* --- Products ------------------------------------------------------------------------------- */

static gboolean
of_activations (EngineOnnx *onnx, const EngineOnnxNode *node, const Einsum *e, EngineOnnxValue *a,
    EngineOnnxValue *b, GError **error)
{
  const gboolean transposed = e->summed[0] && strchr (e->summed, e->b[strlen (e->b) - 1]);
  g_autofree char *from = g_strconcat (e->batch, e->rows, e->columns, NULL);
  int inputs[2];
  EngineNode *matmul;

  if (strlen (e->batch) + 2 > ENGINE_MAX_RANK || e->batch[0] != e->a[0] || e->batch[0] != e->b[0] ||
      e->batch[0] != e->y[0])
    return ENGINE_ONNX_UNSUPPORTED (
        "%s,%s->%s: the first label is no batch of both, or there are more than %d of those", e->a,
        e->b, e->y, ENGINE_MAX_RANK - 2);
  inputs[0] = merge (onnx, node, e, engine_onnx_stored (onnx, node, a, ENGINE_ONNX_PLAIN, error),
      e->a, e->batch, e->rows, e->summed, error);
  if (inputs[0] == ENGINE_NONE)
    return FALSE;
  inputs[1] = merge (onnx, node, e, engine_onnx_stored (onnx, node, b, ENGINE_ONNX_PLAIN, error),
      e->b, e->batch, transposed ? e->columns : e->summed, transposed ? e->summed : e->columns,
      error);
  if (inputs[1] == ENGINE_NONE)
    return FALSE;
  matmul = engine_onnx_add (onnx, node, ENGINE_OP_MATMUL, 0, inputs, 2);
  matmul->matmul.transposed = transposed;
  const int value = engine_onnx_infer (onnx, node, matmul, error);
  return value != ENGINE_NONE && define (onnx, node, e, from, value, error);
}

/* --- With weights --------------------------------------------------------------------------- */

/* In the order of other labels. */
static void
sort_weights (const Einsum *e, const EngineOnnxConstant *w, const char *to, float *sorted)
{
  for (gint64 k = 0; k < w->n; k++) {
    gint64 rest = k, index[ENGINE_MAX_RANK], at = 0;

    for (int i = w->rank - 1; i >= 0; i--) {
      index[strchr (e->b, to[i]) - e->b] = rest % e->size[(guchar) to[i]];
      rest /= e->size[(guchar) to[i]];
    }
    for (int i = 0; i < w->rank; i++)
      at = at * w->dims[i] + index[i];
    sorted[k] = engine_onnx_f (w, at);
  }
}

/* The same for all of x: a layer over its last axis. */
static gboolean
connect (EngineOnnx *onnx, const EngineOnnxNode *node, const Einsum *e, EngineOnnxValue *x,
    const EngineOnnxConstant *w, GError **error)
{
  const char *inputs[2] = {engine_onnx_between (onnx), engine_onnx_between (onnx)};
  const char *output = engine_onnx_between (onnx);
  const gint64 dims[2] = {product (e, e->summed), product (e, e->columns)};
  g_autofree char *from = g_strconcat (e->rows, e->columns, NULL);
  g_autofree char *to = g_strconcat (e->summed, e->columns, NULL);
  EngineOnnxConstant *weights;
  float *sorted;
  int value = merge (onnx, node, e, engine_onnx_stored (onnx, node, x, ENGINE_ONNX_PLAIN, error),
      e->a, e->rows, e->summed, NULL, error);

  weights =
      value == ENGINE_NONE ? NULL : engine_onnx_new_floats (onnx, 2, dims, FALSE, &sorted, error);
  if (!weights)
    return FALSE;
  sort_weights (e, w, to, sorted);
  engine_onnx_new_value (onnx, inputs[1])->constant = weights;
  return engine_onnx_define_as (onnx, inputs[0], value, ENGINE_ONNX_PLAIN) &&
         engine_onnx_import_as (onnx, node, engine_onnx_import_matmul, inputs, 2, output, error) &&
         (value = engine_onnx_stored (onnx, node, g_hash_table_lookup (onnx->values, output),
              ENGINE_ONNX_PLAIN, error)) != ENGINE_NONE &&
         define (onnx, node, e, from, value, error);
}

/* Others for each index of some axes of x: a convolution with as many groups. */
static gboolean
connect_groups (EngineOnnx *onnx, const EngineOnnxNode *node, const Einsum *e, EngineOnnxValue *x,
    const EngineOnnxConstant *w, GError **error)
{
  const gint64 groups = product (e, e->batch), out = product (e, e->columns);
  const int dims[4] = {(int) (groups * out), 1, 1, (int) product (e, e->summed)};
  const char image[] = {e->rows[0], '\0'};
  g_autofree char *channels = g_strconcat (e->batch, e->summed, NULL);
  g_autofree char *to = g_strconcat (e->batch, e->columns, e->summed, NULL);
  g_autofree char *from = g_strconcat (e->rows, e->batch, e->columns, NULL);
  int inputs[ENGINE_CONV_INPUTS] = {ENGINE_NONE, ENGINE_NONE, ENGINE_NONE, ENGINE_NONE,
      ENGINE_NONE};
  EngineNode *conv;
  float *sorted;
  int value;

  inputs[ENGINE_CONV_X] =
      merge (onnx, node, e, engine_onnx_stored (onnx, node, x, ENGINE_ONNX_PLAIN, error), e->a,
          image, e->rows + 1, channels, error);
  if (inputs[ENGINE_CONV_X] == ENGINE_NONE)
    return FALSE;
  sorted = engine_onnx_alloc (onnx, w->n, sizeof *sorted, error);
  if (!sorted)
    return FALSE;
  sort_weights (e, w, to, sorted);
  inputs[ENGINE_CONV_W] = engine_onnx_add_floats (onnx, node, "weights", 4, dims, sorted, error);
  if (inputs[ENGINE_CONV_W] == ENGINE_NONE)
    return FALSE;
  conv = engine_onnx_add (onnx, node, ENGINE_OP_CONV, 0, inputs, ENGINE_CONV_INPUTS);
  conv->conv.groups = (int) groups;
  value = engine_onnx_infer (onnx, node, conv, error);
  return value != ENGINE_NONE && define (onnx, node, e, from, value, error);
}

static gboolean
with_weights (EngineOnnx *onnx, const EngineOnnxNode *node, const Einsum *e, EngineOnnxValue *x,
    const EngineOnnxConstant *w, GError **error)
{
  if (e->rows[0] != e->a[0] || e->rows[0] != e->y[0] || strlen (e->rows) >= ENGINE_MAX_RANK)
    return ENGINE_ONNX_UNSUPPORTED (
        "%s,%s->%s with a constant: weights that are the same for all images, and these first, can be "
        "done",
        e->a, e->b, e->y);
  return e->batch[0] ? connect_groups (onnx, node, e, x, w, error)
                     : connect (onnx, node, e, x, w, error);
}

static void
swap (Einsum *e, EngineOnnxValue **a, EngineOnnxValue **b)
{
  EngineOnnxValue *value = *a;
  Labels labels;

  *a = *b;
  *b = value;
  memcpy (labels, e->a, sizeof labels);
  memcpy (e->a, e->b, sizeof labels);
  memcpy (e->b, labels, sizeof labels);
}

gboolean
engine_onnx_import_einsum (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  EngineOnnxValue *a = engine_onnx_input (onnx, node, 0, error);
  EngineOnnxValue *b = a ? engine_onnx_input (onnx, node, 1, error) : NULL;
  g_autofree char *equation = NULL;
  const EngineOnnxConstant *w;
  Einsum e = {0};

  if (!b || !engine_onnx_string (node, "equation", "", &equation, error))
    return FALSE;
  if (!read_equation (equation, &e))
    return ENGINE_ONNX_UNSUPPORTED (
        "equation \"%.64s\"; one of two operands, with their result, can be done", equation);
  if (!read_sizes (node, &e, e.a, a, error) || !read_sizes (node, &e, e.b, b, error))
    return FALSE;
  if (a->constant)
    swap (&e, &a, &b);
  /* What is last in the result is best the columns. */
  else if (!b->constant && e.y[0] && !strchr (e.b, e.y[strlen (e.y) - 1]))
    swap (&e, &a, &b);
  if (!sort_labels (&e))
    return ENGINE_ONNX_UNSUPPORTED (
        "equation \"%.64s\": what one operand has alone must be in the result", equation);
  if (a->constant || a->batch_axis != 0 || b->batch_axis != 0)
    return ENGINE_ONNX_UNSUPPORTED ("two constants, or images that are not in the first axis");
  if (!b->constant)
    return of_activations (onnx, node, &e, a, b, error);
  w = b->constant;
  if (!w->f)
    return ENGINE_ONNX_REFUSE ("weights that are no floats");
  return with_weights (onnx, node, &e, a, w, error);
}
