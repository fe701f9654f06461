/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gstint8infer-batch.c: frames through the network. While a device works on one batch the next is made
 * ready and queued behind it: two batches are under way where the back end has a device, one where
 * it computes on the task's own thread. They end in the order in which they began.
 */
#include "gst/gstint8infer-private.h"

#define GST_CAT_DEFAULT gst_int8_infer_debug

void
gst_int8_infer_batches_new (GstInt8Infer *self, guint batch_size)
{
  for (guint i = 0; i < self->n_batches; i++) {
    GstInt8Batch *batch = &self->batches[i];

    batch->buffers = g_new0 (GstBuffer *, batch_size);
    batch->timely = g_new0 (GstBuffer *, batch_size);
    batch->arrived = g_new0 (gint64, batch_size);
  }
}

void
gst_int8_infer_batches_free (GstInt8Infer *self)
{
  for (guint i = 0; i < GST_INT8_INFER_BATCHES; i++) {
    GstInt8Batch *batch = &self->batches[i];

    g_clear_pointer (&batch->buffers, g_free);
    g_clear_pointer (&batch->timely, g_free);
    g_clear_pointer (&batch->arrived, g_free);
  }
}

/* --- Results --------------------------------------------------------------------------------- */

static GstInt8Metadata
metadata_kinds (GstInt8MetadataMode mode)
{
  switch (mode) {
  case GST_INT8_METADATA_MODE_ROI:
    return GST_INT8_METADATA_ROI;
  case GST_INT8_METADATA_MODE_CUSTOM:
    return GST_INT8_METADATA_CUSTOM;
  case GST_INT8_METADATA_MODE_AUTO:
  case GST_INT8_METADATA_MODE_BOTH:
    return GST_INT8_METADATA_ROI | GST_INT8_METADATA_CUSTOM;
  case GST_INT8_METADATA_MODE_NONE:
    break;
  }
  return GST_INT8_METADATA_NONE;
}

/* Puts the result of frame `at` of a run onto its buffer, which it returns writable. */
static GstBuffer *
attach_result (GstInt8Infer *self, GstInt8Runner *runner, const GstInt8InferOptions *options,
    guint at, GstBuffer *buffer)
{
  const GstInt8Metadata kinds = metadata_kinds (options->metadata);
  GstInt8Result result = {.labels = self->network->labels,
      .model_name = self->network->model_name,
      .attribute_name = options->attribute_name,
      .width = (guint) GST_VIDEO_INFO_WIDTH (&self->format.info),
      .height = (guint) GST_VIDEO_INFO_HEIGHT (&self->format.info)};

  result.n_classes = gst_int8_runner_classify (runner, at, options->top_k, options->threshold,
      options->softmax, &result.classes);
  if (result.n_classes == 0)
    return buffer; /* all below the threshold */
  if (kinds) {
    buffer = gst_buffer_make_writable (buffer);
    gst_int8_meta_attach (buffer, &result, kinds);
  }
  if (options->post_messages)
    gst_element_post_message (GST_ELEMENT (self),
        gst_int8_result_message (GST_OBJECT (self), &result, buffer, &self->segment));
  return buffer;
}

/* --- Quality of service ---------------------------------------------------------------------- */

static gboolean
is_late (GstInt8Infer *self, GstBuffer *buffer)
{
  guint64 running, stream;
  GstClockTime earliest;
  GstMessage *message;

  g_mutex_lock (&self->lock);
  earliest = self->earliest;
  g_mutex_unlock (&self->lock);
  if (!GST_CLOCK_TIME_IS_VALID (earliest) || self->segment.format != GST_FORMAT_TIME ||
      !GST_BUFFER_PTS_IS_VALID (buffer))
    return FALSE;
  running = gst_segment_to_running_time (&self->segment, GST_FORMAT_TIME, GST_BUFFER_PTS (buffer));
  if (!GST_CLOCK_TIME_IS_VALID (running) || running >= earliest)
    return FALSE;

  gst_int8_stats_drop (&self->stats);
  stream = gst_segment_to_stream_time (&self->segment, GST_FORMAT_TIME, GST_BUFFER_PTS (buffer));
  message = gst_message_new_qos (GST_OBJECT (self), FALSE, running, stream, GST_BUFFER_PTS (buffer),
      GST_BUFFER_DURATION (buffer));
  gst_element_post_message (GST_ELEMENT (self), message);
  return TRUE;
}

static void
pick_timely (GstInt8Infer *self, GstInt8Batch *batch)
{
  batch->n_timely = 0;
  for (guint i = 0; i < batch->n; i++)
    if (!batch->options.qos || !is_late (self, batch->buffers[i]))
      batch->timely[batch->n_timely++] = batch->buffers[i];
}

/* --- Batches --------------------------------------------------------------------------------- */

