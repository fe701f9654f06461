/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stream.h: what int8infer keeps of one stream of frames: the format of the next one, the segment that it is
 * in, how many came, and the objects that a tracker follows on them. Belongs to one thread at a time.
 */
#pragma once

#include "gst/frame.h"
#include "gst/tracks.h"

G_BEGIN_DECLS

typedef struct {
  GstInt8FrameFormat format;
  gboolean has_format;
  GstSegment segment; /* of format UNDEFINED before there is one */
  guint64 n_frames;
  GstInt8Tracks *tracks;
} GstInt8Stream;

GstInt8Stream *gst_int8_stream_new (void);
void gst_int8_stream_free (GstInt8Stream *stream); /* NULL is fine */
/* As if it were new. */
void gst_int8_stream_reset (GstInt8Stream *stream);
/* FALSE for caps that cannot be taken: then it has no format. */
gboolean gst_int8_stream_set_caps (GstInt8Stream *stream, const GstCaps *caps, GError **error);
/* A serialised event of the stream. FALSE as above. */
gboolean gst_int8_stream_take_event (GstInt8Stream *stream, GstEvent *event, GError **error);

G_END_DECLS
