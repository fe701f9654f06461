/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* inspect.c: a file of ours, as text; a graph as DOT. */
#include "tools/tool.h"

static const char *
type_name (EngineType type)
{
  return type == ENGINE_TYPE_S8 ? "int8" : type == ENGINE_TYPE_F16 ? "fp16" : "fp32";
}

static gboolean
inspect_model (const ToolOptions *options, const char *path, gboolean dot, GError **error)
{
  g_autoptr (EngineModel) model = tool_model_load_from (options, path, error);
  if (!model)
    return FALSE;

  if (dot) {
    g_autofree char *graph = engine_model_dot (model);
    g_print ("%s", graph);
    return TRUE;
  }
  EngineInputInfo input;
  engine_model_input (model, &input);
  g_autofree char *dump = engine_model_dump (model);
  g_print ("# model %s, sha256 %s\n# input %s: %d x %d, %d channels; %d classes%s\n%s%s", path,
      engine_model_sha256 (model), input.name, input.width, input.height, input.channels,
      engine_model_n_classes (model), engine_model_has_softmax (model) ? " after softmax" : "",
      engine_model_is_quantised (model)
          ? "# explicitly quantised: INT8 has the model's own scales and needs "
            "no calibration table\n"
          : "",
      dump);
  return TRUE;
}

static void
print_lines (const char *what, const GPtrArray *lines)
{
  for (guint i = 0; lines && i < lines->len; i++)
    g_print ("# %s %s\n", what, (const char *) lines->pdata[i]);
}

/* Which layer runs in which precision, and why. */
static void
print_layers (const Engine *engine)
{
  g_autoptr (GArray) layers = engine_layers (engine);
  EngineBuildReport report = {0};

  engine_report (engine, &report);
  g_print ("# layers: %d int8, %d fp16, %d fp32\n# %-40s %-10s %-5s %-6s %s\n", report.layers_int8,
      report.layers_fp16, report.layers_fp32, "layer", "op", "in", "output", "because");
  for (guint i = 0; i < layers->len; i++) {
    const EngineLayer *layer = &g_array_index (layers, EngineLayer, i);
    g_autofree char *reason = engine_layer_reason (engine, layer);

    g_print ("# %-40s %-10s %-5s %-6s %s\n", layer->name, layer->op,
        engine_precision_name (layer->precision), type_name (layer->output),
        reason ? reason : "precision of the engine");
  }
  print_lines ("rule obeyed by", report.obeyed);
  print_lines ("refused:", report.refused);
  print_lines ("matches nothing:", report.unmatched);
  print_lines ("range inferred:", report.inferred);
  engine_build_report_clear (&report);
}

static gboolean
inspect_engine (const ToolOptions *options, const char *path, gboolean dot, GError **error)
{
  g_autoptr (Engine) engine = tool_engine_load (path, error);
  if (!engine)
    return FALSE;

  g_autofree char *text = dot ? engine_dot (engine) : engine_dump (engine);
  if (dot) {
    g_print ("%s", text);
    return TRUE;
  }
  EngineInputInfo input;
  engine_input (engine, &input);
  g_autofree char *tuned = engine_tuned_for (engine);
  g_print ("# engine %s, %s\n# input %s: %d x %d, %d channels; %d classes%s\n%s", path,
      engine_precision_name (engine_precision (engine)), input.name, input.width, input.height,
      input.channels, engine_n_classes (engine),
      engine_has_softmax (engine) ? " after softmax" : "", text);
  print_layers (engine);
  g_auto (GStrv) lines = g_strsplit (tuned, "\n", -1);
  for (char **line = lines; *line && **line; line++)
    g_print ("# tuned for %s\n", *line);
  return TRUE;
}

