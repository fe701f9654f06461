/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/norm.c: BatchNormalization, which in inference is a scale and a shift per channel, and LRN.
 */
#include <math.h>

#include "engine/onnx/import.h"

static gboolean
check_inference (const EngineOnnxNode *node, GError **error)
{
  gint64 spatial, training;

  if (!engine_onnx_int (node, "spatial", 1, &spatial, error) ||
      !engine_onnx_int (node, "training_mode", 0, &training, error))
    return FALSE;
  for (gsize i = 1; i < node->proto->n_output; i++)
    training |= node->proto->output[i][0] != '\0';
  if (training)
    return ENGINE_ONNX_UNSUPPORTED ("it is in training mode; export the model for inference");
  if (!spatial)
    return ENGINE_ONNX_UNSUPPORTED ("spatial is 0: one mean for each position");
  return TRUE;
}

gboolean
engine_onnx_import_batch_normalization (EngineOnnx *onnx, const EngineOnnxNode *node,
    GError **error)
{
  EngineOnnxValue *x = engine_onnx_activation (onnx, node, 0, error);
  const EngineOnnxConstant *p[4]; /* gamma, beta, mean, variance */
  float epsilon, *scale, *shift;
  int c;

  if (!x || !check_inference (node, error) ||
      !engine_onnx_float (node, "epsilon", 1e-5f, &epsilon, error))
    return FALSE;
  if (x->rank < 2 || x->rank > 4)
    return ENGINE_ONNX_UNSUPPORTED ("the input has %d axes; 2 to 4 can be done", x->rank);
  c = x->dims[1];
  for (int i = 0; i < 4; i++) {
    p[i] = engine_onnx_floats (onnx, node, i + 1, error);
    if (!p[i])
      return FALSE;
    if (p[i]->n != c)
      return ENGINE_ONNX_REFUSE ("input %d has %" G_GINT64_FORMAT " values for %d channels", i + 1,
          p[i]->n, c);
  }
  scale = engine_onnx_alloc (onnx, c, sizeof (float), error);
  shift = scale ? engine_onnx_alloc (onnx, c, sizeof (float), error) : NULL;
  if (!shift) {
    g_free (scale);
    return FALSE;
  }
  /* a negative variance gives NaN, which engine_onnx_affine() refuses */
  for (int k = 0; k < c; k++) {
    const double s = engine_onnx_f (p[0], k) / sqrt ((double) engine_onnx_f (p[3], k) + epsilon);

    scale[k] = s;
    shift[k] = engine_onnx_f (p[1], k) - engine_onnx_f (p[2], k) * s;
  }
  return engine_onnx_affine (onnx, node, x, ENGINE_ONNX_CHANNELS_LAST, scale, shift, error);
}

gboolean
engine_onnx_import_lrn (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  EngineOnnxValue *x = engine_onnx_activation (onnx, node, 0, error);
  float alpha, beta, bias;
  EngineNode *lrn;
  gint64 size;
  int stored;

  if (!x || !engine_onnx_int (node, "size", 0, &size, error) ||
      !engine_onnx_float (node, "alpha", 1e-4f, &alpha, error) ||
      !engine_onnx_float (node, "beta", 0.75f, &beta, error) ||
      !engine_onnx_float (node, "bias", 1, &bias, error))
    return FALSE;
  if (size < 1 || size > ENGINE_MAX_DIM)
    return ENGINE_ONNX_REFUSE ("size %" G_GINT64_FORMAT, size);
  stored = engine_onnx_stored (onnx, node, x, ENGINE_ONNX_CHANNELS_LAST, error);
  if (stored == ENGINE_NONE)
    return FALSE;
  lrn = engine_onnx_add (onnx, node, ENGINE_OP_LRN, 0, &stored, 1);
  lrn->lrn.before = (size - 1) / 2;
  lrn->lrn.after = size / 2;
  lrn->lrn.alpha = alpha / size;
  lrn->lrn.beta = beta;
  lrn->lrn.bias = bias;
  return engine_onnx_define (onnx, node, 0, engine_onnx_infer (onnx, node, lrn, error),
      ENGINE_ONNX_CHANNELS_LAST);
}
