/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gstint8infer-stream.c: the pads.
 *
 * Buffers, serialised events and serialised queries go through the queue in their order; everything
 * else passes at once. `result` is what the source pad last returned: upstream learns it with its
 * next buffer. A thread that sends a serialised query waits until the task has handled it or the
 * queue was flushed; it never leaves earlier, since the task may still hold the query.
 */
#include "gst/gstint8infer-private.h"

#define GST_CAT_DEFAULT gst_int8_infer_debug

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE ("sink", GST_PAD_SINK,
    GST_PAD_ALWAYS, GST_STATIC_CAPS (GST_INT8_FRAME_CAPS GST_INT8_BUNDLE_CAPS));
static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE ("src", GST_PAD_SRC,
    GST_PAD_ALWAYS, GST_STATIC_CAPS (GST_INT8_FRAME_CAPS GST_INT8_BUNDLE_CAPS));

/* A pad begins to pass data, or it ends and nobody waits any more. */
static void
set_flowing (GstInt8Infer *self, gboolean flowing)
{
  g_mutex_lock (&self->lock);
  self->result = flowing ? GST_FLOW_OK : GST_FLOW_FLUSHING;
  self->eos = self->done = FALSE;
  gst_int8_infer_tell_locked (self);
  g_mutex_unlock (&self->lock);
}

static void
empty_queue (GstInt8Infer *self)
{
  g_mutex_lock (&self->lock);
  gst_int8_infer_flush_locked (self);
  g_mutex_unlock (&self->lock);
}

static void
start_task (GstInt8Infer *self)
{
  gst_pad_start_task (self->srcpad, gst_int8_infer_loop, self, NULL);
}

/* Data may flow again: after a flush, or when the source pad has been linked. */
static void
restart_locked (GstInt8Infer *self)
{
  self->result = GST_FLOW_OK;
  self->eos = self->done = FALSE;
  if (GST_PAD_MODE (self->srcpad) == GST_PAD_MODE_PUSH)
    start_task (self);
}

/* --- Sink pad -------------------------------------------------------------------------------- */

static GstFlowReturn
chain (GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
  GstInt8Infer *self = GST_INT8_INFER (parent);
  GstFlowReturn result;

  g_mutex_lock (&self->lock);
  while (self->result == GST_FLOW_OK && !self->done && self->n_frames >= self->capacity)
    g_cond_wait (&self->changed, &self->lock);
  result = self->result == GST_FLOW_OK && self->done ? GST_FLOW_EOS : self->result;
  if (result == GST_FLOW_OK) {
    gst_int8_infer_push_locked (self, GST_MINI_OBJECT (buffer), NULL);
    buffer = NULL;
  }
  g_mutex_unlock (&self->lock);
  gst_clear_buffer (&buffer);
  return result;
}

static GstFlowReturn
flush_start (GstInt8Infer *self, GstEvent *event)
{
  gst_pad_push_event (self->srcpad, event);
  g_mutex_lock (&self->lock);
  self->result = GST_FLOW_FLUSHING;
  gst_int8_infer_tell_locked (self);
  g_mutex_unlock (&self->lock);
  /* Waits for the task: what it was working on is refused downstream. */
  gst_pad_pause_task (self->srcpad);
  gst_int8_infer_entries_drop (self);
  empty_queue (self);
  return GST_FLOW_OK;
}

static GstFlowReturn
flush_stop (GstInt8Infer *self, GstEvent *event)
{
  gst_pad_push_event (self->srcpad, event);
  g_mutex_lock (&self->lock);
  gst_int8_infer_flush_locked (self);
  gst_segment_init (&self->stream->segment, GST_FORMAT_UNDEFINED);
  self->earliest = GST_CLOCK_TIME_NONE;
  restart_locked (self);
  g_mutex_unlock (&self->lock);
  return GST_FLOW_OK;
}

static void
note_frame_duration_locked (GstInt8Infer *self, GstEvent *event)
{
  GstVideoInfo info;
  GstCaps *caps;

  gst_event_parse_caps (event, &caps);
  self->frame_duration = GST_CLOCK_TIME_NONE;
  if (gst_video_info_from_caps (&info, caps) && GST_VIDEO_INFO_FPS_N (&info) > 0)
    self->frame_duration = gst_util_uint64_scale_int (GST_SECOND, GST_VIDEO_INFO_FPS_D (&info),
        GST_VIDEO_INFO_FPS_N (&info));
}

