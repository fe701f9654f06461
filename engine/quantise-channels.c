/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * quantise-channels.c: which values get the scales by channel that are beside a table (equalise.h): those
 * that everything around them can do with.
 */
#include "engine/build.h"
#include "engine/equalise.h"
#include "engine/quantise.h"

#include <math.h>

static gboolean
is_by_hand (const EngineGraph *graph, const EnginePassContext *context, int value)
{
  const CalibDynamicRanges *hand = context->options->dynamic_ranges;
  const char *name = engine_graph_value (graph, value)->name;

  return hand && calib_dynamic_ranges_lookup (hand, name, NULL, NULL);
}

/* Whether all is int8 that writes or reads the value, and no range was given by hand. */
static gboolean
may_take (const EngineGraph *graph, const EnginePassContext *context, const EngineWork *work,
    int value, const GArray *readers)
{
  if (work[engine_graph_value (graph, value)->producer] != ENGINE_WORK_INT8 ||
      is_by_hand (graph, context, value))
    return FALSE;
  for (guint i = 0; i < readers->len; i++) {
    const int reader = g_array_index (readers, int, i);
    const EngineNode *node = engine_graph_node (graph, reader);

    if (work[reader] == ENGINE_WORK_FLOAT ||
        (node->op == ENGINE_OP_MAXPOOL && is_by_hand (graph, context, node->output)))
      return FALSE;
  }
  return TRUE;
}

/* The value's, and those of max pools behind it. What is clamped never gets a range beyond its clamp: up to
 * it, every channel saturates before. */
static void
take (const EngineGraph *graph, int value, const GArray *readers, float threshold,
    const float *factors, EngineQuantiseChannels *channels)
{
  const int producer = engine_graph_value (graph, value)->producer;

  channels->thresholds[value] = fminf (threshold, engine_graph_node (graph, producer)->conv.hi);
  channels->factors[value] = factors;
  for (guint i = 0; i < readers->len; i++) {
    const EngineNode *node = engine_graph_node (graph, g_array_index (readers, int, i));

    if (node->op != ENGINE_OP_MAXPOOL)
      continue;
    channels->thresholds[node->output] = channels->thresholds[value];
    channels->factors[node->output] = factors;
  }
}

static gboolean
check_count (const EngineValue *value, guint n, GError **error)
{
  if ((int) n == value->dims[value->rank - 1])
    return TRUE;
  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MISMATCH,
      "tensor '%s' has %d channels, and its bias correction scales for %u: that is of another model; "
      "calibrate again",
      value->name, value->dims[value->rank - 1], n);
  return FALSE;
}

gboolean
engine_quantise_channels (const EngineGraph *graph, const EnginePassContext *context,
    const EngineWork *work, EngineQuantiseChannels *channels, GError **error)
{
  const EngineBias *bias = context->options->bias;
  const int n_values = graph->values->len;

  channels->thresholds = g_new (float, n_values);
  channels->factors = g_new0 (const float *, n_values);
  channels->uncorrected = g_new0 (gboolean, graph->nodes->len);
  for (int v = 0; v < n_values; v++)
    channels->thresholds[v] = NAN;
  for (int v = 0; bias && v < n_values; v++) {
    const EngineValue *value = engine_graph_value (graph, v);
    guint n;
    float threshold;
    const float *factors = engine_bias_channels (bias, value->name, &threshold, &n);
    g_autoptr (GArray) readers = factors ? engine_equalise_readers (graph, v) : NULL;

    if (!readers)
      continue;
    if (!check_count (value, n, error))
      return FALSE;
    if (may_take (graph, context, work, v, readers))
      take (graph, v, readers, threshold, factors, channels);
    else if (engine_equalise_is_dense (graph, v))
      for (guint i = 0; i < readers->len; i++)
        channels->uncorrected[g_array_index (readers, int, i)] = TRUE;
  }
  return TRUE;
}

void
engine_quantise_channels_clear (EngineQuantiseChannels *channels)
{
  g_free (channels->thresholds);
  g_free (channels->factors);
  g_free (channels->uncorrected);
}
