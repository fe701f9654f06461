/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/reshape.c: Reshape, Flatten, Squeeze, Unsqueeze, of activations and of constants. The shapes
 * that a model states are for the batch of its export; the graph's are for one image, so that axis 0
 * must be a multiple of that batch.
 */
#include "engine/onnx/import.h"

/* --- Of a value that may be either ------------------------------------------------------------ */

/* The input's dims, as the model sees them. */
typedef struct {
  EngineOnnxValue *value;
  int rank;
  gint64 dims[ENGINE_ONNX_MAX_RANK];
} Input;

static gboolean
read_input (EngineOnnx *onnx, const EngineOnnxNode *node, Input *input, GError **error)
{
  EngineOnnxValue *value = engine_onnx_input (onnx, node, 0, error);

  input->value = value;
  if (!value)
    return FALSE;
  input->rank = value->constant ? value->constant->rank : value->rank;
  for (int i = 0; i < input->rank; i++)
    input->dims[i] = value->constant          ? value->constant->dims[i]
                     : i == value->batch_axis ? value->dims[i] * onnx->batch
                                              : value->dims[i];
  return TRUE;
}

gboolean
engine_onnx_reshape_constant (EngineOnnx *onnx, const EngineOnnxNode *node,
    EngineOnnxConstant *constant, int rank, const gint64 *dims, GError **error)
{
  EngineOnnxConstant *result;
  float *f;
  gint64 *i;

  if (engine_onnx_elements (rank, dims) != constant->n)
    return ENGINE_ONNX_REFUSE ("a constant of %" G_GINT64_FORMAT
                               " elements does not have %" G_GINT64_FORMAT,
        constant->n, engine_onnx_elements (rank, dims));
  /* a copy: simple, counted, and of use for small constants only */
  if (constant->f) {
    result = engine_onnx_new_floats (onnx, rank, dims, constant->splat, &f, error);
    for (gint64 k = 0; result && k < (constant->splat ? 1 : constant->n); k++)
      f[k] = constant->f[k];
  } else {
    result = engine_onnx_new_integers (onnx, rank, dims, &i, error);
    for (gint64 k = 0; result && k < constant->n; k++)
      i[k] = constant->i[k];
  }
  return engine_onnx_define_constant (onnx, node, result);
}

static gboolean
same_dims (const Input *input, int rank, const gint64 *dims)
{
  for (int i = 0; i < rank && rank == input->rank; i++)
    if (dims[i] != input->dims[i])
      return FALSE;
  return rank == input->rank;
}

static gint64
elements_before (const EngineOnnxValue *x)
{
  gint64 n = 1;

  for (int i = 0; i < x->batch_axis; i++)
    n *= x->dims[i];
  return n;
}

/* Where the batch is once a value whose batch is in another axis than 0 has these dims: what lies
 * before it has as many elements as it had. ENGINE_NONE where images would be torn apart. */
static int
find_batch_axis (const EngineOnnx *onnx, const EngineOnnxValue *x, int rank, const gint64 *dims)
{
  const gint64 wanted = elements_before (x);
  gint64 before = 1;

  for (int axis = 0; axis < rank; before *= dims[axis++]) {
    if (before == wanted && dims[axis] % onnx->batch == 0)
      return axis;
    if (dims[axis] < 1 || before > wanted / dims[axis])
      break; /* beyond what is wanted: the sizes are a file's, and their product may overflow */
  }
  return ENGINE_NONE;
}

/* dims are those of ONNX. */
static gboolean
reshape_free (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxValue *x, int rank,
    const gint64 *dims, int batch_axis, GError **error)
{
  int free_dims[ENGINE_MAX_RANK] = {1};

  if (batch_axis == ENGINE_NONE || rank < 1 || rank >= ENGINE_MAX_RANK)
    return ENGINE_ONNX_UNSUPPORTED (
        "its input has the batch in axis %d, and its output %d axes of which none is the batch",
        x->batch_axis, rank);
  for (int i = 0; i < rank; i++) {
    if (dims[i] < 1 || dims[i] > ENGINE_MAX_DIM)
      return ENGINE_ONNX_REFUSE ("axis %d of the output has size %" G_GINT64_FORMAT, i, dims[i]);
    free_dims[i + 1] = i == batch_axis ? dims[i] / onnx->batch : dims[i];
  }
  return engine_onnx_define_free (onnx, node, 0,
      engine_onnx_add_reshape (onnx, node, 0, engine_onnx_stored_free (onnx, node, x, error),
          rank + 1, free_dims, error),
      batch_axis, error);
}

