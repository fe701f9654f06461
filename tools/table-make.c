/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * table-make.c: a table, bias corrections and scales by channel from statistics: without the frames, or on
 * those that are kept.
 */
#include "tools/table-make.h"

typedef struct {
  const ToolTableOptions *options;
  const EngineModel *model;
  const CalibStatistics *statistics;
  const EnginePreprocess *preprocess;
  CalibMethod method;
} Making;

/* --- Options -------------------------------------------------------------------------------- */

void
tool_table_options_clear (ToolTableOptions *options)
{
  g_free (options->method_name);
  g_free (options->correction);
  g_free (options->equalise);
}

char *
tool_table_describe (const char *head)
{
  static const char *const meanings[CALIB_METHOD_COUNT] = {
      [CALIB_METHOD_MINMAX] = "the largest magnitude",
      [CALIB_METHOD_ENTROPY2] = "TensorRT's objective",
      [CALIB_METHOD_ENTROPY2_TRT] = "TensorRT's table, bin for bin",
      [CALIB_METHOD_PERCENTILE] = "all but the largest few magnitudes",
      [CALIB_METHOD_MSE] = "least squared error",
      [CALIB_METHOD_ENTROPY] = "as entropy2, no ranges shared",
      [CALIB_METHOD_LEGACY] = "TensorRT's 0.999999 quantile",
      [CALIB_METHOD_MSE_RELATIVE] = "mse, outliers count less",
  };
  GString *text = g_string_new (head);

  g_string_append (text, "\n\nMethods, and the statistics that they need:");

  for (guint m = 0; m < CALIB_METHOD_COUNT; m++)
    g_string_append_printf (text, "\n  %-13s %-36s %s", calib_method_name (m), meanings[m],
        calib_method_flags (m) & CALIB_HISTOGRAM_TENSORRT ? "TensorRT's histograms" : "any");
  g_string_append_printf (text, "\n  %-13s %-36s %s", "auto",
      "the one of these that diverges least", "kept frames");
  g_string_append (text,
      "\nFrames are kept in statistics that were collected with keep-frames (int8calib) or --keep-frames "
      "(calibrate)."
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

static gboolean
is_one_of (const char *text, const char *a, const char *b, const char *c)
{
  return !text || g_str_equal (text, a) || g_str_equal (text, b) || g_strcmp0 (text, c) == 0;
}

static gboolean
is_auto (const ToolTableOptions *options)
{
  return g_strcmp0 (options->method_name, "auto") == 0;
}

static gboolean
is_corrected (const ToolTableOptions *options)
{
  return g_strcmp0 (options->correction, "off") != 0;
}

gboolean
tool_table_options_check (const ToolTableOptions *options, GError **error)
{
  CalibMethod method;

  if (options->method_name && !is_auto (options) &&
      !read_method (options->method_name, &method, error))
    return FALSE;
  if (!is_one_of (options->correction, "fast", "full", "off"))
    return tool_usage (error, "--bias-correction is fast, full or off, not %s",
        options->correction);
  if (!is_one_of (options->equalise, "on", "off", NULL))
    return tool_usage (error, "--equalise is on or off, not %s", options->equalise);
  if (options->threads < 0)
    return tool_usage (error, "--threads must not be below 0");
  if (options->trt_version < 1)
    return tool_usage (error, "--trt-version must be above 0");
  return TRUE;
}

CalibHistogramFlags
tool_table_flags (const ToolTableOptions *options)
{
  CalibMethod method;

  return options->method_name && calib_method_from_name (options->method_name, &method)
             ? calib_method_flags (method)
             : CALIB_HISTOGRAM_DEFAULT;
}

/* --- Making --------------------------------------------------------------------------------- */

/* Method auto: prints the ranking, and takes its first. */
static gboolean
choose_method (Making *m, const EngineBias *bias, GError **error)
{
  const EngineChooseOptions how = {.percentile = m->options->percentile,
      .preprocess = m->preprocess,
      .bias = bias,
      .threads = m->options->threads,
      .progress = tool_progress};
  KernelBackend *backend = engine_backend_open ("cpu", error);
  g_autoptr (GArray) ranking =
      backend ? engine_calibration_rank (m->model, m->statistics, &how, backend, NULL, error)
              : NULL;
  g_autofree char *text = ranking ? engine_calibration_ranking_text (ranking) : NULL;

  engine_backend_close (backend);
  if (!ranking) {
    g_prefix_error (error, "method auto: ");
    return FALSE;
  }
  m->method = g_array_index (ranking, EngineMethodScore, 0).method;
  g_print ("INT8 against FP32 on %" G_GUINT64_FORMAT " kept frames:\n%s\n",
      g_array_index (ranking, EngineMethodScore, 0).score.frames, text);
  return TRUE;
}

/* The fast bias correction is there already. */
static gboolean
find_method (Making *m, const EngineBias *bias, GError **error)
{
  const ToolTableOptions *o = m->options;

  m->method = CALIB_METHOD_MSE;
  if (is_auto (o) || (!o->method_name && calib_statistics_n_kept (m->statistics) > 0))
    return choose_method (m, bias, error);
  return !o->method_name || read_method (o->method_name, &m->method, error);
}

/* --bias-correction full, for tables that are used with full ranges. */
static EngineBias *
full_bias (const Making *m, const CalibTable *table, const EngineBias *equalised, GError **error)
{
  g_autoptr (GPtrArray) frames = engine_bias_frames (m->model, m->statistics, error);
  const EngineBiasOptions options = {.preprocess = m->preprocess,
      .frames = frames,
      .equalised = equalised,
      .threads = m->options->threads,
      .progress = tool_progress};
  KernelBackend *backend = frames ? engine_backend_open ("cpu", error) : NULL;
  EngineBias *bias =
      backend ? engine_bias_full (m->model, table, &options, backend, NULL, error) : NULL;

  engine_backend_close (backend);
  return bias;
}

/* --equalise, into bias, for tables that are used with full ranges. */
static gboolean
equalise (const Making *m, const CalibTable *table, EngineBias *bias, GError **error)
{
  g_autoptr (GPtrArray) frames = engine_bias_frames (m->model, m->statistics, error);
  const EngineEqualiseOptions options = {.method = m->method,
      .percentile = m->options->percentile,
      .frames = frames,
      .threads = m->options->threads,
      .table = table,
      .preprocess = m->preprocess,
      .statistics = is_corrected (m->options) ? m->statistics : NULL,
      .progress = tool_progress};
  KernelBackend *backend = frames ? engine_backend_open ("cpu", error) : NULL;
  const gboolean ok = backend && engine_equalise (bias, m->model, &options, backend, NULL, error);

  engine_backend_close (backend);
  return ok;
}

/* What goes into <table>.bias, from the fast correction (taken). */
static EngineBias *
finish_bias (const Making *m, EngineBias *fast, const CalibTable *table, GError **error)
{
  g_autoptr (EngineBias) bias = fast;

  if (g_strcmp0 (m->options->equalise, "off") != 0 && !equalise (m, table, bias, error))
    return NULL;
  if (g_strcmp0 (m->options->correction, "full") != 0)
    return g_steal_pointer (&bias);
  return full_bias (m, table, bias, error);
}

static gboolean
save (const Making *m, const CalibTable *table, const EngineBias *bias, const char *output,
    GError **error)
{
  const CalibProvenance *provenance = calib_statistics_provenance (m->statistics);

  if (!engine_bias_save (bias, table, output, error) || !calib_table_save (table, output, error) ||
      !calib_provenance_save (provenance, calib_method_name (m->method), output, error))
    return FALSE;
  g_print ("%s: %u tensors, %s, %" G_GUINT64_FORMAT
           " images, biases of %u layers corrected, channels of %u tensors equalised\n",
      output, calib_table_n_entries (table), calib_method_name (m->method), provenance->frames,
      engine_bias_n_layers (bias), engine_bias_n_equalised (bias));
  return TRUE;
}

gboolean
tool_table_make (const ToolTableOptions *options, const EngineModel *model,
    const CalibStatistics *statistics, const EnginePreprocess *preprocess, const char *output,
    GError **error)
{
  Making m = {options, model, statistics, preprocess, CALIB_METHOD_MSE};
  g_autoptr (EngineBias) bias = is_corrected (options)
                                    ? engine_bias_fast (model, statistics, NULL)
                                    : engine_bias_new ();
  g_autoptr (CalibTable) table = NULL;

  if (!find_method (&m, bias, error))
    return FALSE;
  table = engine_calibration_table (model, statistics, m.method, options->percentile,
      (guint) options->trt_version, error);
  if (!table)
    return FALSE;
  bias = finish_bias (&m, g_steal_pointer (&bias), table, error);
  return bias && save (&m, table, bias, output, error);
}
