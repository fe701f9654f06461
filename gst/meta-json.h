/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * meta-json.h: the results on a buffer as one line of JSON, with the names and places of DL Streamer's
 * gvametaconvert, so that what reads those reads these:
 *
 *   {"objects":[{"x":5,"y":7,"w":28,"h":28,"region_id":0,"roi_type":"car","id":11,
 *                "detection":{"bounding_box":{"x_min":0.04,"y_min":0.08,"x_max":0.28,"y_max":0.39},
 *                             "confidence":0.9,"label_id":2,"label":"car"},
 *                "colour":{"label":"red","label_id":3,"confidence":0.97,"model":{"name":"net"},
 *                          "classes":[{"label":"red","label_id":3,"confidence":0.97}, ...]}}],
 *    "resolution":{"width":120,"height":90},"timestamp":40000000,"source":"cam1","tags":{...}}
 *
 * An object of its own for every object that was classified, with an attribute for each int8infer that has; for the
 * frame itself one that covers it, without region_id, roi_type and detection. "id" is the tracker's; "colour" is the
 * attribute's name, with "#2" where another of that name is there. "confidence" and "label_id" of a detection
 * are there where the detector has said them. "timestamp" (ns) is the stream time where the segment has
 * one, else the buffer's own; "source" and "tags" are there where they were given.
 *
 * Not of gvametaconvert: "classes" of a result that has more than one (top-k), and "result_timestamp" of one that is of
 * an older frame (int8infer async=true): that frame's, counted as "timestamp" is, so that the difference is its age.
 */
#pragma once

#include <gst/video/video.h>

G_BEGIN_DECLS

typedef struct {
  int width, height;         /* of the frame; 0: unknown */
  const GstSegment *segment; /* that it is in */
  const char *source;        /* or NULL */
  const char *tags;          /* a JSON object on one line, checked; or NULL */
} GstInt8MetaJsonFrame;

/* Replaces text by the line, without a line feed. FALSE where the buffer has no result and empty is FALSE.
 * results is memory of the caller's that is used again: g_ptr_array_new(). */
gboolean gst_int8_meta_to_json (GString *text, GPtrArray *results, GstBuffer *buffer,
    const GstInt8MetaJsonFrame *frame, gboolean empty);

G_END_DECLS
