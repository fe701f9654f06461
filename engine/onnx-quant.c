/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx-quant.c: QuantizeLinear and DequantizeLinear, and what their levels mean to other ops.
 *
 * The graph has real numbers only. An activation that ONNX calls int8 or uint8 is the output of a
 * pair of nodes, quantise and dequantise, that rounds it to its levels; the value remembers what the
 * levels are. Ops that move levels without reading them (MaxPool, Split, Reshape ...) move the real
 * numbers instead. uint8 is int8 with 128 added to levels and zero point.
 *
 * Constants become floats at once, and remember their scales, so that an INT8 engine gets the
 * integers of the model back.
 */
#include <math.h>
#include <string.h>

#include "engine/onnx-import.h"

/* --- Names ---------------------------------------------------------------------------------- */

EngineOnnxValue *
engine_onnx_temporary (EngineOnnx *onnx, const EngineOnnxValue *like, EngineOnnxConstant *constant)
{
  /* No name of a model has a control character. */
  char *name = g_strdup_printf ("\001%u", onnx->texts->len);
  EngineOnnxValue *value;

  g_ptr_array_add (onnx->texts, name);
  value = engine_onnx_new_value (onnx, name);
  if (like) {
    *value = *like;
    value->levels = (EngineOnnxLevels){ENGINE_ONNX_REAL};
    value->dynamic = NULL;
    if (value->constant)
      engine_onnx_constant_ref (value->constant);
  } else {
    value->constant = constant;
  }
  return value;
}

