/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * calibrate.h: which activations calibration observes. Internal to engine/.
 *
 * Observed are the input and every activation that makes new values. What only passes values on
 * (max pool, slice, reshape, transpose, pad, concat) shares the range of its input: its histogram
 * would say nothing that is not in another, so the table gets its entry without one. Only where
 * TensorRT's own histograms are collected they are observed too: its legacy calibrator gives each
 * tensor a range of its own.
 */
#pragma once

#include "engine/engine.h"
#include "engine/graph.h"
#include "engine/ranges.h"

/* Of an activation. */
static inline gboolean
engine_makes_values (const EngineGraph *graph, const EngineValue *value)
{
  return value->producer == ENGINE_NONE ||
         !engine_op_passes_values (engine_graph_node (graph, value->producer)->op);
}

static inline gboolean
engine_is_observed (const EngineGraph *graph, const CalibStatistics *statistics, int value)
{
  const EngineValue *v = engine_graph_value (graph, value);

  return !v->data && (engine_makes_values (graph, v) ||
                         (calib_statistics_flags (statistics) & CALIB_HISTOGRAM_TENSORRT));
}
