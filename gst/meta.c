/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* meta.c: writing classification metadata; the layouts are described in meta.h. */
#include "gst/meta.h"

#include <gst/video/video.h>

#ifdef HAVE_GST_ANALYTICS
#include <gst/analytics/analytics.h>
#endif

gboolean
gst_int8_meta_register (void)
{
  /* No tags: the result stays true when the frame is converted, scaled or cropped. */
  static const char *tags[] = {NULL};

  return gst_meta_get_info (GST_INT8_CLASSIFICATION_META) != NULL ||
         gst_meta_register_custom (GST_INT8_CLASSIFICATION_META, tags, NULL, NULL, NULL) != NULL;
}

/* Interned strings, unlike others, are not copied for every frame. */
static void
set_string (GstStructure *structure, const char *field, const char *interned)
{
  GValue value = G_VALUE_INIT;

  g_value_init (&value, G_TYPE_STRING);
  g_value_set_interned_string (&value, interned);
  gst_structure_take_value (structure, field, &value);
}

static void
set_names (GstStructure *structure, const GstInt8Result *result)
{
  set_string (structure, "model_name", result->model_name);
  set_string (structure, "attribute_name", result->attribute_name);
  if (result->older)
    gst_structure_set (structure, "result_timestamp", G_TYPE_UINT64, result->of_pts, NULL);
}

static void
set_class (GstStructure *structure, const GstInt8Result *result, const GstInt8Class *class)
{
  set_string (structure, "label", gst_int8_labels_get (result->labels, class->index));
  gst_structure_set (structure, "label_id", G_TYPE_INT, (int) class->index, "confidence",
      G_TYPE_DOUBLE, (double) class->confidence, NULL);
}

static void
attach_roi (GstBuffer *buffer, const GstInt8Result *result)
{
  const GstInt8Object *object = result->object;
  GstVideoRegionOfInterestMeta *roi = object ? object->region : NULL;

  if (!roi && object)
    roi = gst_buffer_add_video_region_of_interest_meta (buffer, result->attribute_name,
        (guint) object->rect.x, (guint) object->rect.y, (guint) object->rect.width,
        (guint) object->rect.height);
  else if (!roi)
    roi = gst_buffer_add_video_region_of_interest_meta (buffer, result->attribute_name, 0, 0,
        result->width, result->height);
  for (guint i = 0; i < result->n_classes; i++) {
    GstStructure *param = gst_structure_new_empty ("classification");

    set_class (param, result, &result->classes[i]);
    set_names (param, result);
    gst_video_region_of_interest_meta_add_param (roi, param);
  }
}

/* The three arrays, best first. */
static void
set_arrays (GstStructure *structure, const GstInt8Result *result)
{
  GValue labels = G_VALUE_INIT, ids = G_VALUE_INIT, confidences = G_VALUE_INIT;

  gst_value_array_init (&labels, result->n_classes);
  gst_value_array_init (&ids, result->n_classes);
  gst_value_array_init (&confidences, result->n_classes);
  for (guint i = 0; i < result->n_classes; i++) {
    const GstInt8Class *class = &result->classes[i];
    GValue value = G_VALUE_INIT;

    g_value_init (&value, G_TYPE_STRING);
    g_value_set_interned_string (&value, gst_int8_labels_get (result->labels, class->index));
    gst_value_array_append_and_take_value (&labels, &value);
    g_value_init (&value, G_TYPE_INT);
    g_value_set_int (&value, (int) class->index);
    gst_value_array_append_and_take_value (&ids, &value);
    g_value_init (&value, G_TYPE_DOUBLE);
    g_value_set_double (&value, class->confidence);
    gst_value_array_append_and_take_value (&confidences, &value);
  }
  gst_structure_take_value (structure, "labels", &labels);
  gst_structure_take_value (structure, "label_ids", &ids);
  gst_structure_take_value (structure, "confidences", &confidences);
}

