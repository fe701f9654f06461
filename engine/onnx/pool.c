/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* onnx/pool.c: pools, global pools, and reductions over axes, which are the same. */
#include <math.h>
#include <string.h>

#include "engine/onnx/import.h"

static EngineNode *
add_pool (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOp op, EngineOnnxValue *x,
    EngineOnnxStorage storage, GError **error)
{
  const int stored = engine_onnx_stored (onnx, node, x, storage, error);

  return stored == ENGINE_NONE ? NULL : engine_onnx_add (onnx, node, op, 0, &stored, 1);
}

/* What a Pad with minus infinity pads, and its pads as the window's: how timm's SAME pools come. */
static int
without_padding (const EngineOnnx *onnx, int value, EngineOnnxWindow *w)
{
  const EngineValue *x = engine_graph_value (onnx->graph, value);
  const EngineNode *pad =
      x->producer == ENGINE_NONE ? NULL : engine_graph_node (onnx->graph, x->producer);

  if (!pad || pad->op != ENGINE_OP_PAD || pad->pad.value != -INFINITY || x->rank != 4 ||
      pad->pad.before[0] || pad->pad.after[0] || pad->pad.before[3] || pad->pad.after[3])
    return value;
  for (int i = 0; i < 2; i++) {
    w->before[i] += pad->pad.before[1 + i];
    w->after[i] += pad->pad.after[1 + i];
  }
  return pad->inputs[0];
}

static gboolean
import_pool (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOp op, GError **error)
{
  EngineOnnxValue *x = engine_onnx_activation (onnx, node, 0, error);
  gint64 ceil_mode, include_pad = 0;
  EngineOnnxWindow w;
  EngineNode *pool;
  int stored;

  if (!x || !engine_onnx_window (node, x, NULL, &w, error) ||
      !engine_onnx_int (node, "ceil_mode", 0, &ceil_mode, error))
    return FALSE;
  if (op == ENGINE_OP_AVGPOOL &&
      !engine_onnx_int (node, "count_include_pad", 0, &include_pad, error))
    return FALSE;
  if (op == ENGINE_OP_AVGPOOL && (w.dilation[0] != 1 || w.dilation[1] != 1))
    return ENGINE_ONNX_UNSUPPORTED ("an average with dilation");
  stored = engine_onnx_stored (onnx, node, x, ENGINE_ONNX_CHANNELS_LAST, error);
  if (stored == ENGINE_NONE)
    return FALSE;
  if (op == ENGINE_OP_MAXPOOL && !ceil_mode)
    stored = without_padding (onnx, stored, &w);
  pool = engine_onnx_add (onnx, node, op, 0, &stored, 1);
  pool->pool = (EnginePoolParams){w.kernel[0], w.kernel[1], w.stride[0], w.stride[1], w.dilation[0],
      w.dilation[1], w.before[0], w.before[1], w.after[0], w.after[1], include_pad != 0,
      ceil_mode != 0};
  return engine_onnx_define (onnx, node, 0, engine_onnx_infer (onnx, node, pool, error),
      ENGINE_ONNX_CHANNELS_LAST);
}

gboolean
engine_onnx_import_maxpool (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  return import_pool (onnx, node, ENGINE_OP_MAXPOOL, error);
}

gboolean
engine_onnx_import_averagepool (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  return import_pool (onnx, node, ENGINE_OP_AVGPOOL, error);
}

/* --- Over whole axes ------------------------------------------------------------------------ */

/* Pools over the spatial axes of a storage that are marked. If all of them are and they are to
 * vanish, the pool's own output has rank 2; else they are reshaped away. */
