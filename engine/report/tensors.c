/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * report/tensors.c: a folded section for every tensor: the ranges of all methods as bars over the
 * histogram, whose counts are logarithmic, and the same as a table.
 */
#include "engine/report/private.h"

#include <math.h>

/* Of the chart, in its own units: a column is 4 wide. */
#define COLUMNS 128
#define LEFT    104
#define WIDTH   (COLUMNS * 4)
#define HEIGHT  132
#define LANE    15
#define RIGHT   12

typedef struct {
  double lo, hi; /* of the axis */
  double count[COLUMNS], most;
  int top; /* of the histogram: below the lanes */
} Chart;

/* --- Counts --------------------------------------------------------------------------------- */

/* Values of one bin are taken to lie evenly in it. */
static void
spread (Chart *chart, double from, double to, double count)
{
  const double scale = COLUMNS / (chart->hi - chart->lo);
  const double a = (from - chart->lo) * scale, b = (to - chart->lo) * scale;
  const int first = CLAMP ((int) floor (a), 0, COLUMNS - 1);
  const int last = CLAMP ((int) ceil (b) - 1, first, COLUMNS - 1);

  for (int c = first; c <= last; c++) {
    const double part = first == last ? 1 : (fmin (b, c + 1) - fmax (a, c)) / (b - a);

    chart->count[c] += count * fmax (part, 0);
  }
}

static void
fill_chart (Chart *chart, const EngineReportTensor *tensor)
{
  const CalibSummary *s = &tensor->summary;
  const double width = ldexp (1, s->exponent);

  *chart = (Chart){.lo = fmin (s->min, 0), .hi = fmax (s->max, 0)};
  if (chart->lo == chart->hi)
    chart->hi = 1;
  for (int negative = 0; negative < 2; negative++) {
    const guint64 *bins = calib_histogram_bins (tensor->histogram, negative);

    for (int j = 0; j < CALIB_BINS; j++)
      if (bins[j] > 0)
        spread (chart, negative ? -(j + 1) * width : j * width,
            negative ? -j * width : (j + 1) * width, (double) bins[j]);
  }
  spread (chart, 0, 0, (double) s->n_zero);
  for (int c = 0; c < COLUMNS; c++)
    chart->most = fmax (chart->most, chart->count[c]);
  chart->top = LANE * (int) tensor->ranges->len + 12;
}

/* --- Drawing -------------------------------------------------------------------------------- */

static double
x_of (const Chart *chart, double value)
{
  return LEFT + WIDTH * (CLAMP (value, chart->lo, chart->hi) - chart->lo) / (chart->hi - chart->lo);
}

static double
height_of (const Chart *chart, double count)
{
  return HEIGHT * log10 (1 + count) / log10 (1 + chart->most);
}

static void
text_at (GString *page, double x, double y, const char *anchor, const char *class)
{
  g_string_append (page, "<text");
  engine_html_attribute (page, "x", x);
  engine_html_attribute (page, "y", y);
  if (anchor)
    g_string_append_printf (page, " text-anchor=\"%s\"", anchor);
  if (class)
    g_string_append_printf (page, " class=\"%s\"", class);
  g_string_append_c (page, '>');
}

static void
draw_columns (GString *page, const Chart *chart)
{
  const double bottom = chart->top + HEIGHT;
  double last = bottom;

  g_string_append (page, "<path class=\"bars\" d=\"");
  engine_html_point (page, 'M', LEFT, bottom);
  for (int c = 0; c < COLUMNS; c++) {
    const double y = bottom - height_of (chart, chart->count[c]);

    if (fabs (y - last) >= 0.05) {
      engine_html_point (page, 'L', LEFT + 4 * c, last);
      engine_html_point (page, 'L', LEFT + 4 * c, y);
    }
    last = y;
  }
  engine_html_point (page, 'L', LEFT + WIDTH, last);
  engine_html_point (page, 'L', LEFT + WIDTH, bottom);
  g_string_append (page, "Z\"/>");
}

