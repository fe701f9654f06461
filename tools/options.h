/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * options.h: the options that commands share: which model, quantised how, computed where. A command
 * takes those that say something to it, each by the same name and with the same meaning as all others.
 */
#pragma once

#include "engine/engine.h"

typedef enum {
  TOOL_FILE = 1 << 0,   /* --proto --shapes */
  TOOL_MODEL = 1 << 1,  /* --model --preprocess */
  TOOL_RANGES = 1 << 2, /* --table --dynamic-ranges --ranges --layer-precision --strict --force */
  TOOL_PRECISION = 1 << 3, /* --precision */
  TOOL_BACKEND = 1 << 4,
  TOOL_BATCH = 1 << 5,
  TOOL_THREADS = 1 << 6,
  TOOL_ALL = (1 << 7) - 1, /* of the network */
  TOOL_IMAGES = 1 << 7,    /* --images --skip --max-frames: what goes through it */
} ToolOptionSet;

#define TOOL_MAX_THREADS 1024 /* as `threads` of the elements */

typedef struct {
  char *model; /* --model, or the argument */
  char *proto, *shapes, *preprocess;
  char **tables;
  char *dynamic_ranges, *ranges, *layer_precision, *precision, *backend;
  gboolean strict, force;
  int batch, threads;
  gboolean batch_given;
  char **images;
  gint64 skip, max_frames; /* max_frames 0: all */
} ToolOptions;

void tool_options_clear (ToolOptions *options);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (ToolOptions, tool_options_clear)

/* What a command takes. */
typedef struct {
  const char *arguments, *summary; /* for --help */
  const GOptionEntry *entries;     /* its own options */
  ToolOptionSet shared;
  const char *more_heading; /* of a list of its own, or NULL */
  const GOptionEntry *more;
  const char *example; /* what follows the command's name, for --help */
} ToolSyntax;

/* Parses argv; texts that are left stay in argv. options: NULL where nothing is shared. FALSE: error is a
 * usage error. */
gboolean tool_parse (int *argc, char ***argv, const ToolSyntax *syntax, ToolOptions *options,
    GError **error);
/* For commands that take nothing else than a model as argument: the one that is left is the model. */
gboolean tool_take_model (ToolOptions *options, int argc, char **argv, GError **error);

/* Before anything is computed: a file can be written there, and is none of those that the options say to
 * read. options, output: or NULL. */
gboolean tool_check_output (const ToolOptions *options, const char *output, GError **error);
/* That it is not this file either. Paths, or NULL. */
gboolean tool_check_differs (const char *output, const char *input, GError **error);

/* --- What they say ---------------------------------------------------------------------------- */

EngineModel *tool_model_load (const ToolOptions *options, GError **error);
/* Another file of a model. */
EngineModel *tool_model_load_from (const ToolOptions *options, const char *path, GError **error);
/* Whether the file's name is that of a model, ONNX or Caffe. */
gboolean tool_is_model (const ToolOptions *options, const char *path);

/* As the elements read the same: what is not said is as in their preset `auto`. */
gboolean tool_preprocess (const ToolOptions *options, const EngineModel *model,
    EnginePreprocess *preprocess, GError **error);
gboolean tool_ranges (const ToolOptions *options, EngineRanges *ranges, GError **error);
KernelBackend *tool_backend_open (const ToolOptions *options, GError **error);

/* What --precision says; without it `int8` where there are ranges for that, else "fp32", and options that would
 * say nothing then are an error (NULL). */
const char *tool_precision (const ToolOptions *options, const EngineModel *model, const char *int8,
    GError **error);
/* Whether the model is quantised, or the options have what it takes. */
gboolean tool_has_ranges (const ToolOptions *options, const EngineModel *model);

/* All but where the engine file is, and what it is tuned for; precision is a name. preprocess holds what
 * the request refers to. model: that of pictures which go through the network; NULL: none do, and without
 * --preprocess the engine is for any. */
gboolean tool_request (const ToolOptions *options, const char *precision, const EngineModel *model,
    EnginePreprocess *preprocess, EngineRequest *request, GError **error);
/* An engine file; of one that cannot be used it says what to do. */
Engine *tool_engine_load (const char *path, GError **error);
/* engine_obtain() with its progress and its warning on standard error. */
Engine *tool_obtain (const EngineRequest *request, EngineRequestReport *report, GError **error);
