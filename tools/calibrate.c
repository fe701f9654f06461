/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* calibrate.c: a calibration table from images, without a pipeline. */
#include "tools/samples.h"
#include "tools/tool.h"

typedef struct {
  char **images;
  char *table, *statistics, *method_name, *preprocess, *correction;
  double percentile;
  gint64 skip, max;
  int batch, threads, trt_version, keep;
  CalibMethod method;
} Options;

static void
options_clear (Options *o)
{
  g_strfreev (o->images);
  g_free (o->table);
  g_free (o->statistics);
  g_free (o->method_name);
  g_free (o->preprocess);
  g_free (o->correction);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Options, options_clear)

static gboolean
check (Options *o, int argc, GError **error)
{
  if (argc != 2)
    return tool_usage (error, "one model is needed");
  if (!o->images)
    return tool_usage (error, "--images is needed");
  if (!o->table && !o->statistics)
    return tool_usage (error, "nothing to write: --table or --statistics is needed");
  if (o->method_name && !calib_method_from_name (o->method_name, &o->method))
    return tool_usage (error,
        "there is no method %s here; gst-int8-1.0 table --help tells them (for auto: --statistics with "
        "--keep-frames, then table)",
        o->method_name);
  if (o->correction && !g_str_equal (o->correction, "fast") && !g_str_equal (o->correction, "off"))
    return tool_usage (error, "--bias-correction is fast or off, not %s", o->correction);
  if (o->keep > 0 && !o->statistics)
    return tool_usage (error, "--keep-frames is for --statistics");
  if (o->batch < 1 || o->trt_version < 1)
    return tool_usage (error, "--batch and --trt-version must be above 0");
  if (o->skip < 0 || o->max < 0 || o->threads < 0 || o->keep < 0)
    return tool_usage (error, "--skip, --max-frames, --keep-frames and --threads must not be below 0");
  return TRUE;
}

static gboolean
parse (int *argc, char ***argv, Options *o, GError **error)
{
  const GOptionEntry entries[] = {
      {"images", 'i', 0, G_OPTION_ARG_FILENAME_ARRAY, &o->images,
          "Picture, video, IDX file (may be gzipped), batch file of preprocessed images as TensorRT's "
          "samples have them, a folder of such, or a list (*.txt, a path a line); repeatable",
          "PATH"},
      {"table", 't', 0, G_OPTION_ARG_FILENAME, &o->table, "Calibration table to write", "FILE"},
      {"statistics", 's', 0, G_OPTION_ARG_FILENAME, &o->statistics,
          "Statistics file to write, for other methods later (gst-int8-1.0 table)", "FILE"},
      {"keep-frames", 0, 0, G_OPTION_ARG_INT, &o->keep,
          "Images that the statistics keep, for method auto and for full bias correction", "N"},
      {"method", 0, 0, G_OPTION_ARG_STRING, &o->method_name,
          "As of gst-int8-1.0 table; default mse", "METHOD"},
      {"percentile", 0, 0, G_OPTION_ARG_DOUBLE, &o->percentile, "For percentile; default 99.99",
          "P"},
      {"bias-correction", 0, 0, G_OPTION_ARG_STRING, &o->correction,
          "fast (default): also write <table>.bias; or off", "HOW"},
      {"skip", 0, 0, G_OPTION_ARG_INT64, &o->skip, "Images to leave out in front", "N"},
      {"max-frames", 'n', 0, G_OPTION_ARG_INT64, &o->max, "Default: all", "N"},
      {"batch", 'b', 0, G_OPTION_ARG_INT, &o->batch,
          "Images at once; only entropy2-trt and legacy depend on it; default 1", "N"},
      {"preprocess", 'p', 0, G_OPTION_ARG_STRING, &o->preprocess, TOOL_PREPROCESS_HELP, "TEXT"},
      {"trt-version", 0, 0, G_OPTION_ARG_INT, &o->trt_version, "Number in the header; default 8601",
          "N"},
      {"threads", 0, 0, G_OPTION_ARG_INT, &o->threads, "Default: all CPUs", "N"},
      {NULL},
  };

  return tool_parse_with_model (argc, argv, entries, "MODEL",
             "Runs images through the FP32 network and makes a calibration table of what it sees.\n"
             "Frames of cameras and streams are for int8calib, which does the same in a pipeline.",
             error) &&
         check (o, *argc, error);
}

