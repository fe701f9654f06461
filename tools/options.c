/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* options.c: the options that commands share, and what they say to the engine. */
#include "tools/tool.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void
tool_options_clear (ToolOptions *o)
{
  g_free (o->model);
  g_free (o->proto);
  g_free (o->shapes);
  g_free (o->preprocess);
  g_strfreev (o->tables);
  g_free (o->dynamic_ranges);
  g_free (o->ranges);
  g_free (o->layer_precision);
  g_free (o->precision);
  g_free (o->backend);
  g_strfreev (o->images);
}

/* --- Parsing -------------------------------------------------------------------------------- */

static void
add_group (GOptionContext *context, const char *heading, const GOptionEntry *entries)
{
  GOptionGroup *group = g_option_group_new (heading, heading, "", context, NULL);

  g_option_group_add_entries (group, entries);
  g_option_context_add_group (context, group);
}

/* clang-format off */
static void
add_images (GOptionContext *context, ToolOptions *o)
{
  const GOptionEntry entries[] = {
    {"images", 'i', 0, G_OPTION_ARG_FILENAME_ARRAY, &o->images,
        "Picture, video, IDX file (may be gzipped), batch file of preprocessed images as TensorRT's samples have "
        "them, a folder of such, or a list (*.txt, a path a line); repeatable", "PATH"},
    {"skip", 0, 0, G_OPTION_ARG_INT64, &o->skip, "Images to leave out in front", "N"},
    {"max-frames", 'n', 0, G_OPTION_ARG_INT64, &o->max_frames, "Default: all", "N"},
    {NULL},
  };

  add_group (context, "The images:", entries);
}

static GOptionGroup *
shared_group (ToolOptions *o, ToolOptionSet set)
{
  const struct {
    ToolOptionSet set;
    GOptionEntry entry;
  } all[] = {
    {TOOL_MODEL, {"model", 'm', 0, G_OPTION_ARG_FILENAME, &o->model,
        "Classifier, ONNX or Caffe; where a command has an argument MODEL, that is the same", "FILE"}},
    {TOOL_FILE, {"proto", 0, 0, G_OPTION_ARG_FILENAME, &o->proto,
        "Caffe: the prototxt of a caffemodel (proto-file of the elements); default: beside it, with its name", "FILE"}},
    {TOOL_FILE, {"shapes", 0, 0, G_OPTION_ARG_STRING, &o->shapes,
        "Of the image, where the model leaves it open (infer-dims of the elements): input:1x3x224x224, or "
        "3;224;224", "SHAPE"}},
    {TOOL_MODEL, {"preprocess", 'p', 0, G_OPTION_ARG_STRING, &o->preprocess,
        "A preset (imagenet, imagenet-caffe, unit, raw), or properties as int8calib and int8infer are given "
        "them: \"preprocess=raw color-format=bgr mean=104,117,123\", or mean-file=FILE.ppm in the place of "
        "mean. Default: as theirs where pictures are looked at, else any", "TEXT"}},
    {TOOL_PRECISION, {"precision", 0, 0, G_OPTION_ARG_STRING, &o->precision,
        "int8, fp32, fp16 (for GPUs), or mixed: int8 with the rules in <table>.precision", "P"}},
    {TOOL_RANGES, {"table", 't', 0, G_OPTION_ARG_FILENAME_ARRAY, &o->tables,
        "Calibration table (int8, mixed); a model that is quantised already needs none", "FILE"}},
    {TOOL_RANGES, {"dynamic-ranges", 0, 0, G_OPTION_ARG_FILENAME, &o->dynamic_ranges,
        "Ranges by hand, a line NAME: T or NAME: MIN MAX each; they go before the table's, and need none "
        "where they are all there", "FILE"}},
    {TOOL_RANGES, {"ranges", 0, 0, G_OPTION_ARG_STRING, &o->ranges,
        "How the 256 levels are spent: full (default), or symmetric as TensorRT", "R"}},
    {TOOL_RANGES, {"layer-precision", 0, 0, G_OPTION_ARG_STRING, &o->layer_precision,
        "NAME:int8, NAME:fp32, NAME:output=fp32 ..., between commas; * and ? in names; later ones win. Or a "
        "file of them, one a line", "RULES|@FILE"}},
    {TOOL_RANGES, {"strict", 0, 0, G_OPTION_ARG_NONE, &o->strict,
        "Names that nothing has, and precisions without a kernel, are errors", NULL}},
    {TOOL_RANGES, {"force", 0, 0, G_OPTION_ARG_NONE, &o->force,
        "Use a table made for another model or preprocessing", NULL}},
    {TOOL_BACKEND, {"backend", 0, 0, G_OPTION_ARG_STRING, &o->backend,
        "cpu (default), cuda, cuda:N or ref", "NAME"}},
    {TOOL_BATCH, {"batch", 'b', 0, G_OPTION_ARG_INT, &o->batch, "Images at once; default 1", "N"}},
    {TOOL_THREADS, {"threads", 0, 0, G_OPTION_ARG_INT, &o->threads,
        "1 to " G_STRINGIFY (TOOL_MAX_THREADS) "; default: one per CPU that this process may use", "N"}},
  };
  GOptionGroup *group = g_option_group_new ("network", "The network:", "", NULL, NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (all); i++)
    if (all[i].set & set) {
      const GOptionEntry entries[] = {all[i].entry, {NULL}};

      g_option_group_add_entries (group, entries);
    }
  return group;
}
/* clang-format on */

