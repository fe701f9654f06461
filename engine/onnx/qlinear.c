/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/qlinear.c: ops on levels (QLinearConv, QLinearAdd ...). Each is what the ops of ONNX say that it
 * is: DequantizeLinear of its inputs, the op on real numbers, QuantizeLinear of its output.
 */
#include <string.h>

#include "engine/onnx/levels.h"

/* Output 0 from real inputs. */
static gboolean
compute (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxImportFn import,
    const char *const *inputs, gsize n, guint scale, guint zero, GError **error)
{
  EngineOnnxLevels levels;

  for (gsize i = 0; i < n; i++)
    if (!inputs[i])
      return FALSE;
  return engine_onnx_read_levels (onnx, node, scale, zero, 0, &levels, error) &&
         engine_onnx_import_as (onnx, node, import, inputs, n, node->proto->output[0], error) &&
         engine_onnx_quantise_output (onnx, node, &levels, error);
}

/* x x_scale x_zero w w_scale w_zero y_scale y_zero [bias] */
gboolean
engine_onnx_import_qlinear_conv (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  const gboolean bias = engine_onnx_has_input (node, 8);
  const char *inputs[3];

  inputs[0] = engine_onnx_dequantised (onnx, node, 0, 1, 2, 0, error);
  if (!inputs[0])
    return FALSE;
  inputs[1] = engine_onnx_dequantised (onnx, node, 3, 4, 5, 0, error);
  if (!inputs[1])
    return FALSE;
  inputs[2] = bias ? engine_onnx_dequantised_bias (onnx, node, 8, 1, 4, error) : NULL;
  return compute (onnx, node, engine_onnx_import_conv, inputs, bias ? 3 : 2, 6, 7, error);
}

/* The last axis of a matrix on the right has its scales. */
static int
last_axis (EngineOnnx *onnx, const EngineOnnxNode *node, guint i)
{
  const EngineOnnxValue *value = engine_onnx_input (onnx, node, i, NULL);

  return value && value->constant ? value->constant->rank - 1 : 0;
}

/* a a_scale a_zero b b_scale b_zero y_scale y_zero */
gboolean
engine_onnx_import_qlinear_matmul (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  const char *inputs[2];

  inputs[0] = engine_onnx_dequantised (onnx, node, 0, 1, 2, 0, error);
  if (!inputs[0])
    return FALSE;
  inputs[1] = engine_onnx_dequantised (onnx, node, 3, 4, 5, last_axis (onnx, node, 3), error);
  return compute (onnx, node, engine_onnx_import_matmul, inputs, 2, 6, 7, error);
}

/* A A_scale A_zero B B_scale B_zero [C] [y_scale] [y_zero]; without a scale y is real. */
gboolean
engine_onnx_import_qgemm (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  const gboolean bias = engine_onnx_has_input (node, 6);
  const char *inputs[3];
  gint64 transposed;
  float alpha;

  if (!engine_onnx_int (node, "transB", 0, &transposed, error) ||
      !engine_onnx_float (node, "alpha", 1, &alpha, error))
    return FALSE;
  if (alpha != 1 && bias)
    return ENGINE_ONNX_UNSUPPORTED ("alpha is %g; with a bias, 1 can be done", alpha);
  inputs[0] = engine_onnx_dequantised (onnx, node, 0, 1, 2, 0, error);
  if (!inputs[0])
    return FALSE;
  inputs[1] = engine_onnx_dequantised (onnx, node, 3, 4, 5, transposed ? 0 : 1, error);
  if (!inputs[1])
    return FALSE;
  inputs[2] = bias ? engine_onnx_dequantised_bias (onnx, node, 6, 1, 4, error) : NULL;
  if (engine_onnx_has_input (node, 7))
    return compute (onnx, node, engine_onnx_import_gemm, inputs, bias ? 3 : 2, 7, 8, error);
  return (!bias || inputs[2]) && engine_onnx_import_as (onnx, node, engine_onnx_import_gemm, inputs,
                                     bias ? 3 : 2, node->proto->output[0], error);
}

