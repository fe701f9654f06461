/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* json.c: what the commands write for programs. */
#include "tools/json.h"
#include "tools/tool.h"

#include <math.h>

void
tool_json_string (JsonBuilder *json, const char *name, const char *value)
{
  g_autofree char *valid = value ? g_utf8_make_valid (value, -1) : NULL;

  if (!valid)
    return;
  json_builder_set_member_name (json, name);
  json_builder_add_string_value (json, valid);
}

void
tool_json_int (JsonBuilder *json, const char *name, gint64 value)
{
  json_builder_set_member_name (json, name);
  json_builder_add_int_value (json, value);
}

void
tool_json_double (JsonBuilder *json, const char *name, double value)
{
  if (isnan (value))
    return;
  json_builder_set_member_name (json, name);
  if (isinf (value))
    json_builder_add_null_value (json);
  else
    json_builder_add_double_value (json, value);
}

gboolean
tool_json_write (JsonBuilder *json, const char *path, GError **error)
{
  g_autoptr (JsonNode) root = json_builder_get_root (json);
  g_autoptr (JsonGenerator) generator = json_generator_new ();
  gsize size;

  json_generator_set_root (generator, root);
  json_generator_set_pretty (generator, TRUE);
  g_autofree char *text = json_generator_to_data (generator, &size);
  return calib_file_replace (path, text, size, error);
}