static GstFlowReturn
queue_event (GstInt8Infer *self, GstEvent *event)
{
  const GstEventType type = GST_EVENT_TYPE (event);
  GstFlowReturn result;
  gboolean post = FALSE;

  g_mutex_lock (&self->lock);
  if (type == GST_EVENT_STREAM_START || type == GST_EVENT_SEGMENT)
    self->eos = self->done = FALSE;
  result = self->result;
  /* Sticky events that cannot be pushed now are pushed, or found wanting, with the next buffer. */
  if (result != GST_FLOW_OK && (!GST_EVENT_IS_STICKY (event) || type == GST_EVENT_EOS)) {
    /* No buffer will come that could tell upstream. */
    post = type == GST_EVENT_EOS && !self->error_posted &&
           (result == GST_FLOW_NOT_LINKED || result < GST_FLOW_EOS);
    self->error_posted = self->error_posted || post;
    g_mutex_unlock (&self->lock);
    if (post)
      GST_ELEMENT_FLOW_ERROR (self, result);
    gst_event_unref (event);
    return result;
  }
  if (type == GST_EVENT_CAPS)
    note_frame_duration_locked (self, event);
  if (type == GST_EVENT_EOS)
    self->eos = TRUE;
  gst_int8_infer_push_locked (self, GST_MINI_OBJECT (event), NULL);
  g_mutex_unlock (&self->lock);
  return GST_FLOW_OK;
}

static GstFlowReturn
sink_event (GstPad *pad, GstObject *parent, GstEvent *event)
{
  GstInt8Infer *self = GST_INT8_INFER (parent);

  GST_LOG_OBJECT (pad, "%" GST_PTR_FORMAT, event);
  switch (GST_EVENT_TYPE (event)) {
  case GST_EVENT_FLUSH_START:
    return flush_start (self, event);
  case GST_EVENT_FLUSH_STOP:
    return flush_stop (self, event);
  default:
    if (GST_EVENT_IS_SERIALIZED (event))
      return queue_event (self, event);
    return gst_pad_push_event (self->srcpad, event) ? GST_FLOW_OK : GST_FLOW_ERROR;
  }
}

static gboolean
sink_query (GstPad *pad, GstObject *parent, GstQuery *query)
{
  GstInt8Infer *self = GST_INT8_INFER (parent);
  GstInt8PendingQuery pending = {.query = query};

  if (gst_int8_cuda_answer_query (&self->cuda, GST_ELEMENT (self), query))
    return TRUE;
  if (!GST_QUERY_IS_SERIALIZED (query))
    return gst_pad_query_default (pad, parent, query);
  g_mutex_lock (&self->lock);
  if (self->result == GST_FLOW_OK) {
    gst_int8_infer_push_locked (self, NULL, &pending);
    while (!pending.done)
      g_cond_wait (&self->changed, &self->lock);
  }
  g_mutex_unlock (&self->lock);
  return pending.result;
}

static gboolean
sink_activate_mode (GstPad *pad, GstObject *parent, GstPadMode mode, gboolean active)
{
  GstInt8Infer *self = GST_INT8_INFER (parent);

  if (mode != GST_PAD_MODE_PUSH)
    return FALSE;
  set_flowing (self, active);
  if (!active) {
    /* Upstream's thread has left once its stream lock can be had. */
    GST_PAD_STREAM_LOCK (pad);
    empty_queue (self);
    GST_PAD_STREAM_UNLOCK (pad);
  }
  return TRUE;
}

/* --- Source pad ------------------------------------------------------------------------------ */

static gboolean
src_activate_mode (GstPad *pad, GstObject *parent, GstPadMode mode, gboolean active)
{
  GstInt8Infer *self = GST_INT8_INFER (parent);
  gboolean ok = TRUE;

  if (mode != GST_PAD_MODE_PUSH)
    return FALSE;
  set_flowing (self, active);
  /* Not under the lock: making the task posts a message. */
  if (active) {
    start_task (self);
  } else {
    ok = gst_pad_stop_task (pad);
    gst_int8_infer_entries_drop (self);
    empty_queue (self);
  }
  return ok;
}

