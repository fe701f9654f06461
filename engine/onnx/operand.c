/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/operand.c: constants that are as large as an image's activation: position embeddings, biases
 * and masks of attention, class tokens.
 */
#include "engine/onnx/import.h"

#include <string.h>

/* How a constant, broadcast to x, lies to a storage of x. */
typedef struct {
  int rank, first; /* the first axis that it differs along; 1 before it */
  int dims[ENGINE_MAX_RANK];
  gint64 stride[ENGINE_MAX_RANK]; /* of the constant's elements */
} Spread;

/* Strides of the constant along the axes of x as ONNX orders them; FALSE where it does not fit. */
static gboolean
strides_along (const EngineOnnx *onnx, const EngineOnnxValue *x, const EngineOnnxConstant *k,
    gint64 stride[ENGINE_MAX_RANK])
{
  gint64 next = 1;

  memset (stride, 0, ENGINE_MAX_RANK * sizeof *stride);
  for (int i = k->rank - 1; i >= 0; i--) {
    const int axis = x->rank - k->rank + i;

    if (k->dims[i] != 1) {
      if (axis < 0 || k->dims[i] != x->dims[axis] || (axis == x->batch_axis && onnx->batch != 1))
        return FALSE;
      stride[axis] = next;
    }
    next *= k->dims[i];
  }
  return TRUE;
}

static Spread
spread_over (const EngineOnnx *onnx, const EngineOnnxValue *x, EngineOnnxStorage storage,
    int stored, const gint64 *stride)
{
  const EngineValue *value = engine_graph_value (onnx->graph, stored);
  Spread spread = {.rank = value->rank};

  for (int axis = 0; axis < x->rank; axis++)
    spread.stride[engine_onnx_stored_axis (x, storage, axis)] = stride[axis];
  while (spread.first < spread.rank - 1 && spread.stride[spread.first] == 0)
    spread.first++;
  for (int i = 0; i < spread.rank; i++)
    spread.dims[i] = i < spread.first ? 1 : value->dims[i];
  return spread;
}

/* The operand that makes `x op k` a sum or a product; in double, rounded once. */
static float
operand_of (char op, float k)
{
  return op == '-' ? -k : op == '/' ? (float) (1.0 / k) : k;
}

static float *
fill (EngineOnnx *onnx, const EngineOnnxConstant *k, const Spread *spread, char op, GError **error)
{
  int index[ENGINE_MAX_RANK] = {0};
  gint64 n = 1, from = 0;
  float *data;

  for (int i = 0; i < spread->rank; i++)
    n *= spread->dims[i];
  data = engine_onnx_alloc (onnx, n, sizeof (float), error);
  for (gint64 to = 0; data && to < n; to++) {
    data[to] = operand_of (op, engine_onnx_f (k, from));
    for (int axis = spread->rank - 1; axis >= 0; axis--) {
      from += spread->stride[axis];
      if (++index[axis] < spread->dims[axis])
        break;
      from -= spread->stride[axis] * spread->dims[axis];
      index[axis] = 0;
    }
  }
  return data;
}

gboolean
engine_onnx_with_operand (EngineOnnx *onnx, const EngineOnnxNode *node, char op, EngineOnnxValue *x,
    const EngineOnnxConstant *k, GError **error)
{
  const EngineOnnxStorage storage = engine_onnx_storage (onnx, x);
  gint64 stride[ENGINE_MAX_RANK];
  int inputs[2];
  float *data;

  if (!strides_along (onnx, x, k, stride))
    return ENGINE_ONNX_UNSUPPORTED (
        "the constant does not fit the other input: each of its axes needs the other's size, or 1");
  inputs[0] = engine_onnx_stored (onnx, node, x, storage, error);
  if (inputs[0] == ENGINE_NONE)
    return FALSE;
  const Spread spread = spread_over (onnx, x, storage, inputs[0], stride);

  data = fill (onnx, k, &spread, op, error);
  if (!data)
    return FALSE;
  inputs[1] = engine_onnx_add_floats (onnx, node, "operand", spread.rank, spread.dims, data, error);
  if (inputs[1] == ENGINE_NONE)
    return FALSE;
  return engine_onnx_define (onnx, node, 0,
      engine_onnx_infer (onnx, node,
          engine_onnx_add (onnx, node, op == '+' || op == '-' ? ENGINE_OP_ADD : ENGINE_OP_MUL, 0,
              inputs, 2),
          error),
      storage);
}

/* --- Concat --------------------------------------------------------------------------------- */

/* What of a concat's output is constant, zero elsewhere: for one image, in the order of ONNX. */
typedef struct {
  int axis;
  gint64 outer, inner, total; /* elements before the axis, behind it, and along it */
  float *data;
} Filled;

