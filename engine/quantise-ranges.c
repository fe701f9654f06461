/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * quantise-ranges.c: from the table's words and what the graph proves to scales and zero points.
 */
#include "engine/quantise.h"
#include "engine/quant.h"
#include "engine/ranges.h"

#define MISSING_LISTED 5

typedef struct {
  double lo, hi;
} Interval;

static Interval
join_intervals (Interval a, Interval b)
{
  return (Interval){fmin (a.lo, b.lo), fmax (a.hi, b.hi)};
}

static gboolean
is_input (const EngineGraph *graph, int value)
{
  return g_array_index (graph->inputs, int, 0) == value;
}

/* With known preprocessing the input's range is exact. Symmetric ranges follow the table, as
 * TensorRT does, where it has an entry. */
static gboolean
input_is_exact (const EngineBuildOptions *options)
{
  return options->preprocess && options->ranges == ENGINE_RANGES_FULL;
}

static Interval
input_interval (const EngineGraph *graph, const EngineBuildOptions *options)
{
  const EngineValue *input = engine_graph_value (graph, g_array_index (graph->inputs, int, 0));
  Interval exact;

  engine_preprocess_range (options->preprocess, input->dims[input->rank - 1], &exact.lo, &exact.hi);
  return exact;
}

/* What a value adds to the range of its group, T being the group's threshold: [-T, T], cut at the
 * bottom to what it can be. Bytes that only pass through add nothing to where they came from. */
static Interval
value_interval (const EngineGraph *graph, int value, double threshold,
    const EngineBuildOptions *options)
{
  const int producer = engine_graph_value (graph, value)->producer;
  const EngineOp op =
      producer == ENGINE_NONE ? ENGINE_OP_COUNT : engine_graph_node (graph, producer)->op;
  float lo, hi;

  if (options->ranges == ENGINE_RANGES_SYMMETRIC)
    return (Interval){-threshold, threshold};
  if (is_input (graph, value) && input_is_exact (options))
    return input_interval (graph, options);
  if (engine_op_passes_values (op) && op != ENGINE_OP_CONCAT && op != ENGINE_OP_PAD)
    return (Interval){0, 0};
  if (op == ENGINE_OP_PAD)
    lo = hi = engine_graph_node (graph, producer)->pad.value;
  else
    engine_graph_bounds (graph, value, &lo, &hi);
  return (Interval){CLAMP (lo, -threshold, 0), CLAMP (hi, 0, threshold)};
}

/* The table's words, NAN where it has none. */
static float *
table_scales (const EngineGraph *graph, const EngineBuildOptions *options)
{
  float *scale = g_new (float, graph->values->len);

  for (guint v = 0; v < graph->values->len; v++) {
    const EngineValue *value = engine_graph_value (graph, v);

    scale[v] = NAN;
    if (!value->data && options->table)
      calib_table_lookup (options->table, value->name, &scale[v]);
  }
  return scale;
}

/* The member of v's group that gave it its range. */
static int
find_giver (const EngineGraph *graph, const float *own, const float *shared, const int *group,
    int v)
{
  for (guint other = 0; other < graph->values->len; other++)
    if (group[other] == group[v] && own[other] == shared[v])
      return other;
  return v;
}

static void
report_inferred (const EngineGraph *graph, EngineBuildReport *report, const float *own,
    const float *shared, const int *group, int v)
{
  const char *name = engine_graph_value (graph, v)->name;

  if (!report)
    return;
  if (!report->inferred)
    report->inferred = g_ptr_array_new_with_free_func (g_free);
  if (shared[v] == 0)
    g_ptr_array_add (report->inferred, g_strdup_printf ("%s <- always 0, T = 1", name));
  else
    g_ptr_array_add (report->inferred,
        g_strdup_printf ("%s <- %s", name,
            engine_graph_value (graph, find_giver (graph, own, shared, group, v))->name));
}

static gboolean
refuse_missing (const EngineGraph *graph, const GArray *missing, int n_needed, GError **error)
{
  g_autoptr (GString) names = g_string_new (NULL);

  for (guint i = 0; i < missing->len && i < MISSING_LISTED; i++)
    g_string_append_printf (names, "%s'%s'", i ? ", " : "",
        engine_graph_value (graph, g_array_index (missing, int, i))->name);
  if (missing->len > MISSING_LISTED)
    g_string_append (names, " ...");
  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_RANGE, "no range for %u of %d tensors: %s; %s",
      missing->len, n_needed, names->str,
      missing->len * 2 > (guint) n_needed
          ? "the calibration table seems to belong to another model: make one with int8calib"
          : "calibrate this model with int8calib, or add the entries to the table");
  return FALSE;
}

/* Whether every needed value has a range; those that took it from another are reported. */
static gboolean
check_ranges (const EngineGraph *graph, const EnginePassContext *context, const gboolean *needed,
    const float *own, const float *shared, const int *group, GError **error)
{
  g_autoptr (GArray) missing = g_array_new (FALSE, FALSE, sizeof (int));
  int n_needed = 0;

  for (int v = 0; v < (int) graph->values->len; v++) {
    if (!needed[v])
      continue;
    n_needed++;
    if (isnan (shared[v]))
      g_array_append_val (missing, v);
    else if (isnan (own[v]) || shared[v] == 0)
      report_inferred (graph, context->report, own, shared, group, v);
  }
  return missing->len == 0 || refuse_missing (graph, missing, n_needed, error);
}

/* The input's range from the preprocessing takes the place of the table's word. */
static void
offer_input_range (const EngineGraph *graph, const EnginePassContext *context, float *own)
{
  const EngineBuildOptions *options = context->options;
  const int input = g_array_index (graph->inputs, int, 0);

  if (!options->preprocess || (!input_is_exact (options) && !isnan (own[input])))
    return;

  const Interval exact = input_interval (graph, options);
  own[input] = (float) (fmax (-exact.lo, exact.hi) / 127);
}

gboolean
engine_quantise_ranges (const EngineGraph *graph, const EnginePassContext *context,
    const gboolean *needed, EngineQuant *quant, GError **error)
{
  const int n = graph->values->len;
  g_autofree float *own = table_scales (graph, context->options), *shared = NULL;
  g_autofree Interval *of_group = g_new0 (Interval, n);
  g_autofree int *group = NULL;

  offer_input_range (graph, context, own);
  shared = g_memdup2 (own, n * sizeof (float));
  group = engine_ranges_share (graph, shared);
  if (!check_ranges (graph, context, needed, own, shared, group, error))
    return FALSE;

  for (int v = 0; v < n; v++)
    if (needed[v])
      of_group[group[v]] = join_intervals (of_group[group[v]],
          value_interval (graph, v, shared[v] * 127.0, context->options));
  for (int v = 0; v < n; v++)
    quant[v] = needed[v] ? engine_quant_from_range (of_group[group[v]].lo, of_group[group[v]].hi)
                         : (EngineQuant){0};
  return TRUE;
}
