/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * classify.c: the best classes of pictures, without a pipeline: what NVIDIA's sampleINT8API does, with
 * ranges by hand and a precision for each layer.
 */
#include "gst/labels.h"
#include "tools/samples.h"
#include "tools/tool.h"

typedef struct {
  char *model, *table, *dynamic_ranges, *rules, *precision, *labels, *tensors, *preprocess;
  char *backend;
  int top, threads;
  gboolean strict, force;
} Options;

static void
options_clear (Options *o)
{
  g_free (o->model);
  g_free (o->table);
  g_free (o->dynamic_ranges);
  g_free (o->rules);
  g_free (o->precision);
  g_free (o->labels);
  g_free (o->tensors);
  g_free (o->preprocess);
  g_free (o->backend);
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

static gboolean
parse (int *argc, char ***argv, Options *o, GError **error)
{
  const GOptionEntry entries[] = {
      {"model", 'm', 0, G_OPTION_ARG_FILENAME, &o->model, "Classifier, ONNX or Caffe", "FILE"},
      {"labels", 'l', 0, G_OPTION_ARG_FILENAME, &o->labels,
          "The classes' names, one a line, or all in one line between ';'; default: their numbers",
          "FILE"},
      {"table", 't', 0, G_OPTION_ARG_FILENAME, &o->table, "Calibration table (int8)", "FILE"},
      {"ranges", 0, 0, G_OPTION_ARG_FILENAME, &o->dynamic_ranges,
          "Ranges by hand (int8), a line NAME: T or NAME: MIN MAX each; they go before the table's",
          "FILE"},
      {"dynamic-ranges", 0, 0, G_OPTION_ARG_FILENAME, &o->dynamic_ranges,
          "The same, as the other commands call it", "FILE"},
      {"write-tensors", 0, 0, G_OPTION_ARG_FILENAME, &o->tensors,
          "Write the names that --ranges can have, one a line (- is standard output)", "FILE"},
      {"layer-precision", 0, 0, G_OPTION_ARG_STRING, &o->rules,
          "Rules for int8 such as \"conv1:fp32,fc*:fp32\", or @FILE", "RULES"},
      {"precision", 0, 0, G_OPTION_ARG_STRING, &o->precision,
          "int8, fp32, fp16 or mixed; default int8 with a table, ranges or a quantised model, else fp32",
          "P"},
      {"strict", 0, 0, G_OPTION_ARG_NONE, &o->strict,
          "Names that nothing has, and precisions without a kernel, are errors", NULL},
      {"preprocess", 'p', 0, G_OPTION_ARG_STRING, &o->preprocess, TOOL_PREPROCESS_HELP, "TEXT"},
      {"top", 0, 0, G_OPTION_ARG_INT, &o->top, "Classes to print; default 5", "N"},
      {"backend", 0, 0, G_OPTION_ARG_STRING, &o->backend, "cpu (default), cuda, cuda:N or ref",
          "NAME"},
      {"threads", 0, 0, G_OPTION_ARG_INT, &o->threads, "Default: all CPUs", "N"},
      {"force", 0, 0, G_OPTION_ARG_NONE, &o->force,
          "Use a table made for another model or preprocessing", NULL},
      {NULL},
  };

  if (!tool_parse_with_model (argc, argv, entries, "IMAGE...",
          "Prints the best classes of pictures, with their probabilities and numbers.", error))
    return FALSE;
  if (!o->model)
    return tool_usage (error, "--model is needed");
  if (*argc < 2 && !o->tensors)
    return tool_usage (error, "an image, or --write-tensors, is needed");
  if (o->top < 1 || o->threads < 0)
    return tool_usage (error, "--top must be above 0, --threads not below");
  return TRUE;
}

/* --- The network ---------------------------------------------------------------------------- */

static void
print_report (const Classifier *c, const EngineBuildReport *report)
{
  g_print ("%s: %s, %d layers int8, %d fp32, %d fp16\n", c->options->model,
      engine_precision_name (engine_precision (c->engine)), report->layers_int8,
      report->layers_fp32, report->layers_fp16);
  tool_print_lines ("rule obeyed by", report->obeyed);
  tool_print_lines ("refused:", report->refused);
  tool_print_lines ("matches nothing:", report->unmatched);
}

static gboolean
build (Classifier *c, const EngineModel *model, const EnginePreprocess *preprocess, GError **error)
{
  const Options *o = c->options;
  EngineRequestReport report = {0};
  EngineRequest request = {.model = o->model,
      .model_options = *tool_model_options (),
      .table = o->table,
      .dynamic_ranges = o->dynamic_ranges,
      .layer_precision = o->rules,
      .strict = o->strict,
      .preprocess = preprocess,
      .force = o->force,
      .no_cache = TRUE};
  const gboolean int8 = o->table || o->dynamic_ranges || engine_model_is_quantised (model);

  if (!tool_precision (o->precision ? o->precision
                       : int8       ? "int8"
                                    : "fp32",
          &request.precision, error))
    return FALSE;
  c->engine = engine_obtain (&request, &report, NULL, tool_progress, NULL, NULL, error);
  if (report.warning)
    g_printerr ("warning: %s\n", report.warning);
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
  const Options *o = c->options;
  g_autoptr (EngineModel) model = tool_model_load (o->model, error);
  EnginePreprocess preprocess;
  EngineInputInfo info;
  float scale = 1;
  int zero = 0;

  if (!model)
    return FALSE;
  engine_model_input (model, &info);
  if (!tool_preprocess (o->preprocess, info.channels, &preprocess, error) ||
      !build (c, model, &preprocess, error) || !read_labels (c, error))
    return FALSE;
  engine_input (c->engine, &info); /* its name outlives the model */
  c->backend = engine_backend_open (o->backend ? o->backend : "cpu", error);
  c->exec = c->backend ? engine_exec_new (c->engine, c->backend, 1, o->threads, error) : NULL;
  if (!c->exec)
    return FALSE;
  const EngineType type = engine_input_type (c->engine, &scale, &zero);

  c->input = tool_input_new (&preprocess, &info, type, scale, zero, c->backend, error);
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
  ToolSamples samples = {.places = images};

  if (!open_classifier (&c, error))
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
      (o.tensors && !tool_write_tensors (o.model, o.tensors, error)))
    return FALSE;
  for (int i = 1; i < argc; i++)
    g_ptr_array_add (images, argv[i]);
  g_ptr_array_add (images, NULL);
  return argc < 2 || classify_all (&o, (char *const *) images->pdata, error);
}
