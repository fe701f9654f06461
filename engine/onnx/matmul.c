/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* onnx/matmul.c: products of two activations, as attention has them. Those with weights: onnx/conv.c. */
#include "engine/onnx/import.h"

#include <string.h>

static int
add_matmul (EngineOnnx *onnx, const EngineOnnxNode *node, const int inputs[2], gboolean transposed,
    GError **error)
{
  EngineNode *made = engine_onnx_add (onnx, node, ENGINE_OP_MATMUL, 0, inputs, 2);

  made->matmul.transposed = transposed;
  return engine_onnx_infer (onnx, node, made, error);
}

static gboolean
both_stored (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxValue *a, EngineOnnxValue *b,
    int inputs[2], GError **error)
{
  inputs[0] = engine_onnx_stored (onnx, node, a, ENGINE_ONNX_PLAIN, error);
  if (inputs[0] == ENGINE_NONE)
    return FALSE;
  inputs[1] = engine_onnx_stored (onnx, node, b, ENGINE_ONNX_PLAIN, error);
  return inputs[1] != ENGINE_NONE;
}

static gboolean
define (EngineOnnx *onnx, const EngineOnnxNode *node, int value)
{
  return engine_onnx_define (onnx, node, 0, value, ENGINE_ONNX_PLAIN) &&
         engine_onnx_mark_features (onnx, node);
}

/* Whether b has one matrix where a has several: heads that share keys or values. */
static gboolean
is_shared (const EngineOnnxValue *a, const EngineOnnxValue *b)
{
  gboolean several = FALSE;

  for (int i = 1; i < a->rank - 2; i++) {
    several = several || a->dims[i] != b->dims[i];
    if (b->dims[i] != 1)
      return FALSE;
  }
  return several && a->dims[0] == b->dims[0];
}

/* Then the rows of all of a's matrices are one's. */
static int
share (EngineOnnx *onnx, const EngineOnnxNode *node, const EngineOnnxValue *a,
    const EngineOnnxValue *b, int inputs[2], GError **error)
{
  const int last = a->rank - 1;
  int rows = 1, dims[ENGINE_MAX_RANK], value;

  for (int i = 1; i < last; i++)
    rows *= a->dims[i]; /* of a value's elements, of which there are fewer than 2^31 */
  inputs[0] = engine_onnx_add_reshape (onnx, node, 0, inputs[0], 3,
      (int[]){a->dims[0], rows, a->dims[last]}, error);
  if (inputs[0] == ENGINE_NONE)
    return ENGINE_NONE;
  inputs[1] = engine_onnx_add_reshape (onnx, node, 0, inputs[1], 3,
      (int[]){b->dims[0], b->dims[last - 1], b->dims[last]}, error);
  if (inputs[1] == ENGINE_NONE)
    return ENGINE_NONE;
  value = add_matmul (onnx, node, inputs, FALSE, error);
  memcpy (dims, a->dims, sizeof dims);
  dims[last] = b->dims[last];
  return engine_onnx_add_reshape (onnx, node, 0, value, a->rank, dims, error);
}

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
  if (!both_stored (onnx, node, a, b, inputs, error))
    return FALSE;
  if (is_shared (a, b)) {
    const int value = share (onnx, node, a, b, inputs, error);

    if (value == ENGINE_NONE)
      return FALSE;
    engine_graph_rename (onnx->graph, value, node->proto->output[0]);
    return define (onnx, node, value);
  }
  return define (onnx, node, add_matmul (onnx, node, inputs, FALSE, error));
}
