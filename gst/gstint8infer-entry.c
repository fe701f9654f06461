/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gstint8infer-entry.c: frames on their way through the network. Each is an entry of a ring from when the
 * task takes it off the queue until it is pushed, in its turn. As many as fill every batch that may be
 * under way can be, so that a device always has the next one behind the one that it works on.
 */
#include "gst/gstint8infer-private.h"

#define GST_CAT_DEFAULT gst_int8_infer_debug

/* Room for so many entries; those under way stay where they are. */
static void
set_window (GstInt8Infer *self, guint window)
{
  GstInt8Entry **entries = g_new0 (GstInt8Entry *, window);

  for (guint i = 0; i < window; i++)
    entries[i] = i < self->window ? self->entries[(self->first_entry + i) % self->window]
                                  : g_new0 (GstInt8Entry, 1);
  g_free (self->entries);
  self->entries = entries;
  self->window = window;
  self->first_entry = 0;
}

/* It grows when somebody comes who says what the network is. */
static guint
wanted_window (GstInt8Infer *self)
{
  return gst_int8_member_batch_size (self->member) * gst_int8_member_lanes (self->member);
}

void
gst_int8_infer_entries_new (GstInt8Infer *self)
{
  self->capacity = gst_int8_member_batch_size (self->member) + 1;
  self->n_entries = 0;
  set_window (self, wanted_window (self));
}

void
gst_int8_infer_entry_release (GstInt8Entry *entry)
{
  gst_int8_job_clear (&entry->job);
  g_clear_pointer (&entry->objects, g_free);
  g_clear_pointer (&entry->pictures, g_free);
  g_clear_pointer (&entry->classes, g_free);
  entry->max_objects = entry->max_pictures = entry->max_classes = 0;
}

void
gst_int8_infer_entries_free (GstInt8Infer *self)
{
  for (guint i = 0; i < self->window; i++) {
    GstInt8Entry *entry = self->entries[i];

    gst_int8_infer_entry_release (entry);
    g_free (entry);
  }
  g_clear_pointer (&self->entries, g_free);
  self->window = 0;
  gst_int8_region_filter_clear (&self->filter);
  gst_int8_tracks_clear (self->stream->tracks);
}

/* --- Quality of service ---------------------------------------------------------------------- */

static gboolean
is_late (GstInt8Infer *self, GstBuffer *buffer)
{
  const GstSegment *segment = &self->stream->segment;
  guint64 running, stream;
  GstClockTime earliest;
  GstMessage *message;

  g_mutex_lock (&self->lock);
  earliest = self->earliest;
  g_mutex_unlock (&self->lock);
  if (!GST_CLOCK_TIME_IS_VALID (earliest) || segment->format != GST_FORMAT_TIME ||
      !GST_BUFFER_PTS_IS_VALID (buffer))
    return FALSE;
  running = gst_segment_to_running_time (segment, GST_FORMAT_TIME, GST_BUFFER_PTS (buffer));
  if (!GST_CLOCK_TIME_IS_VALID (running) || running >= earliest)
    return FALSE;

  gst_int8_stats_drop (&self->stats);
  stream = gst_segment_to_stream_time (segment, GST_FORMAT_TIME, GST_BUFFER_PTS (buffer));
  message = gst_message_new_qos (GST_OBJECT (self), FALSE, running, stream, GST_BUFFER_PTS (buffer),
      GST_BUFFER_DURATION (buffer));
  gst_element_post_message (GST_ELEMENT (self), message);
  return TRUE;
}

/* --- Beginning ------------------------------------------------------------------------------- */

/* Options as they are now, and what they say of objects. */
void
gst_int8_infer_read_options (GstInt8Infer *self, GstInt8InferOptions *options)
{
  GST_OBJECT_LOCK (self);
  *options = self->options;
  options->process_mode = self->objects.mode;
  options->tracks = self->objects.tracks;
  if (self->objects_changed) {
    gst_int8_region_filter_clear (&self->filter);
    gst_int8_object_settings_filter (&self->objects, &self->filter);
    self->objects_changed = FALSE;
  }
  GST_OBJECT_UNLOCK (self);
}

GstBuffer *
gst_int8_infer_take_buffer (GstInt8Infer *self, gint64 *arrived)
{
  GstBuffer *buffer = NULL;
  GstInt8Item *item;

  g_mutex_lock (&self->lock);
  item = gst_queue_array_peek_head_struct (self->items);
  if (self->result == GST_FLOW_OK && item && item->object && GST_IS_BUFFER (item->object)) {
    buffer = GST_BUFFER (item->object);
    *arrived = item->arrived;
    gst_queue_array_pop_head_struct (self->items);
    self->n_buffers--;
    g_cond_broadcast (&self->changed);
  }
  g_mutex_unlock (&self->lock);
  return buffer;
}

