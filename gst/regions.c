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

void
gst_int8_region_filter_clear (GstInt8RegionFilter *filter)
{
  g_clear_pointer (&filter->classes, g_strfreev);
}

static gboolean
is_wanted (const GstInt8RegionFilter *filter, const GstInt8Object *object)
{
  const EngineRect *rect = &object->rect;

  return rect->width >= filter->min_width && rect->height >= filter->min_height &&
         (!filter->max_width || rect->width <= filter->max_width) &&
         (!filter->max_height || rect->height <= filter->max_height) &&
         (!filter->classes ||
             g_strv_contains ((const char *const *) filter->classes, object->type));
}

static const char *
type_name (GQuark type)
{
  return type ? g_quark_to_string (type) : "";
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

static void
read_track (const GstAnalyticsODMtd *detection, GstInt8Object *object)
{
  GstAnalyticsTrackingMtd tracking;
  GstClockTime first, last;
  gboolean lost;
  gpointer state = NULL;

  object->is_tracked =
      gst_analytics_relation_meta_get_direct_related (detection->meta, detection->id,
          GST_ANALYTICS_REL_TYPE_ANY, gst_analytics_tracking_mtd_get_mtd_type (), &state,
          &tracking) &&
      gst_analytics_tracking_mtd_get_info (&tracking, &object->track, &first, &last, &lost);
}

static gboolean
next_wanted_detection (GstInt8Regions *regions, GstInt8Object *object)
{
  GstAnalyticsODMtd detection;
  int x, y, width, height;
  float confidence;

  while (next_detection (regions, &detection)) {
    *object = (GstInt8Object){.type = type_name (gst_analytics_od_mtd_get_obj_type (&detection)),
        .label_id = -1,
        .detection = detection.id};
    if (gst_analytics_od_mtd_get_location (&detection, &x, &y, &width, &height, &confidence) &&
        cut (&regions->frame, x, y, width, height, &object->rect) &&
        is_wanted (regions->filter, object)) {
      object->confidence = confidence;
      read_track (&detection, object);
      return TRUE;
    }
  }
  return FALSE;
}

#else

static gboolean
has_detections (GstInt8Regions *regions)
{
  return FALSE;
}

static gboolean
next_wanted_detection (GstInt8Regions *regions, GstInt8Object *object)
{
  return FALSE;
}

#endif

/* --- Regions of interest --------------------------------------------------------------------- */

static void
read_object_id (GstVideoRegionOfInterestMeta *region, GstInt8Object *object)
{
  const GstStructure *param = gst_video_region_of_interest_meta_get_param (region, "object_id");
  int id;

  object->is_tracked = param && gst_structure_get_int (param, "id", &id);
  if (object->is_tracked)
    object->track = (guint64) id;
}

/* What DL Streamer's detectors say of their finding. */
static void
read_detection (GstVideoRegionOfInterestMeta *region, GstInt8Object *object)
{
  const GstStructure *param = gst_video_region_of_interest_meta_get_param (region, "detection");

  if (param) {
    gst_structure_get_double (param, "confidence", &object->confidence);
    gst_structure_get_int (param, "label_id", &object->label_id);
  }
}

static gboolean
next_wanted_roi (GstInt8Regions *regions, GstInt8Object *object)
{
  GstMeta *meta;

  while ((meta = gst_buffer_iterate_meta_filtered (regions->buffer, &regions->state,
              GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE))) {
    GstVideoRegionOfInterestMeta *region = (GstVideoRegionOfInterestMeta *) meta;

    *object = (GstInt8Object){.type = type_name (region->roi_type),
        .confidence = -1,
        .label_id = -1,
        .region = region};
    if (cut (&regions->frame, region->x, region->y, region->w, region->h, &object->rect) &&
        is_wanted (regions->filter, object)) {
      read_object_id (region, object);
      read_detection (region, object);
      return TRUE;
    }
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
gst_int8_regions_next (GstInt8Regions *regions, GstInt8Object *object)
{
  return regions->detections ? next_wanted_detection (regions, object)
                             : next_wanted_roi (regions, object);
}
