/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * build.h: the inside of an Engine. Internal to engine/.
 */
#pragma once

#include "engine/engine.h"
#include "engine/graph.h"

/* Raised whenever the same model, table and options give other bytes than before: older engine
 * files are built anew. */
#define ENGINE_BUILDER 6

/* What an engine was made of, to tell why another one is needed. Text, never NULL; "" where there
 * is none. */
typedef struct {
  char *key;            /* engine_request_key() or what engine_save() was given */
  char *model;          /* SHA-256 of the model and its external data */
  char *table;          /* SHA-256 of the calibration table */
  char *bias;           /* SHA-256 of the bias correction */
  char *dynamic_ranges; /* SHA-256 of the ranges by hand */
  char *rules;          /* layer rules, canonical */
  char *preprocess;     /* canonical text; "" where the input's range came from the table */
  char *options;        /* precision, ranges, strict */
  char *builder;        /* tool version and ENGINE_BUILDER */
} EngineProvenance;

void engine_provenance_clear (EngineProvenance *provenance);
void engine_provenance_copy (EngineProvenance *to, const EngineProvenance *from);
/* Whether an engine of this precision has int8 layers, and so needs ranges. */
gboolean engine_precision_is_int8 (EnginePrecision precision);
char *engine_options_text (EnginePrecision precision, EngineRanges ranges, gboolean strict);
const char *engine_builder_text (void);

struct _Engine {
  gatomicrefcount references;
  EngineGraph *graph; /* verified */
  EnginePrecision precision;
  EngineProvenance provenance;
  EngineBuildReport notes; /* what building it had to say; layers are not counted in it */
  GPtrArray *tactics;      /* EngineTactics, or NULL: the one part that changes; see tactics.c */
};

/* Takes graph and the contents of provenance. */
Engine *engine_new (EngineGraph *graph, EnginePrecision precision, EngineProvenance *provenance);

/* Whether a verified graph can be an engine: one image in, floats out. */
gboolean engine_graph_is_executable (const EngineGraph *graph, GError **error);

/* Whether the first output is the softmax of something, reshaped or not. The logarithm does not
 * count: a softmax after it still makes probabilities. */
gboolean engine_graph_ends_in_softmax (const EngineGraph *graph);

/* Adds a line to a list of the report, which is made at need. */
void engine_report_add (GPtrArray **list, const char *format, ...) G_GNUC_PRINTF (2, 3);
