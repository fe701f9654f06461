/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* compare.c: an INT8 network beside its FP32 one, on pictures: what it costs, and where. */
#include "tools/compare.h"

#include <string.h>

typedef struct {
  char **tables, **images;
  char *stats, *methods, *preprocess, *ranges, *rules, *dynamic_ranges, *backend, *html, *json,
      *bias;
  int threads, max_frames, alone, top;
  double percentile;
  EnginePrecisionTarget target;
  gboolean force;
} Options;

static void
options_clear (Options *o)
{
  g_strfreev (o->tables);
  g_strfreev (o->images);
  g_free (o->stats);
  g_free (o->methods);
  g_free (o->preprocess);
  g_free (o->ranges);
  g_free (o->rules);
  g_free (o->dynamic_ranges);
  g_free (o->backend);
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
      {"table", 't', 0, G_OPTION_ARG_FILENAME_ARRAY, &o->tables,
          "Calibration table; several to compare them", "FILE"},
      {"stats", 's', 0, G_OPTION_ARG_FILENAME, &o->stats,
          "Statistics file of int8calib: for --method, and for histograms in --html", "FILE"},
      {"statistics", 0, 0, G_OPTION_ARG_FILENAME, &o->stats,
          "As -s, by the name that other commands have for it", "FILE"},
      {"method", 0, 0, G_OPTION_ARG_STRING, &o->methods,
          "Make tables from the statistics: one method, or several between commas", "METHODS"},
      {"percentile", 0, 0, G_OPTION_ARG_DOUBLE, &o->percentile, "For percentile; default 99.99",
          "P"},
      {"images", 'i', 0, G_OPTION_ARG_FILENAME_ARRAY, &o->images,
          "Picture, video, folder, or list (*.txt, a path a line); repeatable; default: the frames "
          "that the statistics keep",
          "PATH"},
      {"preprocess", 'p', 0, G_OPTION_ARG_STRING, &o->preprocess,
          "A preset (imagenet, imagenet-caffe, unit, raw), or properties as int8calib and "
          "int8infer are given them: \"preprocess=raw color-format=bgr mean=104,117,123\"; default "
          "as theirs",
          "TEXT"},
      {"ranges", 0, 0, G_OPTION_ARG_STRING, &o->ranges, "full (default) or symmetric", "R"},
      {"layer-precision", 0, 0, G_OPTION_ARG_STRING, &o->rules,
          "Rules such as \"conv1:fp32,fc*:fp32\", or @FILE", "RULES"},
      {"dynamic-ranges", 0, 0, G_OPTION_ARG_FILENAME, &o->dynamic_ranges,
          "Ranges by hand, which go before the table's", "FILE"},
      {"bias-correction", 0, 0, G_OPTION_ARG_STRING, &o->bias,
          "For a table, <table>.bias unless off. For --method fast (default), off, or full: on the frames "
          "that the statistics keep",
          "HOW"},
      {"max-frames", 'n', 0, G_OPTION_ARG_INT, &o->max_frames, "Default: all", "N"},
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
      {"backend", 0, 0, G_OPTION_ARG_STRING, &o->backend, "cpu (default) or ref", "NAME"},
      {"threads", 0, 0, G_OPTION_ARG_INT, &o->threads, "Default: all CPUs", "N"},
      {"force", 0, 0, G_OPTION_ARG_NONE, &o->force,
          "Use a table made for another model or preprocessing", NULL},
      {NULL},
  };

  return tool_parse_with_model (argc, argv, entries, "MODEL",
      "Runs pictures through an INT8 network and its FP32 one and tells what quantisation costs:\n"
      "agreement, SQNR and divergence of the network, the layers by the damage they do, and\n"
      "overrides that would help.",
      error);
}

