/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/conv.c: Conv, Gemm and MatMul, all of which become a convolution: a fully connected layer is
 * one whose window is a pixel.
 */
#include <string.h>

#include "engine/onnx/levels.h"

/* [oc ic/g kh kw] to [oc kh kw ic/g]; kh is 1 for weights of rank 3. */
static float *
sort_weights (EngineOnnx *onnx, const EngineOnnxConstant *w, const int dims[4], GError **error)
{
  const gint64 oc = dims[0], pixels = (gint64) dims[1] * dims[2], ic = dims[3];
  float *sorted = engine_onnx_alloc (onnx, w->n, sizeof (float), error);

  if (!sorted)
    return NULL;
  for (gint64 k = 0; k < oc; k++)
    for (gint64 p = 0; p < pixels; p++)
      for (gint64 c = 0; c < ic; c++)
        sorted[(k * pixels + p) * ic + c] = engine_onnx_f (w, (k * ic + c) * pixels + p);
  return sorted;
}

/* Dims that graph.h allows, none of them empty. */
static gboolean
weight_dims (const EngineOnnxNode *node, const EngineOnnxConstant *w, int dims[4], GError **error)
{
  for (int i = 0; i < w->rank; i++)
    if (w->dims[i] < 1 || w->dims[i] > ENGINE_MAX_DIM)
      return ENGINE_ONNX_REFUSE ("axis %d of the weights has size %" G_GINT64_FORMAT, i,
          w->dims[i]);
  dims[0] = w->dims[0];
  dims[1] = w->rank == 4 ? w->dims[2] : 1;
  dims[2] = w->dims[w->rank - 1];
  dims[3] = w->dims[1];
  return TRUE;
}

/* [oc] or absent. */
static gboolean
read_bias (EngineOnnx *onnx, const EngineOnnxNode *node, int oc, int *value, GError **error)
{
  const EngineOnnxConstant *bias;
  float *data;

  *value = ENGINE_NONE;
  if (!engine_onnx_has_input (node, 2))
    return TRUE;
  bias = engine_onnx_floats (onnx, node, 2, error);
  if (!bias)
    return FALSE;
  if (bias->rank != 1 || bias->dims[0] != oc)
    return ENGINE_ONNX_REFUSE ("the bias does not have one value for each of %d outputs", oc);
  data = engine_onnx_alloc (onnx, oc, sizeof (float), error);
  if (!data)
    return FALSE;
  for (int k = 0; k < oc; k++)
    data[k] = engine_onnx_f (bias, k);
  *value = engine_onnx_add_floats (onnx, node, "bias", 1, &oc, data, error);
  return *value != ENGINE_NONE;
}

static void
set_window (EngineConvParams *p, const EngineOnnxWindow *w)
{
  p->stride_h = w->stride[0];
  p->stride_w = w->stride[1];
  p->dilation_h = w->dilation[0];
  p->dilation_w = w->dilation[1];
  p->pad_top = w->before[0];
  p->pad_left = w->before[1];
  p->pad_bottom = w->after[0];
  p->pad_right = w->after[1];
}

gboolean
engine_onnx_import_conv (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  EngineOnnxValue *x = engine_onnx_input (onnx, node, 0, error);
  const EngineOnnxConstant *w = x ? engine_onnx_floats (onnx, node, 1, error) : NULL;
  int inputs[ENGINE_CONV_INPUTS] = {ENGINE_NONE, ENGINE_NONE, ENGINE_NONE, ENGINE_NONE,
      ENGINE_NONE};
  EngineOnnxWindow window;
  EngineNode *conv;
  int dims[4];
  gint64 groups;
  float *sorted;

  if (w && x->constant)
    return engine_onnx_fold_conv (onnx, node, error);
  if (!w || !engine_onnx_int (node, "group", 1, &groups, error))
    return FALSE;
  if (x->rank < 3 || x->rank > 4 || w->rank != x->rank)
    return ENGINE_ONNX_UNSUPPORTED ("input of %d axes, weights of %d; both 3 or both 4 can be done",
        x->rank, w->rank);
  if (groups < 1 || groups > ENGINE_MAX_DIM)
    return ENGINE_ONNX_REFUSE ("%" G_GINT64_FORMAT " groups", groups);
  if (!weight_dims (node, w, dims, error) ||
      !engine_onnx_window (node, x, dims + 1, &window, error))
    return FALSE;
  sorted = sort_weights (onnx, w, dims, error);
  if (!sorted)
    return FALSE;
  inputs[ENGINE_CONV_W] = engine_onnx_add_floats (onnx, node, "weights", 4, dims, sorted, error);
  if (inputs[ENGINE_CONV_W] == ENGINE_NONE)
    return FALSE;
  engine_onnx_keep_scales (onnx, inputs[ENGINE_CONV_W], w, 0, 1);
  if (!read_bias (onnx, node, dims[0], &inputs[ENGINE_CONV_B], error))
    return FALSE;
  inputs[ENGINE_CONV_X] = engine_onnx_stored (onnx, node, x, ENGINE_ONNX_CHANNELS_LAST, error);
  if (inputs[ENGINE_CONV_X] == ENGINE_NONE)
    return FALSE;
  conv = engine_onnx_add (onnx, node, ENGINE_OP_CONV, 0, inputs, ENGINE_CONV_INPUTS);
  set_window (&conv->conv, &window);
  conv->conv.groups = groups;
  return engine_onnx_define (onnx, node, 0, engine_onnx_infer (onnx, node, conv, error),
      ENGINE_ONNX_CHANNELS_LAST);
}

