/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * exec.h: what calibration and tests of the planner see of an EngineExec. Internal to engine/.
 */
#pragma once

#include "engine/counts.h"
#include "engine/engine.h"
#include "engine/step.h"

EngineExec *engine_exec_new_full (Engine *engine, KernelBackend *backend, int max_batch,
    int threads, const EngineProgramOptions *options, GError **error);
const EngineProgram *engine_exec_program (const EngineExec *exec);
/* engine_exec_new_tapped() with activations kept until those of a group are group_bytes; G_MAXSIZE: all
 * of them to the end of a run. */
EngineExec *engine_exec_new_kept (Engine *engine, KernelBackend *backend, int max_batch,
    int threads, gsize group_bytes, EngineTapFn tap, gpointer data, GError **error);

/* The same by image, where there are images for the threads: a tap then gets one image of an activation at a
 * time, from the thread that has just computed it, and the same activation of another image perhaps at the
 * same time. On a back end with host memory. */
EngineExec *engine_exec_new_tapped_by_image (Engine *engine, KernelBackend *backend, int max_batch,
    int threads, EngineTapFn tap, gpointer data, GError **error);

/* An exec whose every run counts activations in the back end's memory: layer by layer, recorded where
 * the back end records. Of an FP32 engine. */
EngineExec *engine_exec_new_counting (Engine *engine, KernelBackend *backend, int max_batch,
    int threads, const EngineCounted *counted, int n, GError **error);
/* Whether so many more images can be counted before they must be collected. */
gboolean engine_exec_has_room (const EngineExec *exec, int images);
/* Waits, and hands over what was counted since the last time: nothing, where there was no run. */
gboolean engine_exec_collect (EngineExec *exec, EngineCountsFn fn, gpointer data, GError **error);

/* A run that times every step. Returns what failed, or NULL. */
const char *engine_profile_run (const EngineProgram *program, int batch, EngineProfileFn profile,
    gpointer data);

/* How many threads a queue has, 0 standing for all CPUs: so many images are worth having for
 * engine_exec_new_tapped_by_image(). */
int engine_backend_lanes (KernelBackend *backend, int threads);
