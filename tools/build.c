/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* build.c: an engine file without a pipeline, and the names that ranges by hand and layer rules use. */
#include "tools/tool.h"

typedef struct {
  ToolOptions network;
  char *output, *tensors;
  gboolean tune;
} Arguments;

static void
arguments_clear (Arguments *a)
{
  tool_options_clear (&a->network);
  g_free (a->output);
  g_free (a->tensors);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Arguments, arguments_clear)

static gboolean
parse (Arguments *a, int argc, char **argv, GError **error)
{
  const GOptionEntry entries[] = {
      {"output", 'o', 0, G_OPTION_ARG_FILENAME, &a->output, "Engine file to write (*.int8engine)",
          "FILE"},
      {"write-tensors", 0, 0, G_OPTION_ARG_FILENAME, &a->tensors, TOOL_WRITE_TENSORS_HELP, "FILE"},
      {"tune", 0, 0, G_OPTION_ARG_NONE, &a->tune,
          "Time the ways to compute every convolution on this machine, with this --backend, --batch and "
          "--threads, and keep the fastest",
          NULL},
      {NULL},
  };
  const ToolSyntax syntax = {.arguments = "[MODEL]",
      .summary = "Builds an engine file, in int8 unless --precision says another.",
      .entries = entries,
      .shared = TOOL_ALL,
      .example = "model.onnx --table calib.table --output model.int8engine"};

  if (!tool_parse (&argc, &argv, &syntax, &a->network, error) ||
      !tool_take_model (&a->network, argc, argv, error))
    return FALSE;
  if (!a->output && !a->tensors)
    return tool_usage (error, "nothing to write: --output or --write-tensors is needed");
  return tool_check_output (&a->network, a->output, error) &&
         tool_check_tensors (&a->network, a->tensors, error);
}

gboolean
tool_check_tensors (const ToolOptions *options, const char *to, GError **error)
{
  return g_strcmp0 (to, "-") == 0 || tool_check_output (options, to, error);
}

gboolean
tool_write_tensors (const ToolOptions *options, const char *to, GError **error)
{
  g_autoptr (EngineModel) model = tool_model_load (options, error);
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
  g_print ("%s: %s%s, %.2f s, %d layers int8, %d fp32", report->path ? report->path : "(not kept)",
      report->built ? report->reason : "up to date", report->tuned ? ", tuned" : "",
      report->seconds, report->build.layers_int8, report->build.layers_fp32);
  if (report->build.layers_fp16 > 0)
    g_print (", %d fp16", report->build.layers_fp16);
  g_print ("\n");
  tool_print_report (&report->build);
}

/* An engine that could not be written where it was asked for is in the cache folder, which is of use to
 * int8infer only. */
static gboolean
check_written (const Arguments *a, const EngineRequestReport *report, GError **error)
{
  if (g_strcmp0 (report->path, a->output) == 0)
    return TRUE;
  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_FILE, "nothing was written to '%s'", a->output);
  return FALSE;
}

static gboolean
build (const Arguments *a, GError **error)
{
  const ToolOptions *o = &a->network;
  EnginePreprocess preprocess;
  EngineRequestReport report = {0};
  EngineRequest request;

  if (!tool_request (o, o->precision ? o->precision : "int8", NULL, &preprocess, &request, error) ||
      (a->tune && !(request.tune_for = tool_backend_open (o, error))))
    return FALSE;
  request.engine = a->output;
  request.tune_batch = o->batch;
  request.tune_threads = o->threads;

  g_autoptr (Engine) engine = tool_obtain (&request, &report, error);
  const gboolean ok = engine && check_written (a, &report, error);
  if (ok)
    print_report (&report);
  engine_request_report_clear (&report);
  engine_backend_close (request.tune_for);
  return ok;
}

gboolean
tool_build (int argc, char **argv, GError **error)
{
  g_auto (Arguments) a = {0};

  return parse (&a, argc, argv, error) &&
         (!a.tensors || tool_write_tensors (&a.network, a.tensors, error)) &&
         (!a.output || build (&a, error));
}
