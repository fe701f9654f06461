/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* table.c: a calibration table from statistics that were collected earlier, without the frames. */
#include "tools/tool.h"

typedef struct {
  char *stats, *model, *method_name, *correction, *equalise, *output;
  double percentile;
  int trt_version, threads;
  gboolean choose; /* method auto */
  CalibMethod method;
} TableOptions;

static void
table_options_clear (TableOptions *options)
{
  g_free (options->stats);
  g_free (options->model);
  g_free (options->method_name);
  g_free (options->correction);
  g_free (options->equalise);
  g_free (options->output);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (TableOptions, table_options_clear)

/* The methods and what each needs, for --help. */
static char *
describe_methods (void)
{
  static const char *const meanings[CALIB_METHOD_COUNT] = {
      [CALIB_METHOD_MINMAX] = "the largest magnitude",
      [CALIB_METHOD_ENTROPY2] = "TensorRT's objective",
      [CALIB_METHOD_ENTROPY2_TRT] = "TensorRT's table, bin for bin",
      [CALIB_METHOD_PERCENTILE] = "all but the largest few magnitudes",
      [CALIB_METHOD_MSE] = "least squared error (default)",
      [CALIB_METHOD_ENTROPY] = "as entropy2, no ranges shared",
      [CALIB_METHOD_LEGACY] = "TensorRT's 0.999999 quantile",
      [CALIB_METHOD_MSE_RELATIVE] = "mse, outliers count less",
  };
  GString *text = g_string_new (
      "Makes a calibration table from statistics that were collected earlier.\n\nMethods, and the "
      "statistics that they need:");

  for (guint m = 0; m < CALIB_METHOD_COUNT; m++)
    g_string_append_printf (text, "\n  %-13s %-36s %s", calib_method_name (m), meanings[m],
        calib_method_flags (m) & CALIB_HISTOGRAM_TENSORRT ? "TensorRT's histograms" : "any");
  g_string_append_printf (text, "\n  %-13s %-36s %s", "auto",
      "tries all of these, least divergence wins", "kept frames");
  g_string_append (text,
      "\nFrames are kept in statistics of int8calib with method auto, or with keep-frames."
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
  return tool_usage (error, "there is no method %s: take one of %s, auto", name, names->str);
}

/* Method auto: prints the ranking, and takes its first. */
static gboolean
choose_method (const EngineModel *model, const CalibStatistics *statistics, TableOptions *options,
    const EngineBias *bias, GError **error)
{
  const EngineChooseOptions how = {.percentile = options->percentile,
      .bias = bias,
      .threads = options->threads};
  KernelBackend *backend = engine_backend_open ("cpu", error);
  g_autoptr (GArray) ranking =
      backend ? engine_calibration_rank (model, statistics, &how, backend, NULL, error) : NULL;
  g_autofree char *text = ranking ? engine_calibration_ranking_text (ranking) : NULL;

  engine_backend_close (backend);
  if (!ranking)
    return FALSE;
  options->method = g_array_index (ranking, EngineMethodScore, 0).method;
  g_print ("INT8 against FP32 on %u kept frames:\n%s\n", calib_statistics_n_kept (statistics),
      text);
  return TRUE;
}

/* --bias-correction full, for tables that are used with full ranges. */
static EngineBias *
full_bias (const EngineModel *model, const CalibStatistics *statistics, const CalibTable *table,
    const EngineBias *equalised, int threads, GError **error)
{
  g_autoptr (GPtrArray) frames = engine_bias_frames (model, statistics, error);
  const EngineBiasOptions options = {.frames = frames, .equalised = equalised, .threads = threads};
  KernelBackend *backend = frames ? engine_backend_open ("cpu", error) : NULL;
  EngineBias *bias =
      backend ? engine_bias_full (model, table, &options, backend, NULL, error) : NULL;

  engine_backend_close (backend);
  return bias;
}

/* --equalise, into bias. */
static gboolean
equalise (const EngineModel *model, const CalibStatistics *statistics, const TableOptions *o,
    EngineBias *bias, GError **error)
{
  g_autoptr (GPtrArray) frames = engine_bias_frames (model, statistics, error);
  const EngineEqualiseOptions options = {.method = o->method,
      .percentile = o->percentile,
      .frames = frames,
      .threads = o->threads};
  KernelBackend *backend = frames ? engine_backend_open ("cpu", error) : NULL;
  const gboolean ok = backend && engine_equalise (bias, model, &options, backend, NULL, error);

  engine_backend_close (backend);
  return ok;
}

/* What goes into <table>.bias. */
static EngineBias *
make_bias (const EngineModel *model, const CalibStatistics *statistics, const CalibTable *table,
    const TableOptions *o, GError **error)
{
  g_autoptr (EngineBias) bias = g_strcmp0 (o->correction, "off") == 0
                                    ? engine_bias_new ()
                                    : engine_bias_fast (model, statistics);

  if (g_strcmp0 (o->equalise, "off") != 0 && !equalise (model, statistics, o, bias, error))
    return NULL;
  if (g_strcmp0 (o->correction, "full") != 0)
    return g_steal_pointer (&bias);
  return full_bias (model, statistics, table, bias, o->threads, error);
}

/* --- Options -------------------------------------------------------------------------------- */

static gboolean
check_options (TableOptions *options, GError **error)
{
  const char *correction = options->correction;

  if (!options->stats || !options->model || !options->output)
    return tool_usage (error, "--stats, --model and --output are needed");
  options->choose = options->method_name && g_str_equal (options->method_name, "auto");
  if (options->method_name && !options->choose &&
      !read_method (options->method_name, &options->method, error))
    return FALSE;
  if (correction && !g_str_equal (correction, "fast") && !g_str_equal (correction, "full") &&
      !g_str_equal (correction, "off"))
    return tool_usage (error, "--bias-correction is fast, full or off, not %s", correction);
  if (options->equalise && !g_str_equal (options->equalise, "on") &&
      !g_str_equal (options->equalise, "off"))
    return tool_usage (error, "--equalise is on or off, not %s", options->equalise);
  if (options->threads < 0)
    return tool_usage (error, "--threads must not be below 0");
  if (options->trt_version < 1)
    return tool_usage (error, "--trt-version must be above 0");
  return TRUE;
}

static gboolean
read_options (int argc, char **argv, TableOptions *options, GError **error)
{
  const GOptionEntry entries[] = {
      {"stats", 's', 0, G_OPTION_ARG_FILENAME, &options->stats, "Statistics file of int8calib",
          "FILE"},
      {"model", 'm', 0, G_OPTION_ARG_FILENAME, &options->model, "The model they were made with",
          "FILE"},
      {"method", 0, 0, G_OPTION_ARG_STRING, &options->method_name, "One of the above; default mse",
          "METHOD"},
      {"percentile", 0, 0, G_OPTION_ARG_DOUBLE, &options->percentile,
          "For percentile; default 99.99", "P"},
      {"bias-correction", 0, 0, G_OPTION_ARG_STRING, &options->correction,
          "fast (default): also write <table>.bias, what rounding weights takes from the mean of a "
          "layer's outputs; full: on kept frames, layer after layer; or off",
          "HOW"},
      {"equalise", 0, 0, G_OPTION_ARG_STRING, &options->equalise,
          "on (default): where frames are kept, channels before depthwise convolutions get scales of "
          "their own, in <table>.bias too; or off",
          "HOW"},
      {"threads", 0, 0, G_OPTION_ARG_INT, &options->threads,
          "For auto and full; default 0, all CPUs", "N"},
      {"trt-version", 0, 0, G_OPTION_ARG_INT, &options->trt_version,
          "Number in the header; default 8601", "N"},
      {"output", 'o', 0, G_OPTION_ARG_FILENAME, &options->output, "Table to write", "FILE"},
      {NULL},
  };
  g_autofree char *summary = describe_methods ();

  return tool_parse_with_model (&argc, &argv, entries, NULL, summary, error) &&
         check_options (options, error);
}

/* --- The command ---------------------------------------------------------------------------- */

gboolean
tool_table (int argc, char **argv, GError **error)
{
  g_auto (TableOptions) o = {.percentile = 99.99, .trt_version = 8601, .method = CALIB_METHOD_MSE};
  g_autoptr (CalibStatistics) statistics = NULL;
  g_autoptr (EngineModel) model = NULL;
  g_autoptr (CalibTable) table = NULL;
  g_autoptr (EngineBias) fast = NULL, bias = NULL;

  if (!read_options (argc, argv, &o, error) ||
      !(statistics = calib_statistics_load (o.stats, error)) ||
      !(model = tool_model_load (o.model, error)))
    return FALSE;
  if (g_strcmp0 (o.correction, "off") != 0)
    fast = engine_bias_fast (model, statistics);
  if (o.choose && !choose_method (model, statistics, &o, fast, error)) {
    g_prefix_error (error, "%s: method auto: ", o.stats);
    return FALSE;
  }
  table =
      engine_calibration_table (model, statistics, o.method, o.percentile, o.trt_version, error);
  if (table && !(bias = make_bias (model, statistics, table, &o, error))) {
    g_prefix_error (error, "%s: ", o.stats);
    return FALSE;
  }
  if (!table || !engine_bias_save (bias, table, o.output, error) ||
      !calib_table_save (table, o.output, error) ||
      !calib_provenance_save (calib_statistics_provenance (statistics),
          calib_method_name (o.method), o.output, error))
    return FALSE;
  g_print ("%s: %u tensors, %s, biases of %u layers corrected, channels of %u tensors equalised\n",
      o.output, calib_table_n_entries (table), calib_method_name (o.method),
      engine_bias_n_layers (bias), engine_bias_n_equalised (bias));
  return TRUE;
}
