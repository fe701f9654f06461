/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* regions.c: see regions.h. */
#include "gst/regions.h"

#ifdef HAVE_GST_ANALYTICS
#include <gst/analytics/analytics.h>
#endif

/* In 64 bits, since detectors' numbers may be anything. */
static gboolean
cut (const EngineRect *frame, gint64 x, gint64 y, gint64 width, gint64 height, EngineRect *object)
{
  const gint64 left = MAX (x, frame->x), top = MAX (y, frame->y);
  const gint64 right = MIN (x + width, frame->x + frame->width);
  const gint64 bottom = MIN (y + height, frame->y + frame->height);

  if (right <= left || bottom <= top)
    return FALSE;
  *object = (EngineRect){(int) left, (int) top, (int) (right - left), (int) (bottom - top)};
  return TRUE;
}

static gboolean
is_wanted (const GstInt8RegionFilter *filter, GQuark type, const EngineRect *object)
{
  const char *name = type ? g_quark_to_string (type) : "";

  return object->width >= filter->min_width && object->height >= filter->min_height &&
         (!filter->classes || g_strv_contains ((const char *const *) filter->classes, name));
}

/* --- Detections ------------------------------------------------------------------------------ */

#ifdef HAVE_GST_ANALYTICS

static gboolean
next_detection (GstInt8Regions *regions, GstAnalyticsODMtd *detection)
{
  GstAnalyticsRelationMeta *meta = gst_buffer_get_analytics_relation_meta (regions->buffer);

  return meta && gst_analytics_relation_meta_iterate (meta, &regions->state,
                     gst_analytics_od_mtd_get_mtd_type (), detection);
}

static gboolean
has_detections (GstInt8Regions *regions)
{
  GstAnalyticsODMtd detection;
  const gboolean found = next_detection (regions, &detection);

  regions->state = NULL;
  return found;
}

static gboolean
next_wanted_detection (GstInt8Regions *regions, EngineRect *object)
{
  GstAnalyticsODMtd detection;
  int x, y, width, height;
  float confidence;

  while (next_detection (regions, &detection))
    if (gst_analytics_od_mtd_get_location (&detection, &x, &y, &width, &height, &confidence) &&
        cut (&regions->frame, x, y, width, height, object) &&
        is_wanted (regions->filter, gst_analytics_od_mtd_get_obj_type (&detection), object))
      return TRUE;
  return FALSE;
}

#else

static gboolean
has_detections (GstInt8Regions *regions)
{
  return FALSE;
}

static gboolean
next_wanted_detection (GstInt8Regions *regions, EngineRect *object)
{
  return FALSE;
}

#endif

/* --- Regions of interest --------------------------------------------------------------------- */

static gboolean
next_wanted_roi (GstInt8Regions *regions, EngineRect *object)
{
  GstMeta *meta;

  while ((meta = gst_buffer_iterate_meta_filtered (regions->buffer, &regions->state,
              GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE))) {
    const GstVideoRegionOfInterestMeta *roi = (const GstVideoRegionOfInterestMeta *) meta;

    if (cut (&regions->frame, roi->x, roi->y, roi->w, roi->h, object) &&
        is_wanted (regions->filter, roi->roi_type, object))
      return TRUE;
  }
  return FALSE;
}

void
gst_int8_regions_init (GstInt8Regions *regions, GstBuffer *buffer, const EngineRect *frame,
    const GstInt8RegionFilter *filter)
{
  *regions = (GstInt8Regions){.buffer = buffer, .filter = filter, .frame = *frame};
  regions->detections = has_detections (regions);
}

gboolean
gst_int8_regions_next (GstInt8Regions *regions, EngineRect *object)
{
  return regions->detections ? next_wanted_detection (regions, object)
                             : next_wanted_roi (regions, object);
}
