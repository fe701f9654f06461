/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tool.h: the commands of gst-int8-1.0. A command gets its own arguments (argv[0] is its name),
 * prints to standard output, and returns FALSE with an error that main() prints. TOOL_USAGE errors
 * exit with status 2, others with 1.
 */
#pragma once

#include "engine/engine.h"

#define TOOL_USAGE (tool_usage_quark ())
GQuark tool_usage_quark (void);

/* Parses argv with the entries; texts that are left stay in argv. FALSE: error is a usage error. */
gboolean tool_parse (int *argc, char ***argv, const GOptionEntry *entries, const char *arguments,
    const char *summary, GError **error);
/* The same for a command that loads models: it also has the options that say what their files do not,
 * --proto. */
gboolean tool_parse_with_model (int *argc, char ***argv, const GOptionEntry *entries,
    const char *arguments, const char *summary, GError **error);
/* What they said; all zero before. */
const EngineModelOptions *tool_model_options (void);
EngineModel *tool_model_load (const char *path, GError **error);
/* Whether the file's name is that of a model, ONNX or Caffe. */
gboolean tool_is_model (const char *path);
gboolean tool_usage (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);

/* What a report lists, a line each on standard output: all of it, or one of its lists (NULL: none). */
void tool_print_report (const EngineBuildReport *report);
void tool_print_lines (const char *what, const GPtrArray *lines);
/* A progress line on standard error, for EngineProgressFn; only where that is a terminal. */
void tool_progress (guint done, guint total, const char *what, gpointer data);

gboolean tool_precision (const char *name, EnginePrecision *precision, GError **error);
gboolean tool_ranges (const char *name, EngineRanges *ranges, GError **error);

/* As the elements read the same: a preset, or properties; NULL, and what is not said, is as in their
 * preset `auto`. */
gboolean tool_preprocess (const char *text, int channels, EnginePreprocess *preprocess,
    GError **error);
/* The same where the model is a path. */
gboolean tool_preprocess_of (const char *text, const char *model, EnginePreprocess *preprocess,
    GError **error);
#define TOOL_PREPROCESS_HELP                                                                        \
  "A preset (imagenet, imagenet-caffe, unit, raw), or properties as int8calib and int8infer are "   \
  "given them: \"preprocess=raw color-format=bgr mean=104,117,123\", or mean-file=FILE.ppm in the " \
  "place of mean; default as theirs"
#define TOOL_PREPROCESS_RANGE_HELP                                                                   \
  "A preset (imagenet, imagenet-caffe, unit, raw), or properties as int8infer is given them: gives " \
  "the input its exact range"

/* The names of all tensors that ranges by hand can have, one a line; to "-": standard output. */
gboolean tool_write_tensors (const char *model, const char *to, GError **error);

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
