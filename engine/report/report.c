/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* report/report.c: the page: its style, what was compared, and what came out. */
#include "engine/model.h"
#include "engine/report/private.h"

#include <math.h>
#include <string.h>

/* clang-format off */
static const char style[] =
    ":root{--back:#fff;--text:#1d2226;--quiet:#5a6570;--line:#dce1e6;--soft:#f3f5f7;"
    "--blue:#0b63c5;--orange:#bf5600;--bars:#8ea9c4;--lane:#b9c3cd;--beyond:#bf560022}\n"
    "@media (prefers-color-scheme:dark){:root{--back:#14181c;--text:#e4e8eb;--quiet:#9ba6b0;"
    "--line:#2e363d;--soft:#1d2328;--blue:#6ab0ff;--orange:#ffa04d;--bars:#56738f;--lane:#4a5660;"
    "--beyond:#ffa04d2b}}\n"
    "*{box-sizing:border-box}\n"
    "html{color-scheme:light dark}\n"
    "body{margin:0 auto;max-width:1080px;padding:24px 20px 60px;background:var(--back);"
    "color:var(--text);font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}\n"
    "h1{font-size:24px;line-height:1.25;margin:0 0 4px;overflow-wrap:anywhere}\n"
    "h2{font-size:18px;margin:36px 0 8px;padding-top:12px;border-top:1px solid var(--line)}\n"
    "p{margin:8px 0;max-width:80ch}\n"
    ".lead{color:var(--quiet);margin-bottom:16px}\n"
    ".note{color:var(--quiet);font-size:13px}\n"
    "a{color:var(--blue);text-decoration:none}a:hover{text-decoration:underline}\n"
    "code,pre{font:13px/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;"
    "overflow-wrap:anywhere}\n"
    "pre{background:var(--soft);border:1px solid var(--line);border-radius:6px;padding:10px 12px;"
    "margin:8px 0;white-space:pre-wrap}\n"
    ".cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:10px;"
    "margin:16px 0}\n"
    ".cards div{border:1px solid var(--line);border-radius:8px;padding:10px 12px}\n"
    ".cards b{display:block;font-size:22px;font-weight:600;line-height:1.3;"
    "font-variant-numeric:tabular-nums}\n"
    ".cards span{color:var(--quiet);font-size:13px}\n"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:3px 16px;margin:16px 0;"
    "font-size:14px}\n"
    "dt{color:var(--quiet)}dd{margin:0;overflow-wrap:anywhere}\n"
    "@media (max-width:600px){dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:6px}}\n"
    ".scroll{overflow-x:auto;margin:8px 0}\n"
    "table{border-collapse:collapse;font-size:13px;width:100%}\n"
    "th{text-align:left;color:var(--quiet);font-weight:500;vertical-align:bottom}\n"
    "th,td{padding:4px 10px 4px 0;border-bottom:1px solid var(--line)}\n"
    "td{vertical-align:top}td code{font-size:12px}th.n{white-space:normal}\n"
    ".ranges{max-width:760px}\n"
    ".n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}\n"
    ".layers td:nth-child(2){min-width:200px}.suspects td:nth-child(2){min-width:180px}\n"
    ".suspects td:nth-child(4){min-width:220px}\n"
    ".share{white-space:nowrap;min-width:150px}.share span{display:inline-block;height:9px;"
    "max-width:80px;min-width:1px;background:var(--orange);border-radius:2px;margin-right:6px}\n"
    "tr.use td{font-weight:600}\n"
    "details{border-bottom:1px solid var(--line);padding:4px 0}\n"
    "details[open]{padding-bottom:16px}\n"
    "summary{cursor:pointer;padding:3px 0}summary span{color:var(--quiet);font-size:13px}\n"
    "svg{display:block;width:100%;height:auto}\n"
    "svg text{font-size:11px;fill:var(--quiet)}svg .use,svg text.use{fill:var(--orange)}\n"
    "svg .power{font-size:8px}\n"
    ".histogram{min-width:480px;max-width:760px}\n"
    ".bars{fill:var(--bars)}.lane{fill:var(--lane)}.beyond{fill:var(--beyond)}\n"
    ".grid,.tick{stroke:var(--line);fill:none}.tick{stroke:var(--quiet)}\n"
    "path.cumulative{stroke:var(--blue);fill:none;stroke-width:2;stroke-linejoin:round}\n"
    "circle.alone{fill:var(--back);stroke:var(--orange);stroke-width:1.6}\n"
    "rect.damage{fill:var(--orange)}\n"
    ".tip{fill:transparent}.tip:hover{fill:var(--lane);fill-opacity:.28}\n"
    ".key{font-size:13px;color:var(--quiet);max-width:none;display:flex;flex-wrap:wrap;"
    "gap:2px 18px}\n"
    ".key i{display:inline-block;vertical-align:middle;margin:0 6px 2px 0}\n"
    ".key .cumulative{width:18px;height:2px;background:var(--blue)}\n"
    ".key .alone{width:9px;height:9px;border:2px solid var(--orange);border-radius:50%}\n"
    ".key .damage{width:9px;height:9px;background:var(--orange)}\n"
    "@media print{:root{--back:#fff;--text:#000;--quiet:#444;--line:#ccc;--soft:#f5f5f5;"
    "--blue:#0b63c5;--orange:#bf5600;--bars:#8ea9c4;--lane:#b9c3cd;--beyond:#bf560022}"
    "@page{margin:14mm}.cards b{font-size:14pt;white-space:nowrap}"
    "body{max-width:none;padding:0;font-size:10pt}.scroll{overflow:visible}"
    "svg{min-width:0!important}table{font-size:8pt}td code{font-size:7.5pt}"
    ".layers td:nth-child(2),.suspects td:nth-child(2),.suspects td:nth-child(4){min-width:0}"
    "tr,svg,.cards div{break-inside:avoid}}\n";
