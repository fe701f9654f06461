/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * calibrate.c: activations of the FP32 network into histograms, and histograms into a table.
 *
 * Observed are the input and every activation that makes new values. What only passes values on
 * (max pool, slice, reshape, transpose, pad, concat) shares the range of its input: its histogram
 * would say nothing that is not in another, so the table gets its entry without one. Only where
 * TensorRT's own histograms are collected they are observed too: its legacy calibrator gives each
 * tensor a range of its own.
 *
 * Histograms are filled by all threads of the exec, each by one: what a histogram holds depends on the
 * values alone, TensorRT's on the order of the batches too.
 */
#include "engine/model.h"
#include "engine/ranges.h"

#include <math.h>

/* Statistics of the caller's, with their histograms of what is observed, by number. */
typedef struct {
  CalibStatistics *statistics;
  CalibHistogram **histograms;
} Target;

struct _EngineCalibrator {
  EngineModel *model;
  EngineExec *exec;
  GHashTable *numbers; /* name of an activation to its number, from 1 on; names are the graph's */
  GArray *observed;    /* int: values, by number */
  GPtrArray *targets;  /* of Target: all that were ever asked for */
  const Target *to[2]; /* where activations go; the second may be NULL */
  int batch, waiting;
};

/* Of an activation. */
static gboolean
makes_values (const EngineGraph *graph, const EngineValue *value)
{
  return value->producer == ENGINE_NONE ||
         !engine_op_passes_values (engine_graph_node (graph, value->producer)->op);
}

static gboolean
is_observed (const EngineGraph *graph, const CalibStatistics *statistics, int value)
{
  const EngineValue *v = engine_graph_value (graph, value);

  return !v->data && (makes_values (graph, v) ||
                         (calib_statistics_flags (statistics) & CALIB_HISTOGRAM_TENSORRT));
}

/* Sums per channel up to so many channels: a histogram then takes at most 300 KiB, TensorRT's included. */
#define MAX_CHANNEL_SUMS 1770

/* The histogram of a value. Statistics that are continued hold it already. NULL where these statistics
 * do not observe it. */
static CalibHistogram *
histogram_of (CalibStatistics *statistics, const EngineGraph *graph, int value)
{
  const EngineValue *v = engine_graph_value (graph, value);
  const int last = v->dims[v->rank - 1];
  const guint channels = last <= MAX_CHANNEL_SUMS ? last : 0;

  if (!is_observed (graph, statistics, value))
    return NULL;
  return makes_values (graph, v) ? calib_statistics_tensor (statistics, v->name, channels)
                                 : calib_statistics_tensor_for_trt (statistics, v->name, channels);
}

static gboolean
check_provenance (const EngineModel *model, const CalibStatistics *statistics, GError **error)
{
  const char *of_statistics = calib_statistics_provenance (statistics)->model_sha256;

  if (!of_statistics || g_str_equal (of_statistics, model->sha256))
    return TRUE;
  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MISMATCH,
      "the statistics are of another model (SHA-256 %.12s..., this is %.12s...): start new ones "
      "for '%s'",
      of_statistics, model->sha256, model->path);
  return FALSE;
}

static void
tap (const EngineTap *tap, gpointer data)
{
  const EngineCalibrator *calibrator = data;
  const int number = GPOINTER_TO_INT (g_hash_table_lookup (calibrator->numbers, tap->name));

  for (guint i = 0; number && i < G_N_ELEMENTS (calibrator->to); i++)
    if (calibrator->to[i] && calibrator->to[i]->histograms[number - 1])
      calib_histogram_add (calibrator->to[i]->histograms[number - 1], tap->x,
          tap->n * tap->elements);
}

static void
free_target (gpointer data)
{
  Target *target = data;

  g_free (target->histograms);
  g_free (target);
}

/* Made once for each statistics, so that going from one to the other costs nothing. */
static const Target *
find_target (EngineCalibrator *calibrator, CalibStatistics *statistics)
{
  const EngineGraph *graph = calibrator->model->graph;
  const GArray *observed = calibrator->observed;
  Target *target;

  for (guint i = 0; i < calibrator->targets->len; i++) {
    target = calibrator->targets->pdata[i];
    if (target->statistics == statistics)
      return target;
  }
  target = g_new (Target, 1);
  target->statistics = statistics;
  target->histograms = g_new (CalibHistogram *, observed->len);
  for (guint i = 0; i < observed->len; i++)
    target->histograms[i] = histogram_of (statistics, graph, g_array_index (observed, int, i));
  g_ptr_array_add (calibrator->targets, target);
  return target;
}