static gboolean
reduce (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOp op, EngineOnnxValue *x,
    EngineOnnxStorage storage, const gboolean marked[ENGINE_MAX_RANK], gboolean keep,
    GError **error)
{
  EngineNode *pool = add_pool (onnx, node, op, x, storage, error);
  gboolean all = TRUE;
  int value;

  if (!pool)
    return FALSE;
  const EngineValue *in = engine_graph_value (onnx->graph, pool->inputs[0]);
  const int w_axis = in->rank - 2, h_axis = in->rank - 3;

  for (int i = 1; i <= w_axis; i++)
    all = all && marked[i];
  pool->pool.kw = marked[w_axis] ? in->dims[w_axis] : 1;
  pool->pool.kh = h_axis > 0 && marked[h_axis] ? in->dims[h_axis] : 1;
  if (!keep && all)
    engine_graph_value (onnx->graph, pool->output)->rank = 2;
  value = engine_onnx_infer (onnx, node, pool, error);
  if (keep || all || value == ENGINE_NONE)
    return engine_onnx_define (onnx, node, 0, value, storage);

  /* one of two axes vanishes: [n w c] or [n h c] is left, in the same storage */
  EngineNode *reshape = engine_onnx_add (onnx, node, ENGINE_OP_RESHAPE, 0, &value, 1);
  const EngineValue *pooled = engine_graph_value (onnx->graph, value);
  EngineValue *y = engine_graph_value (onnx->graph, reshape->output);

  for (int i = 0; i < pooled->rank; i++)
    if (i == 0 || !marked[i])
      y->dims[y->rank++] = pooled->dims[i];
  engine_onnx_name_output (onnx, node, reshape->output);
  return engine_onnx_define (onnx, node, 0, engine_onnx_infer (onnx, node, reshape, error),
      storage);
}

static gboolean
import_global (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOp op, GError **error)
{
  static const gboolean marked[ENGINE_MAX_RANK] = {FALSE, TRUE, TRUE};
  EngineOnnxValue *x = engine_onnx_activation (onnx, node, 0, error);

  if (!x)
    return FALSE;
  if (!engine_onnx_may_be_channels_last (x))
    return ENGINE_ONNX_UNSUPPORTED ("the input has %d axes; 3 and 4 can be done", x->rank);
  return reduce (onnx, node, op, x, ENGINE_ONNX_CHANNELS_LAST, marked, TRUE, error);
}

gboolean
engine_onnx_import_global_maxpool (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  return import_global (onnx, node, ENGINE_OP_MAXPOOL, error);
}

gboolean
engine_onnx_import_global_averagepool (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  return import_global (onnx, node, ENGINE_OP_AVGPOOL, error);
}

static gboolean
mark_axes (const EngineOnnxNode *node, const EngineOnnxValue *x, const gint64 *axes, int n,
    gboolean marked[ENGINE_MAX_RANK], GError **error)
{
  int axis;

  for (int i = 0; i < n; i++) {
    if (!engine_onnx_axis (node, axes[i], x->rank, &axis, error))
      return FALSE;
    marked[axis] = TRUE;
  }
  if (n < 1 || marked[x->batch_axis])
    return ENGINE_ONNX_UNSUPPORTED ("it goes over the images of a batch; other axes can be done");
  return TRUE;
}

/* The storage in which all of the axes lie between the batch and the last one, if there is one. */
static gboolean
storage_for_axes (const EngineOnnxValue *x, const gboolean marked[ENGINE_MAX_RANK],
    EngineOnnxStorage *storage)
{
  if (!engine_onnx_may_be_channels_last (x) || (marked[1] && marked[x->rank - 1]))
    return FALSE;
  *storage = marked[1] ? ENGINE_ONNX_PLAIN : ENGINE_ONNX_CHANNELS_LAST;
  return TRUE;
}

/* Pools over neighbouring axes of a graph value, which stay as 1: as the width of a picture. */
static int
pool_run (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOp op, int value, int from, int to,
    GError **error)
{
  const EngineValue x = *engine_graph_value (onnx->graph, value);
  gint64 sizes[3] = {1, 1, 1}; /* before, of, and behind the run */
  int dims[ENGINE_MAX_RANK];
  EngineNode *pool;

  for (int i = 1; i < x.rank; i++)
    sizes[i < from ? 0 : i <= to ? 1 : 2] *= x.dims[i];
  if (MAX (sizes[0], MAX (sizes[1], sizes[2])) > ENGINE_MAX_DIM) {
    ENGINE_ONNX_UNSUPPORTED ("more than %d elements of neighbouring axes", ENGINE_MAX_DIM);
    return ENGINE_NONE;
  }
  memcpy (dims, x.dims, sizeof dims);
  for (int i = from; i <= to; i++)
    dims[i] = 1;
  value = engine_onnx_add_reshape (onnx, node, 0, value, 4,
      (int[]){x.dims[0], sizes[0], sizes[1], sizes[2]}, error);
  if (value == ENGINE_NONE)
    return ENGINE_NONE;
  pool = engine_onnx_add (onnx, node, op, 0, &value, 1);
  pool->pool.kw = sizes[1];
  pool->pool.kh = 1;
  value = engine_onnx_infer (onnx, node, pool, error);
  return engine_onnx_add_reshape (onnx, node, 0, value, x.rank, dims, error);
}

