/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stream.c: see stream.h. */
#include "gst/stream.h"

GstInt8Stream *
gst_int8_stream_new (void)
{
  GstInt8Stream *stream = g_new0 (GstInt8Stream, 1);

  stream->tracks = gst_int8_tracks_new ();
  gst_segment_init (&stream->segment, GST_FORMAT_UNDEFINED);
  return stream;
}

void
gst_int8_stream_free (GstInt8Stream *stream)
{
  if (!stream)
    return;
  gst_int8_tracks_free (stream->tracks);
  g_free (stream);
}

void
gst_int8_stream_reset (GstInt8Stream *stream)
{
  stream->has_format = FALSE;
  stream->n_frames = 0;
  gst_int8_tracks_clear (stream->tracks);
  gst_segment_init (&stream->segment, GST_FORMAT_UNDEFINED);
}

gboolean
gst_int8_stream_set_caps (GstInt8Stream *stream, const GstCaps *caps, GError **error)
{
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
    return gst_int8_stream_set_caps (stream, caps, error);
  case GST_EVENT_STREAM_START:
    gst_int8_tracks_clear (stream->tracks);
    break;
  case GST_EVENT_SEGMENT:
    gst_event_copy_segment (event, &stream->segment);
    break;
  default:
    break;
  }
  return TRUE;
}
