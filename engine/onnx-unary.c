/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* onnx-unary.c: functions of one activation, and the ops that leave it as it is. */
#include <float.h>
#include <math.h>

#include "engine/onnx-import.h"

/* x may be stored in any way. */
static gboolean
import_unary (EngineOnnx *onnx, const EngineOnnxNode *node, KernelUnary kind, float alpha,
    float beta, GError **error)
{
  EngineOnnxValue *x = engine_onnx_activation (onnx, node, 0, error);
  EngineOnnxStorage storage;
  EngineNode *unary;
  int stored;

  if (!x)
    return FALSE;
  storage = engine_onnx_storage (onnx, x);
  stored = engine_onnx_stored (onnx, node, x, storage, error);
  if (stored == ENGINE_NONE)
    return FALSE;
  unary = engine_onnx_add (onnx, node, ENGINE_OP_UNARY, 0, &stored, 1);
  unary->unary.kind = kind;
  unary->unary.alpha = alpha;
  unary->unary.beta = beta;
  return engine_onnx_define (onnx, node, 0, engine_onnx_infer (onnx, node, unary, error), storage);
}

gboolean
engine_onnx_import_relu (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  return import_unary (onnx, node, KERNEL_UNARY_CLIP, 0, INFINITY, error);
}

/* Attributes before opset 11, inputs since. */
static gboolean
clip_bound (EngineOnnx *onnx, const EngineOnnxNode *node, const char *attribute, guint input,
    float otherwise, float *value, GError **error)
{
  if (engine_onnx_has_input (node, input))
    return engine_onnx_scalar (onnx, node, input, value, error);
  return engine_onnx_float (node, attribute, otherwise, value, error);
}

gboolean
engine_onnx_import_clip (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  float lo, hi;

  if (!clip_bound (onnx, node, "min", 1, -INFINITY, &lo, error) ||
      !clip_bound (onnx, node, "max", 2, INFINITY, &hi, error))
    return FALSE;
  lo = lo <= -FLT_MAX ? -INFINITY : lo;
  hi = hi >= FLT_MAX ? INFINITY : hi;
  if (!(lo <= hi))
    return ENGINE_ONNX_REFUSE ("min is %g and max %g", lo, hi);
  return import_unary (onnx, node, KERNEL_UNARY_CLIP, lo, hi, error);
}

gboolean
engine_onnx_import_leaky_relu (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  float alpha;

  return engine_onnx_float (node, "alpha", 0.01f, &alpha, error) &&
         import_unary (onnx, node, KERNEL_UNARY_LEAKY_RELU, alpha, 0, error);
}

gboolean
engine_onnx_import_sigmoid (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  return import_unary (onnx, node, KERNEL_UNARY_SIGMOID, 0, 0, error);
}

gboolean
engine_onnx_import_hard_sigmoid (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  float alpha, beta;

  return engine_onnx_float (node, "alpha", 0.2f, &alpha, error) &&
         engine_onnx_float (node, "beta", 0.5f, &beta, error) &&
         import_unary (onnx, node, KERNEL_UNARY_HARD_SIGMOID, alpha, beta, error);
}

gboolean
engine_onnx_import_hard_swish (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  return import_unary (onnx, node, KERNEL_UNARY_HARD_SWISH, 0, 0, error);
}

/* --- As it is -------------------------------------------------------------------------------- */

gboolean
engine_onnx_import_identity (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  EngineOnnxValue *x = engine_onnx_input (onnx, node, 0, error);

  return x && engine_onnx_define_alias (onnx, node, x);
}

gboolean
engine_onnx_import_dropout (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  if (engine_onnx_has_input (node, 2)) {
    const EngineOnnxConstant *training = engine_onnx_integers (onnx, node, 2, error);

    if (!training)
      return FALSE;
    if (training->n != 1 || training->i[0])
      return ENGINE_ONNX_UNSUPPORTED ("it is in training mode; export the model for inference");
  }
  return engine_onnx_import_identity (onnx, node, error);
}

gboolean
engine_onnx_import_cast (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  EngineOnnxValue *x = engine_onnx_input (onnx, node, 0, error);
  gint64 to;

  if (!x || !engine_onnx_int (node, "to", 0, &to, error))
    return FALSE;
  if (x->constant)
    return engine_onnx_fold_cast (onnx, node, x->constant, to, error);
  if (to != ENGINE_ONNX_FLOAT)
    return ENGINE_ONNX_UNSUPPORTED (
        "an activation cast to %s; float can be done: export the model in float (fp32)",
        engine_onnx_type_name (CLAMP (to, -1, 100)));
  return engine_onnx_define_alias (onnx, node, x);
}
