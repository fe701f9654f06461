/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* onnx/move.c: Concat, Split, Slice and Transpose of activations; constants go to onnx/fold.c. */
#include <string.h>

#include "engine/onnx/import.h"

/* --- Concat --------------------------------------------------------------------------------- */

static gboolean
all_constant (EngineOnnx *onnx, const EngineOnnxNode *node, gboolean *all, gboolean *any,
    GError **error)
{
  *all = TRUE;
  *any = FALSE;
  for (guint i = 0; i < node->proto->n_input; i++) {
    const EngineOnnxValue *value = engine_onnx_input (onnx, node, i, error);

    if (!value)
      return FALSE;
    *all = *all && value->constant;
    *any = *any || value->constant;
  }
  return TRUE;
}

gboolean
engine_onnx_import_concat (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  const guint n = node->proto->n_input;
  g_autofree int *inputs = g_new (int, n);
  EngineOnnxStorage storage;
  EngineOnnxValue *first, *x;
  EngineNode *concat;
  gboolean constant, any;
  gint64 attribute;
  int axis;

  if (!engine_onnx_attribute (node, "axis"))
    return ENGINE_ONNX_REFUSE ("axis is missing");
  if (!engine_onnx_int (node, "axis", 0, &attribute, error) ||
      !all_constant (onnx, node, &constant, &any, error))
    return FALSE;
  if (constant)
    return engine_onnx_fold_concat (onnx, node, attribute, error);
  if (any)
    return engine_onnx_concat_constants (onnx, node, attribute, error);
  first = engine_onnx_activation (onnx, node, 0, error);
  if (!first || !engine_onnx_axis (node, attribute, first->rank, &axis, error))
    return FALSE;
  storage = first->batch_axis != 0 ? ENGINE_ONNX_FREE : ENGINE_ONNX_PLAIN;
  if (axis == first->batch_axis)
    return ENGINE_ONNX_UNSUPPORTED ("it joins the images of batches");
  for (guint i = 0; i < n; i++) {
    x = engine_onnx_activation (onnx, node, i, error);
    if (!x)
      return FALSE;
    if (x->batch_axis != first->batch_axis)
      return ENGINE_ONNX_UNSUPPORTED ("inputs with the batch in axes %d and %d", first->batch_axis,
          x->batch_axis);
    if (x->rank != first->rank)
      return ENGINE_ONNX_REFUSE ("input %u has %d axes, the first %d", i, x->rank, first->rank);
    if (engine_onnx_storage (onnx, x) == ENGINE_ONNX_CHANNELS_LAST)
      storage = ENGINE_ONNX_CHANNELS_LAST;
  }
  for (guint i = 0; i < n; i++) {
    x = engine_onnx_activation (onnx, node, i, error);
    inputs[i] = engine_onnx_stored (onnx, node, x, storage, error);
    if (inputs[i] == ENGINE_NONE)
      return FALSE;
  }
  concat = engine_onnx_add (onnx, node, ENGINE_OP_CONCAT, 0, inputs, n);
  concat->concat.axis = engine_onnx_stored_axis (first, storage, axis);
  return engine_onnx_define (onnx, node, 0, engine_onnx_infer (onnx, node, concat, error), storage);
}

/* --- Split, Slice --------------------------------------------------------------------------- */

int
engine_onnx_add_slice (EngineOnnx *onnx, const EngineOnnxNode *node, guint output, int x, int axis, int start,
    int size, GError **error)
{
  EngineNode *slice = engine_onnx_add (onnx, node, ENGINE_OP_SLICE, output, &x, 1);

  slice->slice.axis = axis;
  slice->slice.start = start;
  slice->slice.size = size;
  return engine_onnx_infer (onnx, node, slice, error);
}

