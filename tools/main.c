/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* main.c: gst-int8-1.0, its list of commands and what they share. */
#include "tools/tool.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct {
  const char *name, *summary;
  gboolean (*run) (int argc, char **argv, GError **error);
} commands[] = {
    {"inspect", "print a model, engine, calibration table or statistics file as text",
        tool_inspect},
    {"table", "make a calibration table from a statistics file, with any method", tool_table},
    {"merge", "merge statistics files of several cameras or machines, exactly", tool_merge},
    {"convert", "convert ranges between TensorRT, ONNX Runtime, ncnn and text", tool_convert},
    {"calibrate", "make a calibration table from pictures, IDX files or batch files", tool_calibrate},
    {"evaluate", "top-1 and top-5 on labelled images, and how fast, for several precisions",
        tool_evaluate},
    {"classify", "the best classes of pictures", tool_classify},
    {"build", "build an engine file from a model and a calibration table", tool_build},
    {"export", "write an INT8 engine as an ONNX file with QuantizeLinear and DequantizeLinear",
        tool_export},
    {"compare", "what INT8 costs on pictures, layer by layer, and what would help", tool_compare},
    {"bench", "time an engine on this machine", tool_bench},
};

/* clang-format off */
G_DEFINE_QUARK (gst-int8-usage, tool_usage)
/* clang-format on */

gboolean
tool_usage (GError **error, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error_literal (error, TOOL_USAGE, 0, text);
  return FALSE;
}

static char *proto_file, *shape;

const EngineModelOptions *
tool_model_options (void)
{
  static EngineModelOptions options;

  options.proto = proto_file;
  options.shape = shape;
  return &options;
}

EngineModel *
tool_model_load (const char *path, GError **error)
{
  return engine_model_load_with (path, tool_model_options (), error);
}

gboolean
tool_is_model (const char *path)
{
  return g_str_has_suffix (path, ".onnx") || g_str_has_suffix (path, ".caffemodel") ||
         g_str_has_suffix (path, ".prototxt") || proto_file;
}

static gboolean
parse (int *argc, char ***argv, const GOptionEntry *entries, const GOptionEntry *more,
    const char *arguments, const char *summary, GError **error)
{
  g_autofree char *name = g_strconcat ("gst-int8-1.0 ", (*argv)[0], NULL);
  g_autoptr (GOptionContext) context = g_option_context_new (arguments);
  g_autoptr (GError) failure = NULL;

  g_set_prgname (name);
  g_option_context_set_summary (context, summary);
  g_option_context_add_main_entries (context, entries, NULL);
  if (more)
    g_option_context_add_main_entries (context, more, NULL);
  if (!g_option_context_parse (context, argc, argv, &failure))
    return tool_usage (error, "%s", failure->message);
  return TRUE;
}

gboolean
tool_parse (int *argc, char ***argv, const GOptionEntry *entries, const char *arguments,
    const char *summary, GError **error)
{
  return parse (argc, argv, entries, NULL, arguments, summary, error);
}

gboolean
tool_parse_with_model (int *argc, char ***argv, const GOptionEntry *entries, const char *arguments,
    const char *summary, GError **error)
{
  static const GOptionEntry of_models[] = {
      {"proto", 0, 0, G_OPTION_ARG_FILENAME, &proto_file,
          "Caffe: the prototxt of a caffemodel; default: beside it, with its name", "FILE"},
      {"shapes", 0, 0, G_OPTION_ARG_STRING, &shape,
          "of the image, where the model leaves it open: input:1x3x224x224, or 3;224;224", "SHAPE"},
      {NULL},
  };

  return parse (argc, argv, entries, of_models, arguments, summary, error);
}

void
tool_print_lines (const char *what, const GPtrArray *lines)
{
  for (guint i = 0; lines && i < lines->len; i++)
    g_print ("  %s %s\n", what, (const char *) lines->pdata[i]);
}

