/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gstint8calib-worker.c: the thread that owns a calibration: it loads the model, takes tensors from
 * the slots through the FP32 network into the statistics, and ends with the table (enough frames,
 * EOS, `finish`), with a checkpoint (the element is stopped), or with the one error.
 */
#include "gst/gstint8calib-private.h"

#include <string.h>

#define GST_CAT_DEFAULT gst_int8_calib_debug

/* --- Beginning ------------------------------------------------------------------------------- */

static gboolean
make_slots (GstInt8Calib *self, GError **error)
{
  const EngineInputInfo *input = &self->input;

  self->slot_size = sizeof (float) * input->height * input->width * input->channels;
  self->preprocessor = engine_preprocessor_new (&self->preprocess, input->channels, input->height,
      input->width, ENGINE_TYPE_F32, 1, 0, self->host, error);
  if (!self->preprocessor)
    return FALSE;
  self->queue = self->host->queue_new (self->host, 1);
  for (guint i = 0; self->queue && i < GST_INT8_CALIB_SLOTS; i++) {
    self->slots[i] = self->host->alloc (self->host, self->slot_size);
    if (!self->slots[i])
      break;
  }
  if (!self->queue || !self->slots[GST_INT8_CALIB_SLOTS - 1]) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MEMORY,
        "no memory for %d frames of %" G_GSIZE_FORMAT " bytes", GST_INT8_CALIB_SLOTS,
        self->slot_size);
    return FALSE;
  }
  return gst_int8_calib_device_make (self, error);
}

static gboolean
load_model (GstInt8Calib *self, GError **error)
{
  const GstInt8Config *config = &self->run.config;
  const EngineModelOptions options = gst_int8_config_model_options (config);

  self->model = engine_model_load_with (config->model, &options, error);
  if (!self->model)
    return FALSE;
  engine_model_input (self->model, &self->input);
  return gst_int8_config_preprocess (config, self->input.channels, &self->preprocess, error);
}

static void
start_sampler (GstInt8Calib *self)
{
  GstInt8SamplerSettings settings = {.interval = self->run.interval,
      .min_gap = self->run.min_gap,
      .scene_change = self->run.scene_change};
  double lo, hi;

  engine_preprocess_range (&self->preprocess, self->input.channels, &lo, &hi);
  settings.range = hi - lo;
  g_mutex_lock (&self->lock);
  self->sampler.settings = settings;
  g_mutex_unlock (&self->lock);
}

/* FALSE when the element stops first. */
static gboolean
wait_for_upstream (GstInt8Calib *self)
{
  gboolean stop;

  g_mutex_lock (&self->lock);
  while (!self->upstream_known && !self->finish && !self->stop)
    g_cond_wait (&self->changed, &self->lock);
  stop = self->stop;
  g_mutex_unlock (&self->lock);
  return !stop;
}

static gboolean
make_calibrator (GstInt8Calib *self, GError **error)
{
  self->statistics = gst_int8_calib_open_statistics (self, error);
  if (!self->statistics)
    return FALSE;
  self->calibrator = engine_calibrator_new (self->model, self->backend, (int) self->run.batch_size,
      (int) self->run.config.threads, self->statistics, error);
  if (!self->calibrator)
    return FALSE;
  if (self->run.auto_stop) {
    const CalibThresholdOptions options = {.method = self->run.method,
        .percentile = self->run.percentile};

    self->convergence =
        calib_convergence_new (self->statistics, &options, self->run.config.threads, error);
    if (!self->convergence)
      return FALSE;
  }
  start_sampler (self);
  return make_slots (self, error);
}

static void
set_phase (GstInt8Calib *self, GstInt8CalibPhase phase)
{
  g_mutex_lock (&self->lock);
  self->phase = phase;
  g_cond_broadcast (&self->changed);
  g_mutex_unlock (&self->lock);
}

/* --- Frames ---------------------------------------------------------------------------------- */

/* One message per percent, or per 25 frames where the end is not known; and after a second without one. */
static void
post_frames_done (GstInt8Calib *self)
{
  const guint max = self->run.max_frames;
  const guint64 done = self->processed;
  const gint64 now = g_get_monotonic_time ();

  if ((max ? done * 100 / max == (done - 1) * 100 / max : done % 25 != 0) &&
      now - self->told < G_USEC_PER_SEC)
    return;
  self->told = now;
  gst_int8_calib_post_progress (self, GST_PROGRESS_TYPE_CONTINUE,
      max ? (int) (done * 100 / max) : -1);
}

/* Between two batches only: a flush would change what entropy2-trt takes for a batch. */
static gboolean
checkpoint_is_due (const GstInt8Calib *self)
{
  const guint interval = self->run.checkpoint_interval, batch = self->run.batch_size;

  return interval && self->processed % batch == 0 &&
         self->processed / interval != (self->processed - batch) / interval;
}

