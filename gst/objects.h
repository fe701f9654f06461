/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * objects.h: the properties of whoever looks at objects instead of whole frames: which objects, and when
 * one that is tracked is looked at again. Not thread-safe: the element holds its object lock.
 */
#pragma once

#include "gst/regions.h"
#include "gst/tracks.h"

G_BEGIN_DECLS

typedef enum { GST_INT8_PROCESS_FRAME, GST_INT8_PROCESS_OBJECTS } GstInt8ProcessMode;

typedef struct {
  GstInt8ProcessMode mode;
  char *classes; /* names separated by ';', or NULL: all */
  guint min_width, min_height, max_width, max_height;
  GstInt8TrackSettings tracks;
} GstInt8ObjectSettings;

void gst_int8_object_settings_copy (const GstInt8ObjectSettings *from, GstInt8ObjectSettings *to);
void gst_int8_object_settings_clear (GstInt8ObjectSettings *settings);
/* To be cleared with gst_int8_region_filter_clear(). */
void gst_int8_object_settings_filter (const GstInt8ObjectSettings *settings,
    GstInt8RegionFilter *filter);

/* Properties with the ids first .. first + GST_INT8_OBJECTS_PROPERTIES - 1. tracking: with those that
 * concern tracked objects, which come last. */
#define GST_INT8_OBJECTS_PROPERTIES 9
void gst_int8_objects_install (GObjectClass *klass, guint first, gboolean tracking,
    GParamFlags flags);
/* FALSE: not one of these. */
gboolean gst_int8_objects_set_property (GstInt8ObjectSettings *settings, guint first, guint id,
    const GValue *value);
gboolean gst_int8_objects_get_property (const GstInt8ObjectSettings *settings, guint first,
    guint id, GValue *value);

G_END_DECLS
