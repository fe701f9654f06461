/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* report/html.c: text and numbers for a page, escaped and the same in any locale. */
#include "engine/report/private.h"

#include <math.h>

void
engine_html_text (GString *page, const char *text)
{
  g_autofree char *valid = g_utf8_make_valid (text, -1);

  for (const char *c = valid; *c; c = g_utf8_next_char (c)) {
    const gunichar u = g_utf8_get_char (c);

    if (u == '&')
      g_string_append (page, "&amp;");
    else if (u == '<')
      g_string_append (page, "&lt;");
    else if (u == '>')
      g_string_append (page, "&gt;");
    else if (u == '"')
      g_string_append (page, "&quot;");
    else if (u == '\'')
      g_string_append (page, "&#39;");
    else if ((u < 0x20 && u != '\n') || (u >= 0x7f && u < 0xa0))
      g_string_append (page, "\xef\xbf\xbd");
    else
      g_string_append_unichar (page, u);
  }
}

void
engine_html_number (GString *page, const char *format, double x)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE];

  g_string_append (page, g_ascii_formatd (text, sizeof text, format, x));
}

void
engine_html_point (GString *page, char command, double x, double y)
{
  g_string_append_c (page, command);
  engine_html_number (page, "%.1f", x);
  g_string_append_c (page, ' ');
  engine_html_number (page, "%.1f", y);
}

void
engine_html_attribute (GString *page, const char *name, double x)
{
  g_string_append_printf (page, " %s=\"", name);
  engine_html_number (page, "%.1f", x);
  g_string_append_c (page, '"');
}

void
engine_html_cell_text (GString *page, const char *text)
{
  g_string_append (page, "<td>");
  if (text)
    engine_html_text (page, text);
  g_string_append (page, "</td>");
}

void
engine_html_cell (GString *page, const char *format, double x)
{
  g_string_append (page, "<td class=\"n\">");
  if (isnan (x))
    g_string_append (page, "–");
  else if (isinf (x))
    g_string_append (page, x > 0 ? "∞" : "−∞");
  else
    engine_html_number (page, format, x);
  g_string_append (page, "</td>");
}

/* Two digits that count, and no exponent. */
void
engine_html_percent (GString *page, double share)
{
  const double percent = 100 * share;
  char format[8];

  if (isnan (share)) {
    g_string_append (page, "–");
  } else if (percent == 0) {
    g_string_append (page, "0 %");
  } else if (percent < 1e-6) {
    g_string_append (page, "&lt; 0.000001 %");
  } else {
    g_snprintf (format, sizeof format, "%%.%df",
        percent >= 1 ? 1 : 1 - (int) floor (log10 (percent)));
    engine_html_number (page, format, percent);
    g_string_append (page, " %");
  }
}

void
engine_html_table (GString *page, const char *class, const char *headings)
{
  g_auto (GStrv) all = g_strsplit (headings, "|", -1);

  g_string_append_printf (page, "<div class=\"scroll\"><table class=\"%s\"><thead><tr>", class);
  for (guint i = 0; all[i]; i++) {
    const gboolean number = all[i][0] == '>';

    g_string_append (page, number ? "<th class=\"n\">" : "<th>");
    engine_html_text (page, all[i] + number);
    g_string_append (page, "</th>");
  }
  g_string_append (page, "</tr></thead>\n<tbody>");
}
