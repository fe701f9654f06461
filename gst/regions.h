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
} GstInt8RegionFilter;

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
/* The next object that the filter wants, cut to the frame; FALSE at the end. */
gboolean gst_int8_regions_next (GstInt8Regions *regions, EngineRect *object);

G_END_DECLS