/* --- Fully connected ------------------------------------------------------------------------ */

/* A convolution takes up to 4 axes: more are made one for it. */
static int
add_connected (EngineOnnx *onnx, const EngineOnnxNode *node, int *inputs, GError **error)
{
  const EngineValue x = *engine_graph_value (onnx->graph, inputs[ENGINE_CONV_X]);
  const gint64 features = x.dims[x.rank - 1];
  const gint64 rows = engine_value_elements (&x) / features / x.dims[0];
  int dims[ENGINE_MAX_RANK] = {x.dims[0], rows, features}, value;

  if (x.rank > 4)
    inputs[ENGINE_CONV_X] =
        engine_onnx_add_reshape (onnx, node, 0, inputs[ENGINE_CONV_X], 3, dims, error);
  if (inputs[ENGINE_CONV_X] == ENGINE_NONE)
    return ENGINE_NONE;
  value = engine_onnx_infer (onnx, node,
      engine_onnx_add (onnx, node, ENGINE_OP_CONV, 0, inputs, ENGINE_CONV_INPUTS), error);
  if (x.rank <= 4 || value == ENGINE_NONE)
    return value;
  memcpy (dims, x.dims, sizeof x.dims);
  dims[x.rank - 1] = engine_graph_value (onnx->graph, value)->dims[2];
  return engine_onnx_add_reshape (onnx, node, 0, value, x.rank, dims, error);
}

/* x (its last axis) times w, which is [in out], or [out in] if transposed. */
static gboolean
connect (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxValue *x,
    const EngineOnnxConstant *w, gboolean transposed, float alpha, int bias, GError **error)
{
  int inputs[ENGINE_CONV_INPUTS] = {ENGINE_NONE, ENGINE_NONE, bias, ENGINE_NONE, ENGINE_NONE};
  const gint64 in = w->dims[transposed], out = w->dims[!transposed];
  const int dims[4] = {out, 1, 1, in};
  const EngineOnnxStorage storage = x->batch_axis != 0 ? ENGINE_ONNX_FREE : ENGINE_ONNX_PLAIN;
  float *data;

  if (in < 1 || in > ENGINE_MAX_DIM || out < 1 || out > ENGINE_MAX_DIM ||
      x->dims[x->rank - 1] != in)
    return ENGINE_ONNX_REFUSE ("an input of %d features and weights of %" G_GINT64_FORMAT
                               " by %" G_GINT64_FORMAT,
        x->dims[x->rank - 1], in, out);
  data = engine_onnx_alloc (onnx, w->n, sizeof (float), error);
  if (!data)
    return FALSE;
  for (gint64 k = 0; k < out; k++)
    for (gint64 i = 0; i < in; i++)
      data[k * in + i] = alpha * engine_onnx_f (w, transposed ? k * in + i : i * out + k);
  inputs[ENGINE_CONV_W] = engine_onnx_add_floats (onnx, node, "weights", 4, dims, data, error);
  if (inputs[ENGINE_CONV_W] == ENGINE_NONE)
    return FALSE;
  engine_onnx_keep_scales (onnx, inputs[ENGINE_CONV_W], w, !transposed, alpha);
  inputs[ENGINE_CONV_X] = engine_onnx_stored (onnx, node, x, storage, error);
  if (inputs[ENGINE_CONV_X] == ENGINE_NONE)
    return FALSE;
  return engine_onnx_define (onnx, node, 0, add_connected (onnx, node, inputs, error), storage) &&
         engine_onnx_mark_features (onnx, node);
}