static gboolean
check (const Options *o, int argc, GError **error)
{
  if (argc != 2)
    return tool_usage (error, "one model is needed");
  if (o->methods && !o->stats)
    return tool_usage (error, "--method makes tables from statistics: --stats is needed");
  if (!o->images && !o->stats)
    return tool_usage (error, "--images is needed: what calibration has not seen is best");
  if (o->bias && !g_str_equal (o->bias, "fast") && !g_str_equal (o->bias, "full") &&
      !g_str_equal (o->bias, "off"))
    return tool_usage (error, "--bias-correction is fast, full or off, not %s", o->bias);
  if (!(o->target.top1 >= 0 && o->target.top1 <= 1 && o->target.sqnr >= 0))
    return tool_usage (error,
        "--precision-target is a share of frames, 0 to 1, and --precision-target-sqnr is not below 0 dB");
  if ((o->target.top1 > 0 || o->target.sqnr > 0) &&
      (o->methods || !o->tables || g_strv_length (o->tables) != 1))
    return tool_usage (error,
        "layers are chosen for one table, and written beside it: --precision-target needs one "
        "--table, and no --method");
  if (o->max_frames < 0 || o->alone < 0 || o->top < 0 || o->threads < 0)
    return tool_usage (error, "--max-frames, --alone, --top and --threads must not be below 0");
  return TRUE;
}

static gboolean
read_inputs (Compare *compare, const Options *o, GError **error)
{
  EngineInputInfo input;

  compare->model = tool_model_load (compare->model_path, error);
  if (!compare->model)
    return FALSE;
  engine_model_input (compare->model, &input);
  if (!tool_preprocess (o->preprocess, input.channels, &compare->preprocess, error))
    return FALSE;
  if (o->images && !(compare->images = tool_images_find (o->images, error)))
    return FALSE;
  if (o->rules && !(compare->rules = engine_layer_rules_from_option (o->rules, error)))
    return FALSE;
  if (o->dynamic_ranges &&
      !(compare->dynamic_ranges = calib_dynamic_ranges_load (o->dynamic_ranges, error)))
    return FALSE;
  if (o->stats && !(compare->statistics = calib_statistics_load (o->stats, error)))
    return FALSE;
  if (!o->images && calib_statistics_n_kept (compare->statistics) == 0)
    return tool_usage (error, "%s keeps no frames: --images is needed", o->stats);
  compare->backend = engine_backend_open (o->backend ? o->backend : "cpu", error);
  return compare->backend != NULL;
}

static gboolean
add_candidates (Compare *compare, const Options *o, GError **error)
{
  g_auto (GStrv) methods = o->methods ? g_strsplit (o->methods, ",", -1) : NULL;

  if (engine_model_is_quantised (compare->model)) {
    if (o->tables || o->methods || o->dynamic_ranges)
      return tool_usage (error, "%s is quantised already, and its own scales are compared: it takes no "
                                "--table, --method or --dynamic-ranges",
          compare->model_path);
    compare_add_own (compare);
    return TRUE;
  }
  if (!o->tables && !o->methods)
    return tool_usage (error, "--table is needed, or --stats and --method");

  for (guint i = 0; o->tables && o->tables[i]; i++)
    if (!compare_add_table (compare, o->tables[i], error))
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

  if (!parse (&argc, &argv, &o, error) || !check (&o, argc, error) ||
      !tool_ranges (o.ranges ? o.ranges : "full", &compare.build.ranges, error))
    return FALSE;
  compare.model_path = g_strdup (argv[1]);
  compare.percentile = o.percentile;
  compare.force = o.force;
  compare.no_bias = g_strcmp0 (o.bias, "off") == 0;
  compare.full_bias = g_strcmp0 (o.bias, "full") == 0;
  compare.threads = o.threads;
  compare.max_frames = o.max_frames;
  compare.alone = o.alone;
  compare.target = o.target;
  if (!read_inputs (&compare, &o, error))
    return FALSE;
  compare.build.precision = compare.rules ? ENGINE_PRECISION_MIXED : ENGINE_PRECISION_INT8;
  compare.build.rules = compare.rules;
  compare.build.dynamic_ranges = compare.dynamic_ranges;
  compare.build.preprocess = &compare.preprocess;
  /* A model that is quantised already may hold weights that int8 cannot; that is told, no error. */
  compare.build.strict = !engine_model_is_quantised (compare.model);
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