static gboolean
reshape_activation (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxValue *x, int rank,
    const gint64 *dims, GError **error)
{
  int stored;
  EngineNode *reshape;
  EngineValue *y;

  if (x->batch_axis != 0)
    return reshape_free (onnx, node, x, rank, dims, find_batch_axis (onnx, x, rank, dims), error);
  if (rank < 1 || rank > ENGINE_MAX_RANK)
    return ENGINE_ONNX_UNSUPPORTED ("the output has %d axes; 1 to %d can be done", rank,
        ENGINE_MAX_RANK);
  if (dims[0] % onnx->batch != 0)
    return ENGINE_ONNX_UNSUPPORTED (
        "axis 0 becomes %" G_GINT64_FORMAT ", no multiple of the batch of %" G_GINT64_FORMAT
        " images that the model was exported with; export it with batch 1",
        dims[0], onnx->batch);
  for (int i = 0; i < rank; i++)
    if (dims[i] < 1 || dims[i] > ENGINE_MAX_DIM)
      return ENGINE_ONNX_REFUSE ("axis %d of the output has size %" G_GINT64_FORMAT, i, dims[i]);
  stored = engine_onnx_stored (onnx, node, x, ENGINE_ONNX_PLAIN, error);
  if (stored == ENGINE_NONE)
    return FALSE;
  reshape = engine_onnx_add (onnx, node, ENGINE_OP_RESHAPE, 0, &stored, 1);
  y = engine_graph_value (onnx->graph, reshape->output);
  y->rank = rank;
  for (int i = 0; i < rank; i++)
    y->dims[i] = i == 0 ? dims[0] / onnx->batch : dims[i];
  if (engine_onnx_elements (rank, dims) < 0)
    return ENGINE_ONNX_REFUSE ("the output has too many elements");
  return engine_onnx_define (onnx, node, 0, engine_onnx_infer (onnx, node, reshape, error),
      ENGINE_ONNX_PLAIN);
}

static gboolean
reshape (EngineOnnx *onnx, const EngineOnnxNode *node, const Input *input, int rank,
    const gint64 *dims, GError **error)
{
  if (same_dims (input, rank, dims))
    return engine_onnx_define_alias (onnx, node, input->value);
  if (input->value->constant)
    return engine_onnx_reshape_constant (onnx, node, input->value->constant, rank, dims, error);
  return reshape_activation (onnx, node, input->value, rank, dims, error);
}

/* --- Reshape, Flatten ------------------------------------------------------------------------ */

/* 0 takes the input's size, -1 what is left. */
static gboolean
read_target (const EngineOnnxNode *node, const Input *input, const gint64 *shape, int rank,
    gboolean allow_zero, gint64 *dims, GError **error)
{
  const gint64 elements = engine_onnx_elements (input->rank, input->dims);
  int open = -1;

  for (int i = 0; i < rank; i++) {
    dims[i] = shape[i];
    if (dims[i] == 0 && !allow_zero) {
      if (i >= input->rank)
        return ENGINE_ONNX_REFUSE ("axis %d copies an axis that the input does not have", i);
      dims[i] = input->dims[i];
    }
    if (dims[i] == -1 && open >= 0)
      return ENGINE_ONNX_REFUSE ("two axes are -1");
    if (dims[i] < -1)
      return ENGINE_ONNX_REFUSE ("axis %d has size %" G_GINT64_FORMAT, i, dims[i]);
    if (dims[i] == -1)
      open = i;
  }
  if (open < 0)
    return TRUE;
  dims[open] = 1;
  const gint64 rest = engine_onnx_elements (rank, dims);

  if (rest < 1 || elements < 0 || elements % rest != 0)
    return ENGINE_ONNX_REFUSE (
        "%" G_GINT64_FORMAT " elements cannot be divided by %" G_GINT64_FORMAT, elements, rest);
  dims[open] = elements / rest;
  return TRUE;
}

gboolean
engine_onnx_import_reshape (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  Input input;
  g_autofree gint64 *shape = NULL;
  gint64 dims[ENGINE_ONNX_MAX_RANK], allow_zero;
  int rank;

  if (!read_input (onnx, node, &input, error) ||
      !engine_onnx_ints_or_input (onnx, node, "shape", 1, &shape, &rank, error) ||
      !engine_onnx_int (node, "allowzero", 0, &allow_zero, error))
    return FALSE;
  if (rank < 0)
    return ENGINE_ONNX_REFUSE ("it has no shape");
  if (rank > ENGINE_ONNX_MAX_RANK)
    return ENGINE_ONNX_UNSUPPORTED ("a shape of %d axes; %d can be done", rank,
        ENGINE_ONNX_MAX_RANK);
  return read_target (node, &input, shape, rank, allow_zero != 0, dims, error) &&
         reshape (onnx, node, &input, rank, dims, error);
}

