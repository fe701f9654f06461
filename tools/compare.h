/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * compare.h: what the command compare measures, and the ways to tell it.
 *
 *   compare.c            options
 *   compare-run.c        engines and frames
 *   compare-precision.c  layers that stay in floats
 *   compare-print.c      as text
 *   compare-json.c       as JSON
 */
#pragma once

#include "tools/samples.h"
#include "tools/tool.h"

/* One calibration: a table that was read, or made from statistics with a method. */
typedef struct {
  char *label;  /* "photos.table", "mse" */
  char *method; /* NULL: not known */
  CalibTable *table;
  EngineBias *bias;        /* or NULL */
  EngineLayerRules *rules; /* or NULL */
  CalibProvenance provenance;
  Engine *engine;
  EngineComparison *comparison;
} CompareCandidate;

typedef struct {
  char *model_path;
  EngineModel *model;
  EnginePreprocess preprocess;
  EngineBuildOptions build; /* without a table and rules; refers to dynamic_ranges */
  EngineLayerRules *rules;  /* of all candidates, or NULL */
  gboolean mixed;           /* before them those in <table>.precision */
  CalibDynamicRanges *dynamic_ranges;
  CalibStatistics *statistics; /* or NULL */
  double percentile;
  gboolean no_bias;   /* without the corrections of biases that go with a table */
  gboolean full_bias; /* of methods: on the frames that the statistics keep */
  gboolean force;
  KernelBackend *backend;
  int threads;
  gint64 skip, max_frames;
  guint alone;                  /* frames for each layer by itself; 0: not done */
  GPtrArray *images;            /* paths; NULL: the frames that the statistics keep */
  GPtrArray *candidates;        /* CompareCandidate */
  EnginePrecisionTarget target; /* both 0: no layers are chosen */
  GPtrArray *frames;            /* const float *: for that, those of the images are collected */
} Compare;

/* Reads a table and what it is known to be made of. */
gboolean compare_add_table (Compare *compare, const char *path, GError **error);
/* A model that is quantised already: no table. */
void compare_add_own (Compare *compare);
/* Makes a table from the statistics. */
gboolean compare_add_method (Compare *compare, const char *name, GError **error);
/* Builds the engines and runs all frames. */
gboolean compare_run (Compare *compare, GError **error);
/* The one with the least mean divergence. */
CompareCandidate *compare_best (const Compare *compare);
void compare_clear (Compare *compare);

gboolean compare_has_target (const Compare *compare);
/* Keeps a copy of an input tensor of n values, for: */
void compare_collect_frame (Compare *compare, const float *frame, gsize n);
/* Chooses the layers of a candidate from a table's file that stay in floats, tells how, and writes them
 * beside the table. */
gboolean compare_choose_precision (Compare *compare, const CompareCandidate *candidate,
    GError **error);

/* A line each, where there are several; else a block. */
void compare_print_networks (const Compare *compare);
/* The layers that do the most damage (0: all), and what to do. */
void compare_print_layers (const CompareCandidate *candidate, guint top);

gboolean compare_write_json (const Compare *compare, const CompareCandidate *detailed,
    const char *path, GError **error);
