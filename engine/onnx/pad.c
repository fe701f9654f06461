/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/pad.c: Pad. With a constant it is an op of the graph; what mirrors the image, or repeats its
 * edge, joins slices of it, whose bytes pass through.
 */
#include <string.h>

#include "engine/onnx/import.h"

#define MAX_PAD    65535
#define MAX_SLICES 64 /* that mirrored or repeated pixels of an axis are worth */

static gboolean
read_pads (EngineOnnx *onnx, const EngineOnnxNode *node, const EngineOnnxValue *x,
    EngineOnnxStorage storage, EngineNode *pad, GError **error)
{
  g_autofree gint64 *pads = NULL, *axes = NULL;
  int n, n_axes, axis;

  if (!engine_onnx_ints_or_input (onnx, node,
          engine_onnx_attribute (node, "paddings") ? "paddings" : "pads", 1, &pads, &n, error) ||
      !engine_onnx_ints_or_input (onnx, node, "axes", 3, &axes, &n_axes, error))
    return FALSE;
  if (n_axes < 0)
    n_axes = x->rank;
  if (n != 2 * n_axes)
    return ENGINE_ONNX_REFUSE ("pads has %d numbers; %d are needed", n, 2 * n_axes);
  for (int i = 0; i < n_axes; i++) {
    if (!engine_onnx_axis (node, axes ? axes[i] : i, x->rank, &axis, error))
      return FALSE;
    axis = engine_onnx_stored_axis (x, storage, axis);
    for (int end = 0; end < 2; end++) {
      const gint64 amount = pads[i + end * n_axes];

      if (amount < -MAX_PAD || amount > MAX_PAD)
        return ENGINE_ONNX_UNSUPPORTED ("padding by %" G_GINT64_FORMAT "; %d to %d can be done",
            amount, -MAX_PAD, MAX_PAD);
      (end ? pad->pad.after : pad->pad.before)[axis] = amount;
    }
  }
  return TRUE;
}

/* Negative padding is cut off; what is left of it is 0. */
static int
cut (EngineOnnx *onnx, const EngineOnnxNode *node, int value, EngineNode *params, GError **error)
{
  for (int axis = 0; value != ENGINE_NONE && axis < engine_graph_value (onnx->graph, value)->rank;
       axis++) {
    int *before = &params->pad.before[axis], *after = &params->pad.after[axis];
    const int start = MAX (-*before, 0), end = MAX (-*after, 0);
    const int size = engine_graph_value (onnx->graph, value)->dims[axis] - start - end;

    if (start == 0 && end == 0)
      continue;
    if (axis == 0 || size < 1) {
      ENGINE_ONNX_UNSUPPORTED ("it cuts %d elements off axis %d of the graph", start + end, axis);
      return ENGINE_NONE;
    }
    value = engine_onnx_add_slice (onnx, node, 0, value, axis, start, size, error);
    *before = MAX (*before, 0);
    *after = MAX (*after, 0);
  }
  return value;
}

/* --- Mirrored, repeated ---------------------------------------------------------------------- */

/* Where the element `i` before (i < 0) or behind the axis comes from. */
static int
source (gboolean reflect, int i, int size)
{
  if (reflect)
    return i < 0 ? -i : i < size ? i : 2 * (size - 1) - i;
  return CLAMP (i, 0, size - 1);
}

static int
pad_axis (EngineOnnx *onnx, const EngineOnnxNode *node, gboolean reflect, int value, int axis,
    int before, int after, GError **error)
{
  const int size = engine_graph_value (onnx->graph, value)->dims[axis];
  g_autoptr (GArray) parts = g_array_new (FALSE, FALSE, sizeof (int));
  EngineNode *concat;

  if (before + after > MAX_SLICES || (reflect && MAX (before, after) >= size)) {
    ENGINE_ONNX_UNSUPPORTED (
        "an axis of size %d is padded by %d and %d with what it has; %d in all, and "
        "to mirror, less than the size, can be done",
        size, before, after, MAX_SLICES);
    return ENGINE_NONE;
  }
  for (int i = -before; i < size + after; i += i == 0 ? size : 1) {
    const int part = i == 0 ? value
                            : engine_onnx_add_slice (onnx, node, 0, value, axis,
                                  source (reflect, i, size), 1, error);

    if (part == ENGINE_NONE)
      return ENGINE_NONE;
    g_array_append_val (parts, part);
  }
  concat = engine_onnx_add (onnx, node, ENGINE_OP_CONCAT, 0, (int *) parts->data, parts->len);
  concat->concat.axis = axis;
  return engine_onnx_infer (onnx, node, concat, error);
}

static gboolean
pad_with_itself (EngineOnnx *onnx, const EngineOnnxNode *node, gboolean reflect, int value,
    EngineOnnxStorage storage, const EngineNode *params, GError **error)
{
  const int rank = engine_graph_value (onnx->graph, value)->rank;

  if (params->pad.before[0] || params->pad.after[0])
    return ENGINE_ONNX_UNSUPPORTED ("it repeats images of the batch");
  for (int axis = 1; axis < rank && value != ENGINE_NONE; axis++)
    if (params->pad.before[axis] || params->pad.after[axis])
      value = pad_axis (onnx, node, reflect, value, axis, params->pad.before[axis],
          params->pad.after[axis], error);
  if (value == ENGINE_NONE)
    return FALSE;
  engine_onnx_name_output (onnx, node, value);
  return engine_onnx_define (onnx, node, 0, value, storage);
}

/* --- Import --------------------------------------------------------------------------------- */

gboolean
engine_onnx_import_pad (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  EngineOnnxValue *x = engine_onnx_activation (onnx, node, 0, error);
  g_autofree char *mode = NULL;
  EngineOnnxStorage storage;
  EngineNode params = {0}, *pad;
  float value;
  int stored;

  if (!x || !engine_onnx_string (node, "mode", "constant", &mode, error) ||
      !engine_onnx_float (node, "value", 0, &value, error))
    return FALSE;
  const gboolean reflect = strcmp (mode, "reflect") == 0, edge = strcmp (mode, "edge") == 0;

  if (!reflect && !edge && strcmp (mode, "constant") != 0)
    return ENGINE_ONNX_UNSUPPORTED ("mode \"%.32s\"; constant, reflect and edge can be done", mode);
  if (engine_onnx_has_input (node, 2) && !engine_onnx_scalar (onnx, node, 2, &value, error))
    return FALSE;
  storage = engine_onnx_storage (onnx, x);
  stored = engine_onnx_stored (onnx, node, x, storage, error);
  if (stored == ENGINE_NONE || !read_pads (onnx, node, x, storage, &params, error))
    return FALSE;
  stored = cut (onnx, node, stored, &params, error);
  if (stored == ENGINE_NONE)
    return FALSE;
  if (reflect || edge)
    return pad_with_itself (onnx, node, reflect, stored, storage, &params, error);
  pad = engine_onnx_add (onnx, node, ENGINE_OP_PAD, 0, &stored, 1);
  pad->pad = params.pad;
  pad->pad.value = value;
  return engine_onnx_define (onnx, node, 0, engine_onnx_infer (onnx, node, pad, error), storage);
}
