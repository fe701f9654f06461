/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * provenance.c: where a calibration table comes from, as JSON in a side file, so that the table
 * itself stays what TensorRT reads.
 */
#include "calib/private.h"

#include <json-glib/json-glib.h>
#include <string.h>

#define MAX_FILE_SIZE (1024u * 1024)
#define FORMAT        CALIB_PROVENANCE_FORMAT
#define VERSION       1

static char *
side_path (const char *table_path)
{
  return g_strconcat (table_path, ".json", NULL);
}

/* --- Writing -------------------------------------------------------------------------------- */

static void
add_string (JsonBuilder *builder, const char *member, const char *text)
{
  if (!text)
    return;
  /* paths need not be UTF-8, JSON must be */
  g_autofree char *valid = g_utf8_make_valid (text, -1);
  json_builder_set_member_name (builder, member);
  json_builder_add_string_value (builder, valid);
}

char *
calib_provenance_to_text (const CalibProvenance *p, const char *method)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  json_builder_begin_object (builder);
  add_string (builder, "format", FORMAT);
  json_builder_set_member_name (builder, "version");
  json_builder_add_int_value (builder, VERSION);
  add_string (builder, "method", method);
  add_string (builder, "model-sha256", p->model_sha256);
  add_string (builder, "preprocess-sha256", p->preprocess_sha256);
  add_string (builder, "source", p->source);
  add_string (builder, "tool", p->tool);
  json_builder_set_member_name (builder, "frames");
  json_builder_add_int_value (builder, (gint64) p->frames);
  json_builder_end_object (builder);

  g_autoptr (JsonNode) root = json_builder_get_root (builder);
  g_autofree char *json = json_to_string (root, TRUE);
  return g_strconcat (json, "\n", NULL);
}

gboolean
calib_provenance_save (const CalibProvenance *p, const char *method, const char *table_path,
    GError **error)
{
  g_autofree char *path = side_path (table_path), *text = NULL;
  if (p->frames > G_MAXINT64) {
    g_autofree char *shown = g_filename_display_name (path);
    g_set_error (error, CALIB_ERROR, CALIB_ERROR_FORMAT,
        "%s: %" G_GUINT64_FORMAT " frames are more than JSON can say", shown, p->frames);
    return FALSE;
  }
  text = calib_provenance_to_text (p, method);
  return calib_file_replace (path, text, strlen (text), error);
}

/* --- Reading -------------------------------------------------------------------------------- */

/* The parser makes of half a surrogate pair, \ude00, what is no UTF-8, and quotes it. */
static gboolean
fail (GError **error, const char *path, const char *cause)
{
  g_autofree char *shown = g_filename_display_name (path);
  g_autofree char *valid = g_utf8_make_valid (cause, -1);
  g_set_error (error, CALIB_ERROR, CALIB_ERROR_FORMAT,
      "%s: %s; calibrate again, or remove this file to use the table without its provenance", shown,
      valid);
  return FALSE;
}

/* TRUE where the member is a string, or absent, which leaves NULL. */
static gboolean
get_string (JsonObject *object, const char *member, char **text)
{
  JsonNode *node = json_object_get_member (object, member);
  *text = NULL;
  if (!node)
    return TRUE;
  if (!JSON_NODE_HOLDS_VALUE (node) || json_node_get_value_type (node) != G_TYPE_STRING)
    return FALSE;
  *text = g_utf8_make_valid (json_node_get_string (node), -1);
  return TRUE;
}

static gboolean
get_count (JsonObject *object, const char *member, guint64 *count)
{
  JsonNode *node = json_object_get_member (object, member);
  *count = 0;
  if (!node)
    return TRUE;
  if (!JSON_NODE_HOLDS_VALUE (node) || json_node_get_value_type (node) != G_TYPE_INT64 ||
      json_node_get_int (node) < 0)
    return FALSE;
  *count = (guint64) json_node_get_int (node);
  return TRUE;
}

static gboolean
read_object (JsonObject *object, const char *path, CalibProvenance *p, GError **error)
{
  g_autofree char *format = NULL;
  guint64 version;

  if (!get_string (object, "format", &format) || g_strcmp0 (format, FORMAT) != 0)
    return fail (error, path, "\"format\" is not \"" FORMAT "\"");
  if (!get_count (object, "version", &version) || version != VERSION)
    return fail (error, path, "\"version\" is not 1");
  if (!get_string (object, "model-sha256", &p->model_sha256) ||
      !get_string (object, "preprocess-sha256", &p->preprocess_sha256) ||
      !get_string (object, "source", &p->source) || !get_string (object, "tool", &p->tool) ||
      !get_count (object, "frames", &p->frames))
    return fail (error, path, "a member has a value of the wrong type");
  return TRUE;
}

gboolean
calib_provenance_parse (const char *text, gsize size, const char *path, CalibProvenance *p,
    GError **error)
{
  *p = (CalibProvenance){0};
  const char *problem = calib_json_problem (text, size);
  if (problem)
    return fail (error, path, problem);

  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autoptr (GError) local = NULL;
  if (!json_parser_load_from_data (parser, text, size, &local))
    return fail (error, path, local->message);
  JsonNode *root = json_parser_get_root (parser);
  if (!root || !JSON_NODE_HOLDS_OBJECT (root))
    return fail (error, path, "it is no JSON object");
  if (!read_object (json_node_get_object (root), path, p, error)) {
    calib_provenance_clear (p);
    return FALSE;
  }
  return TRUE;
}

gboolean
calib_provenance_load (const char *table_path, CalibProvenance *p, GError **error)
{
  g_autofree char *path = side_path (table_path);
  g_autoptr (GError) local = NULL;
  gsize size;

  *p = (CalibProvenance){0};
  g_autofree char *text = calib_file_read (path, MAX_FILE_SIZE, "provenance file", &size, &local);
  if (text)
    return calib_provenance_parse (text, size, path, p, error);
  /* A table whose name has no room for .json has none. */
  if (!g_error_matches (local, G_FILE_ERROR, G_FILE_ERROR_NOENT) &&
      !g_error_matches (local, G_FILE_ERROR, G_FILE_ERROR_NAMETOOLONG))
    g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}
