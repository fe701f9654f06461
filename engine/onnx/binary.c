/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/binary.c: sums and products. With a constant they are a scale and shift per channel, as batch
 * normalisation is; of two activations, the second may have one value per channel.
 */
#include <math.h>
#include <string.h>

#include "engine/onnx/levels.h"

/* --- With a constant ------------------------------------------------------------------------- */

static gboolean
is_uniform (const EngineOnnxConstant *constant)
{
  for (gint64 i = 1; !constant->splat && i < constant->n; i++)
    if (constant->f[i] != constant->f[0])
      return FALSE;
  return constant->n > 0;
}

/* The axis of x along which the constant differs; ENGINE_NONE where it is one value. */
static gboolean
varying_axis (const EngineOnnxNode *node, const EngineOnnxValue *x,
    const EngineOnnxConstant *constant, int *axis, GError **error)
{
  const gboolean uniform = is_uniform (constant);

  *axis = ENGINE_NONE;
  if (constant->rank > x->rank)
    return ENGINE_ONNX_UNSUPPORTED ("a constant with %d axes, more than the other input's %d",
        constant->rank, x->rank);
  for (int i = 0; i < constant->rank; i++) {
    const int of_x = x->rank - constant->rank + i;

    if (constant->dims[i] == 1)
      continue;
    if (constant->dims[i] != x->dims[of_x])
      return ENGINE_ONNX_UNSUPPORTED ("axis %d of the constant has size %" G_GINT64_FORMAT
                                      ", the other input's %d; equal sizes or 1 can be done",
          i, constant->dims[i], x->dims[of_x]);
    if (*axis != ENGINE_NONE && !uniform)
      return ENGINE_ONNX_UNSUPPORTED (
          "the constant differs along several axes; one value, or one per channel, can be done");
    *axis = of_x;
  }
  if (uniform)
    *axis = ENGINE_NONE;
  return TRUE;
}

/* A storage whose last axis is this one. */
static gboolean
storage_for_axis (const EngineOnnx *onnx, const EngineOnnxNode *node, const EngineOnnxValue *x,
    int axis, EngineOnnxStorage *storage, GError **error)
{
  *storage = engine_onnx_storage (onnx, x);
  if (axis == ENGINE_NONE)
    return TRUE;
  *storage = x->batch_axis != 0 ? ENGINE_ONNX_FREE : ENGINE_ONNX_PLAIN;
  if (axis == x->rank - 1)
    return TRUE;
  *storage = ENGINE_ONNX_CHANNELS_LAST;
  if (axis == 1 && engine_onnx_may_be_channels_last (x))
    return TRUE;
  return ENGINE_ONNX_UNSUPPORTED (
      "the constant differs along axis %d of %d; the channels, 1 or the last, can be done", axis,
      x->rank);
}

/* x op k, or k op x if reversed. */
static gboolean
scale_and_shift (const EngineOnnxNode *node, char op, gboolean reversed, double k, float *scale,
    float *shift, GError **error)
{
  *scale = 1;
  *shift = 0;
  switch (op) {
  case '+':
    *shift = k;
    return TRUE;
  case '-':
    *scale = reversed ? -1 : 1;
    *shift = reversed ? k : -k;
    return TRUE;
  case '*':
    *scale = k;
    return TRUE;
  default:
    if (reversed)
      return ENGINE_ONNX_UNSUPPORTED ("a constant divided by something computed");
    if (k == 0)
      return ENGINE_ONNX_REFUSE ("a division by zero");
    *scale = 1 / k;
    return TRUE;
  }
}

/* Whether scale and shift along the last axis of a storage will do. */
static gboolean
is_affine (const EngineOnnxValue *x, const EngineOnnxConstant *constant)
{
  int varying = 0, axis = x->rank - 1;

  if (is_uniform (constant) && constant->n == 1)
    return TRUE;
  for (int i = 0; i < constant->rank && constant->rank <= x->rank; i++)
    if (constant->dims[i] != 1) {
      varying++;
      axis = x->rank - constant->rank + i;
    }
  if (constant->rank > x->rank || (varying > 1 && is_uniform (constant)))
    return TRUE;
  return varying < 2 && axis != x->batch_axis &&
         (axis == x->rank - 1 || (axis == 1 && x->batch_axis == 0 && !x->features_last &&
                                     engine_onnx_may_be_channels_last (x)));
}

/* Whether the constant has more elements along an axis of which x has one. */
static gboolean
widens (const EngineOnnxValue *x, const EngineOnnxConstant *constant)
{
  for (int i = 0; i < constant->rank && constant->rank <= x->rank; i++) {
    const int axis = x->rank - constant->rank + i;

    if (constant->dims[i] > 1 && x->dims[axis] == 1 && axis != x->batch_axis)
      return TRUE;
  }
  return FALSE;
}

