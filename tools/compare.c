/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* compare.c: an INT8 network beside its FP32 one, on pictures: what it costs, and where. */
#include "tools/compare.h"

#include <string.h>

typedef struct {
  ToolOptions network; /* its tables: those to compare */
  char *statistics, *methods, *html, *json, *bias;
  int alone, top;
  double percentile;
  EnginePrecisionTarget target;
} Options;

static void
options_clear (Options *o)
{
  tool_options_clear (&o->network);
  g_free (o->statistics);
  g_free (o->methods);
  g_free (o->html);
  g_free (o->json);
  g_free (o->bias);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Options, options_clear)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Compare, compare_clear)

static gboolean
parse (int *argc, char ***argv, Options *o, GError **error)
{
  const GOptionEntry entries[] = {
      {"statistics", 's', 0, G_OPTION_ARG_FILENAME, &o->statistics,
          "Statistics file of int8calib: for --method, and for histograms in --html", "FILE"},
      {"stats", 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_FILENAME, &o->statistics, NULL, "FILE"},
      {"method", 0, 0, G_OPTION_ARG_STRING, &o->methods,
          "Make tables from the statistics: one method, or several between commas", "METHODS"},
      {"percentile", 0, 0, G_OPTION_ARG_DOUBLE, &o->percentile, "For percentile; default 99.99",
          "P"},
      {"bias-correction", 0, 0, G_OPTION_ARG_STRING, &o->bias,
          "For a table, <table>.bias unless off. For --method fast (default), off, or full: on the frames "
          "that the statistics keep",
          "HOW"},
      {"alone", 0, 0, G_OPTION_ARG_INT, &o->alone,
          "Also quantise each layer alone, on so many frames; default 8, 0: do not", "N"},
      {"precision-target", 0, 0, G_OPTION_ARG_DOUBLE, &o->target.top1,
          "Give back layers to FP32, few and the worst, until this share of the frames has the best "
          "class of FP32: 0.99. Written to <table>.precision, which precision mixed reads",
          "SHARE"},
      {"precision-target-sqnr", 0, 0, G_OPTION_ARG_DOUBLE, &o->target.sqnr,
          "The same, or as well, until the SQNR of the logits is so many dB", "DB"},
      {"top", 0, 0, G_OPTION_ARG_INT, &o->top, "Layers to list; default 20, 0: all", "N"},
      {"html", 0, 0, G_OPTION_ARG_FILENAME, &o->html, "Write a report to look at", "FILE"},
      {"json", 0, 0, G_OPTION_ARG_FILENAME, &o->json, "Write all figures", "FILE"},
      {NULL},
  };
  const ToolSyntax syntax = {.arguments = "[MODEL]",
      .summary =
          "Runs pictures through an INT8 network and its FP32 one and tells what quantisation costs:\n"
          "agreement, SQNR and divergence of the network, the layers by the damage they do, and\n"
          "overrides that would help. --table may be given several times, to compare tables; --precision\n"
          "is int8 (the default) or mixed. Without --images it is the frames that the statistics keep.",
      .entries = entries,
      .shared = (TOOL_ALL & ~TOOL_BATCH) | TOOL_IMAGES,
      .example = "model.onnx --table calib.table --images other-photos --html report.html"};

  return tool_parse (argc, argv, &syntax, &o->network, error) &&
         tool_take_model (&o->network, *argc, *argv, error);
}

static gboolean
is_mixed (const Options *o)
{
  return g_strcmp0 (o->network.precision, "mixed") == 0;
}

static gboolean
check_precision (const Options *o, GError **error)
{
  char **tables = o->network.tables;
  const gboolean chooses = o->target.top1 > 0 || o->target.sqnr > 0;

  if (o->network.precision && !is_mixed (o) && !g_str_equal (o->network.precision, "int8"))
    return tool_usage (error,
        "--precision is int8 or mixed, not %s: FP32 is what both are compared with",
        o->network.precision);
  if (is_mixed (o) && (o->methods || !tables))
    return tool_usage (error, "--precision mixed takes the rules in <table>.precision: it needs "
                              "--table, and no --method");
  if (!(o->target.top1 >= 0 && o->target.top1 <= 1 && o->target.sqnr >= 0))
    return tool_usage (error,
        "--precision-target is a share of frames, 0 to 1, and --precision-target-sqnr is not below 0 dB");
  if (chooses && (o->methods || !tables || tables[1]))
    return tool_usage (error,
        "layers are chosen for one table, and written beside it: --precision-target needs one "
        "--table, and no --method");
  if (chooses && is_mixed (o))
    return tool_usage (error,
        "--precision-target makes the rules that --precision mixed reads: one of "
        "them at a time; --layer-precision @FILE has rules obeyed");
  return TRUE;
}

