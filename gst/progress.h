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

void gst_int8_progress_post (GstElement *element, GstProgressType type,
    const GstInt8Progress *progress);

G_END_DECLS
