/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * equalise.c: activation-driven equalisation. Where a convolution's output goes to a depthwise convolution
 * and nowhere else, every channel may have a scale of its own: both convolutions scale each output channel
 * in m[k] anyway, so it costs nothing, when running or in the precision of weights. The factors are
 * square roots of the largest magnitude of every channel over frames, as a share of the tensor's: the root
 * leaves a channel that is small on few frames room to be larger on others.
 *
 * Before a dense convolution a factor would have to go into its weights, where it trades their precision
 * for that of the activation: measured, and left alone (docs/CALIBRATION.md).
 */
#include "engine/equalise.h"
#include "engine/build.h"
#include "engine/model.h"

#include <math.h>
#include <string.h>

/* A channel that is smaller still keeps 1 / 64 of the range: frames to come may be larger. */
#define LEAST (1.0f / 64)

int
engine_equalise_reader (const EngineGraph *graph, int value)
{
  const EngineValue *x = engine_graph_value (graph, value);
  const int channels = x->rank > 0 ? x->dims[x->rank - 1] : 0;
  const EngineNode *from, *to;
  const EngineValue *w;

  if (x->producer == ENGINE_NONE || engine_graph_is_output (graph, value) ||
      engine_graph_n_consumers (graph, value) != 1)
    return ENGINE_NONE;
  from = engine_graph_node (graph, x->producer);
  to = engine_graph_sole_consumer (graph, value);
  if (from->op != ENGINE_OP_CONV || from->inputs[ENGINE_CONV_R] != ENGINE_NONE || !to ||
      to->op != ENGINE_OP_CONV || to->inputs[ENGINE_CONV_X] != value ||
      !(from->conv.lo == 0 || from->conv.lo == -INFINITY) || !(from->conv.hi > 0))
    return ENGINE_NONE;
  w = engine_graph_value (graph, to->inputs[ENGINE_CONV_W]);
  if (to->conv.groups != channels || w->dims[0] != channels || w->dims[3] != 1)
    return ENGINE_NONE;
  return engine_graph_value (graph, to->output)->producer;
}

typedef struct {
  int value;
  guint channels;
  float *factors; /* first the largest magnitudes */
  CalibHistogram *histogram;
  float *scaled; /* one image */
} Tensor;

typedef struct {
  GHashTable *by_name; /* Tensor */
  gboolean scaling;    /* the second run */
} Observation;

static void
tensor_free (gpointer data)
{
  Tensor *tensor = data;

  g_free (tensor->factors);
  g_free (tensor->scaled);
  calib_histogram_free (tensor->histogram);
  g_free (tensor);
}

static GHashTable *
find_tensors (const EngineGraph *graph)
{
  GHashTable *tensors = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, tensor_free);

  for (int v = 0; v < (int) graph->values->len; v++) {
    const EngineValue *x = engine_graph_value (graph, v);
    Tensor *tensor;

    if (engine_equalise_reader (graph, v) == ENGINE_NONE)
      continue;
    tensor = g_new0 (Tensor, 1);
    tensor->value = v;
    tensor->channels = x->dims[x->rank - 1];
    tensor->factors = g_new0 (float, tensor->channels);
    tensor->scaled = g_new (float, engine_value_elements (x));
    tensor->histogram = calib_histogram_new (0, CALIB_HISTOGRAM_DEFAULT);
    g_hash_table_insert (tensors, x->name, tensor);
  }
  return tensors;
}

/* Every tensor is one tap's: no two threads are at the same. */
static void
observe (const EngineTap *tap, gpointer data)
{
  const Observation *observation = data;
  Tensor *tensor = g_hash_table_lookup (observation->by_name, tap->name);
  const float *x = tap->x;

  if (!tensor)
    return;
  for (gsize i = 0; i < tap->elements; i++) {
    float *factor = &tensor->factors[i % tensor->channels];

    if (observation->scaling)
      tensor->scaled[i] = x[i] / *factor;
    else if (isfinite (x[i]) && fabsf (x[i]) > *factor)
      *factor = fabsf (x[i]);
  }
  if (observation->scaling)
    calib_histogram_add (tensor->histogram, tensor->scaled, tap->elements);
}

