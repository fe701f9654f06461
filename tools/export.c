/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* export.c: a calibrated network as an ONNX file for other runtimes. */
#include "tools/tool.h"

static gboolean
parse_target (const char *name, EngineExportTarget *target, GError **error)
{
  for (int i = 0; i < ENGINE_EXPORT_TARGET_COUNT; i++)
    if (g_strcmp0 (name, engine_export_target_name (i)) == 0) {
      *target = i;
      return TRUE;
    }
  return tool_usage (error, "--for is tensorrt, onnxruntime or openvino, not %s", name);
}

static void
print_inferred (const EngineBuildReport *build)
{
  for (guint i = 0; build->inferred && i < build->inferred->len; i++)
    g_print ("range  %s\n", (const char *) g_ptr_array_index (build->inferred, i));
}

static gboolean
export_request (const EngineRequest *request, const EngineExportOptions *options,
    const char *output, GError **error)
{
  EngineRequestReport report = {0};
  g_autoptr (Engine) engine =
      engine_obtain (request, &report, NULL, tool_progress, NULL, NULL, error);
  const gboolean ok = engine && engine_export_qdq (engine, options, output, error);

  if (report.warning)
    g_printerr ("warning: %s\n", report.warning);
  if (ok) {
    print_inferred (&report.build);
    g_print ("%s: for %s, %s ranges, %d layers int8, %d fp32\n", output,
        engine_export_target_name (options->target),
        request->ranges == ENGINE_RANGES_FULL ? "full" : "symmetric", report.build.layers_int8,
        report.build.layers_fp32);
  }
  engine_request_report_clear (&report);
  return ok;
}

gboolean
tool_export (int argc, char **argv, GError **error)
{
  g_autofree char *model = NULL, *table = NULL, *output = NULL, *target = NULL;
  g_autofree char *ranges = NULL, *preset = NULL;
  gboolean force = FALSE;
  EngineExportOptions options = {.target = ENGINE_EXPORT_ONNXRUNTIME};
  const GOptionEntry entries[] = {
      {"model", 'm', 0, G_OPTION_ARG_FILENAME, &model, "ONNX classifier; or as the argument",
          "FILE"},
      {"table", 't', 0, G_OPTION_ARG_FILENAME, &table, "Calibration table", "FILE"},
      {"output", 'o', 0, G_OPTION_ARG_FILENAME, &output, "ONNX file to write", "FILE"},
      {"for", 0, 0, G_OPTION_ARG_STRING, &target,
          "Whose rules to follow: onnxruntime (default), openvino or tensorrt", "RUNTIME"},
      {"ranges", 0, 0, G_OPTION_ARG_STRING, &ranges,
          "full or symmetric; default: symmetric for tensorrt, which takes no other, else full",
          "R"},
      {"preprocess", 0, 0, G_OPTION_ARG_STRING, &preset,
          "imagenet, imagenet-caffe, unit or raw: gives the input its exact range", "PRESET"},
      {"exact", 0, 0, G_OPTION_ARG_NONE, &options.exact,
          "For onnxruntime: round nothing that our engine does not round; convolutions before an "
          "add run in float then, and slower",
          NULL},
      {"batch", 'b', 0, G_OPTION_ARG_INT, &options.batch, "Images of the input; default: any", "N"},
      {"force", 0, 0, G_OPTION_ARG_NONE, &force,
          "Use a table made for another model or preprocessing", NULL},
      {NULL},
  };
  EnginePreprocess preprocess;
  EngineRequest request = {.precision = ENGINE_PRECISION_INT8, .no_cache = TRUE};

  if (!tool_parse (&argc, &argv, entries, "[MODEL]",
          "Writes the INT8 network as an ONNX file with QuantizeLinear and DequantizeLinear.\n"
          "Images go in as float, [n c h w].",
          error))
    return FALSE;
  if (argc > 2 || (argc == 2 && model))
    return tool_usage (error, "one model is exported at a time");
  if (argc == 2)
    model = g_strdup (argv[1]);
  if (!model || !table || !output)
    return tool_usage (error, "a model, --table and --output are needed");
  if (options.batch < 0)
    return tool_usage (error, "--batch must not be below 0");
  if (target && !parse_target (target, &options.target, error))
    return FALSE;
  if (!ranges)
    ranges = g_strdup (options.target == ENGINE_EXPORT_TENSORRT ? "symmetric" : "full");
  if (!tool_ranges (ranges, &request.ranges, error))
    return FALSE;
  if (preset) {
    if (!engine_preprocess_preset (&preprocess, preset))
      return tool_usage (error, "there is no preset %s", preset);
    request.preprocess = &preprocess;
  }
  request.model = model;
  request.table = table;
  request.force = force;
  return export_request (&request, &options, output, error);
}