/* Powers of ten, some three to six of them. */
static void
draw_counts (GString *page, const Chart *chart)
{
  const int powers = (int) floor (log10 (1 + chart->most)), step = powers > 5   ? 3
                                                                   : powers > 3 ? 2
                                                                                : 1;

  for (int k = 0; k <= powers; k += step) {
    const double y = chart->top + HEIGHT - height_of (chart, pow (10, k));

    g_string_append (page, "<path class=\"grid\" d=\"");
    engine_html_point (page, 'M', LEFT, y);
    engine_html_point (page, 'L', LEFT + WIDTH, y);
    g_string_append (page, "\"/>");
    text_at (page, LEFT - 6, y + 4, "end", NULL);
    if (k < 2)
      g_string_append_printf (page, "%d</text>", k == 0 ? 1 : 10);
    else
      g_string_append_printf (page, "10<tspan dy=\"-4\" class=\"power\">%d</tspan></text>", k);
  }
}

/* Round values, four to ten of them. */
static void
draw_axis (GString *page, const Chart *chart)
{
  const double rough = (chart->hi - chart->lo) / 8, power = pow (10, floor (log10 (rough)));
  const double step = rough <= power       ? power
                      : rough <= 2 * power ? 2 * power
                      : rough <= 5 * power ? 5 * power
                                           : 10 * power;
  const double y = chart->top + HEIGHT;

  for (double k = ceil (chart->lo / step); k * step <= chart->hi; k++) {
    const double x = x_of (chart, k * step);

    g_string_append (page, "<path class=\"tick\" d=\"");
    engine_html_point (page, 'M', x, y);
    engine_html_point (page, 'L', x, y + 4);
    g_string_append (page, "\"/>");
    text_at (page, x, y + 16, "middle", NULL);
    engine_html_number (page, "%.6g", k == 0 ? 0 : k * step);
    g_string_append (page, "</text>");
  }
}

/* What lies beyond the range in use. */
static void
draw_beyond (GString *page, const Chart *chart, double from, double to)
{
  const double a = x_of (chart, from), b = x_of (chart, to);

  if (b - a < 0.5)
    return;
  g_string_append (page, "<rect class=\"beyond\"");
  engine_html_attribute (page, "x", a);
  engine_html_attribute (page, "y", chart->top);
  engine_html_attribute (page, "width", b - a);
  engine_html_attribute (page, "height", HEIGHT);
  g_string_append (page, "/>");
}

static void
draw_lane (GString *page, const Chart *chart, const EngineReportRange *range, int lane)
{
  const double y = LANE * lane + 4, a = x_of (chart, range->lo), b = x_of (chart, range->hi);

  text_at (page, LEFT - 6, y + 9, "end", range->in_use ? "use" : NULL);
  engine_html_text (page, range->label);
  g_string_append_printf (page, "</text><rect class=\"%s\" rx=\"2\"",
      range->in_use ? "use" : "lane");
  engine_html_attribute (page, "x", a);
  engine_html_attribute (page, "y", y);
  engine_html_attribute (page, "width", fmax (b - a, 1));
  engine_html_attribute (page, "height", LANE - 5);
  g_string_append (page, "/>");
}

static void
draw (GString *page, const EngineReportTensor *tensor)
{
  Chart chart;

  fill_chart (&chart, tensor);
  g_string_append_printf (page,
      "<div class=\"scroll\"><svg class=\"histogram\" viewBox=\"0 0 %d %d\" role=\"img\" "
      "aria-label=\"Histogram with the range of every method\">",
      LEFT + WIDTH + RIGHT, chart.top + HEIGHT + 22);
  for (guint i = 0; i < tensor->ranges->len; i++) {
    const EngineReportRange *range = &g_array_index (tensor->ranges, EngineReportRange, i);

    draw_lane (page, &chart, range, i);
    if (range->in_use) {
      draw_beyond (page, &chart, chart.lo, range->lo);
      draw_beyond (page, &chart, range->hi, chart.hi);
    }
  }
  if (chart.most > 0) {
    draw_counts (page, &chart);
    draw_columns (page, &chart);
  }
  draw_axis (page, &chart);
  g_string_append (page, "</svg></div>\n");
}

/* --- Text ----------------------------------------------------------------------------------- */

