/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * quantised.h: a graph through the int8 passes, with a table written as text.
 */
#pragma once

#include "engine/pass/pass.h"
#include "engine/quant.h"
#include "engine/ranges.h"
#include "tests/check.h"
#include "tests/engine/net.h"

/* T / 127 of the thresholds in "name T, name T". */
static inline CalibTable *
table_of (const char *text)
{
  CalibTable *table = calib_table_new ("1");
  g_auto (GStrv) entries = g_strsplit (text, ", ", -1);

  for (int i = 0; entries[i]; i++) {
    char *number = strrchr (entries[i], ' ');

    if (!number)
      continue;
    *number++ = '\0';
    calib_table_set (table, entries[i], (float) (g_ascii_strtod (number, NULL) / 127));
  }
  return table;
}

typedef struct {
  EngineGraph *graph; /* NULL where it was refused */
  EngineBuildReport report;
  GError *error;
} Result;

static inline void
result_clear (Result *result)
{
  engine_graph_free (result->graph);
  engine_build_report_clear (&result->report);
  g_clear_error (&result->error);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Result, result_clear)

static inline Result
quantise_with (EngineGraph *graph, const char *ranges, const EngineBuildOptions *options)
{
  g_autoptr (CalibTable) table = table_of (ranges);
  EngineBuildOptions with_table = *options;
  Result result = {0};
  const EnginePassContext context = {.options = &with_table, .report = &result.report};

  with_table.table = table;
  if (engine_passes_int8 (graph, &context, &result.error))
    result.graph = graph;
  else
    engine_graph_free (graph);
  return result;
}

static inline Result
quantise (EngineGraph *graph, const char *ranges)
{
  return quantise_with (graph, ranges, &(EngineBuildOptions){.ranges = ENGINE_RANGES_FULL});
}

static inline void
check_dump (const Result *result, const char *expected)
{
  g_autofree char *dump = result->graph ? engine_graph_dump (result->graph) : NULL;

  if (result->error)
    CHECK_FAIL ("%s", result->error->message);
  CHECK_STR (dump, expected);
}

/* One of the report's lists, a line each. */
static inline void
check_lines (const GPtrArray *lines, const char *expected)
{
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; lines && i < lines->len; i++)
    g_string_append_printf (text, "%s\n", (const char *) lines->pdata[i]);
  CHECK_STR (text->str, expected);
}

static inline const EngineValue *
value (const Result *result, const char *name)
{
  for (guint v = 0; v < result->graph->values->len; v++)
    if (g_str_equal (engine_graph_value (result->graph, v)->name, name))
      return engine_graph_value (result->graph, v);
  g_error ("no value '%s'", name);
}

static inline void
check_quant (const Result *result, const char *name, EngineRange range, double scale, int zero)
{
  const EngineValue *v = value (result, name);

  CHECK_INT (v->type, ==, ENGINE_TYPE_S8);
  if (v->quant.range != range || fabs (v->quant.scale / scale - 1) > 1e-6 || v->quant.zero != zero)
    CHECK_FAIL ("%s: range %d scale %g zero %d; expected range %d scale %g zero %d", name,
        v->quant.range, v->quant.scale, v->quant.zero, range, scale, zero);
}
