/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* config-file.c: the property "config-file", and properties set by a file. */
#include "gst/config-file.h"

#include <gio/gio.h>

void
gst_int8_config_file_init (GstInt8ConfigFile *file)
{
  *file = (GstInt8ConfigFile){.by_hand = g_hash_table_new (g_str_hash, g_str_equal)};
}

void
gst_int8_config_file_clear (GstInt8ConfigFile *file)
{
  g_clear_pointer (&file->path, g_free);
  g_clear_pointer (&file->by_hand, g_hash_table_unref);
}

void
gst_int8_config_file_install (GObjectClass *klass, guint id)
{
  g_object_class_install_property (klass, id,
      g_param_spec_string ("config-file", "Configuration file",
          "Path of a configuration of DeepStream's nvinfer, INI or YAML (.yml): sets the properties that are "
          "not set otherwise. Its group [int8] takes properties by their own names",
          NULL, G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY));
}

void
gst_int8_config_file_note (GstInt8ConfigFile *file, const GParamSpec *pspec)
{
  if (!file->reading)
    g_hash_table_add (file->by_hand, (gpointer) g_intern_string (pspec->name));
}

/* A property from its text in the file. */
static gboolean
set_property (GObject *object, const char *name, const char *text, const char *key, GError **error)
{
  GParamSpec *pspec = g_object_class_find_property (G_OBJECT_GET_CLASS (object), name);
  g_auto (GValue) value = G_VALUE_INIT;

  g_value_init (&value, pspec->value_type);
  if (G_VALUE_HOLDS_STRING (&value)) {
    g_value_set_string (&value, text);
  } else if (!gst_value_deserialize (&value, text) || g_param_value_validate (pspec, &value)) {
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
        "%s=%s: the property %s cannot have this value; gst-inspect-1.0 says which it can", key,
        text, name);
    return FALSE;
  }
  g_object_set_property (object, name, &value);
  return TRUE;
}

/* Of the other element, so that one file serves both. */
static gboolean
is_of_other (const char *name)
{
  static const char *const names[] = {"method", "percentile", "table", "statistics", "report",
      "max-frames", "softmax", "top-k", "labels", "engine", "precision", "layer-precision", NULL};

  return g_strv_contains (names, name);
}

/* The property that takes the place of this one, or NULL. */
static const char *
alternative (const char *name)
{
  return g_str_equal (name, "mean") ? "mean-file" : g_str_equal (name, "mean-file") ? "mean" : NULL;
}

/* Which property set by hand goes before this one of the file, or NULL. */
static const char *
set_by_hand (GstInt8ConfigFile *file, GstElement *element, const char *name)
{
  const char *other = alternative (name), *found;

  GST_OBJECT_LOCK (element);
  found = g_hash_table_contains (file->by_hand, name)             ? name
          : other && g_hash_table_contains (file->by_hand, other) ? other
                                                                  : NULL;
  GST_OBJECT_UNLOCK (element);
  return found;
}

/* Whether the element is to have the property; says why not. */
static gboolean
is_wanted (GstInt8ConfigFile *file, GstElement *element, const char *const *foreign,
    const char *name, const char *key, GstInt8ConfigSettings *settings)
{
  const gboolean own = g_str_has_prefix (key, GST_INT8_CONFIG_OWN);
  const char *by_hand;

  if (!g_object_class_find_property (G_OBJECT_GET_CLASS (element), name)) {
    g_ptr_array_add (own && !is_of_other (name) ? settings->warnings : settings->infos,
        g_strdup_printf ("%s: %s has no property %s", key,
            gst_plugin_feature_get_name (gst_element_get_factory (element)), name));
    return FALSE;
  }
  if (!own && foreign && g_strv_contains (foreign, name)) {
    g_ptr_array_add (settings->infos,
        g_strdup_printf ("%s is about inference; not taken for %s", key,
            gst_plugin_feature_get_name (gst_element_get_factory (element))));
    return FALSE;
  }
  by_hand = set_by_hand (file, element, name);
  if (by_hand)
    g_ptr_array_add (settings->infos, g_strdup_printf ("%s: %s was set by hand", key, by_hand));
  return !by_hand;
}

static gboolean
set_properties (GstInt8ConfigFile *file, GstElement *element, const char *const *foreign,
    GstInt8ConfigSettings *settings, GError **error)
{
  const GPtrArray *properties = settings->properties;

  for (guint i = 0; i + 2 < properties->len; i += 3) {
    const char *name = properties->pdata[i], *value = properties->pdata[i + 1];
    const char *key = properties->pdata[i + 2];

    if (is_wanted (file, element, foreign, name, key, settings) &&
        !set_property (G_OBJECT (element), name, value, key, error))
      return FALSE;
  }
  return TRUE;
}

static void
set_reading (GstInt8ConfigFile *file, GstElement *element, gboolean reading)
{
  GST_OBJECT_LOCK (element);
  file->reading = reading;
  GST_OBJECT_UNLOCK (element);
}

static void
tell (GstElement *element, const char *path, const GstInt8ConfigSettings *settings)
{
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; i < settings->infos->len; i++)
    GST_INFO_OBJECT (element, "%s: %s", path, (const char *) settings->infos->pdata[i]);
  for (guint i = 0; i < settings->warnings->len; i++)
    g_string_append_printf (text, "%s%s", i ? "; " : "",
        (const char *) settings->warnings->pdata[i]);
  if (text->len)
    GST_ELEMENT_WARNING (element, RESOURCE, SETTINGS, ("%s: %s", path, text->str), (NULL));
}

gboolean
gst_int8_config_file_apply (GstInt8ConfigFile *file, GstElement *element,
    const char *const *foreign, GError **error)
{
  g_auto (GstInt8ConfigSettings) settings = {0};
  g_autoptr (GPtrArray) entries = NULL;
  g_autofree char *path = NULL, *folder = NULL;
  gboolean ok;

  GST_OBJECT_LOCK (element);
  path = g_strdup (file->path);
  GST_OBJECT_UNLOCK (element);
  if (!path || !*path)
    return TRUE;
  folder = g_path_get_dirname (path);
  entries = gst_int8_config_file_read (path, error);
  if (!entries)
    return FALSE;
  ok = gst_int8_config_settings_make (entries, folder, &settings, error);
  if (ok) {
    set_reading (file, element, TRUE);
    ok = set_properties (file, element, foreign, &settings, error);
    set_reading (file, element, FALSE);
  }
  if (!ok)
    g_prefix_error (error, "config-file: %s: ", path);
  else
    tell (element, path, &settings);
  return ok;
}