gboolean
engine_onnx_import_flatten (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  Input input;
  gint64 dims[2], axis;

  if (!read_input (onnx, node, &input, error) || !engine_onnx_int (node, "axis", 1, &axis, error))
    return FALSE;
  if (axis < -input.rank || axis > input.rank)
    return ENGINE_ONNX_REFUSE ("axis %" G_GINT64_FORMAT " does not exist: there are %d", axis,
        input.rank);
  if (axis < 0)
    axis += input.rank;
  if (axis == 0 && !input.value->constant)
    return ENGINE_ONNX_UNSUPPORTED ("axis 0 flattens the images of a batch into one");
  dims[0] = engine_onnx_elements (axis, input.dims);
  dims[1] = engine_onnx_elements (input.rank - axis, input.dims + axis);
  return reshape (onnx, node, &input, 2, dims, error);
}

/* --- Squeeze, Unsqueeze ---------------------------------------------------------------------- */

static gboolean
mark_axes (const EngineOnnxNode *node, const gint64 *axes, int n, int rank, gboolean *marked,
    GError **error)
{
  int axis;

  for (int i = 0; i < n; i++) {
    if (!engine_onnx_axis (node, axes[i], rank, &axis, error))
      return FALSE;
    if (marked[axis])
      return ENGINE_ONNX_REFUSE ("axis %d is there twice", axis);
    marked[axis] = TRUE;
  }
  return TRUE;
}

gboolean
engine_onnx_import_squeeze (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  gboolean marked[ENGINE_ONNX_MAX_RANK] = {FALSE};
  gint64 dims[ENGINE_ONNX_MAX_RANK];
  g_autofree gint64 *axes = NULL;
  Input input;
  int n, rank = 0, left = ENGINE_NONE; /* where the batch is left */

  if (!read_input (onnx, node, &input, error) ||
      !engine_onnx_ints_or_input (onnx, node, "axes", 1, &axes, &n, error) ||
      !mark_axes (node, axes, n, input.rank, marked, error))
    return FALSE;
  const int batch_axis = input.value->constant ? ENGINE_NONE : input.value->batch_axis;

  for (int i = 0; i < input.rank; i++) {
    const gboolean batch = i == batch_axis;

    if (n < 0) /* all that are 1 */
      marked[i] = input.dims[i] == 1 && !batch;
    if (marked[i] && batch)
      return ENGINE_ONNX_UNSUPPORTED ("it takes the batch axis away");
    if (marked[i] && input.dims[i] != 1)
      return ENGINE_ONNX_REFUSE ("axis %d has size %" G_GINT64_FORMAT, i, input.dims[i]);
    if (batch)
      left = rank;
    if (!marked[i])
      dims[rank++] = input.dims[i];
  }
  if (batch_axis > 0)
    return reshape_free (onnx, node, input.value, rank, dims, left, error);
  return reshape (onnx, node, &input, rank, dims, error);
}

gboolean
engine_onnx_import_unsqueeze (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  gboolean marked[ENGINE_ONNX_MAX_RANK] = {FALSE};
  gint64 dims[ENGINE_ONNX_MAX_RANK];
  g_autofree gint64 *axes = NULL;
  Input input;
  int n, rank, next = 0, batch_axis = 0;

  if (!read_input (onnx, node, &input, error) ||
      !engine_onnx_ints_or_input (onnx, node, "axes", 1, &axes, &n, error))
    return FALSE;
  if (n < 0)
    return ENGINE_ONNX_REFUSE ("axes is missing");
  rank = n > ENGINE_ONNX_MAX_RANK ? n : input.rank + n;
  if (rank > ENGINE_ONNX_MAX_RANK)
    return ENGINE_ONNX_UNSUPPORTED ("the output has %d axes; %d can be done", rank,
        ENGINE_ONNX_MAX_RANK);
  if (!mark_axes (node, axes, n, rank, marked, error))
    return FALSE;
  for (int i = 0; i < rank; i++) {
    if (!marked[i] && next == (input.value->constant ? ENGINE_NONE : input.value->batch_axis))
      batch_axis = i;
    dims[i] = marked[i] ? 1 : input.dims[next++];
  }
  if (batch_axis != 0 && !input.value->constant)
    return reshape_free (onnx, node, input.value, rank, dims, batch_axis, error);
  return reshape (onnx, node, &input, rank, dims, error);
}
