/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * report/private.h: the parts of report/report.c. Internal to engine/.
 *
 *   report/report.c            the page, its style and its summary
 *   report/html.c       text and numbers, escaped and the same in any locale
 *   report/layers.c     suspects, and a table of all layers
 *   report/chart.c      SQNR and damage along the network
 *   report/ranges.c     what every method would do with every tensor
 *   report/tensors.c    a histogram for each
 */
#pragma once

#include "engine/graph.h"
#include "engine/report/report.h"

/* --- Text ----------------------------------------------------------------------------------- */

/* Escaped for contents and quoted attributes alike; what is no UTF-8, and control characters, become
 * replacement characters. */
void engine_html_text (GString *page, const char *text);
/* printf's format of one double, in the C locale: "%.2f". */
void engine_html_number (GString *page, const char *format, double x);
/* Formats of several numbers: only %s, %d, %u and %% are used with g_string_append_printf(), which
 * knows no locale for them. A coordinate has one digit behind its point. */
void engine_html_point (GString *page, char command, double x, double y);
/* name="x" */
void engine_html_attribute (GString *page, const char *name, double x);
/* A cell of a table: <td>, escaped where it is text, empty for NULL and an en dash for NAN. */
void engine_html_cell_text (GString *page, const char *text);
void engine_html_cell (GString *page, const char *format, double x);
/* Begins a table, up to its first row; headings between '|', those of
 * numbers with '>' in front. It ends with ENGINE_HTML_TABLE_END. */
void engine_html_table (GString *page, const char *class, const char *headings);
#define ENGINE_HTML_TABLE_END "</tbody></table></div>\n"
/* A share, 0 to 1, in percent with as many digits as it needs. */
void engine_html_percent (GString *page, double share);

/* --- Ranges --------------------------------------------------------------------------------- */

/* One way to choose the range of a tensor. */
typedef struct {
  char *label;      /* "mse", "percentile 99.99", "in use" */
  double threshold; /* T */
  double lo, hi;    /* what T becomes: real values that are kept */
  double clipped;   /* share of values more than half a step beyond */
  double sqnr;      /* of the values rounded to the 256 levels */
  gboolean in_use;
} EngineReportRange;

typedef struct {
  const char *name;
  const CalibHistogram *histogram;
  CalibSummary summary;
  float lowest, highest; /* engine_graph_useful() */
  GArray *ranges;        /* EngineReportRange; that in use first, where there is one */
  gboolean is_suspect;   /* its histogram is shown at once: a link leads there */
} EngineReportTensor;

/* Of every tensor of the model that has a histogram, in the order of the network; NULL with an error,
 * or where it was cancelled. */
GPtrArray *engine_report_tensors (const EngineReport *report, EngineProgressFn progress,
    gpointer data, GCancellable *cancellable, GError **error);

/* --- Sections ------------------------------------------------------------------------------- */

/* tensors: of engine_report_tensors(), or NULL; names link to them. */
void engine_report_suspects (GString *page, const EngineReport *report, const GPtrArray *tensors);
void engine_report_layers (GString *page, const EngineReport *report, const GPtrArray *tensors);
void engine_report_chart (GString *page, const EngineReport *report);
void engine_report_histograms (GString *page, const GPtrArray *tensors);
