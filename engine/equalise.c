/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * equalise.c: activation-driven equalisation. Where a convolution's output goes to convolutions and nowhere
 * else, every channel may have a scale of its own: the one that writes it scales each output channel in m[k]
 * anyway, and so does a depthwise one that reads it; of dense ones the weights of an input channel are
 * multiplied by its factor before they are quantised. It costs nothing when running.
 */
#include "engine/equalise.h"
#include "engine/model.h"

/* Before dense convolutions, factors level channels by their largest magnitudes, so that all of them end at T
 * on these frames and some go beyond it on others. Measured (docs/CALIBRATION.md). */
#define MARGIN 1.15f

/* A tensor that is always 0 keeps its range. */
static gboolean
set_channels (const EngineEqualiser *e, const EngineEqualiseTensor *tensor, guint set,
    EngineBias *bias, GError **error)
{
  const EngineGraph *graph = e->model->graph;
  const char *name = engine_graph_value (graph, tensor->value)->name;
  CalibThresholdOptions how = {.method = e->options->method, .percentile = e->options->percentile};
  CalibThreshold threshold;
  float lo, hi;

  engine_graph_bounds (graph, tensor->value, &lo, &hi);
  how.range = lo >= 0 ? CALIB_RANGE_FULL : CALIB_RANGE_SYMMETRIC;
  if (!calib_threshold (tensor->histograms[set], &how, &threshold, error)) {
    g_prefix_error (error, "equalising '%s': ", name);
    return FALSE;
  }
  if (tensor->dense)
    threshold.threshold *= MARGIN;
  if (threshold.threshold > 0)
    engine_bias_set_channels (bias, name, threshold.threshold, tensor->factors[set],
        tensor->channels);
  return TRUE;
}

gboolean
engine_equalise_add (const EngineEqualiser *e, const EngineEqualiseObservation *observation,
    gboolean dense, guint set, EngineBias *bias, GError **error)
{
  const GPtrArray *tensors = engine_equalise_tensors (observation);

  for (guint i = 0; i < tensors->len; i++) {
    const EngineEqualiseTensor *tensor = tensors->pdata[i];

    if (tensor->dense == dense && !set_channels (e, tensor, set, bias, error))
      return FALSE;
  }
  return TRUE;
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
add_dense (const EngineEqualiser *e, const EngineEqualiseObservation *observation, EngineBias *bias,
    GError **error)
{
  g_autoptr (EngineBias) channels = engine_bias_new (), corrected = NULL;
  gboolean gains;

  if (!engine_equalise_gains (e, observation, bias, &gains, error))
    return FALSE;
  if (!gains)
    return TRUE;
  engine_bias_copy_channels (channels, bias);
  if (!engine_equalise_add (e, observation, TRUE, ENGINE_EQUALISE_ALL, channels, error))
    return FALSE;
  corrected = engine_equalise_corrected (e, channels);
  engine_bias_copy (bias, corrected);
  return TRUE;
}

/* All frames are observed twice, and run once more where scales are judged. */
void
engine_equalise_tell (const EngineEqualiser *e, guint done)
{
  const EngineEqualiseOptions *options = e->options;

  if (options->progress)
    options->progress (done, 3 * options->frames->len, "scales by channel", options->progress_data);
}

gboolean
engine_equalise (EngineBias *bias, const EngineModel *model, const EngineEqualiseOptions *options,
    KernelBackend *backend, GCancellable *cancellable, GError **error)
{
  const EngineEqualiser e = {model, options, backend, cancellable};
  const gboolean dense = options->table && options->frames->len >= ENGINE_EQUALISE_PARTS;
  g_autoptr (EngineEqualiseObservation) observation = NULL;

  if (options->frames->len == 0 || calib_method_flags (options->method) != CALIB_HISTOGRAM_DEFAULT)
    return TRUE;
  observation = engine_equalise_observe (&e, dense, error);
  if (!observation)
    return FALSE;
  if (engine_equalise_tensors (observation)->len == 0)
    return TRUE;
  if (!engine_equalise_add (&e, observation, FALSE, ENGINE_EQUALISE_ALL, bias, error) ||
      (dense && !add_dense (&e, observation, bias, error)))
    return FALSE;
  engine_equalise_tell (&e, 3 * options->frames->len);
  return TRUE;
}
