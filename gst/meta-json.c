/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* meta-json.c: see meta-json.h. */
#include "gst/meta-json.h"

#include <string.h>

#include "gst/json-text.h"
#include "gst/meta.h"

#define FLOAT_DIGITS  9
#define DOUBLE_DIGITS 17

static int
get_int (const GstStructure *fields, const char *name)
{
  int value = 0;

  gst_structure_get_int (fields, name, &value);
  return value;
}

/* --- Attributes ------------------------------------------------------------------------------ */

static void
add_class (GString *text, const char *label, int id, double confidence)
{
  gst_int8_json_string (text, "label", label);
  gst_int8_json_int (text, "label_id", id);
  gst_int8_json_double (text, "confidence", confidence, FLOAT_DIGITS);
}

/* All of top-k, where there is more than one. */
static void
add_classes (GString *text, const GstStructure *fields)
{
  const GValue *labels = gst_structure_get_value (fields, "labels");
  const GValue *ids = gst_structure_get_value (fields, "label_ids");
  const GValue *confidences = gst_structure_get_value (fields, "confidences");
  const guint n = gst_value_array_get_size (labels);

  if (n < 2)
    return;
  gst_int8_json_begin (text, "classes", '[');
  for (guint i = 0; i < n; i++) {
    gst_int8_json_begin (text, NULL, '{');
    add_class (text, g_value_get_string (gst_value_array_get_value (labels, i)),
        g_value_get_int (gst_value_array_get_value (ids, i)),
        g_value_get_double (gst_value_array_get_value (confidences, i)));
    gst_int8_json_end (text, '}');
  }
  gst_int8_json_end (text, ']');
}

/* Nothing where it is unknown. An older frame may lie before the segment: its time is negative, then. */
static void
add_time (GString *text, const char *name, const GstSegment *segment, GstClockTime pts)
{
  guint64 time = pts;
  int sign = 0;

  if (!GST_CLOCK_TIME_IS_VALID (pts))
    return;
  if (segment->format == GST_FORMAT_TIME)
    sign = gst_segment_to_stream_time_full (segment, GST_FORMAT_TIME, pts, &time);
  gst_int8_json_int (text, name, sign == 0 ? (gint64) pts : sign * (gint64) time);
}

static void
add_attribute (GString *text, const GstInt8MetaJsonFrame *frame, const GstStructure *fields,
    const char *name)
{
  double confidence = 0;
  guint64 timestamp;

  gst_structure_get_double (fields, "confidence", &confidence);
  gst_int8_json_begin (text, name, '{');
  add_class (text, gst_structure_get_string (fields, "label"), get_int (fields, "label_id"),
      confidence);
  gst_int8_json_begin (text, "model", '{');
  gst_int8_json_string (text, "name", gst_structure_get_string (fields, "model_name"));
  gst_int8_json_end (text, '}');
  if (gst_structure_get_uint64 (fields, "result_timestamp", &timestamp))
    add_time (text, "result_timestamp", frame->segment, timestamp);
  add_classes (text, fields);
  gst_int8_json_end (text, '}');
}

/* Two members of an object cannot have one name: how many there are already. */
static guint
count_named (const GPtrArray *results, guint first, guint at, const char *name)
{
  static const char *const fixed[] = {"x", "y", "w", "h", "region_id", "roi_type", "id",
      "detection", NULL};
  guint n = g_strv_contains (fixed, name);

  for (guint i = first; i < at; i++)
    n += g_str_equal (gst_structure_get_string (g_ptr_array_index (results, i), "attribute_name"),
        name);
  return n;
}

static void
add_named_attribute (GString *text, const GstInt8MetaJsonFrame *frame, const GPtrArray *results,
    guint first, guint at)
{
  const GstStructure *fields = g_ptr_array_index (results, at);
  const char *name = gst_structure_get_string (fields, "attribute_name");
  const guint n = count_named (results, first, at, name);

  if (n == 0) {
    add_attribute (text, frame, fields, name);
  } else {
    g_autofree char *other = g_strdup_printf ("%s#%u", name, n + 1);

    add_attribute (text, frame, fields, other);
  }
}

/* --- Objects --------------------------------------------------------------------------------- */

/* -1: the frame itself. */
static int
get_region (const GstStructure *fields)
{
  return gst_structure_has_field (fields, "object_class") ? get_int (fields, "region_id") : -1;
}

/* Whether two results are of one object. Regions that nobody has numbered have the same number. Of frames of
 * two sizes the smaller tells: from 1.28 on GStreamer rounds the corners of a region that it scales, which were
 * cut off before, and some of its elements still cut off, so that each may be a pixel away. */
static gboolean
is_same (const GstStructure *a, const GstStructure *b)
{
  const int aw = get_int (a, "frame_width"), ah = get_int (a, "frame_height");
  const int bw = get_int (b, "frame_width"), bh = get_int (b, "frame_height");
  const int most = aw == bw && ah == bh ? 0 : 1;
  EngineRect ra, rb;

  gst_int8_meta_get_rect (a, MIN (aw, bw), MIN (ah, bh), &ra);
  gst_int8_meta_get_rect (b, MIN (aw, bw), MIN (ah, bh), &rb);
  return get_region (a) == get_region (b) && ABS (ra.x - rb.x) <= most &&
         ABS (ra.y - rb.y) <= most && ABS (ra.width - rb.width) <= most &&
         ABS (ra.height - rb.height) <= most &&
         g_strcmp0 (gst_structure_get_string (a, "object_class"),
             gst_structure_get_string (b, "object_class")) == 0;
}

