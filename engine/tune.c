/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tune.c: which way every convolution is computed fastest on this machine.
 *
 * Ways are timed where they will run: in runs of the whole network, with its schedule, threads and
 * batch, so that a layer finds in the caches what it will find there later. A program in which every
 * convolution takes way k runs in turn with one that takes the back end's own choices. Noise must not
 * choose, and the best of many ways is the luckiest too: a way has to be faster by a margin, once more so
 * among all choices together, and these faster than none.
 */
#include "engine/tune-time.h"

#include <string.h>

#include "engine/tactics.h"

#define MARGIN 0.05 /* what two timings of one way differ by on a quiet virtual machine */

typedef struct {
  EngineWays ways;
  guint n;             /* nodes */
  int *tactics;        /* per node: chosen so far */
  double *ratio;       /* per node: its time as a share of that of the back end's own choice */
  EngineContender own; /* takes the back end's own choices */
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
time_against_own (const EngineTuneProgress *progress, Choice *choice, const int *tactics,
    double *share, double *run, GError **error)
{
  EngineContender *own = &choice->own, other;
  const gboolean ok = engine_contender_init (&other, progress->request, tactics, error) &&
                      engine_contenders_compare (progress, own, &other, error);

  if (ok) {
    const GArray *steps = engine_exec_program (own->exec)->steps;

    *run = other.best_run / own->best_run;
    for (guint s = 0; s < steps->len; s++)
      share[g_array_index (steps, EngineStep, s).node] = other.best[s] / own->best[s];
  }
  engine_contender_clear (&other);
  return ok;
}

static gboolean
try_way (const EngineTuneProgress *progress, const int *tactics, Choice *choice, GError **error)
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
confirm (EngineTuneProgress *progress, Choice *choice, GError **error)
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
  EngineTuneProgress progress = {.request = request, .total = most + 2};

  if (!engine_contender_init (&choice->own, request, tactics, error))
    return FALSE;
  for (guint i = 0; i < choice->n; i++)
    choice->ratio[i] = 1 - MARGIN;
  for (int k = 1; k <= most; k++, progress.done++)
    if (all_take (choice, k, tactics) > 0 && !try_way (&progress, tactics, choice, error))
      return FALSE;
  if (!confirm (&progress, choice, error))
    return FALSE;
  progress.done = progress.total;
  return engine_tune_tell (&progress, 0, error);
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
  engine_contender_clear (&choice.own);
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
