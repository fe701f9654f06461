/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bundle.h: buffers of several streams in one, as analyticscombiner makes them and analyticssplitter takes them
 * apart (GStreamer 1.28): caps multistream/x-analytics-batch, an empty buffer, and in its GstAnalyticsBatchMeta
 * of each stream the sticky events that hold and then what has come, in order: frames, lists of frames,
 * serialised events. A bundle here, since a batch is what goes through a network together.
 *
 * A walk goes through all of it and takes the frames out, to be worked on and put back where they were, in the
 * order in which they were taken. All must be back before the bundle is handed on or freed: the metadata knows
 * no empty places.
 *
 * In a build without GstAnalyticsBatchMeta nothing is a bundle.
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* Behind the caps of a template. */
#ifdef HAVE_GST_ANALYTICS_BATCH
#define GST_INT8_BUNDLE_CAPS "; multistream/x-analytics-batch(meta:GstAnalyticsBatchMeta)"
#else
#define GST_INT8_BUNDLE_CAPS ""
#endif

/* Of fixed caps. */
gboolean gst_int8_caps_are_bundle (const GstCaps *caps);
/* Frames in a bundle; 1 of any other buffer. */
guint gst_int8_bundle_count (GstBuffer *buffer);

/* A walk. */
typedef struct {
  GstBuffer *buffer;            /* owned; NULL: there is none */
  gsize stream, sticky, object; /* that come next */
  guint in_list, n_list;        /* in a list: that was met first, and how many there were */
} GstInt8Bundle;

/* What it meets: an event or a frame. */
typedef struct {
  guint stream;          /* in the order of the bundle's caps */
  GstEvent *event;       /* not owned */
  gboolean is_sticky;    /* the event is repeated in every bundle */
  GstBuffer *frame;      /* owned */
  GstMiniObject **place; /* of the frame */
} GstInt8BundleItem;

/* Takes the buffer, and makes it writable. FALSE for what is no bundle: the buffer is gone. */
gboolean gst_int8_bundle_open (GstInt8Bundle *bundle, GstBuffer *buffer);
/* FALSE at the end. */
gboolean gst_int8_bundle_next (GstInt8Bundle *bundle, GstInt8BundleItem *item);
/* Ends the walk, wherever it is, and gives the buffer. */
GstBuffer *gst_int8_bundle_close (GstInt8Bundle *bundle);

/* Takes the frame. */
void gst_int8_bundle_put_back (GstMiniObject **place, GstBuffer *frame);

G_END_DECLS
