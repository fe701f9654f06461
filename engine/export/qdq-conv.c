/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * export/qdq-conv.c: convolutions and fully connected layers. The levels of the weights are
 * written as they are; their scales and the bias are taken back out of m and b (quantise-conv.c):
 *
 *   s_w[k]  = m[k] s_y / s_x
 *   bias[k] = (b[k] - zero_y) s_y + s_x s_w[k] zero_x sum (w_q) + s_r zero_r
 */
#include "engine/export/qdq.h"

#include <math.h>
#include <string.h>

#include "engine/quant.h"
#include "engine/ranges.h"

typedef struct {
  EngineExport *x;
  const EngineNode *node;
  const EngineValue *in, *w, *out;
  gboolean int8;
  EngineExportForm form;           /* of the input */
  double *weight_scale, *bias;     /* per output channel; int8: the scale, else 1 */
  const char *weights, *bias_name; /* tensors for the op */
} Conv;

static const float *
constant (const EngineExport *x, int value)
{
  return value == ENGINE_NONE ? NULL
                              : g_bytes_get_data (engine_graph_value (x->graph, value)->data, NULL);
}

/* --- Constants ------------------------------------------------------------------------------ */

static gint64
sum_of_levels (const Conv *c, int k)
{
  const gsize n = engine_value_elements (c->w) / c->w->dims[0];
  const gint8 *levels = (const gint8 *) g_bytes_get_data (c->w->data, NULL) + k * n;
  gint64 sum = 0;

  for (gsize i = 0; i < n; i++)
    sum += levels[i];
  return sum;
}

static void
unfold (Conv *c)
{
  const float *m = constant (c->x, c->node->inputs[ENGINE_CONV_M]);
  const float *b = constant (c->x, c->node->inputs[ENGINE_CONV_B]);
  const int r = c->node->inputs[ENGINE_CONV_R], oc = c->w->dims[0];
  const gboolean s8 = c->out->type == ENGINE_TYPE_S8;
  const double s_y = s8 ? c->out->quant.scale : 1, zero_y = s8 ? c->out->quant.zero : 0;
  const EngineQuant *residual =
      r == ENGINE_NONE ? NULL : &engine_graph_value (c->x->graph, r)->quant;

  c->weight_scale = g_new (double, oc);
  c->bias = g_new (double, oc);
  for (int k = 0; k < oc; k++) {
    c->weight_scale[k] = c->int8 ? m[k] * s_y / c->in->quant.scale : 1;
    c->bias[k] = b ? b[k] : 0;
    if (!c->int8)
      continue;
    c->bias[k] = (c->bias[k] - zero_y) * s_y +
                 c->in->quant.scale * c->weight_scale[k] * c->in->quant.zero * sum_of_levels (c, k);
    if (residual)
      c->bias[k] += (double) residual->scale * residual->zero;
  }
}

/* OHWI to OIHW. */
static void *
weights_in_file (const Conv *c)
{
  const int *d = c->w->dims;
  const gsize size = engine_type_size (c->w->type), pixels = (gsize) d[1] * d[2];
  const guint8 *from = g_bytes_get_data (c->w->data, NULL);
  guint8 *to = g_malloc (engine_value_elements (c->w) * size), *at = to;

  for (int k = 0; k < d[0]; k++, from += pixels * d[3] * size)
    for (int i = 0; i < d[3]; i++)
      for (gsize p = 0; p < pixels; p++, at += size)
        memcpy (at, from + (p * d[3] + i) * size, size);
  return to;
}

/* As GEMM reads them without being told to transpose. */
static gint8 *
transposed_weights (const Conv *c)
{
  const int oc = c->w->dims[0], k = (int) (engine_value_elements (c->w) / oc);
  g_autofree gint8 *from = weights_in_file (c);
  gint8 *to = g_malloc ((gsize) oc * k);

  for (int i = 0; i < oc; i++)
    for (int j = 0; j < k; j++)
      to[(gsize) j * oc + i] = from[(gsize) i * k + j];
  return to;
}

static const char *
layer_name (const Conv *c, const char *suffix)
{
  return engine_export_name (c->x, c->node->output, suffix);
}

/* DequantizeLinear of a constant, along its first axis. */
static const char *
dequantised (const Conv *c, const char *levels, const char *suffix, const double *scale, int type)
{
  EngineOnnxWriter *writer = c->x->writer;
  const int oc = c->w->dims[0];
  const gsize element = type == ENGINE_ONNX_INT8 ? 1 : sizeof (gint32);
  g_autofree char *scale_suffix = g_strconcat (suffix, "_scale", NULL);
  g_autofree char *zero_suffix = g_strconcat (suffix, "_zero_point", NULL);
  g_autofree char *dq_suffix = g_strconcat (suffix, "_dq", NULL);
  const char *scale_name = layer_name (c, scale_suffix), *zero_name = layer_name (c, zero_suffix);
  const char *output = layer_name (c, dq_suffix);
  float *scales = g_new (float, oc);
  EngineOnnx__NodeProto *node;

  for (int k = 0; k < oc; k++)
    scales[k] = (float) scale[k];
  engine_onnx_writer_tensor (writer, scale_name, ENGINE_ONNX_FLOAT, 1, &oc, scales,
      oc * sizeof (float));
  engine_onnx_writer_tensor (writer, zero_name, type, 1, &oc, g_malloc0 (oc * element),
      oc * element);
  node = engine_onnx_writer_node (writer, "DequantizeLinear",
      (const char *const[]){levels, scale_name, zero_name}, 3, output);
  engine_onnx_writer_int (writer, node, "axis", 0);
  return output;
}

