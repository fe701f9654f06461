/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * equalise.c: activation-driven equalisation. Where a convolution's output goes to convolutions and nowhere
 * else, every channel may have a scale of its own: the one that writes it scales each output channel in m[k]
 * anyway, and so does a depthwise one that reads it; of dense ones the weights of an input channel are
 * multiplied by its factor before they are quantised. It costs nothing when running.
 *
 * Before a depthwise convolution factors are square roots of the largest magnitude of every channel over
 * frames, as a share of the tensor's: the root leaves a channel that is small on few frames room to be larger
 * on others, and weights lose nothing. Before dense ones they are square roots of the ratio of that to the
 * largest weight that reads the channel, so that activation and weights lose the same (Nagel et al.,
 * "Data-Free Quantization through Weight Equalization and Bias Correction", 2019).
 */
#include "engine/equalise.h"
#include "engine/build.h"
#include "engine/model.h"

#include <math.h>
#include <string.h>

/* A channel that is smaller still keeps 1 / 64 of the range: frames to come may be larger. */
#define LEAST (1.0f / 64)
/* Before dense convolutions, factors level channels by their largest magnitudes, so that all of them end at T
 * on these frames and some go beyond it on others. Measured (docs/CALIBRATION.md). */
#define MARGIN 1.15f

/* --- Observing ------------------------------------------------------------------------------ */

typedef struct {
  guint channels;
  GArray *readers; /* as engine_equalise_readers() */
  gboolean dense;
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

  g_array_unref (tensor->readers);
  g_free (tensor->factors);
  g_free (tensor->scaled);
  calib_histogram_free (tensor->histogram);
  g_free (tensor);
}

