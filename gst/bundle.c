/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bundle.c: see bundle.h. */
#include "gst/bundle.h"

#ifdef HAVE_GST_ANALYTICS_BATCH

#include <gst/analytics/analytics.h>

gboolean
gst_int8_caps_are_bundle (const GstCaps *caps)
{
  return gst_structure_has_name (gst_caps_get_structure (caps, 0), "multistream/x-analytics-batch");
}

guint
gst_int8_bundle_count (GstBuffer *buffer)
{
  const GstAnalyticsBatchMeta *meta = gst_buffer_get_analytics_batch_meta (buffer);
  guint n = 0;

  if (!meta)
    return 1;
  for (gsize s = 0; s < meta->n_streams; s++) {
    const GstAnalyticsBatchStream *stream = &meta->streams[s];

    for (gsize o = 0; o < stream->n_objects; o++) {
      if (GST_IS_BUFFER (stream->objects[o]))
        n++;
      else if (GST_IS_BUFFER_LIST (stream->objects[o]))
        n += gst_buffer_list_length (GST_BUFFER_LIST (stream->objects[o]));
    }
  }
  return n;
}

gboolean
gst_int8_bundle_open (GstInt8Bundle *bundle, GstBuffer *buffer)
{
  *bundle = (GstInt8Bundle){0};
  if (!gst_buffer_get_analytics_batch_meta (buffer)) {
    gst_buffer_unref (buffer);
    return FALSE;
  }
  /* A copy's metadata has references of its own to all that is in it. */
  bundle->buffer = gst_buffer_make_writable (buffer);
  return TRUE;
}

/* The next buffer of the list at `place`, or NULL. It leaves the list at its beginning and comes back at its
 * end: once all are back they are in their order. */
static GstBuffer *
next_of_list (GstInt8Bundle *bundle, GstMiniObject **place)
{
  GstBufferList *list = GST_BUFFER_LIST (*place);
  GstBuffer *frame;

  if (bundle->in_list == 0) {
    bundle->n_list = gst_buffer_list_length (list);
    list = gst_buffer_list_make_writable (list);
    *place = GST_MINI_OBJECT (list);
  }
  if (bundle->in_list == bundle->n_list)
    return NULL;
  bundle->in_list++;
  frame = gst_buffer_ref (gst_buffer_list_get (list, 0));
  gst_buffer_list_remove (list, 0, 1);
  return frame;
}

/* FALSE where the object has nothing more. */
static gboolean
next_of_object (GstInt8Bundle *bundle, GstMiniObject **place, GstInt8BundleItem *item)
{
  if (GST_IS_BUFFER_LIST (*place)) {
    item->frame = next_of_list (bundle, place);
    item->place = place;
    if (item->frame)
      return TRUE;
    bundle->in_list = 0;
    bundle->object++;
    return FALSE;
  }
  bundle->object++;
  if (GST_IS_EVENT (*place)) {
    item->event = GST_EVENT (*place);
    return TRUE;
  }
  if (!GST_IS_BUFFER (*place))
    return FALSE;
  item->frame = GST_BUFFER (*place);
  item->place = place;
  *place = NULL;
  return TRUE;
}

gboolean
gst_int8_bundle_next (GstInt8Bundle *bundle, GstInt8BundleItem *item)
{
  const GstAnalyticsBatchMeta *meta = gst_buffer_get_analytics_batch_meta (bundle->buffer);

  for (; bundle->stream < meta->n_streams; bundle->stream++) {
    const GstAnalyticsBatchStream *stream = &meta->streams[bundle->stream];

    *item = (GstInt8BundleItem){.stream = (guint) bundle->stream};
    if (bundle->sticky < stream->n_sticky_events) {
      item->event = stream->sticky_events[bundle->sticky++];
      item->is_sticky = TRUE;
      return TRUE;
    }
    while (bundle->object < stream->n_objects)
      if (next_of_object (bundle, &stream->objects[bundle->object], item))
        return TRUE;
    bundle->sticky = bundle->object = 0;
  }
  return FALSE;
}

void
gst_int8_bundle_put_back (GstMiniObject **place, GstBuffer *frame)
{
  if (*place)
    gst_buffer_list_insert (GST_BUFFER_LIST (*place), -1, frame);
  else
    *place = GST_MINI_OBJECT (frame);
}

#else

gboolean
gst_int8_caps_are_bundle (const GstCaps *caps)
{
  return FALSE;
}

guint
gst_int8_bundle_count (GstBuffer *buffer)
{
  return 1;
}

gboolean
gst_int8_bundle_open (GstInt8Bundle *bundle, GstBuffer *buffer)
{
  gst_buffer_unref (buffer);
  return FALSE;
}

gboolean
gst_int8_bundle_next (GstInt8Bundle *bundle, GstInt8BundleItem *item)
{
  return FALSE;
}

void
gst_int8_bundle_put_back (GstMiniObject **place, GstBuffer *frame)
{
  gst_buffer_unref (frame);
}

#endif

GstBuffer *
gst_int8_bundle_close (GstInt8Bundle *bundle)
{
  return g_steal_pointer (&bundle->buffer);
}