static void
add_weights (Conv *c, int rank, const int *dims)
{
  const char *name = layer_name (c, "_w");

  engine_onnx_writer_tensor (c->x->writer, name, c->int8 ? ENGINE_ONNX_INT8 : ENGINE_ONNX_FLOAT,
      rank, dims, weights_in_file (c),
      engine_value_elements (c->w) * engine_type_size (c->w->type));
  c->weights = c->int8 ? dequantised (c, name, "_w", c->weight_scale, ENGINE_ONNX_INT8) : name;
}

/* The bias at scale s_x s_w, which int32 accumulators begin with; NULL where it does not fit. */
static gint32 *
bias_levels (const Conv *c, const double *scale)
{
  const int oc = c->w->dims[0];
  gint32 *levels = g_new (gint32, oc);

  for (int k = 0; k < oc; k++) {
    const double level = rint (c->bias[k] / scale[k]);

    if (fabs (level) > G_MAXINT32 / 2) { /* the accumulator needs the other half */
      g_free (levels);
      return NULL;
    }
    levels[k] = (gint32) level;
  }
  return levels;
}

static void
add_bias (Conv *c)
{
  const int oc = c->w->dims[0];
  const char *name = layer_name (c, "_b");
  g_autofree double *scale = g_new (double, oc);
  gint32 *levels = NULL;
  float *floats;

  for (int k = 0; k < oc; k++)
    scale[k] = c->in->quant.scale * c->weight_scale[k];
  if (c->int8 && c->x->rules.bias_int32)
    levels = bias_levels (c, scale);
  if (levels) {
    engine_onnx_writer_tensor (c->x->writer, name, ENGINE_ONNX_INT32, 1, &oc, levels,
        oc * sizeof (gint32));
    c->bias_name = dequantised (c, name, "_b", scale, ENGINE_ONNX_INT32);
    return;
  }
  floats = g_new (float, oc);
  for (int k = 0; k < oc; k++)
    floats[k] = (float) c->bias[k];
  engine_onnx_writer_tensor (c->x->writer, name, ENGINE_ONNX_FLOAT, 1, &oc, floats,
      oc * sizeof (float));
  c->bias_name = name;
}

/* --- The op --------------------------------------------------------------------------------- */

static gboolean
is_fully_connected (const Conv *c)
{
  const EngineConvParams *p = &c->node->conv;
  int in[4];

  engine_value_nhwc (c->in, in);
  return c->out->rank == 2 && p->groups == 1 && c->w->dims[1] == in[1] && c->w->dims[2] == in[2] &&
         !(p->pad_top || p->pad_left || p->pad_bottom || p->pad_right);
}

static const char *
flattened_input (const Conv *c)
{
  const char *flat;

  if (c->in->rank <= 2)
    return c->form.tensor;
  flat = layer_name (c, "_input");
  engine_export_op (c->x, "Flatten", c->form.tensor, NULL, flat); /* axis 1 */
  return c->int8 ? engine_export_pair (c->x, c->node->inputs[ENGINE_CONV_X], flat, &c->in->quant,
                       "_flat")
                 : flat;
}

static void
add_gemm (Conv *c, const char *output)
{
  const int oc = c->w->dims[0];
  const int dims[2] = {oc, (int) (engine_value_elements (c->w) / oc)};
  const char *tensor = flattened_input (c);
  EngineOnnx__NodeProto *made;

  add_weights (c, 2, dims);
  add_bias (c);
  made = engine_onnx_writer_node (c->x->writer, "Gemm",
      (const char *const[]){tensor, c->weights, c->bias_name}, 3, output);
  engine_onnx_writer_int (c->x->writer, made, "transB", 1);
}

static void
add_window (const Conv *c, EngineOnnx__NodeProto *made)
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
add_conv (Conv *c, const char *output)
{
  const int *d = c->w->dims, n = c->form.n_spatial;
  const int dims2[4] = {d[0], d[3], d[1], d[2]}, dims1[3] = {d[0], d[3], d[2]};

  add_weights (c, 2 + n, n == 2 ? dims2 : dims1);
  add_bias (c);
  add_window (c, engine_onnx_writer_node (c->x->writer, "Conv",
                     (const char *const[]){c->form.tensor, c->weights, c->bias_name}, 3, output));
}