/* GLib's own --help would show the command's options only. */
static gboolean
print_help (const char *name, const char *value, gpointer data, GError **error)
{
  char *text = g_option_context_get_help (data, FALSE, NULL);

  g_print ("%s", text);
  g_free (text);
  exit (EXIT_SUCCESS);
}

static GOptionContext *
make_context (const char *name, const ToolSyntax *syntax, ToolOptions *options)
{
  g_autofree char *example = g_strdup_printf ("Example:\n  %s %s", name, syntax->example);
  const GOptionEntry help[] = {
      {"help", 'h', G_OPTION_FLAG_NO_ARG, G_OPTION_ARG_CALLBACK, (gpointer) print_help,
          "Show this text", NULL},
      {NULL},
  };
  GOptionContext *context = g_option_context_new (syntax->arguments);

  g_option_context_set_help_enabled (context, FALSE);
  g_option_context_set_summary (context, syntax->summary);
  g_option_context_set_description (context, example);
  add_group (context, "Options:", syntax->entries);
  if (syntax->shared & TOOL_IMAGES)
    add_images (context, options);
  if (options)
    g_option_context_add_group (context, shared_group (options, syntax->shared));
  if (syntax->more)
    add_group (context, syntax->more_heading, syntax->more);
  add_group (context, "Help:", help);
  return context;
}

/* What is asked for by name, and said to no network. */
static void
warn_of_unused (const ToolOptions *o)
{
  const char *unused = o->tables           ? "--table"
                       : o->dynamic_ranges ? "--dynamic-ranges"
                       : o->ranges         ? "--ranges"
                                           : NULL;

  if (unused && o->precision && !strstr (o->precision, "int8") && !strstr (o->precision, "mixed"))
    g_printerr ("warning: %s is not used: it is for int8 and mixed, not %s\n", unused,
        o->precision);
}

static gboolean
check (ToolOptions *o, GError **error)
{
  o->batch_given = o->batch != G_MININT;
  if (!o->batch_given)
    o->batch = 1;
  if (o->batch < 1)
    return tool_usage (error, "--batch must be above 0");
  if (o->threads < 0 || o->threads > TOOL_MAX_THREADS)
    return tool_usage (error, "--threads is from 1 to %d, or 0 for one per CPU, not %d",
        TOOL_MAX_THREADS, o->threads);
  if (o->skip < 0 || o->max_frames < 0)
    return tool_usage (error, "--skip and --max-frames must not be below 0");
  warn_of_unused (o);
  return TRUE;
}

gboolean
tool_parse (int *argc, char ***argv, const ToolSyntax *syntax, ToolOptions *options, GError **error)
{
  g_autofree char *name = g_strconcat ("gst-int8-1.0 ", (*argv)[0], NULL);
  g_autoptr (GOptionContext) context = make_context (name, syntax, options);
  g_autoptr (GError) failure = NULL;

  g_set_prgname (name);
  if (options)
    options->batch = G_MININT;
  if (!g_option_context_parse (context, argc, argv, &failure))
    return tool_usage (error, "%s", failure->message);
  return !options || check (options, error);
}

