/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * export/qdq-weights.c: what a convolution or fully connected layer has learnt. The levels of the weights are
 * written as they are; their scales and the bias are taken back out of m and b (quantise-conv.c):
 *
 *   s_w[k]  = m[k] s_y / s_x
 *   bias[k] = (b[k] - zero_y) s_y + s_x s_w[k] zero_x sum (w_q) + s_r zero_r
 */
#include "engine/export/qdq-conv.h"

#include <math.h>
#include <string.h>

gint64
engine_export_conv_sum_of_levels (const EngineExportConv *c, int k)
{
  const gsize n = engine_value_elements (c->w) / c->w->dims[0];
  const gint8 *levels = (const gint8 *) g_bytes_get_data (c->w->data, NULL) + k * n;
  gint64 sum = 0;

  for (gsize i = 0; i < n; i++)
    sum += levels[i];
  return sum;
}

void
engine_export_conv_unfold (EngineExportConv *c)
{
  const float *m = engine_export_conv_constant (c->x, c->node->inputs[ENGINE_CONV_M]);
  const float *b = engine_export_conv_constant (c->x, c->node->inputs[ENGINE_CONV_B]);
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
    const double sum = (double) engine_export_conv_sum_of_levels (c, k);
    c->bias[k] = (c->bias[k] - zero_y) * s_y +
                 c->in->quant.scale * c->weight_scale[k] * c->in->quant.zero * sum;
    if (residual)
      c->bias[k] += (double) residual->scale * residual->zero;
  }
}

void *
engine_export_conv_oihw (const EngineExportConv *c)
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

gint8 *
engine_export_conv_transposed (const EngineExportConv *c)
{
  const int oc = c->w->dims[0], k = (int) (engine_value_elements (c->w) / oc);
  g_autofree gint8 *from = engine_export_conv_oihw (c);
  gint8 *to = g_malloc ((gsize) oc * k);

  for (int i = 0; i < oc; i++)
    for (int j = 0; j < k; j++)
      to[(gsize) j * oc + i] = from[(gsize) i * k + j];
  return to;
}

/* DequantizeLinear of a constant, along its first axis. */
static const char *
dequantised (const EngineExportConv *c, const char *levels, const char *suffix, const double *scale,
    int type)
{
  EngineOnnxWriter *writer = c->x->writer;
  const int oc = c->w->dims[0];
  const gsize element = type == ENGINE_ONNX_INT8 ? 1 : sizeof (gint32);
  g_autofree char *scale_suffix = g_strconcat (suffix, "_scale", NULL);
  g_autofree char *zero_suffix = g_strconcat (suffix, "_zero_point", NULL);
  g_autofree char *dq_suffix = g_strconcat (suffix, "_dq", NULL);
  const char *scale_name = engine_export_conv_name (c, scale_suffix),
             *zero_name = engine_export_conv_name (c, zero_suffix);
  const char *output = engine_export_conv_name (c, dq_suffix);
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

void
engine_export_conv_weights (EngineExportConv *c, int rank, const int *dims)
{
  const char *name = engine_export_conv_name (c, "_w");

  engine_onnx_writer_tensor (c->x->writer, name, c->int8 ? ENGINE_ONNX_INT8 : ENGINE_ONNX_FLOAT,
      rank, dims, engine_export_conv_oihw (c),
      engine_value_elements (c->w) * engine_type_size (c->w->type));
  c->weights = c->int8 ? dequantised (c, name, "_w", c->weight_scale, ENGINE_ONNX_INT8) : name;
}

/* The bias at scale s_x s_w, which int32 accumulators begin with; NULL where it does not fit. */
static gint32 *
bias_levels (const EngineExportConv *c, const double *scale)
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

void
engine_export_conv_bias (EngineExportConv *c)
{
  const int oc = c->w->dims[0];
  const char *name = engine_export_conv_name (c, "_b");
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
