/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* export.c: a calibrated network as an ONNX file for other runtimes. */
#include "tools/tool.h"

typedef struct {
  char *model, *table, *dynamic_ranges, *output, *target;
  char *precision, *layer_precision, *ranges, *preprocess;
  gboolean strict, force;
  EngineExportOptions options;
} Arguments;

static void
arguments_clear (Arguments *a)
{
  g_free (a->model);
  g_free (a->table);
  g_free (a->dynamic_ranges);
  g_free (a->output);
  g_free (a->target);
  g_free (a->precision);
  g_free (a->layer_precision);
  g_free (a->ranges);
  g_free (a->preprocess);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Arguments, arguments_clear)

static gboolean
parse_target (const char *name, EngineExportTarget *target, GError **error)
{
  for (int i = 0; i < ENGINE_EXPORT_TARGET_COUNT; i++)
    if (g_strcmp0 (name, engine_export_target_name (i)) == 0) {
      *target = i;
      return TRUE;
    }
  return tool_usage (error, "--for is onnxruntime, openvino or tensorrt, not %s", name);
}

static gboolean
parse (Arguments *a, int argc, char **argv, GError **error)
{
  /* clang-format off */
  const GOptionEntry entries[] = {
      {"model", 'm', 0, G_OPTION_ARG_FILENAME, &a->model, "ONNX classifier; or as the argument", "FILE"},
      {"table", 't', 0, G_OPTION_ARG_FILENAME, &a->table, "Calibration table; a model that is quantised already needs none", "FILE"},
      {"dynamic-ranges", 0, 0, G_OPTION_ARG_FILENAME, &a->dynamic_ranges,
          "Ranges by hand, a line NAME: T or NAME: MIN MAX each; they go before the table's", "FILE"},
      {"output", 'o', 0, G_OPTION_ARG_FILENAME, &a->output, "ONNX file to write", "FILE"},
      {"for", 0, 0, G_OPTION_ARG_STRING, &a->target,
          "Whose rules to follow: onnxruntime (default), openvino or tensorrt", "RUNTIME"},
      {"exact", 0, 0, G_OPTION_ARG_NONE, &a->options.exact,
          "For onnxruntime: round where our engine rounds and nowhere else, in ops of integers and doubles: "
          "its bytes, to compare with, but many times slower", NULL},
      {"ranges", 0, 0, G_OPTION_ARG_STRING, &a->ranges,
          "full or symmetric; default: symmetric for tensorrt, which takes no other, else full", "R"},
      {"precision", 0, 0, G_OPTION_ARG_STRING, &a->precision,
          "int8 (default), or mixed: int8 with the rules in <table>.precision", "P"},
      {"layer-precision", 0, 0, G_OPTION_ARG_STRING, &a->layer_precision,
          "NAME:int8, NAME:fp32 ..., as for build: what is fp32 has no Q and DQ", "TEXT|@FILE"},
      {"strict", 0, 0, G_OPTION_ARG_NONE, &a->strict,
          "Names that nothing has, and precisions without a kernel, are errors", NULL},
      {"preprocess", 0, 0, G_OPTION_ARG_STRING, &a->preprocess,
          TOOL_PREPROCESS_RANGE_HELP, "TEXT"},
      {"batch", 'b', 0, G_OPTION_ARG_INT, &a->options.batch, "Images of the input; default: any", "N"},
      {"force", 0, 0, G_OPTION_ARG_NONE, &a->force,
          "Use a table made for another model or preprocessing", NULL},
      {NULL},
  };
  /* clang-format on */

  a->options.target = ENGINE_EXPORT_ONNXRUNTIME;
  if (!tool_parse_with_model (&argc, &argv, entries, "[MODEL]",
          "Writes the INT8 network as an ONNX file with QuantizeLinear and DequantizeLinear.\n"
          "Images go in as float, [n c h w].",
          error))
    return FALSE;
  if (argc > 2 || (argc == 2 && a->model))
    return tool_usage (error, "one model is exported at a time");
  if (argc == 2)
    a->model = g_strdup (argv[1]);
  if (!a->model || !a->output)
    return tool_usage (error, "a model and --output are needed");
  if (a->options.batch < 0)
    return tool_usage (error, "--batch must not be below 0");
  return !a->target || parse_target (a->target, &a->options.target, error);
}

static gboolean
make_request (const Arguments *a, EnginePreprocess *preprocess, EngineRequest *request,
    GError **error)
{
  const gboolean tensorrt = a->options.target == ENGINE_EXPORT_TENSORRT;

  *request = (EngineRequest){.model = a->model,
      .model_options = *tool_model_options (),
      .table = a->table,
      .dynamic_ranges = a->dynamic_ranges,
      .layer_precision = a->layer_precision,
      .strict = a->strict,
      .no_cache = TRUE,
      .force = a->force};
  if (!tool_precision (a->precision ? a->precision : "int8", &request->precision, error) ||
      !tool_ranges (a->ranges  ? a->ranges
                    : tensorrt ? "symmetric"
                               : "full",
          &request->ranges, error))
    return FALSE;
  if (a->preprocess) {
    if (!tool_preprocess_of (a->preprocess, a->model, preprocess, error))
      return FALSE;
    request->preprocess = preprocess;
  }
  return TRUE;
}

static void
print_report (const Arguments *a, EngineRanges ranges, const EngineBuildReport *build)
{
  g_print ("%s: for %s, %s ranges, %d layers int8, %d fp32\n", a->output,
      engine_export_target_name (a->options.target),
      ranges == ENGINE_RANGES_FULL ? "full" : "symmetric", build->layers_int8, build->layers_fp32);
  tool_print_report (build);
}

gboolean
tool_export (int argc, char **argv, GError **error)
{
  g_auto (Arguments) a = {0};
  EnginePreprocess preprocess;
  EngineRequest request;
  EngineRequestReport report = {0};

  if (!parse (&a, argc, argv, error) || !make_request (&a, &preprocess, &request, error))
    return FALSE;

  g_autoptr (Engine) engine =
      engine_obtain (&request, &report, NULL, tool_progress, NULL, NULL, error);
  const gboolean ok = engine && engine_export_qdq (engine, &a.options, a.output, error);

  if (report.warning)
    g_printerr ("warning: %s\n", report.warning);
  if (ok)
    print_report (&a, request.ranges, &report.build);
  engine_request_report_clear (&report);
  return ok;
}
