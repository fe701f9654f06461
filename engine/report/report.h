/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * report/report.h: one page of HTML about a calibration, for people. Part of engine.h.
 *
 * Self-contained: style and charts (SVG) lie in the page, nothing is loaded and no script runs. What
 * is not given is left out: statistics make the histograms, a comparison makes agreement, suspects
 * and the figures of layers.
 */
#pragma once

#include "engine/engine.h"

G_BEGIN_DECLS

typedef struct _EngineComparison EngineComparison; /* engine/compare/compare.h */

typedef struct {
  const EngineModel *model;
  const char *model_name;            /* a path; its last part is the title */
  const CalibTable *table;           /* the ranges in use */
  const char *table_name;            /* a path or a label; or NULL */
  const char *method;                /* of the table, "mse"; or NULL */
  const CalibProvenance *provenance; /* of the table; or NULL */
  const char *preprocess;            /* canonical text; or NULL */
  EngineRanges ranges;
  const EngineBias *bias;             /* corrections that go with the table; or NULL */
  const CalibStatistics *statistics;  /* or NULL */
  const EngineComparison *comparison; /* or NULL */
} EngineReport;

/* The page, UTF-8. Thresholds of all methods that the statistics allow are computed for every tensor:
 * some 50 ms each, on all CPUs; progress and cancellable are for that and may be NULL. NULL with
 * G_IO_ERROR_CANCELLED, or where a thread cannot be had. */
char *engine_report_html (const EngineReport *report, EngineProgressFn progress, gpointer data,
    GCancellable *cancellable, GError **error);
/* Atomically (calib_file_replace()). G_FILE_ERROR, and as above. */
gboolean engine_report_save (const EngineReport *report, const char *path,
    EngineProgressFn progress, gpointer data, GCancellable *cancellable, GError **error);

G_END_DECLS
