/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench.h: what the command bench measures, and the ways to print it.
 *
 *   bench.c          options; whole runs
 *   bench-trtexec.c  trtexec's options, in terms of ours
 *   bench-engine.c   the engine to time: loaded, or built of a model
 *   bench-layers.c   the table of layers
 *   bench-check.c    results against another back end
 *   bench-json.c     all of it as JSON
 *   bench-export.c   outputs, layers and profile as JSON of trtexec's forms
 *   peak.c           what the CPU can do at the most
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

/* What to time, and how. */
typedef struct {
  ToolOptions network; /* its model: an engine file or a model */
  char *check, *sort, *json;
  int iterations;          /* at least */
  double seconds, warm_up; /* at least; one run is always for warming up */
  gboolean profile, print_profile, print_output, tune;
  /* Of a model. */
  gboolean int8, fp16, best;
  char *save;
  /* Files to write, or NULL. */
  char *export_profile, *export_layers, *export_output;
} BenchSettings;

/* trtexec's options as they were given. */
typedef struct {
  char *onnx, *load, *calib, *precisions, *types, *constraints;
  double duration, warm_up; /* seconds, ms; -G_MAXDOUBLE: not given */
  int iterations;           /* G_MININT: not given */
} BenchTrtexec;

/* Its options, for a list of their own (to be freed). */
GArray *bench_trtexec_entries (BenchTrtexec *trtexec, BenchSettings *settings); /* GOptionEntry */
void bench_trtexec_clear (BenchTrtexec *trtexec);
/* An error where an argument is an option of trtexec's that has no counterpart; says what to do. */
gboolean bench_trtexec_know (int argc, char *const *argv, GError **error);
/* argument: the engine or model that was given as argument, or NULL. */
gboolean bench_trtexec_apply (const BenchTrtexec *trtexec, const char *argument,
    BenchSettings *settings, GError **error);

Engine *bench_engine_open (const BenchSettings *settings, const KernelBackend *backend,
    GError **error);

double bench_mean (const GArray *times);
double bench_median (const GArray *sorted);
/* The time that so many of 100 runs do not exceed. */
double bench_percentile (const GArray *sorted, guint percent);
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

/* The outputs of the last run, as text. */
void bench_print_output (const Bench *bench);
gboolean bench_export_output (const Bench *bench, const char *path, GError **error);
gboolean bench_export_layers (const Bench *bench, const char *path, GError **error);
gboolean bench_export_profile (const Bench *bench, const char *path, GError **error);
gboolean bench_write_json (const Bench *bench, const char *path, GError **error);
