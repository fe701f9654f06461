/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* onnx-matmul.c: MatMul of two activations, as attention has it. That with weights is in onnx-conv.c. */
#include "engine/onnx-import.h"

gboolean
engine_onnx_matmul_activations (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxValue *a,
    EngineOnnxValue *b, GError **error)
{
  int inputs[2];

  if (a->rank != b->rank || a->rank < 3)
    return ENGINE_ONNX_UNSUPPORTED (
        "%d axes times %d axes, both computed; as many each, 3 or more, "
        "can be done",
        a->rank, b->rank);
  inputs[0] = engine_onnx_stored (onnx, node, a, ENGINE_ONNX_PLAIN, error);
  inputs[1] = inputs[0] == ENGINE_NONE
                  ? ENGINE_NONE
                  : engine_onnx_stored (onnx, node, b, ENGINE_ONNX_PLAIN, error);
  if (inputs[1] == ENGINE_NONE)
    return FALSE;
  return engine_onnx_define (onnx, node, 0,
             engine_onnx_infer (onnx, node,
                 engine_onnx_add (onnx, node, ENGINE_OP_MATMUL, 0, inputs, 2), error),
             ENGINE_ONNX_PLAIN) &&
         engine_onnx_mark_features (onnx, node);
}