static void
write_row (GString *page, const EngineReportRange *range, gboolean best)
{
  g_string_append_printf (page, "<tr%s>", range->in_use ? " class=\"use\"" : "");
  engine_html_cell_text (page, range->label);
  engine_html_cell (page, "%.5g", range->threshold);
  engine_html_cell (page, "%.5g", range->lo);
  engine_html_cell (page, "%.5g", range->hi);
  g_string_append (page, "<td class=\"n\">");
  engine_html_percent (page, range->clipped);
  g_string_append (page, "</td>");
  engine_html_cell (page, "%.2f", range->sqnr);
  g_string_append_printf (page, "<td>%s</td></tr>\n", best ? "highest" : "");
}

static void
write_table (GString *page, const EngineReportTensor *tensor)
{
  double best = -INFINITY;

  for (guint i = 0; i < tensor->ranges->len; i++)
    best = fmax (best, g_array_index (tensor->ranges, EngineReportRange, i).sqnr);
  engine_html_table (page, "ranges", "range|>T|>from|>to|>clipped|>SQNR, dB|");
  for (guint i = 0; i < tensor->ranges->len; i++) {
    const EngineReportRange *range = &g_array_index (tensor->ranges, EngineReportRange, i);

    write_row (page, range, range->sqnr == best && isfinite (best));
  }
  g_string_append (page, ENGINE_HTML_TABLE_END);
}

/* In groups of three digits. */
static void
append_count (GString *page, guint64 n)
{
  char digits[24];
  const int length = g_snprintf (digits, sizeof digits, "%" G_GUINT64_FORMAT, n);

  for (int i = 0; i < length; i++) {
    if (i > 0 && (length - i) % 3 == 0)
      g_string_append_c (page, ',');
    g_string_append_c (page, digits[i]);
  }
}

static void
write_figures (GString *page, const CalibSummary *s)
{
  const double n = (double) s->n;

  g_string_append (page, "<p>");
  append_count (page, s->n);
  g_string_append (page, " values from ");
  engine_html_number (page, "%.6g", s->min);
  g_string_append (page, " to ");
  engine_html_number (page, "%.6g", s->max);
  g_string_append (page, "; ");
  engine_html_percent (page, n > 0 ? (double) s->n_zero / n : 0);
  g_string_append (page, " are 0");
  if (s->n_nonfinite > 0)
    g_string_append_printf (page,
        "; <strong>%" G_GUINT64_FORMAT " are infinite or no numbers</strong> and not counted",
        s->n_nonfinite);
  g_string_append (page, ".</p>\n");
}

static void
write_summary (GString *page, const EngineReportTensor *tensor)
{
  g_string_append (page, "<summary><code>");
  engine_html_text (page, tensor->name);
  g_string_append (page, "</code>");
  if (tensor->ranges->len > 0) {
    const EngineReportRange *range = &g_array_index (tensor->ranges, EngineReportRange, 0);

    if (range->in_use) {
      g_string_append (page, " <span>T ");
      engine_html_number (page, "%.4g", range->threshold);
      g_string_append (page, ", ");
      engine_html_percent (page, range->clipped);
      g_string_append (page, " clipped</span>");
    }
  }
  g_string_append (page, "</summary>\n");
}

void
engine_report_histograms (GString *page, const GPtrArray *tensors)
{
  g_string_append (page,
      "<h2 id=\"tensors\">Tensors</h2>\n<p>Values that calibration saw. The bars above a histogram "
      "are the ranges that the methods would keep, its counts are logarithmic, and the shaded part "
      "lies beyond the range in use. Clipped: more than half a step beyond the range. SQNR: of these "
      "values as int8, without what layers before have done.</p>\n");
  for (guint i = 0; i < tensors->len; i++) {
    const EngineReportTensor *tensor = g_ptr_array_index (tensors, i);

    g_string_append_printf (page, "<details id=\"h%u\"%s>", i,
        tensor->is_suspect ? " open=\"open\"" : "");
    write_summary (page, tensor);
    write_figures (page, &tensor->summary);
    draw (page, tensor);
    write_table (page, tensor);
    g_string_append (page, "</details>\n");
  }
}
