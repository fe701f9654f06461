/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gstint8infer-bundle.c: bundles of several streams (bundle.h). Their frames become entries, one by one and in
 * their order, so that those of all streams fill the network's batches together. Each goes back to its place
 * when it is done, and the last one of a bundle takes that along. What cannot be read ends nothing: its stream
 * is named in a warning, and the frame passes as it is.
 */
#include "gst/gstint8infer-private.h"

#define GST_CAT_DEFAULT gst_int8_infer_debug

/* --- Streams --------------------------------------------------------------------------------- */

void
gst_int8_infer_bundle_init (GstInt8InferBundle *bundle)
{
  bundle->streams = g_ptr_array_new_with_free_func ((GDestroyNotify) gst_int8_stream_unref);
}

void
gst_int8_infer_bundle_clear (GstInt8InferBundle *bundle)
{
  g_ptr_array_unref (bundle->streams);
}

void
gst_int8_infer_bundle_forget (GstInt8InferBundle *bundle)
{
  g_ptr_array_set_size (bundle->streams, 0);
}

void
gst_int8_infer_bundle_clear_tracks (GstInt8InferBundle *bundle)
{
  for (guint i = 0; i < bundle->streams->len; i++)
    gst_int8_tracks_clear (((GstInt8Stream *) g_ptr_array_index (bundle->streams, i))->tracks);
}

static GstInt8Stream **
find_stream (GstInt8InferBundle *bundle, guint number)
{
  while (bundle->streams->len <= number)
    g_ptr_array_add (bundle->streams, gst_int8_stream_new_in_bundle (bundle->streams->len));
  return (GstInt8Stream **) &g_ptr_array_index (bundle->streams, number);
}

/* Once for a stream, until it has other caps. */
static void
warn (GstInt8Infer *self, GstInt8Stream *stream, const GError *error)
{
  GST_DEBUG_OBJECT (self, "stream %u: %s", stream->number, error->message);
  if (stream->warned)
    return;
  stream->warned = TRUE;
  GST_ELEMENT_WARNING (self, STREAM, FORMAT,
      ("stream %u, \"%s\", has frames that pass without results: %s", stream->number,
          stream->id ? stream->id : "", error->message),
      (NULL));
}

static void
take_event (GstInt8Infer *self, const GstInt8BundleItem *item)
{
  GstInt8Stream **stream = find_stream (&self->bundle, item->stream), *before = *stream;
  g_autoptr (GError) error = NULL;
  const char *id;

  if (GST_EVENT_TYPE (item->event) != GST_EVENT_STREAM_START) {
    if (!gst_int8_stream_take_event (*stream, item->event, &error))
      warn (self, *stream, error);
    return;
  }
  gst_event_parse_stream_start (item->event, &id);
  if (item->is_sticky && g_strcmp0 (id, before->id) == 0)
    return;
  /* Frames under way still refer to the one before. */
  *stream = gst_int8_stream_new_after (before, id);
  gst_int8_stream_unref (before);
}

/* --- Beginning ------------------------------------------------------------------------------- */

gboolean
gst_int8_infer_bundle_open (GstInt8Infer *self, GstBuffer *buffer, gint64 arrived)
{
  GstInt8InferBundle *bundle = &self->bundle;
  g_autoptr (GError) error = NULL;

  bundle->n_left = gst_int8_bundle_count (buffer);
  bundle->arrived = arrived;
  if (gst_int8_bundle_open (&bundle->walk, buffer))
    return TRUE;
  error = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
      "a buffer of multistream/x-analytics-batch has no GstAnalyticsBatchMeta: upstream is at fault");
  gst_int8_infer_fail (self, error, GST_FLOW_ERROR);
  return FALSE;
}

/* The next frame; events before it are told to its stream. FALSE at the end. */
static gboolean
next_frame (GstInt8Infer *self, GstInt8BundleItem *item)
{
  while (gst_int8_bundle_next (&self->bundle.walk, item)) {
    if (item->frame)
      return TRUE;
    take_event (self, item);
  }
  return FALSE;
}

static void
warn_of_no_caps (GstInt8Infer *self, GstInt8Stream *stream)
{
  g_autoptr (GError) error = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
      "it came without caps: upstream is at fault");

  warn (self, stream, error);
}

GstInt8Entry *
gst_int8_infer_bundle_begin (GstInt8Infer *self)
{
  GstInt8InferBundle *bundle = &self->bundle;
  GstInt8Entry *entry = gst_int8_infer_entry_new (self);
  GstInt8BundleItem item;

  if (next_frame (self, &item)) {
    GstInt8Stream *stream = *find_stream (bundle, item.stream);

    if (!stream->caps)
      warn_of_no_caps (self, stream);
    gst_int8_infer_entry_fill (self, entry, stream, item.frame, bundle->arrived);
    entry->place = item.place;
    bundle->n_left--;
  }
  if (bundle->n_left == 0) {
    next_frame (self, &item); /* there is none: what is left are events */
    entry->bundle = gst_int8_bundle_close (&bundle->walk);
  }
  return entry;
}

/* --- Ending ---------------------------------------------------------------------------------- */

gboolean
gst_int8_infer_bundle_excuses (GstInt8Infer *self, const GstInt8Entry *entry)
{
  const GError *error = entry->job.error;

  /* Of a frame, and not of a device that has failed. */
  if (!entry->place || !g_error_matches (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT))
    return FALSE;
  warn (self, entry->stream, error);
  return TRUE;
}
