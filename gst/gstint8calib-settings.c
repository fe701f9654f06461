/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gstint8calib-settings.c: the values behind int8calib's properties. */
#include "gst/gstint8calib-properties.h"

void
gst_int8_calib_settings_init (GstInt8CalibSettings *settings)
{
  gst_int8_config_init (&settings->config);
  settings->method = DEFAULT_METHOD;
  settings->choose_method = TRUE;
  settings->qdq_target = ENGINE_EXPORT_ONNXRUNTIME;
  settings->equalise = TRUE;
  settings->percentile = DEFAULT_PERCENTILE;
  settings->trt_version = DEFAULT_TRT_VERSION;
  settings->batch_size = DEFAULT_BATCH_SIZE;
  settings->max_frames = DEFAULT_MAX_FRAMES;
  settings->interval = DEFAULT_INTERVAL;
  settings->checkpoint_interval = DEFAULT_CHECKPOINT_INTERVAL;
}

void
gst_int8_calib_settings_copy (const GstInt8CalibSettings *from, GstInt8CalibSettings *to)
{
  *to = *from;
  gst_int8_config_copy (&from->config, &to->config);
  to->table = g_strdup (from->table);
  to->statistics = g_strdup (from->statistics);
  to->merge = g_strdup (from->merge);
  to->qdq_model = g_strdup (from->qdq_model);
  to->report = g_strdup (from->report);
  gst_int8_object_settings_copy (&from->objects, &to->objects);
}

void
gst_int8_calib_settings_clear (GstInt8CalibSettings *settings)
{
  gst_int8_config_clear (&settings->config);
  g_clear_pointer (&settings->table, g_free);
  g_clear_pointer (&settings->statistics, g_free);
  g_clear_pointer (&settings->merge, g_free);
  g_clear_pointer (&settings->qdq_model, g_free);
  g_clear_pointer (&settings->report, g_free);
  gst_int8_object_settings_clear (&settings->objects);
}

/* An empty text is none. */
static void
take_text (char **field, const GValue *value)
{
  const char *text = g_value_get_string (value);

  g_free (*field);
  *field = text && *text ? g_strdup (text) : NULL;
}

gboolean
gst_int8_calib_settings_set (GstInt8CalibSettings *settings, guint id, const GValue *value)
{
  switch (id) {
  case PROP_TABLE:
    take_text (&settings->table, value);
    return TRUE;
  case PROP_TABLE_EXISTS:
    settings->table_exists = g_value_get_enum (value);
    return TRUE;
  case PROP_STATISTICS:
    take_text (&settings->statistics, value);
    return TRUE;
  case PROP_MERGE:
    take_text (&settings->merge, value);
    return TRUE;
  case PROP_METHOD:
    settings->choose_method = g_value_get_enum (value) == GST_INT8_METHOD_AUTO;
    settings->method = settings->choose_method ? DEFAULT_METHOD : g_value_get_enum (value);
    return TRUE;
  case PROP_BIAS_CORRECTION:
    settings->bias_correction = g_value_get_enum (value);
    return TRUE;
  case PROP_EQUALISE:
    settings->equalise = g_value_get_boolean (value);
    return TRUE;
  case PROP_PERCENTILE:
    settings->percentile = g_value_get_double (value);
    return TRUE;
  case PROP_TRT_VERSION:
    settings->trt_version = g_value_get_uint (value);
    return TRUE;
  case PROP_BATCH_SIZE:
    settings->batch_size = g_value_get_uint (value);
    return TRUE;
  case PROP_MAX_FRAMES:
    settings->max_frames = g_value_get_uint (value);
    return TRUE;
  case PROP_AUTO_STOP:
    settings->auto_stop = g_value_get_boolean (value);
    return TRUE;
  case PROP_INTERVAL:
    settings->interval = g_value_get_uint (value);
    return TRUE;
  case PROP_MIN_GAP:
    settings->min_gap = g_value_get_uint64 (value);
    return TRUE;
  case PROP_SCENE_CHANGE:
    settings->scene_change = g_value_get_double (value);
    return TRUE;
  case PROP_CHECKPOINT_INTERVAL:
    settings->checkpoint_interval = g_value_get_uint (value);
    return TRUE;
  case PROP_EOS_WHEN_DONE:
    settings->eos_when_done = g_value_get_boolean (value);
    return TRUE;
  case PROP_QDQ_MODEL:
    take_text (&settings->qdq_model, value);
    return TRUE;
  case PROP_QDQ_TARGET:
    settings->qdq_target = g_value_get_enum (value);
    return TRUE;
  case PROP_REPORT:
    take_text (&settings->report, value);
    return TRUE;
  case PROP_KEEP_FRAMES:
    settings->keep_frames = g_value_get_uint (value);
    return TRUE;
  case PROP_PRECISION_TARGET:
    settings->precision_target = g_value_get_double (value);
    return TRUE;
  default:
    return gst_int8_objects_set_property (&settings->objects, PROP_OBJECTS, id, value) ||
           gst_int8_config_set_property (&settings->config, id, value);
  }
}