gboolean
tool_take_model (ToolOptions *o, int argc, char **argv, GError **error)
{
  if ((o->model ? 1 : 0) + argc - 1 != 1)
    return tool_usage (error, "one model is needed, as the argument or with --model; %d are given",
        (o->model ? 1 : 0) + argc - 1);
  if (argc == 2)
    o->model = g_strdup (argv[1]);
  return TRUE;
}

gboolean
tool_check_differs (const char *output, const char *input, GError **error)
{
  GStatBuf a, b;

  if (!output || !input || g_stat (output, &a) != 0 || g_stat (input, &b) != 0 ||
      a.st_dev != b.st_dev || a.st_ino != b.st_ino)
    return TRUE;
  return tool_usage (error, "%s would be written over %s, which is read: name another file", output,
      input);
}

static gboolean
differs_from_inputs (const ToolOptions *o, const char *output, GError **error)
{
  const char *const inputs[] = {o->model, o->proto, o->dynamic_ranges,
      o->layer_precision && o->layer_precision[0] == '@' ? o->layer_precision + 1 : NULL};

  for (gsize i = 0; i < G_N_ELEMENTS (inputs); i++)
    if (!tool_check_differs (output, inputs[i], error))
      return FALSE;
  for (guint i = 0; o->tables && o->tables[i]; i++)
    if (!tool_check_differs (output, o->tables[i], error))
      return FALSE;
  return TRUE;
}

/* What would be said only when all is computed. A link is written where it points to. */
static gboolean
has_folder (const char *output, GError **error)
{
  char *real = realpath (output, NULL);
  g_autofree char *folder = g_path_get_dirname (real ? real : output);

  free (real);
  if (g_access (folder, W_OK | X_OK) == 0)
    return TRUE;
  g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (errno), "cannot write '%s': %s; %s",
      output, g_strerror (errno),
      g_file_test (folder, G_FILE_TEST_IS_DIR) ? "choose a folder that you may write to"
                                               : "make the folder first");
  return FALSE;
}

static gboolean
is_no_folder (const char *output, GError **error)
{
  if (!g_file_test (output, G_FILE_TEST_IS_DIR))
    return TRUE;
  g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_ISDIR, "'%s' is a folder; name a file in it",
      output);
  return FALSE;
}

gboolean
tool_check_output (const ToolOptions *options, const char *output, GError **error)
{
  return !output || (is_no_folder (output, error) &&
                        (!options || differs_from_inputs (options, output, error)) &&
                        has_folder (output, error));
}

/* --- The model ------------------------------------------------------------------------------ */

static EngineModelOptions
model_options (const ToolOptions *o)
{
  return (EngineModelOptions){.proto = o->proto, .shape = o->shapes};
}

EngineModel *
tool_model_load_from (const ToolOptions *o, const char *path, GError **error)
{
  const EngineModelOptions options = model_options (o);

  return engine_model_load_with (path, &options, error);
}

EngineModel *
tool_model_load (const ToolOptions *o, GError **error)
{
  return tool_model_load_from (o, o->model, error);
}

gboolean
tool_is_model (const ToolOptions *o, const char *path)
{
  return g_str_has_suffix (path, ".onnx") || g_str_has_suffix (path, ".caffemodel") ||
         g_str_has_suffix (path, ".prototxt") || o->proto;
}

gboolean
tool_preprocess (const ToolOptions *o, const EngineModel *model, EnginePreprocess *preprocess,
    GError **error)
{
  const char *text = o->preprocess;
  const gboolean is_preset = text && !strchr (text, '=');
  g_autoptr (GError) cause = NULL;
  EngineInputInfo input;

  engine_model_input (model, &input);
  engine_preprocess_preset (preprocess, input.channels == 1 ? "unit" : "imagenet");
  if (is_preset && !engine_preprocess_preset (preprocess, text))
    return tool_usage (error,
        "--preprocess: there is no preset %s; there are imagenet, imagenet-caffe, unit and raw",
        text);
  if (text && !is_preset && !engine_preprocess_parse (preprocess, text, &cause))
    return tool_usage (error, "--preprocess: %s", cause->message);
  if (input.channels == 1 && (!text || !strstr (text, "color-format=")))
    preprocess->color_format = ENGINE_COLOR_GRAY;
  return engine_preprocess_check (preprocess, input.channels, error);
}

