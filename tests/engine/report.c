/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * report.c: the page is well-formed, whatever tensors are called; what is not there is left out; its
 * figures are right; it is the same in any locale.
 */
#include "engine/model.h"
#include "engine/report/private.h"
#include "tests/check.h"
#include "tests/comma.h"
#include "tests/engine/net.h"

#include <glib/gstdio.h>

static KernelBackend *cpu;

#define HOSTILE "</code><script>alert('1')</script>&amp;\"=\x01\xff é: 2"

typedef struct {
  EngineModel *model;
  CalibStatistics *statistics;
  CalibTable *table;
  EngineComparison *comparison;
  EngineReport report;
} Case;

/* A network of four layers, calibrated and compared on noise; two tensors have hostile names. */
static void
case_init (Case *c)
{
  Net *net = net_new (1);
  const int x = net_input (net, 8, 8, 3);
  const int a = net_conv (net, x, (NetConv){.oc = 8, .k = 3, .pad = 1, .hi = INFINITY});
  const int b = net_unary (net, net_conv (net, a, (NetConv){.oc = 8}), KERNEL_UNARY_SILU, 0, 0);
  const int last = net_softmax (net, net_dense (net, b, 5));
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  g_autoptr (GError) error = NULL;
  const EngineBuildOptions exact = {.precision = ENGINE_PRECISION_FP32};

  engine_graph_rename (net->graph, a, HOSTILE);
  engine_graph_rename (net->graph, b, "<svg onload=alert(2)>");
  *c = (Case){.model = net_model (net_finish (net, last))};
  net_free (net);

  c->statistics = calib_statistics_new (&(CalibProvenance){.source = "<&>", .tool = "test"},
      CALIB_HISTOGRAM_DEFAULT);
  g_autoptr (EngineCalibrator) calibrator =
      engine_calibrator_new (c->model, cpu, 1, 1, c->statistics, &error);
  for (int f = 0; f < 4; f++) {
    for (int i = 0; i < 8 * 8 * 3; i++)
      engine_calibrator_input (calibrator)[i] = (float) g_rand_double_range (rand, -2, 2);
    CHECK (engine_calibrator_push (calibrator, &error));
  }
  c->table = engine_calibration_table (c->model, c->statistics, CALIB_METHOD_MSE, 0, 8601, &error);
  const EngineBuildOptions options = {.precision = ENGINE_PRECISION_INT8, .table = c->table};
  g_autoptr (Engine) float_engine = engine_build (c->model, &exact, NULL, NULL, NULL, NULL, &error);
  g_autoptr (Engine) engine = engine_build (c->model, &options, NULL, NULL, NULL, NULL, &error);
  if (!engine)
    g_error ("%s", error->message);
  c->comparison =
      engine_comparison_new (float_engine, engine, cpu, &(EngineCompareOptions){.keep = 2}, &error);
  for (int f = 0; f < 3; f++) {
    for (int i = 0; i < 8 * 8 * 3; i++)
      engine_comparison_input (c->comparison)[i] = (float) g_rand_double_range (rand, -2, 2);
    CHECK (engine_comparison_push (c->comparison, &error));
  }
  CHECK (engine_comparison_alone (c->comparison, NULL, NULL, NULL, &error));
  c->report = (EngineReport){.model = c->model,
      .model_name = "/models/<net>.onnx",
      .table = c->table,
      .table_name = "a & b",
      .method = "mse",
      .provenance = calib_statistics_provenance (c->statistics),
      .preprocess = "color-format=rgb",
      .statistics = c->statistics,
      .comparison = c->comparison};
}

static void
case_clear (Case *c)
{
  engine_comparison_free (c->comparison);
  calib_table_free (c->table);
  calib_statistics_free (c->statistics);
  engine_model_unref (c->model);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Case, case_clear)

static char *
page_of (const EngineReport *report)
{
  g_autoptr (GError) error = NULL;
  char *page = engine_report_html (report, NULL, NULL, NULL, &error);

  if (!page)
    g_error ("%s", error->message);
  return page;
}

/* --- Well-formed ---------------------------------------------------------------------------- */

