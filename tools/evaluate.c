/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * evaluate.c: labelled images through a network in several precisions at once: how often the label is
 * among the best classes, and how long a batch takes. The exit status says whether that is enough.
 */
#include "tools/samples.h"
#include "tools/tool.h"

#include <math.h>

#define MAX_TOPS  4
#define NOT_GIVEN (-G_MAXDOUBLE)

typedef struct {
  ToolOptions network; /* its precision: a list */
  char *labels, *tops;
  double within, at_least;
} Options;

static void
options_clear (Options *o)
{
  tool_options_clear (&o->network);
  g_free (o->labels);
  g_free (o->tops);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Options, options_clear)

/* One precision. */
typedef struct {
  EnginePrecision precision;
  Engine *engine;
  EngineExec *exec;
  ToolInput *input;
  gint64 right[MAX_TOPS];
  double seconds;
} Run;

typedef struct {
  const Options *options;
  KernelBackend *backend;
  Run runs[ENGINE_PRECISION_COUNT];
  int n_runs;
  int tops[MAX_TOPS], n_tops;
  int *labels; /* of the batch */
  int waiting;
  gint64 images, batches;
} Evaluation;

static void
evaluation_clear (Evaluation *e)
{
  for (int i = 0; i < e->n_runs; i++) {
    engine_exec_free (e->runs[i].exec);
    tool_input_free (e->runs[i].input);
    engine_unref (e->runs[i].engine);
  }
  engine_backend_close (e->backend);
  g_free (e->labels);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Evaluation, evaluation_clear)

/* --- Options -------------------------------------------------------------------------------- */

static gboolean
is_percentage (double x)
{
  return x == NOT_GIVEN || (x >= 0 && x <= 100);
}

static gboolean
check (const Options *o, GError **error)
{
  if (!o->network.images)
    return tool_usage (error, "--images is needed");
  if (!is_percentage (o->at_least) || !is_percentage (o->within))
    return tool_usage (error, "--at-least and --within are from 0 to 100");
  return TRUE;
}

static gboolean
parse (int *argc, char ***argv, Options *o, GError **error)
{
  const GOptionEntry entries[] = {
      {"labels", 'l', 0, G_OPTION_ARG_FILENAME, &o->labels,
          "IDX file of labels; or text, a number a line, or a file's name and a number; default: those "
          "in batch files",
          "FILE"},
      {"precisions", 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_STRING, &o->network.precision, NULL,
          "LIST"},
      {"top", 0, 0, G_OPTION_ARG_STRING, &o->tops, "Between commas; default 1,5", "LIST"},
      {"within", 0, 0, G_OPTION_ARG_DOUBLE, &o->within,
          "Fail (status 1) where the first --top differs from the first precision's by more",
          "POINTS"},
      {"at-least", 0, 0, G_OPTION_ARG_DOUBLE, &o->at_least,
          "Fail (status 1) where the first --top of any precision is less", "PERCENT"},
      {NULL},
  };
  const ToolSyntax syntax = {.arguments = "[MODEL]",
      .summary =
          "Counts how often the label of an image is among the best classes, and times them, in one "
          "precision or in\nseveral: --precision fp32,int8 (the default with a table, ranges by hand or "
          "a quantised model; else fp32).",
      .entries = entries,
      .shared = TOOL_ALL | TOOL_IMAGES,
      .example = "model.onnx --table calib.table --images photos --labels labels.txt --within 1"};

  return tool_parse (argc, argv, &syntax, &o->network, error) &&
         tool_take_model (&o->network, *argc, *argv, error) && check (o, error);
}

static gboolean
read_tops (Evaluation *e, const char *text, int n_classes, GError **error)
{
  g_auto (GStrv) words = g_strsplit (text ? text : n_classes > 5 ? "1,5" : "1", ",", -1);

  for (int i = 0; words[i]; i++) {
    gint64 top;

    if (e->n_tops == MAX_TOPS ||
        !g_ascii_string_to_signed (words[i], 10, 1, n_classes, &top, NULL))
      return tool_usage (error, "--top is up to %d numbers from 1 to %d, not %s", MAX_TOPS,
          n_classes, text);
    e->tops[e->n_tops++] = (int) top;
  }
  return e->n_tops > 0 || tool_usage (error, "--top is empty");
}

/* --- Engines -------------------------------------------------------------------------------- */

static gboolean
add_run (Evaluation *e, const EngineModel *model, const char *precision, GError **error)
{
  const ToolOptions *o = &e->options->network;
  EngineRequestReport report = {0};
  EngineRequest request;
  EnginePreprocess preprocess;
  Run *run = &e->runs[e->n_runs];

  if (e->n_runs == ENGINE_PRECISION_COUNT)
    return tool_usage (error, "--precision has more than there are");
  if (!tool_request (o, precision, model, &preprocess, &request, error))
    return FALSE;
  request.no_cache = TRUE;
  run->precision = request.precision;
  run->engine = tool_obtain (&request, &report, error);
  engine_request_report_clear (&report);
  if (!run->engine)
    return FALSE;
  e->n_runs++;
  run->exec = engine_exec_new (run->engine, e->backend, o->batch, o->threads, error);
  if (!run->exec) {
    g_prefix_error (error, "%s: ", precision);
    return FALSE;
  }
  run->input = tool_input_of_engine (&preprocess, run->engine, e->backend, error);
  return run->input != NULL;
}

