/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* json-text.c: see json-text.h. */
#include "gst/json-text.h"

#include <math.h>
#include <string.h>

static void
add_escaped (GString *text, const char *value, gsize length)
{
  for (gsize i = 0; i < length; i++) {
    const guchar c = (guchar) value[i];

    if (c == '"' || c == '\\') {
      g_string_append_c (text, '\\');
      g_string_append_c (text, (char) c);
    } else if (c == '\n') {
      g_string_append (text, "\\n");
    } else if (c == '\t') {
      g_string_append (text, "\\t");
    } else if (c < 0x20) {
      g_string_append_printf (text, "\\u%04x", c);
    } else {
      g_string_append_c (text, (char) c);
    }
  }
}

static void
add_string (GString *text, const char *value)
{
  const char *end;

  g_string_append_c (text, '"');
  while (!g_utf8_validate (value, -1, &end)) {
    add_escaped (text, value, (gsize) (end - value));
    g_string_append (text, "\xef\xbf\xbd"); /* U+FFFD */
    value = end + 1;
  }
  add_escaped (text, value, strlen (value));
  g_string_append_c (text, '"');
}

static void
add_name (GString *text, const char *name)
{
  const char last = text->len > 0 ? text->str[text->len - 1] : '{';

  if (last != '{' && last != '[')
    g_string_append_c (text, ',');
  if (name) {
    add_string (text, name);
    g_string_append_c (text, ':');
  }
}

void
gst_int8_json_begin (GString *text, const char *name, char bracket)
{
  add_name (text, name);
  g_string_append_c (text, bracket);
}

void
gst_int8_json_end (GString *text, char bracket)
{
  g_string_append_c (text, bracket);
}

void
gst_int8_json_string (GString *text, const char *name, const char *value)
{
  add_name (text, name);
  add_string (text, value);
}

void
gst_int8_json_int (GString *text, const char *name, gint64 value)
{
  add_name (text, name);
  g_string_append_printf (text, "%" G_GINT64_FORMAT, value);
}

void
gst_int8_json_double (GString *text, const char *name, double value, int digits)
{
  char format[8], number[G_ASCII_DTOSTR_BUF_SIZE];

  g_snprintf (format, sizeof format, "%%.%dg", digits);
  add_name (text, name);
  /* Whatever the locale's decimal point is. */
  g_string_append (text,
      isfinite (value) ? g_ascii_formatd (number, sizeof number, format, value) : "null");
}

void
gst_int8_json_raw (GString *text, const char *name, const char *json)
{
  add_name (text, name);
  g_string_append (text, json);
}
