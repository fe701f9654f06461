/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * exec.c: one engine on one back end. Everything is allocated when it is made; a run goes through
 * the program, fetches the output and waits.
 */
#include "engine/build.h"
#include "engine/counts.h"
#include "engine/exec.h"
#include "engine/tactics.h"
#include "engine/taps.h"

struct _EngineExec {
  Engine *engine;
  KernelBackend *backend;
  KernelQueue *queue;
  EngineProgram *program;
  int max_batch;
  int input, output; /* values */
  gsize image_size;  /* bytes of one image of the input */
  int n_classes;
  const float *host_output;     /* [max_batch][n_classes]: the arena's own where the host sees it */
  float *fetched;               /* else a copy */
  KernelRecording **recordings; /* [max_batch + 1], by batch; NULL where the back end makes none */
  EngineTaps *taps;             /* NULL: not tapped */
  EngineTapFn tap;
  gpointer tap_data;
  EngineCounts *counts; /* NULL: activations are not counted */
  EngineProfileFn profile;
  gpointer profile_data;
  char *tuning; /* whose choices the tactics are, for people */
};

/* With the engine's tactics for this back end, unless the options have others. */
static EngineProgram *
make_program (EngineExec *exec, const EngineProgramOptions *options, GError **error)
{
  EngineProgramOptions chosen = *options;
  g_autofree int *tactics = NULL;

  if (!options->tactics)
    chosen.tactics = tactics = engine_tactics_resolve (exec->engine, exec->backend, exec->queue,
        exec->max_batch, NULL, &exec->tuning);
  return engine_program_new (exec->engine->graph, exec->backend, exec->queue, exec->max_batch,
      &chosen, error);
}

static gboolean
fill (EngineExec *exec, const EngineProgramOptions *options, int threads, GError **error)
{
  const EngineGraph *graph = exec->engine->graph;
  const EngineValue *input, *output;

  exec->queue = exec->backend->queue_new (exec->backend, threads);
  if (!exec->queue) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_BACKEND,
        "back end '%s' could not make a queue with %d threads", exec->backend->name, threads);
    return FALSE;
  }
  exec->program = make_program (exec, options, error);
  if (!exec->program)
    return FALSE;

  exec->input = g_array_index (graph->inputs, int, 0);
  exec->output = g_array_index (graph->outputs, int, 0);
  input = engine_graph_value (graph, exec->input);
  output = engine_graph_value (graph, exec->output);
  exec->image_size = engine_value_elements (input) * engine_type_size (input->type);
  exec->n_classes = engine_value_elements (output);
  const gsize size = exec->program->plan->size[exec->output] * exec->max_batch;
  if (exec->backend->record_begin)
    exec->recordings = g_new0 (KernelRecording *, exec->max_batch + 1);
  if (exec->backend->host_memory) {
    exec->host_output = engine_program_value (exec->program, exec->output);
    return TRUE;
  }
  exec->fetched = exec->backend->host_alloc ? exec->backend->host_alloc (exec->backend, size)
                                            : g_try_malloc (size);
  if (!exec->fetched) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MEMORY,
        "no memory for %" G_GSIZE_FORMAT " bytes of output", size);
    return FALSE;
  }
  exec->host_output = exec->fetched;
  return TRUE;
}

static gboolean
check_precision (const Engine *engine, const KernelBackend *backend, GError **error)
{
  if (engine->precision != ENGINE_PRECISION_FP16 || backend->ops->conv_f16)
    return TRUE;
  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_BACKEND,
      "back end '%s' has no kernels of halves, being no faster with them: take precision fp32, or "
      "back end 'cuda'",
      backend->name);
  return FALSE;
}

EngineExec *
engine_exec_new_full (Engine *engine, KernelBackend *backend, int max_batch, int threads,
    const EngineProgramOptions *options, GError **error)
{
  g_return_val_if_fail (max_batch >= 1, NULL);

  if (!check_precision (engine, backend, error))
    return NULL;

  g_autoptr (EngineExec) exec = g_new0 (EngineExec, 1);
  exec->engine = engine_ref (engine);
  exec->backend = backend;
  exec->max_batch = max_batch;
  return fill (exec, options, threads, error) ? g_steal_pointer (&exec) : NULL;
}

