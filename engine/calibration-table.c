/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * calibration-table.c: histograms into a table, with an entry for every activation.
 */
#include "engine/calibrate.h"
#include "engine/model.h"

#include <math.h>

typedef struct {
  const EngineGraph *graph;
  const CalibStatistics *statistics;
  CalibThresholdOptions options;
} Thresholds;

/* The methods of TensorRT that know no shared ranges. */
static gboolean
is_separate (CalibMethod method)
{
  return method == CALIB_METHOD_ENTROPY || method == CALIB_METHOD_LEGACY;
}

/* Whether the range of a value comes from its own histogram. */
static gboolean
has_own_range (const Thresholds *t, int value)
{
  return engine_is_observed (t->graph, t->statistics, value) &&
         (is_separate (t->options.method) ||
             engine_makes_values (t->graph, engine_graph_value (t->graph, value)));
}

/* T / 127 of every observed value, NAN for the others; NULL with an error. */
static float *
own_scales (const Thresholds *t, GError **error)
{
  const EngineGraph *graph = t->graph;
  g_autofree float *scale = g_new (float, graph->values->len);

  for (guint v = 0; v < graph->values->len; v++) {
    const char *name = engine_graph_value (graph, v)->name;
    CalibThresholdOptions options = t->options;
    const CalibHistogram *histogram;
    CalibThreshold threshold;

    scale[v] = NAN;
    if (!has_own_range (t, v))
      continue;
    histogram = calib_statistics_lookup (t->statistics, name);
    if (!histogram) {
      g_set_error (error, CALIB_ERROR, CALIB_ERROR_MISMATCH,
          "the statistics have no tensor '%s': they are of another model; calibrate this one",
          name);
      return NULL;
    }
    options.range = CALIB_RANGE_WITHIN;
    engine_graph_useful (graph, v, &options.lo, &options.hi);
    if (!calib_threshold (histogram, &options, &threshold, error)) {
      g_prefix_error (error, "tensor '%s': ", name);
      return NULL;
    }
    scale[v] = threshold.threshold / 127.0f;
  }
  return g_steal_pointer (&scale);
}

/* What passes values on and has no histogram: the range of what it passes, the largest of a concat's. */
static void
pass_on (const EngineGraph *graph, float *scale)
{
  for (guint i = 0; i < graph->nodes->len; i++) {
    const EngineNode *node = engine_graph_node (graph, i);

    if (!engine_op_passes_values (node->op) || !isnan (scale[node->output]))
      continue;
    for (int k = 0; k < (node->op == ENGINE_OP_CONCAT ? node->n_inputs : 1); k++)
      scale[node->output] = fmaxf (scale[node->output], scale[node->inputs[k]]);
  }
}

static void
add_entry (CalibTable *table, const EngineGraph *graph, const float *scale, int value)
{
  if (!isnan (scale[value]))
    calib_table_set (table, engine_graph_value (graph, value)->name, scale[value]);
}

CalibTable *
engine_calibration_table (const EngineModel *model, const CalibStatistics *statistics,
    CalibMethod method, double percentile, guint trt_version, GError **error)
{
  const EngineGraph *graph = model->graph;
  const Thresholds thresholds = {graph, statistics, {method, percentile}};
  g_autofree float *scale = own_scales (&thresholds, error);
  g_autofree char *header = NULL;
  g_autofree int *group = NULL;
  CalibTable *table;

  if (!scale)
    return NULL;
  if (is_separate (method))
    pass_on (graph, scale);
  else
    group = engine_ranges_share (graph, scale);
  header = calib_table_header (method, trt_version);
  table = calib_table_new (header);
  add_entry (table, graph, scale, g_array_index (graph->inputs, int, 0));
  for (guint i = 0; i < graph->nodes->len; i++)
    add_entry (table, graph, scale, engine_graph_node (graph, i)->output);
  return table;
}
