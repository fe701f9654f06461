/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tune-time.h: two programs of one network against each other. Internal to engine/.
 */
#pragma once

#include "engine/exec.h"
#include "engine/tune.h"

#define ENGINE_TUNE_RUNS 15 /* the most of a program in a block */

/* A program, and what it took. */
typedef struct {
  EngineExec *exec;
  guint n_steps;
  double *seconds;               /* [ENGINE_TUNE_RUNS][n_steps] of the block */
  double *best;                  /* [n_steps] the least median of all blocks */
  double *row;                   /* of the run in progress */
  double runs[ENGINE_TUNE_RUNS]; /* whole runs of the block */
  double best_run;
} EngineContender;

typedef struct {
  const EngineTuneRequest *request;
  int done, total; /* comparisons */
} EngineTuneProgress;

/* tactics: the way of every node, 0 for the back end's own choice. What init() makes, clear() frees, also after
 * an error. */
gboolean engine_contender_init (EngineContender *c, const EngineTuneRequest *request,
    const int *tactics, GError **error);
void engine_contender_clear (EngineContender *c);

/* Fills best and best_run of both. */
gboolean engine_contenders_compare (const EngineTuneProgress *progress, EngineContender *a,
    EngineContender *b, GError **error);
/* So much of this comparison is done. FALSE: cancelled. */
gboolean engine_tune_tell (const EngineTuneProgress *progress, int percent, GError **error);
