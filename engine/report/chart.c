/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * report/chart.c: SQNR along the network, cumulative and alone, and below it the damage of every
 * layer. Names appear when a point is hovered over; numbers are those of the table.
 */
#include "engine/report/private.h"

#include <math.h>

#define LEFT        44
#define RIGHT       12
#define TOP         10
#define SQNR        190 /* heights */
#define GAP         34
#define DAMAGE      90
#define LEAST_WIDTH 860

typedef struct {
  GArray *scores;  /* EngineTensorScore of the layers that compute */
  GArray *numbers; /* guint: their tensors */
  double *damage;  /* [scores->len], share of the whole */
  double lo, hi, step, most;
  double width; /* between the margins */
} Chart;

static const EngineTensorScore *
score_at (const Chart *chart, guint i)
{
  return &g_array_index (chart->scores, EngineTensorScore, i);
}

static void
include (Chart *chart, double decibels)
{
  if (!isfinite (decibels))
    return;
  chart->lo = fmin (chart->lo, decibels);
  chart->hi = fmax (chart->hi, decibels);
}

static void
read_damage (Chart *chart, const EngineComparison *comparison)
{
  g_autoptr (GPtrArray) suspects = engine_comparison_suspects (comparison);
  double all = 0;

  for (guint i = 0; i < suspects->len; i++)
    all += ((EngineSuspect *) g_ptr_array_index (suspects, i))->damage;
  for (guint i = 0; i < suspects->len; i++) {
    const EngineSuspect *suspect = g_ptr_array_index (suspects, i);

    for (guint k = 0; k < chart->numbers->len; k++)
      if (g_array_index (chart->numbers, guint, k) == suspect->tensor)
        chart->damage[k] = suspect->damage / all;
    chart->most = fmax (chart->most, suspect->damage / all);
  }
}

static void
chart_init (Chart *chart, const EngineComparison *comparison)
{
  *chart = (Chart){.scores = g_array_new (FALSE, FALSE, sizeof (EngineTensorScore)),
      .numbers = g_array_new (FALSE, FALSE, sizeof (guint)),
      .lo = INFINITY,
      .hi = -INFINITY};
  for (guint i = 0; i < engine_comparison_n_tensors (comparison); i++) {
    EngineTensorScore score;

    engine_comparison_tensor (comparison, i, &score);
    if (!score.computes)
      continue;
    include (chart, score.sqnr);
    include (chart, score.alone);
    g_array_append_val (chart->scores, score);
    g_array_append_val (chart->numbers, i);
  }
  chart->damage = g_new0 (double, chart->scores->len + 1);
  chart->width = MAX (LEAST_WIDTH, 9 * (int) chart->scores->len);
  if (!isfinite (chart->lo))
    return;
  chart->step = chart->hi - chart->lo > 50 ? 20 : 10;
  chart->lo = chart->step * floor (chart->lo / chart->step);
  chart->hi = chart->step * ceil ((chart->hi + 0.01) / chart->step);
  read_damage (chart, comparison);
}

static void
chart_clear (Chart *chart)
{
  g_array_unref (chart->scores);
  g_array_unref (chart->numbers);
  g_free (chart->damage);
}

static double
x_of (const Chart *chart, guint i)
{
  return LEFT + chart->width * (i + 0.5) / chart->scores->len;
}

/* What is exact lies on the upper edge. */
static double
y_of (const Chart *chart, double decibels)
{
  return TOP +
         SQNR * (chart->hi - CLAMP (decibels, chart->lo, chart->hi)) / (chart->hi - chart->lo);
}

static void
draw_text (GString *page, double x, double y, const char *anchor)
{
  g_string_append (page, "<text");
  engine_html_attribute (page, "x", x);
  engine_html_attribute (page, "y", y);
  g_string_append_printf (page, " text-anchor=\"%s\">", anchor);
}

static void
draw_line (GString *page, const char *class, double x1, double y1, double x2, double y2)
{
  g_string_append_printf (page, "<path class=\"%s\" d=\"", class);
  engine_html_point (page, 'M', x1, y1);
  engine_html_point (page, 'L', x2, y2);
  g_string_append (page, "\"/>");
}

static void
draw_grid (GString *page, const Chart *chart)
{
  for (double db = chart->lo; db <= chart->hi; db += chart->step) {
    const double y = y_of (chart, db);

    draw_line (page, "grid", LEFT, y, LEFT + chart->width, y);
    draw_text (page, LEFT - 6, y + 4, "end");
    engine_html_number (page, "%.0f", db);
    g_string_append (page, "</text>");
  }
  const double zero = TOP + SQNR + GAP + DAMAGE;
  draw_line (page, "grid", LEFT, zero, LEFT + chart->width, zero);
  draw_line (page, "grid", LEFT, zero - DAMAGE, LEFT + chart->width, zero - DAMAGE);
  draw_text (page, LEFT - 6, zero + 4, "end");
  g_string_append (page, "0</text>");
  draw_text (page, LEFT - 6, zero - DAMAGE + 4, "end");
  engine_html_percent (page, chart->most);
  g_string_append (page, "</text>");
}

