/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/choice.c: ArgMax and TopK at the end of a model. Whoever runs it wants the scores and chooses
 * himself, so that the scores before are the output.
 */
#include <string.h>

#include "engine/onnx/import.h"

/* Whether no node reads the value. */
static gboolean
is_end (const EngineOnnx *onnx, const char *name)
{
  for (gsize i = 0; i < onnx->proto->n_node; i++)
    for (gsize k = 0; k < onnx->proto->node[i]->n_input; k++)
      if (strcmp (onnx->proto->node[i]->input[k], name) == 0)
        return FALSE;
  return TRUE;
}

static gboolean
import_choice (EngineOnnx *onnx, const EngineOnnxNode *node, gint64 otherwise, GError **error)
{
  EngineOnnxValue *x = engine_onnx_activation (onnx, node, 0, error);
  gint64 attribute;
  int axis;

  if (!x || !engine_onnx_int (node, "axis", otherwise, &attribute, error) ||
      !engine_onnx_axis (node, attribute, x->rank, &axis, error))
    return FALSE;
  for (int i = 0; i < x->rank; i++)
    if (i != axis && x->dims[i] != 1)
      return ENGINE_ONNX_UNSUPPORTED (
          "a choice at every position; one among all scores can be done");
  for (gsize i = 0; i < node->proto->n_output; i++) {
    const char *output = node->proto->output[i];

    if (!is_end (onnx, output))
      return ENGINE_ONNX_UNSUPPORTED (
          "its result \"%s\" is read again; at the end of a model it can be done", output);
    if (output[0])
      g_hash_table_insert (onnx->values, (char *) output, x);
  }
  return TRUE;
}

gboolean
engine_onnx_import_arg_max (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  return import_choice (onnx, node, 0, error);
}

gboolean
engine_onnx_import_top_k (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  gint64 largest;

  if (!engine_onnx_int (node, "largest", 1, &largest, error))
    return FALSE;
  if (!largest)
    return ENGINE_ONNX_UNSUPPORTED ("the smallest are the best; the largest can be done");
  return import_choice (onnx, node, -1, error);
}
