/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* nvinfer-special.c: keys of nvinfer that are read together. */
#include "gst/nvinfer.h"

#include <gio/gio.h>

#include <math.h>
#include <string.h>

/* --- Numbers --------------------------------------------------------------------------------- */

/* One of 0 .. n - 1; -1 where the key is absent. FALSE for anything else. */
static gboolean
get_choice (const GstInt8Nvinfer *maker, const char *key, guint n, int *choice, GError **error)
{
  const char *text = g_hash_table_lookup (maker->specials, key);
  g_autofree char *why = g_strdup_printf ("a whole number from 0 to %u is wanted", n - 1);
  guint64 value;

  *choice = -1;
  if (!text)
    return TRUE;
  if (!g_ascii_string_to_unsigned (text, 10, 0, n - 1, &value, NULL))
    return gst_int8_nvinfer_refuse (key, text, why, error);
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
         gst_int8_nvinfer_refuse (key, text, "a number is wanted", error);
}

/* --- Keys that are read together ------------------------------------------------------------- */

static gboolean
set_choice (GstInt8Nvinfer *maker, const char *key, const char *property, const char *const *names,
    guint n, GError **error)
{
  int choice;

  if (!get_choice (maker, key, n, &choice, error))
    return FALSE;
  if (choice >= 0)
    gst_int8_nvinfer_set (maker, property, names[choice], key);
  return TRUE;
}

/* As nvinfer, which reads no offsets where there is a mean image. Either is set to nothing where the
 * other is: a file may be followed by another. */
static void
set_mean (GstInt8Nvinfer *maker, const char *mean)
{
  const char *offsets = g_hash_table_lookup (maker->specials, "offsets");
  const char *file = g_hash_table_lookup (maker->specials, "mean-file");
  const gboolean is_image = file && *file;
  g_autofree char *path = is_image ? gst_int8_nvinfer_resolve (maker, file) : NULL;

  gst_int8_nvinfer_set (maker, "mean", is_image ? "" : mean, "offsets");
  gst_int8_nvinfer_set (maker, "mean-file", is_image ? path : "", "mean-file");
  if (is_image && offsets)
    g_ptr_array_add (maker->settings->infos,
        g_strdup_printf ("offsets=%s: mean-file takes their place", offsets));
}

/* y = f * (x - offset) is (f * x - f * offset) / 1. */
static gboolean
set_scale (GstInt8Nvinfer *maker, GError **error)
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
    return gst_int8_nvinfer_refuse ("net-scale-factor", factor, "it must be greater than 0", error);
  for (char **item = items; *item; item++) {
    if (!*g_strstrip (*item))
      continue; /* a list may end in ';' */
    if (!get_number ("offsets", *item, &offset, error))
      return FALSE;
    g_string_append_printf (mean, "%s%s", mean->len ? "," : "",
        g_ascii_dtostr (text, sizeof text, f * offset));
  }
  gst_int8_nvinfer_set (maker, "preprocess", "raw", "net-scale-factor");
  gst_int8_nvinfer_set (maker, "scale-factor", g_ascii_dtostr (text, sizeof text, f),
      "net-scale-factor");
  set_mean (maker, mean->str);
  gst_int8_nvinfer_set (maker, "std", "1", "net-scale-factor");
  return TRUE;
}

/* NVIDIA's own filters are not described anywhere. */
static void
tell_filter (GstInt8Nvinfer *maker)
{
  const char *filter = g_hash_table_lookup (maker->specials, "scaling-filter");

  if (filter && strlen (filter) == 1 && *filter >= '2' && *filter <= '6')
    g_ptr_array_add (maker->settings->infos,
        g_strdup_printf ("scaling-filter=%s: pictures are scaled bilinearly", filter));
}

static gboolean
set_picture (GstInt8Nvinfer *maker, GError **error)
{
  static const char *const colors[] = {"rgb", "bgr", "gray"};
  static const char *const filters[] = {"nearest", "bilinear", "bilinear", "bilinear", "bilinear",
      "bilinear", "bilinear"};
  int aspect, symmetric;

  if (!get_choice (maker, "maintain-aspect-ratio", 2, &aspect, error) ||
      !get_choice (maker, "symmetric-padding", 2, &symmetric, error) || !set_scale (maker, error))
    return FALSE;
  gst_int8_nvinfer_set (maker, "resize-mode",
      aspect != 1      ? "stretch"
      : symmetric == 1 ? "letterbox-centered"
                       : "letterbox",
      "maintain-aspect-ratio");
  gst_int8_nvinfer_set (maker, "color-format", "rgb", "model-color-format");
  gst_int8_nvinfer_set (maker, "scaling", "bilinear", "scaling-filter");
  tell_filter (maker);
  return set_choice (maker, "model-color-format", "color-format", colors, G_N_ELEMENTS (colors),
             error) &&
         set_choice (maker, "scaling-filter", "scaling", filters, G_N_ELEMENTS (filters), error);
}