static void
note_element (GMarkupParseContext *context, const char *name, const char **names,
    const char **values, gpointer data, GError **error)
{
  static const char *const known[] = {"html", "head", "meta", "title", "style", "body", "h1", "h2",
      "p", "strong", "code", "pre", "div", "b", "span", "i", "dl", "dt", "dd", "table", "thead",
      "tbody", "tr", "th", "td", "a", "details", "summary", "svg", "path", "rect", "circle", "text",
      "tspan", NULL};

  if (!g_strv_contains (known, name))
    CHECK_FAIL ("the page has an element '%s'", name);
  for (int i = 0; names[i]; i++) {
    if (g_str_has_prefix (names[i], "on") || strstr (values[i], "//"))
      CHECK_FAIL ("<%s> has %s=\"%s\"", name, names[i], values[i]);
    if (g_str_equal (names[i], "href") && values[i][0] != '#')
      CHECK_FAIL ("a link leads to %s", values[i]);
    if (g_str_equal (names[i], "id") && !g_hash_table_add (data, g_strdup (values[i])))
      CHECK_FAIL ("id %s is there twice", values[i]);
  }
}

/* Balanced elements, known ones only, nothing loaded, no handlers. The page is XML but for its first
 * line. */
static void
check_page (const char *page)
{
  const GMarkupParser parser = {.start_element = note_element};
  g_autoptr (GHashTable) ids = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GMarkupParseContext) context = g_markup_parse_context_new (&parser, 0, ids, NULL);
  g_autoptr (GError) error = NULL;

  CHECK (g_str_has_prefix (page, "<!DOCTYPE html>\n"));
  CHECK (g_utf8_validate (page, -1, NULL));
  if (!g_markup_parse_context_parse (context, page + strlen ("<!DOCTYPE html>\n"), -1, &error) ||
      !g_markup_parse_context_end_parse (context, &error))
    CHECK_FAIL ("%s", error->message);
  CHECK (!strstr (page, "url(") && !strstr (page, "@import") && !strstr (page, "nan"));
}

static void
test_well_formed (void)
{
  g_auto (Case) c;

  case_init (&c);
  g_autofree char *page = page_of (&c.report);
  check_page (page);
  CHECK (!strstr (page, "<script") && !strstr (page, "<svg onload"));
  CHECK (strstr (page, "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;amp;&quot;=") != NULL);
  CHECK (strstr (page, "<h1>&lt;net&gt;.onnx</h1>") != NULL);
  CHECK (strstr (page, "a &amp; b") != NULL && strstr (page, "&lt;&amp;&gt;") != NULL);
  CHECK (!strchr (page, '\x01'));
}

/* Every part is left out that there is nothing for. */
static void
test_parts (void)
{
  g_auto (Case) c;

  case_init (&c);
  EngineReport report = c.report;
  g_autofree char *all = page_of (&report);
  CHECK (strstr (all, "id=\"suspects\"") && strstr (all, "id=\"layers\"") &&
         strstr (all, "id=\"tensors\"") && strstr (all, "id=\"h1\"") && !strstr (all, "No frames"));

  report.comparison = NULL;
  g_autofree char *calibrated = page_of (&report);
  check_page (calibrated);
  CHECK (!strstr (calibrated, "id=\"suspects\"") && !strstr (calibrated, "id=\"layers\""));
  CHECK (strstr (calibrated, "id=\"tensors\"") && strstr (calibrated, "No frames were compared"));
  CHECK (strstr (calibrated, "in use") != NULL);

  report.statistics = NULL;
  report.table = NULL;
  report.table_name = report.method = report.preprocess = NULL;
  report.provenance = NULL;
  g_autofree char *bare = page_of (&report);
  check_page (bare);
  CHECK (!strstr (bare, "id=\"tensors\""));

  report = c.report;
  report.statistics = NULL;
  g_autofree char *compared = page_of (&report);
  check_page (compared);
  CHECK (strstr (compared, "id=\"suspects\"") && !strstr (compared, "id=\"tensors\""));
}

/* --- Figures -------------------------------------------------------------------------------- */

