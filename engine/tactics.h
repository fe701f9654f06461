/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tactics.h: which of a back end's ways every convolution takes, where somebody has timed them on
 * this machine (tune.c). Internal to engine/.
 *
 * A choice is a name, and holds for one device, number of threads and batch, and for the ways that
 * were offered then. Names become numbers by asking the back end, so nothing that a file says can
 * lead to a way that is not there; whatever does not fit is left alone, and the back end chooses.
 */
#pragma once

#include "engine/engine.h"
#include "engine/graph.h"
#include "engine/schedule.h"

typedef struct {
  gatomicrefcount references;
  char *backend, *description, *cpu; /* the device */
  guint threads, batch;
  char *offered;    /* SHA-256 of the names of all ways of all convolutions */
  GPtrArray *names; /* char *, one a convolution in the order of nodes; "": the back end's choice */
} EngineTactics;

void engine_tactics_unref (EngineTactics *tactics);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EngineTactics, engine_tactics_unref)

/* For this device, with no choice made yet: names is empty. */
EngineTactics *engine_tactics_new (const EngineGraph *graph, KernelBackend *backend,
    KernelQueue *queue, int batch);
/* The same with everything given, as a file has it; copies. */
EngineTactics *engine_tactics_new_given (const char *backend, const char *description,
    const char *cpu, guint threads, guint batch, const char *offered, char *const *names,
    gsize n_names);

/* Adds it to the engine (takes it), in the place of what was for the same device, threads and batch. */
void engine_tactics_add (Engine *engine, EngineTactics *tactics);
/* All that the engine has, the oldest first; with references. */
GPtrArray *engine_tactics_list (const Engine *engine);

/* A number for every node, 0 where it is no convolution or the choice is the back end's. note (to be
 * freed) tells people which choices these are. fits (may be NULL): they were timed for this. */
int *engine_tactics_resolve (const Engine *engine, KernelBackend *backend, KernelQueue *queue,
    int batch, gboolean *fits, char **note);

/* Whom ways are for: which there are may depend on the threads that a convolution has. */
typedef struct {
  const EngineGraph *graph;
  KernelBackend *backend;
  EngineSchedule schedule;
} EngineWays;
EngineWays engine_ways (const EngineGraph *graph, KernelBackend *backend, KernelQueue *queue,
    int batch);
/* The name of way `tactic` of a convolution; NULL beyond the last. */
const char *engine_ways_name (const EngineWays *ways, int node, int tactic);
/* The largest number that any convolution has a way of; below 2 there is nothing to choose. */
int engine_ways_most (const EngineWays *ways);
