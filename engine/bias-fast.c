/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bias-fast.c: fast bias correction. A convolution's weights W become s w_q; on an input of mean E[x]
 * its output k is then off by
 *
 *   db[k] = sum over taps and channels of (W - s w_q) f E[x]
 *
 * on average, f being the share of outputs whose tap lies inside the picture. Of channels with scales of
 * their own, W times the factor is what becomes s w_q, and E[x] is divided by it. E[x] comes from the
 * channel means in the statistics. Behind a max pool it is not known (the mean of what comes out is not
 * that of what goes in), and such layers are left alone.
 */
#include "engine/bias.h"
#include "engine/equalise.h"
#include "engine/model.h"
#include "engine/quantise.h"
#include "engine/ranges.h"

#include <math.h>
#include <string.h>

/* Work for the means of one layer: copied elements. No real network comes near; models made to
 * multiply it are left alone. */
#define WORK        ((gint64) 1 << 29)
#define WORK_A_CALL 1000

/* --- Means ---------------------------------------------------------------------------------- */

typedef struct {
  const EngineGraph *graph;
  const CalibStatistics *statistics;
  gint64 work; /* left */
} Means;

static float *means_of (Means *m, int value);

/* Every element of the tensor has the mean of its channel. */
static float *
observed_means (const Means *m, const EngineValue *value)
{
  const CalibHistogram *histogram = calib_statistics_lookup (m->statistics, value->name);
  const int channels = value->dims[value->rank - 1];
  const gint64 n = engine_value_elements (value);
  g_autofree float *means = NULL;

  if (!histogram)
    return NULL;
  means = g_new (float, n);
  for (int c = 0; c < channels; c++) {
    const double mean = calib_histogram_channel_mean (histogram, c);

    if (isnan (mean))
      return NULL;
    for (gint64 i = c; i < n; i += channels)
      means[i] = (float) mean;
  }
  return g_steal_pointer (&means);
}

/* Elements before, of, and behind an axis. */
static void
split_dims (const EngineValue *value, int axis, gint64 *outer, gint64 *size, gint64 *inner)
{
  *outer = *inner = 1;
  *size = value->dims[axis];
  for (int i = 0; i < value->rank; i++)
    if (i != axis)
      *(i < axis ? outer : inner) *= value->dims[i];
}

static void
copy_axis (const float *from, gint64 from_size, gint64 from_start, float *to, gint64 to_size,
    gint64 to_start, gint64 outer, gint64 n, gint64 inner)
{
  for (gint64 o = 0; o < outer; o++)
    memcpy (to + (o * to_size + to_start) * inner, from + (o * from_size + from_start) * inner,
        n * inner * sizeof (float));
}

static float *
concat_means (Means *m, const EngineNode *node)
{
  const EngineValue *y = engine_graph_value (m->graph, node->output);
  g_autofree float *out = g_new (float, engine_value_elements (y));
  gint64 outer, size, inner, at = 0;

  split_dims (y, node->concat.axis, &outer, &size, &inner);
  for (int k = 0; k < node->n_inputs; k++) {
    const gint64 part = engine_graph_value (m->graph, node->inputs[k])->dims[node->concat.axis];
    g_autofree float *x = means_of (m, node->inputs[k]);

    if (!x)
      return NULL;
    copy_axis (x, part, 0, out, size, at, outer, part, inner);
    at += part;
  }
  return g_steal_pointer (&out);
}

static float *
slice_means (const EngineNode *node, const EngineValue *x, const EngineValue *y, const float *in)
{
  float *out = g_new (float, engine_value_elements (y));
  gint64 outer, size, inner;

  split_dims (x, node->slice.axis, &outer, &size, &inner);
  copy_axis (in, size, node->slice.start, out, node->slice.size, 0, outer, node->slice.size, inner);
  return out;
}

static float *
transpose_means (const EngineNode *node, const EngineValue *x, const EngineValue *y,
    const float *in)
{
  const gint64 n = engine_value_elements (y);
  float *out = g_new (float, n);
  gint64 stride[ENGINE_MAX_RANK], at[ENGINE_MAX_RANK] = {0}, from = 0;

  for (int i = 0; i < y->rank; i++) {
    stride[i] = 1;
    for (int k = node->transpose.perm[i] + 1; k < x->rank; k++)
      stride[i] *= x->dims[k];
  }
  for (gint64 i = 0; i < n; i++) {
    out[i] = in[from];
    for (int axis = y->rank - 1; axis >= 0; axis--) {
      from += stride[axis];
      if (++at[axis] < y->dims[axis])
        break;
      from -= stride[axis] * at[axis];
      at[axis] = 0;
    }
  }
  return out;
}

/* The mean of every element of a value, or NULL where that is not known. */
static float *
means_of (Means *m, int value)
{
  const EngineValue *y = engine_graph_value (m->graph, value), *x;
  const EngineNode *node;
  g_autofree float *in = NULL;

  m->work -= engine_value_elements (y) + WORK_A_CALL;
  if (m->work < 0)
    return NULL;
  if (y->producer == ENGINE_NONE)
    return observed_means (m, y);
  node = engine_graph_node (m->graph, y->producer);
  if (!engine_op_passes_values (node->op))
    return observed_means (m, y);
  if (node->op == ENGINE_OP_CONCAT)
    return concat_means (m, node);
  if (node->op == ENGINE_OP_MAXPOOL || node->op == ENGINE_OP_PAD)
    return NULL;
  x = engine_graph_value (m->graph, node->inputs[0]);
  in = means_of (m, node->inputs[0]);
  if (!in || node->op == ENGINE_OP_RESHAPE)
    return g_steal_pointer (&in);
  return node->op == ENGINE_OP_SLICE ? slice_means (node, x, y, in)
                                     : transpose_means (node, x, y, in);
}

