/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * export/qdq-node.c: every op of the graph but convolutions, as ops of ONNX in float.
 */
#include "engine/export/qdq.h"

#include <math.h>
#include <string.h>

/* --- Small things --------------------------------------------------------------------------- */

EngineOnnx__NodeProto *
engine_export_op (EngineExport *x, const char *op, const char *a, const char *b, const char *output)
{
  return engine_onnx_writer_node (x->writer, op, (const char *const[]){a, b}, b ? 2 : 1, output);
}

const char *
engine_export_float (EngineExport *x, const char *wanted, float value)
{
  const char *name = engine_onnx_writer_name (x->writer, wanted);

  engine_onnx_writer_tensor (x->writer, name, ENGINE_ONNX_FLOAT, 0, NULL,
      g_memdup2 (&value, sizeof value), sizeof value);
  return name;
}

const char *
engine_export_int64s (EngineExport *x, const char *name, const int *values, int n)
{
  gint64 *data = g_new (gint64, n);

  for (int i = 0; i < n; i++)
    data[i] = values[i];
  engine_onnx_writer_tensor (x->writer, name, ENGINE_ONNX_INT64, 1, &n, data, n * sizeof (gint64));
  return name;
}

static const char *
suffixed_float (EngineExport *x, const char *output, const char *suffix, float value)
{
  g_autofree char *wanted = g_strconcat (output, suffix, NULL);

  return engine_export_float (x, wanted, value);
}

void
engine_export_clamp (EngineExport *x, const char *tensor, float lo, float hi, const char *output)
{
  if (lo == 0 && hi == INFINITY) {
    engine_export_op (x, "Relu", tensor, NULL, output);
    return;
  }
  const char *inputs[3] = {tensor};

  if (lo > -INFINITY)
    inputs[1] = suffixed_float (x, output, "_min", lo);
  if (hi < INFINITY)
    inputs[2] = suffixed_float (x, output, "_max", hi);
  engine_onnx_writer_node (x->writer, "Clip", inputs, inputs[2] ? 3 : 2, output);
}

/* --- Element-wise --------------------------------------------------------------------------- */

/* The inputs in one order of axes: that of the first, if all have it, else as stored. */
static void
common_forms (EngineExport *x, const EngineNode *node, EngineExportForm *forms)
{
  gboolean same = TRUE;

  for (int i = 0; i < node->n_inputs; i++) {
    forms[i] = x->forms[node->inputs[i]];
    same = same && engine_export_same_order (&forms[i], &forms[0]);
  }
  for (int i = 0; i < node->n_inputs && !same; i++)
    forms[i] = engine_export_plain (x, node->inputs[i]);
}

static void
export_binary (EngineExport *x, const EngineNode *node)
{
  const gboolean clamped = node->binary.lo > -INFINITY || node->binary.hi < INFINITY;
  const char *result = engine_export_result (x, node->output);
  const char *sum = clamped ? engine_export_name (x, node->output, "_unclamped") : result;
  EngineExportForm forms[2];

  common_forms (x, node, forms);

  const char *exact = engine_export_exact_binary (x, node, forms[0].tensor, forms[1].tensor);

  if (exact) {
    engine_export_define (x, node->output, exact, &forms[0]);
    return;
  }
  engine_export_op (x, node->op == ENGINE_OP_ADD ? "Add" : "Mul", forms[0].tensor, forms[1].tensor,
      sum);
  if (clamped)
    engine_export_clamp (x, sum, node->binary.lo, node->binary.hi, result);
  engine_export_define (x, node->output, result, &forms[0]);
}

static void
export_softmax (EngineExport *x, const EngineNode *node)
{
  const int input = node->inputs[0];
  const EngineExportForm *form = &x->forms[input];
  const int last = engine_graph_value (x->graph, input)->rank - 1;
  const char *result = engine_export_result (x, node->output);
  EngineOnnx__NodeProto *made = engine_export_op (x, node->softmax.log ? "LogSoftmax" : "Softmax",
      form->tensor, NULL, result);

  engine_onnx_writer_int (x->writer, made, "axis", engine_export_axis (x, input, form, last));
  engine_export_define (x, node->output, result, form);
}

/* --- Moving --------------------------------------------------------------------------------- */

static void
export_concat (EngineExport *x, const EngineNode *node)
{
  const EngineValue *y = engine_graph_value (x->graph, node->output);
  const char *result = engine_export_result (x, node->output);
  g_autofree EngineExportForm *forms = g_new (EngineExportForm, node->n_inputs);
  g_autofree const char **tensors = g_new (const char *, node->n_inputs);
  EngineExportForm form;
  EngineOnnx__NodeProto *made;

  common_forms (x, node, forms);
  for (int i = 0; i < node->n_inputs; i++) {
    const EngineValue *in = engine_graph_value (x->graph, node->inputs[i]);
    const gboolean other_scale = y->type == ENGINE_TYPE_S8 && (in->quant.scale != y->quant.scale ||
                                                                  in->quant.zero != y->quant.zero);
    g_autofree char *suffix = g_strdup_printf ("_input%d", i);

    tensors[i] = x->rules.requantise_concat && other_scale
                     ? engine_export_pair (x, node->output, forms[i].tensor, &y->quant, suffix)
                     : forms[i].tensor;
  }
  form = forms[0];
  made = engine_onnx_writer_node (x->writer, "Concat", tensors, node->n_inputs, result);
  engine_onnx_writer_int (x->writer, made, "axis",
      engine_export_axis (x, node->inputs[0], &form, node->concat.axis));
  if (form.n_spatial && !form.merged) /* it may have joined pictures */
    for (int i = 0; i < form.n_spatial; i++)
      form.spatial[i] = y->dims[1 + i];
  engine_export_define (x, node->output, result, &form);
}