/* From magnitudes to shares of the largest. */
static void
find_factors (GHashTable *tensors)
{
  GHashTableIter iter;
  gpointer data;

  g_hash_table_iter_init (&iter, tensors);
  while (g_hash_table_iter_next (&iter, NULL, &data)) {
    Tensor *tensor = data;
    float largest = 0;

    for (guint k = 0; k < tensor->channels; k++)
      largest = fmaxf (largest, tensor->factors[k]);
    for (guint k = 0; k < tensor->channels; k++)
      tensor->factors[k] = largest > 0 ? fmaxf (sqrtf (tensor->factors[k] / largest), LEAST) : 1;
  }
}

static gboolean
run (EngineExec *exec, const GPtrArray *frames, gsize n, GCancellable *cancellable, GError **error)
{
  for (guint f = 0; f < frames->len; f++) {
    memcpy (engine_exec_input (exec, 0), frames->pdata[f], n * sizeof (float));
    if (g_cancellable_set_error_if_cancelled (cancellable, error) ||
        !engine_exec_run (exec, 1, error))
      return FALSE;
  }
  return TRUE;
}

/* In the order of the network. A tensor that is always 0 keeps its range. */
static gboolean
set_channels (EngineBias *bias, const EngineGraph *graph, GHashTable *tensors,
    const EngineEqualiseOptions *options, GError **error)
{
  for (int v = 0; v < (int) graph->values->len; v++) {
    const char *name = engine_graph_value (graph, v)->name;
    const Tensor *tensor = g_hash_table_lookup (tensors, name);
    CalibThresholdOptions how = {.method = options->method, .percentile = options->percentile};
    CalibThreshold threshold;
    float lo, hi;

    if (!tensor)
      continue;
    engine_graph_bounds (graph, v, &lo, &hi);
    how.range = lo >= 0 ? CALIB_RANGE_FULL : CALIB_RANGE_SYMMETRIC;
    if (!calib_threshold (tensor->histogram, &how, &threshold, error)) {
      g_prefix_error (error, "equalising '%s': ", name);
      return FALSE;
    }
    if (threshold.threshold > 0)
      engine_bias_set_channels (bias, name, threshold.threshold, tensor->factors, tensor->channels);
  }
  return TRUE;
}

gboolean
engine_equalise (EngineBias *bias, const EngineModel *model, const EngineEqualiseOptions *options,
    KernelBackend *backend, GCancellable *cancellable, GError **error)
{
  const EngineBuildOptions fp32 = {.precision = ENGINE_PRECISION_FP32};
  g_autoptr (GHashTable) tensors = find_tensors (model->graph);
  Observation observation = {tensors, FALSE};
  g_autoptr (Engine) engine = NULL;
  g_autoptr (EngineExec) exec = NULL;
  EngineInputInfo input;

  if (options->frames->len == 0 || g_hash_table_size (tensors) == 0 ||
      calib_method_flags (options->method) != CALIB_HISTOGRAM_DEFAULT)
    return TRUE;
  engine_model_input (model, &input);
  const gsize n = (gsize) input.height * input.width * input.channels;
  engine = engine_build (model, &fp32, NULL, NULL, NULL, cancellable, error);
  if (engine)
    exec =
        engine_exec_new_tapped (engine, backend, 1, options->threads, observe, &observation, error);
  if (!exec || !run (exec, options->frames, n, cancellable, error))
    return FALSE;
  find_factors (tensors);
  observation.scaling = TRUE;
  return run (exec, options->frames, n, cancellable, error) &&
         set_channels (bias, model->graph, tensors, options, error);
}