/* The name that it was given last. */
static const char *
last_temporary (const EngineOnnx *onnx)
{
  return g_ptr_array_index (onnx->texts, onnx->texts->len - 1);
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
same_levels (const EngineOnnxLevels *a, const EngineOnnxLevels *b)
{
  return a->kind == b->kind &&
         (a->kind == ENGINE_ONNX_REAL ||
             (a->scale == b->scale && a->zero == b->zero && a->type == b->type));
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

static int
level_of (const EngineOnnxConstant *x, gint64 i)
{
  return x->levels_type == ENGINE_ONNX_INT8 ? (gint8) x->levels[i] : x->levels[i];
}

static gboolean
check_scales (const EngineOnnxNode *node, const EngineOnnxConstant *scale, GError **error)
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
static gboolean
read_zero (EngineOnnx *onnx, const EngineOnnxNode *node, guint i, const EngineOnnxConstant **zero,
    GError **error)
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
static gboolean
read_type (const EngineOnnxNode *node, const EngineOnnxConstant *zero, int *type, GError **error)
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
    EngineOnnxLevels *levels, GError **error)
{
  const EngineOnnxConstant *s = engine_onnx_floats (onnx, node, scale, error), *z;

  if (!s || !check_scales (node, s, error) || !read_zero (onnx, node, zero, &z, error) ||
      !read_type (node, z, &levels->type, error))
    return FALSE;
  if (!is_uniform (s) || (z && !is_uniform (z)))
    return ENGINE_ONNX_UNSUPPORTED (
        "an activation with %" G_GINT64_FORMAT " scales or zero points; one can be done", s->n);
  levels->kind = ENGINE_ONNX_STATIC;
  levels->scale = engine_onnx_f (s, 0);
  levels->zero = (z ? level_of (z, 0) : 0) - (levels->type == ENGINE_ONNX_UINT8 ? 128 : 0);
  return TRUE;
}

/* --- Constants ------------------------------------------------------------------------------ */

/* Elements behind an axis; the index along it of element i is i / inner % dims[axis]. */
static gint64
inner_of (const EngineOnnxConstant *x, int axis)
{
  return engine_onnx_elements (x->rank - axis - 1, x->dims + axis + 1);
}

static gboolean
check_count (const EngineOnnxNode *node, const EngineOnnxConstant *x, const EngineOnnxConstant *of,
    const char *what, int axis, GError **error)
{
  if (!of || of->n == 1)
    return TRUE;
  if (axis < 0 || axis >= x->rank || of->n != x->dims[axis] || of->rank != 1)
    return ENGINE_ONNX_REFUSE ("%" G_GINT64_FORMAT " %ss for %" G_GINT64_FORMAT
                               " channels on axis %d of %d",
        of->n, what, axis >= 0 && axis < x->rank ? x->dims[axis] : 0, axis, x->rank);
  return TRUE;
}

static gboolean
check_zero_type (const EngineOnnxNode *node, const EngineOnnxConstant *x,
    const EngineOnnxConstant *zero, GError **error)
{
  if (!zero || (x->levels && zero->levels && x->levels_type == zero->levels_type) ||
      (x->i && zero->i))
    return TRUE;
  return ENGINE_ONNX_REFUSE ("levels and zero point differ in type");
}

static gint64
zero_at (const EngineOnnxConstant *zero, gint64 channel)
{
  const gint64 i = zero && zero->n > 1 ? channel : 0;

  return !zero ? 0 : zero->levels ? level_of (zero, i) : engine_onnx_i (zero, i);
}

/* scale NULL: 1 */
EngineOnnxConstant *
engine_onnx_real_constant (EngineOnnx *onnx, const EngineOnnxNode *node,
    const EngineOnnxConstant *x, const EngineOnnxConstant *scale, const EngineOnnxConstant *zero,
    int axis, GError **error)
{
  const int n_scales = scale ? scale->n : 1;
  EngineOnnxConstant *real;
  gint64 inner, channels;
  float *f;

  if (x->f) {
    ENGINE_ONNX_REFUSE ("it dequantises floats");
    return NULL;
  }
  if ((scale && !check_scales (node, scale, error)) ||
      !check_count (node, x, scale, "scale", axis, error) ||
      !check_count (node, x, zero, "zero point", axis, error) ||
      !check_zero_type (node, x, zero, error))
    return NULL;
  real = engine_onnx_new_floats (onnx, x->rank, x->dims, FALSE, &f, error);
  if (!real)
    return NULL;
  axis = CLAMP (axis, 0, MAX (x->rank - 1, 0));
  inner = x->rank > 0 ? MAX (inner_of (x, axis), 1) : 1;
  channels = x->rank > 0 ? MAX (x->dims[axis], 1) : 1;
  for (gint64 i = 0; i < x->n; i++) {
    const gint64 channel = i / inner % channels;
    const gint64 level = x->levels ? level_of (x, i) : engine_onnx_i (x, i);

    f[i] = (float) ((double) (level - zero_at (zero, channel)) *
                    (scale ? engine_onnx_f (scale, n_scales > 1 ? channel : 0) : 1));
  }
  real->scales = g_new (float, n_scales);
  for (int i = 0; i < n_scales; i++)
    real->scales[i] = scale ? engine_onnx_f (scale, i) : 1;
  real->n_scales = n_scales;
  real->scales_axis = axis;
  return real;
}

void
engine_onnx_keep_scales (EngineOnnx *onnx, int weights, const EngineOnnxConstant *w, int axis,
    double factor)
{
  EngineValue *value = engine_graph_value (onnx->graph, weights);
  const int oc = value->dims[0];
  float *scales;

  if (!w->scales || factor == 0 || (w->n_scales > 1 && w->scales_axis != axis))
    return;
  scales = g_new (float, oc);
  for (int k = 0; k < oc; k++)
    scales[k] = (float) (w->scales[w->n_scales > 1 ? k : 0] * fabs (factor));
  value->scales = g_bytes_new_take (scales, oc * sizeof (float));
}

/* --- As inputs of other ops ------------------------------------------------------------------ */

const char *
engine_onnx_dequantised (EngineOnnx *onnx, const EngineOnnxNode *node, guint x, guint scale,
    guint zero, int axis, GError **error)
{
  const EngineOnnxValue *value = engine_onnx_input (onnx, node, x, error);
  const EngineOnnxConstant *s = value ? engine_onnx_floats (onnx, node, scale, error) : NULL, *z;
  EngineOnnxLevels levels;

  if (!s)
    return NULL;
  if (value->constant) {
    EngineOnnxConstant *real;

    if (!read_zero (onnx, node, zero, &z, error) ||
        !(real = engine_onnx_real_constant (onnx, node, value->constant, s, z, axis, error)))
      return NULL;
    engine_onnx_temporary (onnx, NULL, real);
    return last_temporary (onnx);
  }
  if (value->levels.kind == ENGINE_ONNX_DYNAMIC) {
    ENGINE_ONNX_UNSUPPORTED (
        "input %u (\"%s\") comes from DynamicQuantizeLinear and has no scale of "
        "its own",
        x, value->name);
    return NULL;
  }
  if (!engine_onnx_read_levels (onnx, node, scale, zero, &levels, error))
    return NULL;
  if (value->levels.kind == ENGINE_ONNX_REAL) {
    ENGINE_ONNX_REFUSE ("input %u (\"%s\") holds real numbers where levels are needed", x,
        value->name);
    return NULL;
  }
  if (!same_levels (&levels, &value->levels)) {
    ENGINE_ONNX_UNSUPPORTED (
        "input %u (\"%s\") is read with scale %g and zero point %d, and was made with %g and %d (of int8)",
        x, value->name, levels.scale, levels.zero, value->levels.scale, value->levels.zero);
    return NULL;
  }
  engine_onnx_temporary (onnx, value, NULL);
  return last_temporary (onnx);
}

const char *
engine_onnx_dequantised_bias (EngineOnnx *onnx, const EngineOnnxNode *node, guint bias,
    guint scale_x, guint scale_w, GError **error)
{
  const EngineOnnxConstant *b = engine_onnx_integers (onnx, node, bias, error);
  const EngineOnnxConstant *x = b ? engine_onnx_floats (onnx, node, scale_x, error) : NULL;
  const EngineOnnxConstant *w = x ? engine_onnx_floats (onnx, node, scale_w, error) : NULL;
  EngineOnnxConstant *real;
  float *f;

  if (!w || !check_scales (node, x, error) || !check_scales (node, w, error))
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
  engine_onnx_temporary (onnx, NULL, real);
  return last_temporary (onnx);
}

/* --- Activations ---------------------------------------------------------------------------- */

/* Quantise and dequantise behind a value of the graph; returns what comes out. */
static int
add_pair (EngineOnnx *onnx, const EngineOnnxNode *node, int stored, const EngineOnnxLevels *levels,
    GError **error)
{
  g_autofree char *real = g_strconcat (node->proto->output[0], " (real)", NULL);
  const int quantised = engine_onnx_infer (onnx, node,
      engine_onnx_add (onnx, node, ENGINE_OP_QUANTISE, 0, &stored, 1), error);
  EngineQuant *quant;

  if (quantised == ENGINE_NONE)
    return ENGINE_NONE;
  quant = &engine_graph_value (onnx->graph, quantised)->quant;
  quant->scale = levels->scale;
  quant->zero = levels->zero;
  quant->range = levels->zero == 0      ? ENGINE_RANGE_SYMMETRIC
                 : levels->zero == -128 ? ENGINE_RANGE_FULL
                                        : ENGINE_RANGE_AFFINE;
  return engine_onnx_infer (onnx, node,
      engine_graph_add_node (onnx->graph, ENGINE_OP_DEQUANTISE, node->name, &quantised, 1, real),
      error);
}

static gboolean
quantise (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxValue *x,
    const EngineOnnxLevels *levels, GError **error)
{
  const EngineOnnxStorage storage = engine_onnx_storage (onnx, x);
  const int stored = engine_onnx_stored (onnx, node, x, storage, error);
  EngineOnnxValue *y;

  if (stored == ENGINE_NONE ||
      !engine_onnx_define (onnx, node, 0, add_pair (onnx, node, stored, levels, error), storage))
    return FALSE;
  y = g_hash_table_lookup (onnx->values, node->proto->output[0]);
  y->levels = *levels;
  return TRUE;
}

gboolean
engine_onnx_quantise_output (EngineOnnx *onnx, const EngineOnnxNode *node,
    const EngineOnnxLevels *levels, GError **error)
{
  EngineOnnxValue *x = g_hash_table_lookup (onnx->values, node->proto->output[0]);

  if (!x || x->constant)
    return ENGINE_ONNX_UNSUPPORTED ("it does not depend on the image");
  return quantise (onnx, node, x, levels, error);
}

/* --- QuantizeLinear ------------------------------------------------------------------------- */

static gboolean
read_axis (const EngineOnnxNode *node, int rank, const EngineOnnxConstant *scale, int *axis,
    GError **error)
{
  gint64 attribute, block;

  *axis = 0;
  if (!engine_onnx_int (node, "axis", 1, &attribute, error) ||
      !engine_onnx_int (node, "block_size", 0, &block, error))
    return FALSE;
  if (block != 0)
    return ENGINE_ONNX_UNSUPPORTED ("scales for blocks of %" G_GINT64_FORMAT
                                    " elements; one, or one per channel, can be done",
        block);
  return scale->n == 1 || engine_onnx_axis (node, attribute, rank, axis, error);
}

/* Weights that are floats in the file, quantised by a node. */
static gboolean
quantise_constant (EngineOnnx *onnx, const EngineOnnxNode *node, const EngineOnnxConstant *x,
    GError **error)
{
  const EngineOnnxConstant *scale = engine_onnx_floats (onnx, node, 1, error), *zero;
  EngineOnnxConstant *result;
  int axis, type, lowest;
  gint64 inner, channels;
  guint8 *levels;

  if (!scale || !check_scales (node, scale, error) || !read_zero (onnx, node, 2, &zero, error) ||
      !read_type (node, zero, &type, error) || !read_axis (node, x->rank, scale, &axis, error) ||
      !check_count (node, x, scale, "scale", axis, error) ||
      !check_count (node, x, zero, "zero point", axis, error))
    return FALSE;
  if (!x->f)
    return ENGINE_ONNX_UNSUPPORTED ("it quantises integers");
  levels = engine_onnx_alloc (onnx, x->n, 1, error);
  if (!levels)
    return FALSE;
  lowest = type == ENGINE_ONNX_INT8 ? -128 : 0;
  inner = x->rank > 0 ? MAX (inner_of (x, axis), 1) : 1;
  channels = x->rank > 0 ? MAX (x->dims[axis], 1) : 1;
  for (gint64 i = 0; i < x->n; i++) {
    const gint64 channel = i / inner % channels;
    const float level =
        rintf (engine_onnx_f (x, i) / engine_onnx_f (scale, scale->n > 1 ? channel : 0)) +
        zero_at (zero, channel);

    levels[i] = (guint8) (int) fminf (fmaxf (level, lowest), lowest + 255); /* NaN: the lowest */
  }
  result = g_new0 (EngineOnnxConstant, 1);
  g_atomic_ref_count_init (&result->references);
  result->rank = x->rank;
  memcpy (result->dims, x->dims, sizeof result->dims);
  result->n = x->n;
  result->levels = result->memory = levels;
  result->levels_type = type;
  return engine_onnx_define_constant (onnx, node, result);
}

gboolean
engine_onnx_import_quantize_linear (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  EngineOnnxValue *x = engine_onnx_input (onnx, node, 0, error);
  const EngineOnnxConstant *scale;
  EngineOnnxLevels levels;
  int axis;

  if (!x)
    return FALSE;
  if (x->constant && x->constant->levels)
    return ENGINE_ONNX_REFUSE ("it quantises levels");
  if (x->constant)
    return quantise_constant (onnx, node, x->constant, error);
  if (x->levels.kind != ENGINE_ONNX_REAL)
    return ENGINE_ONNX_REFUSE ("it quantises levels");
  scale = engine_onnx_floats (onnx, node, 1, error);
  return scale && read_axis (node, x->rank, scale, &axis, error) &&
         engine_onnx_read_levels (onnx, node, 1, 2, &levels, error) &&
         quantise (onnx, node, x, &levels, error);
}

/* --- DequantizeLinear ----------------------------------------------------------------------- */

/* The real numbers take the name that the model gives them, once. */
static void
name_real (EngineOnnx *onnx, const EngineOnnxNode *node, const EngineOnnxValue *value)
{
  for (int i = 0; i < ENGINE_ONNX_STORAGES; i++) {
    const int stored = value->stored[i];

    if (stored != ENGINE_NONE &&
        g_str_has_suffix (engine_graph_value (onnx->graph, stored)->name, " (real)") &&
        !g_hash_table_contains (onnx->graph->names, node->proto->output[0]))
      engine_graph_rename (onnx->graph, stored, node->proto->output[0]);
  }
}

gboolean
engine_onnx_import_dequantize_linear (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  EngineOnnxValue *x = engine_onnx_input (onnx, node, 0, error), *y;
  const EngineOnnxConstant *scale = x ? engine_onnx_floats (onnx, node, 1, error) : NULL;
  const char *real;
  int axis;

  if (!scale || !read_axis (node, x->constant ? x->constant->rank : x->rank, scale, &axis, error))
    return FALSE;
  real = engine_onnx_dequantised (onnx, node, 0, 1, 2, axis, error);
  if (!real)
    return FALSE;
  y = g_hash_table_lookup (onnx->values, real);
  g_hash_table_insert (onnx->values, node->proto->output[0], y);
  if (!y->constant)
    name_real (onnx, node, y);
  return TRUE;
}