EngineExec *
engine_exec_new (Engine *engine, KernelBackend *backend, int max_batch, int threads, GError **error)
{
  return engine_exec_new_full (engine, backend, max_batch, threads, &(EngineProgramOptions){0},
      error);
}

EngineExec *
engine_exec_new_tapped (Engine *engine, KernelBackend *backend, int max_batch, int threads,
    EngineTapFn tap, gpointer data, GError **error)
{
  return engine_exec_new_kept (engine, backend, max_batch, threads, ENGINE_TAPS_BYTES, tap, data,
      error);
}

EngineExec *
engine_exec_new_counting (Engine *engine, KernelBackend *backend, int max_batch, int threads,
    const EngineCounted *counted, int n, GError **error)
{
  const EngineSchedule by_layer = {.cut = 0, .lanes = 1};
  const EngineProgramOptions options = {.schedule = &by_layer};
  g_autoptr (EngineExec) exec =
      engine_exec_new_full (engine, backend, max_batch, threads, &options, error);

  if (!exec)
    return NULL;
  exec->counts = engine_counts_new (engine->graph, backend, exec->queue, counted, n, error);
  return exec->counts ? g_steal_pointer (&exec) : NULL;
}

static EngineExec *
new_tapped (Engine *engine, KernelBackend *backend, int max_batch, int threads,
    const EngineSchedule *schedule, gsize group_bytes, EngineTapFn tap, gpointer data,
    GError **error)
{
  g_autoptr (EngineTaps) taps = engine_taps_new (engine->graph, max_batch, group_bytes);
  const EngineProgramOptions options = {.schedule = schedule, .kept = taps->kept};
  g_autoptr (EngineExec) exec = NULL;

  if (!backend->host_memory && !engine_taps_fetch (taps, engine->graph, backend, threads, error))
    return NULL;
  exec = engine_exec_new_full (engine, backend, max_batch, threads, &options, error);
  if (!exec)
    return NULL;
  exec->taps = g_steal_pointer (&taps);
  exec->tap = tap;
  exec->tap_data = data;
  return g_steal_pointer (&exec);
}

EngineExec *
engine_exec_new_kept (Engine *engine, KernelBackend *backend, int max_batch, int threads,
    gsize group_bytes, EngineTapFn tap, gpointer data, GError **error)
{
  const EngineSchedule by_layer = {.cut = 0, .lanes = 1};

  return new_tapped (engine, backend, max_batch, threads, &by_layer, group_bytes, tap, data, error);
}

EngineExec *
engine_exec_new_tapped_by_image (Engine *engine, KernelBackend *backend, int max_batch, int threads,
    EngineTapFn tap, gpointer data, GError **error)
{
  const EngineSchedule by_image = {.cut = engine->graph->nodes->len, .lanes = 0};

  g_return_val_if_fail (backend->host_memory, NULL);
  return new_tapped (engine, backend, max_batch, threads, &by_image, ENGINE_TAPS_BYTES, tap, data,
      error);
}

void
engine_exec_free (EngineExec *exec)
{
  if (!exec)
    return;
  for (int batch = 1; exec->recordings && batch <= exec->max_batch; batch++)
    if (exec->recordings[batch])
      exec->backend->recording_free (exec->queue, exec->recordings[batch]);
  g_free (exec->recordings);
  engine_taps_free (exec->taps);
  engine_counts_free (exec->counts);
  engine_program_free (exec->program);
  if (exec->queue)
    exec->backend->queue_free (exec->queue);
  if (exec->backend->host_free)
    exec->backend->host_free (exec->backend, exec->fetched);
  else
    g_free (exec->fetched);
  g_free (exec->tuning);
  engine_unref (exec->engine);
  g_free (exec);
}