static void
export_slice (EngineExport *x, const EngineNode *node)
{
  const int input = node->inputs[0], output = node->output;
  EngineExportForm form = x->forms[input];
  const int axis = engine_export_axis (x, input, &form, node->slice.axis);
  const int start = node->slice.start, end = start + node->slice.size;
  const char *result = engine_export_result (x, output);

  engine_onnx_writer_node (x->writer, "Slice",
      (const char *const[]){form.tensor,
          engine_export_int64s (x, engine_export_name (x, output, "_starts"), &start, 1),
          engine_export_int64s (x, engine_export_name (x, output, "_ends"), &end, 1),
          engine_export_int64s (x, engine_export_name (x, output, "_axes"), &axis, 1)},
      4, result);
  if (!form.merged && node->slice.axis >= 1 && node->slice.axis <= form.n_spatial)
    form.spatial[node->slice.axis - 1] = node->slice.size;
  engine_export_define (x, output, result, &form);
}

static void
export_pad (EngineExport *x, const EngineNode *node)
{
  const int input = node->inputs[0], output = node->output;
  EngineExportForm form = x->forms[input];
  const char *result = engine_export_result (x, output);
  int pads[2 * ENGINE_EXPORT_MAX_RANK] = {0}, dims[ENGINE_EXPORT_MAX_RANK];
  const int rank = engine_export_dims (x, input, &form, dims);
  const int stored = engine_graph_value (x->graph, input)->rank;

  for (int i = 1; i < stored; i++) {
    const int axis = engine_export_axis (x, input, &form, i);

    pads[axis] = node->pad.before[i];
    pads[rank + axis] = node->pad.after[i];
    if (!form.merged && i <= form.n_spatial)
      form.spatial[i - 1] += node->pad.before[i] + node->pad.after[i];
  }
  engine_onnx_writer_node (x->writer, "Pad",
      (const char *const[]){form.tensor,
          engine_export_int64s (x, engine_export_name (x, output, "_pads"), pads, 2 * rank),
          suffixed_float (x, result, "_value", node->pad.value)},
      3, result);
  engine_export_define (x, output, result, &form);
}

/* --- Pools ---------------------------------------------------------------------------------- */

static gboolean
is_flattened (const EngineExport *x, int value)
{
  return engine_graph_value (x->graph, value)->rank == 2;
}

const char *
engine_export_picture_result (EngineExport *x, int value)
{
  return is_flattened (x, value) ? engine_export_name (x, value, "_nchw")
                                 : engine_export_result (x, value);
}

void
engine_export_define_picture (EngineExport *x, int value, const char *tensor,
    const EngineExportForm *input)
{
  const EngineValue *v = engine_graph_value (x->graph, value);
  EngineExportForm form = *input;

  if (is_flattened (x, value)) {
    const char *inner = v->type == ENGINE_TYPE_S8
                            ? engine_export_pair (x, value, tensor, &v->quant, "_nchw")
                            : tensor;
    const char *result = engine_export_result (x, value);

    engine_export_op (x, "Flatten", inner, NULL, result); /* axis 1 */
    engine_export_define (x, value, result, &(EngineExportForm){0});
    return;
  }
  for (int i = 0; i < form.n_spatial; i++)
    form.spatial[i] = v->dims[1 + i];
  engine_export_define (x, value, tensor, &form);
}

/* The last n of h and w. */
static void
add_window (EngineExport *x, EngineOnnx__NodeProto *made, const EnginePoolParams *p, int n)
{
  const int kernel[] = {p->kh, p->kw}, strides[] = {p->stride_h, p->stride_w};
  const int dilations[] = {p->dilation_h, p->dilation_w};
  const int all_pads[] = {p->pad_top, p->pad_left, p->pad_bottom, p->pad_right};
  const int row_pads[] = {p->pad_left, p->pad_right};

  engine_onnx_writer_ints (x->writer, made, "kernel_shape", kernel + 2 - n, n);
  engine_onnx_writer_ints (x->writer, made, "strides", strides + 2 - n, n);
  engine_onnx_writer_ints (x->writer, made, "pads", n == 2 ? all_pads : row_pads, 2 * n);
  if (p->dilation_h != 1 || p->dilation_w != 1) /* average pools have none */
    engine_onnx_writer_ints (x->writer, made, "dilations", dilations + 2 - n, n);
  if (p->ceil_mode)
    engine_onnx_writer_int (x->writer, made, "ceil_mode", 1);
}

