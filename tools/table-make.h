/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* table-make.h: from statistics to a table and what lies beside it, for the commands `table` and `calibrate`. */
#pragma once

#include "tools/tool.h"

typedef struct {
  char *method_name; /* as given, or NULL: auto where the statistics keep frames, else mse */
  char *correction;  /* fast, full or off; NULL: fast */
  char *equalise;    /* on or off; NULL: on */
  double percentile;
  int trt_version, threads;
} ToolTableOptions;

#define TOOL_TABLE_OPTIONS                                                                         \
  {                                                                                                \
    .percentile = 99.99, .trt_version = 8601                                                       \
  }
/* The entries of --method and so on, for a GOptionEntry array; options are a ToolTableOptions. */
#define TOOL_TABLE_ENTRIES(options)                                                                \
  {"method", 0, 0, G_OPTION_ARG_STRING, &(options).method_name,                                    \
      "As told above; default auto where there are frames to try methods on, else mse", "METHOD"}, \
      {"percentile", 0, 0, G_OPTION_ARG_DOUBLE, &(options).percentile,                             \
          "For percentile; default 99.99", "P"},                                                   \
      {"bias-correction", 0, 0, G_OPTION_ARG_STRING, &(options).correction,                        \
          "fast (default): also write <table>.bias, what rounding weights takes from the mean of " \
          "a layer's outputs; full: on kept frames, layer after layer; or off",                    \
          "HOW"},                                                                                  \
      {"equalise", 0, 0, G_OPTION_ARG_STRING, &(options).equalise,                                 \
          "on (default): where frames are kept, channels before depthwise convolutions get "       \
          "scales of their own, before others where that helps, in <table>.bias too; or off",      \
          "HOW"},                                                                                  \
  {                                                                                                \
    "trt-version", 0, 0, G_OPTION_ARG_INT, &(options).trt_version,                                 \
        "Number in the header; default 8601", "N"                                                  \
  }

void tool_table_options_clear (ToolTableOptions *options);
gboolean tool_table_options_check (const ToolTableOptions *options, GError **error);
/* The methods and what each needs, for --help; `head` goes before them (to be freed). */
char *tool_table_describe (const char *head);
/* Which histograms the method needs. */
CalibHistogramFlags tool_table_flags (const ToolTableOptions *options);

/* Writes the table, its bias and its provenance, and tells what was done. preprocess: of the frames, or NULL
 * where it is not known. */
gboolean tool_table_make (const ToolTableOptions *options, const EngineModel *model,
    const CalibStatistics *statistics, const EnginePreprocess *preprocess, const char *output,
    GError **error);