static gboolean
add_runs (Evaluation *e, GError **error)
{
  const ToolOptions *o = &e->options->network;
  g_autoptr (EngineModel) model = tool_model_load (o, error);

  if (!model || !read_tops (e, e->options->tops, engine_model_n_classes (model), error))
    return FALSE;
  const char *precisions = tool_precision (o, model, "fp32,int8", error);
  if (!precisions)
    return FALSE;
  g_auto (GStrv) names = g_strsplit (precisions, ",", -1);

  e->backend = tool_backend_open (o, error);
  if (!e->backend)
    return FALSE;
  for (int i = 0; names[i]; i++)
    if (!add_run (e, model, names[i], error))
      return FALSE;
  if (e->n_runs == 1 && e->options->within != NOT_GIVEN)
    return tool_usage (error, "--within compares precisions: --precision needs two, as fp32,int8");
  return e->n_runs > 0 || tool_usage (error, "--precision is empty");
}

/* --- Images --------------------------------------------------------------------------------- */

/* How many classes go before the label; of equal ones the first is the better. */
static int
rank_of (const float *scores, int n, int label)
{
  int rank = 0;

  for (int i = 0; i < n; i++)
    rank += scores[i] > scores[label] || (scores[i] == scores[label] && i < label);
  return rank;
}

static gboolean
run_batch (Evaluation *e, GError **error)
{
  const int n = e->waiting;

  for (int r = 0; r < e->n_runs && n > 0; r++) {
    Run *run = &e->runs[r];
    const gint64 begin = g_get_monotonic_time ();

    if (!engine_exec_run (run->exec, n, error))
      return FALSE;
    run->seconds += (double) (g_get_monotonic_time () - begin) / 1e6;
    for (int i = 0; i < n; i++) {
      const int rank =
          rank_of (engine_exec_output (run->exec, i), engine_n_classes (run->engine), e->labels[i]);

      for (int t = 0; t < e->n_tops; t++)
        run->right[t] += rank < e->tops[t];
    }
  }
  e->images += n;
  e->batches += n > 0;
  e->waiting = 0;
  return TRUE;
}

static gboolean
push (const ToolSample *sample, gpointer data, GError **error)
{
  Evaluation *e = data;
  const int n_classes = engine_n_classes (e->runs[0].engine);

  if (sample->label < 0 || sample->label >= n_classes) {
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
        sample->label < 0 ? "'%s' has no label: --labels is needed"
                          : "'%s' has the label %d, and the network has %d classes",
        sample->name, sample->label, n_classes);
    return FALSE;
  }
  e->labels[e->waiting] = sample->label;
  for (int r = 0; r < e->n_runs; r++)
    if (!tool_input_write (e->runs[r].input, sample,
            engine_exec_input (e->runs[r].exec, e->waiting), error))
      return FALSE;
  return ++e->waiting < e->options->network.batch || run_batch (e, error);
}

/* --- What came out -------------------------------------------------------------------------- */

static void
print (const Evaluation *e)
{
  g_print ("%" G_GINT64_FORMAT " images, batch %d, back end %s\n%-10s", e->images,
      e->options->network.batch, e->backend->name, "precision");
  for (int t = 0; t < e->n_tops; t++) {
    g_autofree char *top = g_strdup_printf ("top-%d", e->tops[t]);

    g_print (" %10s", top);
  }
  g_print (" %12s %12s\n", "ms a batch", "ms an image");
  for (int r = 0; r < e->n_runs; r++) {
    const Run *run = &e->runs[r];

    g_print ("%-10s", engine_precision_name (run->precision));
    for (int t = 0; t < e->n_tops; t++)
      g_print (" %10.6f", (double) run->right[t] / (double) e->images);
    g_print (" %12.4f %12.5f\n", 1e3 * run->seconds / (double) e->batches,
        1e3 * run->seconds / (double) e->images);
  }
}

static double
percent (const Evaluation *e, int run)
{
  return 100.0 * (double) e->runs[run].right[0] / (double) e->images;
}

static gboolean
judge (const Evaluation *e, GError **error)
{
  const Options *o = e->options;

  for (int r = 0; r < e->n_runs; r++) {
    const char *name = engine_precision_name (e->runs[r].precision);
    const double change = percent (e, r) - percent (e, 0);

    if (percent (e, r) < o->at_least) {
      g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MISMATCH,
          "top-%d in %s is %.4f %%, less than the %g %% asked for", e->tops[0], name,
          percent (e, r), o->at_least);
      return FALSE;
    }
    if (o->within >= 0 && fabs (change) > o->within) {
      g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MISMATCH,
          "top-%d in %s differs from %s by %+.4f points; %g were allowed", e->tops[0], name,
          engine_precision_name (e->runs[0].precision), change, o->within);
      return FALSE;
    }
  }
  if (o->within >= 0)
    g_print ("top-%d within %g points of %s: yes\n", e->tops[0], o->within,
        engine_precision_name (e->runs[0].precision));
  if (o->at_least >= 0)
    g_print ("top-%d at least %g %%: yes\n", e->tops[0], o->at_least);
  return TRUE;
}

gboolean
tool_evaluate (int argc, char **argv, GError **error)
{
  g_auto (Options) o = {.within = NOT_GIVEN, .at_least = NOT_GIVEN};
  g_auto (Evaluation) e = {.options = &o};
  g_autoptr (GPtrArray) paths = NULL;
  ToolSamples samples;

  if (!parse (&argc, &argv, &o, error) || !(paths = tool_images_find (o.network.images, error)) ||
      !add_runs (&e, error))
    return FALSE;
  e.labels = g_new (int, o.network.batch);
  samples = (ToolSamples){.paths = paths,
      .labels = o.labels,
      .skip = o.network.skip,
      .max = o.network.max_frames};
  engine_input (e.runs[0].engine, &samples.input);
  if (tool_samples_read (&samples, push, &e, error) < 0 || !run_batch (&e, error))
    return FALSE;
  print (&e);
  return judge (&e, error);
}