static gboolean
is_global (const EngineExport *x, const EngineNode *node)
{
  const EnginePoolParams *p = &node->pool;
  int in[4], out[4];

  engine_value_nhwc (engine_graph_value (x->graph, node->inputs[0]), in);
  engine_value_nhwc (engine_graph_value (x->graph, node->output), out);
  return p->kh == in[1] && p->kw == in[2] && out[1] == 1 && out[2] == 1 &&
         !(p->pad_top || p->pad_left || p->pad_bottom || p->pad_right);
}

static void
export_pool (EngineExport *x, const EngineNode *node)
{
  const gboolean average = node->op == ENGINE_OP_AVGPOOL;
  const EngineExportForm form = engine_export_picture (x, node->inputs[0]);
  const char *result = engine_export_picture_result (x, node->output);

  const char *exact =
      average && is_global (x, node) ? engine_export_exact_average (x, node, &form, result) : NULL;

  if (exact) {
    result = exact;
  } else if (average && is_global (x, node)) {
    engine_export_op (x, "GlobalAveragePool", form.tensor, NULL, result);
  } else {
    EngineOnnx__NodeProto *made =
        engine_export_op (x, average ? "AveragePool" : "MaxPool", form.tensor, NULL, result);

    add_window (x, made, &node->pool, form.n_spatial);
    if (average && node->pool.include_pad)
      engine_onnx_writer_int (x->writer, made, "count_include_pad", 1);
  }
  engine_export_define_picture (x, node->output, result, &form);
}

static void
export_lrn (EngineExport *x, const EngineNode *node)
{
  const int size = node->lrn.before + 1 + node->lrn.after;
  const EngineExportForm form = engine_export_picture (x, node->inputs[0]);
  const char *result = engine_export_picture_result (x, node->output);
  EngineOnnx__NodeProto *made = engine_export_op (x, "LRN", form.tensor, NULL, result);

  engine_onnx_writer_int (x->writer, made, "size", size);
  engine_onnx_writer_float (x->writer, made, "alpha", node->lrn.alpha * size);
  engine_onnx_writer_float (x->writer, made, "beta", node->lrn.beta);
  engine_onnx_writer_float (x->writer, made, "bias", node->lrn.bias);
  engine_export_define_picture (x, node->output, result, &form);
}

/* -------------------------------------------------------------------------------------------- */

/* A float value that int8 layers read, too: a pair of its own. */
static void
export_quantise (EngineExport *x, const EngineNode *node)
{
  EngineExportForm form = x->forms[node->inputs[0]];

  form.tensor = engine_export_pair (x, node->inputs[0], form.tensor,
      &engine_graph_value (x->graph, node->output)->quant, "_int8");
  engine_export_alias (x, node->output, &form);
}

gboolean
engine_export_node (EngineExport *x, const EngineNode *node, GError **error)
{
  switch (node->op) {
  case ENGINE_OP_CONV:
    return engine_export_conv (x, node, error);
  case ENGINE_OP_ADD:
  case ENGINE_OP_MUL:
    if (engine_graph_value (x->graph, node->inputs[ENGINE_BINARY_X2])->data)
      break;
    export_binary (x, node);
    return TRUE;
  case ENGINE_OP_UNARY:
    engine_export_unary (x, node);
    return TRUE;
  case ENGINE_OP_MAXPOOL:
  case ENGINE_OP_AVGPOOL:
    export_pool (x, node);
    return TRUE;
  case ENGINE_OP_LRN:
    export_lrn (x, node);
    return TRUE;
  case ENGINE_OP_CONCAT:
    export_concat (x, node);
    return TRUE;
  case ENGINE_OP_SLICE:
    export_slice (x, node);
    return TRUE;
  case ENGINE_OP_RESHAPE:
    engine_export_reshape (x, node);
    return TRUE;
  case ENGINE_OP_TRANSPOSE:
    engine_export_transpose (x, node);
    return TRUE;
  case ENGINE_OP_PAD:
    export_pad (x, node);
    return TRUE;
  case ENGINE_OP_SOFTMAX:
    export_softmax (x, node);
    return TRUE;
  case ENGINE_OP_QUANTISE:
    export_quantise (x, node);
    return TRUE;
  case ENGINE_OP_DEQUANTISE:
    engine_export_alias (x, node->output, &x->forms[node->inputs[0]]);
    return TRUE;
  case ENGINE_OP_AFFINE: /* gone after fuse, and the next two are of FP16 */
  case ENGINE_OP_MATMUL:
  case ENGINE_OP_LAYERNORM:
  case ENGINE_OP_NARROW:
  case ENGINE_OP_WIDEN:
  case ENGINE_OP_COUNT:
    break;
  }
  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_UNSUPPORTED,
      "layer '%s': %s%s has no counterpart in a Q/DQ export", node->name, engine_op_name (node->op),
      node->op == ENGINE_OP_ADD || node->op == ENGINE_OP_MUL ? " with a constant" : "");
  return FALSE;
}
