/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gstint8infer-task.c: the task of the source pad. It takes what is queued, in order: events and
 * queries are passed on, buffers go through the network (as many at once as lie side by side in the
 * queue, up to batch-size; it never waits for more) and leave with their metadata.
 */
#include "gst/gstint8infer-private.h"

#define GST_CAT_DEFAULT gst_int8_infer_debug

void
gst_int8_infer_reset_task (GstInt8Infer *self)
{
  self->has_format = FALSE;
  self->earliest = GST_CLOCK_TIME_NONE;
  self->frame_duration = GST_CLOCK_TIME_NONE;
  gst_segment_init (&self->segment, GST_FORMAT_UNDEFINED);
}

gboolean
gst_int8_infer_set_caps (GstInt8Infer *self, const GstCaps *caps, GError **error)
{
  self->has_format = gst_int8_frame_format_init (&self->format, caps, error);
  return self->has_format;
}

/* Posts an error of the task. The pipeline stops; upstream is told with its next buffer. */
static GstFlowReturn
fail (GstInt8Infer *self, const GError *error, GstFlowReturn result)
{
  g_mutex_lock (&self->lock);
  self->error_posted = TRUE;
  g_mutex_unlock (&self->lock);
  gst_int8_config_post_error (GST_ELEMENT (self), error, NULL);
  return result;
}