/* Numbers of the table, about every fiftieth of the width. */
static void
draw_numbers (GString *page, const Chart *chart)
{
  const guint every = MAX (1, (guint) ceil (chart->scores->len * 34 / chart->width));

  for (guint i = 0; i < chart->scores->len; i += every) {
    draw_text (page, x_of (chart, i), TOP + SQNR + 20, "middle");
    g_string_append_printf (page, "%u</text>", g_array_index (chart->numbers, guint, i));
  }
}

static void
draw_cumulative (GString *page, const Chart *chart)
{
  char command = 'M';

  g_string_append (page, "<path class=\"cumulative\" d=\"");
  for (guint i = 0; i < chart->scores->len; i++) {
    const double db = score_at (chart, i)->sqnr;

    if (isnan (db))
      continue;
    engine_html_point (page, command, x_of (chart, i), y_of (chart, db));
    command = 'L';
  }
  g_string_append (page, "\"/>");
}

static void
draw_alone (GString *page, const Chart *chart)
{
  for (guint i = 0; i < chart->scores->len; i++) {
    const double db = score_at (chart, i)->alone;

    if (isnan (db))
      continue;
    g_string_append (page, "<circle class=\"alone\" r=\"3.2\"");
    engine_html_attribute (page, "cx", x_of (chart, i));
    engine_html_attribute (page, "cy", y_of (chart, db));
    g_string_append (page, "/>");
  }
}

static void
draw_damage (GString *page, const Chart *chart)
{
  const double zero = TOP + SQNR + GAP + DAMAGE;
  const double width = fmin (0.7 * chart->width / chart->scores->len, 24);

  for (guint i = 0; i < chart->scores->len && chart->most > 0; i++) {
    const double height = DAMAGE * chart->damage[i] / chart->most;

    if (height < 0.1)
      continue;
    g_string_append (page, "<rect class=\"damage\"");
    engine_html_attribute (page, "x", x_of (chart, i) - width / 2);
    engine_html_attribute (page, "y", zero - height);
    engine_html_attribute (page, "width", width);
    engine_html_attribute (page, "height", height);
    g_string_append (page, "/>");
  }
}

static void
write_decibels (GString *page, const char *what, double db)
{
  if (isnan (db))
    return;
  g_string_append (page, what);
  if (isinf (db))
    g_string_append (page, "exact");
  else {
    engine_html_number (page, "%.2f", db);
    g_string_append (page, " dB");
  }
}

/* A strip over all heights for every layer: what is told when the pointer is over it. */
static void
draw_tips (GString *page, const Chart *chart)
{
  const double strip = chart->width / chart->scores->len;

  for (guint i = 0; i < chart->scores->len; i++) {
    const EngineTensorScore *score = score_at (chart, i);

    g_string_append_printf (page, "<a href=\"#l%u\"><rect class=\"tip\"",
        g_array_index (chart->numbers, guint, i));
    engine_html_attribute (page, "x", x_of (chart, i) - strip / 2);
    engine_html_attribute (page, "y", TOP);
    engine_html_attribute (page, "width", strip);
    engine_html_attribute (page, "height", SQNR + GAP + DAMAGE);
    g_string_append_printf (page, "><title>%u ", g_array_index (chart->numbers, guint, i));
    engine_html_text (page, score->name);
    write_decibels (page, "\ncumulative ", score->sqnr);
    write_decibels (page, "\nalone ", score->alone);
    write_decibels (page, "\nlogits ", score->alone_logits);
    g_string_append (page, "\ndamage ");
    engine_html_percent (page, chart->damage[i]);
    g_string_append (page, "</title></rect></a>");
  }
}

void
engine_report_chart (GString *page, const EngineReport *report)
{
  Chart chart;

  chart_init (&chart, report->comparison);
  if (isfinite (chart.lo)) {
    g_string_append (page,
        "<p class=\"key\"><span><i class=\"cumulative\"></i>SQNR of the tensor in the INT8 network, "
        "dB</span><span><i class=\"alone\"></i>with only its own layer in int8</span><span><i "
        "class=\"damage\"></i>below: share of the damage</span></p>\n");
    g_string_append_printf (page,
        "<div class=\"scroll\"><svg class=\"network\" style=\"min-width:%dpx\" viewBox=\"0 0 %d %d\" "
        "role=\"img\" aria-label=\"SQNR and damage of every layer, in the order of the network\">",
        LEFT + (int) chart.width + RIGHT, LEFT + (int) chart.width + RIGHT,
        TOP + SQNR + GAP + DAMAGE + 10);
    draw_grid (page, &chart);
    draw_numbers (page, &chart);
    draw_damage (page, &chart);
    draw_cumulative (page, &chart);
    draw_alone (page, &chart);
    draw_tips (page, &chart);
    g_string_append (page, "</svg></div>\n");
  }
  chart_clear (&chart);
}
