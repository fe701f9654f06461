/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tune.c: which way every convolution is computed fastest on this machine.
 *
 * Ways are timed where they will run: in runs of the whole network, with its schedule, threads and
 * batch, so that a layer finds in the caches what it will find there later. A program in which every
 * convolution takes way k runs in turn with one that takes the back end's own choices; the median of
 * some runs, three times, the least of the three counts. Noise must not choose, and the best of many
 * ways is the luckiest too: a way has to be faster by a margin, once more so among all choices
 * together, and these faster than none.
 */
#include "engine/tune.h"

#include "engine/exec.h"
#include "engine/tactics.h"

#include <string.h>

#define MARGIN 0.05 /* what two timings of one way differ by on a quiet virtual machine */
#define BLOCKS 3
/* Runs of each program in a block: about so many seconds for the two. */
#define BLOCK_SECONDS 0.1
#define MIN_RUNS      3
#define MAX_RUNS      15
/* Where the two take less than this, a run that does not count comes before each that does: helpers are
 * still with the other program's queue, and its weights in the caches. */
#define SHORT_SECONDS 0.03

/* --- One program ---------------------------------------------------------------------------- */

typedef struct {
  EngineExec *exec;
  guint n_steps;
  double *seconds;       /* [MAX_RUNS][n_steps] of the block */
  double *best;          /* [n_steps] the least median of all blocks */
  double *row;           /* of the run in progress */
  double runs[MAX_RUNS]; /* whole runs of the block */
  double best_run;
} Contender;

static void
contender_clear (Contender *c)
{
  g_clear_pointer (&c->exec, engine_exec_free);
  g_clear_pointer (&c->seconds, g_free);
  g_clear_pointer (&c->best, g_free);
}

static void
fill_inputs (const Engine *engine, EngineExec *exec, KernelBackend *backend, int batch)
{
  EngineInputInfo info;
  const EngineType type = engine_input_type (engine, NULL, NULL);
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);

  engine_input (engine, &info);
  const gsize n = (gsize) info.height * info.width * info.channels;
  g_autofree float *image = g_new (float, n);
  for (gsize i = 0; i < n; i++)
    if (type == ENGINE_TYPE_S8)
      ((gint8 *) image)[i] = (gint8) g_rand_int_range (rand, -128, 128);
    else
      image[i] = (float) g_rand_double_range (rand, -2, 2);
  for (int i = 0; i < batch; i++)
    backend->upload (engine_exec_queue (exec), engine_exec_input (exec, i), image,
        n * engine_type_size (type));
  backend->queue_wait (engine_exec_queue (exec)); /* a failure shows again when it runs */
}

static gboolean
contender_init (Contender *c, const EngineTuneRequest *request, const int *tactics, GError **error)
{
  const EngineProgramOptions options = {.tactics = tactics};

  *c = (Contender){0};
  c->exec = engine_exec_new_full (request->engine, request->backend, request->max_batch,
      request->threads, &options, error);
  if (!c->exec)
    return FALSE;
  c->n_steps = engine_exec_n_steps (c->exec);
  c->seconds = g_new0 (double, (gsize) MAX_RUNS * c->n_steps);
  c->best = g_new (double, c->n_steps);
  fill_inputs (request->engine, c->exec, request->backend, request->max_batch);
  return TRUE;
}

static void
contender_begin (Contender *c)
{
  c->best_run = G_MAXDOUBLE;
  for (guint i = 0; i < c->n_steps; i++)
    c->best[i] = G_MAXDOUBLE;
}

static void
note_step (guint step, double seconds, gpointer data)
{
  Contender *c = data;

  c->row[step] = seconds;
}

/* One run; what each step took goes to row `run`. */
static gboolean
contender_run (Contender *c, const EngineTuneRequest *request, int run, GError **error)
{
  c->row = c->seconds + (gsize) run * c->n_steps;
  engine_exec_set_profile (c->exec, note_step, c);
  if (!engine_exec_run (c->exec, request->max_batch, error))
    return FALSE;
  c->runs[run] = 0;
  for (guint i = 0; i < c->n_steps; i++)
    c->runs[run] += c->row[i];
  return TRUE;
}

static int
compare_doubles (const void *a, const void *b)
{
  const double x = *(const double *) a, y = *(const double *) b;

  return (x > y) - (x < y);
}

static double
median (double *values, int n)
{
  qsort (values, n, sizeof *values, compare_doubles);
  return values[n / 2];
}

