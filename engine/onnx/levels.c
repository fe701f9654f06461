/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/levels.c: what the levels of a quantised model mean to the ops that read them (onnx/levels.h), and
 * which may.
 */
#include "engine/onnx/levels.h"

#include <string.h>

/* --- Names ---------------------------------------------------------------------------------- */

EngineOnnxValue *
engine_onnx_temporary (EngineOnnx *onnx, const EngineOnnxValue *like, EngineOnnxConstant *constant,
    const char **name)
{
  /* No name of a model has a control character. */
  char *made = g_strdup_printf ("\001%u", onnx->texts->len);
  EngineOnnxValue *value;

  g_ptr_array_add (onnx->texts, made);
  value = engine_onnx_new_value (onnx, made);
  if (like) {
    *value = *like;
    value->levels = (EngineOnnxLevels){ENGINE_ONNX_REAL};
    value->dynamic = NULL;
    if (value->constant)
      engine_onnx_constant_ref (value->constant);
  } else {
    value->constant = constant;
  }
  *name = made;
  return value;
}

gboolean
engine_onnx_import_as (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxImportFn import,
    const char *const *inputs, gsize n_inputs, const char *output, GError **error)
{
  EngineOnnx__NodeProto proto = *node->proto;
  const EngineOnnxNode made = {&proto, node->name};
  char *outputs[] = {(char *) output};

  proto.n_input = n_inputs;
  proto.input = (char **) inputs;
  proto.n_output = 1;
  proto.output = outputs;
  return import (onnx, &made, error);
}

/* --- Who may have levels -------------------------------------------------------------------- */

static gboolean
is_one_of (const char *op, const char *const *list)
{
  return g_strv_contains (list, op);
}

static gboolean
is_mover (const char *op)
{
  static const char *const movers[] = {"MaxPool", "Concat", "Split", "Slice", "Transpose",
      "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout", NULL};

  return is_one_of (op, movers);
}

static gboolean
is_quantised (const char *op)
{
  return strstr (op, "QLinear") || strstr (op, "QuantizeLinear") || strstr (op, "Integer") ||
         strcmp (op, "QGemm") == 0 || strcmp (op, "DequantizeLinear") == 0;
}

/* Ops that may read an integer of a layer whose scale is found in every image, or that scale. */
static gboolean
reads_dynamic (const char *op)
{
  static const char *const readers[] = {"Mul", "Cast", "Reshape", "Squeeze", "Unsqueeze",
      "Identity", "ConvInteger", "MatMulInteger", NULL};

  return is_one_of (op, readers);
}

/* Levels in the file; FALSE for what is not known yet and will be refused by whoever reads it. */
static gboolean
is_level_constant (const EngineOnnx *onnx, const char *name, const EngineOnnxValue *value)
{
  const EngineOnnx__TensorProto *tensor;

  if (value)
    return value->constant && value->constant->levels;
  tensor = g_hash_table_lookup (onnx->tensors, name);
  return tensor &&
         (tensor->data_type == ENGINE_ONNX_INT8 || tensor->data_type == ENGINE_ONNX_UINT8);
}

static gboolean
same_scales (const EngineOnnxLevels *a, const EngineOnnxLevels *b)
{
  if (!a->scales || !b->scales)
    return a->scales == b->scales && a->scale == b->scale;
  if (a->axis != b->axis || a->scales->n != b->scales->n)
    return FALSE;
  for (gint64 i = 0; i < a->scales->n; i++)
    if (engine_onnx_f (a->scales, i) != engine_onnx_f (b->scales, i))
      return FALSE;
  return TRUE;
}

static gboolean
same_levels (const EngineOnnxLevels *a, const EngineOnnxLevels *b)
{
  return a->kind == b->kind &&
         (a->kind == ENGINE_ONNX_REAL ||
             (same_scales (a, b) && a->zero == b->zero && a->type == b->type));
}

static gboolean
check_input (EngineOnnx *onnx, const EngineOnnxNode *node, guint i, GError **error)
{
  const char *name = node->proto->input[i], *op = node->proto->op_type;
  const EngineOnnxValue *value = g_hash_table_lookup (onnx->values, name);
  const gboolean constant = is_level_constant (onnx, name, value);
  const gboolean levels = value && value->levels.kind != ENGINE_ONNX_REAL;

  if (value && value->dynamic && !reads_dynamic (op))
    return ENGINE_ONNX_UNSUPPORTED (
        "input %u (\"%s\") is an integer sum, or a scale, that DynamicQuantizeLinear decides; Cast and "
        "a Mul with both scales can be done with it",
        i, name);
  if (levels && value->levels.scales && strcmp (op, "DequantizeLinear") != 0 &&
      strcmp (op, "Identity") != 0)
    return ENGINE_ONNX_UNSUPPORTED (
        "input %u (\"%s\") holds levels whose scale differs from channel to channel; a "
        "DequantizeLinear can read them",
        i, name);
  if ((!constant && !levels) || is_quantised (op) || strcmp (op, "Identity") == 0)
    return TRUE;
  if (levels && !constant && is_mover (op) && (i == 0 || strcmp (op, "Concat") == 0))
    return TRUE;
  return ENGINE_ONNX_UNSUPPORTED (
      "input %u (\"%s\") holds int8 or uint8 levels, and this op is done on "
      "real numbers: a DequantizeLinear is needed before it",
      i, name);
}

