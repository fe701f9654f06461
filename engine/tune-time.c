/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tune-time.c: two programs of one network, timed in turn, layer by layer: the median of some runs, three
 * times, the least of the three counts.
 */
#include "engine/tune-time.h"

#define BLOCKS 3
/* Runs of each program in a block: about so many seconds for the two. */
#define BLOCK_SECONDS 0.1
#define MIN_RUNS      3
#define MAX_RUNS      ENGINE_TUNE_RUNS
/* Where the two take less than this, a run that does not count comes before each that does: helpers are
 * still with the other program's queue, and its weights in the caches. */
#define SHORT_SECONDS 0.03

/* --- One program ---------------------------------------------------------------------------- */

void
engine_contender_clear (EngineContender *c)
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

gboolean
engine_contender_init (EngineContender *c, const EngineTuneRequest *request, const int *tactics,
    GError **error)
{
  const EngineProgramOptions options = {.tactics = tactics};

  *c = (EngineContender){0};
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
contender_begin (EngineContender *c)
{
  c->best_run = G_MAXDOUBLE;
  for (guint i = 0; i < c->n_steps; i++)
    c->best[i] = G_MAXDOUBLE;
}

static void
note_step (guint step, double seconds, gpointer data)
{
  EngineContender *c = data;

  c->row[step] = seconds;
}

/* One run; what each step took goes to row `run`. */
static gboolean
contender_run (EngineContender *c, const EngineTuneRequest *request, int run, GError **error)
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
contender_end_block (EngineContender *c, int runs)
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

gboolean
engine_tune_tell (const EngineTuneProgress *progress, int percent, GError **error)
{
  const EngineTuneRequest *request = progress->request;

  if (g_cancellable_set_error_if_cancelled (request->cancellable, error))
    return FALSE;
  if (request->progress)
    request->progress ((guint) (100 * progress->done + percent), (guint) (100 * progress->total),
        "timing ways to compute the convolutions", request->data);
  return TRUE;
}

gboolean
engine_contenders_compare (const EngineTuneProgress *progress, EngineContender *a,
    EngineContender *b, GError **error)
{
  const EngineTuneRequest *request = progress->request;

  contender_begin (a);
  contender_begin (b);
  /* Twice, as the first run meets cold caches and pages that nobody has touched. */
  for (int i = 0; i < 2; i++)
    if (!engine_tune_tell (progress, 0, error) || !contender_run (a, request, 0, error) ||
        !contender_run (b, request, 0, error))
      return FALSE;

  const double pair = MAX (a->runs[0] + b->runs[0], 1e-6);
  const gboolean twice = pair < SHORT_SECONDS;
  const int runs = (int) CLAMP (BLOCK_SECONDS / pair / (twice ? 2 : 1), MIN_RUNS, MAX_RUNS);
  for (int block = 0; block < BLOCKS; block++) {
    for (int run = 0; run < runs; run++) {
      EngineContender *turns[] = {run % 2 ? b : a, run % 2 ? a : b};

      if (!engine_tune_tell (progress, 100 * (block * runs + run) / (BLOCKS * runs), error))
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
