/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stream.h: what int8infer keeps of one stream of frames: the format of the next one, the segment that it is
 * in, how many came, and the objects that a tracker follows on them. An element has one, and of bundles
 * (bundle.h) one for each stream in them. Belongs to one thread at a time.
 */
#pragma once

#include "gst/frame.h"
#include "gst/tracks.h"

G_BEGIN_DECLS

typedef struct {
  guint references;
  gboolean in_bundle;
  guint number;              /* in the bundle, from 0 */
  char *id;                  /* its stream-id in the bundle; NULL: it has none */
  GstCaps *caps;             /* the newest */
  gboolean warned;           /* since they came, of frames that cannot be read */
  GstInt8FrameFormat format; /* of these caps */
  gboolean has_format;
  GstSegment segment; /* of format UNDEFINED before there is one */
  guint64 n_frames;
  GstInt8Tracks *tracks;
} GstInt8Stream;

GstInt8Stream *gst_int8_stream_new (void);
GstInt8Stream *gst_int8_stream_new_in_bundle (guint number);
/* Another stream in the same place, with the same caps and segment until it says otherwise. */
GstInt8Stream *gst_int8_stream_new_after (const GstInt8Stream *before, const char *id);
GstInt8Stream *gst_int8_stream_ref (GstInt8Stream *stream);
void gst_int8_stream_unref (GstInt8Stream *stream);
/* Of a stream in a bundle: the fields "stream" (guint) and, where it has one, "stream-id" (string). */
void gst_int8_stream_name (const GstInt8Stream *stream, GstStructure *fields);
/* As if it were new. */
void gst_int8_stream_reset (GstInt8Stream *stream);
/* A serialised event of the stream. FALSE for caps that cannot be taken: then it has no format. */
gboolean gst_int8_stream_take_event (GstInt8Stream *stream, GstEvent *event, GError **error);

G_END_DECLS
