/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * choose-precision.c: the search for the layers that stay in floats. The FP32 network runs once; every
 * step builds a mixed engine and runs it on all frames.
 *
 * How good the worst k layers in FP32 are need not grow with k: giving back one of two layers that share
 * a clipped tensor changes nothing. k is doubled until the target is met and then halved in between,
 * which ends at a k that meets it and a k - 1 that does not.
 */
#include "engine/choose-precision.h"

#include <math.h>
#include <string.h>

#include "engine/compare/private.h"
#include "engine/layer-rules.h"
#include "engine/model.h"

/* Shares of the progress, in thousandths: FP32 and INT8, layers alone, the search, taking back. */
#define PROGRESS_ALONE  150
#define PROGRESS_SEARCH 400
#define PROGRESS_TAKE   700
#define PROGRESS_ALL    1000

typedef struct {
  const EngineModel *model;
  const EnginePrecisionOptions *options;
  KernelBackend *backend;
  EnginePrecisionChoice *choice;
  Engine *exact;
  gsize n_classes;
  float *logits; /* of FP32, frame after frame */
  guint worst;   /* the first of the ranking that are considered */
  EngineProgressFn progress;
  gpointer data;
  guint from, to; /* of the progress: this step's */
  GCancellable *cancellable;
} Search;

static EnginePrecisionLayer *
layer_at (const Search *search, guint rank)
{
  return &g_array_index (search->choice->layers, EnginePrecisionLayer, rank);
}

/* --- Progress ------------------------------------------------------------------------------- */

static void
tell (guint done, guint total, const char *what, gpointer data)
{
  const Search *search = data;

  if (search->progress && total > 0)
    search->progress (search->from + (guint) ((guint64) (search->to - search->from) * done / total),
        PROGRESS_ALL, what, search->data);
}

static void
set_progress (Search *search, guint from, guint to)
{
  search->from = from;
  search->to = to;
}

/* --- The ranking ---------------------------------------------------------------------------- */

static guint64
all_operations (const EngineGraph *graph)
{
  guint64 n = 0;

  for (guint i = 0; i < graph->nodes->len; i++)
    if (engine_op_computes (engine_graph_node (graph, i)->op))
      n += engine_node_operations (graph, engine_graph_node (graph, i));
  return n;
}

