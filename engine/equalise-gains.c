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

#define PARTS 5

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

/* Every PARTS-th frame, or the others. */
static GPtrArray *
frames_of (const GPtrArray *frames, guint part, gboolean others)
{
  GPtrArray *taken = g_ptr_array_new ();

  for (guint f = 0; f < frames->len; f++)
    if ((f % PARTS == part) != others)
      g_ptr_array_add (taken, frames->pdata[f]);
  return taken;
}

static gboolean
judge (const EngineEqualiser *e, EngineComparison *plain, EngineComparison *equalised,
    const GPtrArray *frames, GArray *gains, GError **error)
{
  const float *logits = plain->pairs[plain->logits].exact;

  for (guint f = 0; f < frames->len; f++) {
    if (g_cancellable_set_error_if_cancelled (e->cancellable, error) ||
        !engine_comparison_push_frame (plain, frames->pdata[f], NULL, error) ||
        !engine_comparison_push_frame (equalised, frames->pdata[f], logits, error))
      return FALSE;
    const double gain = 10 * log10 (noise_of (plain, logits) / noise_of (equalised, logits));
    g_array_append_val (gains, gain);
  }
  return TRUE;
}

/* Scales from the other frames, judged on those of a part. No gains where there are no scales. */
static gboolean
judge_part (const EngineEqualiser *e, Engine *exact, const EngineBias *plain, guint part,
    GArray *gains, GError **error)
{
  g_autoptr (GPtrArray) from = frames_of (e->options->frames, part, TRUE);
  g_autoptr (GPtrArray) on = frames_of (e->options->frames, part, FALSE);
  g_autoptr (EngineBias) channels = engine_bias_new (), corrected = NULL;
  g_autoptr (EngineComparison) without = NULL, with = NULL;

  engine_bias_copy_channels (channels, plain);
  if (!engine_equalise_find (e, TRUE, from, channels, error))
    return FALSE;
  if (engine_bias_n_equalised (channels) == engine_bias_n_equalised (plain))
    return TRUE;
  corrected = engine_equalise_corrected (e, channels);
  without = compare_with (e, exact, plain, error);
  with = without ? compare_with (e, exact, corrected, error) : NULL;
  return with && judge (e, without, with, on, gains, error);
}

gboolean
engine_equalise_gains (const EngineEqualiser *e, const EngineBias *plain, gboolean *gains,
    GError **error)
{
  const EngineBuildOptions fp32 = {.precision = ENGINE_PRECISION_FP32};
  g_autoptr (Engine) exact = NULL;
  g_autoptr (GArray) of_frames = g_array_new (FALSE, FALSE, sizeof (double));

  *gains = FALSE;
  if (e->options->frames->len < PARTS)
    return TRUE;
  exact = engine_build (e->model, &fp32, NULL, NULL, NULL, e->cancellable, error);
  for (guint part = 0; part < PARTS; part++)
    if (!exact || !judge_part (e, exact, plain, part, of_frames, error)) {
      g_prefix_error (error, "equalising before dense convolutions: ");
      return FALSE;
    }
  *gains = is_gain ((const double *) of_frames->data, of_frames->len);
  return TRUE;
}
