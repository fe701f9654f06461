/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/integer.c: DynamicQuantizeLinear, ConvInteger and MatMulInteger. What these compute is
 *
 *   y = Cast (ConvInteger (x_q, w_q)) * (x_scale * w_scale)
 *
 * with levels whose scale is found in every image anew. Here the scale comes from a calibration table,
 * as that of any other activation, so the graph gets the convolution of real numbers that this is
 * about: x, and w_q w_scale. x_scale is 1 to it, because x is already multiplied by it; the values
 * that depend on it (EngineOnnxValue.dynamic) are followed to the Mul that takes it out.
 *
 * Behind a QuantizeLinear the scale is known, and the sum is divided by it.
 */
#include <string.h>

#include "engine/onnx/levels.h"

/* --- DynamicQuantizeLinear ------------------------------------------------------------------- */

/* y y_scale y_zero_point */
gboolean
engine_onnx_import_dynamic_quantize_linear (EngineOnnx *onnx, const EngineOnnxNode *node,
    GError **error)
{
  EngineOnnxValue *x = engine_onnx_activation (onnx, node, 0, error);
  const char *key = node->proto->output[0];

  if (!x)
    return FALSE;
  if (node->proto->n_output != 3)
    return ENGINE_ONNX_REFUSE ("%" G_GSIZE_FORMAT
                               " outputs; levels, scale and zero point are needed",
        node->proto->n_output);
  for (gsize i = 0; i < 3; i++) {
    EngineOnnxValue *y;
    EngineOnnxConstant *one;
    const char *name;
    float *f;

    if (i == 0) {
      y = engine_onnx_temporary (onnx, x, NULL, &name);
      y->levels.kind = ENGINE_ONNX_DYNAMIC;
    } else {
      one = engine_onnx_new_floats (onnx, 0, NULL, FALSE, &f, error);
      if (!one)
        return FALSE;
      f[0] = 1;
      y = engine_onnx_temporary (onnx, NULL, one, &name);
    }
    y->dynamic = key;
    if (node->proto->output[i][0])
      g_hash_table_insert (onnx->values, node->proto->output[i], y);
  }
  return TRUE;
}

/* --- Integer sums --------------------------------------------------------------------------- */

/* The zero point must be the one that the levels have. */
static gboolean
check_zero (EngineOnnx *onnx, const EngineOnnxNode *node, const EngineOnnxValue *x, GError **error)
{
  const EngineOnnxValue *zero;
  const EngineOnnxConstant *levels;
  int level = 0;

  if (x->levels.kind == ENGINE_ONNX_REAL)
    return ENGINE_ONNX_REFUSE ("input 0 (\"%s\") holds real numbers where levels are needed",
        x->name);
  zero = engine_onnx_has_input (node, 2) ? engine_onnx_input (onnx, node, 2, error) : NULL;
  if (engine_onnx_has_input (node, 2) && !zero)
    return FALSE;
  if (x->levels.kind == ENGINE_ONNX_DYNAMIC) {
    if (zero && zero->constant && zero->dynamic == x->dynamic)
      return TRUE;
    return ENGINE_ONNX_UNSUPPORTED (
        "its zero point is not that of its input's DynamicQuantizeLinear");
  }
  levels = zero ? zero->constant : NULL;
  if (zero && (!levels || !levels->levels || levels->n != 1))
    return ENGINE_ONNX_UNSUPPORTED ("the zero point of its input is no constant of 8 bits");
  if (levels)
    level = levels->levels_type == ENGINE_ONNX_INT8 ? (gint8) levels->levels[0] : levels->levels[0];
  if ((!levels || levels->levels_type == x->levels.type) &&
      level - (x->levels.type == ENGINE_ONNX_UINT8 ? 128 : 0) == x->levels.zero)
    return TRUE;
  return ENGINE_ONNX_REFUSE ("its input has another zero point than %d", level);
}

/* x w [x_zero] [w_zero] */
static gboolean
import_sum (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxImportFn import, GError **error)
{
  EngineOnnxValue *x = engine_onnx_activation (onnx, node, 0, error);
  EngineOnnxValue *w = x ? engine_onnx_input (onnx, node, 1, error) : NULL, *zero = NULL, *y;
  EngineOnnxConstant *real;
  const char *inputs[2];
  const gboolean matmul = import == engine_onnx_import_matmul;

  if (!w || !check_zero (onnx, node, x, error))
    return FALSE;
  if (!w->constant || !w->constant->levels)
    return ENGINE_ONNX_UNSUPPORTED ("weights that are no constant of 8 bits");
  if (engine_onnx_has_input (node, 3) && !(zero = engine_onnx_input (onnx, node, 3, error)))
    return FALSE;
  if (zero && (!zero->constant || zero->dynamic))
    return ENGINE_ONNX_UNSUPPORTED ("the zero point of its weights is no constant");
  real = engine_onnx_real_constant (onnx, node, w->constant, NULL, zero ? zero->constant : NULL,
      matmul ? w->constant->rank - 1 : 0, error);
  if (!real)
    return FALSE;
  engine_onnx_temporary (onnx, x, NULL, &inputs[0]);
  engine_onnx_temporary (onnx, NULL, real, &inputs[1]);
  if (!engine_onnx_import_as (onnx, node, import, inputs, 2, node->proto->output[0], error))
    return FALSE;
  y = g_hash_table_lookup (onnx->values, node->proto->output[0]);
  if (x->levels.kind == ENGINE_ONNX_DYNAMIC) {
    y->dynamic = x->dynamic;
    return TRUE;
  }
  return engine_onnx_scale_output (onnx, node, 1.0 / x->levels.scale, error);
}

gboolean
engine_onnx_import_conv_integer (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  return import_sum (onnx, node, engine_onnx_import_conv, error);
}

gboolean
engine_onnx_import_matmul_integer (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  return import_sum (onnx, node, engine_onnx_import_matmul, error);
}

/* --- The Mul that takes the scale out ---------------------------------------------------------- */

gboolean
engine_onnx_mul_dynamic (EngineOnnx *onnx, const EngineOnnxNode *node, const EngineOnnxValue *a,
    const EngineOnnxValue *b, const char **dynamic, GError **error)
{
  const gboolean sums = !a->constant || !b->constant;

  *dynamic = NULL;
  if (!a->dynamic && !b->dynamic)
    return TRUE;
  if (!sums && (!a->dynamic || !b->dynamic)) { /* a scale times a constant */
    *dynamic = a->dynamic ? a->dynamic : b->dynamic;
    return TRUE;
  }
  if (sums && a->dynamic == b->dynamic && (a->constant || b->constant))
    return TRUE;
  return ENGINE_ONNX_UNSUPPORTED (
      "\"%s\" and \"%s\" do not belong together: an integer sum and the scale "
      "of its input's DynamicQuantizeLinear do",
      a->name, b->name);
}