/* --- The engine ----------------------------------------------------------------------------- */

/* The one --table; NULL for none. FALSE where there are several. */
static gboolean
table_path (const ToolOptions *o, const char **path, GError **error)
{
  *path = o->tables ? o->tables[0] : NULL;
  if (*path && o->tables[1])
    return tool_usage (error, "one --table is taken here; %u are given", g_strv_length (o->tables));
  return TRUE;
}

static gboolean
read_precision (const char *name, EnginePrecision *precision, GError **error)
{
  for (int i = 0; i < ENGINE_PRECISION_COUNT; i++)
    if (g_strcmp0 (name, engine_precision_name (i)) == 0) {
      *precision = i;
      return TRUE;
    }
  return tool_usage (error, "--precision is int8, mixed, fp16 or fp32, not %s", name);
}

gboolean
tool_has_ranges (const ToolOptions *o, const EngineModel *model)
{
  return o->tables || o->dynamic_ranges || engine_model_is_quantised (model);
}

const char *
tool_precision (const ToolOptions *o, const EngineModel *model, const char *int8, GError **error)
{
  if (o->precision)
    return o->precision;
  if (tool_has_ranges (o, model))
    return int8;
  if (!o->ranges)
    return "fp32";
  tool_usage (error,
      "--ranges %s is for int8, which needs --table or --dynamic-ranges: without them it is fp32",
      o->ranges);
  return NULL;
}

gboolean
tool_ranges (const ToolOptions *o, EngineRanges *ranges, GError **error)
{
  *ranges = g_strcmp0 (o->ranges, "symmetric") == 0 ? ENGINE_RANGES_SYMMETRIC : ENGINE_RANGES_FULL;
  if (o->ranges && *ranges == ENGINE_RANGES_FULL && !g_str_equal (o->ranges, "full"))
    return tool_usage (error,
        "--ranges is full or symmetric, not %s; a file of ranges by hand is "
        "--dynamic-ranges",
        o->ranges);
  return TRUE;
}

KernelBackend *
tool_backend_open (const ToolOptions *o, GError **error)
{
  return engine_backend_open (o->backend ? o->backend : "cpu", error);
}

gboolean
tool_request (const ToolOptions *o, const char *precision, const EngineModel *model,
    EnginePreprocess *preprocess, EngineRequest *request, GError **error)
{
  g_autoptr (EngineModel) loaded = NULL;

  *request = (EngineRequest){.model = o->model,
      .model_options = model_options (o),
      .dynamic_ranges = o->dynamic_ranges,
      .layer_precision = o->layer_precision,
      .strict = o->strict,
      .force = o->force};
  if (!table_path (o, &request->table, error) ||
      !read_precision (precision, &request->precision, error) ||
      !tool_ranges (o, &request->ranges, error))
    return FALSE;
  if (!model && !o->preprocess)
    return TRUE;
  if (!model && !(model = loaded = tool_model_load (o, error)))
    return FALSE;
  request->preprocess = preprocess;
  return tool_preprocess (o, model, preprocess, error);
}

Engine *
tool_engine_load (const char *path, GError **error)
{
  g_autoptr (GError) cause = NULL;
  Engine *engine = engine_load (path, NULL, &cause);

  if (!engine && g_error_matches (cause, ENGINE_ERROR, ENGINE_ERROR_FILE))
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_FILE,
        "%s; gst-int8-1.0 build makes one of a model", cause->message);
  else if (!engine)
    g_propagate_error (error, g_steal_pointer (&cause));
  return engine;
}

Engine *
tool_obtain (const EngineRequest *request, EngineRequestReport *report, GError **error)
{
  Engine *engine = engine_obtain (request, report, NULL, tool_progress, NULL, NULL, error);

  if (report->warning)
    g_printerr ("warning: %s\n", report->warning);
  return engine;
}
