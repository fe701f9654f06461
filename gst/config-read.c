/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* config-read.c: INI and YAML files as lists of entries. */
#include "gst/config-file.h"

#include <string.h>
#include <yaml.h>

#define MAX_SIZE (1 << 20)

static void
entry_free (gpointer data)
{
  GstInt8ConfigEntry *entry = data;

  g_free (entry->group);
  g_free (entry->key);
  g_free (entry->value);
  g_free (entry);
}

static void
add (GPtrArray *entries, const char *group, const char *key, const char *value)
{
  GstInt8ConfigEntry *entry = g_new (GstInt8ConfigEntry, 1);

  entry->group = g_strdup (group);
  entry->key = g_strstrip (g_strdup (key));
  entry->value = g_strstrip (g_strdup (value));
  g_ptr_array_add (entries, entry);
}

/* --- INI ------------------------------------------------------------------------------------- */

static gboolean
read_ini (const char *text, gsize size, GPtrArray *entries, GError **error)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_auto (GStrv) groups = NULL;

  if (!g_key_file_load_from_data (file, text, size, G_KEY_FILE_NONE, error))
    return FALSE;
  groups = g_key_file_get_groups (file, NULL);
  for (char **group = groups; *group; group++) {
    g_auto (GStrv) keys = g_key_file_get_keys (file, *group, NULL, error);

    if (!keys)
      return FALSE;
    for (char **key = keys; *key; key++) {
      /* As it is written: nvinfer knows no escapes in paths. */
      g_autofree char *value = g_key_file_get_value (file, *group, *key, error);

      if (!value)
        return FALSE;
      add (entries, *group, *key, value);
    }
  }
  return TRUE;
}

/* --- YAML ------------------------------------------------------------------------------------ */

/* Where in the two levels of mappings the parser is. */
typedef struct {
  GPtrArray *entries;
  int depth; /* of mappings */
  char *group, *key;
  GString *list; /* items of a sequence so far, or NULL */
} Yaml;

static void
yaml_clear (Yaml *yaml)
{
  g_free (yaml->group);
  g_free (yaml->key);
  if (yaml->list)
    g_string_free (yaml->list, TRUE);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Yaml, yaml_clear)

static gboolean
refuse (const yaml_event_t *event, const char *what, GError **error)
{
  g_set_error (error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_PARSE,
      "line %zu: %s; a file of nvinfer has groups of keys with plain values",
      event->start_mark.line + 1, what);
  return FALSE;
}

static gboolean
take_scalar (Yaml *yaml, const yaml_event_t *event, GError **error)
{
  const char *text = (const char *) event->data.scalar.value;

  if (yaml->list) {
    g_string_append_printf (yaml->list, "%s;", text);
  } else if (yaml->depth == 1 && !yaml->group) {
    yaml->group = g_strdup (text);
  } else if (yaml->depth == 1) { /* "group:" with nothing in it */
    g_clear_pointer (&yaml->group, g_free);
    if (*text)
      return refuse (event, "a value stands where a group was expected", error);
  } else if (yaml->depth == 2 && !yaml->key) {
    yaml->key = g_strdup (text);
  } else if (yaml->depth == 2) {
    add (yaml->entries, yaml->group, yaml->key, text);
    g_clear_pointer (&yaml->key, g_free);
  } else {
    return refuse (event, "there is no group around it", error);
  }
  return TRUE;
}

static gboolean
end_sequence (Yaml *yaml)
{
  add (yaml->entries, yaml->group, yaml->key, yaml->list->str);
  g_clear_pointer (&yaml->key, g_free);
  g_string_free (g_steal_pointer (&yaml->list), TRUE);
  return TRUE;
}

static gboolean
take_event (Yaml *yaml, const yaml_event_t *event, GError **error)
{
  switch (event->type) {
  case YAML_MAPPING_START_EVENT:
    if (yaml->depth == 2 || yaml->list || (yaml->depth == 1 && !yaml->group))
      return refuse (event, "a mapping stands where none was expected", error);
    yaml->depth++;
    return TRUE;
  case YAML_MAPPING_END_EVENT:
    if (--yaml->depth == 1)
      g_clear_pointer (&yaml->group, g_free);
    return TRUE;
  case YAML_SEQUENCE_START_EVENT:
    if (!yaml->key || yaml->list)
      return refuse (event, "a list stands where none was expected", error);
    yaml->list = g_string_new (NULL);
    return TRUE;
  case YAML_SEQUENCE_END_EVENT:
    return end_sequence (yaml);
  case YAML_SCALAR_EVENT:
    return take_scalar (yaml, event, error);
  case YAML_ALIAS_EVENT:
    return refuse (event, "aliases are not read", error);
  default:
    return TRUE;
  }
}

static gboolean
parse_yaml (yaml_parser_t *parser, Yaml *yaml, GError **error)
{
  gboolean ok = TRUE, end = FALSE;

  while (ok && !end) {
    yaml_event_t event;

    if (!yaml_parser_parse (parser, &event)) {
      g_set_error (error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_PARSE, "line %zu: %s",
          parser->problem_mark.line + 1, parser->problem ? parser->problem : "not YAML");
      return FALSE;
    }
    end = event.type == YAML_STREAM_END_EVENT;
    ok = take_event (yaml, &event, error);
    yaml_event_delete (&event);
  }
  return ok;
}

/* The header of OpenCV's YAML, which nvinfer's files have, is no directive of YAML's: a comment takes its
 * place. */
static char *
without_header (const char *text)
{
  char *copy = g_strdup (text);
  char *header = strstr (copy, "%YAML:");

  if (header && (header == copy || header[-1] == '\n'))
    *header = '#';
  return copy;
}

static gboolean
read_yaml (const char *text, gsize size, GPtrArray *entries, GError **error)
{
  g_auto (Yaml) yaml = {.entries = entries};
  g_autofree char *copy = without_header (text);
  yaml_parser_t parser;
  gboolean ok;

  if (!yaml_parser_initialize (&parser)) {
    g_set_error_literal (error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_PARSE, "no memory for YAML");
    return FALSE;
  }
  yaml_parser_set_input_string (&parser, (const guchar *) copy, size);
  ok = parse_yaml (&parser, &yaml, error);
  yaml_parser_delete (&parser);
  return ok;
}

/* --------------------------------------------------------------------------------------------- */

GPtrArray *
gst_int8_config_file_parse (const char *text, gsize size, gboolean is_yaml, GError **error)
{
  g_autoptr (GPtrArray) entries = g_ptr_array_new_with_free_func (entry_free);

  if (size > MAX_SIZE || memchr (text, '\0', size) || !g_utf8_validate_len (text, size, NULL)) {
    g_set_error (error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_PARSE, "it is no configuration: %s",
        size > MAX_SIZE ? "it has more than 1 MB" : "it has bytes that are no UTF-8 text");
    return NULL;
  }
  if (is_yaml ? read_yaml (text, size, entries, error) : read_ini (text, size, entries, error))
    return g_steal_pointer (&entries);
  return NULL;
}

GPtrArray *
gst_int8_config_file_read (const char *path, GError **error)
{
  const gboolean is_yaml = g_str_has_suffix (path, ".yml") || g_str_has_suffix (path, ".yaml");
  g_autofree char *text = NULL;
  GPtrArray *entries;
  gsize size = 0;

  if (!g_file_get_contents (path, &text, &size, error)) {
    g_prefix_error (error, "config-file: ");
    return NULL;
  }
  entries = gst_int8_config_file_parse (text, size, is_yaml, error);
  if (!entries)
    g_prefix_error (error, "config-file: %s: ", path);
  return entries;
}
