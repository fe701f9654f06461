/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/norm.c: BatchNormalization, which in inference is a scale and a shift per channel (of weights, what
 * they become), and LRN.
 */
#include <math.h>

#include "engine/onnx/fold.h"

/* Whether it normalises by the statistics of its input, not by those it is given. */
static gboolean
read_training (const EngineOnnxNode *node, gboolean *training, GError **error)
{
  gint64 spatial, mode;

  if (!engine_onnx_int (node, "spatial", 1, &spatial, error) ||
      !engine_onnx_int (node, "training_mode", 0, &mode, error))
    return FALSE;
  if (!spatial)
    return ENGINE_ONNX_UNSUPPORTED ("spatial is 0: one mean for each position");
  *training = mode != 0;
  for (gsize i = 1; i < node->proto->n_output; i++)
    *training |= node->proto->output[i][0] != '\0';
  return TRUE;
}

/* Of channel k, the variance as it is among these numbers: axes are [.. c inner]. */
static void
statistics (const EngineOnnxConstant *x, gint64 inner, gint64 k, double *mean, double *variance)
{
  const gint64 n = x->n / x->dims[1];
  double sum = 0, squares = 0;

  for (gint64 i = 0; i < n; i++)
    sum += engine_onnx_f (x, (i / inner * x->dims[1] + k) * inner + i % inner);
  *mean = sum / n;
  for (gint64 i = 0; i < n; i++) {
    const double d = engine_onnx_f (x, (i / inner * x->dims[1] + k) * inner + i % inner) - *mean;

    squares += d * d;
  }
  *variance = squares / n;
}

/* Gamma and beta, mean and variance as a scale and a shift for each of c channels; the caller frees
 * both. of: what mean and variance are computed from, NULL for those given. */
static gboolean
read_affine (EngineOnnx *onnx, const EngineOnnxNode *node, gint64 c, const EngineOnnxConstant *of,
    float **scale, float **shift, GError **error)
{
  const EngineOnnxConstant *p[4] = {NULL}; /* gamma, beta, mean, variance */
  float epsilon;

  if (!engine_onnx_float (node, "epsilon", 1e-5f, &epsilon, error))
    return FALSE;
  for (int i = 0; i < (of ? 2 : 4); i++) {
    p[i] = engine_onnx_floats (onnx, node, i + 1, error);
    if (!p[i])
      return FALSE;
    if (p[i]->n != c)
      return ENGINE_ONNX_REFUSE ("input %d has %" G_GINT64_FORMAT " values for %" G_GINT64_FORMAT
                                 " channels",
          i + 1, p[i]->n, c);
  }
  *scale = engine_onnx_alloc (onnx, c, sizeof (float), error);
  *shift = *scale ? engine_onnx_alloc (onnx, c, sizeof (float), error) : NULL;
  if (!*shift) {
    g_free (*scale);
    return FALSE;
  }
  /* a negative variance gives NaN, which whoever makes a constant of the graph of it refuses */
  for (gint64 k = 0; k < c; k++) {
    double mean, variance, s;

    if (of) {
      statistics (of, engine_onnx_elements (of->rank - 2, of->dims + 2), k, &mean, &variance);
    } else {
      mean = engine_onnx_f (p[2], k);
      variance = engine_onnx_f (p[3], k);
    }
    s = engine_onnx_f (p[0], k) / sqrt (variance + epsilon);
    (*scale)[k] = s;
    (*shift)[k] = engine_onnx_f (p[1], k) - mean * s;
  }
  return TRUE;
}

/* Of weights that are standardised in every run. */
static gboolean
fold_constant (EngineOnnx *onnx, const EngineOnnxNode *node, const EngineOnnxConstant *x,
    gboolean training, GError **error)
{
  g_autofree float *scale = NULL, *shift = NULL;
  EngineOnnxResult result;
  gint64 inner;

  if (!x->f || x->rank < 2 || x->n == 0)
    return ENGINE_ONNX_REFUSE ("a constant of %d axes, of integers, or empty", x->rank);
  if (!read_affine (onnx, node, x->dims[1], training ? x : NULL, &scale, &shift, error) ||
      !engine_onnx_result_new (onnx, &result, TRUE, x->rank, x->dims, error))
    return FALSE;
  inner = engine_onnx_elements (x->rank - 2, x->dims + 2);
  for (gint64 i = 0; i < x->n; i++) {
    const gint64 k = i / inner % x->dims[1];

    result.f[i] = engine_onnx_f (x, i) * scale[k] + shift[k];
  }
  return engine_onnx_define_constant (onnx, node, result.constant);
}

gboolean
engine_onnx_import_batch_normalization (EngineOnnx *onnx, const EngineOnnxNode *node,
    GError **error)
{
  EngineOnnxValue *x = engine_onnx_input (onnx, node, 0, error);
  gboolean training = FALSE;
  float *scale = NULL, *shift = NULL;

  if (!x || !read_training (node, &training, error))
    return FALSE;
  if (x->constant)
    return fold_constant (onnx, node, x->constant, training, error);
  if (training)
    return ENGINE_ONNX_UNSUPPORTED ("it is in training mode; export the model for inference");
  if (x->rank < 2 || x->rank > 4)
    return ENGINE_ONNX_UNSUPPORTED ("the input has %d axes; 2 to 4 can be done", x->rank);
  return read_affine (onnx, node, x->dims[1], NULL, &scale, &shift, error) &&
         engine_onnx_affine (onnx, node, x, ENGINE_ONNX_CHANNELS_LAST, scale, shift, error);
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