void *
engine_exec_input (EngineExec *exec, int image)
{
  g_return_val_if_fail (image >= 0 && image < exec->max_batch, NULL);
  return (guint8 *) engine_program_value (exec->program, exec->input) + image * exec->image_size;
}

const float *
engine_exec_output (EngineExec *exec, int image)
{
  g_return_val_if_fail (image >= 0 && image < exec->max_batch, NULL);
  return exec->host_output + (gsize) image * exec->n_classes;
}

KernelQueue *
engine_exec_queue (EngineExec *exec)
{
  return exec->queue;
}

const char *
engine_exec_tuning (const EngineExec *exec)
{
  return exec->tuning;
}

const EngineProgram *
engine_exec_program (const EngineExec *exec)
{
  return exec->program;
}

void
engine_exec_set_profile (EngineExec *exec, EngineProfileFn profile, gpointer data)
{
  exec->profile = profile;
  exec->profile_data = data;
}

static void
fetch (EngineExec *exec, int batch)
{
  if (exec->fetched)
    exec->backend->download (exec->queue, exec->fetched,
        engine_program_value (exec->program, exec->output),
        (gsize) batch * exec->n_classes * sizeof (float));
}

static const char *
queue_steps (EngineExec *exec, int batch)
{
  if (!exec->counts)
    return engine_program_run (exec->program, batch, NULL);
  engine_counts_run (exec->counts, exec->program, batch);
  return NULL;
}

/* A recording is made when a batch size is first run. All that it is made with stays as it is. */
static const char *
run_recorded (EngineExec *exec, int batch)
{
  KernelRecording **recording = &exec->recordings[batch];

  if (!*recording) {
    exec->backend->record_begin (exec->queue);
    queue_steps (exec, batch);
    fetch (exec, batch);
    *recording = exec->backend->record_end (exec->queue);
  }
  if (!*recording) {
    const char *failure = exec->backend->queue_wait (exec->queue);
    return failure ? failure : "no recording could be made, and the queue has no cause";
  }
  exec->backend->replay (exec->queue, *recording);
  return NULL;
}

static gboolean
succeed (const EngineExec *exec, const char *failure, GError **error)
{
  if (!failure)
    return TRUE;
  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_BACKEND, "back end '%s' failed: %s",
      exec->backend->name, failure);
  return FALSE;
}

gboolean
engine_exec_start (EngineExec *exec, int batch, GError **error)
{
  const gboolean recorded = exec->recordings && !exec->profile && !exec->taps;
  const char *failure = NULL;

  g_return_val_if_fail (batch >= 1 && batch <= exec->max_batch, FALSE);

  if (recorded)
    failure = run_recorded (exec, batch);
  else if (exec->profile)
    failure = engine_profile_run (exec->program, batch, exec->profile, exec->profile_data);
  else if (exec->taps)
    failure = engine_taps_run (exec->taps, exec->program, batch, exec->tap, exec->tap_data);
  else
    failure = queue_steps (exec, batch);
  if (!failure && !recorded)
    fetch (exec, batch);
  if (succeed (exec, failure, error)) {
    if (exec->counts)
      exec->counts->images += batch;
    return TRUE;
  }
  exec->backend->queue_wait (exec->queue); /* what is queued still reads the caller's pictures */
  return FALSE;
}

gboolean
engine_exec_wait (EngineExec *exec, GError **error)
{
  return succeed (exec, exec->backend->queue_wait (exec->queue), error);
}

gboolean
engine_exec_has_room (const EngineExec *exec, int images)
{
  return exec->counts->most_images - exec->counts->images >= (guint64) images;
}

gboolean
engine_exec_collect (EngineExec *exec, EngineCountsFn fn, gpointer data, GError **error)
{
  return exec->counts->images == 0 ||
         succeed (exec, engine_counts_collect (exec->counts, fn, data), error);
}

gboolean
engine_exec_run (EngineExec *exec, int batch, GError **error)
{
  return engine_exec_start (exec, batch, error) && engine_exec_wait (exec, error);
}
