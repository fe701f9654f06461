/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gstint8calib-method.c: what needs kept frames: method=auto, which tries every method on them, and full
 * bias correction. Frames that nobody asked to be kept are pictures that stay in memory.
 */
#include "gst/gstint8calib-private.h"

void
gst_int8_calib_keep_frames (GstInt8Calib *self, CalibStatistics *statistics)
{
  const GstInt8CalibSettings *run = &self->run;

  if (run->keep_frames > 0)
    calib_statistics_keep_frames (statistics, run->keep_frames);
  else if (calib_statistics_keeps (statistics) > 0)
    return; /* as many as the file that is continued */
  else if (run->precision_target > 0)
    gst_int8_calib_keep_for_precision (self, statistics);
  else if (run->choose_method || run->bias_correction == GST_INT8_BIAS_CORRECTION_FULL)
    calib_statistics_keep_in_memory (statistics, engine_calibration_frames (self->model));
}

EngineBias *
gst_int8_calib_finish_bias (GstInt8Calib *self, EngineBias *bias, const CalibTable *table,
    GError **error)
{
  const gboolean corrects = self->run.bias_correction != GST_INT8_BIAS_CORRECTION_OFF;
  GstInt8CalibWork scaling = {self, "equalisation", "equalising", {0}};
  GstInt8CalibWork correcting = {self, "bias", "correcting biases", {0}};
  g_autoptr (EngineBias) taken = bias ? bias : engine_bias_new ();
  g_autoptr (GPtrArray) frames = engine_bias_frames (self->model, self->statistics, error);
  const EngineEqualiseOptions equalise = {.method = self->run.method,
      .percentile = self->run.percentile,
      .frames = frames,
      .threads = (int) self->run.config.threads,
      .table = table,
      .ranges = ENGINE_RANGES_FULL,
      .preprocess = &self->preprocess,
      .statistics = corrects ? self->statistics : NULL,
      .progress = gst_int8_calib_post_work,
      .progress_data = &scaling};
  const EngineBiasOptions full = {.ranges = ENGINE_RANGES_FULL,
      .preprocess = &self->preprocess,
      .frames = frames,
      .equalised = taken,
      .threads = (int) self->run.config.threads,
      .progress = gst_int8_calib_post_work,
      .progress_data = &correcting};

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
  GstInt8CalibWork trying = {self, "method", "trying methods", {0}};
  const EngineChooseOptions options = {.ranges = ENGINE_RANGES_FULL,
      .percentile = self->run.percentile,
      .preprocess = &self->preprocess,
      .bias = bias,
      .threads = (int) self->run.config.threads,
      .progress = gst_int8_calib_post_work,
      .progress_data = &trying};
  g_autoptr (GArray) ranking = NULL;
  g_autofree char *text = NULL;

  if (!self->run.choose_method)
    return TRUE;
  if (calib_statistics_n_kept (self->statistics) == 0) {
    GST_ELEMENT_WARNING (self, STREAM, FAILED,
        ("method=auto tries methods on frames, and there are none: this run had no frame, and the "
         "statistics that it continues or merges keep none. The table is made with method=%s; set a method, "
         "or keep-frames where the statistics are collected",
            calib_method_name (self->run.method)),
        (NULL));
    return TRUE;
  }
  ranking =
      engine_calibration_rank (self->model, self->statistics, &options, self->host, NULL, error);
  if (!ranking) {
    g_prefix_error (error, "method=auto: ");
    return FALSE;
  }
  self->run.method = g_array_index (ranking, EngineMethodScore, 0).method;
  g_free (self->ranking);
  self->ranking = engine_calibration_ranking_text (ranking);
  text = g_strdup_printf (
      "method=auto took %s, by INT8 against FP32 on %" G_GUINT64_FORMAT " kept frames:\n%s",
      calib_method_name (self->run.method),
      g_array_index (ranking, EngineMethodScore, 0).score.frames, self->ranking);
  /* Twice: gst-launch shows the second. */
  GST_ELEMENT_INFO (self, STREAM, FAILED, ("%s", text), ("%s", text));
  return TRUE;
}
