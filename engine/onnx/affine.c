/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* onnx/affine.c: a scale and a shift for each element of the last axis. */
#include "engine/onnx/import.h"

/* AFFINE takes 2 to 4 axes: others are made so many for it. */
static int
add (EngineOnnx *onnx, const EngineOnnxNode *node, int inputs[3], GError **error)
{
  const EngineValue x = *engine_graph_value (onnx->graph, inputs[0]);
  const gboolean fits = x.rank >= 2 && x.rank <= 4;
  const int c = x.rank > 1 ? x.dims[x.rank - 1] : 1;
  int y;

  if (!fits)
    inputs[0] = engine_onnx_add_reshape (onnx, node, 0, inputs[0], 3,
        (int[]){x.dims[0], (int) (engine_value_elements (&x) / c / x.dims[0]), c}, error);
  if (inputs[0] == ENGINE_NONE)
    return ENGINE_NONE;
  y = engine_onnx_infer (onnx, node, engine_onnx_add (onnx, node, ENGINE_OP_AFFINE, 0, inputs, 3),
      error);
  return fits ? y : engine_onnx_add_reshape (onnx, node, 0, y, x.rank, x.dims, error);
}

int
engine_onnx_add_affine (EngineOnnx *onnx, const EngineOnnxNode *node, int stored, float *scale,
    float *shift, GError **error)
{
  const EngineValue *value = engine_graph_value (onnx->graph, stored);
  const int c = value->dims[value->rank - 1];
  int inputs[3] = {stored, ENGINE_NONE, ENGINE_NONE};

  if (!shift) {
    shift = engine_onnx_alloc (onnx, c, sizeof (float), error);
    for (int k = 0; shift && k < c; k++)
      shift[k] = 0;
  }
  if (!shift) {
    g_free (scale);
    return ENGINE_NONE;
  }
  inputs[1] = engine_onnx_add_floats (onnx, node, "scale", 1, &c, scale, error);
  if (inputs[1] == ENGINE_NONE) {
    g_free (shift);
    return ENGINE_NONE;
  }
  inputs[2] = engine_onnx_add_floats (onnx, node, "shift", 1, &c, shift, error);
  if (inputs[2] == ENGINE_NONE)
    return ENGINE_NONE;
  return add (onnx, node, inputs, error);
}

int
engine_onnx_add_uniform_affine (EngineOnnx *onnx, const EngineOnnxNode *node, int stored,
    float scale, GError **error)
{
  const EngineValue *value = engine_graph_value (onnx->graph, stored);
  const int c = value->dims[value->rank - 1];
  float *scales = engine_onnx_alloc (onnx, c, sizeof (float), error);

  for (int k = 0; scales && k < c; k++)
    scales[k] = scale;
  return scales ? engine_onnx_add_affine (onnx, node, stored, scales, NULL, error) : ENGINE_NONE;
}

gboolean
engine_onnx_affine (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxValue *x,
    EngineOnnxStorage storage, float *scale, float *shift, GError **error)
{
  const int stored = engine_onnx_stored (onnx, node, x, storage, error);

  if (stored == ENGINE_NONE) {
    g_free (scale);
    g_free (shift);
    return FALSE;
  }
  return engine_onnx_define (onnx, node, 0,
      engine_onnx_add_affine (onnx, node, stored, scale, shift, error), storage);
}

gboolean
engine_onnx_import_neg (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  EngineOnnxValue *x = engine_onnx_input (onnx, node, 0, error);
  EngineOnnxStorage storage;
  int stored;

  if (!x)
    return FALSE;
  if (x->constant) {
    g_autoptr (EngineOnnxConstant) zero = NULL;
    gint64 *i;
    float *f;

    zero = x->constant->f ? engine_onnx_new_floats (onnx, 0, NULL, FALSE, &f, error)
                          : engine_onnx_new_integers (onnx, 0, NULL, &i, error);
    if (!zero)
      return FALSE;
    if (x->constant->f)
      f[0] = -0.0f;
    else
      i[0] = 0;
    return engine_onnx_fold_binary (onnx, node, '-', zero, x->constant, error);
  }
  storage = engine_onnx_storage (onnx, x);
  stored = engine_onnx_stored (onnx, node, x, storage, error);
  return stored != ENGINE_NONE &&
         engine_onnx_define (onnx, node, 0,
             engine_onnx_add_uniform_affine (onnx, node, stored, -1, error), storage);
}
