/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * equalise-gains.c: whether scales by channel before dense convolutions do a network good: they take
 * precision from weights for that of activations, and which counts for more is found by trying. Two INT8
 * networks beside the FP32 one, frame by frame.
 *
 * Scales fit the frames that they are from better than others. So they are judged on every fifth frame when
 * they are from the four between, and so five times; what is kept in the end is from all.
 */
#include "engine/compare/private.h"
#include "engine/equalise.h"

#include <float.h>
#include <math.h>

typedef struct {
  const EngineEqualiser *e;
  const EngineEqualiseObservation *observation;
  const EngineBias *plain;
  Engine *exact;
  EngineComparison *without; /* the INT8 network with `plain` alone; made with the first scales */
  GArray *of_frames;         /* double: gains in dB */
} Judgement;

static EngineComparison *
compare_with (const EngineEqualiser *e, Engine *exact, const EngineBias *bias, GError **error)
{
  const EngineEqualiseOptions *options = e->options;
  const EngineBuildOptions int8 = {.precision = ENGINE_PRECISION_INT8,
      .ranges = options->ranges,
      .table = options->table,
      .preprocess = options->preprocess,
      .bias = bias};
  const EngineCompareOptions how = {.preprocess = options->preprocess,
      .network_only = TRUE,
      .threads = options->threads};
  g_autoptr (Engine) judged =
      engine_build (e->model, &int8, NULL, NULL, NULL, e->cancellable, error);

  return judged ? engine_comparison_new (exact, judged, e->backend, &how, error) : NULL;
}

/* Of a frame's logits, as a share of their energy. One that is 0 has a logarithm, too. */
static double
noise_of (const EngineComparison *judged, const float *logits)
{
  const gsize n = judged->pairs[judged->logits].elements;
  double signal = 0, noise = 0;

  for (gsize i = 0; i < n; i++) {
    const double e = (double) logits[i] - judged->judged_logits[i];

    signal += (double) logits[i] * logits[i];
    noise += e * e;
  }
  return noise / (signal + DBL_MIN) + DBL_EPSILON;
}

/* A mean that is no number, as of logits that are none, is no gain. */
static gboolean
is_gain (const double *gains, guint n)
{
  double sum = 0, squares = 0;

  for (guint i = 0; i < n; i++)
    sum += gains[i];
  const double mean = sum / n;
  for (guint i = 0; i < n; i++)
    squares += (gains[i] - mean) * (gains[i] - mean);
  return n > 1 && mean > sqrt (squares / (n - 1) / n);
}

/* The frames of a part, on both networks. */
static gboolean
judge (const Judgement *j, EngineComparison *with, guint part, GError **error)
{
  const EngineEqualiser *e = j->e;
  const GPtrArray *frames = e->options->frames;
  const float *logits = j->without->pairs[j->without->logits].exact;

  for (guint f = part; f < frames->len; f += ENGINE_EQUALISE_PARTS) {
    engine_equalise_tell (e, 2 * frames->len + j->of_frames->len);
    if (g_cancellable_set_error_if_cancelled (e->cancellable, error) ||
        !engine_comparison_push_frame (j->without, frames->pdata[f], NULL, error) ||
        !engine_comparison_push_frame (with, frames->pdata[f], logits, error))
      return FALSE;
    const double gain = 10 * log10 (noise_of (j->without, logits) / noise_of (with, logits));
    g_array_append_val (j->of_frames, gain);
  }
  return TRUE;
}

/* Scales from the other frames, judged on those of the part. No gains where there are no scales. */
static gboolean
judge_part (Judgement *j, guint part, GError **error)
{
  g_autoptr (EngineBias) channels = engine_bias_new (), corrected = NULL;
  g_autoptr (EngineComparison) with = NULL;

  engine_bias_copy_channels (channels, j->plain);
  if (!engine_equalise_add (j->e, j->observation, TRUE, part, channels, error))
    return FALSE;
  if (engine_bias_n_equalised (channels) == engine_bias_n_equalised (j->plain))
    return TRUE;
  corrected = engine_equalise_corrected (j->e, channels);
  if (!j->without)
    j->without = compare_with (j->e, j->exact, j->plain, error);
  if (j->without)
    with = compare_with (j->e, j->exact, corrected, error);
  return with && judge (j, with, part, error);
}

gboolean
engine_equalise_gains (const EngineEqualiser *e, const EngineEqualiseObservation *observation,
    const EngineBias *plain, gboolean *gains, GError **error)
{
  const EngineBuildOptions fp32 = {.precision = ENGINE_PRECISION_FP32};
  g_autoptr (Engine) exact =
      engine_build (e->model, &fp32, NULL, NULL, NULL, e->cancellable, error);
  g_autoptr (GArray) of_frames = g_array_new (FALSE, FALSE, sizeof (double));
  Judgement j = {e, observation, plain, exact, NULL, of_frames};
  gboolean ok = exact != NULL;

  for (guint part = 0; ok && part < ENGINE_EQUALISE_PARTS; part++)
    ok = judge_part (&j, part, error);
  engine_comparison_free (j.without);
  if (!ok) {
    g_prefix_error (error, "equalising before dense convolutions: ");
    return FALSE;
  }
  *gains = is_gain ((const double *) of_frames->data, of_frames->len);
  return TRUE;
}
