/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tracks.h: what is known of objects that a tracker follows from frame to frame: when each was
 * classified, and what it is taken for. Saves classifying an object again in every frame, and settles
 * on one class where single frames differ.
 *
 * An object is classified when it is new, when `interval` frames have passed, when its area has grown by
 * more than GST_INT8_TRACK_GROWTH since (as DeepStream's secondary classifiers do), and while it is taken
 * for its class with less than `confidence`.
 *
 * Votes: with votes = N > 1, each class has a score, an exponential mean of the confidences with which it
 * came first, a frame in which it did not counting as 0:
 *     s <- s + (x - s) / min (n, N)      x: confidence of the frame, n: classifications so far
 * The object is taken for the class that it is taken for until another's score is higher by
 * GST_INT8_TRACK_MARGIN, so that two close ones do not alternate.
 *
 * Belongs to one thread at a time. Nothing is allocated but for a new object.
 */
#pragma once

#include <gst/gst.h>

#include "gst/classify.h"
#include "gst/labels.h"

G_BEGIN_DECLS

#define GST_INT8_TRACK_GROWTH     1.2
#define GST_INT8_TRACK_MARGIN     0.1
#define GST_INT8_TRACK_CANDIDATES 8 /* classes that have scores; the lowest makes room */
#define GST_INT8_TRACK_AGE        300 /* frames after which an object that was not seen is forgotten */

typedef struct {
  guint interval;    /* frames; 0: every frame classifies, G_MAXUINT: never again */
  double confidence; /* 0: does not matter */
  guint votes;       /* N; 0 and 1: the newest classification counts */
} GstInt8TrackSettings;

typedef struct _GstInt8Tracks GstInt8Tracks;
typedef struct _GstInt8Track GstInt8Track;

GstInt8Tracks *gst_int8_tracks_new (void);
void gst_int8_tracks_free (GstInt8Tracks *tracks); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (GstInt8Tracks, gst_int8_tracks_free)
/* Forgets all: other frames come now, or another network. */
void gst_int8_tracks_clear (GstInt8Tracks *tracks);
guint gst_int8_tracks_count (const GstInt8Tracks *tracks);

/* A frame begins: `frame` counts up. Objects that were not seen for long are forgotten. */
void gst_int8_tracks_begin_frame (GstInt8Tracks *tracks, guint64 frame);
/* The object of that id in the frame that began last; it stays as long as the tracks, or until it is
 * forgotten, but for references of ref(). */
GstInt8Track *gst_int8_tracks_see (GstInt8Tracks *tracks, guint64 id);
GstInt8Track *gst_int8_track_ref (GstInt8Track *track);
void gst_int8_track_unref (GstInt8Track *track);

/* Whether to classify it in this frame; then it counts as classified, with this area, though the
 * result comes later. */
gboolean gst_int8_track_is_due (GstInt8Track *track, const GstInt8TrackSettings *settings,
    guint64 frame, guint64 area);
/* The result, best first; n may be 0: nothing above the threshold. labels (which are referenced) and
 * model_name (interned) are those of the network that gave it: one of another network begins anew. */
void gst_int8_track_add (GstInt8Track *track, const GstInt8TrackSettings *settings,
    GstInt8Labels *labels, const char *model_name, const GstInt8Class *classes, guint n);
/* The time of the frame that its newest result is of. */
void gst_int8_track_note_frame (GstInt8Track *track, GstClockTime pts);
GstClockTime gst_int8_track_frame (const GstInt8Track *track);
/* What it is taken for: at most max, best first. Without votes as it was added. labels and model_name:
 * of whoever gave it; not set where there are none. */
guint gst_int8_track_classes (const GstInt8Track *track, GstInt8Class *classes, guint max,
    const GstInt8Labels **labels, const char **model_name);

G_END_DECLS