void
tool_print_report (const EngineBuildReport *report)
{
  tool_print_lines ("rule obeyed by", report->obeyed);
  tool_print_lines ("range inferred:", report->inferred);
  tool_print_lines ("refused:", report->refused);
  tool_print_lines ("matches nothing:", report->unmatched);
}

void
tool_progress (guint done, guint total, const char *what, gpointer data)
{
  if (isatty (STDERR_FILENO))
    g_printerr ("\r\033[K%3u %% %s%s", total ? 100 * done / total : 100, what,
        done == total ? "\n" : "");
}

gboolean
tool_precision (const char *name, EnginePrecision *precision, GError **error)
{
  for (int i = 0; i < ENGINE_PRECISION_COUNT; i++)
    if (g_strcmp0 (name, engine_precision_name (i)) == 0) {
      *precision = i;
      return TRUE;
    }
  return tool_usage (error, "--precision is int8, mixed, fp16 or fp32, not %s", name);
}

gboolean
tool_ranges (const char *name, EngineRanges *ranges, GError **error)
{
  *ranges = g_strcmp0 (name, "symmetric") == 0 ? ENGINE_RANGES_SYMMETRIC : ENGINE_RANGES_FULL;
  if (*ranges == ENGINE_RANGES_FULL && g_strcmp0 (name, "full") != 0)
    return tool_usage (error, "--ranges is full or symmetric, not %s", name);
  return TRUE;
}

gboolean
tool_preprocess (const char *text, int channels, EnginePreprocess *preprocess, GError **error)
{
  const gboolean is_preset = text && !strchr (text, '=');
  g_autoptr (GError) cause = NULL;

  engine_preprocess_preset (preprocess, channels == 1 ? "unit" : "imagenet");
  if (is_preset && !engine_preprocess_preset (preprocess, text))
    return tool_usage (error, "there is no preset %s", text);
  if (text && !is_preset && !engine_preprocess_parse (preprocess, text, &cause))
    return tool_usage (error, "--preprocess: %s", cause->message);
  if (channels == 1 && (!text || !strstr (text, "color-format=")))
    preprocess->color_format = ENGINE_COLOR_GRAY;
  return engine_preprocess_check (preprocess, channels, error);
}

gboolean
tool_preprocess_of (const char *text, const char *model, EnginePreprocess *preprocess,
    GError **error)
{
  g_autoptr (EngineModel) loaded = tool_model_load (model, error);
  EngineInputInfo input;

  if (!loaded)
    return FALSE;
  engine_model_input (loaded, &input);
  return tool_preprocess (text, input.channels, preprocess, error);
}

static void
print_help (void)
{
  g_print ("Usage: gst-int8-1.0 COMMAND [OPTION...]\n\nCommands:\n");
  for (guint i = 0; i < G_N_ELEMENTS (commands); i++)
    g_print ("  %-10s%s\n", commands[i].name, commands[i].summary);
  g_print ("\ngst-int8-1.0 COMMAND --help tells the options of one.\n");
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;

  setlocale (LC_ALL, "");
  if (argc < 2 || g_str_equal (argv[1], "--help") || g_str_equal (argv[1], "-h")) {
    print_help ();
    return argc < 2 ? 2 : 0;
  }
  if (g_str_equal (argv[1], "--version")) {
    g_print ("gst-int8 %s\n", INT8_VERSION);
    return 0;
  }
  for (guint i = 0; i < G_N_ELEMENTS (commands); i++) {
    if (!g_str_equal (argv[1], commands[i].name))
      continue;
    if (commands[i].run (argc - 1, argv + 1, &error))
      return 0;
    g_printerr ("gst-int8-1.0 %s: %s\n", commands[i].name, error->message);
    if (error->domain != TOOL_USAGE)
      return 1;
    g_printerr ("gst-int8-1.0 %s --help tells the options\n", commands[i].name);
    return 2;
  }
  g_printerr ("gst-int8-1.0: there is no command %s; gst-int8-1.0 --help lists them\n", argv[1]);
  return 2;
}