gboolean
engine_onnx_import_matmul (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  EngineOnnxValue *x = engine_onnx_input (onnx, node, 0, error);
  EngineOnnxValue *second = x ? engine_onnx_input (onnx, node, 1, error) : NULL;
  const EngineOnnxConstant *w;

  if (second && x->constant && second->constant)
    return engine_onnx_fold_matmul (onnx, node, x->constant, second->constant, error);
  x = second ? engine_onnx_activation (onnx, node, 0, error) : NULL;
  if (!x)
    return FALSE;
  if (!second->constant)
    return engine_onnx_matmul_activations (onnx, node, x, second, error);
  w = engine_onnx_floats (onnx, node, 1, error);
  if (!w)
    return FALSE;
  if (x->rank < 2 || w->rank != 2 || x->batch_axis == x->rank - 1)
    return ENGINE_ONNX_UNSUPPORTED ("%d axes times %d axes; 2 or more times 2 can be done", x->rank,
        w->rank);
  return connect (onnx, node, x, w, FALSE, 1, ENGINE_NONE, error);
}

/* beta * C: one value, or one for each output. */
static gboolean
read_gemm_bias (EngineOnnx *onnx, const EngineOnnxNode *node, gint64 oc, float beta, int *value,
    GError **error)
{
  const int dims = oc;
  const EngineOnnxConstant *c;
  float *data;

  *value = ENGINE_NONE;
  if (!engine_onnx_has_input (node, 2) || beta == 0)
    return TRUE;
  c = engine_onnx_floats (onnx, node, 2, error);
  if (!c)
    return FALSE;
  if (c->n != 1 && (c->n != oc || c->rank < 1 || c->dims[c->rank - 1] != oc))
    return ENGINE_ONNX_UNSUPPORTED ("C has %" G_GINT64_FORMAT
                                    " elements; one, or one for each of %" G_GINT64_FORMAT
                                    " outputs, can be done",
        c->n, oc);
  data = engine_onnx_alloc (onnx, oc, sizeof (float), error);
  if (!data)
    return FALSE;
  for (gint64 k = 0; k < oc; k++)
    data[k] = beta * engine_onnx_f (c, c->n == 1 ? 0 : k);
  *value = engine_onnx_add_floats (onnx, node, "bias", 1, &dims, data, error);
  return *value != ENGINE_NONE;
}

static gboolean
read_gemm (const EngineOnnxNode *node, EngineOnnxGemm *p, GError **error)
{
  gint64 trans_a, trans_b;

  if (!engine_onnx_int (node, "transA", 0, &trans_a, error) ||
      !engine_onnx_int (node, "transB", 0, &trans_b, error) ||
      !engine_onnx_float (node, "alpha", 1, &p->alpha, error) ||
      !engine_onnx_float (node, "beta", 1, &p->beta, error))
    return FALSE;
  p->transposed_a = trans_a != 0;
  p->transposed_b = trans_b != 0;
  return TRUE;
}

gboolean
engine_onnx_import_gemm (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  EngineOnnxValue *x = engine_onnx_input (onnx, node, 0, error);
  const EngineOnnxConstant *w = x ? engine_onnx_floats (onnx, node, 1, error) : NULL;
  EngineOnnxGemm p;
  int bias;

  if (!w || !read_gemm (node, &p, error))
    return FALSE;
  if (x->constant)
    return engine_onnx_fold_gemm (onnx, node, &p, error);
  if (p.transposed_a)
    return ENGINE_ONNX_UNSUPPORTED ("transA moves the batch axis");
  if (x->rank != 2 || w->rank != 2)
    return ENGINE_ONNX_REFUSE ("A has %d axes, B %d; 2 are needed", x->rank, w->rank);
  if (w->dims[!p.transposed_b] < 1 || w->dims[!p.transposed_b] > ENGINE_MAX_DIM)
    return ENGINE_ONNX_REFUSE ("B has %" G_GINT64_FORMAT " outputs", w->dims[!p.transposed_b]);
  return read_gemm_bias (onnx, node, w->dims[!p.transposed_b], p.beta, &bias, error) &&
         connect (onnx, node, x, w, p.transposed_b, p.alpha, bias, error);
}