/* With auto-stop every batch goes to a part of the statistics. */
static void
begin_batch (GstInt8Calib *self)
{
  const guint batch = self->run.batch_size;
  CalibStatistics *part, *newest;

  if (!self->convergence || self->processed % batch != 0)
    return;
  calib_convergence_targets (self->convergence, batch, &part, &newest);
  engine_calibrator_set_statistics (self->calibrator, part, newest);
}

/* No frame after the one that settled it: what is in the slots came too late. */
static void
stop_converged (GstInt8Calib *self)
{
  g_mutex_lock (&self->lock);
  self->finish = TRUE;
  self->reason = GST_INT8_CALIB_CONVERGED;
  self->sampler.counts.taken -= self->filled;
  self->sampler.counts.late += self->filled;
  self->filled = 0;
  g_cond_broadcast (&self->changed);
  g_mutex_unlock (&self->lock);
}

static void
check_convergence (GstInt8Calib *self)
{
  CalibConvergenceState state;

  calib_convergence_added (self->convergence, self->run.batch_size);
  if (!calib_convergence_is_due (self->convergence))
    return;
  calib_convergence_check (self->convergence);
  calib_convergence_state (self->convergence, &state);
  /* It is told after the convergence is gone. */
  state.tensor = g_intern_string (state.tensor);
  state.jackknife_tensor = g_intern_string (state.jackknife_tensor);
  state.clipping_tensor = g_intern_string (state.clipping_tensor);
  state.drift_tensor = g_intern_string (state.drift_tensor);
  g_mutex_lock (&self->lock);
  self->convergence_state = state;
  g_mutex_unlock (&self->lock);
  if (state.compared)
    gst_int8_calib_post_progress (self, GST_PROGRESS_TYPE_CONTINUE, -1);
  if (state.converged)
    stop_converged (self);
}

/* With auto-stop the next batch goes to other statistics: these must be complete. */
static gboolean
end_batch (GstInt8Calib *self, GError **error)
{
  if (!self->convergence || self->processed % self->run.batch_size != 0)
    return TRUE;
  if (!engine_calibrator_flush (self->calibrator, error))
    return FALSE;
  check_convergence (self);
  return TRUE;
}

/* The frame at the head of the ring, through the network. */
static gboolean
process_frame (GstInt8Calib *self, GError **error)
{
  begin_batch (self);
  memcpy (engine_calibrator_input (self->calibrator), self->slots[self->head], self->slot_size);
  g_mutex_lock (&self->lock);
  self->head = (self->head + 1) % GST_INT8_CALIB_SLOTS;
  self->filled--;
  g_cond_broadcast (&self->changed);
  g_mutex_unlock (&self->lock);

  if (!engine_calibrator_push (self->calibrator, error))
    return FALSE;
  self->processed++;
  if (!end_batch (self, error))
    return FALSE;
  post_frames_done (self);
  return !checkpoint_is_due (self) || (engine_calibrator_flush (self->calibrator, error) &&
                                          gst_int8_calib_save_statistics (self, error));
}

typedef enum { NEXT_FRAME, NEXT_FINISH, NEXT_STOP } Next;

static Next
wait_for_work (GstInt8Calib *self)
{
  const guint max = self->run.max_frames;
  Next next;

  g_mutex_lock (&self->lock);
  while (!self->stop && self->filled == 0 && !self->finish && !(max && self->processed >= max))
    g_cond_wait (&self->changed, &self->lock);
  next = self->stop ? NEXT_STOP : self->filled > 0 ? NEXT_FRAME : NEXT_FINISH;
  g_mutex_unlock (&self->lock);
  return next;
}

/* --- The thread ------------------------------------------------------------------------------ */

/* The element stops before the calibration is complete. */
static gboolean
checkpoint (GstInt8Calib *self, GError **error)
{
  g_autofree char *text = NULL;

  if (self->processed > 0 && (!engine_calibrator_flush (self->calibrator, error) ||
                                 !gst_int8_calib_save_statistics (self, error)))
    return FALSE;
  text = g_strdup_printf ("stopped after %" G_GUINT64_FORMAT " frames, no table was written; %s%s",
      self->processed,
      self->run.statistics ? "they are kept in "
                           : "they are lost (set \"statistics\" to keep them)",
      self->run.statistics ? self->run.statistics : "");
  GST_WARNING_OBJECT (self, "%s",
      text); /* an application that stops may not read the bus any more */
  gst_int8_progress_post (GST_ELEMENT (self), GST_PROGRESS_TYPE_CANCELED,
      &(GstInt8Progress){.code = "calibration", .text = text, .percent = -1});
  return TRUE;
}