/* All but telling the network. */
static void
begin (GstInt8Infer *self, GstInt8Entry *entry, GstBuffer *buffer, gint64 arrived)
{
  GstInt8Job *job = &entry->job;
  gboolean passed;

  entry->buffer = buffer;
  entry->arrived = arrived;
  entry->format = self->stream->format;
  entry->segment = self->stream->segment;
  gst_int8_infer_read_options (self, &entry->options);
  passed = self->stream->n_frames++ % ((guint64) entry->options.interval + 1) != 0;
  entry->late = !passed && entry->options.qos && is_late (self, buffer);
  job->format = &entry->format;
  job->top_k = entry->options.top_k;
  job->threshold = entry->options.threshold;
  job->softmax = entry->options.softmax;
  job->wants_output =
      entry->options.output_tensors && entry->options.process_mode == GST_INT8_PROCESS_FRAME;
  job->timeout = (gint64) (entry->options.batch_timeout / 1000);
  job->n_pictures = 0;
  entry->n_objects = 0;
  if (!passed && !entry->late)
    gst_int8_infer_entry_pictures (self, entry);
  job->buffer = entry->buffer;
  job->pictures = entry->pictures;
}

void
gst_int8_infer_entries_grow (GstInt8Infer *self)
{
  const guint window = wanted_window (self);

  if (window > self->window)
    set_window (self, window);
}

GstInt8Entry *
gst_int8_infer_entry_begin (GstInt8Infer *self, GstBuffer *buffer, gint64 arrived)
{
  GstInt8Entry *entry = self->entries[(self->first_entry + self->n_entries) % self->window];
  g_autoptr (GError) error = NULL;

  if (self->stream->has_format) {
    begin (self, entry, buffer, arrived);
    return entry;
  }
  gst_buffer_unref (buffer);
  error = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, GST_INT8_FRAME_NO_CAPS);
  gst_int8_infer_fail (self, error, GST_FLOW_NOT_NEGOTIATED);
  return NULL;
}

GstFlowReturn
gst_int8_infer_entries_begin (GstInt8Infer *self)
{
  GstInt8Entry *entry;
  GstBuffer *buffer;
  gint64 arrived;

  gst_int8_infer_entries_grow (self);
  while (self->n_entries < self->window &&
         (buffer = gst_int8_infer_take_buffer (self, &arrived))) {
    entry = gst_int8_infer_entry_begin (self, buffer, arrived);
    if (!entry)
      return GST_FLOW_NOT_NEGOTIATED;
    gst_int8_member_submit (self->member, &entry->job);
    self->n_entries++;
  }
  return GST_FLOW_OK;
}

/* --- Ending ---------------------------------------------------------------------------------- */

/* The oldest is done. */
static GstFlowReturn
finish (GstInt8Infer *self, GstInt8Entry *entry)
{
  if (entry->job.error)
    return gst_int8_infer_fail (self, entry->job.error, GST_FLOW_ERROR);
  gst_int8_infer_entry_results (self, entry);
  if (entry->job.n_pictures > 0)
    gst_int8_stats_add (&self->stats, entry->arrived, entry->job.begun, entry->job.finished,
        entry->job.n_pictures, entry->job.batch);
  else if (!entry->late)
    gst_int8_stats_pass (&self->stats);
  gst_int8_infer_entry_clear (entry);
  gst_int8_job_clear (&entry->job);
  self->first_entry = (self->first_entry + 1) % self->window;
  self->n_entries--;
  return gst_pad_push (self->srcpad, g_steal_pointer (&entry->buffer));
}

GstFlowReturn
gst_int8_infer_entries_advance (GstInt8Infer *self, gboolean urgent)
{
  GstInt8Entry *entry = self->entries[self->first_entry];

  switch (gst_int8_member_wait (self->member, &entry->job, urgent)) {
  case GST_INT8_JOB_DONE:
    return finish (self, entry);
  case GST_INT8_JOB_FAILED:
    g_mutex_lock (&self->lock);
    self->error_posted = TRUE;
    g_mutex_unlock (&self->lock);
    return GST_FLOW_ERROR;
  case GST_INT8_JOB_WOKEN:
    break;
  }
  return GST_FLOW_OK;
}

void
gst_int8_infer_entries_drop (GstInt8Infer *self)
{
  gst_int8_infer_async_hold (self);
  if (self->n_entries > 0) {
    gst_int8_member_cancel (self->member);
    gst_int8_tracks_clear (self->stream->tracks); /* of some the result is lost that they wait for */
  }
  while (self->n_entries > 0) {
    GstInt8Entry *entry = self->entries[self->first_entry];

    gst_clear_buffer (&entry->buffer);
    gst_int8_infer_entry_clear (entry);
    gst_int8_job_clear (&entry->job);
    self->first_entry = (self->first_entry + 1) % self->window;
    self->n_entries--;
  }
  gst_int8_infer_async_resume (self);
}
