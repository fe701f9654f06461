/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gstint8infer-async.c: async=true, frames that do not wait for their results. A frame goes on as soon as it
 * comes, with the newest result there is. Where the ring has room it is looked at, too: the entry keeps the
 * buffer, and a copy of it that shares its memory goes on. A thread waits for the entries, in their order, and
 * computes where no device does; the task takes what it has done, at the latest with the next frame.
 */
#include "gst/gstint8infer-private.h"

#define GST_CAT_DEFAULT gst_int8_infer_debug

/* --- The thread ------------------------------------------------------------------------------ */

/* The oldest that is not done; NULL: there is none, or it is not to be waited for. lock held */
static GstInt8Entry *
next_locked (GstInt8Infer *self)
{
  if (self->async.held || self->async.failed || self->async.n_done == self->n_entries)
    return NULL;
  return self->entries[(self->first_entry + self->async.n_done) % self->window];
}

static gpointer
wait_for_entries (gpointer data)
{
  GstInt8Infer *self = data;
  GstInt8Async *async = &self->async;

  g_mutex_lock (&self->lock);
  while (!async->stopping) {
    GstInt8Entry *entry = next_locked (self);
    const gboolean urgent = async->urgent;
    GstInt8JobState state;

    if (!entry) {
      g_cond_wait (&self->changed, &self->lock);
      continue;
    }
    async->busy = TRUE;
    g_mutex_unlock (&self->lock);
    state = gst_int8_member_wait (self->member, &entry->job, urgent);
    g_mutex_lock (&self->lock);
    async->busy = FALSE;
    async->n_done += state == GST_INT8_JOB_DONE;
    async->failed = async->failed || state == GST_INT8_JOB_FAILED;
    g_cond_broadcast (&self->changed);
  }
  g_mutex_unlock (&self->lock);
  return NULL;
}

void
gst_int8_infer_async_start (GstInt8Infer *self)
{
  GstInt8Async *async = &self->async;
  gboolean wanted;

  GST_OBJECT_LOCK (self);
  wanted = self->wants_async;
  GST_OBJECT_UNLOCK (self);
  if (!wanted)
    return;
  g_mutex_lock (&self->lock);
  async->n_done = 0;
  async->busy = async->held = async->stopping = async->urgent = async->failed = FALSE;
  async->warned = FALSE;
  async->thread = g_thread_new ("int8infer-async", wait_for_entries, self);
  g_mutex_unlock (&self->lock);
}

static void
forget_newest (GstInt8Async *async)
{
  g_clear_pointer (&async->labels, gst_int8_labels_unref);
  g_clear_pointer (&async->output.values, g_free);
  async->n_classes = 0;
}

void
gst_int8_infer_async_stop (GstInt8Infer *self)
{
  GstInt8Async *async = &self->async;

  if (!async->thread)
    return;
  g_mutex_lock (&self->lock);
  async->stopping = TRUE;
  g_cond_broadcast (&self->changed);
  g_mutex_unlock (&self->lock);
  g_thread_join (async->thread);
  g_mutex_lock (&self->lock);
  async->thread = NULL;
  g_mutex_unlock (&self->lock);
  forget_newest (async);
  gst_int8_infer_entry_release (&async->passing);
  g_clear_pointer (&async->classes, g_free);
  async->max_classes = 0;
}

void
gst_int8_infer_async_hold (GstInt8Infer *self)
{
  GstInt8Async *async = &self->async;

  g_mutex_lock (&self->lock);
  if (async->thread) {
    async->held = TRUE;
    gst_int8_member_wake (self->member);
    while (async->busy)
      g_cond_wait (&self->changed, &self->lock);
  }
  g_mutex_unlock (&self->lock);
}

void
gst_int8_infer_async_resume (GstInt8Infer *self)
{
  GstInt8Async *async = &self->async;

  g_mutex_lock (&self->lock);
  if (async->thread) {
    async->n_done = 0;
    async->held = async->urgent = FALSE;
    forget_newest (async);
    g_cond_broadcast (&self->changed);
  }
  g_mutex_unlock (&self->lock);
}

/* --- Results, in the task -------------------------------------------------------------------- */

/* With its output, too, which is then not given to the entry's own frame: that has gone on. */
static void
keep_newest (GstInt8Async *async, GstInt8Entry *entry)
{
  GstInt8Picture *picture = &entry->pictures[0];

  forget_newest (async);
  if (picture->n_classes > async->max_classes) {
    async->max_classes = picture->n_classes;
    async->classes = g_renew (GstInt8Class, async->classes, async->max_classes);
  }
  for (guint i = 0; i < picture->n_classes; i++)
    async->classes[i] = picture->classes[i];
  async->n_classes = picture->n_classes;
  async->output = picture->output;
  picture->output.values = NULL;
  async->labels = gst_int8_labels_ref (entry->job.labels);
  async->model_name = entry->job.model_name;
  async->pts = GST_BUFFER_PTS (entry->buffer);
}

/* The oldest, which is done: it is posted, and what comes now is given it. */
static GstFlowReturn
take_result (GstInt8Infer *self)
{
  GstInt8Entry *entry = self->entries[self->first_entry];

  if (entry->job.error)
    return gst_int8_infer_fail (self, entry->job.error, GST_FLOW_ERROR);
  entry->options.metadata = GST_INT8_METADATA_MODE_NONE; /* the frame has gone on */
  if (entry->options.process_mode == GST_INT8_PROCESS_FRAME)
    keep_newest (&self->async, entry);
  gst_int8_infer_entry_results (self, entry);
  gst_int8_stats_add (&self->stats, entry->arrived, entry->job.begun, entry->job.finished,
      entry->job.n_pictures, entry->job.batch);
  gst_int8_infer_entry_clear (entry);
  gst_int8_job_clear (&entry->job);
  gst_clear_buffer (&entry->buffer);
  g_mutex_lock (&self->lock);
  self->first_entry = (self->first_entry + 1) % self->window;
  self->n_entries--;
  self->async.n_done--;
  g_mutex_unlock (&self->lock);
  return GST_FLOW_OK;
}