static void
contender_end_block (Contender *c, int runs)
{
  double values[MAX_RUNS];

  for (guint i = 0; i < c->n_steps; i++) {
    for (int run = 0; run < runs; run++)
      values[run] = c->seconds[(gsize) run * c->n_steps + i];
    c->best[i] = MIN (c->best[i], median (values, runs));
  }
  c->best_run = MIN (c->best_run, median (c->runs, runs));
}

/* --- Two in turn ---------------------------------------------------------------------------- */

typedef struct {
  const EngineTuneRequest *request;
  int done, total; /* comparisons */
} Progress;

static gboolean
tell (const Progress *progress, int percent, GError **error)
{
  const EngineTuneRequest *request = progress->request;

  if (g_cancellable_set_error_if_cancelled (request->cancellable, error))
    return FALSE;
  if (request->progress)
    request->progress ((guint) (100 * progress->done + percent), (guint) (100 * progress->total),
        "timing ways to compute the convolutions", request->data);
  return TRUE;
}

/* Fills best and best_run of both. */
static gboolean
compare (const Progress *progress, Contender *a, Contender *b, GError **error)
{
  const EngineTuneRequest *request = progress->request;

  contender_begin (a);
  contender_begin (b);
  /* Twice, as the first run meets cold caches and pages that nobody has touched. */
  for (int i = 0; i < 2; i++)
    if (!tell (progress, 0, error) || !contender_run (a, request, 0, error) ||
        !contender_run (b, request, 0, error))
      return FALSE;

  const double pair = MAX (a->runs[0] + b->runs[0], 1e-6);
  const gboolean twice = pair < SHORT_SECONDS;
  const int runs = (int) CLAMP (BLOCK_SECONDS / pair / (twice ? 2 : 1), MIN_RUNS, MAX_RUNS);
  for (int block = 0; block < BLOCKS; block++) {
    for (int run = 0; run < runs; run++) {
      Contender *turns[] = {run % 2 ? b : a, run % 2 ? a : b};

      if (!tell (progress, 100 * (block * runs + run) / (BLOCKS * runs), error))
        return FALSE;
      for (int i = 0; i < 2; i++)
        if ((twice && !contender_run (turns[i], request, run, error)) ||
            !contender_run (turns[i], request, run, error))
          return FALSE;
    }
    contender_end_block (a, runs);
    contender_end_block (b, runs);
  }
  return TRUE;
}

/* --- Choosing ------------------------------------------------------------------------------- */

typedef struct {
  EngineWays ways;
  guint n;       /* nodes */
  int *tactics;  /* per node: chosen so far */
  double *ratio; /* per node: its time as a share of that of the back end's own choice */
  Contender own; /* takes the back end's own choices */
} Choice;

static gboolean
is_conv (const Choice *choice, guint node)
{
  return engine_graph_node (choice->ways.graph, node)->op == ENGINE_OP_CONV;
}

/* Way k for every convolution that has one that is not its back end's choice anyway; returns how
 * many that are. */
static int
all_take (const Choice *choice, int k, int *tactics)
{
  int n = 0;

  for (guint i = 0; i < choice->n; i++) {
    const char *way, *own;

    tactics[i] = 0;
    if (!is_conv (choice, i))
      continue;
    way = engine_ways_name (&choice->ways, i, k);
    own = engine_ways_name (&choice->ways, i, 0);
    if (!way || g_strcmp0 (way, own) == 0)
      continue;
    tactics[i] = k;
    n++;
  }
  return n;
}

/* The back end's own choices against `tactics`: *run and share[node] say what part of their time it
 * takes. */
static gboolean
time_against_own (const Progress *progress, Choice *choice, const int *tactics, double *share,
    double *run, GError **error)
{
  Contender *own = &choice->own, other;
  const gboolean ok = contender_init (&other, progress->request, tactics, error) &&
                      compare (progress, own, &other, error);

  if (ok) {
    const GArray *steps = engine_exec_program (own->exec)->steps;

    *run = other.best_run / own->best_run;
    for (guint s = 0; s < steps->len; s++)
      share[g_array_index (steps, EngineStep, s).node] = other.best[s] / own->best[s];
  }
  contender_clear (&other);
  return ok;
}

static gboolean
try_way (const Progress *progress, const int *tactics, Choice *choice, GError **error)
{
  g_autofree double *share = g_new (double, choice->n);
  double run;

  if (!time_against_own (progress, choice, tactics, share, &run, error))
    return FALSE;
  for (guint i = 0; i < choice->n; i++) {
    if (tactics[i] == 0 || share[i] >= choice->ratio[i])
      continue;
    choice->ratio[i] = share[i];
    choice->tactics[i] = tactics[i];
  }
  return TRUE;
}