/* Those before dense convolutions, or those before depthwise ones. */
static GHashTable *
find_tensors (const EngineGraph *graph, gboolean dense)
{
  GHashTable *tensors = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, tensor_free);

  for (int v = 0; v < (int) graph->values->len; v++) {
    const EngineValue *x = engine_graph_value (graph, v);
    g_autoptr (GArray) readers = engine_equalise_readers (graph, v);
    Tensor *tensor;

    if (!readers || engine_equalise_is_dense (graph, v) != dense)
      continue;
    tensor = g_new0 (Tensor, 1);
    tensor->readers = g_steal_pointer (&readers);
    tensor->dense = dense;
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

/* --- Factors -------------------------------------------------------------------------------- */

/* The largest weight that reads every channel, as a share of its filter's largest; 0 where none does. */
static float *
largest_weights (const EngineGraph *graph, const Tensor *tensor)
{
  float *largest = g_new0 (float, tensor->channels);

  for (guint i = 0; i < tensor->readers->len; i++) {
    const EngineNode *node = engine_graph_node (graph, g_array_index (tensor->readers, int, i));

    if (node->op != ENGINE_OP_CONV)
      continue;
    const EngineValue *weights = engine_graph_value (graph, node->inputs[ENGINE_CONV_W]);
    const gsize size = engine_value_elements (weights), of_filter = size / weights->dims[0];
    const float *w = g_bytes_get_data (weights->data, NULL);

    for (gsize start = 0; start < size; start += of_filter) {
      float of_this = 0;

      for (gsize k = start; k < start + of_filter; k++)
        of_this = fmaxf (of_this, fabsf (w[k]));
      for (gsize k = start; k < start + of_filter && of_this > 0; k++)
        largest[k % tensor->channels] =
            fmaxf (largest[k % tensor->channels], fabsf (w[k]) / of_this);
    }
  }
  return largest;
}

/* From magnitudes to shares of the largest. A channel that no weight reads takes no part. */
static void
find_factors (const EngineGraph *graph, GHashTable *tensors)
{
  GHashTableIter iter;
  gpointer data;

  g_hash_table_iter_init (&iter, tensors);
  while (g_hash_table_iter_next (&iter, NULL, &data)) {
    Tensor *tensor = data;
    g_autofree float *weights = tensor->dense ? largest_weights (graph, tensor) : NULL;
    float largest = 0;

    for (guint k = 0; k < tensor->channels; k++) {
      if (weights)
        tensor->factors[k] = weights[k] > 0 ? tensor->factors[k] / weights[k] : 0;
      largest = fmaxf (largest, tensor->factors[k]);
    }
    for (guint k = 0; k < tensor->channels; k++) {
      const gboolean counts = largest > 0 && (!weights || weights[k] > 0);

      tensor->factors[k] = counts ? fmaxf (sqrtf (tensor->factors[k] / largest), LEAST) : 1;
    }
  }
}

static gboolean
run (const EngineEqualiser *e, EngineExec *exec, const GPtrArray *frames, GError **error)
{
  EngineInputInfo input;

  engine_model_input (e->model, &input);
  const gsize n = (gsize) input.height * input.width * input.channels;
  for (guint f = 0; f < frames->len; f++) {
    memcpy (engine_exec_input (exec, 0), frames->pdata[f], n * sizeof (float));
    if (g_cancellable_set_error_if_cancelled (e->cancellable, error) ||
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
    if (tensor->dense)
      threshold.threshold *= MARGIN;
    if (threshold.threshold > 0)
      engine_bias_set_channels (bias, name, threshold.threshold, tensor->factors, tensor->channels);
  }
  return TRUE;
}

/* --- All of it ------------------------------------------------------------------------------ */

gboolean
engine_equalise_find (const EngineEqualiser *e, gboolean dense, const GPtrArray *frames,
    EngineBias *bias, GError **error)
{
  const EngineBuildOptions fp32 = {.precision = ENGINE_PRECISION_FP32};
  const EngineGraph *graph = e->model->graph;
  g_autoptr (GHashTable) tensors = find_tensors (graph, dense);
  Observation observation = {tensors, FALSE};
  g_autoptr (Engine) engine = NULL;
  g_autoptr (EngineExec) exec = NULL;

  if (g_hash_table_size (tensors) == 0)
    return TRUE;
  engine = engine_build (e->model, &fp32, NULL, NULL, NULL, e->cancellable, error);
  if (engine)
    exec = engine_exec_new_tapped (engine, e->backend, 1, e->options->threads, observe,
        &observation, error);
  if (!exec || !run (e, exec, frames, error))
    return FALSE;
  find_factors (graph, tensors);
  observation.scaling = TRUE;
  return run (e, exec, frames, error) && set_channels (bias, graph, tensors, e->options, error);
}

/* The correction that goes with the scales in `channels`, and these. */
EngineBias *
engine_equalise_corrected (const EngineEqualiser *e, const EngineBias *channels)
{
  EngineBias *bias;

  if (e->options->statistics)
    return engine_bias_fast (e->model, e->options->statistics, channels);
  bias = engine_bias_new ();
  engine_bias_copy_channels (bias, channels);
  return bias;
}

static gboolean
add_dense (const EngineEqualiser *e, EngineBias *bias, GError **error)
{
  g_autoptr (EngineBias) channels = engine_bias_new (), corrected = NULL;
  gboolean gains;

  if (!engine_equalise_gains (e, bias, &gains, error))
    return FALSE;
  if (!gains)
    return TRUE;
  engine_bias_copy_channels (channels, bias);
  if (!engine_equalise_find (e, TRUE, e->options->frames, channels, error))
    return FALSE;
  corrected = engine_equalise_corrected (e, channels);
  engine_bias_copy (bias, corrected);
  return TRUE;
}

gboolean
engine_equalise (EngineBias *bias, const EngineModel *model, const EngineEqualiseOptions *options,
    KernelBackend *backend, GCancellable *cancellable, GError **error)
{
  const EngineEqualiser e = {model, options, backend, cancellable};

  if (options->frames->len == 0 || calib_method_flags (options->method) != CALIB_HISTOGRAM_DEFAULT)
    return TRUE;
  return engine_equalise_find (&e, FALSE, options->frames, bias, error) &&
         (!options->table || add_dense (&e, bias, error));
}
