/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * quantise-ranges.c: from ranges by hand, the table's words and what the graph proves to scales and
 * zero points.
 */
#include "engine/build.h"
#include "engine/quantise.h"
#include "engine/quant.h"
#include "engine/ranges.h"

#include <string.h>

#define MISSING_LISTED 5

typedef struct {
  double lo, hi;
} Interval;

/* All arrays are per value. */
typedef struct {
  const EngineGraph *graph;
  const EnginePassContext *context;
  const gboolean *needed, *plain; /* as for engine_quantise_ranges() */
  const float *thresholds;        /* likewise */
  float *own;         /* T / 127 by hand or from the table; NAN where neither knows it */
  float *shared;      /* of the group */
  int *group;         /* the member that stands for the group */
  gboolean *by_hand;  /* the group's range was given by hand */
  Interval *hand;     /* what was given; {NAN, NAN} where nothing was */
  Interval *of_group; /* of the member that stands for the group */
} Ranges;

static Interval
join_intervals (Interval a, Interval b)
{
  return (Interval){fmin (a.lo, b.lo), fmax (a.hi, b.hi)};
}

static double
magnitude (Interval x)
{
  return fmax (-x.lo, x.hi);
}

static gboolean
is_input (const EngineGraph *graph, int value)
{
  return g_array_index (graph->inputs, int, 0) == value;
}

/* --- Where ranges come from ----------------------------------------------------------------- */

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

/* The table's words. */
static void
read_table (Ranges *r)
{
  const CalibTable *table = r->context->options->table;

  for (guint v = 0; v < r->graph->values->len; v++) {
    const EngineValue *value = engine_graph_value (r->graph, v);

    r->own[v] = NAN;
    if (!value->data && table)
      calib_table_lookup (table, value->name, &r->own[v]);
    if (!isnan (r->thresholds[v]))
      r->own[v] = r->thresholds[v] / 127;
  }
}

/* The input's range from the preprocessing takes the place of the table's word. */
static void
offer_input_range (Ranges *r)
{
  const EngineBuildOptions *options = r->context->options;
  const int input = g_array_index (r->graph->inputs, int, 0);

  if (!options->preprocess || (!input_is_exact (options) && !isnan (r->own[input])))
    return;
  r->own[input] = (float) (magnitude (input_interval (r->graph, options)) / 127);
}

/* Ranges by hand go before all others. */
static void
read_hand (Ranges *r)
{
  const CalibDynamicRanges *given = r->context->options->dynamic_ranges;

  for (guint v = 0; v < r->graph->values->len; v++) {
    Interval *hand = &r->hand[v];

    *hand = (Interval){NAN, NAN};
    r->by_hand[v] = given && !engine_graph_value (r->graph, v)->data &&
                    calib_dynamic_ranges_lookup (given, engine_graph_value (r->graph, v)->name,
                        &hand->lo, &hand->hi);
    if (!r->by_hand[v])
      continue;
    *hand = join_intervals (*hand, (Interval){0, 0});
    r->own[v] = (float) (magnitude (*hand) / 127);
  }
}

/* --- Groups --------------------------------------------------------------------------------- */

static void
share (Ranges *r)
{
  r->shared = g_memdup2 (r->own, r->graph->values->len * sizeof (float));
  r->group = engine_ranges_share_fixed (r->graph, r->shared, r->by_hand);
}

/* What was given by hand for any member is the group's range. */
static void
join_hand (Ranges *r)
{
  for (guint v = 0; v < r->graph->values->len; v++)
    r->of_group[v] = (Interval){0, 0};
  for (guint v = 0; v < r->graph->values->len; v++)
    if (!isnan (r->hand[v].lo))
      r->of_group[r->group[v]] = join_intervals (r->of_group[r->group[v]], r->hand[v]);
}

/* What a value adds to the range of its group, `range` being all that the group may have: cut to what
 * the value can be, and, unless that is by hand, to what its readers tell apart. Bytes that only pass
 * through add nothing to where they came from. */
static Interval
value_interval (const Ranges *r, int value, Interval range)
{
  const int producer = engine_graph_value (r->graph, value)->producer;
  const EngineOp op =
      producer == ENGINE_NONE ? ENGINE_OP_COUNT : engine_graph_node (r->graph, producer)->op;
  float lo, hi;

  if (is_input (r->graph, value) && input_is_exact (r->context->options) && !r->by_hand[value])
    return input_interval (r->graph, r->context->options);
  if (engine_op_passes_values (op) && op != ENGINE_OP_CONCAT && op != ENGINE_OP_PAD)
    return (Interval){0, 0};
  if (op == ENGINE_OP_PAD)
    lo = hi = engine_graph_node (r->graph, producer)->pad.value;
  else if (r->by_hand[value])
    engine_graph_bounds (r->graph, value, &lo, &hi);
  else
    engine_graph_useful (r->graph, value, &lo, &hi);
  return (Interval){CLAMP (lo, range.lo, 0), CLAMP (hi, 0, range.hi)};
}

