/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tracks.c: see tracks.h. */
#include "gst/tracks.h"

#include <string.h>

struct _GstInt8Track {
  guint references;
  guint64 seen;       /* frame */
  guint64 classified; /* frame */
  guint64 area;       /* when it was classified */
  gboolean is_new;    /* was never classified */
  guint n_results;
  /* Best first; confidences are scores where there are votes. The first is what it is taken for. */
  GstInt8Class classes[GST_INT8_TRACK_CANDIDATES];
  guint n_classes;
  GstInt8Labels *labels; /* of the network that gave them, or NULL */
  const char *model_name;
  GstClockTime pts; /* of the frame that the newest result is of */
};

struct _GstInt8Tracks {
  GHashTable *by_id; /* guint64 to GstInt8Track */
  guint64 frame;
};

GstInt8Track *
gst_int8_track_ref (GstInt8Track *track)
{
  track->references++;
  return track;
}

void
gst_int8_track_unref (GstInt8Track *track)
{
  if (--track->references > 0)
    return;
  gst_int8_labels_unref (track->labels);
  g_free (track);
}

GstInt8Tracks *
gst_int8_tracks_new (void)
{
  GstInt8Tracks *tracks = g_new0 (GstInt8Tracks, 1);

  tracks->by_id = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free,
      (GDestroyNotify) gst_int8_track_unref);
  return tracks;
}

void
gst_int8_tracks_free (GstInt8Tracks *tracks)
{
  if (!tracks)
    return;
  g_hash_table_unref (tracks->by_id);
  g_free (tracks);
}

void
gst_int8_tracks_clear (GstInt8Tracks *tracks)
{
  g_hash_table_remove_all (tracks->by_id);
}

guint
gst_int8_tracks_count (const GstInt8Tracks *tracks)
{
  return g_hash_table_size (tracks->by_id);
}

static gboolean
is_old (gpointer id, gpointer track, gpointer tracks)
{
  return ((const GstInt8Tracks *) tracks)->frame - ((const GstInt8Track *) track)->seen >
         GST_INT8_TRACK_AGE;
}

void
gst_int8_tracks_begin_frame (GstInt8Tracks *tracks, guint64 frame)
{
  tracks->frame = frame;
  if (frame % GST_INT8_TRACK_AGE == 0)
    g_hash_table_foreach_remove (tracks->by_id, is_old, tracks);
}

GstInt8Track *
gst_int8_tracks_see (GstInt8Tracks *tracks, guint64 id)
{
  GstInt8Track *track = g_hash_table_lookup (tracks->by_id, &id);

  if (!track) {
    track = g_new0 (GstInt8Track, 1);
    track->references = 1;
    track->is_new = TRUE;
    g_hash_table_insert (tracks->by_id, g_memdup2 (&id, sizeof id), track);
  }
  track->seen = tracks->frame;
  return track;
}

gboolean
gst_int8_track_is_due (GstInt8Track *track, const GstInt8TrackSettings *settings, guint64 frame,
    guint64 area)
{
  const gboolean due =
      track->is_new || settings->interval == 0 ||
      (settings->interval != G_MAXUINT && frame - track->classified >= settings->interval) ||
      (double) area > GST_INT8_TRACK_GROWTH * (double) track->area ||
      (settings->confidence > 0 && track->n_results > 0 &&
          (track->n_classes == 0 || track->classes[0].confidence < settings->confidence));

  if (due) {
    track->is_new = FALSE;
    track->classified = frame;
    track->area = area;
  }
  return due;
}

/* The place of a class among those with scores; of a new one the last, whose score is lost. */
static GstInt8Class *
find_class (GstInt8Track *track, guint index)
{
  GstInt8Class *class;

  for (guint i = 0; i < track->n_classes; i++)
    if (track->classes[i].index == index)
      return &track->classes[i];
  if (track->n_classes < GST_INT8_TRACK_CANDIDATES)
    track->n_classes++;
  class = &track->classes[track->n_classes - 1];
  *class = (GstInt8Class){.index = index};
  return class;
}

/* Those behind the first in order; the first as long as no other is clearly better. */
static void
order_classes (GstInt8Track *track)
{
  GstInt8Class *classes = track->classes;

  for (guint i = 2; i < track->n_classes; i++)
    for (guint k = i; k > 1 && classes[k].confidence > classes[k - 1].confidence; k--) {
      const GstInt8Class swapped = classes[k];

      classes[k] = classes[k - 1];
      classes[k - 1] = swapped;
    }
  if (track->n_classes > 1 &&
      classes[1].confidence > classes[0].confidence + GST_INT8_TRACK_MARGIN) {
    const GstInt8Class swapped = classes[1];

    classes[1] = classes[0];
    classes[0] = swapped;
  }
}

static void
vote (GstInt8Track *track, guint votes, const GstInt8Class *best)
{
  const float weight = 1.0F / (float) MIN (track->n_results, votes);
  GstInt8Class *chosen = best ? find_class (track, best->index) : NULL;

  for (guint i = 0; i < track->n_classes; i++)
    track->classes[i].confidence -= weight * track->classes[i].confidence;
  if (chosen)
    chosen->confidence += weight * best->confidence;
  order_classes (track);
}

static void
set_network (GstInt8Track *track, GstInt8Labels *labels, const char *model_name)
{
  if (track->labels == labels)
    return;
  gst_int8_labels_unref (track->labels);
  track->labels = gst_int8_labels_ref (labels);
  track->model_name = model_name;
  track->n_classes = track->n_results = 0;
}

void
gst_int8_track_add (GstInt8Track *track, const GstInt8TrackSettings *settings,
    GstInt8Labels *labels, const char *model_name, const GstInt8Class *classes, guint n)
{
  set_network (track, labels, model_name);
  track->n_results++;
  if (settings->votes > 1) {
    vote (track, settings->votes, n > 0 ? &classes[0] : NULL);
    return;
  }
  track->n_classes = MIN (n, GST_INT8_TRACK_CANDIDATES);
  memcpy (track->classes, classes, track->n_classes * sizeof *classes);
}

void
gst_int8_track_note_frame (GstInt8Track *track, GstClockTime pts)
{
  track->pts = pts;
}

GstClockTime
gst_int8_track_frame (const GstInt8Track *track)
{
  return track->pts;
}

guint
gst_int8_track_classes (const GstInt8Track *track, GstInt8Class *classes, guint max,
    const GstInt8Labels **labels, const char **model_name)
{
  const guint n = MIN (track->n_classes, max);

  memcpy (classes, track->classes, n * sizeof *classes);
  if (n > 0) {
    *labels = track->labels;
    *model_name = track->model_name;
  }
  return n;
}