/* Over any axes but the batch: one run of neighbours after the other. */
static gboolean
reduce_runs (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOp op, EngineOnnxValue *x,
    const gboolean marked[ENGINE_MAX_RANK], gboolean keep, GError **error)
{
  int value = engine_onnx_stored (onnx, node, x, ENGINE_ONNX_PLAIN, error);
  int dims[ENGINE_MAX_RANK], rank = 0;

  for (int to = x->rank - 1, from; to > 0 && value != ENGINE_NONE; to = from - 1) {
    for (from = to; marked[to] && marked[from - 1];)
      from--;
    if (marked[to])
      value = pool_run (onnx, node, op, value, from, to, error);
  }
  for (int i = 0; i < x->rank; i++)
    if (keep || !marked[i])
      dims[rank++] = marked[i] ? 1 : x->dims[i];
  if (rank != x->rank)
    value = engine_onnx_add_reshape (onnx, node, 0, value, rank, dims, error);
  if (value == ENGINE_NONE)
    return FALSE;
  engine_onnx_name_output (onnx, node, value);
  return engine_onnx_define (onnx, node, 0, value, ENGINE_ONNX_PLAIN);
}

static gboolean
reduce_activation (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOp op, EngineOnnxValue *x,
    const gint64 *axes, int n, gboolean keep, GError **error)
{
  gboolean marked[ENGINE_MAX_RANK] = {FALSE}, stored[ENGINE_MAX_RANK] = {FALSE};
  EngineOnnxStorage storage;

  if (!mark_axes (node, x, axes, n, marked, error))
    return FALSE;
  if (!storage_for_axes (x, marked, &storage))
    return reduce_runs (onnx, node, op, x, marked, keep, error);
  for (int i = 0; i < x->rank; i++)
    stored[engine_onnx_stored_axis (x, storage, i)] = marked[i];
  return reduce (onnx, node, op, x, storage, stored, keep, error);
}

gboolean
engine_onnx_mark_reduced (const EngineOnnxNode *node, const gint64 *axes, int n, int rank,
    gboolean *marked, GError **error)
{
  gint64 none;
  int axis;

  if (!engine_onnx_int (node, "noop_with_empty_axes", 0, &none, error))
    return FALSE;
  for (int i = 0; i < rank; i++)
    marked[i] = n < 1 && !none;
  for (int i = 0; i < n; i++) {
    if (!engine_onnx_axis (node, axes[i], rank, &axis, error))
      return FALSE;
    marked[axis] = TRUE;
  }
  return TRUE;
}

static gboolean
reduce_constant (EngineOnnx *onnx, const EngineOnnxNode *node, const EngineOnnxConstant *x,
    const gint64 *axes, int n, gboolean max, gboolean keep, GError **error)
{
  gboolean marked[ENGINE_ONNX_MAX_RANK];

  if (!engine_onnx_mark_reduced (node, axes, n, x->rank, marked, error))
    return FALSE;
  return engine_onnx_fold_reduce (onnx, node, x, marked, max, keep, error);
}

static gboolean
import_reduce (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOp op, GError **error)
{
  EngineOnnxValue *x = engine_onnx_input (onnx, node, 0, error);
  g_autofree gint64 *axes = NULL;
  gint64 keep, none;
  int n;

  if (!x || !engine_onnx_int (node, "keepdims", 1, &keep, error) ||
      !engine_onnx_int (node, "noop_with_empty_axes", 0, &none, error) ||
      !engine_onnx_ints_or_input (onnx, node, "axes", 1, &axes, &n, error))
    return FALSE;
  if (x->constant)
    return reduce_constant (onnx, node, x->constant, axes, n, op == ENGINE_OP_MAXPOOL, keep != 0,
        error);
  if (n < 1 && none)
    return engine_onnx_define_alias (onnx, node, x);
  return reduce_activation (onnx, node, op, x, axes, n, keep != 0, error);
}

gboolean
engine_onnx_import_reduce_max (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  return import_reduce (onnx, node, ENGINE_OP_MAXPOOL, error);
}

gboolean
engine_onnx_import_reduce_mean (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  return import_reduce (onnx, node, ENGINE_OP_AVGPOOL, error);
}
