/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* nvinfer.c: the keys of nvinfer as properties. */
#include "gst/config-file.h"

#include <gio/gio.h>

#include <math.h>
#include <string.h>

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

/* While entries are gone through. */
typedef struct {
  GstInt8ConfigSettings *settings;
  const char *folder;
  GHashTable *specials; /* key to value: SPECIAL ones */
  gboolean has_table;
  gboolean names_classes; /* [int8] says which objects, in their names */
} Maker;

void
gst_int8_config_settings_clear (GstInt8ConfigSettings *settings)
{
  g_clear_pointer (&settings->properties, g_ptr_array_unref);
  g_clear_pointer (&settings->infos, g_ptr_array_unref);
  g_clear_pointer (&settings->warnings, g_ptr_array_unref);
}

/* A later one goes before an earlier one. */
static void
set (Maker *maker, const char *property, const char *value, const char *key)
{
  g_ptr_array_add (maker->settings->properties, g_strdup (property));
  g_ptr_array_add (maker->settings->properties, g_strdup (value));
  g_ptr_array_add (maker->settings->properties, g_strdup (key));
}

static gboolean
refuse (const char *key, const char *value, const char *why, GError **error)
{
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "%s=%s: %s", key, value, why);
  return FALSE;
}

static gboolean
is_off (const char *value)
{
  return *value == '\0' || g_str_equal (value, "0") || g_str_equal (value, "-1");
}

static char *
resolve (const Maker *maker, const char *path)
{
  return g_path_is_absolute (path) ? g_strdup (path) : g_build_filename (maker->folder, path, NULL);
}

/* --- Numbers --------------------------------------------------------------------------------- */

/* One of 0 .. n - 1; -1 where the key is absent. FALSE for anything else. */
static gboolean
get_choice (const Maker *maker, const char *key, guint n, int *choice, GError **error)
{
  const char *text = g_hash_table_lookup (maker->specials, key);
  g_autofree char *why = g_strdup_printf ("a whole number from 0 to %u is wanted", n - 1);
  guint64 value;

  *choice = -1;
  if (!text)
    return TRUE;
  if (!g_ascii_string_to_unsigned (text, 10, 0, n - 1, &value, NULL))
    return refuse (key, text, why, error);
  *choice = (int) value;
  return TRUE;
}

static gboolean
get_number (const char *key, const char *text, double *value, GError **error)
{
  char *end;

  *value = g_ascii_strtod (text, &end);
  while (g_ascii_isspace (*end))
    end++;
  return (*end == '\0' && end != text && isfinite (*value)) ||
         refuse (key, text, "a number is wanted", error);
}

/* --- Keys that are read together ------------------------------------------------------------- */

static gboolean
set_choice (Maker *maker, const char *key, const char *property, const char *const *names, guint n,
    GError **error)
{
  int choice;

  if (!get_choice (maker, key, n, &choice, error))
    return FALSE;
  if (choice >= 0)
    set (maker, property, names[choice], key);
  return TRUE;
}

/* As nvinfer, which reads no offsets where there is a mean image. Either is set to nothing where the
 * other is: a file may be followed by another. */
static void
set_mean (Maker *maker, const char *mean)
{
  const char *offsets = g_hash_table_lookup (maker->specials, "offsets");
  const char *file = g_hash_table_lookup (maker->specials, "mean-file");
  const gboolean is_image = file && *file;
  g_autofree char *path = is_image ? resolve (maker, file) : NULL;

  set (maker, "mean", is_image ? "" : mean, "offsets");
  set (maker, "mean-file", is_image ? path : "", "mean-file");
  if (is_image && offsets)
    g_ptr_array_add (maker->settings->infos,
        g_strdup_printf ("offsets=%s: mean-file takes their place", offsets));
}