static GstInt8InferOptions
get_options (GstInt8Infer *self)
{
  GstInt8InferOptions options;

  GST_OBJECT_LOCK (self);
  options = self->options;
  GST_OBJECT_UNLOCK (self);
  return options;
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

/* Puts the result of frame `at` of the last run onto its buffer, which it returns writable. */
static GstBuffer *
attach_result (GstInt8Infer *self, const GstInt8InferOptions *options, guint at, GstBuffer *buffer)
{
  const GstInt8Metadata kinds = metadata_kinds (options->metadata);
  GstInt8Result result = {.labels = self->labels,
      .model_name = self->model_name,
      .attribute_name = options->attribute_name,
      .width = (guint) GST_VIDEO_INFO_WIDTH (&self->format.info),
      .height = (guint) GST_VIDEO_INFO_HEIGHT (&self->format.info)};

  result.n_classes = gst_int8_runner_classify (self->runner, at, options->top_k, options->threshold,
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

/* Fills `timely`; returns how many of the batch are not late. */
static guint
pick_timely (GstInt8Infer *self, const GstInt8InferOptions *options, guint n)
{
  guint n_timely = 0;

  for (guint i = 0; i < n; i++)
    if (!options->qos || !is_late (self, self->batch[i]))
      self->timely[n_timely++] = self->batch[i];
  return n_timely;
}

/* --- Buffers --------------------------------------------------------------------------------- */

/* Runs the batch and puts the results onto its buffers. */
static GstFlowReturn
infer (GstInt8Infer *self, guint n)
{
  const GstInt8InferOptions options = get_options (self);
  const gint64 begun = g_get_monotonic_time ();
  g_autoptr (GError) error = NULL;
  guint n_timely, at = 0;
  gint64 finished;

  if (!self->has_format) {
    g_set_error_literal (&error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, GST_INT8_FRAME_NO_CAPS);
    return fail (self, error, GST_FLOW_NOT_NEGOTIATED);
  }
  n_timely = pick_timely (self, &options, n);
  if (n_timely == 0)
    return GST_FLOW_OK;
  if (!gst_int8_runner_run (self->runner, &self->format, self->timely, n_timely, &error))
    return fail (self, error, GST_FLOW_ERROR);
  finished = g_get_monotonic_time ();
  for (guint i = 0; i < n && at < n_timely; i++)
    if (self->timely[at] == self->batch[i]) {
      self->batch[i] = attach_result (self, &options, at++, self->batch[i]);
      gst_int8_stats_add (&self->stats, self->arrived[i], begun, finished);
    }
  return GST_FLOW_OK;
}

/* Takes the buffers at the head of the queue; lock held. */
static guint
take_batch_locked (GstInt8Infer *self)
{
  guint n = 0;

  while (n < self->batch_size && !gst_queue_array_is_empty (self->items)) {
    GstInt8Item *item = gst_queue_array_peek_head_struct (self->items);

    if (!item->object || !GST_IS_BUFFER (item->object))
      break;
    self->batch[n] = GST_BUFFER (item->object);
    self->arrived[n] = item->arrived;
    gst_queue_array_pop_head_struct (self->items);
    n++;
  }
  self->n_buffers -= n;
  g_cond_broadcast (&self->changed);
  return n;
}

static GstFlowReturn
push_batch (GstInt8Infer *self)
{
  GstFlowReturn result;
  guint n;

  g_mutex_lock (&self->lock);
  n = take_batch_locked (self);
  g_mutex_unlock (&self->lock);

  result = n ? infer (self, n) : GST_FLOW_OK; /* 0: the sink pad was deactivated just now */
  for (guint i = 0; i < n; i++) {
    GstBuffer *buffer = g_steal_pointer (&self->batch[i]);

    if (result == GST_FLOW_OK)
      result = gst_pad_push (self->srcpad, buffer);
    else
      gst_buffer_unref (buffer);
  }
  return result;
}

/* --- Events and queries ---------------------------------------------------------------------- */

static GstFlowReturn
push_event (GstInt8Infer *self, GstEvent *event)
{
  g_autoptr (GError) error = NULL;
  GstCaps *caps;

  switch (GST_EVENT_TYPE (event)) {
  case GST_EVENT_CAPS:
    gst_event_parse_caps (event, &caps);
    if (!gst_int8_infer_set_caps (self, caps, &error)) {
      gst_event_unref (event);
      return fail (self, error, GST_FLOW_NOT_NEGOTIATED);
    }
    break;
  case GST_EVENT_SEGMENT:
    gst_event_copy_segment (event, &self->segment);
    break;
  default:
    break;
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
    held = self->capacity + self->batch_size;
    g_mutex_unlock (&self->lock);
    answer_allocation (self, query, held);
    answered = TRUE;
  }
  return answered;
}

/* --- Task ------------------------------------------------------------------------------------ */

/* Waits until there is something to do, and, before a buffer, for the network. Returns FALSE when
 * the task is to stop. lock held. */
static gboolean
wait_locked (GstInt8Infer *self)
{
  while (self->result == GST_FLOW_OK) {
    const GstInt8Item *head = gst_queue_array_peek_head_struct (self->items);
    const gboolean is_buffer = head && head->object && GST_IS_BUFFER (head->object);

    if (is_buffer && self->load_state == GST_INT8_LOAD_FAILED)
      self->result = GST_FLOW_ERROR;
    else if (head && (!is_buffer || self->load_state == GST_INT8_LOAD_READY))
      return TRUE;
    else
      g_cond_wait (&self->changed, &self->lock);
  }
  return FALSE;
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

  if (post)
    GST_ELEMENT_FLOW_ERROR (self, result);
  if (end)
    gst_pad_push_event (self->srcpad, gst_event_new_eos ());
}

void
gst_int8_infer_loop (gpointer data)
{
  GstInt8Infer *self = data;
  GstFlowReturn result = GST_FLOW_OK;
  const GstInt8Item *head;

  g_mutex_lock (&self->lock);
  if (!wait_locked (self)) {
    stop_and_unlock (self);
    return;
  }
  head = gst_queue_array_peek_head_struct (self->items);
  if (head->object && GST_IS_BUFFER (head->object)) {
    g_mutex_unlock (&self->lock);
    result = push_batch (self);
    g_mutex_lock (&self->lock);
  } else {
    const GstInt8Item item = *(GstInt8Item *) gst_queue_array_pop_head_struct (self->items);
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