static gboolean
copy_constant (const EngineOnnx *onnx, const EngineOnnxNode *node, const EngineOnnxValue *like,
    const EngineOnnxConstant *k, gint64 at, const Filled *filled, GError **error)
{
  const gint64 width = k->rank == like->rank ? k->dims[filled->axis] * filled->inner : 0;

  if (!k->f || k->rank != like->rank)
    return ENGINE_ONNX_REFUSE ("a constant input differs in type or number of axes");
  for (int i = 0; i < k->rank; i++)
    if (i != filled->axis && k->dims[i] != (i == 0 ? like->dims[0] * onnx->batch : like->dims[i]))
      return ENGINE_ONNX_REFUSE ("a constant input differs in axis %d", i);
  for (gint64 o = 0; o < filled->outer; o++)
    for (gint64 i = 0; i < width; i++)
      filled->data[(o * filled->total + at) * filled->inner + i] = engine_onnx_f (k, o * width + i);
  /* the images of an export have the same constant, or it is none */
  for (gint64 i = filled->outer * width; i < k->n; i++)
    if (engine_onnx_f (k, i) != engine_onnx_f (k, i % (filled->outer * width)))
      return ENGINE_ONNX_UNSUPPORTED ("a constant input differs from image to image");
  return TRUE;
}

/* The elements along the axis of all inputs before `end`. */
static gint64
elements_until (EngineOnnx *onnx, const EngineOnnxNode *node, int axis, guint end)
{
  gint64 n = 0;

  for (guint i = 0; i < end; i++) {
    const EngineOnnxValue *x = engine_onnx_input (onnx, node, i, NULL);

    n += x->constant ? (axis < x->constant->rank ? x->constant->dims[axis] : 0)
                     : (axis < x->rank ? x->dims[axis] : 0);
  }
  return n;
}

static gboolean
fill_constants (EngineOnnx *onnx, const EngineOnnxNode *node, const EngineOnnxValue *like,
    Filled *filled, GError **error)
{
  const guint n = node->proto->n_input;
  gint64 elements;

  filled->outer = filled->inner = 1;
  filled->total = elements_until (onnx, node, filled->axis, n);
  for (int i = 0; i < like->rank; i++)
    if (i != filled->axis)
      *(i < filled->axis ? &filled->outer : &filled->inner) *= like->dims[i];
  if (filled->total > ENGINE_MAX_DIM || filled->outer * filled->inner > ENGINE_MAX_ELEMENTS)
    return ENGINE_ONNX_UNSUPPORTED ("the output is too large");
  elements = filled->outer * filled->total * filled->inner;
  filled->data = engine_onnx_alloc (onnx, elements, sizeof (float), error);
  if (!filled->data)
    return FALSE;
  memset (filled->data, 0, elements * sizeof (float));
  for (guint i = 0; i < n; i++) {
    const EngineOnnxValue *x = engine_onnx_input (onnx, node, i, NULL);

    if (x->constant && !copy_constant (onnx, node, like, x->constant,
                           elements_until (onnx, node, filled->axis, i), filled, error))
      return FALSE;
  }
  return TRUE;
}

/* The one activation, with room for the constants on both sides. */
static int
pad_activation (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxValue *x, guint position,
    const Filled *filled, GError **error)
{
  const gint64 before = elements_until (onnx, node, filled->axis, position);
  int stored = engine_onnx_stored (onnx, node, x, ENGINE_ONNX_PLAIN, error);
  EngineNode *pad;

  if (stored == ENGINE_NONE)
    return ENGINE_NONE;
  pad = engine_onnx_add (onnx, node, ENGINE_OP_PAD, 0, &stored, 1);
  pad->pad.before[filled->axis] = before;
  pad->pad.after[filled->axis] = filled->total - before - x->dims[filled->axis];
  return engine_onnx_infer (onnx, node, pad, error);
}

gboolean
engine_onnx_concat_constants (EngineOnnx *onnx, const EngineOnnxNode *node, gint64 attribute,
    GError **error)
{
  EngineOnnxValue *x = NULL;
  Filled filled = {0};
  guint position = 0;
  int inputs[2], sum;

  for (guint i = 0; i < node->proto->n_input; i++) {
    EngineOnnxValue *input = engine_onnx_input (onnx, node, i, error);

    if (input->constant)
      continue;
    if (x)
      return ENGINE_ONNX_UNSUPPORTED ("constants and several activations; one can be done");
    x = input;
    position = i;
  }
  if (!engine_onnx_axis (node, attribute, x->rank, &filled.axis, error))
    return FALSE;
  if (filled.axis == x->batch_axis || x->batch_axis != 0)
    return ENGINE_ONNX_UNSUPPORTED ("it joins the images of batches");
  inputs[0] = ENGINE_NONE;
  if (fill_constants (onnx, node, x, &filled, error))
    inputs[0] = pad_activation (onnx, node, x, position, &filled, error);
  if (inputs[0] == ENGINE_NONE) {
    g_free (filled.data);
    return FALSE;
  }
  const EngineValue padded = *engine_graph_value (onnx->graph, inputs[0]);

  inputs[1] = engine_onnx_add_floats (onnx, node, "constants", padded.rank, padded.dims,
      filled.data, error);
  if (inputs[1] == ENGINE_NONE)
    return FALSE;
  sum = engine_onnx_infer (onnx, node, engine_onnx_add (onnx, node, ENGINE_OP_ADD, 0, inputs, 2),
      error);
  if (sum == ENGINE_NONE)
    return FALSE;
  engine_graph_rename (onnx->graph, sum, node->proto->output[0]);
  return engine_onnx_define (onnx, node, 0, sum, ENGINE_ONNX_PLAIN);
}
