/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tracks.c: when tracked objects are classified again, and what votes make of their classes. */
#include "tests/check.h"

#include "gst/tracks.h"

static GstInt8Labels *labels, *other_labels;

static guint
best_class (const GstInt8Track *track, float *confidence)
{
  const GstInt8Labels *from = NULL;
  const char *model = NULL;
  GstInt8Class class = {.index = 99};

  if (gst_int8_track_classes (track, &class, 1, &from, &model) == 0)
    return 99;
  CHECK (from && model);
  *confidence = class.confidence;
  return class.index;
}

static void
add (GstInt8Track *track, const GstInt8TrackSettings *settings, guint index, float confidence)
{
  const GstInt8Class class = {index, confidence};

  gst_int8_track_add (track, settings, labels, "model", &class, 1);
}

static void
test_due (void)
{
  g_autoptr (GstInt8Tracks) tracks = gst_int8_tracks_new ();
  GstInt8TrackSettings settings = {.interval = 3};
  GstInt8Track *track = gst_int8_tracks_see (tracks, 7);

  CHECK (gst_int8_track_is_due (track, &settings, 1, 100));
  CHECK (!gst_int8_track_is_due (track, &settings, 2, 100));
  CHECK (!gst_int8_track_is_due (track, &settings, 3, 119));
  CHECK (gst_int8_track_is_due (track, &settings, 3, 121)); /* has grown by 21 % */
  CHECK (!gst_int8_track_is_due (track, &settings, 5, 121));
  CHECK (gst_int8_track_is_due (track, &settings, 6, 121));
  settings.interval = G_MAXUINT;
  CHECK (!gst_int8_track_is_due (track, &settings, 100000, 121));
  settings.confidence = 0.5;
  CHECK (!gst_int8_track_is_due (track, &settings, 100001, 121)); /* no result yet */
  add (track, &settings, 1, 0.4F);
  CHECK (gst_int8_track_is_due (track, &settings, 100002, 121));
  add (track, &settings, 1, 0.6F);
  CHECK (!gst_int8_track_is_due (track, &settings, 100003, 121));
  settings.interval = 0;
  CHECK (gst_int8_track_is_due (track, &settings, 100003, 121));
}

static void
test_votes (void)
{
  const GstInt8TrackSettings settings = {.votes = 4};
  g_autoptr (GstInt8Tracks) tracks = gst_int8_tracks_new ();
  GstInt8Track *track = gst_int8_tracks_see (tracks, 1);
  float confidence = 0;

  add (track, &settings, 3, 0.8F);
  CHECK_INT (best_class (track, &confidence), ==, 3);
  CHECK (confidence == 0.8F);
  /* Scores 0.4 and 0.45: not clearly better. */
  add (track, &settings, 5, 0.9F);
  CHECK_INT (best_class (track, &confidence), ==, 3);
  CHECK (confidence == 0.4F);
  /* 0.27 and 0.6: it is. */
  add (track, &settings, 5, 0.9F);
  CHECK_INT (best_class (track, &confidence), ==, 5);
  CHECK (confidence > 0.59F && confidence < 0.61F);
  /* A frame without a result counts as 0, so that an old class fades. */
  gst_int8_track_add (track, &settings, labels, "model", NULL, 0);
  best_class (track, &confidence);
  CHECK (confidence > 0.44F && confidence < 0.46F);

  /* More classes than have scores: the best stays. */
  for (guint i = 0; i < 100; i++)
    add (track, &settings, i % 2 ? 5 : 10 + i, 0.9F);
  CHECK_INT (best_class (track, &confidence), ==, 5);
}

/* Classes of one network are not mixed with those of another. */
static void
test_networks (void)
{
  const GstInt8TrackSettings settings = {.votes = 10};
  const GstInt8Class class = {2, 0.1F};
  g_autoptr (GstInt8Tracks) tracks = gst_int8_tracks_new ();
  GstInt8Track *track = gst_int8_tracks_see (tracks, 1);
  float confidence = 0;

  for (guint i = 0; i < 10; i++)
    add (track, &settings, 3, 0.9F);
  gst_int8_track_add (track, &settings, other_labels, "other", &class, 1);
  CHECK_INT (best_class (track, &confidence), ==, 2);
  CHECK (confidence == 0.1F);
}

static void
test_forgotten (void)
{
  g_autoptr (GstInt8Tracks) tracks = gst_int8_tracks_new ();
  GstInt8Track *held;

  for (guint64 id = 0; id < 1000; id++) {
    gst_int8_tracks_begin_frame (tracks, id);
    gst_int8_tracks_see (tracks, id);
    gst_int8_tracks_see (tracks, 1ULL << 40);
  }
  CHECK_INT (gst_int8_tracks_count (tracks), <=, 2 * GST_INT8_TRACK_AGE + 1);
  held = gst_int8_track_ref (gst_int8_tracks_see (tracks, 1ULL << 40));
  gst_int8_tracks_clear (tracks);
  CHECK_INT (gst_int8_tracks_count (tracks), ==, 0);
  add (held, &(GstInt8TrackSettings){0}, 1, 0.5F);
  gst_int8_track_unref (held);
}

int
main (void)
{
  g_autofree char *warning = NULL;

  labels = gst_int8_labels_load (NULL, 200, &warning, NULL);
  other_labels = gst_int8_labels_load (NULL, 5, &warning, NULL);
  RUN (test_due);
  RUN (test_votes);
  RUN (test_networks);
  RUN (test_forgotten);
  gst_int8_labels_unref (labels);
  gst_int8_labels_unref (other_labels);
  return check_done ();
}