/* Frames that come too late for their sink: the task leaves out their inference. */
static void
note_qos (GstInt8Infer *self, GstEvent *event)
{
  GstClockTimeDiff jitter;
  GstClockTime timestamp;

  gst_event_parse_qos (event, NULL, NULL, &jitter, &timestamp);
  if (!GST_CLOCK_TIME_IS_VALID (timestamp))
    return;
  g_mutex_lock (&self->lock);
  /* A late sink is given some lead, as other elements do. */
  if (jitter > 0)
    self->earliest = timestamp + 2 * (guint64) jitter +
                     (GST_CLOCK_TIME_IS_VALID (self->frame_duration) ? self->frame_duration : 0);
  else
    self->earliest = (guint64) -jitter < timestamp ? timestamp - (guint64) -jitter : 0;
  g_mutex_unlock (&self->lock);
}

static gboolean
src_event (GstPad *pad, GstObject *parent, GstEvent *event)
{
  GstInt8Infer *self = GST_INT8_INFER (parent);

  if (GST_EVENT_TYPE (event) == GST_EVENT_QOS)
    note_qos (self, event);
  if (GST_EVENT_TYPE (event) == GST_EVENT_RECONFIGURE) {
    g_mutex_lock (&self->lock);
    if (self->result == GST_FLOW_NOT_LINKED) /* perhaps it is linked now */
      restart_locked (self);
    g_mutex_unlock (&self->lock);
  }
  return gst_pad_push_event (self->sinkpad, event);
}

/* What a frame may wait for others is latency. Inference counts as processing-deadline of the sink and
 * adds none of its own; what the queue can hold adds to the greatest. */
static void
add_latency (GstInt8Infer *self, GstQuery *query)
{
  GstClockTime min, max, timeout, held = GST_CLOCK_TIME_NONE;
  gboolean live, is_async;
  guint batch;

  GST_OBJECT_LOCK (self);
  timeout = self->options.batch_timeout;
  batch = self->settings.batch_size;
  GST_OBJECT_UNLOCK (self);
  gst_query_parse_latency (query, &live, &min, &max);
  g_mutex_lock (&self->lock);
  if (self->member)
    batch = gst_int8_member_batch_size (self->member);
  if (GST_CLOCK_TIME_IS_VALID (self->frame_duration))
    held = self->capacity * self->frame_duration;
  is_async = self->async.thread != NULL;
  g_mutex_unlock (&self->lock);
  timeout = batch > 1 && !is_async ? timeout : 0;
  min += timeout;
  if (GST_CLOCK_TIME_IS_VALID (max))
    max += timeout + (GST_CLOCK_TIME_IS_VALID (held) ? held : 0);
  gst_query_set_latency (query, live, min, max);
}

static gboolean
src_query (GstPad *pad, GstObject *parent, GstQuery *query)
{
  GstInt8Infer *self = GST_INT8_INFER (parent);

  if (gst_int8_cuda_answer_query (&self->cuda, GST_ELEMENT (self), query))
    return TRUE;
  switch (GST_QUERY_TYPE (query)) {
  case GST_QUERY_SCHEDULING:
    gst_query_add_scheduling_mode (query, GST_PAD_MODE_PUSH);
    return TRUE;
  case GST_QUERY_LATENCY:
    if (!gst_pad_query_default (pad, parent, query))
      return FALSE;
    add_latency (self, query);
    return TRUE;
  default:
    return gst_pad_query_default (pad, parent, query);
  }
}

void
gst_int8_infer_pads_install (GstElementClass *klass)
{
  gst_element_class_add_static_pad_template (klass, &sink_template);
  gst_element_class_add_static_pad_template (klass, &src_template);
}

void
gst_int8_infer_pads_init (GstInt8Infer *self)
{
  self->sinkpad = gst_pad_new_from_static_template (&sink_template, "sink");
  gst_pad_set_chain_function (self->sinkpad, chain);
  gst_pad_set_event_full_function (self->sinkpad, sink_event);
  gst_pad_set_query_function (self->sinkpad, sink_query);
  gst_pad_set_activatemode_function (self->sinkpad, sink_activate_mode);
  GST_PAD_SET_PROXY_CAPS (self->sinkpad);
  gst_element_add_pad (GST_ELEMENT (self), self->sinkpad);

  self->srcpad = gst_pad_new_from_static_template (&src_template, "src");
  gst_pad_set_event_function (self->srcpad, src_event);
  gst_pad_set_query_function (self->srcpad, src_query);
  gst_pad_set_activatemode_function (self->srcpad, src_activate_mode);
  GST_PAD_SET_PROXY_CAPS (self->srcpad);
  gst_element_add_pad (GST_ELEMENT (self), self->srcpad);
}
