/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * export/qdq-conv.c: convolutions and fully connected layers, with the residual and the clamp that are fused
 * into them.
 */
#include "engine/export/qdq-conv.h"

#include <math.h>

#include "engine/quant.h"
#include "engine/ranges.h"

/* --- The op --------------------------------------------------------------------------------- */

static gboolean
is_fully_connected (const EngineExportConv *c)
{
  const EngineConvParams *p = &c->node->conv;
  int in[4];

  engine_value_nhwc (c->in, in);
  return c->out->rank == 2 && p->groups == 1 && c->w->dims[1] == in[1] && c->w->dims[2] == in[2] &&
         !(p->pad_top || p->pad_left || p->pad_bottom || p->pad_right);
}

static const char *
flattened_input (const EngineExportConv *c)
{
  const char *flat;

  if (c->in->rank <= 2)
    return c->form.tensor;
  flat = engine_export_conv_name (c, "_input");
  engine_export_op (c->x, "Flatten", c->form.tensor, NULL, flat); /* axis 1 */
  return c->int8 ? engine_export_pair (c->x, c->node->inputs[ENGINE_CONV_X], flat, &c->in->quant,
                       "_flat")
                 : flat;
}

static void
add_gemm (EngineExportConv *c, const char *output)
{
  const int oc = c->w->dims[0];
  const int dims[2] = {oc, (int) (engine_value_elements (c->w) / oc)};
  const char *tensor = flattened_input (c);
  EngineOnnx__NodeProto *made;

  engine_export_conv_weights (c, 2, dims);
  engine_export_conv_bias (c);
  made = engine_onnx_writer_node (c->x->writer, "Gemm",
      (const char *const[]){tensor, c->weights, c->bias_name}, 3, output);
  engine_onnx_writer_int (c->x->writer, made, "transB", 1);
}

static void
add_window (const EngineExportConv *c, EngineOnnx__NodeProto *made)
{
  const EngineConvParams *p = &c->node->conv;
  const int *d = c->w->dims, n = c->form.n_spatial;
  const int strides[] = {p->stride_h, p->stride_w}, dilations[] = {p->dilation_h, p->dilation_w};
  const int pads2[] = {p->pad_top, p->pad_left, p->pad_bottom, p->pad_right};
  const int pads1[] = {p->pad_left, p->pad_right};
  EngineOnnxWriter *writer = c->x->writer;

  engine_onnx_writer_ints (writer, made, "kernel_shape", d + 3 - n, n);
  engine_onnx_writer_ints (writer, made, "strides", strides + 2 - n, n);
  engine_onnx_writer_ints (writer, made, "pads", n == 2 ? pads2 : pads1, 2 * n);
  engine_onnx_writer_ints (writer, made, "dilations", dilations + 2 - n, n);
  engine_onnx_writer_int (writer, made, "group", p->groups);
}

static void
add_conv (EngineExportConv *c, const char *output)
{
  const int *d = c->w->dims, n = c->form.n_spatial;
  const int dims2[4] = {d[0], d[3], d[1], d[2]}, dims1[3] = {d[0], d[3], d[2]};

  engine_export_conv_weights (c, 2 + n, n == 2 ? dims2 : dims1);
  engine_export_conv_bias (c);
  add_window (c, engine_onnx_writer_node (c->x->writer, "Conv",
                     (const char *const[]){c->form.tensor, c->weights, c->bias_name}, 3, output));
}

/* The residual in the form that the op's result has. */
static const char *
residual_tensor (const EngineExportConv *c, gboolean flat)
{
  const int r = c->node->inputs[ENGINE_CONV_R];

  return flat && engine_graph_value (c->x->graph, r)->rank == 2
             ? engine_export_plain (c->x, r).tensor
             : engine_export_picture (c->x, r).tensor;
}

/* --- Exactly -------------------------------------------------------------------------------- */

/* The int32 sum less zero_x sum (w_q), as double. */
static const char *
integer_sum (const EngineExportConv *c, gboolean gemm)
{
  const int *d = c->w->dims, n = c->form.n_spatial;
  const int dims2[4] = {d[0], d[3], d[1], d[2]}, dims1[3] = {d[0], d[3], d[2]};
  const int dims0[2] = {(int) (engine_value_elements (c->w) / d[0]), d[0]};
  const char *tensor = gemm ? flattened_input (c) : c->form.tensor;
  const char *weights = engine_export_conv_name (c, "_w"),
             *sum = engine_export_conv_name (c, "_sum");
  const char *inputs[3] = {engine_export_levels (c->x, tensor), weights,
      engine_export_zero (c->x, c->node->inputs[ENGINE_CONV_X], &c->in->quant)};
  EngineOnnx__NodeProto *made;

  g_assert (inputs[0]); /* of what int8 layers read */
  engine_onnx_writer_tensor (c->x->writer, weights, ENGINE_ONNX_INT8, gemm ? 2 : 2 + n,
      gemm     ? dims0
      : n == 2 ? dims2
               : dims1,
      gemm ? engine_export_conv_transposed (c) : engine_export_conv_oihw (c),
      engine_value_elements (c->w));
  made = engine_onnx_writer_node (c->x->writer, gemm ? "MatMulInteger" : "ConvInteger", inputs, 3,
      sum);
  if (!gemm)
    add_window (c, made);
  return engine_export_cast (c->x, c->node->output, sum, ENGINE_ONNX_DOUBLE, NULL);
}

