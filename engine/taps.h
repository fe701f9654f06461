/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * taps.h: a run that shows its activations. Internal to engine/.
 *
 * The nodes are cut into groups. What a group computes is kept to its end and then handed to the tap. By
 * layer (engine/schedule.h) all threads of the queue do that, each activation by one of them: so the network
 * runs as it always does in between, and a tap that takes as long as the network takes its part of every
 * CPU. What a device has in its own memory is downloaded first, and handed out by threads of the back end
 * "cpu". By image a thread hands out what it has just computed.
 */
#pragma once

#include "engine/step.h"

typedef struct {
  int *kept;   /* per node: the one behind its group, for EngineProgramOptions */
  int *values; /* activations, the input included: group by group, the largest first */
  int *first;  /* [n_groups + 1]: of each group, in values */
  int n_groups;
  int max_batch;
  /* Of a device, else NULL: where a group's activations are downloaded to, and whose threads show them. */
  KernelBackend *device, *cpu;
  KernelQueue *threads;
  guint8 *host;
  gsize *at; /* of each value: bytes into host */
} EngineTaps;

/* Groups of a network that takes so many images at once: each ends when its activations are more than
 * group_bytes. Small, so that a tap finds them in the cache and the next group overwrites them there: with
 * all of ResNet-50 in one group, histograms on two threads cost half as much again. Not smaller either, for an
 * activation is one thread's: at 6 million the busier of two threads has 3 % more than half of ResNet-50's
 * values, at 5 million 7 %, at 4 million 27 %. */
#define ENGINE_TAPS_BYTES ((gsize) 6000000)
EngineTaps *engine_taps_new (const EngineGraph *graph, int max_batch, gsize group_bytes);
/* Has groups downloaded from this back end, which outlives the taps. ENGINE_ERROR_MEMORY says how much that took. */
gboolean engine_taps_fetch (EngineTaps *taps, const EngineGraph *graph, KernelBackend *device,
    int threads, GError **error);
void engine_taps_free (EngineTaps *taps); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EngineTaps, engine_taps_free)

/* Runs the first `batch` images, by image as the program's schedule has it and else by layer, and waits. A
 * schedule by image has no cut: its whole network goes so. Returns what failed, or NULL. */
const char *engine_taps_run (const EngineTaps *taps, const EngineProgram *program, int batch,
    EngineTapFn tap, gpointer data);
