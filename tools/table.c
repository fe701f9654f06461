/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* table.c: a calibration table from statistics that were collected earlier, without the frames. */
#include "tools/table-make.h"

typedef struct {
  ToolOptions network;
  char *statistics, *output;
  ToolTableOptions table;
} TableOptions;

static void
table_options_clear (TableOptions *options)
{
  tool_options_clear (&options->network);
  g_free (options->statistics);
  g_free (options->output);
  tool_table_options_clear (&options->table);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (TableOptions, table_options_clear)

static gboolean
read_options (int argc, char **argv, TableOptions *options, GError **error)
{
  const GOptionEntry entries[] = {
      {"statistics", 's', 0, G_OPTION_ARG_FILENAME, &options->statistics,
          "Statistics file of int8calib or gst-int8-1.0 calibrate", "FILE"},
      {"stats", 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_FILENAME, &options->statistics, NULL, "FILE"},
      TOOL_TABLE_ENTRIES (options->table),
      {"output", 'o', 0, G_OPTION_ARG_FILENAME, &options->output, "Table to write", "FILE"},
      {NULL},
  };
  g_autofree char *summary = tool_table_describe (
      "Makes a calibration table from statistics that were collected earlier.");

  const ToolSyntax syntax = {.arguments = "[MODEL]",
      .summary = summary,
      .entries = entries,
      .shared = TOOL_FILE | TOOL_MODEL | TOOL_THREADS,
      .example = "model.onnx --statistics model.int8stats --method mse --output calib.table"};

  if (!tool_parse (&argc, &argv, &syntax, &options->network, error) ||
      !tool_take_model (&options->network, argc, argv, error))
    return FALSE;
  if (!options->statistics || !options->output)
    return tool_usage (error, "--statistics and --output are needed");
  options->table.threads = options->network.threads;
  return tool_check_output (&options->network, options->output, error) &&
         tool_check_differs (options->output, options->statistics, error) &&
         tool_table_options_check (&options->table, error);
}

/* What --preprocess says, which must be what the statistics were made with. */
static gboolean
read_preprocess (const TableOptions *options, const EngineModel *model,
    const CalibStatistics *statistics, EnginePreprocess *preprocess, GError **error)
{
  const char *known = calib_statistics_provenance (statistics)->preprocess_sha256;

  if (!tool_preprocess (&options->network, model, preprocess, error))
    return FALSE;
  g_autofree char *sha256 = engine_preprocess_sha256 (preprocess);
  if (!known || g_str_equal (known, sha256))
    return TRUE;
  g_set_error_literal (error, ENGINE_ERROR, ENGINE_ERROR_MISMATCH,
      "they were made with another preprocessing than --preprocess says: leave it out, or calibrate "
      "again");
  return FALSE;
}

gboolean
tool_table (int argc, char **argv, GError **error)
{
  g_auto (TableOptions) o = {.table = TOOL_TABLE_OPTIONS};
  g_autoptr (CalibStatistics) statistics = NULL;
  g_autoptr (EngineModel) model = NULL;
  EnginePreprocess preprocess;

  if (!read_options (argc, argv, &o, error) ||
      !(statistics = calib_statistics_load (o.statistics, error)) ||
      !(model = tool_model_load (&o.network, error)))
    return FALSE;
  const gboolean known = o.network.preprocess != NULL;
  if ((!known || read_preprocess (&o, model, statistics, &preprocess, error)) &&
      tool_table_make (&o.table, model, statistics, known ? &preprocess : NULL, o.output, error))
    return TRUE;
  g_prefix_error (error, "%s: ", o.statistics);
  return FALSE;
}
