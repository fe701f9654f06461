/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gstint8calib-method.c: what needs kept frames: method=auto, which tries every method on them, and full
 * bias correction.
 */
#include "gst/gstint8calib-private.h"

/* Kept where they are needed and keep-frames says nothing. */
#define FRAMES_NEEDED 50

guint
gst_int8_calib_keeps (const GstInt8CalibSettings *settings, const CalibStatistics *continued)
{
  if (settings->keep_frames > 0)
    return settings->keep_frames;
  if ((!settings->choose_method && settings->bias_correction != GST_INT8_BIAS_CORRECTION_FULL) ||
      (continued && calib_statistics_keeps (continued) > 0))
    return 0;
  return FRAMES_NEEDED;
}

EngineBias *
gst_int8_calib_finish_bias (GstInt8Calib *self, EngineBias *bias, const CalibTable *table,
    GError **error)
{
  g_autoptr (EngineBias) taken = bias ? bias : engine_bias_new ();
  g_autoptr (GPtrArray) frames = engine_bias_frames (self->model, self->statistics, error);
  const EngineEqualiseOptions equalise = {.method = self->run.method,
      .percentile = self->run.percentile,
      .frames = frames,
      .threads = (int) self->run.config.threads};
  const EngineBiasOptions full = {.ranges = ENGINE_RANGES_FULL,
      .preprocess = &self->preprocess,
      .frames = frames,
      .equalised = taken,
      .threads = (int) self->run.config.threads};

  if (!frames || (self->run.equalise &&
                     !engine_equalise (taken, self->model, &equalise, self->host, NULL, error)))
    return NULL;
  if (self->run.bias_correction != GST_INT8_BIAS_CORRECTION_FULL)
    return g_steal_pointer (&taken);
  bias = engine_bias_full (self->model, table, &full, self->host, NULL, error);
  if (!bias)
    g_prefix_error (error, "bias-correction=full: ");
  return bias;
}

gboolean
gst_int8_calib_choose_method (GstInt8Calib *self, const EngineBias *bias, GError **error)
{
  const EngineChooseOptions options = {.ranges = ENGINE_RANGES_FULL,
      .percentile = self->run.percentile,
      .preprocess = &self->preprocess,
      .bias = bias,
      .threads = (int) self->run.config.threads};
  g_autoptr (GArray) ranking = NULL;
  g_autofree char *text = NULL;

  if (!self->run.choose_method)
    return TRUE;
  ranking =
      engine_calibration_rank (self->model, self->statistics, &options, self->host, NULL, error);
  if (!ranking) {
    g_prefix_error (error, "method=auto: ");
    return FALSE;
  }
  self->run.method = g_array_index (ranking, EngineMethodScore, 0).method;
  g_free (self->ranking);
  self->ranking = engine_calibration_ranking_text (ranking);
  text = g_strdup_printf ("method=auto took %s, by INT8 against FP32 on %u kept frames:\n%s",
      calib_method_name (self->run.method), calib_statistics_n_kept (self->statistics),
      self->ranking);
  /* Twice: gst-launch shows the second. */
  GST_ELEMENT_INFO (self, STREAM, FAILED, ("%s", text), ("%s", text));
  return TRUE;
}