/* --- Frames, in the task --------------------------------------------------------------------- */

static void
give_output (const GstInt8Async *async, GstInt8Entry *passing)
{
  GstInt8Output output = async->output;

  if (!passing->options.output_tensors || !output.values)
    return;
  output.values = g_memdup2 (output.values, output.n * sizeof *output.values);
  gst_int8_infer_entry_give_output (passing, &output);
}

static void
give_newest (GstInt8Infer *self, GstInt8Entry *passing)
{
  GstInt8Async *async = &self->async;
  GstInt8Result result = {.classes = async->classes,
      .n_classes = async->n_classes,
      .labels = async->labels,
      .model_name = async->model_name,
      .older = TRUE,
      .of_pts = async->pts};

  gst_int8_infer_read_options (self, &passing->options);
  passing->options.post_messages = FALSE; /* once, when it came */
  passing->stream = gst_int8_stream_ref (self->stream);
  passing->format = self->stream->format;
  passing->job.format = &passing->format;
  passing->segment = self->stream->segment;
  if (passing->options.process_mode == GST_INT8_PROCESS_OBJECTS) {
    gst_int8_infer_entry_give_tracks (self, passing);
  } else if (async->labels) {
    gst_int8_infer_entry_give (self, passing, &result);
    give_output (async, passing);
  }
  gst_int8_infer_entry_clear (passing);
}

/* The entry is under way; what goes on in place of its buffer, which it keeps until it is done. */
static GstBuffer *
submit (GstInt8Infer *self, GstInt8Entry *entry)
{
  GstBuffer *copy = gst_buffer_copy (entry->buffer);

  /* A pool gets the buffer back when both are done with its memory. */
  gst_buffer_add_parent_buffer_meta (copy, entry->buffer);
  gst_int8_member_submit (self->member, &entry->job);
  g_mutex_lock (&self->lock);
  self->n_entries++;
  g_cond_broadcast (&self->changed);
  gst_int8_member_wake (self->member); /* perhaps there is a free device */
  g_mutex_unlock (&self->lock);
  return copy;
}

/* Looks at the frame where there is room. Returns what goes on, or NULL: an error was posted. */
static GstBuffer *
begin (GstInt8Infer *self, GstBuffer *buffer, gint64 arrived)
{
  GstInt8Entry *entry;
  GstBuffer *same;

  g_mutex_lock (&self->lock);
  gst_int8_infer_entries_grow (self);
  g_mutex_unlock (&self->lock);
  if (self->stream->has_format && self->n_entries == self->window) {
    self->stream->n_frames++;
    gst_int8_stats_pass (&self->stats);
    return buffer;
  }
  entry = gst_int8_infer_entry_begin (self, buffer, arrived);
  if (!entry)
    return NULL;
  if (entry->job.n_pictures > 0)
    return submit (self, entry);
  same = g_steal_pointer (&entry->buffer);
  if (!entry->counted)
    gst_int8_stats_pass (&self->stats);
  gst_int8_infer_entry_clear (entry);
  return same;
}

static GstFlowReturn
pass_frame (GstInt8Infer *self)
{
  GstInt8Entry *passing = &self->async.passing;
  GstBuffer *buffer;
  gint64 arrived;

  buffer = gst_int8_infer_take_buffer (self, &arrived);
  if (!buffer)
    return GST_FLOW_OK;
  passing->buffer = begin (self, buffer, arrived);
  if (!passing->buffer)
    return GST_FLOW_NOT_NEGOTIATED;
  give_newest (self, passing);
  return gst_pad_push (self->srcpad, g_steal_pointer (&passing->buffer));
}

/* --- What comes next, in the task ------------------------------------------------------------ */

/* Whether all that is under way comes before it. */
static gboolean
is_barrier (const GstInt8Item *item)
{
  if (item->pending)
    return GST_QUERY_TYPE (item->pending->query) == GST_QUERY_DRAIN;
  return item->object && GST_IS_EVENT (item->object) &&
         (GST_EVENT_TYPE (item->object) == GST_EVENT_EOS ||
             GST_EVENT_TYPE (item->object) == GST_EVENT_STREAM_START);
}

/* Until another is done. lock held */
static void
wait_for_one_locked (GstInt8Infer *self)
{
  GstInt8Async *async = &self->async;

  async->urgent = TRUE;
  gst_int8_member_wake (self->member);
  while (self->result == GST_FLOW_OK && async->n_done == 0 && !async->failed)
    g_cond_wait (&self->changed, &self->lock);
  async->urgent = FALSE;
}

GstFlowReturn
gst_int8_infer_async_advance_locked (GstInt8Infer *self)
{
  const GstInt8Item *head = gst_queue_array_peek_head_struct (self->items);
  const gboolean is_buffer = head && head->object && GST_IS_BUFFER (head->object);
  GstFlowReturn result = GST_FLOW_OK;

  if (self->async.failed) {
    self->error_posted = TRUE;
    return GST_FLOW_ERROR;
  }
  if (self->async.n_done > 0 || is_buffer) {
    const gboolean has_result = self->async.n_done > 0;

    g_mutex_unlock (&self->lock);
    result = has_result ? take_result (self) : pass_frame (self);
    g_mutex_lock (&self->lock);
    return result;
  }
  if (head && is_barrier (head) && self->n_entries > 0)
    wait_for_one_locked (self);
  else if (head)
    result = gst_int8_infer_pass_item_locked (self);
  return result;
}
