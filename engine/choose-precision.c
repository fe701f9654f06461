/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * choose-precision.c: the search for the layers that stay in floats. Every step builds a mixed engine and
 * runs it on all frames.
 *
 * How good the worst k layers in FP32 are need not grow with k: giving back one of two layers that share
 * a clipped tensor changes nothing. k is doubled until the target is met and then halved in between,
 * which ends at a k that meets it and a k - 1 that does not.
 */
#include "engine/precision-measure.h"

#include <math.h>

#include "engine/build.h"
#include "engine/layer-rules.h"

/* Tries the worst `worst`, the `n`th step of about `steps`. */
static gboolean
try_worst_of (EnginePrecisionSearch *search, guint worst, guint n, guint steps, gboolean *met,
    GError **error)
{
  const guint at = MIN (n, steps - 1), share = ENGINE_PROGRESS_TAKE - ENGINE_PROGRESS_SEARCH;

  engine_precision_set_progress (search, ENGINE_PROGRESS_SEARCH + share * at / steps,
      ENGINE_PROGRESS_SEARCH + share * (at + 1) / steps);
  search->worst = worst;
  for (guint i = 0; i < search->choice->layers->len; i++)
    engine_precision_layer_at (search, i)->fp32 = i < worst;
  return engine_precision_measure (search, NULL, met, error);
}

/* Leaves the worst in FP32 with whom the target is met; *met is FALSE where not even all do. */
static gboolean
find_worst (EnginePrecisionSearch *search, gboolean *met, GError **error)
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
    engine_precision_layer_at (search, i)->fp32 = i < high;
  return TRUE;
}

/* The next layer to try as INT8 again: the least damage for its operations; of equals, the last. */
static guint
least_useful (const EnginePrecisionSearch *search, const gboolean *tried)
{
  guint best = search->worst;
  double least = INFINITY;

  for (guint i = search->worst; i-- > 0;) {
    const EnginePrecisionLayer *layer = engine_precision_layer_at (search, i);
    const double use = layer->damage / (double) MAX (layer->operations, 1);

    if (!tried[i] && (best == search->worst || use < least)) {
      best = i;
      least = use;
    }
  }
  return best;
}

static gboolean
take_back (EnginePrecisionSearch *search, GError **error)
{
  const guint n = search->worst;
  g_autofree gboolean *tried = g_new0 (gboolean, n);

  for (guint k = 0; k < n; k++) {
    const guint i = least_useful (search, tried);
    gboolean met;

    engine_precision_set_progress (search,
        ENGINE_PROGRESS_TAKE + (ENGINE_PROGRESS_ALL - ENGINE_PROGRESS_TAKE) * k / n,
        ENGINE_PROGRESS_TAKE + (ENGINE_PROGRESS_ALL - ENGINE_PROGRESS_TAKE) * (k + 1) / n);
    tried[i] = TRUE;
    engine_precision_layer_at (search, i)->fp32 = FALSE;
    if (!engine_precision_measure (search, engine_precision_layer_at (search, i)->tensor, &met,
            error))
      return FALSE;
    engine_precision_layer_at (search, i)->fp32 = !met;
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
search_layers (EnginePrecisionSearch *search, GError **error)
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
    engine_precision_layer_at (search, i)->fp32 = i < best->worst;
  return TRUE;
}

static guint64
all_operations (const EngineGraph *graph)
{
  guint64 n = 0;

  for (guint i = 0; i < graph->nodes->len; i++)
    if (engine_op_computes (engine_graph_node (graph, i)->op))
      n += engine_node_operations (graph, engine_graph_node (graph, i));
  return n;
}

static void
conclude (EnginePrecisionSearch *search)
{
  EnginePrecisionChoice *choice = search->choice;
  const guint64 all = MAX (all_operations (search->exact->graph), 1);
  const EnginePrecisionStep *step = best_step (choice);
  guint64 before = 0, after = 0;

  choice->after = step ? step->score : choice->before;
  choice->rules =
      engine_precision_rules (search->model, search->options->build->rules, choice->layers);
  for (guint i = 0; i < choice->layers->len; i++) {
    EnginePrecisionLayer *layer = engine_precision_layer_at (search, i);

    choice->n_fp32 += layer->fp32;
    before += layer->operations;
    after += layer->fp32 ? 0 : layer->operations;
  }
  choice->int8_before = (double) before / (double) all;
  choice->int8_after = (double) after / (double) all;
  if (search->progress)
    search->progress (ENGINE_PROGRESS_ALL, ENGINE_PROGRESS_ALL, "done", search->data);
}

static gboolean
run_search (EnginePrecisionSearch *search, GError **error)
{
  if (!engine_precision_rank (search, error) ||
      (!search->choice->met && !search_layers (search, error)))
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
  EnginePrecisionSearch search = {.model = model,
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