static gboolean
inspect_statistics (const ToolOptions *options, const char *path, gboolean dot, GError **error)
{
  g_autoptr (CalibStatistics) statistics = calib_statistics_load (path, error);
  if (!statistics)
    return FALSE;

  const CalibProvenance *from = calib_statistics_provenance (statistics);
  g_print ("# statistics %s: %" G_GUINT64_FORMAT
           " frames from %s, by %s\n# model %s\n# preprocessing %s\n",
      path, from->frames, from->source ? from->source : "(unknown)",
      from->tool ? from->tool : "(unknown)", from->model_sha256 ? from->model_sha256 : "(unknown)",
      from->preprocess_sha256 ? from->preprocess_sha256 : "(unknown)");
  g_print ("%-32s %14s %8s %11s %13s %13s\n", "tensor", "values", "zero", "not finite", "min",
      "max");
  for (guint i = 0; i < calib_statistics_n_tensors (statistics); i++) {
    const char *name = calib_statistics_name (statistics, i);
    CalibSummary s;
    calib_histogram_summary (calib_statistics_lookup (statistics, name), &s);
    g_print ("%-32s %14" G_GUINT64_FORMAT " %6.2f %% %11" G_GUINT64_FORMAT " %13.6g %13.6g\n", name,
        s.n, s.n ? 100.0 * s.n_zero / s.n : 0, s.n_nonfinite, s.min, s.max);
  }
  return TRUE;
}

static gboolean
inspect_table (const ToolOptions *options, const char *path, gboolean dot, GError **error)
{
  g_autoptr (CalibTable) table = calib_table_load (path, error);
  if (!table)
    return FALSE;

  g_print ("# calibration table %s, %s\n%-48s %14s %14s\n", path, calib_table_get_header (table),
      "tensor", "threshold", "scale");
  for (guint i = 0; i < calib_table_n_entries (table); i++) {
    float scale;
    const char *name = calib_table_entry (table, i, &scale);
    g_print ("%-48s %14.7g %14.7g\n", name, scale * 127, scale);
  }
  return TRUE;
}

static const struct {
  const char *kind, *suffix;
  gboolean is_graph;
  gboolean (*print) (const ToolOptions *options, const char *path, gboolean dot, GError **error);
} kinds[] = {
    {"model", ".onnx", TRUE, inspect_model}, {"engine", ".int8engine", TRUE, inspect_engine},
    {"statistics", ".int8stats", FALSE, inspect_statistics},
    {"table", "", FALSE, inspect_table}, /* any other name */
};

static gboolean
inspect (const ToolOptions *options, const char *path, const char *kind, gboolean dot,
    GError **error)
{
  guint k = 0;

  while (k < G_N_ELEMENTS (kinds) &&
         !(kind ? g_str_equal (kind, kinds[k].kind) : g_str_has_suffix (path, kinds[k].suffix)))
    k++;
  if (!kind && tool_is_model (options, path))
    k = 0;
  if (k == G_N_ELEMENTS (kinds))
    return tool_usage (error, "--as is model, engine, statistics or table, not %s", kind);
  if (dot && !kinds[k].is_graph)
    return tool_usage (error, "--dot is for models and engines; %s is taken for a %s (see --as)",
        path, kinds[k].kind);
  if (kinds[k].print (options, path, dot, error))
    return TRUE;
  if (!kind && kinds[k].suffix[0] == '\0' && (*error)->domain == CALIB_ERROR)
    g_prefix_error (error, "%s is taken for a table by its name (see --as), but ", path);
  return FALSE;
}

gboolean
tool_inspect (int argc, char **argv, GError **error)
{
  g_auto (ToolOptions) options = {0};
  g_autofree char *kind = NULL;
  gboolean dot = FALSE;
  const GOptionEntry entries[] = {
      {"as", 0, 0, G_OPTION_ARG_STRING, &kind,
          "What the file is: model, engine, statistics or table", "KIND"},
      {"dot", 0, 0, G_OPTION_ARG_NONE, &dot,
          "The graph of one model or engine for Graphviz: gst-int8-1.0 inspect --dot FILE | dot -Tsvg",
          NULL},
      {NULL},
  };

  const ToolSyntax syntax = {.arguments = "FILE...",
      .summary = "Prints files as text; of an engine also which layers run in which precision and why. The kind "
                 "is told from\nthe suffix: .onnx, .caffemodel and .prototxt, .int8engine, .int8stats; "
                 "anything else is a table.",
      .entries = entries,
      .shared = TOOL_FILE,
      .example = "--dot model.int8engine | dot -Tsvg >model.svg"};

  if (!tool_parse (&argc, &argv, &syntax, &options, error))
    return FALSE;
  if (argc < 2)
    return tool_usage (error, "no file is given");
  if (dot && argc > 2)
    return tool_usage (error, "--dot writes one graph; %d files are given", argc - 1);
  for (int i = 1; i < argc; i++)
    if (!inspect (&options, argv[i], kind, dot, error))
      return FALSE;
  return TRUE;
}