/* The sizes of the parts: stated, or equal; the last may be smaller since opset 18. */
static gboolean
split_sizes (const EngineOnnx *onnx, const EngineOnnxNode *node, int dim, gint64 *sizes,
    int n_sizes, gint64 n, GError **error)
{
  gint64 sum = 0;

  if (n_sizes < 0 && dim % n != 0 && onnx->opset < 18)
    return ENGINE_ONNX_REFUSE ("an axis of size %d into %" G_GINT64_FORMAT " equal parts", dim, n);
  for (int i = 0; n_sizes < 0 && i < n; i++) {
    const gint64 part = (dim + n - 1) / n;

    sizes[i] = MIN (part, dim - MIN (sum, dim));
    sum += sizes[i];
  }
  sum = 0;
  for (int i = 0; i < n; i++) {
    if (sizes[i] < 1 || sizes[i] > dim)
      return ENGINE_ONNX_REFUSE ("part %d has size %" G_GINT64_FORMAT, i, sizes[i]);
    sum += sizes[i];
  }
  if (sum != dim)
    return ENGINE_ONNX_REFUSE ("the parts have %" G_GINT64_FORMAT " elements, the axis %d", sum,
        dim);
  return TRUE;
}

gboolean
engine_onnx_import_split (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  EngineOnnxValue *x = engine_onnx_activation (onnx, node, 0, error);
  const gint64 n = node->proto->n_output;
  g_autofree gint64 *stated = NULL, *sizes = g_new0 (gint64, n);
  EngineOnnxStorage storage;
  gint64 attribute, parts;
  int axis, n_stated, start = 0, stored;

  if (!x || !engine_onnx_int (node, "axis", 0, &attribute, error) ||
      !engine_onnx_int (node, "num_outputs", n, &parts, error) ||
      !engine_onnx_axis (node, attribute, x->rank, &axis, error) ||
      !engine_onnx_ints_or_input (onnx, node, "split", 1, &stated, &n_stated, error))
    return FALSE;
  if (parts != n || (n_stated >= 0 && n_stated != n))
    return ENGINE_ONNX_REFUSE ("%" G_GINT64_FORMAT " outputs, and another number of parts", n);
  if (n_stated >= 0)
    memcpy (sizes, stated, n * sizeof (gint64));
  if (axis == x->batch_axis)
    return ENGINE_ONNX_UNSUPPORTED ("it splits the images of a batch");
  if (!split_sizes (onnx, node, x->dims[axis], sizes, n_stated, n, error))
    return FALSE;
  storage = engine_onnx_storage (onnx, x);
  stored = engine_onnx_stored (onnx, node, x, storage, error);
  if (stored == ENGINE_NONE)
    return FALSE;
  for (gint64 i = 0; i < n; i++) {
    if (node->proto->output[i][0] &&
        !engine_onnx_define (onnx, node, i,
            engine_onnx_add_slice (onnx, node, i, stored, engine_onnx_stored_axis (x, storage, axis), start,
                sizes[i], error),
            storage))
      return FALSE;
    start += sizes[i];
  }
  return TRUE;
}

typedef struct {
  gint64 from[ENGINE_ONNX_MAX_RANK], step[ENGINE_ONNX_MAX_RANK], count[ENGINE_ONNX_MAX_RANK];
} Cut;

/* Numbers count from the end where negative and are cut to the axis, as in Python. */
static void
cut_axis (gint64 dim, gint64 start, gint64 end, gint64 step, gint64 *from, gint64 *count)
{
  const gint64 last = step > 0 ? dim : dim - 1, first = step > 0 ? 0 : -1;

  start = CLAMP (start < 0 ? start + dim : start, MAX (first, 0), MAX (last, 0));
  end = CLAMP (end < 0 ? end + dim : end, first, last);
  *from = start;
  *count = step > 0 ? (end - start + step - 1) / step : (start - end - step - 1) / -step;
  *count = dim > 0 ? MAX (*count, 0) : 0;
}

