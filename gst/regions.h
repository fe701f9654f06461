/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * regions.h: the objects that a detector upstream has marked on a buffer: object detections of
 * GstAnalyticsRelationMeta (GStreamer 1.24 on), and where there are none, GstVideoRegionOfInterestMeta.
 */
#pragma once

#include <gst/video/video.h>
#include "engine/engine.h"

G_BEGIN_DECLS

/* Which objects are wanted. */
typedef struct {
  char **classes; /* names as the detector gives them, NULL at the end; NULL: all */
  int min_width, min_height;
  int max_width, max_height; /* 0: any */
} GstInt8RegionFilter;
void gst_int8_region_filter_clear (GstInt8RegionFilter *filter);

typedef struct {
  EngineRect rect;   /* cut to the frame */
  const char *type;  /* as the detector calls it, interned; "" where it does not */
  double confidence; /* of the detector; < 0: not known */
  int label_id;      /* the type's number, as the detector's model has it; < 0: not known */
  gboolean is_tracked;
  guint64 track;                        /* the tracker's id, where it is tracked */
  GstVideoRegionOfInterestMeta *region; /* where it is one: as long as the buffer's metadata */
  guint detection; /* else the id of its GstAnalyticsODMtd in the buffer's relations */
} GstInt8Object;

typedef struct {
  GstBuffer *buffer;
  const GstInt8RegionFilter *filter;
  EngineRect frame; /* what they are cut to */
  gpointer state;
  gboolean detections; /* there are some, so other regions are not looked at */
} GstInt8Regions;

/* frame: the visible part of the picture. */
void gst_int8_regions_init (GstInt8Regions *regions, GstBuffer *buffer, const EngineRect *frame,
    const GstInt8RegionFilter *filter);
/* The next object that the filter wants; FALSE at the end. Of a region of interest, a tracker is one that
 * added a param with the field "id" named "object_id" (DL Streamer); of a detection, one that related a
 * GstAnalyticsTrackingMtd to it. */
gboolean gst_int8_regions_next (GstInt8Regions *regions, GstInt8Object *object);

G_END_DECLS
