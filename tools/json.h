/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* json.h: figures for programs, as JSON. */
#pragma once

#include <json-glib/json-glib.h>

/* Members of the object that is open. NULL, and what is not a number, are left out: they are not known.
 * Infinities are null. */
void tool_json_string (JsonBuilder *json, const char *name, const char *value);
void tool_json_int (JsonBuilder *json, const char *name, gint64 value);
void tool_json_double (JsonBuilder *json, const char *name, double value);

/* All that was built, into a file. */
gboolean tool_json_write (JsonBuilder *json, const char *path, GError **error);