/* starts, ends, axes, steps: attributes before opset 10, inputs since. */
static gboolean
read_cut (EngineOnnx *onnx, const EngineOnnxNode *node, int rank, const gint64 *dims, Cut *cut,
    GError **error)
{
  g_autofree gint64 *starts = NULL, *ends = NULL, *axes = NULL, *steps = NULL;
  int n, n_ends, n_axes, n_steps, axis;

  if (!engine_onnx_ints_or_input (onnx, node, "starts", 1, &starts, &n, error) ||
      !engine_onnx_ints_or_input (onnx, node, "ends", 2, &ends, &n_ends, error) ||
      !engine_onnx_ints_or_input (onnx, node, "axes", 3, &axes, &n_axes, error) ||
      !engine_onnx_ints_or_input (onnx, node, "steps", 4, &steps, &n_steps, error))
    return FALSE;
  if (n < 0 || n_ends != n || (n_axes >= 0 && n_axes != n) || (n_steps >= 0 && n_steps != n))
    return ENGINE_ONNX_REFUSE ("starts, ends, axes and steps differ in number");
  for (int i = 0; i < rank; i++) {
    cut->from[i] = 0;
    cut->step[i] = 1;
    cut->count[i] = dims[i];
  }
  for (int i = 0; i < n; i++) {
    if (!engine_onnx_axis (node, axes ? axes[i] : i, rank, &axis, error))
      return FALSE;
    cut->step[axis] = steps ? CLAMP (steps[i], -G_MAXINT32, G_MAXINT32) : 1;
    if (cut->step[axis] == 0)
      return ENGINE_ONNX_REFUSE ("a step of 0");
    cut_axis (dims[axis], CLAMP (starts[i], -G_MAXINT32, G_MAXINT32),
        CLAMP (ends[i], -G_MAXINT32, G_MAXINT32), cut->step[axis], &cut->from[axis],
        &cut->count[axis]);
  }
  return TRUE;
}

/* The value with `size` elements along an axis: cut, or with zeros behind. */
static int
add_resized (EngineOnnx *onnx, const EngineOnnxNode *node, int value, int axis, int size,
    GError **error)
{
  const int old = engine_graph_value (onnx->graph, value)->dims[axis];
  EngineNode *pad;

  if (size <= old)
    return size < old ? engine_onnx_add_slice (onnx, node, 0, value, axis, 0, size, error) : value;
  pad = engine_onnx_add (onnx, node, ENGINE_OP_PAD, 0, &value, 1);
  pad->pad.after[axis] = size - old;
  return engine_onnx_infer (onnx, node, pad, error);
}

/* One of `step` columns, once the axis is rows of so many. */
int
engine_onnx_add_strided_slice (EngineOnnx *onnx, const EngineOnnxNode *node, int value, int axis,
    gint64 from, gint64 step, gint64 count, GError **error)
{
  const EngineValue x = *engine_graph_value (onnx->graph, value);
  int dims[ENGINE_MAX_RANK + 1];

  if (step == 1)
    return engine_onnx_add_slice (onnx, node, 0, value, axis, from, count, error);
  if (x.rank == ENGINE_MAX_RANK || step > ENGINE_MAX_DIM || step * count >= 2 * ENGINE_MAX_DIM) {
    ENGINE_ONNX_UNSUPPORTED ("%" G_GINT64_FORMAT " elements in steps of %" G_GINT64_FORMAT
                             ", of %d axes; up to %d axes can be done",
        count, step, x.rank, ENGINE_MAX_RANK - 1);
    return ENGINE_NONE;
  }
  if (from >= step) {
    value = engine_onnx_add_slice (onnx, node, 0, value, axis, from, x.dims[axis] - from, error);
    from = 0;
  }
  if (value == ENGINE_NONE)
    return ENGINE_NONE;
  value = add_resized (onnx, node, value, axis, step * count, error);
  memcpy (dims, x.dims, axis * sizeof (int));
  dims[axis] = count;
  dims[axis + 1] = step;
  memcpy (dims + axis + 2, x.dims + axis + 1, (x.rank - axis - 1) * sizeof (int));
  value = engine_onnx_add_reshape (onnx, node, 0, value, x.rank + 1, dims, error);
  if (value != ENGINE_NONE)
    value = engine_onnx_add_slice (onnx, node, 0, value, axis + 1, from, 1, error);
  memcpy (dims, x.dims, sizeof x.dims);
  dims[axis] = count;
  return engine_onnx_add_reshape (onnx, node, 0, value, x.rank, dims, error);
}