gboolean
engine_onnx_check_levels (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  const EngineOnnxLevels *first = NULL;

  for (guint i = 0; i < node->proto->n_input; i++) {
    const EngineOnnxValue *value;

    if (!engine_onnx_has_input (node, i))
      continue;
    if (!check_input (onnx, node, i, error))
      return FALSE;
    value = g_hash_table_lookup (onnx->values, node->proto->input[i]);
    if (strcmp (node->proto->op_type, "Concat") != 0 || !value || value->constant)
      continue;
    if (first && !same_levels (first, &value->levels))
      return ENGINE_ONNX_REFUSE (
          "it joins levels of different scales or zero points; a QLinearConcat, or a DequantizeLinear "
          "before it, is needed");
    first = &value->levels;
  }
  return TRUE;
}

void
engine_onnx_pass_levels (EngineOnnx *onnx, const EngineOnnxNode *node)
{
  const EngineOnnxValue *x =
      node->proto->n_input > 0 ? g_hash_table_lookup (onnx->values, node->proto->input[0]) : NULL;
  const gboolean moves = is_mover (node->proto->op_type);

  if (!x || (x->levels.kind == ENGINE_ONNX_REAL && !x->dynamic) ||
      (!moves && strcmp (node->proto->op_type, "Cast") != 0))
    return;
  for (gsize i = 0; i < node->proto->n_output; i++) {
    EngineOnnxValue *y = g_hash_table_lookup (onnx->values, node->proto->output[i]);

    if (!y || y == x)
      continue;
    y->levels = x->levels;
    y->dynamic = x->dynamic;
  }
}

/* --- Scales and zero points ------------------------------------------------------------------ */

gboolean
engine_onnx_check_scales (const EngineOnnxNode *node, const EngineOnnxConstant *scale,
    GError **error)
{
  for (gint64 i = 0; i < scale->n; i++) {
    const float s = engine_onnx_f (scale, i);

    if (!(s > 0 && s < INFINITY))
      return ENGINE_ONNX_REFUSE ("scale %" G_GINT64_FORMAT " is %g; above 0 and finite is possible:"
                                 " quantise the model again",
          i, s);
  }
  return scale->n > 0 || ENGINE_ONNX_REFUSE ("the scale is empty");
}

/* One scale and one zero point, though they may be written once for each channel. */
static gboolean
is_uniform (const EngineOnnxConstant *x)
{
  for (gint64 i = 1; i < x->n; i++)
    if (x->levels ? x->levels[i] != x->levels[0] : engine_onnx_f (x, i) != engine_onnx_f (x, 0))
      return FALSE;
  return x->n > 0;
}

/* *zero is NULL where it is left out. */
gboolean
engine_onnx_read_zero (EngineOnnx *onnx, const EngineOnnxNode *node, guint i,
    const EngineOnnxConstant **zero, GError **error)
{
  const EngineOnnxValue *value;

  *zero = NULL;
  if (!engine_onnx_has_input (node, i))
    return TRUE;
  value = engine_onnx_input (onnx, node, i, error);
  if (!value)
    return FALSE;
  if (!value->constant)
    return ENGINE_ONNX_UNSUPPORTED ("the zero point (\"%s\") is computed from the image",
        value->name);
  *zero = value->constant;
  return TRUE;
}

/* uint8 unless the zero point or attribute output_dtype say otherwise. */
gboolean
engine_onnx_read_level_type (const EngineOnnxNode *node, const EngineOnnxConstant *zero, int *type,
    GError **error)
{
  gint64 stated;

  if (!engine_onnx_int (node, "output_dtype", 0, &stated, error))
    return FALSE;
  *type = zero ? zero->levels_type : stated ? CLAMP (stated, -1, 100) : ENGINE_ONNX_UINT8;
  if (zero && !zero->levels)
    return ENGINE_ONNX_UNSUPPORTED ("a zero point that is neither int8 nor uint8");
  if (*type != ENGINE_ONNX_INT8 && *type != ENGINE_ONNX_UINT8)
    return ENGINE_ONNX_UNSUPPORTED ("levels of %s; int8 and uint8 can be done",
        engine_onnx_type_name (*type));
  return TRUE;
}