/* In the order of the network. */
static void
list_layers (Search *search, const EngineComparison *comparison)
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
rank_layers (Search *search, EngineComparison *comparison, GError **error)
{
  const GPtrArray *frames = search->options->frames;

  set_progress (search, PROGRESS_ALONE, PROGRESS_SEARCH);
  for (guint i = 0; i < MIN (frames->len, MAX (search->options->alone, 1)); i++)
    if (!engine_comparison_push_frame (comparison, g_ptr_array_index (frames, i), NULL, error))
      return FALSE;
  if (!engine_comparison_alone (comparison, tell, search, search->cancellable, error))
    return FALSE;
  for (guint i = 0; i < search->choice->layers->len; i++) {
    const EngineTensorPair *pair =
        g_hash_table_lookup (comparison->by_name, layer_at (search, i)->tensor);

    layer_at (search, i)->damage = pow (10, -pair->alone_logits / 10);
  }
  g_array_sort (search->choice->layers, by_damage);
  return TRUE;
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
build (const Search *search, const EngineLayerRules *rules, GError **error)
{
  EngineBuildOptions options = *search->options->build;

  options.rules = engine_layer_rules_n_entries (rules) > 0 ? rules : NULL;
  options.precision = options.rules ? ENGINE_PRECISION_MIXED : ENGINE_PRECISION_INT8;
  return engine_build (search->model, &options, NULL, NULL, NULL, search->cancellable, error);
}

static EngineComparison *
compare (const Search *search, gboolean network_only, GError **error)
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
run_frames (Search *search, EngineComparison *comparison, const char *what, GError **error)
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

/* Measures the network with the layers as they are. */
static gboolean
take_step (Search *search, const char *without, gboolean *met, GError **error)
{
  EnginePrecisionStep step = {.worst = search->worst};
  g_autoptr (EngineComparison) comparison = compare (search, TRUE, error);
  g_autofree char *what = NULL;

  for (guint i = 0; i < search->choice->layers->len; i++)
    step.fp32 += layer_at (search, i)->fp32;
  what = g_strdup_printf ("%u layers in fp32", step.fp32);
  if (!comparison || !run_frames (search, comparison, what, error))
    return FALSE;
  engine_comparison_score (comparison, &step.score);
  *met = step.met = meets (&search->choice->target, &step.score);
  step.without = g_strdup (without);
  g_array_append_val (search->choice->steps, step);
  return TRUE;
}

/* --- The search ----------------------------------------------------------------------------- */

/* Tries the worst `worst`, the `n`th step of about `steps`. */
static gboolean
try_worst_of (Search *search, guint worst, guint n, guint steps, gboolean *met, GError **error)
{
  const guint at = MIN (n, steps - 1), share = PROGRESS_TAKE - PROGRESS_SEARCH;

  set_progress (search, PROGRESS_SEARCH + share * at / steps,
      PROGRESS_SEARCH + share * (at + 1) / steps);
  search->worst = worst;
  for (guint i = 0; i < search->choice->layers->len; i++)
    layer_at (search, i)->fp32 = i < worst;
  return take_step (search, NULL, met, error);
}

/* Leaves the worst in FP32 with whom the target is met; *met is FALSE where not even all do. */
static gboolean
find_worst (Search *search, gboolean *met, GError **error)
{
  const guint all = search->choice->layers->len, steps = 2 * g_bit_storage (all) + 1;
  guint low = 0, high = 0, n = 0; /* low does not meet it */

  *met = FALSE;
  while (!*met && high < all) {
    low = high;
    high = MIN (all, MAX (1, 2 * high));
    if (!try_worst_of (search, high, n++, steps, met, error))
      return FALSE;
  }
  while (*met && high - low > 1) {
    const guint middle = low + (high - low) / 2;
    gboolean enough;

    if (!try_worst_of (search, middle, n++, steps, &enough, error))
      return FALSE;
    *(enough ? &high : &low) = middle;
  }
  search->worst = high;
  for (guint i = 0; i < all; i++)
    layer_at (search, i)->fp32 = i < high;
  return TRUE;
}

/* The next layer to try as INT8 again: the least damage for its operations; of equals, the last. */
static guint
least_useful (const Search *search, const gboolean *tried)
{
  guint best = search->worst;
  double least = INFINITY;

  for (guint i = search->worst; i-- > 0;) {
    const EnginePrecisionLayer *layer = layer_at (search, i);
    const double use = layer->damage / (double) MAX (layer->operations, 1);

    if (!tried[i] && (best == search->worst || use < least)) {
      best = i;
      least = use;
    }
  }
  return best;
}

static gboolean
take_back (Search *search, GError **error)
{
  const guint n = search->worst;
  g_autofree gboolean *tried = g_new0 (gboolean, n);

  for (guint k = 0; k < n; k++) {
    const guint i = least_useful (search, tried);
    gboolean met;

    set_progress (search, PROGRESS_TAKE + (PROGRESS_ALL - PROGRESS_TAKE) * k / n,
        PROGRESS_TAKE + (PROGRESS_ALL - PROGRESS_TAKE) * (k + 1) / n);
    tried[i] = TRUE;
    layer_at (search, i)->fp32 = FALSE;
    if (!take_step (search, layer_at (search, i)->tensor, &met, error))
      return FALSE;
    layer_at (search, i)->fp32 = !met;
  }
  return TRUE;
}

static gboolean
is_better (const EnginePrecisionStep *a, const EnginePrecisionStep *b)
{
  if (a->met || b->met)
    return a->met;
  return a->score.top1 > b->score.top1 ||
         (a->score.top1 == b->score.top1 && a->score.sqnr > b->score.sqnr);
}

/* The last step that met the target, which is where the search ends; where none did, the best. */
static const EnginePrecisionStep *
best_step (const EnginePrecisionChoice *choice)
{
  const EnginePrecisionStep *best = NULL;

  for (guint i = 0; i < choice->steps->len; i++) {
    const EnginePrecisionStep *step = &g_array_index (choice->steps, EnginePrecisionStep, i);

    if (!best || is_better (step, best))
      best = step;
  }
  return best;
}

static gboolean
search_layers (Search *search, GError **error)
{
  EnginePrecisionChoice *choice = search->choice;
  gboolean met;

  if (!find_worst (search, &met, error))
    return FALSE;
  choice->met = met;
  if (met)
    return take_back (search, error);
  const EnginePrecisionStep *best = best_step (choice);
  for (guint i = 0; best && i < choice->layers->len; i++)
    layer_at (search, i)->fp32 = i < best->worst;
  return TRUE;
}

static void
conclude (Search *search)
{
  EnginePrecisionChoice *choice = search->choice;
  const guint64 all = MAX (all_operations (search->exact->graph), 1);
  const EnginePrecisionStep *step = best_step (choice);
  guint64 before = 0, after = 0;

  choice->after = step ? step->score : choice->before;
  choice->rules =
      engine_precision_rules (search->model, search->options->build->rules, choice->layers);
  for (guint i = 0; i < choice->layers->len; i++) {
    EnginePrecisionLayer *layer = layer_at (search, i);

    choice->n_fp32 += layer->fp32;
    before += layer->operations;
    after += layer->fp32 ? 0 : layer->operations;
  }
  choice->int8_before = (double) before / (double) all;
  choice->int8_after = (double) after / (double) all;
  if (search->progress)
    search->progress (PROGRESS_ALL, PROGRESS_ALL, "done", search->data);
}

static gboolean
run_search (Search *search, GError **error)
{
  const EngineBuildOptions exact = {.precision = ENGINE_PRECISION_FP32};
  g_autoptr (EngineComparison) network = NULL, all = NULL;

  search->exact =
      engine_build (search->model, &exact, NULL, NULL, NULL, search->cancellable, error);
  if (!search->exact || !(network = compare (search, TRUE, error)))
    return FALSE;
  set_progress (search, 0, PROGRESS_ALONE);
  if (!run_frames (search, network, "int8 and fp32", error) ||
      !(all = compare (search, FALSE, error)))
    return FALSE;
  engine_comparison_score (network, &search->choice->before);
  g_clear_pointer (&network, engine_comparison_free);
  list_layers (search, all);
  search->choice->met = meets (&search->choice->target, &search->choice->before);
  if (!rank_layers (search, all, error))
    return FALSE;
  g_clear_pointer (&all, engine_comparison_free);
  if (!search->choice->met && !search_layers (search, error))
    return FALSE;
  conclude (search);
  return TRUE;
}

static gboolean
check (const EnginePrecisionOptions *options, GError **error)
{
  const EnginePrecisionTarget *target = &options->target;

  if (!(target->top1 >= 0 && target->top1 <= 1 && target->sqnr >= 0 && isfinite (target->sqnr)) ||
      (target->top1 == 0 && target->sqnr == 0)) {
    g_set_error_literal (error, ENGINE_ERROR, ENGINE_ERROR_RULES,
        "a target is a share of frames above 0, at most 1, that agree with FP32, or an SQNR of the "
        "logits above 0 dB, or both");
    return FALSE;
  }
  if (options->frames->len > 0)
    return TRUE;
  g_set_error_literal (error, CALIB_ERROR, CALIB_ERROR_EMPTY,
      "layers are chosen by what they do to frames, and there are none: calibrate with int8calib "
      "keep-frames=200, or give images");
  return FALSE;
}

EnginePrecisionChoice *
engine_precision_choose (const EngineModel *model, const EnginePrecisionOptions *options,
    KernelBackend *backend, EngineProgressFn progress, gpointer data, GCancellable *cancellable,
    GError **error)
{
  g_autoptr (EnginePrecisionChoice) choice = engine_precision_choice_new (&options->target);
  Search search = {.model = model,
      .options = options,
      .backend = backend,
      .choice = choice,
      .progress = progress,
      .data = data,
      .cancellable = cancellable};
  gboolean ok;

  ok = check (options, error) && run_search (&search, error);
  engine_unref (search.exact);
  g_free (search.logits);
  return ok ? g_steal_pointer (&choice) : NULL;
}