static GstInt8InferOptions
get_options (GstInt8Infer *self)
{
  GstInt8InferOptions options;

  GST_OBJECT_LOCK (self);
  options = self->options;
  GST_OBJECT_UNLOCK (self);
  return options;
}

/* Takes the buffers at the head of the queue; lock held. */
static void
take_buffers_locked (GstInt8Infer *self, GstInt8Batch *batch)
{
  batch->n = 0;
  while (batch->n < self->batch_size && !gst_queue_array_is_empty (self->items)) {
    GstInt8Item *item = gst_queue_array_peek_head_struct (self->items);

    if (!item->object || !GST_IS_BUFFER (item->object))
      break;
    batch->buffers[batch->n] = GST_BUFFER (item->object);
    batch->arrived[batch->n] = item->arrived;
    gst_queue_array_pop_head_struct (self->items);
    batch->n++;
  }
  self->n_buffers -= batch->n;
  g_cond_broadcast (&self->changed);
}

static void
drop_buffers (GstInt8Batch *batch)
{
  while (batch->n > 0)
    gst_clear_buffer (&batch->buffers[--batch->n]);
  batch->n_timely = 0;
}

/* While a device works on them. */
static void
show_to_guard (GstInt8Infer *self, const GstInt8Batch *batch)
{
  for (guint i = 0; self->network->guard && i < batch->n_timely; i++)
    gst_int8_guard_frame (self->network->guard, &self->format, batch->timely[i]);
}

GstFlowReturn
gst_int8_infer_batch_start (GstInt8Infer *self)
{
  const guint at = (self->first_batch + self->n_running) % self->n_batches;
  GstInt8Batch *batch = &self->batches[at];
  GstFlowReturn result = GST_FLOW_OK;
  g_autoptr (GError) error = NULL;

  g_mutex_lock (&self->lock);
  take_buffers_locked (self, batch);
  g_mutex_unlock (&self->lock);
  if (batch->n == 0)
    return GST_FLOW_OK; /* the sink pad was deactivated just now */

  batch->runner = self->network->runners[at];
  batch->options = get_options (self);
  batch->begun = g_get_monotonic_time ();
  pick_timely (self, batch);
  if (!self->has_format) {
    g_set_error_literal (&error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, GST_INT8_FRAME_NO_CAPS);
    result = gst_int8_infer_fail (self, error, GST_FLOW_NOT_NEGOTIATED);
  } else if (batch->n_timely > 0 && !gst_int8_runner_start (batch->runner, &self->format,
                                        batch->timely, batch->n_timely, &error)) {
    result = gst_int8_infer_fail (self, error, GST_FLOW_ERROR);
  }
  if (result != GST_FLOW_OK) {
    drop_buffers (batch);
    return result;
  }
  self->n_running++;
  show_to_guard (self, batch);
  return GST_FLOW_OK;
}

/* The oldest, which is under way no longer. */
static GstInt8Batch *
take_oldest (GstInt8Infer *self)
{
  GstInt8Batch *batch = &self->batches[self->first_batch];

  self->first_batch = (self->first_batch + 1) % self->n_batches;
  self->n_running--;
  return batch;
}

/* Waits for the results and puts them onto their buffers. */
static gboolean
finish (GstInt8Infer *self, GstInt8Batch *batch)
{
  g_autoptr (GError) error = NULL;
  gint64 finished;
  guint at = 0;

  if (batch->n_timely == 0)
    return TRUE;
  if (!gst_int8_runner_wait (batch->runner, &error)) {
    gst_int8_infer_fail (self, error, GST_FLOW_ERROR);
    return FALSE;
  }
  finished = g_get_monotonic_time ();
  for (guint i = 0; i < batch->n && at < batch->n_timely; i++)
    if (batch->timely[at] == batch->buffers[i]) {
      batch->buffers[i] =
          attach_result (self, batch->runner, &batch->options, at++, batch->buffers[i]);
      gst_int8_stats_add (&self->stats, batch->arrived[i], batch->begun, finished);
    }
  return TRUE;
}

GstFlowReturn
gst_int8_infer_batch_finish (GstInt8Infer *self)
{
  GstInt8Batch *batch = take_oldest (self);
  GstFlowReturn result = finish (self, batch) ? GST_FLOW_OK : GST_FLOW_ERROR;

  for (guint i = 0; result == GST_FLOW_OK && i < batch->n; i++)
    result = gst_pad_push (self->srcpad, g_steal_pointer (&batch->buffers[i]));
  drop_buffers (batch);
  return result;
}

void
gst_int8_infer_batches_drop (GstInt8Infer *self)
{
  while (self->n_running > 0) {
    GstInt8Batch *batch = take_oldest (self);

    /* Its results are not wanted any more; what failed for good fails the next batch too. */
    if (batch->n_timely > 0)
      gst_int8_runner_wait (batch->runner, NULL);
    drop_buffers (batch);
  }
}