gboolean
engine_onnx_import_slice (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  EngineOnnxValue *x = engine_onnx_input (onnx, node, 0, error);
  gint64 dims[ENGINE_MAX_RANK];
  EngineOnnxStorage storage;
  gboolean whole = TRUE;
  Cut cut;
  int value;

  if (!x)
    return FALSE;
  if (x->constant)
    return read_cut (onnx, node, x->constant->rank, x->constant->dims, &cut, error) &&
           engine_onnx_fold_slice (onnx, node, x->constant, cut.from, cut.step, cut.count, error);
  for (int i = 0; i < x->rank; i++)
    dims[i] = i == x->batch_axis ? x->dims[i] * onnx->batch : x->dims[i];
  if (!read_cut (onnx, node, x->rank, dims, &cut, error))
    return FALSE;
  storage = engine_onnx_storage (onnx, x);
  value = engine_onnx_stored (onnx, node, x, storage, error);
  if (value == ENGINE_NONE)
    return FALSE;
  for (int i = 0; i < x->rank; i++) {
    if (cut.from[i] == 0 && cut.step[i] == 1 && cut.count[i] == dims[i])
      continue;
    if (i == x->batch_axis || cut.step[i] < 1 || cut.count[i] < 1)
      return ENGINE_ONNX_UNSUPPORTED ("axis %d with step %" G_GINT64_FORMAT
                                      "; axes other than the batch, forwards, can be done",
          i, cut.step[i]);
    value = engine_onnx_add_strided_slice (onnx, node, value,
        engine_onnx_stored_axis (x, storage, i), cut.from[i], cut.step[i], cut.count[i], error);
    if (value == ENGINE_NONE)
      return FALSE;
    whole = FALSE;
  }
  if (whole)
    return engine_onnx_define_alias (onnx, node, x);
  engine_graph_rename (onnx->graph, value, node->proto->output[0]);
  return engine_onnx_define (onnx, node, 0, value, storage);
}

/* --- Transpose ------------------------------------------------------------------------------ */

static gboolean
read_perm (const EngineOnnxNode *node, int rank, int *perm, GError **error)
{
  const gint64 *values;
  unsigned seen = 0;
  int n;

  if (!engine_onnx_ints (node, "perm", &values, &n, error))
    return FALSE;
  if (n >= 0 && n != rank)
    return ENGINE_ONNX_REFUSE ("perm has %d numbers, the input %d axes", n, rank);
  for (int i = 0; i < rank; i++) {
    const gint64 from = n < 0 ? rank - 1 - i : values[i];

    if (from < 0 || from >= rank || seen & 1u << from)
      return ENGINE_ONNX_REFUSE ("perm is no permutation of %d axes", rank);
    seen |= 1u << from;
    perm[i] = from;
  }
  return TRUE;
}

/* One that the batch takes part in. */
static gboolean
transpose_free (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxValue *x, const int *perm,
    GError **error)
{
  const int stored = engine_onnx_stored_free (onnx, node, x, error);
  EngineNode *transpose;
  int batch_axis = 0;

  if (stored == ENGINE_NONE)
    return FALSE;
  transpose = engine_onnx_add (onnx, node, ENGINE_OP_TRANSPOSE, 0, &stored, 1);
  transpose->transpose.perm[0] = 0;
  for (int i = 0; i < x->rank; i++) {
    transpose->transpose.perm[i + 1] = perm[i] + 1;
    if (perm[i] == x->batch_axis)
      batch_axis = i;
  }
  return engine_onnx_define_free (onnx, node, 0, engine_onnx_infer (onnx, node, transpose, error),
      batch_axis, error);
}

gboolean
engine_onnx_import_transpose (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  EngineOnnxValue *x = engine_onnx_input (onnx, node, 0, error);
  int perm[ENGINE_ONNX_MAX_RANK], stored;
  EngineNode *transpose;

  if (!x || !read_perm (node, x->constant ? x->constant->rank : x->rank, perm, error))
    return FALSE;
  if (x->constant)
    return engine_onnx_fold_transpose (onnx, node, x->constant, perm, error);
  if (perm[x->batch_axis] != 0 || x->batch_axis != 0)
    return transpose_free (onnx, node, x, perm, error);
  stored = engine_onnx_stored (onnx, node, x, ENGINE_ONNX_PLAIN, error);
  if (stored == ENGINE_NONE)
    return FALSE;
  transpose = engine_onnx_add (onnx, node, ENGINE_OP_TRANSPOSE, 0, &stored, 1);
  memcpy (transpose->transpose.perm, perm, x->rank * sizeof (int));
  return engine_onnx_define (onnx, node, 0, engine_onnx_infer (onnx, node, transpose, error),
      ENGINE_ONNX_PLAIN);
}
