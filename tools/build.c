/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* build.c: an engine file without a pipeline, and the names that ranges by hand and layer rules use. */
#include "tools/tool.h"

typedef struct {
  char *model, *table, *dynamic_ranges, *output, *tensors;
  char *precision, *layer_precision, *ranges, *preprocess, *backend;
  gboolean strict, force, tune;
  int batch, threads;
} Arguments;

static void
arguments_clear (Arguments *a)
{
  g_free (a->model);
  g_free (a->table);
  g_free (a->dynamic_ranges);
  g_free (a->output);
  g_free (a->tensors);
  g_free (a->precision);
  g_free (a->layer_precision);
  g_free (a->ranges);
  g_free (a->preprocess);
  g_free (a->backend);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Arguments, arguments_clear)

static gboolean
parse (Arguments *a, int argc, char **argv, GError **error)
{
  /* clang-format off */
  const GOptionEntry entries[] = {
      {"model", 'm', 0, G_OPTION_ARG_FILENAME, &a->model, "Classifier, ONNX or Caffe", "FILE"},
      {"table", 't', 0, G_OPTION_ARG_FILENAME, &a->table, "Calibration table (int8)", "FILE"},
      {"dynamic-ranges", 0, 0, G_OPTION_ARG_FILENAME, &a->dynamic_ranges,
          "Ranges by hand (int8), a line NAME: T or NAME: MIN MAX each; they go before the table's, and "
          "need none where they are all there", "FILE"},
      {"output", 'o', 0, G_OPTION_ARG_FILENAME, &a->output, "Engine file to write (*.int8engine)",
          "FILE"},
      {"write-tensors", 0, 0, G_OPTION_ARG_FILENAME, &a->tensors,
          "Write the names of all tensors, one a line, as --dynamic-ranges has them (- is standard "
          "output)", "FILE"},
      {"precision", 0, 0, G_OPTION_ARG_STRING, &a->precision,
          "int8 (default), fp32, fp16 (for GPUs) or mixed: int8 with the rules in <table>.precision", "P"},
      {"layer-precision", 0, 0, G_OPTION_ARG_STRING, &a->layer_precision,
          "NAME:int8, NAME:fp32, NAME:output=fp32 ..., separated by commas; * and ? in names; later ones "
          "win. Or a file of them, one a line", "TEXT|@FILE"},
      {"strict", 0, 0, G_OPTION_ARG_NONE, &a->strict,
          "Names that nothing has, and precisions without a kernel, are errors", NULL},
      {"ranges", 0, 0, G_OPTION_ARG_STRING, &a->ranges, "full (default) or symmetric", "R"},
      {"preprocess", 0, 0, G_OPTION_ARG_STRING, &a->preprocess,
          TOOL_PREPROCESS_RANGE_HELP, "TEXT"},
      {"force", 0, 0, G_OPTION_ARG_NONE, &a->force,
          "Use a table made for another model or preprocessing", NULL},
      {"tune", 0, 0, G_OPTION_ARG_NONE, &a->tune,
          "Time the ways to compute every convolution on this machine, and keep the fastest", NULL},
      {"backend", 0, 0, G_OPTION_ARG_STRING, &a->backend, "To tune for; cpu (default), cuda, cuda:N or ref",
          "NAME"},
      {"batch", 'b', 0, G_OPTION_ARG_INT, &a->batch, "To tune for; default 1", "N"},
      {"threads", 0, 0, G_OPTION_ARG_INT, &a->threads, "To tune for; default: all CPUs", "N"},
      {NULL},
  };
  /* clang-format on */

  if (!tool_parse_with_model (&argc, &argv, entries, NULL, "Builds an engine file.", error))
    return FALSE;
  if (!a->model || (!a->output && !a->tensors))
    return tool_usage (error, "--model, and --output or --write-tensors, are needed");
  if (a->batch < 1 || a->threads < 0)
    return tool_usage (error, "--batch must be above 0, --threads not below");
  return TRUE;
}

gboolean
tool_write_tensors (const char *path, const char *to, GError **error)
{
  g_autoptr (EngineModel) model = tool_model_load (path, error);
  g_autoptr (GPtrArray) names = NULL;
  g_autoptr (GString) text = g_string_new (NULL);

  if (!model)
    return FALSE;
  names = engine_model_tensors (model);
  for (guint i = 0; i < names->len; i++)
    g_string_append_printf (text, "%s\n", (const char *) names->pdata[i]);
  if (!g_str_equal (to, "-"))
    return calib_file_replace (to, text->str, text->len, error);
  g_print ("%s", text->str);
  return TRUE;
}

static void
print_report (const EngineRequestReport *report)
{
  if (report->warning)
    g_printerr ("warning: %s\n", report->warning);
  g_print ("%s: %s%s, %.2f s, %d layers int8, %d fp32", report->path ? report->path : "(not kept)",
      report->built ? report->reason : "up to date", report->tuned ? ", tuned" : "", report->seconds,
      report->build.layers_int8, report->build.layers_fp32);
  if (report->build.layers_fp16 > 0)
    g_print (", %d fp16", report->build.layers_fp16);
  g_print ("\n");
  tool_print_report (&report->build);
}

static gboolean
build (const Arguments *a, GError **error)
{
  EnginePreprocess preprocess;
  EngineRequestReport report = {0};
  EngineRequest request = {.model = a->model,
      .model_options = *tool_model_options (),
      .table = a->table,
      .dynamic_ranges = a->dynamic_ranges,
      .layer_precision = a->layer_precision,
      .strict = a->strict,
      .engine = a->output,
      .force = a->force,
      .tune_batch = a->batch,
      .tune_threads = a->threads};

  if (!tool_precision (a->precision ? a->precision : "int8", &request.precision, error) ||
      !tool_ranges (a->ranges ? a->ranges : "full", &request.ranges, error))
    return FALSE;
  if (a->preprocess) {
    if (!tool_preprocess_of (a->preprocess, a->model, &preprocess, error))
      return FALSE;
    request.preprocess = &preprocess;
  }
  if (a->tune) {
    request.tune_for = engine_backend_open (a->backend ? a->backend : "cpu", error);
    if (!request.tune_for)
      return FALSE;
  }

  g_autoptr (Engine) engine =
      engine_obtain (&request, &report, NULL, tool_progress, NULL, NULL, error);
  if (engine)
    print_report (&report);
  engine_request_report_clear (&report);
  engine_backend_close (request.tune_for);
  return engine != NULL;
}

gboolean
tool_build (int argc, char **argv, GError **error)
{
  g_auto (Arguments) a = {.batch = 1};

  return parse (&a, argc, argv, error) && (!a.tensors || tool_write_tensors (a.model, a.tensors, error)) &&
         (!a.output || build (&a, error));
}
