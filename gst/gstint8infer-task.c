/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gstint8infer-task.c: the task of the source pad. It takes what is queued, in order: buffers go through
 * the network and leave with their metadata; events and queries are passed on once the buffers before
 * them have left.
 */
#include "gst/gstint8infer-private.h"

#define GST_CAT_DEFAULT gst_int8_infer_debug

void
gst_int8_infer_reset_task (GstInt8Infer *self)
{
  gst_int8_stream_reset (self->stream);
  gst_int8_infer_bundle_forget (&self->bundle);
  self->in_bundles = FALSE;
  self->objects_changed = TRUE;
  self->earliest = GST_CLOCK_TIME_NONE;
  self->frame_duration = GST_CLOCK_TIME_NONE;
}

GstFlowReturn
gst_int8_infer_fail (GstInt8Infer *self, const GError *error, GstFlowReturn result)
{
  g_mutex_lock (&self->lock);
  self->error_posted = TRUE;
  g_mutex_unlock (&self->lock);
  gst_int8_config_post_error (GST_ELEMENT (self), error, NULL);
  return result;
}

/* --- Events and queries ---------------------------------------------------------------------- */

static gboolean
take_caps (GstInt8Infer *self, GstEvent *event, GError **error)
{
  GstCaps *caps;

  gst_event_parse_caps (event, &caps);
  self->in_bundles = gst_int8_caps_are_bundle (caps);
  if (!self->in_bundles)
    return gst_int8_stream_take_event (self->stream, event, error);
  if (!self->async.thread)
    return TRUE;
  g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
      "async=true takes no multistream/x-analytics-batch: set async=false, or put an int8infer in front of each "
      "pad of analyticscombiner, with one instance-id");
  return FALSE;
}

gboolean
gst_int8_infer_take_event (GstInt8Infer *self, GstEvent *event, GError **error)
{
  if (GST_EVENT_TYPE (event) == GST_EVENT_CAPS)
    return take_caps (self, event, error);
  if (GST_EVENT_TYPE (event) == GST_EVENT_STREAM_START)
    gst_int8_infer_bundle_forget (&self->bundle);
  return gst_int8_stream_take_event (self->stream, event, error);
}

static GstFlowReturn
push_event (GstInt8Infer *self, GstEvent *event)
{
  g_autoptr (GError) error = NULL;

  if (!gst_int8_infer_take_event (self, event, &error)) {
    gst_event_unref (event);
    return gst_int8_infer_fail (self, error, GST_FLOW_NOT_NEGOTIATED);
  }
  /* A refused event shows when the next buffer is pushed. */
  gst_pad_push_event (self->srcpad, event);
  return GST_FLOW_OK;
}

/* Upstream's pool must not run dry while we hold its buffers. */
static void
answer_allocation (GstInt8Infer *self, GstQuery *query, guint held)
{
  const guint n = gst_query_get_n_allocation_pools (query);

  for (guint i = 0; i < n; i++) {
    GstBufferPool *pool;
    guint size, min, max;

    gst_query_parse_nth_allocation_pool (query, i, &pool, &size, &min, &max);
    gst_query_set_nth_allocation_pool (query, i, pool, size, min + held, max ? max + held : 0);
    gst_clear_object (&pool);
  }
  if (n == 0) {
    GstVideoInfo info;
    GstCaps *caps;

    gst_query_parse_allocation (query, &caps, NULL);
    if (caps && gst_video_info_from_caps (&info, caps))
      gst_query_add_allocation_pool (query, NULL, (guint) GST_VIDEO_INFO_SIZE (&info), held, 0);
  }
}

static gboolean
pass_query (GstInt8Infer *self, GstQuery *query)
{
  gboolean answered = gst_pad_peer_query (self->srcpad, query);

  if (GST_QUERY_TYPE (query) == GST_QUERY_ALLOCATION) {
    guint held;

    g_mutex_lock (&self->lock);
    held = self->capacity + self->window;
    g_mutex_unlock (&self->lock);
    answer_allocation (self, query, held);
    answered = TRUE;
  }
  return answered;
}

/* --- Task ------------------------------------------------------------------------------------ */

/* Waits until there is something to do; a frame under way is. Returns FALSE when the task is to stop.
 * lock held. */
