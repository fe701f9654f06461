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

static void
print_help (void)
{
  g_print ("Usage: gst-int8-1.0 COMMAND [OPTION...]\n       gst-int8-1.0 --version\n\nCommands:\n");
  for (guint i = 0; i < G_N_ELEMENTS (commands); i++)
    g_print ("  %-10s%s\n", commands[i].name, commands[i].summary);
  g_print ("\ngst-int8-1.0 COMMAND --help tells the options of one.\n");
}

/* What was printed counts as written only once it is: a disk may be full. */
static gboolean
check_stdout (GError **error)
{
  if (fflush (stdout) == 0 && !ferror (stdout))
    return TRUE;
  g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_FAILED,
      "standard output could not be written to the end; there may be no space left");
  return FALSE;
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;

  setlocale (LC_ALL, "");
  setlocale (LC_NUMERIC, "C"); /* what is printed is read by scripts, too: a point in every country */
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
    if (commands[i].run (argc - 1, argv + 1, &error) && check_stdout (&error))
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
