/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* build.c: an engine file without a pipeline. */
#include "tools/tool.h"

gboolean
tool_build (int argc, char **argv, GError **error)
{
  g_autofree char *model = NULL, *table = NULL, *output = NULL, *precision = NULL;
  g_autofree char *ranges = NULL, *preset = NULL, *backend = NULL;
  gboolean force = FALSE, tune = FALSE;
  int batch = 1, threads = 0;
  const GOptionEntry entries[] = {
      {"model", 'm', 0, G_OPTION_ARG_FILENAME, &model, "ONNX classifier", "FILE"},
      {"table", 't', 0, G_OPTION_ARG_FILENAME, &table, "Calibration table (int8)", "FILE"},
      {"output", 'o', 0, G_OPTION_ARG_FILENAME, &output, "Engine file to write (*.int8engine)",
          "FILE"},
      {"precision", 0, 0, G_OPTION_ARG_STRING, &precision, "int8 (default) or fp32", "P"},
      {"ranges", 0, 0, G_OPTION_ARG_STRING, &ranges, "full (default) or symmetric", "R"},
      {"preprocess", 0, 0, G_OPTION_ARG_STRING, &preset,
          "imagenet, imagenet-caffe, unit or raw: gives the input its exact range", "PRESET"},
      {"force", 0, 0, G_OPTION_ARG_NONE, &force,
          "Use a table made for another model or preprocessing", NULL},
      {"tune", 0, 0, G_OPTION_ARG_NONE, &tune,
          "Time the ways to compute every convolution on this machine, and keep the fastest", NULL},
      {"backend", 0, 0, G_OPTION_ARG_STRING, &backend, "To tune for; cpu (default) or ref", "NAME"},
      {"batch", 'b', 0, G_OPTION_ARG_INT, &batch, "To tune for; default 1", "N"},
      {"threads", 0, 0, G_OPTION_ARG_INT, &threads, "To tune for; default: all CPUs", "N"},
      {NULL},
  };
  EnginePreprocess preprocess;
  EngineRequest request = {0};
  EngineRequestReport report = {0};

  if (!tool_parse (&argc, &argv, entries, NULL, "Builds an engine file.", error))
    return FALSE;
  if (!model || !output)
    return tool_usage (error, "--model and --output are needed");
  if (!tool_precision (precision ? precision : "int8", &request.precision, error) ||
      !tool_ranges (ranges ? ranges : "full", &request.ranges, error))
    return FALSE;
  if (preset) {
    if (!engine_preprocess_preset (&preprocess, preset))
      return tool_usage (error, "there is no preset %s", preset);
    request.preprocess = &preprocess;
  }
  if (batch < 1 || threads < 0)
    return tool_usage (error, "--batch must be above 0, --threads not below");
  if (tune) {
    request.tune_for = engine_backend_open (backend ? backend : "cpu", error);
    if (!request.tune_for)
      return FALSE;
  }
  request.tune_batch = batch;
  request.tune_threads = threads;
  request.model = model;
  request.table = table;
  request.engine = output;
  request.force = force;

  g_autoptr (Engine) engine =
      engine_obtain (&request, &report, NULL, tool_progress, NULL, NULL, error);
  if (engine && report.warning)
    g_printerr ("warning: %s\n", report.warning);
  if (engine)
    g_print ("%s: %s%s, %.2f s, %d layers int8, %d fp32\n",
        report.path ? report.path : "(not kept)", report.built ? report.reason : "up to date",
        report.tuned ? ", tuned" : "", report.seconds, report.build.layers_int8,
        report.build.layers_fp32);
  engine_request_report_clear (&report);
  engine_backend_close (request.tune_for);
  return engine != NULL;
}