static gboolean
set_network (GstInt8Nvinfer *maker, GError **error)
{
  const char *const modes[] = {"fp32", "int8", "fp16", maker->has_table ? "int8" : "fp16"};
  const char *device = g_hash_table_lookup (maker->specials, "gpu-id");
  int type, classifier;

  if (!get_choice (maker, "is-classifier", 2, &classifier, error) ||
      !get_choice (maker, "network-type", 101, &type, error))
    return FALSE;
  if (type == 0 && classifier != 1)
    return gst_int8_nvinfer_refuse ("network-type", "0",
        "it is a detector; int8infer runs classifiers", error);
  if (type == 2 || type == 3)
    return gst_int8_nvinfer_refuse ("network-type", type == 2 ? "2" : "3",
        "it is a segmentation; int8infer runs classifiers", error);
  gst_int8_nvinfer_set (maker, "precision", modes[0], "network-mode"); /* nvinfer's default */
  if (device && strpbrk (device, ",;")) {
    gst_int8_nvinfer_set (maker, "device-id", device, "gpu-id");
  } else if (device && !gst_int8_nvinfer_is_off (device)) {
    g_autofree char *backend = g_strdup_printf ("cuda:%s", device);

    gst_int8_nvinfer_set (maker, "backend", backend, "gpu-id");
  }
  return set_choice (maker, "network-mode", "precision", modes, G_N_ELEMENTS (modes), error);
}

static gboolean
set_objects (GstInt8Nvinfer *maker, GError **error)
{
  const char *again = g_hash_table_lookup (maker->specials, "secondary-reinfer-interval");
  const char *async = g_hash_table_lookup (maker->specials, "classifier-async-mode");
  int mode;

  if (!get_choice (maker, "process-mode", 3, &mode, error))
    return FALSE;
  if (mode == 0)
    return gst_int8_nvinfer_refuse ("process-mode", "0", "1 (frames) or 2 (objects) is wanted",
        error);
  if (mode == 2) {
    gst_int8_nvinfer_set (maker, "process-mode", "objects", "process-mode");
    gst_int8_nvinfer_set (maker, "reclassify-interval",
        again && !gst_int8_nvinfer_is_off (again) ? again : "4294967295",
        "secondary-reinfer-interval");
    if (async && !gst_int8_nvinfer_is_off (async))
      gst_int8_nvinfer_set (maker, "async", "true", "classifier-async-mode");
  }
  return TRUE;
}

/* c;h;w of c;h;w;order */
static void
set_dims (GstInt8Nvinfer *maker, const char *key)
{
  const char *text = g_hash_table_lookup (maker->specials, key);
  g_auto (GStrv) items = text ? g_strsplit (text, ";", -1) : NULL;

  if (items && g_strv_length (items) >= 3) {
    g_autofree char *dims = g_strdup_printf ("%s;%s;%s", items[0], items[1], items[2]);

    gst_int8_nvinfer_set (maker, "infer-dims", dims, key);
  }
}

/* layer:precision:device or layer:device:precision, each behind a ';'. */
static gboolean
set_layers (GstInt8Nvinfer *maker, GError **error)
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
      return gst_int8_nvinfer_refuse ("layer-device-precision", *item,
          "layer:precision:device is wanted", error);
    /* A layer's name may have ':' itself. */
    g_clear_pointer (&parts[n - 1], g_free);
    g_clear_pointer (&parts[n - 2], g_free);
    {
      g_autofree char *layer = g_strjoinv (":", parts);

      g_string_append_printf (rules, "%s%s:%s", rules->len ? "," : "", layer, precision);
    }
  }
  if (rules->len)
    gst_int8_nvinfer_set (maker, "layer-precision", rules->str, "layer-device-precision");
  return TRUE;
}

gboolean
gst_int8_nvinfer_take_specials (GstInt8Nvinfer *maker, GError **error)
{
  set_dims (maker, "input-dims");
  set_dims (maker, "uff-input-dims");
  return set_picture (maker, error) && set_network (maker, error) && set_objects (maker, error) &&
         set_layers (maker, error);
}
