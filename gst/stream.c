/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stream.c: see stream.h. */
#include "gst/stream.h"

GstInt8Stream *
gst_int8_stream_new (void)
{
  GstInt8Stream *stream = g_new0 (GstInt8Stream, 1);

  stream->references = 1;
  stream->tracks = gst_int8_tracks_new ();
  gst_segment_init (&stream->segment, GST_FORMAT_UNDEFINED);
  return stream;
}

GstInt8Stream *
gst_int8_stream_new_in_bundle (guint number)
{
  GstInt8Stream *stream = gst_int8_stream_new ();

  stream->in_bundle = TRUE;
  stream->number = number;
  return stream;
}

GstInt8Stream *
gst_int8_stream_new_after (const GstInt8Stream *before, const char *id)
{
  GstInt8Stream *stream = gst_int8_stream_new_in_bundle (before->number);

  stream->id = g_strdup (id);
  gst_caps_replace (&stream->caps, before->caps);
  stream->format = before->format;
  stream->has_format = before->has_format;
  stream->segment = before->segment;
  return stream;
}

GstInt8Stream *
gst_int8_stream_ref (GstInt8Stream *stream)
{
  stream->references++;
  return stream;
}

void
gst_int8_stream_unref (GstInt8Stream *stream)
{
  if (--stream->references > 0)
    return;
  gst_int8_tracks_free (stream->tracks);
  gst_clear_caps (&stream->caps);
  g_free (stream->id);
  g_free (stream);
}

void
gst_int8_stream_name (const GstInt8Stream *stream, GstStructure *fields)
{
  if (stream->in_bundle)
    gst_structure_set (fields, "stream", G_TYPE_UINT, stream->number, NULL);
  if (stream->id)
    gst_structure_set (fields, "stream-id", G_TYPE_STRING, stream->id, NULL);
}

void
gst_int8_stream_reset (GstInt8Stream *stream)
{
  gst_clear_caps (&stream->caps);
  stream->has_format = FALSE;
  stream->n_frames = 0;
  gst_int8_tracks_clear (stream->tracks);
  gst_segment_init (&stream->segment, GST_FORMAT_UNDEFINED);
}

static gboolean
set_caps (GstInt8Stream *stream, GstCaps *caps, GError **error)
{
  if (!stream->caps || !gst_caps_is_equal (stream->caps, caps)) {
    gst_caps_replace (&stream->caps, caps);
    stream->warned = FALSE;
  } else if (stream->has_format) {
    return TRUE;
  }
  stream->has_format = gst_int8_frame_format_init (&stream->format, caps, error);
  return stream->has_format;
}

gboolean
gst_int8_stream_take_event (GstInt8Stream *stream, GstEvent *event, GError **error)
{
  GstCaps *caps;

  switch (GST_EVENT_TYPE (event)) {
  case GST_EVENT_CAPS:
    gst_event_parse_caps (event, &caps);
    return set_caps (stream, caps, error);
  case GST_EVENT_STREAM_START:
    gst_int8_tracks_clear (stream->tracks);
    break;
  case GST_EVENT_SEGMENT:
    gst_event_copy_segment (event, &stream->segment);
    break;
  case GST_EVENT_FLUSH_STOP:
    gst_segment_init (&stream->segment, GST_FORMAT_UNDEFINED);
    break;
  default:
    break;
  }
  return TRUE;
}