static void
set_object (GstStructure *structure, const GstInt8Result *result)
{
  const GstInt8Object *object = result->object;
  const EngineRect *rect = &object->rect;

  gst_structure_set (structure, "x", G_TYPE_INT, rect->x, "y", G_TYPE_INT, rect->y, "width",
      G_TYPE_INT, rect->width, "height", G_TYPE_INT, rect->height, "frame_width", G_TYPE_INT,
      (int) result->width, "frame_height", G_TYPE_INT, (int) result->height, NULL);
  set_string (structure, "object_class", object->type);
  gst_structure_set (structure, "region_id", G_TYPE_INT,
      object->region ? object->region->id : (int) object->detection, NULL);
  if (object->confidence >= 0)
    gst_structure_set (structure, "object_confidence", G_TYPE_DOUBLE, object->confidence, NULL);
  if (object->label_id >= 0)
    gst_structure_set (structure, "object_label_id", G_TYPE_INT, object->label_id, NULL);
  if (object->is_tracked)
    gst_structure_set (structure, "object_id", G_TYPE_UINT64, object->track, NULL);
}

static void
set_all (GstStructure *structure, const GstInt8Result *result)
{
  set_class (structure, result, &result->classes[0]);
  set_arrays (structure, result);
  set_names (structure, result);
  if (result->object)
    set_object (structure, result);
}

static void
attach_custom (GstBuffer *buffer, const GstInt8Result *result)
{
  GstCustomMeta *meta = gst_buffer_add_custom_meta (buffer, GST_INT8_CLASSIFICATION_META);

  set_all (gst_custom_meta_get_structure (meta), result);
}

#ifdef HAVE_GST_ANALYTICS

static gboolean
add_classification (GstAnalyticsRelationMeta *relations, const GstInt8Result *result,
    GstAnalyticsClsMtd *classification)
{
  float confidences[GST_INT8_MAX_TOP_K];
  GQuark labels[GST_INT8_MAX_TOP_K];

  for (guint i = 0; i < result->n_classes; i++) {
    confidences[i] = result->classes[i].confidence;
    labels[i] = gst_int8_labels_get_quark (result->labels, result->classes[i].index);
  }
  return gst_analytics_relation_meta_add_cls_mtd (relations, result->n_classes, confidences, labels,
      classification);
}

/* Both camps' relations are one value: a second call would replace the first one's. */
static gboolean
relate (GstAnalyticsRelationMeta *relations, guint detection, guint classification)
{
  return gst_analytics_relation_meta_set_relation (relations,
             GST_ANALYTICS_REL_TYPE_CONTAIN | GST_ANALYTICS_REL_TYPE_RELATE_TO, detection,
             classification) &&
         gst_analytics_relation_meta_set_relation (relations, GST_ANALYTICS_REL_TYPE_IS_PART_OF,
             classification, detection);
}

/* A classification itself has no place for a time. */
static void
attach_time (GstBuffer *buffer, guint classification, GstClockTime pts)
{
  g_autoptr (GstCaps) reference =
      gst_caps_new_simple (GST_INT8_RESULT_TIMESTAMP, "mtd", G_TYPE_UINT, classification, NULL);

  gst_buffer_add_reference_timestamp_meta (buffer, reference, pts, GST_CLOCK_TIME_NONE);
}

static void
attach_analytics (GstBuffer *buffer, const GstInt8Result *result)
{
  GstAnalyticsRelationMeta *relations = gst_buffer_add_analytics_relation_meta (buffer);
  GstAnalyticsClsMtd classification;

  g_return_if_fail (!result->object || !result->object->region);
  if (!relations || !add_classification (relations, result, &classification)) {
    GST_WARNING ("GstAnalyticsRelationMeta takes no classification: this result is not in it");
    return;
  }
  if (result->object && !relate (relations, result->object->detection, classification.id))
    GST_WARNING ("detection %u of GstAnalyticsRelationMeta takes no relation: its result has none",
        result->object->detection);
  if (result->older && GST_CLOCK_TIME_IS_VALID (result->of_pts))
    attach_time (buffer, classification.id, result->of_pts);
}

#endif

void
gst_int8_meta_attach (GstBuffer *buffer, const GstInt8Result *result, GstInt8Metadata kinds)
{
  if (kinds & GST_INT8_METADATA_ROI)
    attach_roi (buffer, result);
  if (kinds & GST_INT8_METADATA_CUSTOM)
    attach_custom (buffer, result);
#ifdef HAVE_GST_ANALYTICS
  if (kinds & GST_INT8_METADATA_ANALYTICS)
    attach_analytics (buffer, result);
#endif
}