/* clang-format on */

static const char *
base_name (const char *path)
{
  const char *slash = strrchr (path, '/');

  return slash && slash[1] ? slash + 1 : path;
}

/* --- Summary -------------------------------------------------------------------------------- */

static void
write_card (GString *page, const char *what, const char *format, double x, const char *unit)
{
  g_string_append (page, "<div><b>");
  if (isfinite (x))
    engine_html_number (page, format, x);
  else
    g_string_append (page, isinf (x) ? "∞" : "–");
  g_string_append_printf (page, "%s</b><span>%s</span></div>\n", unit, what);
}

/* What is not 0 does not look like it. */
static const char *
divergence_format (double x)
{
  return x > 0 && x < 1e-4 ? "%.1e" : "%.5f";
}

static void
write_agreement (GString *page, const EngineComparison *comparison)
{
  EngineAgreementScore s;

  engine_comparison_score (comparison, &s);
  g_string_append_printf (page,
      "<p>The INT8 network has the best class of the FP32 network on <strong>%" G_GUINT64_FORMAT
      " of %" G_GUINT64_FORMAT " frames</strong>.</p>\n<div class=\"cards\">\n",
      (guint64) rint (s.top1 * (double) s.frames), s.frames);
  write_card (page, "top-1 agreement", "%.2f", 100 * s.top1, " %");
  write_card (page, "FP32's best among INT8's five", "%.2f", 100 * s.top5, " %");
  write_card (page, "SQNR of the logits", "%.2f", s.sqnr, " dB");
  write_card (page, "mean divergence (KL), nats", divergence_format (s.kl_mean), s.kl_mean, "");
  write_card (page, "99th percentile of it", divergence_format (s.kl_p99), s.kl_p99, "");
  g_string_append (page, "</div>\n");
}

static void
write_term (GString *page, const char *term, const char *text)
{
  if (!text || !text[0])
    return;
  g_string_append_printf (page, "<dt>%s</dt><dd>", term);
  engine_html_text (page, text);
  g_string_append (page, "</dd>\n");
}

