/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/fold-layer.c: products, convolutions and softmax of constants: small networks that make biases or
 * positions of numbers that are in the model. All add up in double.
 */
#include "engine/onnx/fold.h"

#include <math.h>
#include <string.h>

#define MAX_PRODUCTS ((gint64) 1 << 34) /* of all constants of a model: seconds */

/* --- Products ------------------------------------------------------------------------------- */

/* Element (row, column) is f[row * of_row + column * of_column]. */
typedef struct {
  const float *f;
  gint64 of_row, of_column;
} Matrix;

static Matrix
matrix (const EngineOnnxConstant *of, gint64 from, gint64 of_row, gint64 of_column)
{
  return of->splat ? (Matrix){of->f, 0, 0} : (Matrix){of->f + from, of_row, of_column};
}

/* The matrix that a constant of two axes is, or its transpose. */
static Matrix
whole (const EngineOnnxConstant *of, gboolean transposed)
{
  return transposed ? matrix (of, 0, 1, of->dims[1]) : matrix (of, 0, of->dims[1], 1);
}

/* sums += x * a row of b */
static void
add_row (double *sums, double x, const Matrix *b, gint64 row, gint64 columns)
{
  const float *f = b->f + row * b->of_row;

  if (b->of_column == 1)
    for (gint64 c = 0; c < columns; c++)
      sums[c] += x * f[c];
  else
    for (gint64 c = 0; c < columns; c++)
      sums[c] += x * f[c * b->of_column];
}

/* Into y, which is dense. */
static gboolean
multiply (EngineOnnx *onnx, float *y, const Matrix *a, const Matrix *b, gint64 rows, gint64 inner,
    gint64 columns, GError **error)
{
  g_autofree double *sums = engine_onnx_alloc (onnx, columns, sizeof (double), error);

  if (!sums)
    return FALSE;
  for (gint64 r = 0; r < rows; r++) {
    memset (sums, 0, columns * sizeof (double));
    for (gint64 k = 0; k < inner; k++)
      add_row (sums, a->f[r * a->of_row + k * a->of_column], b, k, columns);
    for (gint64 c = 0; c < columns; c++)
      y[r * columns + c] = sums[c];
  }
  return TRUE;
}

/* Whether a model may have a product of `elements` by `times`. */
static gboolean
may_multiply (EngineOnnx *onnx, const EngineOnnxNode *node, gint64 elements, gint64 times,
    GError **error)
{
  if (elements > (MAX_PRODUCTS - onnx->products) / MAX (times, 1))
    return ENGINE_ONNX_UNSUPPORTED ("products of constants that are too large: %" G_GINT64_FORMAT
                                    " elements, %" G_GINT64_FORMAT " times each",
        elements, times);
  onnx->products += elements * times;
  return TRUE;
}

/* Output 0 is the result, unless something before went wrong. */
static gboolean
define (EngineOnnx *onnx, const EngineOnnxNode *node, gboolean ok, const EngineOnnxResult *result)
{
  if (ok)
    return engine_onnx_define_constant (onnx, node, result->constant);
  engine_onnx_constant_unref (result->constant);
  return FALSE;
}

/* [.. m k] times [k n] */
gboolean
engine_onnx_fold_matmul (EngineOnnx *onnx, const EngineOnnxNode *node, const EngineOnnxConstant *a,
    const EngineOnnxConstant *b, GError **error)
{
  gint64 dims[ENGINE_ONNX_MAX_RANK];
  EngineOnnxResult result;

  if (!a->f || !b->f || a->rank < 2 || b->rank != 2 || b->dims[0] != a->dims[a->rank - 1])
    return ENGINE_ONNX_UNSUPPORTED (
        "a product of constants; a matrix of floats on the right, and what fits it, can be done");
  if (!may_multiply (onnx, node, a->n, b->dims[1], error))
    return FALSE;
  memcpy (dims, a->dims, sizeof dims);
  dims[a->rank - 1] = b->dims[1];
  if (!engine_onnx_result_new (onnx, &result, TRUE, a->rank, dims, error))
    return FALSE;
  const Matrix rows = matrix (a, 0, b->dims[0], 1), right = whole (b, FALSE);

  return define (onnx, node,
      multiply (onnx, result.f, &rows, &right, result.constant->n / MAX (b->dims[1], 1), b->dims[0],
          b->dims[1], error),
      &result);
}

