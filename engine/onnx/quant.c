/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/quant.c: QuantizeLinear and DequantizeLinear. Of an activation they are a pair of nodes that rounds
 * it to its levels (onnx/levels.h). Of a constant they are computed at once: it becomes floats that
 * remember their scales, so that an INT8 engine gets the integers of the model back.
 */
#include "engine/onnx/levels.h"

#include <math.h>
#include <string.h>

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

  return !zero ? 0 : zero->levels ? engine_onnx_level (zero, i) : engine_onnx_i (zero, i);
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
  if ((scale && !engine_onnx_check_scales (node, scale, error)) ||
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
    const gint64 level = x->levels ? engine_onnx_level (x, i) : engine_onnx_i (x, i);

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

  if (!scale || !engine_onnx_check_scales (node, scale, error) ||
      !engine_onnx_read_zero (onnx, node, 2, &zero, error) ||
      !engine_onnx_read_level_type (node, zero, &type, error) ||
      !read_axis (node, x->rank, scale, &axis, error) ||
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
         engine_onnx_read_levels (onnx, node, 1, 2, axis, &levels, error) &&
         engine_onnx_quantise (onnx, node, x, &levels, error);
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
