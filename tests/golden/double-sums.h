/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * double-sums.h: the activations of a small network with every sum in double and rounded once, into
 * statistics. What they say of a table does not depend on any order of additions. Only what NVIDIA's
 * LeNet needs: convolutions without padding, max pools of 2 x 2, softmax.
 */
#pragma once

#include "engine/model.h"

#include <math.h>

static inline const float *
double_sums_constant (const EngineGraph *graph, int value)
{
  return g_bytes_get_data (engine_graph_value (graph, value)->data, NULL);
}

static inline void
double_sums_conv (const EngineGraph *graph, const EngineNode *node, const float *x, float *y)
{
  const EngineValue *w = engine_graph_value (graph, node->inputs[ENGINE_CONV_W]);
  const float *weights = double_sums_constant (graph, node->inputs[ENGINE_CONV_W]);
  const float *bias = double_sums_constant (graph, node->inputs[ENGINE_CONV_B]);
  const int kh = w->dims[1], row = w->dims[2] * w->dims[3], ic = w->dims[3];
  int in[4], out[4];

  engine_value_nhwc (engine_graph_value (graph, node->inputs[ENGINE_CONV_X]), in);
  engine_value_nhwc (engine_graph_value (graph, node->output), out);
  g_assert (out[1] == in[1] - kh + 1 && node->conv.groups == 1);
  for (int oh = 0; oh < out[1]; oh++)
    for (int ow = 0; ow < out[2]; ow++)
      for (int oc = 0; oc < out[3]; oc++) {
        double sum = bias[oc];

        for (int h = 0; h < kh; h++) {
          const float *from = x + ((oh + h) * in[2] + ow) * ic;
          const float *by = weights + (oc * kh + h) * row;

          for (int k = 0; k < row; k++)
            sum += (double) from[k] * by[k];
        }
        y[(oh * out[2] + ow) * out[3] + oc] =
            (float) fmin (fmax (sum, node->conv.lo), node->conv.hi);
      }
}

static inline void
double_sums_pool (const EngineGraph *graph, const EngineNode *node, const float *x, float *y)
{
  int in[4], out[4];

  engine_value_nhwc (engine_graph_value (graph, node->inputs[0]), in);
  engine_value_nhwc (engine_graph_value (graph, node->output), out);
  g_assert (node->pool.kh == 2 && node->pool.stride_h == 2 && in[1] == 2 * out[1]);
  for (int oh = 0; oh < out[1]; oh++)
    for (int k = 0; k < out[2] * out[3]; k++) {
      const int ow = k / out[3], c = k % out[3];
      const float *at = x + (2 * oh * in[2] + 2 * ow) * in[3] + c, *below = at + in[2] * in[3];

      y[oh * out[2] * out[3] + k] =
          fmaxf (fmaxf (at[0], at[in[3]]), fmaxf (below[0], below[in[3]]));
    }
}

static inline void
double_sums_softmax (const float *x, float *y, int n)
{
  double sum = 0, largest = x[0];

  for (int i = 1; i < n; i++)
    largest = fmax (largest, x[i]);
  for (int i = 0; i < n; i++)
    sum += exp (x[i] - largest);
  for (int i = 0; i < n; i++)
    y[i] = (float) (exp (x[i] - largest) / sum);
}

/* `batch` images as one batch; x is that of the input. */
static inline void
double_sums_run (const EngineModel *model, const float *x, int batch, CalibStatistics *statistics)
{
  const EngineGraph *graph = model->graph;
  const int input = g_array_index (graph->inputs, int, 0);
  g_autoptr (GPtrArray) values = g_ptr_array_new_with_free_func (g_free);

  for (guint v = 0; v < graph->values->len; v++) {
    const EngineValue *value = engine_graph_value (graph, v);

    g_ptr_array_add (values,
        value->data ? NULL : g_new (float, engine_value_elements (value) * batch));
  }
  memcpy (values->pdata[input], x,
      engine_value_elements (engine_graph_value (graph, input)) * batch * sizeof *x);
  for (guint i = 0; i < graph->nodes->len; i++) {
    const EngineNode *node = engine_graph_node (graph, i);
    const gint64 n_in = engine_value_elements (engine_graph_value (graph, node->inputs[0]));
    const gint64 n_out = engine_value_elements (engine_graph_value (graph, node->output));

    for (int b = 0; b < batch; b++) {
      const float *from = (const float *) values->pdata[node->inputs[0]] + b * n_in;
      float *to = (float *) values->pdata[node->output] + b * n_out;

      if (node->op == ENGINE_OP_CONV)
        double_sums_conv (graph, node, from, to);
      else if (node->op == ENGINE_OP_MAXPOOL)
        double_sums_pool (graph, node, from, to);
      else if (node->op == ENGINE_OP_SOFTMAX)
        double_sums_softmax (from, to, (int) n_out);
      else
        g_error ("%s: op %s is not done here", node->name, engine_op_name (node->op));
    }
  }
  for (guint v = 0; v < values->len; v++) {
    const EngineValue *value = engine_graph_value (graph, v);

    if (values->pdata[v])
      calib_histogram_add (calib_statistics_tensor (statistics, value->name, 0), values->pdata[v],
          engine_value_elements (value) * batch);
  }
}