static gboolean
check (const Options *o, GError **error)
{
  if (o->methods && !o->statistics)
    return tool_usage (error, "--method makes tables from statistics: --statistics is needed");
  if (!o->network.images && !o->statistics)
    return tool_usage (error, "--images is needed: what calibration has not seen is best");
  if (o->bias && !g_str_equal (o->bias, "fast") && !g_str_equal (o->bias, "full") &&
      !g_str_equal (o->bias, "off"))
    return tool_usage (error, "--bias-correction is fast, full or off, not %s", o->bias);
  if (o->alone < 0 || o->top < 0)
    return tool_usage (error, "--alone and --top must not be below 0");
  if (o->network.skip > 0 && !o->network.images)
    return tool_usage (error, "--skip is for --images");
  return check_precision (o, error) && tool_check_output (&o->network, o->html, error) &&
         tool_check_differs (o->html, o->statistics, error) &&
         tool_check_output (&o->network, o->json, error) &&
         tool_check_differs (o->json, o->statistics, error);
}

static gboolean
read_inputs (Compare *compare, const Options *o, GError **error)
{
  const ToolOptions *network = &o->network;

  compare->model = tool_model_load (network, error);
  if (!compare->model || !tool_preprocess (network, compare->model, &compare->preprocess, error) ||
      !tool_ranges (network, &compare->build.ranges, error))
    return FALSE;
  if (network->images && !(compare->images = tool_images_find (network->images, error)))
    return FALSE;
  if (network->layer_precision &&
      !(compare->rules = engine_layer_rules_from_option (network->layer_precision, error)))
    return FALSE;
  if (network->dynamic_ranges &&
      !(compare->dynamic_ranges = calib_dynamic_ranges_load (network->dynamic_ranges, error)))
    return FALSE;
  if (o->statistics && !(compare->statistics = calib_statistics_load (o->statistics, error)))
    return FALSE;
  if (!network->images && calib_statistics_n_kept (compare->statistics) == 0)
    return tool_usage (error, "%s keeps no frames: --images is needed", o->statistics);
  compare->backend = tool_backend_open (network, error);
  return compare->backend != NULL;
}

static gboolean
add_candidates (Compare *compare, const Options *o, GError **error)
{
  char **tables = o->network.tables;
  g_auto (GStrv) methods = o->methods ? g_strsplit (o->methods, ",", -1) : NULL;

  if (engine_model_is_quantised (compare->model)) {
    if (tables || o->methods || o->network.dynamic_ranges)
      return tool_usage (error,
          "%s is quantised already, and its own scales are compared: it takes no "
          "--table, --method or --dynamic-ranges",
          compare->model_path);
    compare_add_own (compare);
    return TRUE;
  }
  if (!tables && !o->methods)
    return tool_usage (error, "--table is needed, or --statistics and --method");

  for (guint i = 0; tables && tables[i]; i++)
    if (!compare_add_table (compare, tables[i], error))
      return FALSE;
  for (guint i = 0; methods && methods[i]; i++)
    if (!compare_add_method (compare, methods[i], error))
      return FALSE;
  return TRUE;
}

static gboolean
tell (const Compare *compare, const CompareCandidate *best, const Options *o, GError **error)
{
  compare_print_networks (compare);
  compare_print_layers (best, o->top);
  if (o->json && !compare_write_json (compare, best, o->json, error))
    return FALSE;
  if (!o->html)
    return TRUE;
  g_autofree char *preprocess = engine_preprocess_to_string (&compare->preprocess);
  const EngineReport report = {.model = compare->model,
      .model_name = compare->model_path,
      .table = best->table,
      .table_name = best->label,
      .method = best->method,
      .provenance = &best->provenance,
      .preprocess = preprocess,
      .ranges = compare->build.ranges,
      .bias = best->bias,
      .statistics = compare->statistics,
      .comparison = best->comparison};
  return engine_report_save (&report, o->html, tool_progress, NULL, NULL, error);
}

gboolean
tool_compare (int argc, char **argv, GError **error)
{
  g_auto (Options) o = {.alone = 8, .top = 20, .percentile = 99.99};
  g_auto (Compare) compare = {0};
  CompareCandidate *best;

  if (!parse (&argc, &argv, &o, error) || !check (&o, error))
    return FALSE;
  compare.model_path = g_strdup (o.network.model);
  compare.percentile = o.percentile;
  compare.force = o.network.force;
  compare.no_bias = g_strcmp0 (o.bias, "off") == 0;
  compare.full_bias = g_strcmp0 (o.bias, "full") == 0;
  compare.threads = o.network.threads;
  compare.mixed = is_mixed (&o);
  compare.skip = o.network.skip;
  compare.max_frames = o.network.max_frames;
  compare.alone = o.alone;
  compare.target = o.target;
  if (!read_inputs (&compare, &o, error))
    return FALSE;
  compare.build.dynamic_ranges = compare.dynamic_ranges;
  compare.build.preprocess = &compare.preprocess;
  /* A model that is quantised already may hold weights that int8 cannot; that is told, no error. */
  compare.build.strict = o.network.strict || !engine_model_is_quantised (compare.model);
  if (!add_candidates (&compare, &o, error) || !compare_run (&compare, error))
    return FALSE;
  best = compare_best (&compare);
  if (compare.alone > 0 &&
      !engine_comparison_alone (best->comparison, tool_progress, NULL, NULL, error))
    return FALSE;
  if (!tell (&compare, best, &o, error))
    return FALSE;
  return !compare_has_target (&compare) || compare_choose_precision (&compare, best, error);
}