/* Then x is repeated before. */
static gboolean
with_wide_constant (EngineOnnx *onnx, const EngineOnnxNode *node, char op,
    const EngineOnnxConstant *constant, gboolean reversed, GError **error)
{
  const EngineOnnxImportFn import = op == '+'   ? engine_onnx_import_add
                                    : op == '-' ? engine_onnx_import_sub
                                    : op == '*' ? engine_onnx_import_mul
                                                : engine_onnx_import_div;
  const char *inputs[2] = {node->proto->input[0], node->proto->input[1]};
  const char *expand[2] = {inputs[reversed], engine_onnx_between (onnx)};
  const gint64 rank = constant->rank;
  gint64 *shape;
  EngineOnnxConstant *dims = engine_onnx_new_integers (onnx, 1, &rank, &shape, error);

  if (!dims)
    return FALSE;
  memcpy (shape, constant->dims, rank * sizeof *shape);
  engine_onnx_new_value (onnx, expand[1])->constant = dims;
  inputs[reversed] = engine_onnx_between (onnx);
  return engine_onnx_import_as (onnx, node, engine_onnx_import_expand, expand, 2, inputs[reversed],
             error) &&
         engine_onnx_import_as (onnx, node, import, inputs, 2, node->proto->output[0], error);
}

static gboolean
with_constant (EngineOnnx *onnx, const EngineOnnxNode *node, char op, EngineOnnxValue *x,
    const EngineOnnxConstant *constant, gboolean reversed, GError **error)
{
  EngineOnnxStorage storage;
  float *scale, *shift;
  int axis, c;

  if (constant->f && widens (x, constant))
    return with_wide_constant (onnx, node, op, constant, reversed, error);
  if (!constant->f)
    return ENGINE_ONNX_REFUSE ("integers and floats");
  if (!is_affine (x, constant) && (!reversed || op == '+' || op == '*'))
    return engine_onnx_with_operand (onnx, node, op, x, constant, error);
  if (!varying_axis (node, x, constant, &axis, error) ||
      !storage_for_axis (onnx, node, x, axis, &storage, error))
    return FALSE;
  c = x->dims[storage == ENGINE_ONNX_CHANNELS_LAST ? 1 : x->rank - 1];
  scale = engine_onnx_alloc (onnx, c, sizeof (float), error);
  shift = scale ? engine_onnx_alloc (onnx, c, sizeof (float), error) : NULL;
  for (int k = 0; k < c; k++) {
    if (shift &&
        scale_and_shift (node, op, reversed, engine_onnx_f (constant, axis == ENGINE_NONE ? 0 : k),
            &scale[k], &shift[k], error))
      continue;
    g_free (scale);
    g_free (shift);
    return FALSE;
  }
  return engine_onnx_affine (onnx, node, x, storage, scale, shift, error);
}

/* --- Of two activations ---------------------------------------------------------------------- */

typedef struct {
  int value;
  EngineOnnxStorage storage;
} Stored;

static gboolean
combine (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOp op, EngineOnnxValue *a,
    EngineOnnxValue *b, Stored *result, GError **error)
{
  int inputs[2];

  if (!engine_onnx_align (onnx, node, a, b, &result->storage, inputs, error))
    return FALSE;
  result->value =
      engine_onnx_infer (onnx, node, engine_onnx_add (onnx, node, op, 0, inputs, 2), error);
  return result->value != ENGINE_NONE;
}

/* A value of the graph that ONNX has no name for. */
static EngineOnnxValue
unnamed (const EngineOnnx *onnx, const EngineOnnxNode *node, const EngineOnnxValue *like,
    const Stored *stored)
{
  const EngineValue *value = engine_graph_value (onnx->graph, stored->value);
  EngineOnnxValue result = *like;

  result.name = node->name;
  result.repeated = NULL;
  for (int i = 0; i < ENGINE_ONNX_STORAGES; i++)
    result.stored[i] = ENGINE_NONE;
  result.stored[stored->storage] = stored->value;
  for (int axis = 0; axis < value->rank; axis++)
    result.dims[axis] = value->dims[engine_onnx_stored_axis (&result, stored->storage, axis)];
  return result;
}

/* a - b = a + -1 * b */
static gboolean
negate (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxValue *x, EngineOnnxValue *minus,
    GError **error)
{
  const EngineOnnxStorage storage = engine_onnx_storage (onnx, x);
  Stored stored = {engine_onnx_stored (onnx, node, x, storage, error), storage};

  if (stored.value != ENGINE_NONE)
    stored.value = engine_onnx_add_uniform_affine (onnx, node, stored.value, -1, error);
  if (stored.value == ENGINE_NONE)
    return FALSE;
  *minus = unnamed (onnx, node, x, &stored);
  return TRUE;
}

/* The last node takes the name that those before it had in the meantime. */
static gboolean
define (EngineOnnx *onnx, const EngineOnnxNode *node, const Stored *result)
{
  engine_onnx_name_output (onnx, node, result->value);
  return engine_onnx_define (onnx, node, 0, result->value, result->storage);
}

/* a / b = a * (1 / b) */
static gboolean
divide (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  const char *inputs[2] = {node->proto->input[0]};
  const char *const b = node->proto->input[1];

  inputs[1] = engine_onnx_between (onnx);
  return engine_onnx_import_as (onnx, node, engine_onnx_import_reciprocal, &b, 1, inputs[1],
             error) &&
         engine_onnx_import_as (onnx, node, engine_onnx_import_mul, inputs, 2,
             node->proto->output[0], error);
}

