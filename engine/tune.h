/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tune.h: tuning as part of a request. Internal to engine/.
 */
#pragma once

#include "engine/build.h"

typedef struct {
  Engine *engine;
  KernelBackend *backend;
  int max_batch, threads;
  const char *path; /* the engine's file, or NULL */
  /* Called before timing begins; may be NULL, as progress may. */
  void (*begin) (gpointer data);
  EngineProgressFn progress;
  gpointer data;
  GCancellable *cancellable;
} EngineTuneRequest;

/* Tunes the engine unless it, or its file by now, is tuned for this back end, threads and batch, and
 * keeps the outcome in the file. *tuned: ways were timed. *warning: what could not be kept, to be
 * freed. */
gboolean engine_tune_and_keep (const EngineTuneRequest *request, gboolean *tuned, char **warning,
    GError **error);
