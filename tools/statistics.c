/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* statistics.c: what can be done with statistics files, without the frames: tables and merging. */
#include "tools/tool.h"

gboolean
tool_table (int argc, char **argv, GError **error)
{
  g_autofree char *stats = NULL, *model_path = NULL, *method_name = NULL, *output = NULL;
  double percentile = 99.99;
  int trt_version = 8601;
  const GOptionEntry entries[] = {
      {"stats", 's', 0, G_OPTION_ARG_FILENAME, &stats, "Statistics file of int8calib", "FILE"},
      {"model", 'm', 0, G_OPTION_ARG_FILENAME, &model_path, "The model they were made with",
          "FILE"},
      {"method", 0, 0, G_OPTION_ARG_STRING, &method_name,
          "minmax, entropy2, entropy2-trt, percentile, mse (default)", "METHOD"},
      {"percentile", 0, 0, G_OPTION_ARG_DOUBLE, &percentile, "For percentile; default 99.99", "P"},
      {"trt-version", 0, 0, G_OPTION_ARG_INT, &trt_version, "Number in the header; default 8601",
          "N"},
      {"output", 'o', 0, G_OPTION_ARG_FILENAME, &output, "Table to write", "FILE"},
      {NULL},
  };
  CalibMethod method = CALIB_METHOD_MSE;

  if (!tool_parse (&argc, &argv, entries, NULL,
          "Makes a calibration table from statistics that were collected earlier.", error))
    return FALSE;
  if (!stats || !model_path || !output)
    return tool_usage (error, "--stats, --model and --output are needed");
  if (method_name && !calib_method_from_name (method_name, &method))
    return tool_usage (error, "there is no method %s", method_name);
  if (trt_version < 1)
    return tool_usage (error, "--trt-version must be above 0");

  g_autoptr (CalibStatistics) statistics = calib_statistics_load (stats, error);
  if (!statistics)
    return FALSE;
  g_autoptr (EngineModel) model = engine_model_load (model_path, error);
  if (!model)
    return FALSE;
  g_autoptr (CalibTable) table =
      engine_calibration_table (model, statistics, method, percentile, trt_version, error);
  if (!table || !calib_table_save (table, output, error) ||
      !calib_provenance_save (calib_statistics_provenance (statistics), calib_method_name (method),
          output, error))
    return FALSE;
  g_print ("%s: %u tensors, %s\n", output, calib_table_n_entries (table),
      calib_method_name (method));
  return TRUE;
}

gboolean
tool_merge (int argc, char **argv, GError **error)
{
  g_autofree char *output = NULL;
  const GOptionEntry entries[] = {
      {"output", 'o', 0, G_OPTION_ARG_FILENAME, &output, "Statistics file to write", "FILE"},
      {NULL},
  };

  if (!tool_parse (&argc, &argv, entries, "FILE...",
          "Merges statistics of one model and one preprocessing. One file is in memory at a time.",
          error))
    return FALSE;
  if (argc < 2 || !output)
    return tool_usage (error, "--output and at least one statistics file are needed");

  g_autoptr (CalibStatistics) sum = calib_statistics_load (argv[1], error);
  if (!sum)
    return FALSE;
  for (int i = 2; i < argc; i++) {
    g_autoptr (CalibStatistics) next = calib_statistics_load (argv[i], error);
    if (!next)
      return FALSE;
    if (!calib_statistics_merge (sum, next, error)) {
      g_prefix_error (error, "%s and %s: ", argv[1], argv[i]);
      return FALSE;
    }
  }
  if (!calib_statistics_save (sum, output, error))
    return FALSE;
  g_print ("%s: %" G_GUINT64_FORMAT " frames from %d files\n", output,
      calib_statistics_provenance (sum)->frames, argc - 1);
  return TRUE;
}
