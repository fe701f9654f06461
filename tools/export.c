/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* export.c: a calibrated network as an ONNX file for other runtimes. */
#include "tools/tool.h"

typedef struct {
  ToolOptions network;
  char *output, *target;
  EngineExportOptions options;
} Arguments;

static void
arguments_clear (Arguments *a)
{
  tool_options_clear (&a->network);
  g_free (a->output);
  g_free (a->target);
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
  const GOptionEntry entries[] = {
      {"output", 'o', 0, G_OPTION_ARG_FILENAME, &a->output, "ONNX file to write", "FILE"},
      {"for", 0, 0, G_OPTION_ARG_STRING, &a->target,
          "Whose rules to follow: onnxruntime (default), openvino or tensorrt, which takes symmetric "
          "ranges only and has them by default",
          "RUNTIME"},
      {"exact", 0, 0, G_OPTION_ARG_NONE, &a->options.exact,
          "For onnxruntime: round where our engine rounds and nowhere else, in ops of integers and "
          "doubles: its bytes, to compare with, but many times slower",
          NULL},
      {"batch", 'b', 0, G_OPTION_ARG_INT, &a->options.batch, "Images of the input; default: any",
          "N"},
      {NULL},
  };
  const ToolSyntax syntax = {.arguments = "[MODEL]",
      .summary =
          "Writes the INT8 network (--precision int8 or mixed; what a layer rule makes fp32 has no Q "
          "and DQ) as an\nONNX file with QuantizeLinear and DequantizeLinear. Images go in as float, "
          "[n c h w].",
      .entries = entries,
      .shared = TOOL_FILE | TOOL_MODEL | TOOL_RANGES | TOOL_PRECISION,
      .example = "model.onnx --table calib.table --for tensorrt --output model-int8.onnx"};

  a->options.target = ENGINE_EXPORT_ONNXRUNTIME;
  if (!tool_parse (&argc, &argv, &syntax, &a->network, error) ||
      !tool_take_model (&a->network, argc, argv, error))
    return FALSE;
  if (!a->output)
    return tool_usage (error, "--output is needed");
  if (a->options.batch < 0)
    return tool_usage (error, "--batch must not be below 0");
  return tool_check_output (&a->network, a->output, error) &&
         (!a->target || parse_target (a->target, &a->options.target, error));
}

static gboolean
make_request (const Arguments *a, EnginePreprocess *preprocess, EngineRequest *request,
    GError **error)
{
  const ToolOptions *o = &a->network;

  if (!tool_request (o, o->precision ? o->precision : "int8", NULL, preprocess, request, error))
    return FALSE;
  if (!o->ranges && a->options.target == ENGINE_EXPORT_TENSORRT)
    request->ranges = ENGINE_RANGES_SYMMETRIC;
  request->no_cache = TRUE;
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

  g_autoptr (Engine) engine = tool_obtain (&request, &report, error);
  const gboolean ok = engine && engine_export_qdq (engine, &a.options, a.output, error);

  if (ok)
    print_report (&a, request.ranges, &report.build);
  engine_request_report_clear (&report);
  return ok;
}