/* All activations: which of them is decided for each statistics. */
static void
find_observed (EngineCalibrator *calibrator)
{
  const EngineGraph *graph = calibrator->model->graph;

  for (int v = 0; v < (int) graph->values->len; v++) {
    if (engine_graph_value (graph, v)->data)
      continue;
    g_array_append_val (calibrator->observed, v);
    g_hash_table_insert (calibrator->numbers, engine_graph_value (graph, v)->name,
        GINT_TO_POINTER (calibrator->observed->len));
  }
}

EngineCalibrator *
engine_calibrator_new (EngineModel *model, KernelBackend *backend, int batch, int threads,
    CalibStatistics *statistics, GError **error)
{
  const EngineBuildOptions options = {.precision = ENGINE_PRECISION_FP32};
  g_autoptr (EngineCalibrator) calibrator = NULL;
  g_autoptr (Engine) engine = NULL;

  g_return_val_if_fail (batch >= 1, NULL);

  if (!backend->host_memory) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_BACKEND,
        "calibration reads every activation, which back end '%s' keeps on its device; use 'cpu'",
        backend->name);
    return NULL;
  }
  if (!check_provenance (model, statistics, error))
    return NULL;
  engine = engine_build (model, &options, NULL, NULL, NULL, NULL, error);
  if (!engine)
    return NULL;

  calibrator = g_new0 (EngineCalibrator, 1);
  calibrator->model = engine_model_ref (model);
  calibrator->batch = batch;
  calibrator->numbers = g_hash_table_new (g_str_hash, g_str_equal);
  calibrator->observed = g_array_new (FALSE, FALSE, sizeof (int));
  calibrator->targets = g_ptr_array_new_with_free_func (free_target);
  calibrator->exec =
      engine_exec_new_tapped (engine, backend, batch, threads, tap, calibrator, error);
  if (!calibrator->exec)
    return NULL;
  find_observed (calibrator);
  engine_calibrator_set_statistics (calibrator, statistics, NULL);
  return g_steal_pointer (&calibrator);
}

void
engine_calibrator_set_statistics (EngineCalibrator *calibrator, CalibStatistics *statistics,
    CalibStatistics *also)
{
  g_return_if_fail (calibrator->waiting == 0);

  calibrator->to[0] = find_target (calibrator, statistics);
  calibrator->to[1] = also ? find_target (calibrator, also) : NULL;
}

void
engine_calibrator_free (EngineCalibrator *calibrator)
{
  if (!calibrator)
    return;
  engine_exec_free (calibrator->exec);
  g_ptr_array_unref (calibrator->targets);
  g_array_unref (calibrator->observed);
  g_hash_table_unref (calibrator->numbers);
  engine_model_unref (calibrator->model);
  g_free (calibrator);
}

float *
engine_calibrator_input (EngineCalibrator *calibrator)
{
  return engine_exec_input (calibrator->exec, calibrator->waiting);
}

gboolean
engine_calibrator_push (EngineCalibrator *calibrator, GError **error)
{
  calibrator->waiting++;
  return calibrator->waiting < calibrator->batch || engine_calibrator_flush (calibrator, error);
}

/* Counts the images that were run, and offers them to statistics that keep some. */
static void
add_frames (const EngineCalibrator *calibrator, CalibStatistics *statistics, int images)
{
  EngineInputInfo input;

  calib_statistics_add_frames (statistics, images);
  if (calib_statistics_keeps (statistics) == 0)
    return;
  engine_model_input (calibrator->model, &input);
  for (int i = 0; i < images; i++)
    calib_statistics_offer_frame (statistics, engine_exec_input (calibrator->exec, i),
        (gsize) input.height * input.width * input.channels);
}

gboolean
engine_calibrator_flush (EngineCalibrator *calibrator, GError **error)
{
  const int images = calibrator->waiting;

  if (images == 0)
    return TRUE;
  calibrator->waiting = 0;
  if (!engine_exec_run (calibrator->exec, images, error))
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (calibrator->to); i++)
    if (calibrator->to[i])
      add_frames (calibrator, calibrator->to[i]->statistics, images);
  return TRUE;
}

/* --- The table ------------------------------------------------------------------------------ */

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
  return is_observed (t->graph, t->statistics, value) &&
         (is_separate (t->options.method) ||
             makes_values (t->graph, engine_graph_value (t->graph, value)));
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
    float lo, hi;

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
    engine_graph_bounds (graph, v, &lo, &hi);
    options.range = lo >= 0 ? CALIB_RANGE_FULL : CALIB_RANGE_SYMMETRIC;
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
