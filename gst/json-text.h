/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * json-text.h: JSON written at the end of a GString, without anything allocated but its growth. Commas are put
 * where they belong; what begins has to end.
 *
 * Strings that are not UTF-8 have U+FFFD where they are not, numbers that JSON does not know (NaN and
 * infinity) are null: what is written can be read.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* In an object every value has a name; in an array name is NULL. */
void gst_int8_json_begin (GString *text, const char *name, char bracket); /* '{' or '[' */
void gst_int8_json_end (GString *text, char bracket);                     /* '}' or ']' */
void gst_int8_json_string (GString *text, const char *name, const char *value);
void gst_int8_json_int (GString *text, const char *name, gint64 value);
/* digits: significant ones; 9 are all that a float has, 17 those of a double. */
void gst_int8_json_double (GString *text, const char *name, double value, int digits);
/* JSON that was checked, as it is. */
void gst_int8_json_raw (GString *text, const char *name, const char *json);

G_END_DECLS