/* The residual in the form that the op's result has. */
static const char *
residual_tensor (const Conv *c, gboolean flat)
{
  const int r = c->node->inputs[ENGINE_CONV_R];

  return flat && engine_graph_value (c->x->graph, r)->rank == 2
             ? engine_export_plain (c->x, r).tensor
             : engine_export_picture (c->x, r).tensor;
}

/* --- Exactly -------------------------------------------------------------------------------- */

/* The int32 sum less zero_x sum (w_q), as double. */
static const char *
integer_sum (const Conv *c, gboolean gemm)
{
  const int *d = c->w->dims, n = c->form.n_spatial;
  const int dims2[4] = {d[0], d[3], d[1], d[2]}, dims1[3] = {d[0], d[3], d[2]};
  const int dims0[2] = {(int) (engine_value_elements (c->w) / d[0]), d[0]};
  const char *tensor = gemm ? flattened_input (c) : c->form.tensor;
  const char *weights = layer_name (c, "_w"), *sum = layer_name (c, "_sum");
  const char *inputs[3] = {engine_export_levels (c->x, tensor), weights,
      engine_export_zero (c->x, c->node->inputs[ENGINE_CONV_X], &c->in->quant)};
  EngineOnnx__NodeProto *made;

  g_assert (inputs[0]); /* of what int8 layers read */
  engine_onnx_writer_tensor (c->x->writer, weights, ENGINE_ONNX_INT8, gemm ? 2 : 2 + n,
      gemm     ? dims0
      : n == 2 ? dims2
               : dims1,
      gemm ? transposed_weights (c) : weights_in_file (c), engine_value_elements (c->w));
  made = engine_onnx_writer_node (c->x->writer, gemm ? "MatMulInteger" : "ConvInteger", inputs, 3,
      sum);
  if (!gemm)
    add_window (c, made);
  return engine_export_cast (c->x, c->node->output, sum, ENGINE_ONNX_DOUBLE, NULL);
}

static const char *
exact_layer (const Conv *c, gboolean gemm, const char *result)
{
  const int output = c->node->output, r = c->node->inputs[ENGINE_CONV_R], oc = c->w->dims[0];
  const int n_spatial = gemm ? 0 : c->form.n_spatial;
  const float *m = constant (c->x, c->node->inputs[ENGINE_CONV_M]);
  const float *b = constant (c->x, c->node->inputs[ENGINE_CONV_B]);
  const gboolean s8 = c->out->type == ENGINE_TYPE_S8;
  const EngineQuant *y = &c->out->quant;
  g_autofree double *ms = g_new (double, oc), *bs = g_new (double, oc);
  const char *sum, *factors, *addends, *t;

  for (int k = 0; k < oc; k++) {
    ms[k] = m[k];
    bs[k] = (b ? b[k] : 0) + (double) m[k] * c->in->quant.zero * sum_of_levels (c, k);
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
sum_quant (const Conv *c)
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
end_layer (const Conv *c, gboolean gemm, const char *result)
{
  if (gemm)
    engine_export_define (c->x, c->node->output, result, &(EngineExportForm){0});
  else
    engine_export_define_picture (c->x, c->node->output, result, &c->form);
}

static void
export_layer (Conv *c)
{
  const EngineConvParams *p = &c->node->conv;
  const int output = c->node->output;
  const gboolean gemm = is_fully_connected (c);
  const gboolean residual = c->node->inputs[ENGINE_CONV_R] != ENGINE_NONE;
  const gboolean clamped = p->lo > -INFINITY || p->hi < INFINITY;
  const gboolean s8 = c->out->type == ENGINE_TYPE_S8;
  const char *result =
      gemm ? engine_export_result (c->x, output) : engine_export_picture_result (c->x, output);
  const char *tensor = residual || clamped ? layer_name (c, gemm ? "_gemm" : "_conv") : result;

  if (c->int8 && c->x->rules.exact) {
    end_layer (c, gemm, exact_layer (c, gemm, result));
    return;
  }
  if (gemm)
    add_gemm (c, tensor);
  else
    add_conv (c, tensor);
  if (residual) {
    const char *sum = clamped ? layer_name (c, "_sum") : result;

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
  Conv c = {
      .x = x,
      .node = node,
      .in = engine_graph_value (x->graph, input),
      .w = engine_graph_value (x->graph, node->inputs[ENGINE_CONV_W]),
      .out = engine_graph_value (x->graph, node->output),
  };

  c.int8 = c.w->type == ENGINE_TYPE_S8;
  c.form = c.in->rank == 2 && is_fully_connected (&c) ? engine_export_plain (x, input)
                                                      : engine_export_picture (x, input);
  unfold (&c);
  export_layer (&c);
  g_free (c.weight_scale);
  g_free (c.bias);
  return TRUE;
}