/* From what the group may have to what its members can be. */
static void
cut_groups (Ranges *r)
{
  const int n = r->graph->values->len;
  const gboolean symmetric = r->context->options->ranges == ENGINE_RANGES_SYMMETRIC;
  g_autofree Interval *cut = g_new0 (Interval, n);

  for (int v = 0; v < n; v++) {
    const int g = r->group[v];
    const double t = r->by_hand[v] ? magnitude (r->of_group[g]) : r->shared[v] * 127.0;

    if (!r->needed[v] && !r->plain[v])
      continue;
    if (isnan (t))
      continue; /* a member that only has its part without rules */
    if (symmetric)
      cut[g] = (Interval){-t, t};
    else
      cut[g] = join_intervals (cut[g],
          value_interval (r, v, r->by_hand[v] ? r->of_group[g] : (Interval){-t, t}));
  }
  memcpy (r->of_group, cut, n * sizeof *cut);
}

/* The second operand of a matmul has zero point 0: its values are another one's weights. */
static void
centre_operands (Ranges *r)
{
  for (guint i = 0; i < r->graph->nodes->len; i++) {
    const EngineNode *node = engine_graph_node (r->graph, i);

    if (node->op != ENGINE_OP_MATMUL)
      continue;
    Interval *range = &r->of_group[r->group[node->inputs[1]]];

    *range = (Interval){-magnitude (*range), magnitude (*range)};
  }
}

/* --- What people are told ------------------------------------------------------------------- */

/* The member of v's group that gave it its range, or the input of a concat that has kept its own. */
static int
find_giver (const Ranges *r, int v)
{
  for (guint other = 0; other < r->graph->values->len; other++)
    if (r->group[other] == r->group[v] && r->own[other] == r->shared[v])
      return other;
  for (guint i = 0; i < r->graph->nodes->len; i++) {
    const EngineNode *node = engine_graph_node (r->graph, i);

    if (node->op != ENGINE_OP_CONCAT || r->group[node->output] != r->group[v])
      continue;
    for (int k = 0; k < node->n_inputs; k++)
      if (r->shared[node->inputs[k]] == r->shared[v])
        return node->inputs[k];
  }
  return v;
}

static void
report_inferred (const Ranges *r, int v)
{
  GPtrArray **inferred = &r->context->report->inferred;
  const char *name = engine_graph_value (r->graph, v)->name;

  if (r->shared[v] == 0)
    engine_report_add (inferred, "%s <- always 0, T = 1", name);
  else
    engine_report_add (inferred, "%s <- %s", name,
        engine_graph_value (r->graph, find_giver (r, v))->name);
}

/* Ranges by hand that no tensor has, or that one cannot have because its bytes are another's, too. */
static void
report_hand (const Ranges *r)
{
  const CalibDynamicRanges *given = r->context->options->dynamic_ranges;
  EngineBuildReport *report = r->context->report;

  for (guint i = 0; given && i < calib_dynamic_ranges_n_entries (given); i++) {
    const char *name = calib_dynamic_ranges_entry (given, i, NULL, NULL);
    const int v = GPOINTER_TO_INT (g_hash_table_lookup (r->graph->names, name)) - 1;

    if (v < 0 || engine_graph_value (r->graph, v)->data) {
      engine_report_add (&report->unmatched, "range of %s", name);
      continue;
    }
    const Interval got = r->of_group[r->group[v]], asked = r->hand[v];

    if (got.lo < asked.lo || got.hi > asked.hi)
      engine_report_add (&report->refused,
          "range of %s: %g..%g by hand becomes %g..%g, for the same bytes have another range by hand",
          name, asked.lo, asked.hi, got.lo, got.hi);
  }
}

static gboolean
refuse_missing (const Ranges *r, const GArray *missing, int n_needed, GError **error)
{
  g_autoptr (GString) names = g_string_new (NULL);
  const char *remedy = "calibrate this model, or add the entries to the table";

  for (guint i = 0; i < missing->len && i < MISSING_LISTED; i++)
    g_string_append_printf (names, "%s'%s'", i ? ", " : "",
        engine_graph_value (r->graph, g_array_index (missing, int, i))->name);
  if (missing->len > MISSING_LISTED)
    g_string_append (names, " ...");
  if (!r->context->options->table)
    remedy = "give them by hand, too, or give a calibration table";
  else if (missing->len * 2 > (guint) n_needed)
    remedy = "the calibration table seems to belong to another model: make one of this model, by int8calib or "
             "gst-int8-1.0 calibrate";
  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_RANGE, "no range for %u of %d tensors: %s; %s",
      missing->len, n_needed, names->str, remedy);
  return FALSE;
}

