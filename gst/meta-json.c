/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* meta-json.c: see meta-json.h. */
#include "gst/meta-json.h"

#include <json-glib/json-glib.h>

#include "gst/meta.h"

static int
get_int (const GstStructure *fields, const char *name)
{
  int value = 0;

  gst_structure_get_int (fields, name, &value);
  return value;
}

static void
add_class (JsonBuilder *json, const char *label, int id, double confidence)
{
  json_builder_set_member_name (json, "label");
  json_builder_add_string_value (json, label);
  json_builder_set_member_name (json, "label_id");
  json_builder_add_int_value (json, id);
  json_builder_set_member_name (json, "confidence");
  json_builder_add_double_value (json, confidence);
}

/* All of top-k, where there is more than one. */
static void
add_classes (JsonBuilder *json, const GstStructure *fields)
{
  const GValue *labels = gst_structure_get_value (fields, "labels");
  const GValue *ids = gst_structure_get_value (fields, "label_ids");
  const GValue *confidences = gst_structure_get_value (fields, "confidences");
  const guint n = gst_value_array_get_size (labels);

  if (n < 2)
    return;
  json_builder_set_member_name (json, "classes");
  json_builder_begin_array (json);
  for (guint i = 0; i < n; i++) {
    json_builder_begin_object (json);
    add_class (json, g_value_get_string (gst_value_array_get_value (labels, i)),
        g_value_get_int (gst_value_array_get_value (ids, i)),
        g_value_get_double (gst_value_array_get_value (confidences, i)));
    json_builder_end_object (json);
  }
  json_builder_end_array (json);
}

static void
add_attribute (JsonBuilder *json, const GstStructure *fields)
{
  double confidence = 0;

  gst_structure_get_double (fields, "confidence", &confidence);
  json_builder_set_member_name (json, gst_structure_get_string (fields, "attribute_name"));
  json_builder_begin_object (json);
  add_class (json, gst_structure_get_string (fields, "label"), get_int (fields, "label_id"),
      confidence);
  json_builder_set_member_name (json, "model");
  json_builder_begin_object (json);
  json_builder_set_member_name (json, "name");
  json_builder_add_string_value (json, gst_structure_get_string (fields, "model_name"));
  json_builder_end_object (json);
  add_classes (json, fields);
  json_builder_end_object (json);
}

static void
add_number (JsonBuilder *json, const char *name, gint64 value)
{
  json_builder_set_member_name (json, name);
  json_builder_add_int_value (json, value);
}

static void
add_share (JsonBuilder *json, const char *name, int value, int of)
{
  json_builder_set_member_name (json, name);
  json_builder_add_double_value (json, (double) value / of);
}

static void
add_detection (JsonBuilder *json, const GstInt8MetaJsonFrame *frame, const GstStructure *fields,
    const EngineRect *rect)
{
  json_builder_set_member_name (json, "detection");
  json_builder_begin_object (json);
  if (frame->width > 0 && frame->height > 0) {
    json_builder_set_member_name (json, "bounding_box");
    json_builder_begin_object (json);
    add_share (json, "x_min", rect->x, frame->width);
    add_share (json, "y_min", rect->y, frame->height);
    add_share (json, "x_max", rect->x + rect->width, frame->width);
    add_share (json, "y_max", rect->y + rect->height, frame->height);
    json_builder_end_object (json);
  }
  json_builder_set_member_name (json, "label");
  json_builder_add_string_value (json, gst_structure_get_string (fields, "object_class"));
  json_builder_end_object (json);
}

static void
add_object (JsonBuilder *json, const GstInt8MetaJsonFrame *frame, const GstStructure *fields)
{
  const gboolean is_object = gst_structure_has_field (fields, "object_class");
  const EngineRect rect = is_object ? (EngineRect){get_int (fields, "x"), get_int (fields, "y"),
                                          get_int (fields, "width"), get_int (fields, "height")}
                                    : (EngineRect){0, 0, frame->width, frame->height};
  guint64 id;

  json_builder_begin_object (json);
  add_number (json, "x", rect.x);
  add_number (json, "y", rect.y);
  add_number (json, "w", rect.width);
  add_number (json, "h", rect.height);
  json_builder_set_member_name (json, "roi_type");
  json_builder_add_string_value (json,
      is_object ? gst_structure_get_string (fields, "object_class") : "frame");
  if (gst_structure_get_uint64 (fields, "object_id", &id))
    add_number (json, "id", (gint64) id);
  if (is_object)
    add_detection (json, frame, fields, &rect);
  add_attribute (json, fields);
  json_builder_end_object (json);
}

static void
add_frame (JsonBuilder *json, const GstInt8MetaJsonFrame *frame)
{
  if (frame->width > 0) {
    json_builder_set_member_name (json, "resolution");
    json_builder_begin_object (json);
    add_number (json, "width", frame->width);
    add_number (json, "height", frame->height);
    json_builder_end_object (json);
  }
  if (GST_CLOCK_TIME_IS_VALID (frame->timestamp))
    add_number (json, "timestamp", (gint64) frame->timestamp);
  if (frame->source) {
    json_builder_set_member_name (json, "source");
    json_builder_add_string_value (json, frame->source);
  }
  if (frame->tags) {
    json_builder_set_member_name (json, "tags");
    json_builder_add_value (json, json_from_string (frame->tags, NULL));
  }
}

char *
gst_int8_meta_to_json (GstBuffer *buffer, const GstInt8MetaJsonFrame *frame, gboolean empty)
{
  g_autoptr (JsonBuilder) json = json_builder_new_immutable ();
  g_autoptr (JsonNode) root = NULL;
  gpointer state = NULL;
  const GstStructure *fields;
  guint n = 0;

  json_builder_begin_object (json);
  json_builder_set_member_name (json, "objects");
  json_builder_begin_array (json);
  while ((fields = gst_int8_meta_next (buffer, &state))) {
    add_object (json, frame, fields);
    n++;
  }
  json_builder_end_array (json);
  if (n == 0 && !empty)
    return NULL;
  add_frame (json, frame);
  json_builder_end_object (json);
  root = json_builder_get_root (json);
  return json_to_string (root, FALSE);
}