static gboolean
wait_locked (GstInt8Infer *self)
{
  while (self->result == GST_FLOW_OK && gst_queue_array_is_empty (self->items) &&
         !self->bundle.walk.buffer &&
         (self->async.thread ? self->async.n_done == 0 && !self->async.failed
                             : self->n_entries == 0))
    g_cond_wait (&self->changed, &self->lock);
  return self->result == GST_FLOW_OK;
}

/* lock held, and given back */
static void
stop_and_unlock (GstInt8Infer *self)
{
  const GstFlowReturn result = self->result;
  const gboolean fatal = result == GST_FLOW_NOT_LINKED || result < GST_FLOW_EOS;
  /* Upstream posts the error that it gets with its next buffer; after EOS it sends none. */
  const gboolean post = fatal && self->eos && !self->error_posted;
  const gboolean end = fatal && (self->eos || self->error_posted);

  GST_DEBUG_OBJECT (self, "the task pauses: %s", gst_flow_get_name (result));
  gst_pad_pause_task (self->srcpad);
  /* Not linked may become linked: what is queued is kept. */
  if (result == GST_FLOW_NOT_LINKED)
    gst_int8_infer_release_queries_locked (self);
  else
    gst_int8_infer_flush_locked (self);
  self->error_posted = self->error_posted || post;
  g_mutex_unlock (&self->lock);

  gst_int8_infer_entries_drop (self);
  if (post)
    GST_ELEMENT_FLOW_ERROR (self, result);
  if (end)
    gst_pad_push_event (self->srcpad, gst_event_new_eos ());
}

/* The event or query at the head. lock held, given back in between */
GstFlowReturn
gst_int8_infer_pass_item_locked (GstInt8Infer *self)
{
  const GstInt8Item item = *(GstInt8Item *) gst_queue_array_pop_head_struct (self->items);
  GstFlowReturn result = GST_FLOW_OK;
  gboolean answered;

  g_mutex_unlock (&self->lock);
  if (item.object)
    result = push_event (self, GST_EVENT (item.object));
  answered = item.pending && pass_query (self, item.pending->query);
  g_mutex_lock (&self->lock);
  if (item.pending) {
    item.pending->result = answered;
    item.pending->done = TRUE;
    g_cond_broadcast (&self->changed);
  }
  return result;
}

/* Whether frames come next, in a bundle that was begun or in the queue. lock held */
static gboolean
has_frames_locked (GstInt8Infer *self)
{
  const GstInt8Item *head = gst_queue_array_peek_head_struct (self->items);

  return self->bundle.walk.buffer || (head && head->object && GST_IS_BUFFER (head->object));
}

/* Begins with frames where more may be under way, then ends the oldest. lock held, given back in between */
static GstFlowReturn
advance_locked (GstInt8Infer *self)
{
  const gboolean has_frames = has_frames_locked (self);
  GstFlowReturn result = GST_FLOW_OK;
  gboolean urgent;

  if (!has_frames && self->n_entries == 0)
    return gst_int8_infer_pass_item_locked (self);
  if (has_frames) {
    g_mutex_unlock (&self->lock);
    result = gst_int8_infer_entries_begin (self);
    g_mutex_lock (&self->lock);
  }
  urgent = !gst_queue_array_is_empty (self->items) && !has_frames_locked (self);
  g_mutex_unlock (&self->lock);
  if (result == GST_FLOW_OK && self->n_entries > 0)
    result = gst_int8_infer_entries_advance (self, urgent);
  g_mutex_lock (&self->lock);
  return result;
}

void
gst_int8_infer_loop (gpointer data)
{
  GstInt8Infer *self = data;
  GstFlowReturn result;

  g_mutex_lock (&self->lock);
  if (!wait_locked (self)) {
    stop_and_unlock (self);
    return;
  }
  result = self->async.thread ? gst_int8_infer_async_advance_locked (self) : advance_locked (self);
  if (result == GST_FLOW_EOS) { /* nor does downstream want what is under way */
    g_mutex_unlock (&self->lock);
    gst_int8_infer_entries_drop (self);
    g_mutex_lock (&self->lock);
  }
  /* A flush in the meantime goes first. */
  if (self->result == GST_FLOW_OK && result == GST_FLOW_EOS) {
    gst_int8_infer_end_locked (self);
  } else if (self->result == GST_FLOW_OK && result != GST_FLOW_OK) {
    self->result = result;
    g_cond_broadcast (&self->changed);
  }
  g_mutex_unlock (&self->lock);
}