static void
add_share (GString *text, const char *name, int value, int of)
{
  gst_int8_json_double (text, name, (double) value / of, DOUBLE_DIGITS);
}

static void
add_detection (GString *text, const GstInt8MetaJsonFrame *frame, const GstStructure *fields,
    const EngineRect *rect)
{
  const char *label = gst_structure_get_string (fields, "object_class");
  double confidence;
  int id;

  gst_int8_json_begin (text, "detection", '{');
  if (frame->width > 0 && frame->height > 0) {
    gst_int8_json_begin (text, "bounding_box", '{');
    add_share (text, "x_min", rect->x, frame->width);
    add_share (text, "y_min", rect->y, frame->height);
    add_share (text, "x_max", rect->x + rect->width, frame->width);
    add_share (text, "y_max", rect->y + rect->height, frame->height);
    gst_int8_json_end (text, '}');
  }
  if (gst_structure_get_double (fields, "object_confidence", &confidence))
    gst_int8_json_double (text, "confidence", confidence, FLOAT_DIGITS);
  if (gst_structure_get_int (fields, "object_label_id", &id))
    gst_int8_json_int (text, "label_id", id);
  if (*label)
    gst_int8_json_string (text, "label", label);
  gst_int8_json_end (text, '}');
}

static void
add_place (GString *text, const GstInt8MetaJsonFrame *frame, const GstStructure *fields)
{
  EngineRect rect;
  const gboolean is_object = gst_int8_meta_get_rect (fields, frame->width, frame->height, &rect);
  const char *type = is_object ? gst_structure_get_string (fields, "object_class") : "";
  guint64 id;

  if (!is_object)
    rect = (EngineRect){0, 0, frame->width, frame->height};
  gst_int8_json_int (text, "x", rect.x);
  gst_int8_json_int (text, "y", rect.y);
  gst_int8_json_int (text, "w", rect.width);
  gst_int8_json_int (text, "h", rect.height);
  if (is_object)
    gst_int8_json_int (text, "region_id", get_region (fields));
  if (*type)
    gst_int8_json_string (text, "roi_type", type);
  if (gst_structure_get_uint64 (fields, "object_id", &id))
    gst_int8_json_int (text, "id", (gint64) id);
  if (is_object)
    add_detection (text, frame, fields, &rect);
}

/* Results of one object are together: in their order, but that those of others come later. */
static void
group (GPtrArray *results)
{
  for (guint first = 0, end; first < results->len; first = end) {
    end = first + 1;
    for (guint i = end; i < results->len; i++)
      if (is_same (results->pdata[first], results->pdata[i])) {
        gpointer moved = results->pdata[i];

        memmove (&results->pdata[end + 1], &results->pdata[end],
            (i - end) * sizeof *results->pdata);
        results->pdata[end++] = moved;
      }
  }
}

static void
add_objects (GString *text, const GPtrArray *results, const GstInt8MetaJsonFrame *frame)
{
  gst_int8_json_begin (text, "objects", '[');
  for (guint first = 0, i; first < results->len; first = i) {
    gst_int8_json_begin (text, NULL, '{');
    add_place (text, frame, results->pdata[first]);
    for (i = first; i < results->len && is_same (results->pdata[first], results->pdata[i]); i++)
      add_named_attribute (text, frame, results, first, i);
    gst_int8_json_end (text, '}');
  }
  gst_int8_json_end (text, ']');
}

/* --- Frame ----------------------------------------------------------------------------------- */

static void
add_frame (GString *text, const GstInt8MetaJsonFrame *frame, const GstBuffer *buffer)
{
  if (frame->width > 0) {
    gst_int8_json_begin (text, "resolution", '{');
    gst_int8_json_int (text, "width", frame->width);
    gst_int8_json_int (text, "height", frame->height);
    gst_int8_json_end (text, '}');
  }
  add_time (text, "timestamp", frame->segment, GST_BUFFER_PTS (buffer));
  if (frame->source)
    gst_int8_json_string (text, "source", frame->source);
  if (frame->tags)
    gst_int8_json_raw (text, "tags", frame->tags);
}

gboolean
gst_int8_meta_to_json (GString *text, GPtrArray *results, GstBuffer *buffer,
    const GstInt8MetaJsonFrame *frame, gboolean empty)
{
  const GstStructure *fields;
  gpointer state = NULL;

  g_string_truncate (text, 0);
  g_ptr_array_set_size (results, 0);
  while ((fields = gst_int8_meta_next (buffer, &state)))
    g_ptr_array_add (results, (gpointer) fields);
  if (results->len == 0 && !empty)
    return FALSE;
  group (results);
  gst_int8_json_begin (text, NULL, '{');
  add_objects (text, results, frame);
  add_frame (text, frame, buffer);
  gst_int8_json_end (text, '}');
  return TRUE;
}
