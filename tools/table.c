/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* table.c: a calibration table from statistics that were collected earlier, without the frames. */
#include "tools/table-make.h"

typedef struct {
  char *stats, *model, *output;
  ToolTableOptions table;
} TableOptions;

static void
table_options_clear (TableOptions *options)
{
  g_free (options->stats);
  g_free (options->model);
  g_free (options->output);
  tool_table_options_clear (&options->table);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (TableOptions, table_options_clear)

static gboolean
read_options (int argc, char **argv, TableOptions *options, GError **error)
{
  const GOptionEntry entries[] = {
      {"stats", 's', 0, G_OPTION_ARG_FILENAME, &options->stats, "Statistics file of int8calib",
          "FILE"},
      {"statistics", 0, 0, G_OPTION_ARG_FILENAME, &options->stats,
          "As -s, by the name that other commands have for it", "FILE"},
      {"model", 'm', 0, G_OPTION_ARG_FILENAME, &options->model, "The model they were made with",
          "FILE"},
      TOOL_TABLE_ENTRIES (options->table),
      {"threads", 0, 0, G_OPTION_ARG_INT, &options->table.threads,
          "For auto and full; default 0, all CPUs", "N"},
      {"output", 'o', 0, G_OPTION_ARG_FILENAME, &options->output, "Table to write", "FILE"},
      {NULL},
  };
  g_autofree char *summary = tool_table_describe (
      "Makes a calibration table from statistics that were collected earlier.");

  if (!tool_parse_with_model (&argc, &argv, entries, NULL, summary, error))
    return FALSE;
  if (!options->stats || !options->model || !options->output)
    return tool_usage (error, "--stats, --model and --output are needed");
  return tool_table_options_check (&options->table, error);
}

gboolean
tool_table (int argc, char **argv, GError **error)
{
  g_auto (TableOptions) o = {.table = TOOL_TABLE_OPTIONS};
  g_autoptr (CalibStatistics) statistics = NULL;
  g_autoptr (EngineModel) model = NULL;

  if (!read_options (argc, argv, &o, error) ||
      !(statistics = calib_statistics_load (o.stats, error)) ||
      !(model = tool_model_load (o.model, error)))
    return FALSE;
  if (tool_table_make (&o.table, model, statistics, NULL, o.output, error))
    return TRUE;
  g_prefix_error (error, "%s: ", o.stats);
  return FALSE;
}
