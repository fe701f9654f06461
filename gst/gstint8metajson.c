/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gstint8metajson.c: results as lines of JSON, in a file, on standard output or to an MQTT broker.
 */
/**
 * SECTION:element-int8metajson
 * @title: int8metajson
 * @short_description: writes classification results as lines of JSON
 *
 * Frames pass unchanged. For each that has results of int8infer one line is written, with the field names of
 * DL Streamer's gvametaconvert (docs/ELEMENTS.md). int8infer must have metadata=auto, both or custom.
 *
 * |[
 * gst-launch-1.0 filesrc location=video.mp4 ! decodebin ! videoconvert ! int8infer model=model.onnx
 * calibration-table=model.table ! int8metajson location=results.json ! fakesink
 * gst-launch-1.0 v4l2src ! videoconvert ! int8infer model=model.onnx calibration-table=model.table !
 * int8metajson source=gate mqtt-address=broker.example mqtt-topic=cameras/gate ! fakesink
 * ]|
 */
#include "gst/gstint8metajson.h"

#include <errno.h>
#include <json-glib/json-glib.h>
#include <stdio.h>
#include <string.h>

#include "gst/config.h"
#include "gst/meta-json.h"
#include "gst/meta.h"
#include "gst/mqtt-element.h"

GST_DEBUG_CATEGORY_STATIC (gst_int8_meta_json_debug);
#define GST_CAT_DEFAULT gst_int8_meta_json_debug

enum { PROP_LOCATION = 1, PROP_APPEND, PROP_ADD_EMPTY_RESULTS, PROP_SOURCE, PROP_TAGS, PROP_MQTT };

struct _GstInt8MetaJson {
  GstBaseTransform parent;
  /* object lock; taken when the element starts */
  char *location, *source, *tags;
  gboolean append, empty;
  GstInt8MqttValues mqtt_values;
  GstInt8Mqtt *mqtt; /* between start() and stop(), which alone change it */
  /* the streaming thread's, from start() on */
  FILE *file; /* NULL: to the broker only */
  GstClockTime drain;
  char *run_source, *run_tags;
  gboolean run_empty;
  GString *line;      /* memory for one after the other */
  GPtrArray *results; /* the same */
  GstVideoInfo info;
  gboolean has_info;
  gboolean warned; /* of results that it does not read */
};

G_DEFINE_FINAL_TYPE (GstInt8MetaJson, gst_int8_meta_json, GST_TYPE_BASE_TRANSFORM)
GST_ELEMENT_REGISTER_DEFINE (int8metajson, "int8metajson", GST_RANK_NONE, GST_TYPE_INT8_META_JSON)

static GstStaticPadTemplate sink_template =
    GST_STATIC_PAD_TEMPLATE ("sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS_ANY);
static GstStaticPadTemplate src_template =
    GST_STATIC_PAD_TEMPLATE ("src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS_ANY);

static gboolean
is_given (const char *text)
{
  return text && *text;
}

/* --- Stream ---------------------------------------------------------------------------------- */

static gboolean
check_tags (GstInt8MetaJson *self)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) node = NULL;

  if (!self->run_tags)
    return TRUE;
  node = json_from_string (self->run_tags, &error);
  if (node && JSON_NODE_HOLDS_OBJECT (node)) {
    /* On one line, whatever it was on. */
    g_free (self->run_tags);
    self->run_tags = json_to_string (node, FALSE);
    return TRUE;
  }
  GST_ELEMENT_ERROR (self, RESOURCE, SETTINGS,
      ("tags is no JSON object, such as {\"site\":\"gate 3\"}: %s",
          error ? error->message : "something else"),
      (NULL));
  return FALSE;
}

/* A start() that fails is followed by no stop(). */
static void
clear_run (GstInt8MetaJson *self)
{
  g_clear_pointer (&self->run_source, g_free);
  g_clear_pointer (&self->run_tags, g_free);
}

/* Nothing to write to is standard output, unless there is a broker. */
static gboolean
open_file (GstInt8MetaJson *self, const char *location, gboolean append)
{
  if (!is_given (location)) {
    self->file = self->mqtt ? NULL : stdout;
    return TRUE;
  }
  self->file = fopen (location, append ? "ae" : "we");
  if (self->file)
    return TRUE;
  GST_ELEMENT_ERROR (self, RESOURCE, OPEN_WRITE,
      ("cannot write %s: %s", location, g_strerror (errno)), (NULL));
  return FALSE;
}