gboolean
engine_onnx_read_levels (EngineOnnx *onnx, const EngineOnnxNode *node, guint scale, guint zero,
    int axis, EngineOnnxLevels *levels, GError **error)
{
  const EngineOnnxConstant *s = engine_onnx_floats (onnx, node, scale, error), *z;

  if (!s || !engine_onnx_check_scales (node, s, error) ||
      !engine_onnx_read_zero (onnx, node, zero, &z, error) ||
      !engine_onnx_read_level_type (node, z, &levels->type, error))
    return FALSE;
  if (z && !is_uniform (z))
    return ENGINE_ONNX_UNSUPPORTED (
        "an activation with %" G_GINT64_FORMAT " zero points; one can be done", z->n);
  levels->kind = ENGINE_ONNX_STATIC;
  levels->scale = engine_onnx_f (s, 0);
  levels->scales = is_uniform (s) ? NULL : s;
  levels->axis = axis;
  for (gint64 i = 1; i < s->n; i++)
    levels->scale = fmaxf (levels->scale, engine_onnx_f (s, i));
  levels->zero = (z ? engine_onnx_level (z, 0) : 0) - (levels->type == ENGINE_ONNX_UINT8 ? 128 : 0);
  return TRUE;
}

/* --- As inputs of other ops ------------------------------------------------------------------ */

const char *
engine_onnx_dequantised (EngineOnnx *onnx, const EngineOnnxNode *node, guint x, guint scale,
    guint zero, int axis, GError **error)
{
  const EngineOnnxValue *value = engine_onnx_input (onnx, node, x, error);
  const EngineOnnxConstant *s = value ? engine_onnx_floats (onnx, node, scale, error) : NULL, *z;
  EngineOnnxLevels levels;
  const char *name;

  if (!s)
    return NULL;
  if (value->constant) {
    EngineOnnxConstant *real;

    if (!engine_onnx_read_zero (onnx, node, zero, &z, error) ||
        !(real = engine_onnx_real_constant (onnx, node, value->constant, s, z, axis, error)))
      return NULL;
    engine_onnx_temporary (onnx, NULL, real, &name);
    return name;
  }
  if (value->levels.kind == ENGINE_ONNX_DYNAMIC) {
    ENGINE_ONNX_UNSUPPORTED (
        "input %u (\"%s\") comes from DynamicQuantizeLinear and has no scale of "
        "its own",
        x, value->name);
    return NULL;
  }
  if (!engine_onnx_read_levels (onnx, node, scale, zero, axis, &levels, error))
    return NULL;
  if (value->levels.kind == ENGINE_ONNX_REAL) {
    ENGINE_ONNX_REFUSE ("input %u (\"%s\") holds real numbers where levels are needed", x,
        value->name);
    return NULL;
  }
  if (!same_scales (&levels, &value->levels) && (levels.scales || value->levels.scales)) {
    ENGINE_ONNX_UNSUPPORTED (
        "input %u (\"%s\") is read with other scales of its channels than it was made with", x,
        value->name);
    return NULL;
  }
  if (!same_levels (&levels, &value->levels)) {
    ENGINE_ONNX_UNSUPPORTED (
        "input %u (\"%s\") is read with scale %g and zero point %d, and was made with %g and %d (of int8)",
        x, value->name, levels.scale, levels.zero, value->levels.scale, value->levels.zero);
    return NULL;
  }
  engine_onnx_temporary (onnx, value, NULL, &name);
  return name;
}

const char *
engine_onnx_dequantised_bias (EngineOnnx *onnx, const EngineOnnxNode *node, guint bias,
    guint scale_x, guint scale_w, GError **error)
{
  const EngineOnnxConstant *b = engine_onnx_integers (onnx, node, bias, error);
  const EngineOnnxConstant *x = b ? engine_onnx_floats (onnx, node, scale_x, error) : NULL;
  const EngineOnnxConstant *w = x ? engine_onnx_floats (onnx, node, scale_w, error) : NULL;
  EngineOnnxConstant *real;
  const char *name;
  float *f;

  if (!w || !engine_onnx_check_scales (node, x, error) ||
      !engine_onnx_check_scales (node, w, error))
    return NULL;
  if (w->n != 1 && w->n != b->n) {
    ENGINE_ONNX_REFUSE ("%" G_GINT64_FORMAT " biases and %" G_GINT64_FORMAT " scales of weights",
        b->n, w->n);
    return NULL;
  }
  real = engine_onnx_new_floats (onnx, b->rank, b->dims, FALSE, &f, error);
  if (!real)
    return NULL;
  for (gint64 i = 0; i < b->n; i++)
    f[i] = (float) ((double) engine_onnx_i (b, i) * engine_onnx_f (x, 0) *
                    engine_onnx_f (w, w->n > 1 ? i : 0));
  engine_onnx_temporary (onnx, NULL, real, &name);
  return name;
}