static char *
count_layers (const EngineComparison *comparison)
{
  guint layers[ENGINE_PRECISION_COUNT] = {0};
  GString *text = g_string_new (NULL);
  EngineTensorScore score;

  for (guint i = 0; i < engine_comparison_n_tensors (comparison); i++) {
    engine_comparison_tensor (comparison, i, &score);
    layers[score.precision] += score.computes;
  }
  for (int p = 0; p < ENGINE_PRECISION_COUNT; p++)
    if (layers[p] > 0)
      g_string_append_printf (text, "%s%u %s", text->len ? ", " : "", layers[p],
          engine_precision_name (p));
  return g_string_free (text, FALSE);
}

static void
write_provenance (GString *page, const EngineReport *report)
{
  const CalibProvenance *from = report->provenance;

  g_string_append (page, "<dl>\n");
  write_term (page, "Model, SHA-256", engine_model_sha256 (report->model));
  write_term (page, "Calibration", report->table_name);
  write_term (page, "Method", report->method);
  write_term (page, "Ranges",
      report->ranges == ENGINE_RANGES_FULL ? "full and affine where possible" : "symmetric");
  if (report->comparison) {
    g_autofree char *layers = count_layers (report->comparison);

    write_term (page, "Layers", layers);
  }
  if (report->bias) {
    g_autofree char *layers = g_strdup_printf ("of %u layers", engine_bias_n_layers (report->bias));

    write_term (page, "Bias correction", layers);
  }
  write_term (page, "Preprocessing", report->preprocess);
  if (from && from->frames > 0) {
    g_autofree char *frames = g_strdup_printf ("%" G_GUINT64_FORMAT, from->frames);

    write_term (page, "Calibrated on, frames", frames);
  }
  if (from) {
    write_term (page, "Frames from", from->source);
    write_term (page, "Calibrated by", from->tool);
  }
  g_string_append (page, "</dl>\n");
}

/* --- The page ------------------------------------------------------------------------------- */

static void
write_head (GString *page, const EngineReport *report)
{
  const char *name = base_name (report->model_name);

  g_string_append (page,
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
      "<title>");
  engine_html_text (page, name);
  g_string_append (page, ": INT8 calibration</title>\n<style>\n");
  g_string_append (page, style);
  g_string_append (page, "</style>\n</head>\n<body>\n<h1>");
  engine_html_text (page, name);
  g_string_append (page,
      "</h1>\n<p class=\"lead\">INT8 calibration, by gst-int8 " INT8_VERSION "</p>\n");
}

char *
engine_report_html (const EngineReport *report, EngineProgressFn progress, gpointer data,
    GCancellable *cancellable, GError **error)
{
  const gboolean compared =
      report->comparison && engine_comparison_n_tensors (report->comparison) > 0;
  GString *page;
  g_autoptr (GPtrArray) tensors = NULL;

  if (report->statistics) {
    tensors = engine_report_tensors (report, progress, data, cancellable, error);
    if (!tensors)
      return NULL;
  }
  page = g_string_new (NULL);
  write_head (page, report);
  if (report->comparison)
    write_agreement (page, report->comparison);
  else
    g_string_append (page,
        "<p>No frames were compared. <code>gst-int8-1.0 compare</code> does it, on "
        "pictures that calibration has not seen.</p>\n");
  write_provenance (page, report);
  if (compared) {
    engine_report_suspects (page, report, tensors);
    g_string_append (page, "<h2 id=\"layers\">Layers</h2>\n");
    engine_report_chart (page, report);
    engine_report_layers (page, report, tensors);
  }
  if (tensors)
    engine_report_histograms (page, tensors);
  g_string_append (page, "</body>\n</html>\n");
  return g_string_free (page, FALSE);
}

gboolean
engine_report_save (const EngineReport *report, const char *path, EngineProgressFn progress,
    gpointer data, GCancellable *cancellable, GError **error)
{
  g_autofree char *page = engine_report_html (report, progress, data, cancellable, error);

  return page && calib_file_replace (path, page, strlen (page), error);
}
