/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench.h: what the command bench measures, and the ways to print it.
 *
 *   bench.c       options; whole runs
 *   bench-layers.c  the table of layers
 *   bench-check.c   results against another back end
 *   bench-json.c    all of it as JSON
 *   peak.c        what the CPU can do at the most
 */
#pragma once

#include "tools/peak.h"
#include "tools/tool.h"

typedef struct {
  EngineStepInfo info;
  char *op;       /* kernel and window: "conv_s8 3x3", "conv_s8 depthwise 3x3"; totals go by it */
  GArray *times;  /* double: seconds of every run, sorted in the end */
  double seconds; /* their median */
} BenchLayer;

typedef struct {
  const char *path;
  Engine *engine;
  EngineExec *exec;
  KernelBackend *backend;
  int batch, threads;      /* threads: those in use */
  GArray *times;           /* double: seconds of every whole run, sorted */
  double peak[PEAK_COUNT]; /* operations a second on all threads or the device; 0: not known */
  double bandwidth;        /* bytes a second of the device's memory; 0: not known, as of a CPU */
  KernelLimits limits;     /* of a device: where the two come from */
  GArray *layers;          /* BenchLayer in the order of the network; NULL: not profiled */
} Bench;

double bench_median (const GArray *sorted);
void bench_sort (GArray *times);

/* Times every layer for so many seconds. */
gboolean bench_profile (Bench *bench, double seconds, GError **error);
void bench_layers_free (GArray *layers); /* NULL is fine */
/* The table, the totals of every op, and the peak. by_time: slowest first. */
void bench_print_layers (const Bench *bench, gboolean by_time);

/* The peak that the operations of a layer are a share of; 0 where there is none. */
double bench_layer_peak (const Bench *bench, const BenchLayer *layer);
/* The seconds that its operations or its bytes take at the least, whichever is more; 0 where the
 * bandwidth is not known. */
double bench_layer_roof (const Bench *bench, const BenchLayer *layer);

/* Random images, the same ones every time. */
gboolean bench_fill_inputs (const Bench *bench, KernelBackend *backend, EngineExec *exec,
    GError **error);
/* Runs the inputs here and on another back end; an error where one byte of the results differs. */
gboolean bench_check (const Bench *bench, const char *backend, GError **error);

gboolean bench_write_json (const Bench *bench, const char *path, GError **error);
