/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * progress.h: GST_MESSAGE_PROGRESS for work that takes a while. Besides code and text a message
 * carries the fields "percent" (gint, 0..100; absent when the end is not known) and, where given,
 * "reason" and "layer" (strings), and whatever else the work has to tell.
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

typedef struct {
  const char *code;           /* "engine", "calibration" */
  const char *text;           /* for people */
  const char *reason;         /* or NULL */
  const char *layer;          /* or NULL */
  int percent;                /* -1: unknown */
  const GstStructure *fields; /* further fields, or NULL */
} GstInt8Progress;

/* What was posted last of work that may have hundreds of steps a second; zeros in the beginning. */
typedef struct {
  gint64 at; /* 0: nothing was */
  int percent;
} GstInt8Pace;

/* Whether to post that work is so far: where that is news, at first, at 100 and four times a second at most. */
gboolean gst_int8_pace_is_due (GstInt8Pace *pace, int percent);

void gst_int8_progress_post (GstElement *element, GstProgressType type,
    const GstInt8Progress *progress);

G_END_DECLS
