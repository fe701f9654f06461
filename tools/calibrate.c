/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* calibrate.c: a calibration table from images, without a pipeline. */
#include "tools/samples.h"
#include "tools/table-make.h"

typedef struct {
  ToolOptions network;
  char *table, *statistics;
  ToolTableOptions how;
  int keep;
} Options;

static void
options_clear (Options *o)
{
  tool_options_clear (&o->network);
  g_free (o->table);
  g_free (o->statistics);
  tool_table_options_clear (&o->how);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Options, options_clear)

static gboolean
check (Options *o, GError **error)
{
  if (!o->network.images)
    return tool_usage (error, "--images is needed");
  if (!o->table && !o->statistics)
    return tool_usage (error, "nothing to write: --table or --statistics is needed");
  if (o->keep > 0 && !o->statistics)
    return tool_usage (error, "--keep-frames is for --statistics");
  if (o->keep < 0)
    return tool_usage (error, "--keep-frames must not be below 0");
  if (g_strcmp0 (o->table, o->statistics) == 0)
    return tool_usage (error, "--table and --statistics are two files, not one");
  return tool_check_output (&o->network, o->table, error) &&
         tool_check_output (&o->network, o->statistics, error) &&
         tool_table_options_check (&o->how, error);
}

static gboolean
parse (int *argc, char ***argv, Options *o, GError **error)
{
  const GOptionEntry entries[] = {
      {"table", 't', 0, G_OPTION_ARG_FILENAME, &o->table, "Calibration table to write", "FILE"},
      {"statistics", 's', 0, G_OPTION_ARG_FILENAME, &o->statistics,
          "Statistics file to write, for other methods later (gst-int8-1.0 table)", "FILE"},
      {"stats", 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_FILENAME, &o->statistics, NULL, "FILE"},
      {"keep-frames", 0, 0, G_OPTION_ARG_INT, &o->keep,
          "Images that the statistics file keeps, for method auto and full bias correction later; without "
          "it a sample of at most 500, about 60 MB, is in memory only",
          "N"},
      TOOL_TABLE_ENTRIES (o->how),
      {NULL},
  };
  g_autofree char *summary = tool_table_describe (
      "Runs images through the FP32 network and makes a calibration table of what it sees, the same one with\n"
      "any --batch but for entropy2-trt and legacy. Frames of cameras and streams are for int8calib, which does\n"
      "the same in a pipeline.");
  const ToolSyntax syntax = {.arguments = "[MODEL]",
      .summary = summary,
      .entries = entries,
      .shared = TOOL_FILE | TOOL_MODEL | TOOL_BACKEND | TOOL_BATCH | TOOL_THREADS | TOOL_IMAGES,
      .example = "model.onnx --images photos --max-frames 500 --table calib.table"};

  if (!tool_parse (argc, argv, &syntax, &o->network, error) ||
      !tool_take_model (&o->network, *argc, *argv, error))
    return FALSE;
  o->how.threads = o->network.threads;
  return check (o, error);
}

typedef struct {
  EngineCalibrator *calibrator;
  ToolInput *input;
} Calibration;

static gboolean
push (const ToolSample *sample, gpointer data, GError **error)
{
  Calibration *c = data;

  return tool_input_write (c->input, sample, engine_calibrator_input (c->calibrator), error) &&
         engine_calibrator_push (c->calibrator, error);
}

/* Returns how many images it saw, or -1. */
static gint64
collect (const Options *o, const GPtrArray *paths, EngineModel *model,
    const EnginePreprocess *preprocess, CalibStatistics *statistics, GError **error)
{
  ToolSamples samples = {.paths = paths, .skip = o->network.skip, .max = o->network.max_frames};
  KernelBackend *backend = tool_backend_open (&o->network, error);
  Calibration c = {0};
  gint64 n = -1;

  engine_model_input (model, &samples.input);
  if (backend)
    c.input = tool_input_new (preprocess, &samples.input, ENGINE_TYPE_F32, 1, 0, backend, error);
  if (c.input)
    c.calibrator = engine_calibrator_new (model, backend, o->network.batch, o->network.threads,
        statistics, error);
  if (c.calibrator)
    n = tool_samples_read (&samples, push, &c, error);
  if (n > 0 && !engine_calibrator_flush (c.calibrator, error))
    n = -1;
  engine_calibrator_free (c.calibrator);
  tool_input_free (c.input);
  engine_backend_close (backend);
  return n;
}

gboolean
tool_calibrate (int argc, char **argv, GError **error)
{
  g_auto (Options) o = {.how = TOOL_TABLE_OPTIONS};
  g_autoptr (EngineModel) model = NULL;
  g_autoptr (GPtrArray) paths = NULL;
  g_autoptr (CalibStatistics) statistics = NULL;
  g_autofree char *preprocess_sha256 = NULL;
  char tool[] = "gst-int8-1.0 calibrate " INT8_VERSION;
  EnginePreprocess preprocess;
  gint64 n;

  if (!parse (&argc, &argv, &o, error) || !(paths = tool_images_find (o.network.images, error)) ||
      !(model = tool_model_load (&o.network, error)) ||
      !tool_preprocess (&o.network, model, &preprocess, error))
    return FALSE;
  preprocess_sha256 = engine_preprocess_sha256 (&preprocess);
  const CalibProvenance provenance = {.model_sha256 = (char *) engine_model_sha256 (model),
      .preprocess_sha256 = preprocess_sha256,
      .source = o.network.images[0],
      .tool = tool};

  statistics = calib_statistics_new (&provenance, tool_table_flags (&o.how));
  if (o.keep > 0)
    calib_statistics_keep_frames (statistics, (guint) o.keep);
  else if (o.table)
    calib_statistics_keep_in_memory (statistics, engine_calibration_frames (model));
  n = collect (&o, paths, model, &preprocess, statistics, error);
  if (n < 0 || (o.statistics && !calib_statistics_save (statistics, o.statistics, error)))
    return FALSE;
  if (o.statistics)
    g_print ("%s: %" G_GINT64_FORMAT " images\n", o.statistics, n);
  return !o.table || tool_table_make (&o.how, model, statistics, &preprocess, o.table, error);
}
