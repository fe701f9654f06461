/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* onnx/identity.c: the ops that leave a value as it is. */
#include "engine/onnx/import.h"

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

/* Activations are float here, whatever the model calls them: a model of halves runs in float. */
gboolean
engine_onnx_import_cast (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  EngineOnnxValue *x = engine_onnx_input (onnx, node, 0, error);
  gint64 to;

  if (!x || !engine_onnx_int (node, "to", 0, &to, error))
    return FALSE;
  if (x->constant)
    return engine_onnx_fold_cast (onnx, node, x->constant, to, error);
  if (!engine_onnx_is_float (to))
    return ENGINE_ONNX_UNSUPPORTED (
        "an activation cast to %s; float, float16, bfloat16 and double can be done",
        engine_onnx_type_name (CLAMP (to, -1, 100)));
  return engine_onnx_define_alias (onnx, node, x);
}
