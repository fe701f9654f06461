/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * meta-json.h: the results on a buffer as one line of JSON, with the names of DL Streamer's gvametaconvert
 * (json-fields of its objects), so that what reads those reads these:
 *
 *   {"objects":[{"x":5,"y":7,"w":28,"h":28,"roi_type":"car","id":11,
 *                "detection":{"bounding_box":{"x_min":0.04,"y_min":0.08,"x_max":0.28,"y_max":0.39},"label":"car"},
 *                "colour":{"label":"red","label_id":3,"confidence":0.97,"model":{"name":"net"},
 *                          "classes":[{"label":"red","label_id":3,"confidence":0.97}, ...]}}],
 *    "resolution":{"width":120,"height":90},"timestamp":40000000,"source":"cam1","tags":{...}}
 *
 * An object of its own for every object that was classified; for the frame itself one that covers it, with
 * roi_type "frame" and no detection. "id" is the tracker's; "colour" is the attribute's name; "classes" is
 * there where a result has more than one (top-k); "timestamp" (ns) is the running time where the segment has
 * one, else the buffer's own; "source" and "tags" are there where they were given.
 */
#pragma once

#include <gst/video/video.h>

G_BEGIN_DECLS

typedef struct {
  int width, height;      /* of the frame; 0: unknown */
  GstClockTime timestamp; /* NONE: unknown */
  const char *source;     /* or NULL */
  const char *tags;       /* a JSON object, checked; or NULL */
} GstInt8MetaJsonFrame;

/* NULL where the buffer has no result and empty is FALSE. No line feed at the end. */
char *gst_int8_meta_to_json (GstBuffer *buffer, const GstInt8MetaJsonFrame *frame, gboolean empty);

G_END_DECLS
