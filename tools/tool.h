/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tool.h: the commands of gst-int8-1.0. A command gets its own arguments (argv[0] is its name),
 * prints to standard output, and returns FALSE with an error that main() prints. TOOL_USAGE errors
 * exit with status 2, others with 1.
 */
#pragma once

#include "tools/options.h"

#define TOOL_USAGE (tool_usage_quark ())
GQuark tool_usage_quark (void);

gboolean tool_usage (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);

/* What a report lists, a line each on standard output: all of it, or one of its lists (NULL: none). */
void tool_print_report (const EngineBuildReport *report);
void tool_print_lines (const char *what, const GPtrArray *lines);
/* A progress line on standard error, for EngineProgressFn; only where that is a terminal. */
void tool_progress (guint done, guint total, const char *what, gpointer data);

/* The names of all tensors that ranges by hand can have, one a line; to "-": standard output. */
#define TOOL_WRITE_TENSORS_HELP                                                                    \
  "Write the names of all tensors, one a line, as --dynamic-ranges has them (- is standard output)"
/* As tool_check_output(). */
gboolean tool_check_tensors (const ToolOptions *options, const char *to, GError **error);
gboolean tool_write_tensors (const ToolOptions *options, const char *to, GError **error);

gboolean tool_calibrate (int argc, char **argv, GError **error);
gboolean tool_classify (int argc, char **argv, GError **error);
gboolean tool_evaluate (int argc, char **argv, GError **error);
gboolean tool_inspect (int argc, char **argv, GError **error);
gboolean tool_table (int argc, char **argv, GError **error);
gboolean tool_merge (int argc, char **argv, GError **error);
gboolean tool_convert (int argc, char **argv, GError **error);
gboolean tool_build (int argc, char **argv, GError **error);
gboolean tool_export (int argc, char **argv, GError **error);
gboolean tool_compare (int argc, char **argv, GError **error);
gboolean tool_bench (int argc, char **argv, GError **error);