static void
set_mqtt (GstInt8MetaJson *self, GstInt8Mqtt *mqtt)
{
  GST_OBJECT_LOCK (self);
  self->mqtt = mqtt;
  GST_OBJECT_UNLOCK (self);
}

static gboolean
start (GstBaseTransform *base)
{
  GstInt8MetaJson *self = GST_INT8_META_JSON (base);
  g_autofree char *location = NULL;
  GstInt8MqttValues values;
  GstInt8Mqtt *mqtt = NULL;
  gboolean append, ok;

  GST_OBJECT_LOCK (self);
  location = g_strdup (self->location);
  append = self->append;
  gst_int8_mqtt_values_copy (&self->mqtt_values, &values);
  self->run_empty = self->empty;
  self->run_source = is_given (self->source) ? g_strdup (self->source) : NULL;
  self->run_tags = is_given (self->tags) ? g_strdup (self->tags) : NULL;
  GST_OBJECT_UNLOCK (self);
  self->has_info = self->warned = FALSE;
  self->drain = values.drain;
  ok = check_tags (self) && gst_int8_mqtt_start (&values, GST_ELEMENT (self), &mqtt);
  gst_int8_mqtt_values_clear (&values);
  set_mqtt (self, mqtt);
  if (ok && open_file (self, location, append))
    return TRUE;
  set_mqtt (self, NULL);
  gst_int8_mqtt_stop (mqtt, GST_ELEMENT (self), 0);
  clear_run (self);
  return FALSE;
}

static gboolean
fail (GstInt8MetaJson *self)
{
  GST_ELEMENT_ERROR (self, RESOURCE, WRITE, ("cannot write results: %s", g_strerror (errno)),
      (NULL));
  return FALSE;
}

static gboolean
stop (GstBaseTransform *base)
{
  GstInt8MetaJson *self = GST_INT8_META_JSON (base);
  FILE *file = g_steal_pointer (&self->file);
  GstInt8Mqtt *mqtt = self->mqtt;
  gboolean ok = TRUE;

  if (file)
    ok = (file == stdout ? fflush (file) : fclose (file)) == 0 || fail (self);
  set_mqtt (self, NULL);
  gst_int8_mqtt_stop (mqtt, GST_ELEMENT (self), self->drain);
  clear_run (self);
  return ok;
}

static gboolean
set_caps (GstBaseTransform *base, GstCaps *in, GstCaps *out)
{
  GstInt8MetaJson *self = GST_INT8_META_JSON (base);

  self->has_info = gst_video_info_from_caps (&self->info, in);
  return TRUE;
}

/* A line is there, whole, when its frame goes on: who follows the file sees results as they come. */
static GstFlowReturn
transform_ip (GstBaseTransform *base, GstBuffer *buffer)
{
  GstInt8MetaJson *self = GST_INT8_META_JSON (base);
  const GstInt8MetaJsonFrame frame = {.width = self->has_info ? self->info.width : 0,
      .height = self->has_info ? self->info.height : 0,
      .segment = &base->segment,
      .source = self->run_source,
      .tags = self->run_tags};
  const gboolean has_line =
      gst_int8_meta_to_json (self->line, self->results, buffer, &frame, self->run_empty);

  if (self->results->len == 0)
    gst_int8_meta_warn_of_others (GST_ELEMENT (self), buffer, &self->warned);
  if (!has_line)
    return GST_FLOW_OK;
  if (self->mqtt)
    gst_int8_mqtt_send (self->mqtt, g_strndup (self->line->str, self->line->len));
  g_string_append_c (self->line, '\n');
  if (self->file && (fwrite (self->line->str, 1, self->line->len, self->file) != self->line->len ||
                        fflush (self->file) != 0)) {
    fail (self);
    return GST_FLOW_ERROR;
  }
  return GST_FLOW_OK;
}

/* --- Properties ------------------------------------------------------------------------------ */