typedef struct {
  EngineCalibrator *calibrator;
  ToolInput *input;
  CalibStatistics *statistics;
  gint64 max;
  guint done;
} Calibration;

static gboolean
push (const ToolSample *sample, gpointer data, GError **error)
{
  Calibration *c = data;

  if (!tool_input_write (c->input, sample, engine_calibrator_input (c->calibrator), error) ||
      !engine_calibrator_push (c->calibrator, error))
    return FALSE;
  calib_statistics_add_frames (c->statistics, 1);
  c->done++;
  if (c->max > 0)
    tool_progress (c->done, (guint) c->max, sample->name, NULL);
  return TRUE;
}

/* Returns how many images it saw, or -1. */
static gint64
collect (const Options *o, EngineModel *model, const EnginePreprocess *preprocess,
    CalibStatistics *statistics, GError **error)
{
  ToolSamples samples = {.places = o->images, .skip = o->skip, .max = o->max};
  KernelBackend *backend = engine_backend_open ("cpu", error);
  Calibration c = {.statistics = statistics, .max = o->max};
  gint64 n = -1;

  engine_model_input (model, &samples.input);
  if (backend)
    c.input = tool_input_new (preprocess, &samples.input, ENGINE_TYPE_F32, 1, 0, backend, error);
  if (c.input)
    c.calibrator = engine_calibrator_new (model, backend, o->batch, o->threads, statistics, error);
  if (c.calibrator)
    n = tool_samples_read (&samples, push, &c, error);
  if (n > 0 && !engine_calibrator_flush (c.calibrator, error))
    n = -1;
  engine_calibrator_free (c.calibrator);
  tool_input_free (c.input);
  engine_backend_close (backend);
  return n;
}

static gboolean
write_table (const Options *o, const EngineModel *model, const CalibStatistics *statistics,
    gint64 frames, GError **error)
{
  g_autoptr (EngineBias) bias = NULL;
  g_autoptr (CalibTable) table = engine_calibration_table (model, statistics, o->method,
      o->percentile, (guint) o->trt_version, error);

  if (!table)
    return FALSE;
  if (!o->correction || g_str_equal (o->correction, "fast"))
    bias = engine_bias_fast (model, statistics);
  if (!engine_bias_save (bias, table, o->table, error) ||
      !calib_table_save (table, o->table, error) ||
      !calib_provenance_save (calib_statistics_provenance (statistics),
          calib_method_name (o->method), o->table, error))
    return FALSE;
  g_print ("%s: %u tensors, %s, %" G_GINT64_FORMAT " images, biases of %u layers corrected\n",
      o->table, calib_table_n_entries (table), calib_method_name (o->method), frames,
      bias ? engine_bias_n_layers (bias) : 0);
  return TRUE;
}

gboolean
tool_calibrate (int argc, char **argv, GError **error)
{
  g_auto (Options)
      o = {.method = CALIB_METHOD_MSE, .percentile = 99.99, .batch = 1, .trt_version = 8601};
  g_autoptr (EngineModel) model = NULL;
  g_autoptr (CalibStatistics) statistics = NULL;
  g_autofree char *preprocess_sha256 = NULL;
  char tool[] = "gst-int8-1.0 calibrate " INT8_VERSION;
  EnginePreprocess preprocess;
  EngineInputInfo input;
  gint64 n;

  if (!parse (&argc, &argv, &o, error) || !(model = tool_model_load (argv[1], error)))
    return FALSE;
  engine_model_input (model, &input);
  if (!tool_preprocess (o.preprocess, input.channels, &preprocess, error))
    return FALSE;
  preprocess_sha256 = engine_preprocess_sha256 (&preprocess);
  const CalibProvenance provenance = {.model_sha256 = (char *) engine_model_sha256 (model),
      .preprocess_sha256 = preprocess_sha256,
      .source = o.images[0],
      .tool = tool};

  statistics = calib_statistics_new (&provenance, calib_method_flags (o.method));
  calib_statistics_keep_frames (statistics, (guint) o.keep);
  n = collect (&o, model, &preprocess, statistics, error);
  if (n < 0 || (o.statistics && !calib_statistics_save (statistics, o.statistics, error)))
    return FALSE;
  if (o.statistics)
    g_print ("%s: %" G_GINT64_FORMAT " images\n", o.statistics, n);
  return !o.table || write_table (&o, model, statistics, n, error);
}