/* y = f * (x - offset) is (f * x - f * offset) / 1. */
static gboolean
set_scale (Maker *maker, GError **error)
{
  const char *factor = g_hash_table_lookup (maker->specials, "net-scale-factor");
  const char *offsets = g_hash_table_lookup (maker->specials, "offsets");
  g_auto (GStrv) items = g_strsplit (offsets ? offsets : "0", ";", -1);
  g_autoptr (GString) mean = g_string_new (NULL);
  char text[G_ASCII_DTOSTR_BUF_SIZE];
  double f = 1, offset;

  if (factor && !get_number ("net-scale-factor", factor, &f, error))
    return FALSE;
  if (f <= 0)
    return refuse ("net-scale-factor", factor, "it must be greater than 0", error);
  for (char **item = items; *item; item++) {
    if (!*g_strstrip (*item))
      continue; /* a list may end in ';' */
    if (!get_number ("offsets", *item, &offset, error))
      return FALSE;
    g_string_append_printf (mean, "%s%s", mean->len ? "," : "",
        g_ascii_dtostr (text, sizeof text, f * offset));
  }
  set (maker, "preprocess", "raw", "net-scale-factor");
  set (maker, "scale-factor", g_ascii_dtostr (text, sizeof text, f), "net-scale-factor");
  set_mean (maker, mean->str);
  set (maker, "std", "1", "net-scale-factor");
  return TRUE;
}

/* NVIDIA's own filters are not described anywhere. */
static void
tell_filter (Maker *maker)
{
  const char *filter = g_hash_table_lookup (maker->specials, "scaling-filter");

  if (filter && strlen (filter) == 1 && *filter >= '2' && *filter <= '6')
    g_ptr_array_add (maker->settings->infos,
        g_strdup_printf ("scaling-filter=%s: pictures are scaled bilinearly", filter));
}

static gboolean
set_picture (Maker *maker, GError **error)
{
  static const char *const colors[] = {"rgb", "bgr", "gray"};
  static const char *const filters[] = {"nearest", "bilinear", "bilinear", "bilinear", "bilinear",
      "bilinear", "bilinear"};
  int aspect, symmetric;

  if (!get_choice (maker, "maintain-aspect-ratio", 2, &aspect, error) ||
      !get_choice (maker, "symmetric-padding", 2, &symmetric, error) || !set_scale (maker, error))
    return FALSE;
  set (maker, "resize-mode",
      aspect != 1      ? "stretch"
      : symmetric == 1 ? "letterbox-centered"
                       : "letterbox",
      "maintain-aspect-ratio");
  set (maker, "color-format", "rgb", "model-color-format");
  set (maker, "scaling", "bilinear", "scaling-filter");
  tell_filter (maker);
  return set_choice (maker, "model-color-format", "color-format", colors, G_N_ELEMENTS (colors),
             error) &&
         set_choice (maker, "scaling-filter", "scaling", filters, G_N_ELEMENTS (filters), error);
}

static gboolean
set_network (Maker *maker, GError **error)
{
  const char *const modes[] = {"fp32", "int8", "fp16", maker->has_table ? "int8" : "fp16"};
  const char *device = g_hash_table_lookup (maker->specials, "gpu-id");
  int type, classifier;

  if (!get_choice (maker, "is-classifier", 2, &classifier, error) ||
      !get_choice (maker, "network-type", 101, &type, error))
    return FALSE;
  if (type == 0 && classifier != 1)
    return refuse ("network-type", "0", "it is a detector; int8infer runs classifiers", error);
  if (type == 2 || type == 3)
    return refuse ("network-type", type == 2 ? "2" : "3",
        "it is a segmentation; int8infer runs classifiers", error);
  set (maker, "precision", modes[0], "network-mode"); /* nvinfer's default */
  if (device && strpbrk (device, ",;")) {
    set (maker, "device-id", device, "gpu-id");
  } else if (device && !is_off (device)) {
    g_autofree char *backend = g_strdup_printf ("cuda:%s", device);

    set (maker, "backend", backend, "gpu-id");
  }
  return set_choice (maker, "network-mode", "precision", modes, G_N_ELEMENTS (modes), error);
}

static gboolean
set_objects (Maker *maker, GError **error)
{
  const char *again = g_hash_table_lookup (maker->specials, "secondary-reinfer-interval");
  const char *async = g_hash_table_lookup (maker->specials, "classifier-async-mode");
  int mode;

  if (!get_choice (maker, "process-mode", 3, &mode, error))
    return FALSE;
  if (mode == 0)
    return refuse ("process-mode", "0", "1 (frames) or 2 (objects) is wanted", error);
  if (mode == 2) {
    set (maker, "process-mode", "objects", "process-mode");
    set (maker, "reclassify-interval", again && !is_off (again) ? again : "4294967295",
        "secondary-reinfer-interval");
    if (async && !is_off (async))
      set (maker, "async", "true", "classifier-async-mode");
  }
  return TRUE;
}