/* A A_scale A_zero B B_scale B_zero C_scale C_zero */
static gboolean
import_binary (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxImportFn import,
    GError **error)
{
  const char *inputs[2];

  inputs[0] = engine_onnx_dequantised (onnx, node, 0, 1, 2, 0, error);
  if (!inputs[0])
    return FALSE;
  inputs[1] = engine_onnx_dequantised (onnx, node, 3, 4, 5, 0, error);
  return compute (onnx, node, import, inputs, 2, 6, 7, error);
}

gboolean
engine_onnx_import_qlinear_add (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  return import_binary (onnx, node, engine_onnx_import_add, error);
}

gboolean
engine_onnx_import_qlinear_mul (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  return import_binary (onnx, node, engine_onnx_import_mul, error);
}

/* x x_scale x_zero y_scale y_zero */
static gboolean
import_unary (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxImportFn import,
    GError **error)
{
  const char *x = engine_onnx_dequantised (onnx, node, 0, 1, 2, 0, error);

  return compute (onnx, node, import, &x, 1, 3, 4, error);
}

gboolean
engine_onnx_import_qlinear_sigmoid (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  return import_unary (onnx, node, engine_onnx_import_sigmoid, error);
}

gboolean
engine_onnx_import_qlinear_leaky_relu (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  return import_unary (onnx, node, engine_onnx_import_leaky_relu, error);
}

/* Attribute opset says whose Softmax it is: before 13, all axes from `axis` on are one. */
gboolean
engine_onnx_import_qlinear_softmax (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  EngineOnnxValue *x = engine_onnx_activation (onnx, node, 0, error);
  gint64 opset;

  if (!x || !engine_onnx_int (node, "opset", onnx->opset, &opset, error))
    return FALSE;
  if (x->rank > 2 && (opset < 13) != (onnx->opset < 13))
    return ENGINE_ONNX_UNSUPPORTED (
        "a Softmax of opset %" G_GINT64_FORMAT " in a model of opset %d", opset, onnx->opset);
  return import_unary (onnx, node, engine_onnx_import_softmax, error);
}

static gboolean
import_pool (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxImportFn import,
    GError **error)
{
  gint64 channels_last;

  if (!engine_onnx_int (node, "channels_last", 0, &channels_last, error))
    return FALSE;
  if (channels_last)
    return ENGINE_ONNX_UNSUPPORTED ("channels_last; give the model as it was before ONNX Runtime "
                                    "optimised it");
  return import_unary (onnx, node, import, error);
}

gboolean
engine_onnx_import_qlinear_average_pool (EngineOnnx *onnx, const EngineOnnxNode *node,
    GError **error)
{
  return import_pool (onnx, node, engine_onnx_import_averagepool, error);
}

gboolean
engine_onnx_import_qlinear_global_average_pool (EngineOnnx *onnx, const EngineOnnxNode *node,
    GError **error)
{
  return import_pool (onnx, node, engine_onnx_import_global_averagepool, error);
}

/* y_scale y_zero, then x x_scale x_zero of every input */
gboolean
engine_onnx_import_qlinear_concat (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  const gsize n = (node->proto->n_input - 2) / 3;
  g_autofree const char **inputs = g_new0 (const char *, n);

  if (node->proto->n_input != 2 + 3 * n)
    return ENGINE_ONNX_REFUSE ("%" G_GSIZE_FORMAT
                               " inputs; two, and three for each tensor, are possible",
        node->proto->n_input);
  for (gsize i = 0; i < n; i++) {
    inputs[i] = engine_onnx_dequantised (onnx, node, 2 + 3 * i, 3 + 3 * i, 4 + 3 * i, 0, error);
    if (!inputs[i])
      return FALSE;
  }
  return compute (onnx, node, engine_onnx_import_concat, inputs, n, 0, 1, error);
}