/* y [m n] += beta * c, which is broadcast. */
static gboolean
add_multiple (const EngineOnnxNode *node, const EngineOnnxResult *y, const EngineOnnxConstant *c,
    float beta, GError **error)
{
  const gint64 *dims = y->constant->dims;
  const gint64 rows = c->rank == 2 ? c->dims[0] : 1, columns = c->rank ? c->dims[c->rank - 1] : 1;

  if (c->rank > 2 || (rows != 1 && rows != dims[0]) || (columns != 1 && columns != dims[1]))
    return ENGINE_ONNX_REFUSE (
        "C does not fit an output of %" G_GINT64_FORMAT " by %" G_GINT64_FORMAT, dims[0], dims[1]);
  for (gint64 i = 0; i < dims[0]; i++)
    for (gint64 k = 0; k < dims[1]; k++)
      y->f[i * dims[1] + k] +=
          beta * engine_onnx_f (c, (rows == 1 ? 0 : i * columns) + (columns == 1 ? 0 : k));
  return TRUE;
}

gboolean
engine_onnx_fold_gemm (EngineOnnx *onnx, const EngineOnnxNode *node, const EngineOnnxGemm *p,
    GError **error)
{
  const EngineOnnxConstant *a = engine_onnx_floats (onnx, node, 0, error), *c = NULL;
  const EngineOnnxConstant *b = a ? engine_onnx_floats (onnx, node, 1, error) : NULL;
  EngineOnnxResult result;
  gboolean ok;

  if (!b)
    return FALSE;
  if (engine_onnx_has_input (node, 2) && !(c = engine_onnx_floats (onnx, node, 2, error)))
    return FALSE;
  if (a->rank != 2 || b->rank != 2 || a->dims[!p->transposed_a] != b->dims[p->transposed_b])
    return ENGINE_ONNX_REFUSE ("A and B do not fit each other");
  const Matrix left = whole (a, p->transposed_a), right = whole (b, p->transposed_b);
  const gint64 dims[2] = {a->dims[p->transposed_a], b->dims[!p->transposed_b]};
  const gint64 inner = b->dims[p->transposed_b];

  if (!may_multiply (onnx, node, a->n, dims[1], error) ||
      !engine_onnx_result_new (onnx, &result, TRUE, 2, dims, error))
    return FALSE;
  ok = multiply (onnx, result.f, &left, &right, dims[0], inner, dims[1], error);
  for (gint64 i = 0; ok && i < result.constant->n; i++)
    result.f[i] *= p->alpha;
  ok = ok && (!c || add_multiple (node, &result, c, p->beta, error));
  return define (onnx, node, ok, &result);
}

/* --- Convolutions --------------------------------------------------------------------------- */

/* Whether an attribute is absent, or a list of nothing but this number. */
static gboolean
all_are (const EngineOnnxNode *node, const char *name, gint64 number, GError **error)
{
  const gint64 *values;
  int n;

  if (!engine_onnx_ints (node, name, &values, &n, error))
    return FALSE;
  for (int i = 0; i < n; i++)
    if (values[i] != number)
      return ENGINE_ONNX_UNSUPPORTED ("a convolution of a constant with %s of %" G_GINT64_FORMAT
                                      "; %" G_GINT64_FORMAT " can be done",
          name, values[i], number);
  return TRUE;
}

