/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* onnx/layernorm.c: LayerNormalization over the last axis, or the last ones as one. */
#include "engine/onnx/import.h"
#include "engine/onnx/levels.h"

static int
vector (EngineOnnx *onnx, const EngineOnnxNode *node, const EngineOnnxConstant *k, int c,
    float otherwise, const char *what, GError **error)
{
  float *data;

  if (k && k->n != c && k->n != 1) {
    ENGINE_ONNX_REFUSE ("%s has %" G_GINT64_FORMAT " values for %d features", what, k->n, c);
    return ENGINE_NONE;
  }
  data = engine_onnx_alloc (onnx, c, sizeof (float), error);
  if (!data)
    return ENGINE_NONE;
  for (int i = 0; i < c; i++)
    data[i] = k ? engine_onnx_f (k, k->n == 1 ? 0 : i) : otherwise;
  return engine_onnx_add_floats (onnx, node, what, 1, &c, data, error);
}

gboolean
engine_onnx_may_normalise (const EngineOnnxValue *x, int axis)
{
  return axis != x->batch_axis &&
         (axis == x->rank - 1 || (axis == 1 && engine_onnx_may_be_channels_last (x)));
}

gboolean
engine_onnx_layernorm (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxValue *x, int axis,
    const EngineOnnxConstant *scale, const EngineOnnxConstant *shift, float epsilon, GError **error)
{
  const gboolean channels = axis != x->rank - 1;
  const EngineOnnxStorage storage = channels             ? ENGINE_ONNX_CHANNELS_LAST
                                    : x->batch_axis != 0 ? ENGINE_ONNX_FREE
                                                         : ENGINE_ONNX_PLAIN;
  const int c = x->dims[axis];
  EngineNode *norm;
  int inputs[3];

  if (!engine_onnx_may_normalise (x, axis))
    return ENGINE_ONNX_UNSUPPORTED (
        "axis %d of %d is normalised; the last, and the channels of an image, can be", axis,
        x->rank);
  inputs[0] = engine_onnx_stored (onnx, node, x, storage, error);
  if (inputs[0] == ENGINE_NONE)
    return FALSE;
  inputs[1] = vector (onnx, node, scale, c, 1, "scale", error);
  inputs[2] =
      inputs[1] == ENGINE_NONE ? ENGINE_NONE : vector (onnx, node, shift, c, 0, "shift", error);
  if (inputs[2] == ENGINE_NONE)
    return FALSE;
  norm = engine_onnx_add (onnx, node, ENGINE_OP_LAYERNORM, 0, inputs, 3);
  norm->layernorm.epsilon = epsilon;
  return engine_onnx_define (onnx, node, 0, engine_onnx_infer (onnx, node, norm, error), storage) &&
         (channels || engine_onnx_mark_features (onnx, node));
}

static gboolean
over_last (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  EngineOnnxValue *x = engine_onnx_activation (onnx, node, 0, error);
  const EngineOnnxConstant *scale = x ? engine_onnx_floats (onnx, node, 1, error) : NULL;
  const EngineOnnxConstant *shift = NULL;
  float epsilon;

  if (!scale || !engine_onnx_float (node, "epsilon", 1e-5f, &epsilon, error))
    return FALSE;
  if (engine_onnx_has_input (node, 2)) {
    shift = engine_onnx_floats (onnx, node, 2, error);
    if (!shift)
      return FALSE;
  }
  return engine_onnx_layernorm (onnx, node, x, x->rank - 1, scale, shift, epsilon, error);
}

/* output = input with these dims */
static gboolean
reshape (EngineOnnx *onnx, const EngineOnnxNode *node, const char *input, int rank,
    const gint64 *dims, const char *output, GError **error)
{
  const gint64 n = rank;
  const char *inputs[2] = {input, engine_onnx_between (onnx)};
  gint64 *shape;
  EngineOnnxConstant *constant = engine_onnx_new_integers (onnx, 1, &n, &shape, error);

  if (!constant)
    return FALSE;
  for (int i = 0; i < rank; i++)
    shape[i] = dims[i];
  engine_onnx_new_value (onnx, inputs[1])->constant = constant;
  return engine_onnx_import_as (onnx, node, engine_onnx_import_reshape, inputs, 2, output, error);
}

/* The axes from one on become one, and come back. */
static gboolean
over_several (EngineOnnx *onnx, const EngineOnnxNode *node, const EngineOnnxValue *x, int axis,
    GError **error)
{
  const char *flat = engine_onnx_between (onnx), *normal = engine_onnx_between (onnx);
  const char *inputs[3] = {flat};
  gint64 before[ENGINE_MAX_RANK] = {0}, after[ENGINE_MAX_RANK] = {0}; /* 0: as it was */

  before[axis] = -1;
  for (int i = axis; i < x->rank; i++)
    after[i] = x->dims[i];
  for (gsize i = 1; i < node->proto->n_input; i++)
    inputs[i] = node->proto->input[i];
  return reshape (onnx, node, node->proto->input[0], axis + 1, before, flat, error) &&
         engine_onnx_import_as (onnx, node, over_last, inputs, node->proto->n_input, normal,
             error) &&
         reshape (onnx, node, normal, x->rank, after, node->proto->output[0], error);
}

gboolean
engine_onnx_import_layer_normalization (EngineOnnx *onnx, const EngineOnnxNode *node,
    GError **error)
{
  const EngineOnnxValue *x = engine_onnx_activation (onnx, node, 0, error);
  gint64 attribute;
  int axis;

  if (!x || !engine_onnx_int (node, "axis", -1, &attribute, error) ||
      !engine_onnx_axis (node, attribute, x->rank, &axis, error))
    return FALSE;
  for (gsize i = 1; i < node->proto->n_output; i++)
    if (node->proto->output[i][0])
      return ENGINE_ONNX_UNSUPPORTED ("it gives mean or deviation: export the model for inference");
  if (axis <= x->batch_axis && axis != x->rank - 1)
    return ENGINE_ONNX_UNSUPPORTED ("it goes over the images of a batch; other axes can be done");
  return axis == x->rank - 1 ? over_last (onnx, node, error)
                             : over_several (onnx, node, x, axis, error);
}
