/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gstint8infer-queue.c: the bounded queue between the sink pad and the task. Everything here is called
 * with `lock` held.
 */
#include "gst/gstint8infer-private.h"

void
gst_int8_infer_tell_locked (GstInt8Infer *self)
{
  g_cond_broadcast (&self->changed);
  if (self->member && !self->async.thread) /* that one waits for results alone */
    gst_int8_member_wake (self->member);
}

void
gst_int8_infer_push_locked (GstInt8Infer *self, GstMiniObject *object, GstInt8PendingQuery *pending)
{
  GstInt8Item item = {.object = object, .pending = pending, .arrived = g_get_monotonic_time ()};

  if (object && GST_IS_BUFFER (object))
    item.n_frames = MAX (1, gst_int8_bundle_count (GST_BUFFER (object)));
  gst_queue_array_push_tail_struct (self->items, &item);
  self->n_frames += item.n_frames;
  gst_int8_infer_tell_locked (self);
}

static void
release_locked (GstInt8Infer *self, GstInt8Item *item)
{
  if (item->pending) {
    item->pending->done = TRUE;
    item->pending = NULL;
    g_cond_broadcast (&self->changed);
  }
}

void
gst_int8_infer_release_queries_locked (GstInt8Infer *self)
{
  const guint n = gst_queue_array_get_length (self->items);

  for (guint i = 0; i < n; i++)
    release_locked (self, gst_queue_array_peek_nth_struct (self->items, i));
}

void
gst_int8_infer_flush_locked (GstInt8Infer *self)
{
  GstInt8Item *item;

  while ((item = gst_queue_array_pop_head_struct (self->items))) {
    release_locked (self, item);
    if (item->object && GST_IS_EVENT (item->object)) {
      GstEvent *event = GST_EVENT (item->object);

      /* Nobody would send these again. */
      if (GST_EVENT_IS_STICKY (event) && GST_EVENT_TYPE (event) != GST_EVENT_SEGMENT &&
          GST_EVENT_TYPE (event) != GST_EVENT_EOS) {
        gst_pad_store_sticky_event (self->srcpad, event);
        if (GST_EVENT_TYPE (event) == GST_EVENT_CAPS)
          gst_int8_infer_take_event (self, event, NULL); /* the next frame tells */
      }
    }
    g_clear_pointer (&item->object, gst_mini_object_unref);
  }
  self->n_frames = 0;
  g_cond_broadcast (&self->changed);
}

void
gst_int8_infer_end_locked (GstInt8Infer *self)
{
  GstInt8Item *item;

  while ((item = gst_queue_array_peek_head_struct (self->items))) {
    if (item->object && GST_IS_EVENT (item->object) &&
        (GST_EVENT_TYPE (item->object) == GST_EVENT_EOS ||
            GST_EVENT_TYPE (item->object) == GST_EVENT_SEGMENT ||
            GST_EVENT_TYPE (item->object) == GST_EVENT_STREAM_START))
      return;
    gst_queue_array_pop_head_struct (self->items);
    release_locked (self, item);
    self->n_frames -= item->n_frames;
    g_clear_pointer (&item->object, gst_mini_object_unref);
  }
  self->done = TRUE;
  g_cond_broadcast (&self->changed);
}
