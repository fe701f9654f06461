/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* report/layers.c: the layers that do the damage and what to do about them; a table of all. */
#include "engine/report/private.h"

#include <math.h>

#define SUSPECTS 10

/* Its histogram, or NULL. */
static EngineReportTensor *
write_name (GString *page, const char *name, const GPtrArray *tensors)
{
  for (guint i = 0; tensors && i < tensors->len; i++) {
    EngineReportTensor *tensor = g_ptr_array_index (tensors, i);

    if (!g_str_equal (tensor->name, name))
      continue;
    g_string_append_printf (page, "<a href=\"#h%u\"><code>", i);
    engine_html_text (page, name);
    g_string_append (page, "</code></a>");
    return tensor;
  }
  g_string_append (page, "<code>");
  engine_html_text (page, name);
  g_string_append (page, "</code>");
  return NULL;
}

/* --- Suspects ------------------------------------------------------------------------------- */

static double
sum_of_damage (const GPtrArray *suspects, guint n)
{
  double sum = 0;

  for (guint i = 0; i < n; i++)
    sum += ((EngineSuspect *) g_ptr_array_index (suspects, i))->damage;
  return sum;
}

static void
write_suspect (GString *page, const EngineReport *report, const EngineSuspect *suspect, guint rank,
    double all, const GPtrArray *tensors)
{
  EngineTensorScore score;
  EngineReportTensor *tensor;

  engine_comparison_tensor (report->comparison, suspect->tensor, &score);
  g_string_append_printf (page, "<tr><td class=\"n\">%u</td><td>", rank);
  tensor = write_name (page, score.name, tensors);
  if (tensor)
    tensor->is_suspect = TRUE;
  g_string_append (page, "</td><td class=\"share\"><span style=\"width:");
  engine_html_number (page, "%.1f", 100 * suspect->damage / all);
  g_string_append (page, "%\"></span>");
  engine_html_percent (page, suspect->damage / all);
  g_string_append (page, "</td>");
  engine_html_cell_text (page, suspect->why);
  g_string_append (page, "</tr>\n");
}

/* What can be pasted, for the layers that make half of the damage. */
static void
write_overrides (GString *page, const GPtrArray *suspects)
{
  const double all = sum_of_damage (suspects, suspects->len);
  g_autoptr (GString) rules = g_string_new (NULL);
  g_autoptr (GString) ranges = g_string_new (NULL);
  guint n = 0;

  while (n < suspects->len && sum_of_damage (suspects, n) < all / 2) {
    const EngineSuspect *suspect = g_ptr_array_index (suspects, n);

    g_string_append_printf (rules, "%s%s", n ? "," : "", suspect->precision);
    if (suspect->range)
      g_string_append_printf (ranges, "%s\n", suspect->range);
    n++;
  }
  g_string_append_printf (page,
      "<p>Half of the damage comes from %u of %u layers. To give them back to float, set "
      "<code>layer-precision</code> of int8infer, or <code>--layer-precision</code>, to</p>\n<pre>",
      n, suspects->len);
  engine_html_text (page, rules->str);
  g_string_append (page, "</pre>\n");
  if (ranges->len == 0)
    return;
  g_string_append (page, "<p>Ranges that would clip nothing, as a file for "
                         "<code>dynamic-ranges</code>; the steps between levels become wider, so "
                         "compare again:</p>\n<pre>");
  engine_html_text (page, ranges->str);
  g_string_append (page, "</pre>\n");
}

static gboolean
ran_alone (const EngineComparison *comparison)
{
  EngineTensorScore score;

  for (guint i = 0; i < engine_comparison_n_tensors (comparison); i++) {
    engine_comparison_tensor (comparison, i, &score);
    if (!isnan (score.alone_logits))
      return TRUE;
  }
  return FALSE;
}

void
engine_report_suspects (GString *page, const EngineReport *report, const GPtrArray *tensors)
{
  g_autoptr (GPtrArray) suspects = engine_comparison_suspects (report->comparison);
  const double all = sum_of_damage (suspects, suspects->len);

  g_string_append (page, "<h2 id=\"suspects\">Suspects</h2>\n");
  if (suspects->len == 0) {
    g_string_append (page, "<p>No layer does any damage.</p>\n");
    return;
  }
  g_string_append (page,
      ran_alone (report->comparison)
          ? "<p>The layers by the noise that each brings into the logits when it alone is int8.</p>\n"
          : "<p>The layers by the noise that their outputs have and their inputs have not: an "
            "estimate, since no layer was run alone.</p>\n");
  engine_html_table (page, "suspects", ">|tensor|share of the damage|why");
  for (guint i = 0; i < MIN (suspects->len, SUSPECTS); i++)
    write_suspect (page, report, g_ptr_array_index (suspects, i), i + 1, all, tensors);
  g_string_append (page, ENGINE_HTML_TABLE_END);
  write_overrides (page, suspects);
}

/* --- The table ------------------------------------------------------------------------------ */

static void
write_layer (GString *page, guint i, const EngineTensorScore *score, const GPtrArray *tensors)
{
  g_string_append_printf (page, "<tr id=\"l%u\"><td class=\"n\">%u</td><td>", i, i);
  write_name (page, score->name, tensors);
  g_string_append (page, "</td>");
  engine_html_cell_text (page, score->op);
  engine_html_cell_text (page, score->computes ? engine_precision_name (score->precision) : NULL);
  engine_html_cell (page, "%.2f", score->sqnr);
  engine_html_cell (page, "%.2f", score->alone);
  engine_html_cell (page, "%.2f", score->alone_logits);
  engine_html_cell (page, "%.5f", score->cosine);
  if (!score->int8) {
    g_string_append (page, "<td></td><td></td><td></td></tr>\n");
    return;
  }
  g_string_append (page, "<td class=\"n\">");
  engine_html_percent (page, score->saturated);
  g_string_append_printf (page, "</td><td class=\"n\">%u</td><td class=\"n\">", score->levels);
  if (score->dead > 0)
    g_string_append_printf (page, "%u of %u", score->dead, score->channels);
  g_string_append (page, "</td></tr>\n");
}

void
engine_report_layers (GString *page, const EngineReport *report, const GPtrArray *tensors)
{
  engine_html_table (page, "layers",
      ">|tensor|op|in|>SQNR, dB|>alone, dB|>logits, dB|>cosine|>saturated|>levels|>dead channels");
  for (guint i = 0; i < engine_comparison_n_tensors (report->comparison); i++) {
    EngineTensorScore score;

    engine_comparison_tensor (report->comparison, i, &score);
    write_layer (page, i, &score, tensors);
  }
  g_string_append (page, ENGINE_HTML_TABLE_END
      "<p class=\"note\">SQNR: of the tensor in the INT8 network against the "
      "FP32 network. Alone: with only its own layer in int8; logits: what that does to the class "
      "scores. Saturated: values at an end of the int8 range that belong beyond it. Dead: channels "
      "that int8 leaves at 0 throughout and FP32 does not. ∞: exact.</p>\n");
}