/* c;h;w of c;h;w;order */
static void
set_dims (Maker *maker, const char *key)
{
  const char *text = g_hash_table_lookup (maker->specials, key);
  g_auto (GStrv) items = text ? g_strsplit (text, ";", -1) : NULL;

  if (items && g_strv_length (items) >= 3) {
    g_autofree char *dims = g_strdup_printf ("%s;%s;%s", items[0], items[1], items[2]);

    set (maker, "infer-dims", dims, key);
  }
}

/* layer:precision:device or layer:device:precision, each behind a ';'. */
static gboolean
set_layers (Maker *maker, GError **error)
{
  static const char *const precisions[] = {"fp32", "fp16", "int8", NULL};
  const char *text = g_hash_table_lookup (maker->specials, "layer-device-precision");
  g_auto (GStrv) items = g_strsplit (text ? text : "", ";", -1);
  g_autoptr (GString) rules = g_string_new (NULL);

  for (char **item = items; *item; item++) {
    g_auto (GStrv) parts = g_strsplit (g_strstrip (*item), ":", -1);
    const guint n = g_strv_length (parts);
    const char *precision = NULL;

    if (!**item)
      continue;
    for (guint i = n > 2 ? n - 2 : n; i < n; i++)
      for (guint p = 0; precisions[p]; p++)
        if (g_str_equal (precisions[p], parts[i]))
          precision = precisions[p];
    if (!precision)
      return refuse ("layer-device-precision", *item, "layer:precision:device is wanted", error);
    /* A layer's name may have ':' itself. */
    g_clear_pointer (&parts[n - 1], g_free);
    g_clear_pointer (&parts[n - 2], g_free);
    {
      g_autofree char *layer = g_strjoinv (":", parts);

      g_string_append_printf (rules, "%s%s:%s", rules->len ? "," : "", layer, precision);
    }
  }
  if (rules->len)
    set (maker, "layer-precision", rules->str, "layer-device-precision");
  return TRUE;
}

/* --------------------------------------------------------------------------------------------- */

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
take_nvinfer (Maker *maker, const GstInt8ConfigEntry *entry, GError **error)
{
  const Key *key = find_key (entry->key);
  g_autofree char *path = NULL;

  if (!key) {
    note (maker->settings->warnings, entry, "nobody knows this key");
    return TRUE;
  }
  switch (key->kind) {
  case KEY_VALUE:
    set (maker, key->text, entry->value, entry->key);
    break;
  case KEY_PATH:
    path = resolve (maker, entry->value);
    set (maker, key->text, path, entry->key);
    maker->has_table = maker->has_table || g_str_equal (key->text, "calibration-table");
    break;
  case KEY_SPECIAL:
    g_hash_table_insert (maker->specials, entry->key, entry->value);
    break;
  case KEY_IGNORE:
    note (maker->settings->infos, entry, key->text);
    break;
  case KEY_WARN:
    if (!is_off (entry->value))
      note (maker->settings->warnings, entry, key->text);
    break;
  case KEY_CLASSES: /* 0 is a class like others */
    if (*entry->value)
      note (maker->names_classes ? maker->settings->infos : maker->settings->warnings, entry,
          key->text);
    break;
  case KEY_REFUSE:
    return is_off (entry->value) || refuse (entry->key, entry->value, key->text, error);
  }
  return TRUE;
}

/* Behind all of nvinfer's, so that they go before them. */
static void
take_own (Maker *maker, const GstInt8ConfigEntry *entry)
{
  g_autofree char *key = g_strdup_printf (GST_INT8_CONFIG_OWN "%s", entry->key);
  g_autofree char *path = resolve (maker, entry->value);
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
    set (maker, g_str_equal (property, "mean") ? "mean-file" : "mean", "", key);
  set (maker, property, value, key);
}

gboolean
gst_int8_config_settings_make (const GPtrArray *entries, const char *folder,
    GstInt8ConfigSettings *settings, GError **error)
{
  g_autoptr (GHashTable) specials = g_hash_table_new (g_str_hash, g_str_equal);
  Maker maker = {.settings = settings, .folder = folder, .specials = specials};
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
  if (found) {
    set_dims (&maker, "input-dims");
    set_dims (&maker, "uff-input-dims");
    if (!set_picture (&maker, error) || !set_network (&maker, error) ||
        !set_objects (&maker, error) || !set_layers (&maker, error))
      return FALSE;
  }
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
