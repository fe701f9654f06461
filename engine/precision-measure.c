/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * precision-measure.c: the damage of every layer alone, and mixed engines against FP32, which runs once.
 */
#include "engine/precision-measure.h"

#include <math.h>
#include <string.h>

#include "engine/compare/private.h"
#include "engine/layer-rules.h"
#include "engine/model.h"

/* --- Progress ------------------------------------------------------------------------------- */

static void
tell (guint done, guint total, const char *what, gpointer data)
{
  const EnginePrecisionSearch *search = data;

  if (search->progress && total > 0)
    search->progress (search->from + (guint) ((guint64) (search->to - search->from) * done / total),
        ENGINE_PROGRESS_ALL, what, search->data);
}

void
engine_precision_set_progress (EnginePrecisionSearch *search, guint from, guint to)
{
  search->from = from;
  search->to = to;
}

/* --- Measuring ------------------------------------------------------------------------------ */

static gboolean
meets (const EnginePrecisionTarget *target, const EngineAgreementScore *score)
{
  /* A score that is no number meets nothing. */
  return (target->top1 == 0 || score->top1 >= target->top1) &&
         (target->sqnr == 0 || score->sqnr >= target->sqnr);
}

static Engine *
build (const EnginePrecisionSearch *search, const EngineLayerRules *rules, GError **error)
{
  EngineBuildOptions options = *search->options->build;

  options.rules = engine_layer_rules_n_entries (rules) > 0 ? rules : NULL;
  options.precision = options.rules ? ENGINE_PRECISION_MIXED : ENGINE_PRECISION_INT8;
  return engine_build (search->model, &options, NULL, NULL, NULL, search->cancellable, error);
}

static EngineComparison *
compare (const EnginePrecisionSearch *search, gboolean network_only, GError **error)
{
  g_autoptr (EngineLayerRules) rules =
      engine_precision_rules (search->model, search->options->build->rules, search->choice->layers);
  g_autoptr (Engine) judged = build (search, rules, error);
  const EngineCompareOptions how = {.preprocess = search->options->build->preprocess,
      .network_only = network_only,
      .keep = network_only ? 0 : MAX (search->options->alone, 1),
      .threads = search->options->threads};

  return judged ? engine_comparison_new (search->exact, judged, search->backend, &how, error)
                : NULL;
}

/* All frames; `what` for the progress. FP32 runs where its logits are not known yet. */
static gboolean
run_frames (EnginePrecisionSearch *search, EngineComparison *comparison, const char *what,
    GError **error)
{
  const GPtrArray *frames = search->options->frames;
  const gboolean known = search->logits != NULL;
  const EngineTensorPair *logits = &comparison->pairs[comparison->logits];

  if (!known) {
    search->n_classes = logits->elements;
    search->logits = g_new (float, search->n_classes * frames->len);
  }
  for (guint i = 0; i < frames->len; i++) {
    float *of_frame = search->logits + i * search->n_classes;

    if (g_cancellable_set_error_if_cancelled (search->cancellable, error))
      return FALSE;
    tell (i, frames->len, what, search);
    if (!engine_comparison_push_frame (comparison, g_ptr_array_index (frames, i),
            known ? of_frame : NULL, error))
      return FALSE;
    if (!known)
      memcpy (of_frame, logits->exact, search->n_classes * sizeof *of_frame);
  }
  return TRUE;
}

gboolean
engine_precision_measure (EnginePrecisionSearch *search, const char *without, gboolean *met,
    GError **error)
{
  EnginePrecisionStep step = {.worst = search->worst};
  g_autoptr (EngineComparison) comparison = compare (search, TRUE, error);
  g_autofree char *what = NULL;

  for (guint i = 0; i < search->choice->layers->len; i++)
    step.fp32 += engine_precision_layer_at (search, i)->fp32;
  what = g_strdup_printf ("%u layers in fp32", step.fp32);
  if (!comparison || !run_frames (search, comparison, what, error))
    return FALSE;
  engine_comparison_score (comparison, &step.score);
  *met = step.met = meets (&search->choice->target, &step.score);
  step.without = g_strdup (without);
  g_array_append_val (search->choice->steps, step);
  return TRUE;
}

/* --- The ranking ---------------------------------------------------------------------------- */

/* In the order of the network. */
static void
list_layers (EnginePrecisionSearch *search, const EngineComparison *comparison)
{
  const EngineGraph *graph = search->exact->graph;

  for (guint i = 0; i < comparison->n_pairs; i++) {
    const EngineTensorPair *pair = &comparison->pairs[i];
    const int producer = engine_graph_value (graph, pair->value)->producer;

    if (producer == ENGINE_NONE || !engine_op_computes (engine_graph_node (graph, producer)->op) ||
        engine_comparison_precision (comparison, pair) != ENGINE_PRECISION_INT8)
      continue;
    const EnginePrecisionLayer layer = {.tensor = g_strdup (pair->name),
        .damage = NAN,
        .operations = engine_node_operations (graph, engine_graph_node (graph, producer))};
    g_array_append_val (search->choice->layers, layer);
  }
}

/* The worst first; damage that is no number is the worst. g_array_sort() keeps the order of equals. */
static int
by_damage (gconstpointer a, gconstpointer b)
{
  const double x = ((const EnginePrecisionLayer *) a)->damage;
  const double y = ((const EnginePrecisionLayer *) b)->damage;

  if (isnan (x) || isnan (y))
    return !!isnan (y) - !!isnan (x);
  return (x < y) - (x > y);
}

/* Runs both engines on the first frames, every layer alone on them, and sorts. */
static gboolean
rank_layers (EnginePrecisionSearch *search, EngineComparison *comparison, GError **error)
{
  const GPtrArray *frames = search->options->frames;

  engine_precision_set_progress (search, ENGINE_PROGRESS_ALONE, ENGINE_PROGRESS_SEARCH);
  for (guint i = 0; i < MIN (frames->len, MAX (search->options->alone, 1)); i++)
    if (!engine_comparison_push_frame (comparison, g_ptr_array_index (frames, i), NULL, error))
      return FALSE;
  if (!engine_comparison_alone (comparison, tell, search, search->cancellable, error))
    return FALSE;
  for (guint i = 0; i < search->choice->layers->len; i++) {
    const EngineTensorPair *pair =
        g_hash_table_lookup (comparison->by_name, engine_precision_layer_at (search, i)->tensor);

    engine_precision_layer_at (search, i)->damage = pow (10, -pair->alone_logits / 10);
  }
  g_array_sort (search->choice->layers, by_damage);
  return TRUE;
}

gboolean
engine_precision_rank (EnginePrecisionSearch *search, GError **error)
{
  const EngineBuildOptions exact = {.precision = ENGINE_PRECISION_FP32};
  g_autoptr (EngineComparison) network = NULL, all = NULL;

  search->exact =
      engine_build (search->model, &exact, NULL, NULL, NULL, search->cancellable, error);
  if (!search->exact || !(network = compare (search, TRUE, error)))
    return FALSE;
  engine_precision_set_progress (search, 0, ENGINE_PROGRESS_ALONE);
  if (!run_frames (search, network, "int8 and fp32", error) ||
      !(all = compare (search, FALSE, error)))
    return FALSE;
  engine_comparison_score (network, &search->choice->before);
  g_clear_pointer (&network, engine_comparison_free);
  list_layers (search, all);
  search->choice->met = meets (&search->choice->target, &search->choice->before);
  return rank_layers (search, all, error);
}
