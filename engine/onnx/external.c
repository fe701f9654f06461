/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/external.c: data files beside a model. A model may be anybody's, so its file names are taken
 * as names below its own folder, and links are followed before that is decided.
 */
#include "engine/onnx/external.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"

#define LOCATION_EXTERNAL 1

static void
external_free (gpointer data)
{
  EngineOnnxExternal *external = data;

  g_bytes_unref (external->bytes);
  g_free (external->path);
  g_free (external);
}

static const char *
entry (const EngineOnnx__TensorProto *tensor, const char *key)
{
  for (gsize i = 0; i < tensor->n_external_data; i++) {
    const EngineOnnx__StringStringEntryProto *pair = tensor->external_data[i];

    if (pair->key && pair->value && strcmp (pair->key, key) == 0)
      return pair->value;
  }
  return NULL;
}

G_GNUC_PRINTF (4, 5)
static gboolean
refuse (EngineError code, const char *location, GError **error, const char *format, ...)
{
  g_autofree char *cause = NULL;
  va_list args;

  va_start (args, format);
  cause = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, ENGINE_ERROR, code, "external data \"%s\": %s", location, cause);
  return FALSE;
}

static gboolean
stays_below (const char *location)
{
  g_auto (GStrv) parts = g_strsplit (location, "/", -1);

  return location[0] != '\0' && !g_path_is_absolute (location) &&
         !g_strv_contains ((const char *const *) parts, "..");
}

/* The real path of a location, which must lie in the real folder of the model. */
static char *
resolve (const char *model, const char *location, GError **error)
{
  g_autofree char *folder = g_path_get_dirname (model);
  g_autofree char *joined = g_build_filename (folder, location, NULL);
  char *real_folder = realpath (folder, NULL), *real = realpath (joined, NULL), *path = NULL;
  g_autofree char *prefix = NULL;

  if (!real || !real_folder) {
    refuse (ENGINE_ERROR_MODEL, location, error, "%s; it belongs beside the model, in \"%s\"",
        g_strerror (errno), folder);
  } else {
    prefix = g_str_has_suffix (real_folder, "/") ? g_strdup (real_folder)
                                                 : g_strconcat (real_folder, "/", NULL);
    if (g_str_has_prefix (real, prefix))
      path = g_strdup (real);
    else
      refuse (ENGINE_ERROR_MODEL, location, error,
          "a link leads out of the model's folder; put the file itself there");
  }
  free (real);
  free (real_folder);
  return path;
}

static EngineOnnxExternal *
find_path (const EngineOnnxFile *file, const char *path)
{
  for (guint i = 0; i < file->external_list->len; i++) {
    EngineOnnxExternal *external = g_ptr_array_index (file->external_list, i);

    if (strcmp (external->path, path) == 0)
      return external;
  }
  return NULL;
}

static gboolean
open_location (EngineOnnxFile *file, const char *location, GError **error)
{
  g_autofree char *path = NULL;
  EngineOnnxExternal *external;

  if (!stays_below (location))
    return refuse (ENGINE_ERROR_MODEL, location, error,
        "the name leads out of the model's folder; save the model with data files beside it");
  path = resolve (file->path, location, error);
  if (!path)
    return FALSE;
  external = find_path (file, path);
  if (!external) {
    GBytes *bytes = engine_onnx_map (path, error);

    if (!bytes) {
      g_prefix_error (error, "external data \"%s\" ", location);
      return FALSE;
    }
    external = g_new (EngineOnnxExternal, 1);
    *external = (EngineOnnxExternal){g_steal_pointer (&path), bytes};
    g_ptr_array_add (file->external_list, external);
    file->size += g_bytes_get_size (bytes);
  }
  g_hash_table_insert (file->external, g_strdup (location), external);
  return TRUE;
}

gboolean
engine_onnx_external_open (EngineOnnxFile *file, GError **error)
{
  const EngineOnnx__GraphProto *graph = file->model->graph;

  file->external = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  file->external_list = g_ptr_array_new_with_free_func (external_free);
  for (gsize i = 0; graph && i < graph->n_initializer; i++) {
    const EngineOnnx__TensorProto *tensor = graph->initializer[i];
    const char *location = entry (tensor, "location");

    if (tensor->data_location != LOCATION_EXTERNAL)
      continue;
    if (!location)
      return refuse (ENGINE_ERROR_MODEL, tensor->name ? tensor->name : "", error,
          "the tensor does not say in which file");
    if (!g_hash_table_contains (file->external, location) && !open_location (file, location, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
number (const EngineOnnx__TensorProto *tensor, const char *key, guint64 otherwise, guint64 *value)
{
  const char *text = entry (tensor, key);

  *value = otherwise;
  return !text || g_ascii_string_to_unsigned (text, 10, 0, G_MAXINT64, value, NULL);
}

const guint8 *
engine_onnx_file_external (const EngineOnnxFile *file, const EngineOnnx__TensorProto *tensor,
    gsize *size, GError **error)
{
  const char *location = entry (tensor, "location");
  const EngineOnnxExternal *external =
      location ? g_hash_table_lookup (file->external, location) : NULL;
  const guint8 *data;
  guint64 offset, length;
  gsize all;

  if (!external) {
    refuse (ENGINE_ERROR_UNSUPPORTED, location ? location : "", error,
        "only initialisers may have it");
    return NULL;
  }
  data = g_bytes_get_data (external->bytes, &all);
  if (!number (tensor, "offset", 0, &offset) || offset > all ||
      !number (tensor, "length", all - offset, &length) || length > all - offset) {
    refuse (ENGINE_ERROR_MODEL, location, error,
        "tensor \"%s\" lies at %s + %s, but the file has %" G_GSIZE_FORMAT
        " bytes; it is truncated or of another model",
        tensor->name ? tensor->name : "", entry (tensor, "offset") ? entry (tensor, "offset") : "0",
        entry (tensor, "length") ? entry (tensor, "length") : "0", all);
    return NULL;
  }
  *size = length;
  return data ? data + offset : (const guint8 *) ""; /* an empty file is nowhere */
}