static int
count_chosen (const Choice *choice)
{
  int n = 0;

  for (guint i = 0; i < choice->n; i++)
    n += choice->tactics[i] > 0;
  return n;
}

/* All choices together: those that are not faster by the margin this time are taken back, and then all
 * or none. */
static gboolean
confirm (Progress *progress, Choice *choice, GError **error)
{
  g_autofree double *share = g_new (double, choice->n);
  double run = 1;

  if (count_chosen (choice) == 0)
    return TRUE;
  if (!time_against_own (progress, choice, choice->tactics, share, &run, error))
    return FALSE;
  for (guint i = 0; i < choice->n; i++)
    if (choice->tactics[i] > 0 && share[i] >= 1 - MARGIN)
      choice->tactics[i] = 0;
  progress->done++;
  if (count_chosen (choice) == 0)
    return TRUE;
  if (!time_against_own (progress, choice, choice->tactics, share, &run, error))
    return FALSE;
  if (run >= 1)
    memset (choice->tactics, 0, choice->n * sizeof *choice->tactics);
  return TRUE;
}

/* Into the engine. */
static void
keep (const EngineTuneRequest *request, KernelQueue *queue, const Choice *choice,
    EngineTuneReport *report)
{
  EngineTactics *tactics =
      engine_tactics_new (choice->ways.graph, request->backend, queue, request->max_batch);

  for (guint i = 0; i < choice->n; i++)
    if (is_conv (choice, i))
      g_ptr_array_add (tactics->names,
          g_strdup (choice->tactics[i] == 0
                        ? ""
                        : engine_ways_name (&choice->ways, i, choice->tactics[i])));
  report->timed = TRUE;
  report->convolutions = tactics->names->len;
  report->chosen = count_chosen (choice);
  engine_tactics_add (request->engine, tactics);
}

static gboolean
choose (const EngineTuneRequest *request, int most, Choice *choice, GError **error)
{
  g_autofree int *tactics = g_new0 (int, choice->n);
  Progress progress = {.request = request, .total = most + 2};

  if (!contender_init (&choice->own, request, tactics, error))
    return FALSE;
  for (guint i = 0; i < choice->n; i++)
    choice->ratio[i] = 1 - MARGIN;
  for (int k = 1; k <= most; k++, progress.done++)
    if (all_take (choice, k, tactics) > 0 && !try_way (&progress, tactics, choice, error))
      return FALSE;
  if (!confirm (&progress, choice, error))
    return FALSE;
  progress.done = progress.total;
  return tell (&progress, 0, error);
}

static gboolean
tune_on (const EngineTuneRequest *request, KernelQueue *queue, EngineTuneReport *report,
    GError **error)
{
  const EngineGraph *graph = request->engine->graph;
  const guint n = graph->nodes->len;
  g_autofree int *tactics = g_new0 (int, n);
  g_autofree double *ratio = g_new (double, n);
  Choice choice = {.ways = engine_ways (graph, request->backend, queue, request->max_batch),
      .n = n,
      .tactics = tactics,
      .ratio = ratio};
  const int most = engine_ways_most (&choice.ways);

  if (most < 2)
    return TRUE; /* there is nothing to choose, and nothing to keep */

  const gboolean ok = choose (request, most, &choice, error);
  contender_clear (&choice.own);
  if (ok)
    keep (request, queue, &choice, report);
  return ok;
}

gboolean
engine_tune (Engine *engine, KernelBackend *backend, int max_batch, int threads,
    EngineTuneReport *report, EngineProgressFn progress, gpointer data, GCancellable *cancellable,
    GError **error)
{
  const EngineTuneRequest request = {.engine = engine,
      .backend = backend,
      .max_batch = max_batch,
      .threads = threads,
      .progress = progress,
      .data = data,
      .cancellable = cancellable};
  const gint64 start = g_get_monotonic_time ();
  KernelQueue *queue = backend->queue_new (backend, threads);
  gboolean ok;

  *report = (EngineTuneReport){0};
  if (!queue) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_BACKEND,
        "back end '%s' could not make a queue with %d threads", backend->name, threads);
    return FALSE;
  }
  ok = tune_on (&request, queue, report, error);
  backend->queue_free (queue);
  if (report->timed)
    report->seconds = 1e-6 * (g_get_monotonic_time () - start);
  return ok;
}