/* There will be no more frames. */
static gboolean
finish (GstInt8Calib *self, GError **error)
{
  const guint max = self->run.max_frames;

  if (!engine_calibrator_flush (self->calibrator, error))
    return FALSE;
  g_mutex_lock (&self->lock);
  if (max && self->processed >= max && self->reason != GST_INT8_CALIB_CONVERGED)
    self->reason = GST_INT8_CALIB_BY_MAX_FRAMES;
  g_mutex_unlock (&self->lock);
  if (self->convergence) {
    gst_int8_calib_post_convergence (self);
    if (!calib_convergence_finish (self->convergence, error))
      return FALSE;
    g_clear_pointer (&self->convergence, calib_convergence_free);
  }
  if (!gst_int8_calib_complete (self, error))
    return FALSE;
  gst_int8_calib_post_progress (self, GST_PROGRESS_TYPE_COMPLETE, 100);
  return TRUE;
}

/* TRUE when the calibration is complete; FALSE without error when the element stopped. */
static gboolean
calibrate (GstInt8Calib *self, GError **error)
{
  if (!load_model (self, error))
    return FALSE;
  if (gst_int8_calib_table_is_there (&self->run))
    return gst_int8_calib_use_table (self, error);
  if (!wait_for_upstream (self) || !make_calibrator (self, error))
    return FALSE;

  set_phase (self, GST_INT8_CALIB_RUNNING);
  self->begun = self->told = g_get_monotonic_time ();
  gst_int8_calib_post_progress (self, GST_PROGRESS_TYPE_START, 0);
  for (;;) {
    switch (wait_for_work (self)) {
    case NEXT_FRAME:
      if (!process_frame (self, error))
        return FALSE;
      break;
    case NEXT_FINISH:
      return finish (self, error);
    case NEXT_STOP:
      checkpoint (self, error);
      return FALSE;
    }
  }
}

static gpointer
worker_thread (gpointer data)
{
  GstInt8Calib *self = data;
  g_autoptr (GError) error = NULL;
  const gboolean complete = calibrate (self, &error);

  if (error)
    gst_int8_config_post_error (GST_ELEMENT (self), error, NULL);
  /* Without an error the element stops, and takes no frames any more. */
  set_phase (self, complete ? GST_INT8_CALIB_DONE : GST_INT8_CALIB_FAILED);
  return NULL;
}

gboolean
gst_int8_calib_worker_start (GstInt8Calib *self)
{
  g_autoptr (GError) error = NULL;

  gst_int8_calib_settings_clear (&self->run);
  GST_OBJECT_LOCK (self);
  gst_int8_calib_settings_copy (&self->settings, &self->run);
  GST_OBJECT_UNLOCK (self);
  if (!gst_int8_calib_check_settings (&self->run, &error)) {
    gst_int8_config_post_error (GST_ELEMENT (self), error, NULL);
    return FALSE;
  }

  self->phase = GST_INT8_CALIB_LOADING;
  self->upstream_known = self->live = self->unlocked = self->finish = self->stop = FALSE;
  self->head = self->filled = 0;
  self->processed = 0;
  gst_int8_sampler_init (&self->sampler, &(GstInt8SamplerSettings){.interval = self->run.interval});
  self->convergence_state = (CalibConvergenceState){0};
  gst_int8_object_settings_filter (&self->run.objects, &self->filter);
  self->has_format = FALSE;
  self->worker = g_thread_new ("int8calib", worker_thread, self);
  return TRUE;
}

void
gst_int8_calib_worker_stop (GstInt8Calib *self)
{
  g_mutex_lock (&self->lock);
  self->stop = TRUE;
  g_cond_broadcast (&self->changed);
  g_mutex_unlock (&self->lock);
}

void
gst_int8_calib_worker_join (GstInt8Calib *self)
{
  if (!self->worker)
    return;
  g_thread_join (g_steal_pointer (&self->worker));
  g_clear_pointer (&self->calibrator, engine_calibrator_free);
  g_clear_pointer (&self->convergence, calib_convergence_free);
  gst_int8_region_filter_clear (&self->filter);
  g_clear_pointer (&self->statistics, calib_statistics_free);
  g_clear_pointer (&self->model, engine_model_unref);
  gst_int8_calib_device_free (self);
  g_clear_pointer (&self->preprocessor, engine_preprocessor_free);
  for (guint i = 0; i < GST_INT8_CALIB_SLOTS; i++) {
    if (self->slots[i])
      self->host->free (self->host, self->slots[i]);
    self->slots[i] = NULL;
  }
  if (self->queue)
    self->host->queue_free (self->queue);
  self->queue = NULL;
  g_clear_pointer (&self->source, g_free);
  g_clear_pointer (&self->precision, g_free);
  g_clear_pointer (&self->ranking, g_free);
  self->phase = GST_INT8_CALIB_IDLE;
}