const GstStructure *
gst_int8_meta_next (GstBuffer *buffer, gpointer *state)
{
  GstMeta *meta;

  while ((meta = gst_buffer_iterate_meta (buffer, state)))
    if (gst_meta_info_is_custom (meta->info) &&
        gst_custom_meta_has_name ((GstCustomMeta *) meta, GST_INT8_CLASSIFICATION_META))
      return gst_custom_meta_get_structure ((GstCustomMeta *) meta);
  return NULL;
}

static gboolean
has_roi (GstBuffer *buffer)
{
  gpointer state = NULL;
  GstMeta *meta;

  while ((meta = gst_buffer_iterate_meta_filtered (buffer, &state,
              GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE)))
    if (gst_video_region_of_interest_meta_get_param ((GstVideoRegionOfInterestMeta *) meta,
            "classification"))
      return TRUE;
  return FALSE;
}

static gboolean
has_analytics (GstBuffer *buffer)
{
#ifdef HAVE_GST_ANALYTICS
  GstAnalyticsRelationMeta *relations = gst_buffer_get_analytics_relation_meta (buffer);
  GstAnalyticsClsMtd classes;
  gpointer state = NULL;

  return relations && gst_analytics_relation_meta_iterate (relations, &state,
                          gst_analytics_cls_mtd_get_mtd_type (), &classes);
#else
  return FALSE;
#endif
}

void
gst_int8_meta_warn_of_others (GstElement *element, GstBuffer *buffer, gboolean *warned)
{
  if (*warned || !(has_roi (buffer) || has_analytics (buffer)))
    return;
  *warned = TRUE;
  GST_ELEMENT_WARNING (element, STREAM, FORMAT,
      ("frames have classifications, but none as " GST_INT8_CLASSIFICATION_META
       ", which is what is read here: set metadata=auto, both or custom of int8infer"),
      (NULL));
}

/* As GstVideoRegionOfInterestMeta, which is scaled with its frame, does it (before 1.28: meta-json.c). */
static int
scale (int x, int to, int from)
{
  return to > 0 && from > 0 ? (int) ((gint64) x * to / from) : x;
}

gboolean
gst_int8_meta_get_rect (const GstStructure *fields, int width, int height, EngineRect *rect)
{
  int frame_width = 0, frame_height = 0;

  *rect = (EngineRect){0};
  if (!gst_structure_has_field (fields, "object_class"))
    return FALSE;
  gst_structure_get (fields, "x", G_TYPE_INT, &rect->x, "y", G_TYPE_INT, &rect->y, "width",
      G_TYPE_INT, &rect->width, "height", G_TYPE_INT, &rect->height, NULL);
  gst_structure_get (fields, "frame_width", G_TYPE_INT, &frame_width, "frame_height", G_TYPE_INT,
      &frame_height, NULL);
  rect->x = scale (rect->x, width, frame_width);
  rect->y = scale (rect->y, height, frame_height);
  rect->width = scale (rect->width, width, frame_width);
  rect->height = scale (rect->height, height, frame_height);
  return TRUE;
}

GstMessage *
gst_int8_result_message (GstObject *source, const GstInt8Result *result, const GstBuffer *buffer,
    const GstSegment *segment)
{
  const GstClockTime timestamp = GST_BUFFER_PTS (buffer);
  guint64 running = GST_CLOCK_TIME_NONE, stream = GST_CLOCK_TIME_NONE;
  GstStructure *structure;

  if (segment->format == GST_FORMAT_TIME && GST_CLOCK_TIME_IS_VALID (timestamp)) {
    running = gst_segment_to_running_time (segment, GST_FORMAT_TIME, timestamp);
    stream = gst_segment_to_stream_time (segment, GST_FORMAT_TIME, timestamp);
  }
  /* clang-format off */
  structure = gst_structure_new ("int8-classification",
      "timestamp", G_TYPE_UINT64, timestamp,
      "duration", G_TYPE_UINT64, GST_BUFFER_DURATION (buffer),
      "running-time", G_TYPE_UINT64, running,
      "stream-time", G_TYPE_UINT64, stream, NULL);
  /* clang-format on */
  set_all (structure, result);
  return gst_message_new_element (source, structure);
}
