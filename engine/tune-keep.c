/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tune-keep.c: tuned once, and kept in the engine's file.
 *
 * The file is locked meanwhile: two processes that time at the same time would time each other.
 */
#include "engine/tune.h"

#include "engine/file.h"
#include "engine/lock.h"
#include "engine/tactics.h"

/* *fits: it is, or there is nothing to choose. */
static gboolean
is_tuned (const EngineTuneRequest *request, gboolean *fits, GError **error)
{
  KernelQueue *queue = request->backend->queue_new (request->backend, request->threads);
  g_autofree char *note = NULL;

  if (!queue) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_BACKEND,
        "back end '%s' could not make a queue with %d threads", request->backend->name,
        request->threads);
    return FALSE;
  }
  const EngineWays ways =
      engine_ways (request->engine->graph, request->backend, queue, request->max_batch);
  g_free (engine_tactics_resolve (request->engine, request->backend, queue, request->max_batch,
      fits, &note));
  if (engine_ways_most (&ways) < 2)
    *fits = TRUE;
  request->backend->queue_free (queue);
  return TRUE;
}

/* What other processes have put into the file since it was read. */
static void
take_from_file (const EngineTuneRequest *request)
{
  EngineFileState state;
  g_autoptr (Engine) other = engine_file_read (request->path, &state, NULL);
  g_autoptr (GPtrArray) list = NULL;

  if (!other || other == request->engine ||
      !g_str_equal (other->provenance.key, request->engine->provenance.key))
    return;
  list = engine_tactics_list (other);
  for (guint i = 0; i < list->len; i++) {
    EngineTactics *tactics = g_ptr_array_index (list, i);

    g_atomic_ref_count_inc (&tactics->references);
    engine_tactics_add (request->engine, tactics);
  }
}

static gboolean
tune (const EngineTuneRequest *request, gboolean *tuned, GError **error)
{
  EngineTuneReport report;

  if (request->begin)
    request->begin (request->data);
  if (!engine_tune (request->engine, request->backend, request->max_batch, request->threads,
          &report, request->progress, request->data, request->cancellable, error))
    return FALSE;
  *tuned = report.timed;
  return TRUE;
}

gboolean
engine_tune_and_keep (const EngineTuneRequest *request, gboolean *tuned, char **warning,
    GError **error)
{
  g_autoptr (EngineLock) lock = NULL;
  g_autoptr (GError) local = NULL;
  gboolean fits;

  *tuned = FALSE;
  *warning = NULL;
  if (!is_tuned (request, &fits, error))
    return FALSE;
  if (fits)
    return TRUE;
  if (request->path) {
    lock = engine_lock_take (request->path, request->cancellable, &local);
    if (g_error_matches (local, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  }
  if (lock) {
    take_from_file (request);
    if (!is_tuned (request, &fits, error))
      return FALSE;
    if (fits)
      return TRUE;
  }
  if (!tune (request, tuned, error))
    return FALSE;
  if (*tuned && (!lock || !engine_file_write (request->engine, NULL, request->path, &local)))
    *warning = g_strdup_printf ("the tuning could not be kept, and will be repeated: %s",
        local ? local->message : "the engine has no file");
  return TRUE;
}