static gboolean
of_activations (EngineOnnx *onnx, const EngineOnnxNode *node, char op, EngineOnnxValue *a,
    EngineOnnxValue *b, GError **error)
{
  EngineOnnxValue minus;
  Stored result;

  if (op == '-') {
    if (!negate (onnx, node, b, &minus, error))
      return FALSE;
    b = &minus;
  }
  return combine (onnx, node, op == '*' ? ENGINE_OP_MUL : ENGINE_OP_ADD, a, b, &result, error) &&
         define (onnx, node, &result);
}

/* Before opset 7 an attribute says which axis of a the first one of b is: axes of size 1 follow. */
static gboolean
align (const EngineOnnx *onnx, const EngineOnnxNode *node, const EngineOnnxValue *a,
    const EngineOnnxConstant *b, EngineOnnxConstant *aligned, GError **error)
{
  gint64 attribute;
  int axis;

  *aligned = *b;
  if (onnx->opset >= 7 || !engine_onnx_attribute (node, "axis"))
    return TRUE;
  if (!engine_onnx_int (node, "axis", 0, &attribute, error) ||
      !engine_onnx_axis (node, attribute, a->rank, &axis, error))
    return FALSE;
  while (aligned->rank < a->rank - axis)
    aligned->dims[aligned->rank++] = 1;
  return TRUE;
}

static gboolean
import_binary (EngineOnnx *onnx, const EngineOnnxNode *node, char op, GError **error)
{
  EngineOnnxValue *a = engine_onnx_input (onnx, node, 0, error);
  EngineOnnxValue *b = a ? engine_onnx_input (onnx, node, 1, error) : NULL;
  EngineOnnxConstant aligned;

  if (!b)
    return FALSE;
  if (a->constant && b->constant)
    return engine_onnx_fold_binary (onnx, node, op, a->constant, b->constant, error);
  if (op == '/' && !b->constant)
    return divide (onnx, node, error);
  if (!a->constant && b->constant)
    return align (onnx, node, a, b->constant, &aligned, error) &&
           with_constant (onnx, node, op, a, &aligned, FALSE, error);
  if (a->constant)
    return with_constant (onnx, node, op, b, a->constant, TRUE, error);
  return of_activations (onnx, node, op, a, b, error);
}

gboolean
engine_onnx_import_add (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  return import_binary (onnx, node, '+', error);
}

gboolean
engine_onnx_import_sub (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  return import_binary (onnx, node, '-', error);
}

gboolean
engine_onnx_import_mul (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  const EngineOnnxValue *a = engine_onnx_input (onnx, node, 0, error);
  const EngineOnnxValue *b = a ? engine_onnx_input (onnx, node, 1, error) : NULL;
  const char *dynamic;

  if (!b || !engine_onnx_mul_dynamic (onnx, node, a, b, &dynamic, error) ||
      !import_binary (onnx, node, '*', error))
    return FALSE;
  if (dynamic)
    ((EngineOnnxValue *) g_hash_table_lookup (onnx->values, node->proto->output[0]))->dynamic =
        dynamic;
  return TRUE;
}

gboolean
engine_onnx_scale_output (EngineOnnx *onnx, const EngineOnnxNode *node, double factor,
    GError **error)
{
  EngineOnnxValue *x = g_hash_table_lookup (onnx->values, node->proto->output[0]);
  const EngineOnnxStorage storage = engine_onnx_storage (onnx, x);
  const int stored = engine_onnx_stored (onnx, node, x, storage, error);
  float *scale, *shift;
  int c;

  if (stored == ENGINE_NONE)
    return FALSE;
  c = x->dims[storage == ENGINE_ONNX_CHANNELS_LAST ? 1 : x->rank - 1];
  scale = engine_onnx_alloc (onnx, c, sizeof (float), error);
  shift = scale ? engine_onnx_alloc (onnx, c, sizeof (float), error) : NULL;
  for (int k = 0; shift && k < c; k++) {
    scale[k] = (float) factor;
    shift[k] = 0;
  }
  if (shift)
    return engine_onnx_affine (onnx, node, x, storage, scale, shift, error);
  g_free (scale);
  return FALSE;
}

gboolean
engine_onnx_import_div (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  return import_binary (onnx, node, '/', error);
}

gboolean
engine_onnx_import_sum (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  EngineOnnxValue *first = engine_onnx_activation (onnx, node, 0, error);
  EngineOnnxValue sum;
  Stored result;

  if (!first)
    return FALSE;
  if (node->proto->n_input == 1)
    return engine_onnx_define_alias (onnx, node, first);
  sum = *first;
  for (guint i = 1; i < node->proto->n_input; i++) {
    EngineOnnxValue *next = engine_onnx_activation (onnx, node, i, error);

    if (!next || !combine (onnx, node, ENGINE_OP_ADD, &sum, next, &result, error))
      return FALSE;
    sum = unnamed (onnx, node, &sum, &result);
  }
  return define (onnx, node, &result);
}
