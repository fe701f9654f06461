/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* statistics.c: what can be done with statistics files, without the frames: tables and merging. */
#include "tools/tool.h"

/* The methods and what each needs, for --help. */
static char *
describe_methods (void)
{
  static const char *const meanings[CALIB_METHOD_COUNT] = {
      [CALIB_METHOD_MINMAX] = "the greatest magnitude",
      [CALIB_METHOD_ENTROPY2] = "TensorRT's objective",
      [CALIB_METHOD_ENTROPY2_TRT] = "TensorRT's table, bin for bin",
      [CALIB_METHOD_PERCENTILE] = "all but the greatest few magnitudes",
      [CALIB_METHOD_MSE] = "least squared error (default)",
      [CALIB_METHOD_ENTROPY] = "as entropy2, no ranges shared",
      [CALIB_METHOD_LEGACY] = "TensorRT's 0.999999 quantile",
  };
  GString *text = g_string_new (
      "Makes a calibration table from statistics that were collected earlier.\n\nMethods, and the "
      "statistics that they need:");

  for (guint m = 0; m < CALIB_METHOD_COUNT; m++)
    g_string_append_printf (text, "\n  %-13s %-36s %s", calib_method_name (m), meanings[m],
        calib_method_flags (m) & CALIB_HISTOGRAM_TENSORRT ? "TensorRT's histograms" : "any");
  g_string_append (text,
      "\nTensorRT's histograms are in statistics of int8calib with method entropy2-trt or legacy, of "
      "one run: they depend on the order of frames and are lost by merging.");
  return g_string_free (text, FALSE);
}

static gboolean
read_method (const char *name, CalibMethod *method, GError **error)
{
  g_autoptr (GString) names = g_string_new (NULL);

  if (calib_method_from_name (name, method))
    return TRUE;
  for (guint m = 0; m < CALIB_METHOD_COUNT; m++)
    g_string_append_printf (names, "%s%s", m > 0 ? ", " : "", calib_method_name (m));
  return tool_usage (error, "there is no method %s: take one of %s", name, names->str);
}

gboolean
tool_table (int argc, char **argv, GError **error)
{
  g_autofree char *stats = NULL, *model_path = NULL, *method_name = NULL, *output = NULL;
  g_autofree char *correction = NULL;
  g_autoptr (EngineBias) bias = NULL;
  double percentile = 99.99;
  int trt_version = 8601;
  const GOptionEntry entries[] = {
      {"stats", 's', 0, G_OPTION_ARG_FILENAME, &stats, "Statistics file of int8calib", "FILE"},
      {"model", 'm', 0, G_OPTION_ARG_FILENAME, &model_path, "The model they were made with",
          "FILE"},
      {"method", 0, 0, G_OPTION_ARG_STRING, &method_name, "One of the above; default mse",
          "METHOD"},
      {"percentile", 0, 0, G_OPTION_ARG_DOUBLE, &percentile, "For percentile; default 99.99", "P"},
      {"bias-correction", 0, 0, G_OPTION_ARG_STRING, &correction,
          "fast (default): also write <table>.bias, what rounding weights takes from the mean of a "
          "layer's outputs; or off",
          "HOW"},
      {"trt-version", 0, 0, G_OPTION_ARG_INT, &trt_version, "Number in the header; default 8601",
          "N"},
      {"output", 'o', 0, G_OPTION_ARG_FILENAME, &output, "Table to write", "FILE"},
      {NULL},
  };
  CalibMethod method = CALIB_METHOD_MSE;

  g_autofree char *summary = describe_methods ();

  if (!tool_parse (&argc, &argv, entries, NULL, summary, error))
    return FALSE;
  if (!stats || !model_path || !output)
    return tool_usage (error, "--stats, --model and --output are needed");
  if (method_name && !read_method (method_name, &method, error))
    return FALSE;
  if (correction && !g_str_equal (correction, "fast") && !g_str_equal (correction, "off"))
    return tool_usage (error, "--bias-correction is fast or off, not %s", correction);
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
  if (!correction || g_str_equal (correction, "fast"))
    bias = engine_bias_fast (model, statistics);
  if (!table || !engine_bias_save (bias, table, output, error) ||
      !calib_table_save (table, output, error) ||
      !calib_provenance_save (calib_statistics_provenance (statistics), calib_method_name (method),
          output, error))
    return FALSE;
  g_print ("%s: %u tensors, %s, biases of %u layers corrected\n", output,
      calib_table_n_entries (table), calib_method_name (method),
      bias ? engine_bias_n_layers (bias) : 0);
  return TRUE;
}

/* A file that is named twice would count twice. */
static gboolean
check_different (int n, char **paths, GError **error)
{
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (int i = 0; i < n; i++) {
    char *path = g_canonicalize_filename (paths[i], NULL);
    if (!g_hash_table_add (seen, path))
      return tool_usage (error, "%s is named twice, and its frames would count twice", paths[i]);
  }
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
  if (!check_different (argc - 1, argv + 1, error))
    return FALSE;

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
