/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * classify.c: the best classes of pictures, without a pipeline: what NVIDIA's sampleINT8API does, with
 * ranges by hand and a precision for each layer.
 */
#include "gst/labels.h"
#include "tools/samples.h"
#include "tools/tool.h"

typedef struct {
  ToolOptions network;
  char *labels, *tensors;
  int top;
} Options;

static void
options_clear (Options *o)
{
  tool_options_clear (&o->network);
  g_free (o->labels);
  g_free (o->tensors);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Options, options_clear)

typedef struct {
  const Options *options;
  Engine *engine;
  KernelBackend *backend;
  EngineExec *exec;
  ToolInput *input;
  GstInt8Labels *labels;
} Classifier;

static void
classifier_clear (Classifier *c)
{
  engine_exec_free (c->exec);
  tool_input_free (c->input);
  engine_unref (c->engine);
  engine_backend_close (c->backend);
  gst_int8_labels_unref (c->labels);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Classifier, classifier_clear)

/* --ranges FILE, as sampleINT8API has it, is --dynamic-ranges FILE. */
static void
take_ranges (ToolOptions *o)
{
  if (o->dynamic_ranges || !o->ranges || g_str_equal (o->ranges, "full") ||
      g_str_equal (o->ranges, "symmetric"))
    return;
  o->dynamic_ranges = g_steal_pointer (&o->ranges);
}

static gboolean
parse (int *argc, char ***argv, Options *o, GError **error)
{
  const GOptionEntry entries[] = {
      {"labels", 'l', 0, G_OPTION_ARG_FILENAME, &o->labels,
          "The classes' names, one a line, or all in one line between ';'; default: their numbers",
          "FILE"},
      {"write-tensors", 0, 0, G_OPTION_ARG_FILENAME, &o->tensors, TOOL_WRITE_TENSORS_HELP, "FILE"},
      {"top", 0, 0, G_OPTION_ARG_INT, &o->top, "Classes to print; default 5", "N"},
      {NULL},
  };
  const ToolSyntax syntax = {.arguments = "[IMAGE...]",
      .summary =
          "Prints the best classes of pictures, with their probabilities and numbers: in int8 with a "
          "table, ranges\nby hand (--ranges FILE is --dynamic-ranges FILE, as in sampleINT8API) or a "
          "quantised model, else in\nfp32. An IMAGE is the same as with --images.",
      .entries = entries,
      .shared = (TOOL_ALL & ~TOOL_BATCH) | TOOL_IMAGES,
      .example = "cat.jpg --model model.onnx --table calib.table --labels labels.txt"};

  if (!tool_parse (argc, argv, &syntax, &o->network, error))
    return FALSE;
  if (!o->network.model)
    return tool_usage (error, "--model is needed");
  if (*argc < 2 && !o->network.images && !o->tensors)
    return tool_usage (error, "an image, or --write-tensors, is needed");
  if (o->top < 1)
    return tool_usage (error, "--top must be above 0");
  take_ranges (&o->network);
  return tool_check_tensors (&o->network, o->tensors, error);
}

/* --- The network ---------------------------------------------------------------------------- */

static void
print_report (const Classifier *c, const EngineBuildReport *report)
{
  g_print ("%s: %s, %d layers int8, %d fp32, %d fp16\n", c->options->network.model,
      engine_precision_name (engine_precision (c->engine)), report->layers_int8,
      report->layers_fp32, report->layers_fp16);
  tool_print_lines ("rule obeyed by", report->obeyed);
  tool_print_lines ("refused:", report->refused);
  tool_print_lines ("matches nothing:", report->unmatched);
}

static gboolean
build (Classifier *c, const EngineModel *model, EnginePreprocess *preprocess, GError **error)
{
  const ToolOptions *o = &c->options->network;
  const char *precision = tool_precision (o, model, "int8", error);
  EngineRequestReport report = {0};
  EngineRequest request;

  if (!precision || !tool_request (o, precision, model, preprocess, &request, error))
    return FALSE;
  request.no_cache = TRUE;
  c->engine = tool_obtain (&request, &report, error);
  if (c->engine)
    print_report (c, &report.build);
  engine_request_report_clear (&report);
  return c->engine != NULL;
}

static gboolean
read_labels (Classifier *c, GError **error)
{
  g_autofree char *warning = NULL;

  c->labels =
      gst_int8_labels_load (c->options->labels, engine_n_classes (c->engine), &warning, error);
  if (warning)
    g_printerr ("warning: %s\n", warning);
  return c->labels != NULL;
}

static gboolean
open_classifier (Classifier *c, GError **error)
{
  const ToolOptions *o = &c->options->network;
  g_autoptr (EngineModel) model = tool_model_load (o, error);
  EnginePreprocess preprocess;

  if (!model || !build (c, model, &preprocess, error) || !read_labels (c, error))
    return FALSE;
  c->backend = tool_backend_open (o, error);
  c->exec = c->backend ? engine_exec_new (c->engine, c->backend, 1, o->threads, error) : NULL;
  c->input = c->exec ? tool_input_of_engine (&preprocess, c->engine, c->backend, error) : NULL;
  return c->input != NULL;
}

/* --- Pictures ------------------------------------------------------------------------------- */

/* Of equal ones the first is the better; those printed already are below 0. */
static int
best_of (const float *p, int n)
{
  int best = 0;

  for (int i = 1; i < n; i++)
    if (p[i] > p[best])
      best = i;
  return best;
}

static gboolean
classify (const ToolSample *sample, gpointer data, GError **error)
{
  Classifier *c = data;
  const int n = engine_n_classes (c->engine);

  if (!tool_input_write (c->input, sample, engine_exec_input (c->exec, 0), error) ||
      !engine_exec_run (c->exec, 1, error))
    return FALSE;
  g_autofree float *p = g_memdup2 (engine_exec_output (c->exec, 0), n * sizeof (float));
  if (!engine_has_softmax (c->engine))
    engine_softmax (p, n);
  g_print ("%s\n", sample->name);
  for (int k = 1; k <= MIN (c->options->top, n); k++) {
    const int best = best_of (p, n);

    g_print ("  %d  %.6f  %s (%d)\n", k, p[best], gst_int8_labels_get (c->labels, best), best);
    p[best] = -1;
  }
  return TRUE;
}

static gboolean
classify_all (const Options *o, char *const *images, GError **error)
{
  g_auto (Classifier) c = {.options = o};
  g_autoptr (GPtrArray) paths = tool_images_find (images, error);
  ToolSamples samples = {.paths = paths,
      .skip = o->network.skip,
      .max = o->network.max_frames,
      .silent = TRUE};

  if (!paths || !open_classifier (&c, error))
    return FALSE;
  engine_input (c.engine, &samples.input);
  return tool_samples_read (&samples, classify, &c, error) >= 0;
}

gboolean
tool_classify (int argc, char **argv, GError **error)
{
  g_auto (Options) o = {.top = 5};
  g_autoptr (GPtrArray) images = g_ptr_array_new ();

  if (!parse (&argc, &argv, &o, error) ||
      (o.tensors && !tool_write_tensors (&o.network, o.tensors, error)))
    return FALSE;
  for (int i = 1; i < argc; i++)
    g_ptr_array_add (images, argv[i]);
  for (char **path = o.network.images; path && *path; path++)
    g_ptr_array_add (images, *path);
  g_ptr_array_add (images, NULL);
  return images->len == 1 || classify_all (&o, (char *const *) images->pdata, error);
}