gboolean
gst_int8_calib_settings_get (const GstInt8CalibSettings *settings, guint id, GValue *value)
{
  switch (id) {
  case PROP_TABLE:
    g_value_set_string (value, settings->table);
    return TRUE;
  case PROP_TABLE_EXISTS:
    g_value_set_enum (value, settings->table_exists);
    return TRUE;
  case PROP_STATISTICS:
    g_value_set_string (value, settings->statistics);
    return TRUE;
  case PROP_MERGE:
    g_value_set_string (value, settings->merge);
    return TRUE;
  case PROP_METHOD:
    g_value_set_enum (value, settings->choose_method ? GST_INT8_METHOD_AUTO : settings->method);
    return TRUE;
  case PROP_BIAS_CORRECTION:
    g_value_set_enum (value, settings->bias_correction);
    return TRUE;
  case PROP_EQUALISE:
    g_value_set_boolean (value, settings->equalise);
    return TRUE;
  case PROP_PERCENTILE:
    g_value_set_double (value, settings->percentile);
    return TRUE;
  case PROP_TRT_VERSION:
    g_value_set_uint (value, settings->trt_version);
    return TRUE;
  case PROP_BATCH_SIZE:
    g_value_set_uint (value, settings->batch_size);
    return TRUE;
  case PROP_MAX_FRAMES:
    g_value_set_uint (value, settings->max_frames);
    return TRUE;
  case PROP_AUTO_STOP:
    g_value_set_boolean (value, settings->auto_stop);
    return TRUE;
  case PROP_INTERVAL:
    g_value_set_uint (value, settings->interval);
    return TRUE;
  case PROP_MIN_GAP:
    g_value_set_uint64 (value, settings->min_gap);
    return TRUE;
  case PROP_SCENE_CHANGE:
    g_value_set_double (value, settings->scene_change);
    return TRUE;
  case PROP_CHECKPOINT_INTERVAL:
    g_value_set_uint (value, settings->checkpoint_interval);
    return TRUE;
  case PROP_EOS_WHEN_DONE:
    g_value_set_boolean (value, settings->eos_when_done);
    return TRUE;
  case PROP_QDQ_MODEL:
    g_value_set_string (value, settings->qdq_model);
    return TRUE;
  case PROP_QDQ_TARGET:
    g_value_set_enum (value, settings->qdq_target);
    return TRUE;
  case PROP_REPORT:
    g_value_set_string (value, settings->report);
    return TRUE;
  case PROP_KEEP_FRAMES:
    g_value_set_uint (value, settings->keep_frames);
    return TRUE;
  case PROP_PRECISION_TARGET:
    g_value_set_double (value, settings->precision_target);
    return TRUE;
  default:
    return gst_int8_objects_get_property (&settings->objects, PROP_OBJECTS, id, value) ||
           gst_int8_config_get_property (&settings->config, id, value);
  }
}