/* [n ic ..] and [oc ic 1 ..]: a product for each image. */
static gboolean
convolve (EngineOnnx *onnx, const EngineOnnxNode *node, const EngineOnnxConstant *x,
    const EngineOnnxConstant *w, const EngineOnnxConstant *bias, GError **error)
{
  const gint64 ic = x->dims[1], oc = w->dims[0];
  const Matrix left = whole (w, FALSE);
  gint64 dims[ENGINE_ONNX_MAX_RANK], pixels = 1;
  EngineOnnxResult result;
  gboolean ok = TRUE;

  memcpy (dims, x->dims, sizeof dims);
  dims[1] = oc;
  for (int i = 2; i < x->rank; i++)
    pixels *= dims[i];
  if (!may_multiply (onnx, node, x->n, oc, error) ||
      !engine_onnx_result_new (onnx, &result, TRUE, x->rank, dims, error))
    return FALSE;
  for (gint64 image = 0; ok && image < dims[0]; image++) {
    const Matrix right = matrix (x, image * ic * pixels, pixels, 1);

    ok = multiply (onnx, result.f + image * oc * pixels, &left, &right, oc, ic, pixels, error);
  }
  for (gint64 i = 0; ok && bias && i < result.constant->n; i++)
    result.f[i] += engine_onnx_f (bias, i / pixels % oc);
  return define (onnx, node, ok, &result);
}

gboolean
engine_onnx_fold_conv (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  const EngineOnnxConstant *x = engine_onnx_floats (onnx, node, 0, error), *bias = NULL;
  const EngineOnnxConstant *w = x ? engine_onnx_floats (onnx, node, 1, error) : NULL;
  gint64 group;

  if (!w || !engine_onnx_int (node, "group", 1, &group, error) ||
      !all_are (node, "pads", 0, error) || !all_are (node, "strides", 1, error) ||
      !all_are (node, "kernel_shape", 1, error))
    return FALSE;
  if (engine_onnx_has_input (node, 2) && !(bias = engine_onnx_floats (onnx, node, 2, error)))
    return FALSE;
  if (x->rank < 3 || w->rank != x->rank || w->dims[1] != x->dims[1] ||
      w->n != w->dims[0] * w->dims[1] || group != 1)
    return ENGINE_ONNX_UNSUPPORTED (
        "a convolution of a constant; windows of a pixel, without groups, can be done");
  if (bias && (bias->rank != 1 || bias->n != w->dims[0]))
    return ENGINE_ONNX_REFUSE (
        "the bias does not have one value for each of %" G_GINT64_FORMAT " outputs", w->dims[0]);
  return convolve (onnx, node, x, w, bias, error);
}

/* --- Softmax -------------------------------------------------------------------------------- */

/* Of n elements that are `step` apart. */
static void
normalise (float *y, const EngineOnnxConstant *x, gint64 from, gint64 n, gint64 step,
    gboolean logarithm)
{
  double largest = -INFINITY, sum = 0;

  for (gint64 i = 0; i < n; i++)
    largest = fmax (largest, engine_onnx_f (x, from + i * step));
  for (gint64 i = 0; i < n; i++)
    sum += exp (engine_onnx_f (x, from + i * step) - largest);
  for (gint64 i = 0; i < n; i++) {
    const double d = engine_onnx_f (x, from + i * step) - largest;

    y[from + i * step] = logarithm ? d - log (sum) : exp (d) / sum;
  }
}

gboolean
engine_onnx_fold_softmax (EngineOnnx *onnx, const EngineOnnxNode *node, gint64 attribute,
    gboolean one_axis, gboolean logarithm, GError **error)
{
  const EngineOnnxConstant *x = engine_onnx_floats (onnx, node, 0, error);
  gint64 n = 1, inner = 1;
  EngineOnnxResult result;
  int axis;

  if (!x || !engine_onnx_axis (node, attribute, x->rank, &axis, error) ||
      !engine_onnx_result_new (onnx, &result, TRUE, x->rank, x->dims, error))
    return FALSE;
  for (int i = axis; i < x->rank; i++)
    *(one_axis && i > axis ? &inner : &n) *= x->dims[i];
  for (gint64 from = 0; from < x->n; from += n * inner)
    for (gint64 i = 0; i < inner; i++)
      normalise (result.f, x, from + i, n, inner, logarithm);
  return engine_onnx_define_constant (onnx, node, result.constant);
}
