/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/group-norm.c: InstanceNormalization and GroupNormalization: layer normalisation of rows that are
 * the channels of a group, and a scale and a shift per channel.
 */
#include "engine/onnx/import.h"

/* Rows of floats, all of them `value`. */
static int
add_row (EngineOnnx *onnx, const EngineOnnxNode *node, const char *what, int n, float value,
    GError **error)
{
  float *row = engine_onnx_alloc (onnx, n, sizeof (float), error);

  for (int i = 0; row && i < n; i++)
    row[i] = value;
  return row ? engine_onnx_add_floats (onnx, node, what, 1, &n, row, error) : ENGINE_NONE;
}

/* x in groups of channels, each with mean 0 and variance 1; as ONNX orders the axes. */
static int
normalise (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxValue *x, int groups,
    float epsilon, GError **error)
{
  const int stored = engine_onnx_stored (onnx, node, x, ENGINE_ONNX_PLAIN, error);
  int rows[3] = {x->dims[0], groups, 1}, inputs[3], value;
  EngineNode *norm;

  if (stored == ENGINE_NONE)
    return ENGINE_NONE;
  for (int i = 1; i < x->rank; i++)
    rows[2] *= x->dims[i]; /* below ENGINE_MAX_ELEMENTS, as the value is */
  rows[2] /= groups;
  inputs[0] = engine_onnx_add_reshape (onnx, node, 0, stored, 3, rows, error);
  inputs[1] =
      inputs[0] == ENGINE_NONE ? ENGINE_NONE : add_row (onnx, node, "ones", rows[2], 1, error);
  inputs[2] =
      inputs[1] == ENGINE_NONE ? ENGINE_NONE : add_row (onnx, node, "zeros", rows[2], 0, error);
  if (inputs[2] == ENGINE_NONE)
    return ENGINE_NONE;
  norm = engine_onnx_add (onnx, node, ENGINE_OP_LAYERNORM, 0, inputs, 3);
  norm->layernorm.epsilon = epsilon;
  value = engine_onnx_infer (onnx, node, norm, error);
  return value == ENGINE_NONE
             ? ENGINE_NONE
             : engine_onnx_add_reshape (onnx, node, 0, value, x->rank, x->dims, error);
}

/* Input i: one value per channel, or per group. */
static float *
read_factors (EngineOnnx *onnx, const EngineOnnxNode *node, guint i, int c, int groups,
    GError **error)
{
  const EngineOnnxConstant *constant = engine_onnx_floats (onnx, node, i, error);
  float *factors;

  if (constant && constant->n != c && constant->n != groups) {
    ENGINE_ONNX_REFUSE ("input %u has %" G_GINT64_FORMAT " values for %d channels", i, constant->n,
        c);
    return NULL;
  }
  factors = constant ? engine_onnx_alloc (onnx, c, sizeof (float), error) : NULL;
  for (int k = 0; factors && k < c; k++)
    factors[k] = engine_onnx_f (constant, constant->n == c ? k : k / (c / groups));
  return factors;
}

static gboolean
import_norm (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxValue *x, int groups,
    GError **error)
{
  const int c = x->dims[1];
  EngineOnnxValue normal = *x;
  float epsilon, *scale, *shift;
  int value;

  if (!engine_onnx_float (node, "epsilon", 1e-5f, &epsilon, error))
    return FALSE;
  if (!engine_onnx_may_be_channels_last (x) || c % groups != 0)
    return ENGINE_ONNX_UNSUPPORTED ("%d axes, %d channels in %d groups", x->rank, c, groups);
  value = normalise (onnx, node, x, groups, epsilon, error);
  if (value == ENGINE_NONE)
    return FALSE;
  normal.name = node->name;
  for (int i = 0; i < ENGINE_ONNX_STORAGES; i++)
    normal.stored[i] = ENGINE_NONE;
  normal.stored[ENGINE_ONNX_PLAIN] = value;
  scale = read_factors (onnx, node, 1, c, groups, error);
  shift = scale ? read_factors (onnx, node, 2, c, groups, error) : NULL;
  if (!shift) {
    g_free (scale);
    return FALSE;
  }
  if (!engine_onnx_affine (onnx, node, &normal, ENGINE_ONNX_CHANNELS_LAST, scale, shift, error))
    return FALSE;
  const EngineOnnxValue *y = g_hash_table_lookup (onnx->values, node->proto->output[0]);
  engine_graph_rename (onnx->graph, y->stored[ENGINE_ONNX_CHANNELS_LAST], node->proto->output[0]);
  return TRUE;
}

gboolean
engine_onnx_import_instance_normalization (EngineOnnx *onnx, const EngineOnnxNode *node,
    GError **error)
{
  EngineOnnxValue *x = engine_onnx_activation (onnx, node, 0, error);

  if (!x)
    return FALSE;
  if (x->rank < 3)
    return ENGINE_ONNX_UNSUPPORTED ("an input of %d axes", x->rank);
  return import_norm (onnx, node, x, x->dims[1], error);
}

gboolean
engine_onnx_import_group_normalization (EngineOnnx *onnx, const EngineOnnxNode *node,
    GError **error)
{
  EngineOnnxValue *x = engine_onnx_activation (onnx, node, 0, error);
  gint64 groups;

  if (!x || !engine_onnx_int (node, "num_groups", 0, &groups, error))
    return FALSE;
  if (x->rank < 3 || groups < 1 || groups > x->dims[1])
    return ENGINE_ONNX_UNSUPPORTED ("%" G_GINT64_FORMAT " groups of an input of %d axes", groups,
        x->rank);
  return import_norm (onnx, node, x, groups, error);
}
