/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * schedule.h: in which order a batch goes through the layers. Internal to engine/.
 *
 *   by image  an image goes through many layers before the next begins, in the memory of a lane,
 *             with one thread; other images at the same time in other lanes. Activations stay in
 *             the caches of a core, and threads meet once a run.
 *   by layer  the whole batch goes through one layer before the next begins, with all threads.
 *             Weights are read once for the batch, and one image can use every thread.
 *
 * Early layers have large activations and few weights, late ones the opposite: a program is cut in
 * two, by image before the cut and by layer behind it. Results are the same bytes everywhere.
 */
#pragma once

#include "engine/graph.h"

typedef struct {
  int cut;   /* the first so many nodes run by image; 0: none does */
  int lanes; /* of the queue; 1 where it has none. 0 in options: those of the queue */
} EngineSchedule;

/* The schedule for batches up to max_batch. Devices and single images go by layer. */
EngineSchedule engine_schedule_new (const EngineGraph *graph, KernelBackend *backend,
    KernelQueue *queue, int max_batch);

/* How many images of a batch go through the first part by image: the others, less than one for each
 * lane, go through it by layer. */
int engine_schedule_by_image (const EngineSchedule *schedule, int batch);
