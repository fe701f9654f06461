/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * frames.h: what calibrate-live sees of the frames that go through int8infer: how many, in which order, how
 * long none came, and what the newest shows.
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

typedef enum { CALIBRATING, EXCHANGING, CALIBRATED, N_PHASES } Phase;

typedef struct {
  GMutex lock; /* of everything: streaming threads write */
  Phase phase;
  guint64 in, out, disordered;
  guint64 after;          /* out, since phase CALIBRATED */
  gint64 pause[N_PHASES]; /* the longest between two frames, µs */
  char *label;            /* of the newest frame that had a class */
  double confidence;
  GstClockTime newest; /* timestamp that left last, NONE at the beginning */
  gint64 left;         /* when that was: g_get_monotonic_time(), or 0 */
} Frames;

/* From here on it sees what goes through the element. */
void frames_init (Frames *frames, GstElement *infer);
void frames_clear (Frames *frames); /* once the element is in NULL */

void frames_set_phase (Frames *frames, Phase phase);
/* Another beginning: timestamps start again, and what lies between is no pause. */
void frames_restart (Frames *frames);

/* Sums, on standard output. */
void frames_print (Frames *frames);

G_END_DECLS