/* The mean of every channel: the last axis. */
static double *
channel_means (Means *m, int value)
{
  const EngineValue *x = engine_graph_value (m->graph, value);
  const int channels = x->dims[x->rank - 1];
  const gint64 n = engine_value_elements (x);
  g_autofree float *all = means_of (m, value);
  double *means;

  if (!all)
    return NULL;
  means = g_new0 (double, channels);
  for (gint64 i = 0; i < n; i++)
    means[i % channels] += all[i];
  for (int c = 0; c < channels; c++)
    means[c] /= n / channels;
  return means;
}

/* --- Corrections ---------------------------------------------------------------------------- */

/* The share of outputs for which tap k of a window lies inside the input. */
static double
inside (int k, int in, int out, int stride, int dilation, int pad)
{
  int n = 0;

  for (int o = 0; o < out; o++) {
    const int at = o * stride - pad + k * dilation;

    n += at >= 0 && at < in;
  }
  return (double) n / out;
}

static double *
tap_shares (const EngineGraph *graph, const EngineNode *node)
{
  const EngineConvParams *p = &node->conv;
  const int *w = engine_graph_value (graph, node->inputs[ENGINE_CONV_W])->dims;
  double *shares = g_new (double, w[1] * w[2]);
  int x[4], y[4];

  engine_value_nhwc (engine_graph_value (graph, node->inputs[ENGINE_CONV_X]), x);
  engine_value_nhwc (engine_graph_value (graph, node->output), y);
  for (int i = 0; i < w[1]; i++)
    for (int j = 0; j < w[2]; j++)
      shares[i * w[2] + j] = inside (i, x[1], y[1], p->stride_h, p->dilation_h, p->pad_top) *
                             inside (j, x[2], y[2], p->stride_w, p->dilation_w, p->pad_left);
  return shares;
}

/* What the weights of a dense convolution are multiplied by; NULL for nothing. */
static const float *
factors_of (const EngineGraph *graph, const EngineNode *node, const EngineBias *equalised)
{
  const int x = node->inputs[ENGINE_CONV_X];
  float threshold;
  guint channels;

  return equalised && engine_equalise_is_dense (graph, x)
             ? engine_bias_channels (equalised, engine_graph_value (graph, x)->name, &threshold,
                   &channels)
             : NULL;
}

/* What rounding the weights of every filter takes away, for inputs of these means. NULL where that is
 * not finite: the weights are not, and building says so. */
static float *
shifts_of (const EngineGraph *graph, const EngineNode *node, const double *means,
    const float *factors)
{
  const EngineValue *weights = engine_graph_value (graph, node->inputs[ENGINE_CONV_W]);
  const int oc = weights->dims[0], taps = weights->dims[1] * weights->dims[2];
  const int ic = weights->dims[3], per_group = oc / node->conv.groups;
  const float *w = g_bytes_get_data (weights->data, NULL);
  g_autofree gint8 *w_q = g_malloc (engine_value_elements (weights));
  g_autofree double *s_w = g_new (double, oc), *shares = tap_shares (graph, node);
  g_autofree float *shifts = g_new (float, oc);

  engine_quantise_weights (weights, factors, w_q, s_w);
  for (int k = 0; k < oc; k++) {
    const double *x = means + k / per_group * ic;
    double sum = 0;

    for (int t = 0; t < taps; t++)
      for (int c = 0; c < ic; c++) {
        const gint64 at = ((gint64) k * taps + t) * ic + c;

        sum += (w[at] - s_w[k] * w_q[at] / (factors ? (double) factors[c] : 1)) * shares[t] * x[c];
      }
    if (!isfinite ((float) sum))
      return NULL;
    shifts[k] = (float) sum;
  }
  return g_steal_pointer (&shifts);
}

EngineBias *
engine_bias_fast (const EngineModel *model, const CalibStatistics *statistics,
    const EngineBias *equalised)
{
  const EngineGraph *graph = model->graph;
  EngineBias *bias = engine_bias_new ();

  for (guint i = 0; i < graph->nodes->len; i++) {
    const EngineNode *node = engine_graph_node (graph, i);
    Means m = {graph, statistics, WORK};
    g_autofree double *means = NULL;
    g_autofree float *shifts = NULL;

    if (node->op != ENGINE_OP_CONV)
      continue;
    means = channel_means (&m, node->inputs[ENGINE_CONV_X]);
    if (!means)
      continue;
    shifts = shifts_of (graph, node, means, factors_of (graph, node, equalised));
    if (shifts)
      engine_bias_set (bias, engine_graph_value (graph, node->output)->name, shifts,
          engine_graph_value (graph, node->inputs[ENGINE_CONV_W])->dims[0]);
  }
  if (equalised)
    engine_bias_copy_channels (bias, equalised);
  return bias;
}