static void
set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstInt8MetaJson *self = GST_INT8_META_JSON (object);
  char **text = id == PROP_LOCATION ? &self->location
                : id == PROP_SOURCE ? &self->source
                : id == PROP_TAGS   ? &self->tags
                                    : NULL;

  GST_OBJECT_LOCK (self);
  if (text) {
    g_free (*text);
    *text = g_value_dup_string (value);
  } else if (id == PROP_APPEND) {
    self->append = g_value_get_boolean (value);
  } else if (id == PROP_ADD_EMPTY_RESULTS) {
    self->empty = g_value_get_boolean (value);
  } else if (!gst_int8_mqtt_values_set (&self->mqtt_values, id - PROP_MQTT, value)) {
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
  GST_OBJECT_UNLOCK (self);
  gst_int8_config_warn_if_late (GST_ELEMENT (self), pspec);
}

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstInt8MetaJson *self = GST_INT8_META_JSON (object);

  GST_OBJECT_LOCK (self);
  if (id == PROP_LOCATION)
    g_value_set_string (value, self->location);
  else if (id == PROP_SOURCE)
    g_value_set_string (value, self->source);
  else if (id == PROP_TAGS)
    g_value_set_string (value, self->tags);
  else if (id == PROP_APPEND || id == PROP_ADD_EMPTY_RESULTS)
    g_value_set_boolean (value, id == PROP_APPEND ? self->append : self->empty);
  else if (!gst_int8_mqtt_values_get (&self->mqtt_values, id - PROP_MQTT, value))
    gst_int8_mqtt_get_stats_value (self->mqtt, value); /* the only one left */
  GST_OBJECT_UNLOCK (self);
}

static void
finalize (GObject *object)
{
  GstInt8MetaJson *self = GST_INT8_META_JSON (object);

  g_free (self->location);
  g_free (self->source);
  g_free (self->tags);
  gst_int8_mqtt_values_clear (&self->mqtt_values);
  g_string_free (self->line, TRUE);
  g_ptr_array_unref (self->results);
  G_OBJECT_CLASS (gst_int8_meta_json_parent_class)->finalize (object);
}

static void
install_properties (GObjectClass *klass)
{
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY;

  g_object_class_install_property (klass, PROP_LOCATION,
      g_param_spec_string ("location", "Location",
          "Path of the file that is written, a line a frame (unset = standard output, or none with "
          "mqtt-address)",
          NULL, flags));
  g_object_class_install_property (klass, PROP_APPEND,
      g_param_spec_boolean ("append", "Append", "Keep what the file has and write behind it", FALSE,
          flags));
  g_object_class_install_property (klass, PROP_ADD_EMPTY_RESULTS,
      g_param_spec_boolean ("add-empty-results", "Add empty results",
          "A line for frames without results, too", FALSE, flags));
  g_object_class_install_property (klass, PROP_SOURCE,
      g_param_spec_string ("source", "Source",
          "Field \"source\" of every line, such as the camera's name (unset = none)", NULL, flags));
  g_object_class_install_property (klass, PROP_TAGS,
      g_param_spec_string ("tags", "Tags",
          "Field \"tags\" of every line: a JSON object (unset = none)", NULL, flags));
  gst_int8_mqtt_install (klass, PROP_MQTT);
}

static void
gst_int8_meta_json_class_init (GstInt8MetaJsonClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  GstBaseTransformClass *transform_class = GST_BASE_TRANSFORM_CLASS (klass);

  GST_DEBUG_CATEGORY_INIT (gst_int8_meta_json_debug, "int8metajson", 0, "results as JSON");
  object_class->set_property = set_property;
  object_class->get_property = get_property;
  object_class->finalize = finalize;
  install_properties (object_class);
  transform_class->start = start;
  transform_class->stop = stop;
  transform_class->set_caps = set_caps;
  transform_class->transform_ip = transform_ip;
  transform_class->passthrough_on_same_caps = TRUE;
  transform_class->transform_ip_on_passthrough = TRUE;
  gst_element_class_add_static_pad_template (element_class, &sink_template);
  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_element_class_set_static_metadata (element_class, "INT8 results as JSON", "Filter/Metadata",
      "Writes the results of int8infer as lines of JSON, with the names of DL Streamer",
      "The gst-int8 authors");
}

static void
gst_int8_meta_json_init (GstInt8MetaJson *self)
{
  gst_int8_mqtt_values_init (&self->mqtt_values);
  self->line = g_string_new (NULL);
  self->results = g_ptr_array_new ();
  gst_base_transform_set_passthrough (GST_BASE_TRANSFORM (self), TRUE);
}
