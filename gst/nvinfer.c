/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* nvinfer.c: the keys of nvinfer as properties. */
#include "gst/nvinfer.h"

#include <gio/gio.h>

typedef enum {
  KEY_VALUE,
  KEY_PATH,
  KEY_SPECIAL,
  KEY_IGNORE,
  KEY_WARN,
  KEY_CLASSES,
  KEY_REFUSE
} KeyKind;

typedef struct {
  const char *name;
  KeyKind kind;
  const char *text; /* the property, or what to say */
} Key;

static const Key keys[] = {
#define NVINFER_KEY(name, kind, text) {name, KEY_##kind, text},
#include "gst/nvinfer-keys.inc"
#undef NVINFER_KEY
};

/* Names in [int8] that are not those of properties. */
static const struct {
  const char *name, *property;
} aliases[] = {
    {"apply-softmax", "softmax"},
    {"calibration-method", "method"},
    {"layer-overrides", "layer-precision"},
};

/* Properties of either element that are paths. */
static const char *const paths[] = {"model", "proto-file", "calibration-table", "dynamic-ranges",
    "labels", "engine", "table", "statistics", "report", "qdq-model", "mean-file", NULL};

void
gst_int8_config_settings_clear (GstInt8ConfigSettings *settings)
{
  g_clear_pointer (&settings->properties, g_ptr_array_unref);
  g_clear_pointer (&settings->infos, g_ptr_array_unref);
  g_clear_pointer (&settings->warnings, g_ptr_array_unref);
}

void
gst_int8_nvinfer_set (GstInt8Nvinfer *maker, const char *property, const char *value,
    const char *key)
{
  g_ptr_array_add (maker->settings->properties, g_strdup (property));
  g_ptr_array_add (maker->settings->properties, g_strdup (value));
  g_ptr_array_add (maker->settings->properties, g_strdup (key));
}

gboolean
gst_int8_nvinfer_refuse (const char *key, const char *value, const char *why, GError **error)
{
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "%s=%s: %s", key, value, why);
  return FALSE;
}

gboolean
gst_int8_nvinfer_is_off (const char *value)
{
  return *value == '\0' || g_str_equal (value, "0") || g_str_equal (value, "-1");
}

char *
gst_int8_nvinfer_resolve (const GstInt8Nvinfer *maker, const char *path)
{
  return g_path_is_absolute (path) ? g_strdup (path) : g_build_filename (maker->folder, path, NULL);
}

static const Key *
find_key (const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    if (g_str_equal (keys[i].name, name))
      return &keys[i];
  return NULL;
}

static void
note (GPtrArray *texts, const GstInt8ConfigEntry *entry, const char *text)
{
  g_ptr_array_add (texts, g_strdup_printf ("%s=%s: %s", entry->key, entry->value, text));
}

static gboolean
take_nvinfer (GstInt8Nvinfer *maker, const GstInt8ConfigEntry *entry, GError **error)
{
  const Key *key = find_key (entry->key);
  g_autofree char *path = NULL;

  if (!key) {
    note (maker->settings->warnings, entry, "nobody knows this key");
    return TRUE;
  }
  switch (key->kind) {
  case KEY_VALUE:
    gst_int8_nvinfer_set (maker, key->text, entry->value, entry->key);
    break;
  case KEY_PATH:
    path = gst_int8_nvinfer_resolve (maker, entry->value);
    gst_int8_nvinfer_set (maker, key->text, path, entry->key);
    maker->has_table = maker->has_table || g_str_equal (key->text, "calibration-table");
    break;
  case KEY_SPECIAL:
    g_hash_table_insert (maker->specials, entry->key, entry->value);
    break;
  case KEY_IGNORE:
    note (maker->settings->infos, entry, key->text);
    break;
  case KEY_WARN:
    if (!gst_int8_nvinfer_is_off (entry->value))
      note (maker->settings->warnings, entry, key->text);
    break;
  case KEY_CLASSES: /* 0 is a class like others */
    if (*entry->value)
      note (maker->names_classes ? maker->settings->infos : maker->settings->warnings, entry,
          key->text);
    break;
  case KEY_REFUSE:
    return gst_int8_nvinfer_is_off (entry->value) ||
           gst_int8_nvinfer_refuse (entry->key, entry->value, key->text, error);
  }
  return TRUE;
}

/* Behind all of nvinfer's, so that they go before them. */
static void
take_own (GstInt8Nvinfer *maker, const GstInt8ConfigEntry *entry)
{
  g_autofree char *key = g_strdup_printf (GST_INT8_CONFIG_OWN "%s", entry->key);
  g_autofree char *path = gst_int8_nvinfer_resolve (maker, entry->value);
  g_autofree char *rules = g_strdup_printf ("@%s", path);
  const char *property = entry->key, *value = entry->value;

  for (guint i = 0; i < G_N_ELEMENTS (aliases); i++)
    if (g_str_equal (aliases[i].name, property))
      property = aliases[i].property;
  if (g_str_equal (entry->key, "layer-overrides"))
    value = rules;
  else if (g_strv_contains (paths, property))
    value = path;
  /* Either takes the place of the other. */
  if (g_str_equal (property, "mean") || g_str_equal (property, "mean-file"))
    gst_int8_nvinfer_set (maker, g_str_equal (property, "mean") ? "mean-file" : "mean", "", key);
  gst_int8_nvinfer_set (maker, property, value, key);
}

gboolean
gst_int8_config_settings_make (const GPtrArray *entries, const char *folder,
    GstInt8ConfigSettings *settings, GError **error)
{
  g_autoptr (GHashTable) specials = g_hash_table_new (g_str_hash, g_str_equal);
  GstInt8Nvinfer maker = {.settings = settings, .folder = folder, .specials = specials};
  gboolean found = FALSE;

  *settings = (GstInt8ConfigSettings){.properties = g_ptr_array_new_with_free_func (g_free),
      .infos = g_ptr_array_new_with_free_func (g_free),
      .warnings = g_ptr_array_new_with_free_func (g_free)};
  for (guint i = 0; i < entries->len; i++) {
    const GstInt8ConfigEntry *entry = entries->pdata[i];

    maker.names_classes |=
        g_str_equal (entry->group, "int8") && g_str_equal (entry->key, "object-class");
  }
  for (guint i = 0; i < entries->len; i++) {
    const GstInt8ConfigEntry *entry = entries->pdata[i];

    if (g_str_equal (entry->group, "property")) {
      found = TRUE;
      if (!take_nvinfer (&maker, entry, error))
        return FALSE;
    } else if (!g_str_equal (entry->group, "int8")) {
      note (settings->infos, entry, "in a group of a detector");
    }
  }
  if (found && !gst_int8_nvinfer_take_specials (&maker, error))
    return FALSE;
  for (guint i = 0; i < entries->len; i++) {
    const GstInt8ConfigEntry *entry = entries->pdata[i];

    if (g_str_equal (entry->group, "int8")) {
      found = TRUE;
      take_own (&maker, entry);
    }
  }
  if (!found)
    g_set_error_literal (error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_GROUP_NOT_FOUND,
        "it has neither a group [property] nor [int8]: is it a configuration of nvinfer?");
  return found;
}