static void
test_ranges (void)
{
  g_auto (Case) c;
  g_autoptr (GPtrArray) tensors = NULL;
  guint minmax = 0;

  case_init (&c);
  tensors = engine_report_tensors (&c.report, NULL, NULL, NULL, NULL);
  CHECK_INT (tensors->len, ==, calib_statistics_n_tensors (c.statistics));
  for (guint t = 0; t < tensors->len; t++) {
    const EngineReportTensor *tensor = g_ptr_array_index (tensors, t);
    const double largest = fmax (-tensor->summary.min, tensor->summary.max);
    const EngineReportRange *mse = NULL;

    for (guint i = 0; i < tensor->ranges->len; i++) {
      const EngineReportRange *range = &g_array_index (tensor->ranges, EngineReportRange, i);

      CHECK (range->lo <= 0 && range->hi >= 0 && range->clipped >= 0 && range->clipped <= 1);
      CHECK (range->in_use == (i == 0));
      if (g_str_equal (range->label, "minmax")) {
        CHECK (range->clipped == 0 && fabs (range->threshold / largest - 1) < 1e-6);
        minmax++;
      }
      if (g_str_equal (range->label, "mse"))
        mse = range;
    }
    /* The method that asks for the least error has it, on the grids that it knows: not the affine. */
    for (guint i = 1; i < tensor->ranges->len && (tensor->lowest >= 0 || isinf (tensor->lowest));
         i++)
      if (g_array_index (tensor->ranges, EngineReportRange, i).sqnr > mse->sqnr + 0.5)
        CHECK_FAIL ("%s: %s %g dB, mse %g dB", tensor->name,
            g_array_index (tensor->ranges, EngineReportRange, i).label,
            g_array_index (tensor->ranges, EngineReportRange, i).sqnr, mse->sqnr);
  }
  CHECK_INT (minmax, ==, tensors->len);
}

static void
test_text (void)
{
  g_autoptr (GString) page = g_string_new (NULL);
  const double shares[] = {0, 1, 0.5, 0.0123, 0.000004, 1e-12, NAN};

  for (guint i = 0; i < G_N_ELEMENTS (shares); i++) {
    engine_html_percent (page, shares[i]);
    g_string_append_c (page, '|');
  }
  CHECK_STR (page->str, "0 %|100.0 %|50.0 %|1.2 %|0.00040 %|&lt; 0.000001 %|–|");
  g_string_truncate (page, 0);
  engine_html_text (page, "a<b>\"'&\n\t\xf0\x9f\x98\x80\xff\x7f");
  CHECK_STR (page->str, "a&lt;b&gt;&quot;&#39;&amp;\n\xef\xbf\xbd\xf0\x9f\x98\x80\xef\xbf\xbd"
                        "\xef\xbf\xbd");
}

/* --- Files and locales ---------------------------------------------------------------------- */

static void
test_any_locale (void)
{
  g_auto (Case) c;

  case_init (&c);
  g_autofree char *expected = page_of (&c.report);
  if (!comma_begin ())
    SKIP (COMMA_MISSING);
  g_autofree char *page = page_of (&c.report);
  comma_end ();
  CHECK_STR (page, expected);
}

static void
test_save (void)
{
  g_auto (Case) c;
  g_autofree char *folder = g_dir_make_tmp ("int8-report-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "report.html", NULL), *text = NULL;
  g_autoptr (GCancellable) cancelled = g_cancellable_new ();
  g_autoptr (GError) error = NULL;

  case_init (&c);
  g_autofree char *expected = page_of (&c.report);
  CHECK (engine_report_save (&c.report, path, NULL, NULL, NULL, &error));
  CHECK (g_file_get_contents (path, &text, NULL, NULL));
  CHECK_STR (text, expected);
  g_cancellable_cancel (cancelled);
  CHECK (!engine_report_save (&c.report, path, NULL, NULL, cancelled, &error));
  CHECK (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED));
  g_clear_error (&error);
  CHECK (!engine_report_save (&c.report, "/no/such/folder/x.html", NULL, NULL, NULL, &error));
  CHECK (error != NULL);
  g_unlink (path);
  g_rmdir (folder);
}

int
main (void)
{
  cpu = net_backend ("cpu");
  RUN (test_text);
  RUN (test_well_formed);
  RUN (test_parts);
  RUN (test_ranges);
  RUN (test_any_locale);
  RUN (test_save);
  kernel_close (cpu);
  return check_done ();
}
