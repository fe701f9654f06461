/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/pair.c: an activation that is rounded to its levels: the nodes quantise and dequantise behind it, and,
 * where channels have scales of their own, an affine before and behind these (pass/fold-scales.c).
 */
#include "engine/onnx/levels.h"

/* Channels of scales of their own are brought to the largest of these, or back. */
static int
add_factors (EngineOnnx *onnx, const EngineOnnxNode *node, int stored,
    const EngineOnnxLevels *levels, gboolean back, GError **error)
{
  const gint64 n = levels->scales->n;
  float *factors = engine_onnx_alloc (onnx, n, sizeof (float), error);

  for (gint64 k = 0; factors && k < n; k++) {
    const double factor = (double) engine_onnx_f (levels->scales, k) / levels->scale;

    factors[k] = (float) (back ? factor : 1 / factor);
  }
  return factors ? engine_onnx_add_affine (onnx, node, stored, factors, NULL, error) : ENGINE_NONE;
}

/* Quantise and dequantise behind a value of the graph; returns what comes out. */
static int
add_pair (EngineOnnx *onnx, const EngineOnnxNode *node, int stored, const EngineOnnxLevels *levels,
    GError **error)
{
  g_autofree char *real = g_strconcat (node->proto->output[0], " (real)", NULL);
  const int quantised = engine_onnx_infer (onnx, node,
      engine_onnx_add (onnx, node, ENGINE_OP_QUANTISE, 0, &stored, 1), error);
  EngineQuant *quant;

  if (quantised == ENGINE_NONE)
    return ENGINE_NONE;
  quant = &engine_graph_value (onnx->graph, quantised)->quant;
  quant->scale = levels->scale;
  quant->zero = levels->zero;
  quant->range = levels->zero == 0      ? ENGINE_RANGE_SYMMETRIC
                 : levels->zero == -128 ? ENGINE_RANGE_FULL
                                        : ENGINE_RANGE_AFFINE;
  return engine_onnx_infer (onnx, node,
      engine_graph_add_node (onnx->graph, ENGINE_OP_DEQUANTISE, node->name, &quantised, 1, real),
      error);
}

/* One scale, or one for each channel. */
static gboolean
check_scales_of (const EngineOnnxNode *node, const EngineOnnxValue *x,
    const EngineOnnxLevels *levels, GError **error)
{
  const EngineOnnxConstant *scales = levels->scales;

  if (!scales || (levels->axis == 1 && (x->rank == 2 || engine_onnx_may_be_channels_last (x)) &&
                     scales->n == x->dims[1]))
    return TRUE;
  return ENGINE_ONNX_UNSUPPORTED ("an activation with %" G_GINT64_FORMAT
                                  " scales on axis %d; one, or one for each channel on axis 1, can "
                                  "be done",
      scales->n, levels->axis);
}

gboolean
engine_onnx_quantise (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxValue *x,
    const EngineOnnxLevels *levels, GError **error)
{
  const EngineOnnxStorage storage = !levels->scales ? engine_onnx_storage (onnx, x)
                                    : x->rank == 2  ? ENGINE_ONNX_PLAIN
                                                    : ENGINE_ONNX_CHANNELS_LAST;
  EngineOnnxValue *y;
  int stored;

  if (!check_scales_of (node, x, levels, error))
    return FALSE;
  stored = engine_onnx_stored (onnx, node, x, storage, error);
  if (stored != ENGINE_NONE && levels->scales)
    stored = add_factors (onnx, node, stored, levels, FALSE, error);
  if (stored != ENGINE_NONE)
    stored = add_pair (onnx, node, stored, levels, error);
  if (stored != ENGINE_NONE && levels->scales)
    stored = add_factors (onnx, node, stored, levels, TRUE, error);
  if (!engine_onnx_define (onnx, node, 0, stored, storage))
    return FALSE;
  y = g_hash_table_lookup (onnx->values, node->proto->output[0]);
  y->levels = *levels;
  return TRUE;
}

gboolean
engine_onnx_quantise_output (EngineOnnx *onnx, const EngineOnnxNode *node,
    const EngineOnnxLevels *levels, GError **error)
{
  EngineOnnxValue *x = g_hash_table_lookup (onnx->values, node->proto->output[0]);

  if (!x || x->constant)
    return ENGINE_ONNX_UNSUPPORTED ("it does not depend on the image");
  return engine_onnx_quantise (onnx, node, x, levels, error);
}