/* Whether every needed value has a range; those that took it from another are reported. */
static gboolean
check_ranges (const Ranges *r, GError **error)
{
  g_autoptr (GArray) missing = g_array_new (FALSE, FALSE, sizeof (int));
  int n_needed = 0;

  for (int v = 0; v < (int) r->graph->values->len; v++) {
    if (!r->needed[v])
      continue;
    n_needed++;
    if (isnan (r->shared[v]))
      g_array_append_val (missing, v);
    else if (isnan (r->own[v]) || r->shared[v] == 0)
      report_inferred (r, v);
  }
  return missing->len == 0 || refuse_missing (r, missing, n_needed, error);
}

/* --- Residuals ------------------------------------------------------------------------------ */

/* Groups whose scale is nobody's to change (to be freed). */
static gboolean *
find_fixed (const Ranges *r)
{
  gboolean *fixed = g_new0 (gboolean, r->graph->values->len);

  for (guint v = 0; v < r->graph->values->len; v++)
    if (r->by_hand[v] || is_input (r->graph, v))
      fixed[r->group[v]] = TRUE;
  return fixed;
}

/* The scale of a residual becomes a simple fraction of its sum's, so that the factors of both have a common
 * denominator (quantise-snap.c). From the last layer to the first, for a sum is often the next one's
 * residual. As it is without layer rules, which change no range. */
static void
relate_residuals (const Ranges *r, gboolean *fixed, EngineQuant *quant)
{
  for (int i = r->graph->nodes->len - 1; i >= 0; i--) {
    const EngineNode *node = engine_graph_node (r->graph, i);
    const int residual = node->op == ENGINE_OP_CONV ? node->inputs[ENGINE_CONV_R] : ENGINE_NONE;

    if (residual == ENGINE_NONE || !r->plain[residual] || !r->plain[node->output] ||
        fixed[r->group[residual]])
      continue;
    const double sum_scale = quant[node->output].scale;
    const double ratio = quant[residual].scale / sum_scale;
    const double scale = sum_scale * engine_quantise_simple_fraction (ratio);

    fixed[r->group[residual]] = TRUE; /* by one sum only */
    for (guint v = 0; v < r->graph->values->len; v++)
      if (r->group[v] == r->group[residual] && quant[v].scale > 0)
        quant[v] = engine_quant_widened (&quant[v], scale);
  }
}

/* --- All of it ------------------------------------------------------------------------------ */

static gboolean
find_ranges (Ranges *r, EngineQuant *quant, GError **error)
{
  g_autofree gboolean *fixed = NULL;

  read_table (r);
  offer_input_range (r);
  read_hand (r);
  share (r);
  join_hand (r);
  report_hand (r);
  if (!check_ranges (r, error))
    return FALSE;
  cut_groups (r);
  centre_operands (r);
  fixed = find_fixed (r);
  for (guint v = 0; v < r->graph->values->len; v++) {
    const Interval range = r->of_group[r->group[v]];

    quant[v] = (EngineQuant){0};
    if (r->needed[v] || r->plain[v])
      quant[v] = fixed[r->group[v]] ? engine_quant_from_range (range.lo, range.hi)
                                    : engine_quant_covering (range.lo, range.hi);
  }
  if (r->context->options->ranges == ENGINE_RANGES_FULL)
    relate_residuals (r, fixed, quant);
  for (guint v = 0; v < r->graph->values->len; v++)
    if (!r->needed[v])
      quant[v] = (EngineQuant){0};
  return TRUE;
}

gboolean
engine_quantise_ranges (const EngineGraph *graph, const EnginePassContext *context,
    const gboolean *needed, const gboolean *plain, const float *thresholds, EngineQuant *quant,
    GError **error)
{
  const int n = graph->values->len;
  Ranges r = {.graph = graph,
      .context = context,
      .needed = needed,
      .plain = plain,
      .thresholds = thresholds,
      .own = g_new (float, n),
      .by_hand = g_new (gboolean, n),
      .hand = g_new (Interval, n),
      .of_group = g_new (Interval, n)};
  const gboolean ok = find_ranges (&r, quant, error);

  g_free (r.own);
  g_free (r.shared);
  g_free (r.group);
  g_free (r.by_hand);
  g_free (r.hand);
  g_free (r.of_group);
  return ok;
}