static const char *
exact_layer (const EngineExportConv *c, gboolean gemm, const char *result)
{
  const int output = c->node->output, r = c->node->inputs[ENGINE_CONV_R], oc = c->w->dims[0];
  const int n_spatial = gemm ? 0 : c->form.n_spatial;
  const float *m = engine_export_conv_constant (c->x, c->node->inputs[ENGINE_CONV_M]);
  const float *b = engine_export_conv_constant (c->x, c->node->inputs[ENGINE_CONV_B]);
  const gboolean s8 = c->out->type == ENGINE_TYPE_S8;
  const EngineQuant *y = &c->out->quant;
  g_autofree double *ms = g_new (double, oc), *bs = g_new (double, oc);
  const char *sum, *factors, *addends, *t;

  for (int k = 0; k < oc; k++) {
    ms[k] = m[k];
    bs[k] = (b ? b[k] : 0) +
            (double) m[k] * c->in->quant.zero * engine_export_conv_sum_of_levels (c, k);
  }
  sum = integer_sum (c, gemm);
  factors = engine_export_doubles (c->x, output, ms, oc, n_spatial);
  addends = engine_export_doubles (c->x, output, bs, oc, n_spatial);
  t = engine_export_fma (c->x, output, sum, factors, addends, s8 ? NULL : result);
  if (!s8)
    return t;
  if (r != ENGINE_NONE) {
    const EngineQuant *residual = &engine_graph_value (c->x->graph, r)->quant;
    const char *levels = engine_export_levels (c->x, residual_tensor (c, gemm));

    g_assert (levels);
    t = engine_export_fma_levels (c->x, output, levels,
        (float) ((double) residual->scale / y->scale), t);
  }
  return engine_export_requantised (c->x, output, t, engine_quant_level (y, c->node->conv.lo),
      engine_quant_level (y, c->node->conv.hi));
}

/* --- What follows --------------------------------------------------------------------------- */

/* The levels of the sum before a residual r is added. Behind a ReLU, what it can be as far as it matters: below
 * lo_y - hi_r and above hi_y - lo_r the result lies at its ends, whatever r is. Without one that would be twice
 * the range of the result, which sums rarely need: those of the result, and steps half as wide. */
static EngineQuant
sum_quant (const EngineExportConv *c)
{
  const EngineQuant *y = &c->out->quant;
  const EngineQuant *r = &engine_graph_value (c->x->graph, c->node->inputs[ENGINE_CONV_R])->quant;
  const double lo = engine_quant_real (y, -128) - engine_quant_real (r, 127);
  const double hi = engine_quant_real (y, 127) - engine_quant_real (r, -128);
  const double largest = fmax (-lo, hi);

  if (c->node->conv.lo == -INFINITY && engine_quant_real (y, -128) < 0)
    return *y;
  return y->range == ENGINE_RANGE_SYMMETRIC && r->range == ENGINE_RANGE_SYMMETRIC
             ? engine_quant_from_range (-largest, largest)
             : engine_quant_from_range (lo, hi);
}

static void
end_layer (const EngineExportConv *c, gboolean gemm, const char *result)
{
  if (gemm)
    engine_export_define (c->x, c->node->output, result, &(EngineExportForm){0});
  else
    engine_export_define_picture (c->x, c->node->output, result, &c->form);
}

static void
export_layer (EngineExportConv *c)
{
  const EngineConvParams *p = &c->node->conv;
  const int output = c->node->output;
  const gboolean gemm = is_fully_connected (c);
  const gboolean residual = c->node->inputs[ENGINE_CONV_R] != ENGINE_NONE;
  const gboolean clamped = p->lo > -INFINITY || p->hi < INFINITY;
  const gboolean s8 = c->out->type == ENGINE_TYPE_S8;
  const char *result =
      gemm ? engine_export_result (c->x, output) : engine_export_picture_result (c->x, output);
  const char *tensor =
      residual || clamped ? engine_export_conv_name (c, gemm ? "_gemm" : "_conv") : result;

  if (c->int8 && c->x->rules.exact) {
    end_layer (c, gemm, exact_layer (c, gemm, result));
    return;
  }
  if (gemm)
    add_gemm (c, tensor);
  else
    add_conv (c, tensor);
  if (residual) {
    const char *sum = clamped ? engine_export_conv_name (c, "_sum") : result;

    if (s8 && c->x->rules.split_residual) {
      const EngineQuant quant = sum_quant (c);

      tensor = engine_export_pair (c->x, output, tensor, &quant, gemm ? "_gemm" : "_conv");
    }
    engine_export_op (c->x, "Add", tensor, residual_tensor (c, gemm), sum);
    tensor = sum;
  }
  if (clamped) {
    /* Without levels below the clamp's lower end it is what quantising does; others are cut off. */
    if (s8 && c->x->rules.split_clamp && engine_quant_real (&c->out->quant, -128) < p->lo)
      tensor = engine_export_pair (c->x, output, tensor, &c->out->quant, "_unclamped");
    engine_export_clamp (c->x, tensor, p->lo, p->hi, result);
  }
  end_layer (c, gemm, result);
}

gboolean
engine_export_conv (EngineExport *x, const EngineNode *node, GError **error)
{
  const int input = node->inputs[ENGINE_CONV_X];
  EngineExportConv c = {
      .x = x,
      .node = node,
      .in = engine_graph_value (x->graph, input),
      .w = engine_graph_value (x->graph, node->inputs[ENGINE_CONV_W]),
      .out = engine_graph_value (x->graph, node->output),
  };

  c.int8 = c.w->type == ENGINE_TYPE_S8;
  c.form = c.in->rank == 2 && is_fully_connected (&c) ? engine_export_plain (x, input)
                                                      : engine_export_picture (x, input);
  engine_export_conv_unfold (&c);
  export_layer (&c);
  g_free (c.weight_scale);
  g_free (c.bias);
  return TRUE;
}
