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
  gst_int8_infer_bundle_forget (&self->bundle);
}

/* --- Quality of service ---------------------------------------------------------------------- */

static gboolean
is_late (GstInt8Infer *self, GstBuffer *buffer, const GstSegment *segment)
{
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
    self->n_frames -= item->n_frames;
    gst_queue_array_pop_head_struct (self->items);
  }
  g_mutex_unlock (&self->lock);
  if (buffer) /* the lock is free for whoever is woken */
    g_cond_broadcast (&self->changed);
  return buffer;
}

/* Whether it is this frame's turn, and there is something to look at. */
static gboolean
is_wanted (GstInt8Infer *self, GstInt8Entry *entry)
{
  const gboolean passed = entry->stream->n_frames++ % ((guint64) entry->options.interval + 1) != 0;

  entry->counted = FALSE;
  if (passed || (GST_BUFFER_FLAG_IS_SET (entry->buffer, GST_BUFFER_FLAG_GAP) &&
                    gst_buffer_get_size (entry->buffer) == 0))
    return FALSE;
  if (!entry->stream->has_format) { /* in a bundle */
    gst_int8_stats_fail (&self->stats);
    entry->counted = TRUE;
  } else if (entry->options.qos) {
    entry->counted = is_late (self, entry->buffer, &entry->segment);
  }
  return !entry->counted;
}

GstInt8Entry *
gst_int8_infer_entry_new (GstInt8Infer *self)
{
  GstInt8Entry *entry = self->entries[(self->first_entry + self->n_entries) % self->window];

  entry->n_objects = entry->job.n_pictures = 0;
  return entry;
}

void
gst_int8_infer_entry_fill (GstInt8Infer *self, GstInt8Entry *entry, GstInt8Stream *stream,
    GstBuffer *buffer, gint64 arrived)
{
  GstInt8Job *job = &entry->job;

  entry->buffer = buffer;
  entry->stream = gst_int8_stream_ref (stream);
  entry->arrived = arrived;
  entry->format = stream->format;
  entry->segment = stream->segment;
  gst_int8_infer_read_options (self, &entry->options);
  job->format = &entry->format;
  job->top_k = entry->options.top_k;
  job->threshold = entry->options.threshold;
  job->softmax = entry->options.softmax;
  job->wants_output =
      entry->options.output_tensors && entry->options.process_mode == GST_INT8_PROCESS_FRAME;
  job->timeout = (gint64) (entry->options.batch_timeout / 1000);
  if (is_wanted (self, entry))
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
  g_autoptr (GError) error = NULL;

  if (self->stream->has_format) {
    GstInt8Entry *entry = gst_int8_infer_entry_new (self);

    gst_int8_infer_entry_fill (self, entry, self->stream, buffer, arrived);
    return entry;
  }
  gst_buffer_unref (buffer);
  error = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, GST_INT8_FRAME_NO_CAPS);
  gst_int8_infer_fail (self, error, GST_FLOW_NOT_NEGOTIATED);
  return NULL;
}

/* The next frame that there is becomes an entry; NULL where there is none, or for an error. */
static GstInt8Entry *
begin_next (GstInt8Infer *self, GstFlowReturn *result)
{
  GstInt8Entry *entry = NULL;
  GstBuffer *buffer;
  gint64 arrived;

  if (!self->bundle.walk.buffer) {
    buffer = gst_int8_infer_take_buffer (self, &arrived);
    if (!buffer)
      return NULL;
    if (!self->in_bundles) {
      entry = gst_int8_infer_entry_begin (self, buffer, arrived);
      *result = entry ? GST_FLOW_OK : GST_FLOW_NOT_NEGOTIATED;
      return entry;
    }
    if (!gst_int8_infer_bundle_open (self, buffer, arrived)) {
      *result = GST_FLOW_ERROR;
      return NULL;
    }
  }
  return gst_int8_infer_bundle_begin (self);
}

GstFlowReturn
gst_int8_infer_entries_begin (GstInt8Infer *self)
{
  GstFlowReturn result = GST_FLOW_OK;
  GstInt8Entry *entry;

  gst_int8_infer_entries_grow (self);
  while (self->n_entries < self->window && (entry = begin_next (self, &result))) {
    gst_int8_member_submit (self->member, &entry->job);
    self->n_entries++;
  }
  return result;
}

/* --- Ending ---------------------------------------------------------------------------------- */

static void
count (GstInt8Infer *self, const GstInt8Entry *entry)
{
  if (entry->job.error)
    gst_int8_stats_fail (&self->stats);
  else if (entry->job.n_pictures > 0)
    gst_int8_stats_add (&self->stats, entry->arrived, entry->job.begun, entry->job.finished,
        entry->job.n_pictures, entry->job.batch);
  else if (entry->buffer && !entry->counted)
    gst_int8_stats_pass (&self->stats);
}

/* The oldest leaves the ring. Returns what leaves the element with it, or NULL. */
static GstBuffer *
take_oldest (GstInt8Infer *self)
{
  GstInt8Entry *entry = self->entries[self->first_entry];

  gst_int8_infer_entry_clear (entry);
  gst_int8_job_clear (&entry->job);
  self->first_entry = (self->first_entry + 1) % self->window;
  self->n_entries--;
  if (entry->place)
    gst_int8_bundle_put_back (g_steal_pointer (&entry->place), g_steal_pointer (&entry->buffer));
  return entry->buffer ? g_steal_pointer (&entry->buffer) : g_steal_pointer (&entry->bundle);
}

/* The oldest is done. */
static GstFlowReturn
finish (GstInt8Infer *self, GstInt8Entry *entry)
{
  GstBuffer *buffer;

  if (!entry->job.error)
    gst_int8_infer_entry_results (self, entry);
  else if (!gst_int8_infer_bundle_excuses (self, entry))
    return gst_int8_infer_fail (self, entry->job.error, GST_FLOW_ERROR);
  count (self, entry);
  buffer = take_oldest (self);
  return buffer ? gst_pad_push (self->srcpad, buffer) : GST_FLOW_OK;
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
    /* Of some the result is lost that they wait for. */
    gst_int8_tracks_clear (self->stream->tracks);
    gst_int8_infer_bundle_clear_tracks (&self->bundle);
  }
  while (self->n_entries > 0) {
    GstBuffer *buffer = take_oldest (self);

    gst_clear_buffer (&buffer);
  }
  gst_clear_buffer (&self->bundle.walk.buffer);
  gst_int8_infer_async_resume (self);
}
