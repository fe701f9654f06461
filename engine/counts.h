/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * counts.h: a run that counts its activations where they are, in a device's memory. Internal to engine/.
 *
 * A value is counted right behind the step that makes it, by the same queue: nothing is downloaded or
 * waited for. What is known of it stays on the device, run after run, until it is collected; that is a
 * transfer of some 260 KiB a value each way.
 */
#pragma once

#include "engine/step.h"

/* channels: the length of the last axis, or 0 for no sums. */
typedef struct {
  int value;
  int channels;
} EngineCounted;

typedef struct {
  KernelBackend *backend;
  KernelQueue *queue;
  EngineCounted *counted; /* in the order in which they are made */
  int n;
  gsize *offset;       /* of each one's state */
  gsize size;          /* of all states */
  guint8 *device;      /* KernelCounts, and what lies behind it */
  guint8 *host;        /* a copy, in memory that downloads are fast to */
  guint8 *zeros;       /* states of no values, in such memory */
  guint64 images;      /* counted since they were last collected */
  guint64 most_images; /* that states have room for */
} EngineCounts;

/* Of an FP32 graph; `counted` is copied. */
EngineCounts *engine_counts_new (const EngineGraph *graph, KernelBackend *backend,
    KernelQueue *queue, const EngineCounted *counted, int n, GError **error);
void engine_counts_free (EngineCounts *counts); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EngineCounts, engine_counts_free)

/* Queues the steps for the first `batch` images, and the counting. */
void engine_counts_run (const EngineCounts *counts, const EngineProgram *program, int batch);

/* Waits, hands what is known of each value to fn, and forgets it. Returns what failed, or NULL. */
typedef void (
    *EngineCountsFn) (const EngineCounted *counted, const CalibCounts *counts, gpointer data);
const char *engine_counts_collect (EngineCounts *counts, EngineCountsFn fn, gpointer data);
