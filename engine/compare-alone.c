/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * compare-alone.c: one layer at a time. For each an engine is built in which this layer alone is
 * int8, its output stored as it is in the engine that is judged.
 */
#include "engine/compare-private.h"

#include <string.h>

typedef struct {
  EngineComparison *comparison;
  EngineTensorPair *pair; /* of the layer */
  EngineAgreement *agreement;
  EngineTensorSums sums;
} Alone;

static void
tap_alone (const EngineTap *tap, gpointer data)
{
  Alone *alone = data;
  const EngineComparison *comparison = alone->comparison;

  if (g_str_equal (tap->name, alone->pair->name))
    engine_tensor_sums_add (&alone->sums, alone->pair, tap);
  if (g_str_equal (tap->name, comparison->pairs[comparison->logits].name))
    engine_tap_floats (tap, comparison->judged_logits);
}

/* Runs every kept frame through both networks. */
static gboolean
run_frames (Alone *alone, Engine *engine, EngineExec *exec, GCancellable *cancellable,
    GError **error)
{
  EngineComparison *comparison = alone->comparison;
  const EngineTensorPair *logits = &comparison->pairs[comparison->logits];
  float *input = engine_comparison_input (comparison);

  for (guint i = 0; i < comparison->kept->len; i++) {
    const float *frame = g_ptr_array_index (comparison->kept, i);

    if (g_cancellable_set_error_if_cancelled (cancellable, error))
      return FALSE;
    memcpy (input, frame, comparison->input_elements * sizeof *input);
    engine_comparison_fill (comparison, engine, exec, frame);
    if (!engine_exec_run (comparison->exact_exec, 1, error) || !engine_exec_run (exec, 1, error))
      return FALSE;
    engine_agreement_add (alone->agreement, logits->exact, comparison->judged_logits);
  }
  return TRUE;
}

static Engine *
build_alone (const EngineTensorPair *pair, const EngineModel *model,
    const EngineBuildOptions *options, GCancellable *cancellable, GError **error)
{
  g_autoptr (EngineLayerRules) rules = engine_layer_rules_new ();
  g_autofree char *pattern = engine_layer_pattern (pair->name);
  EngineBuildOptions alone = *options;

  engine_layer_rules_add (rules, "*", ENGINE_PRECISION_FP32);
  engine_layer_rules_add (rules, pattern, ENGINE_PRECISION_INT8);
  engine_layer_rules_add_output (rules, pattern, pair->int8 ? ENGINE_TYPE_S8 : ENGINE_TYPE_F32);
  alone.precision = ENGINE_PRECISION_MIXED;
  alone.rules = rules;
  alone.strict = FALSE;
  return engine_build (model, &alone, NULL, NULL, NULL, cancellable, error);
}

static gboolean
measure (EngineComparison *comparison, EngineTensorPair *pair, const EngineModel *model,
    const EngineBuildOptions *options, GCancellable *cancellable, GError **error)
{
  const guint n_classes = comparison->pairs[comparison->logits].elements;
  g_autoptr (EngineAgreement) agreement = engine_agreement_new (n_classes, ENGINE_SCORES_LOGITS);
  Alone alone = {comparison, pair, agreement};
  g_autoptr (Engine) engine = build_alone (pair, model, options, cancellable, error);
  g_autoptr (EngineExec) exec = NULL;
  EngineAgreementScore score;

  if (!engine)
    return FALSE;
  exec = engine_exec_new_tapped (engine, comparison->backend, 1, comparison->threads, tap_alone,
      &alone, error);
  if (!exec)
    return FALSE;
  engine_tensor_sums_init (&alone.sums, pair->channels);
  if (!run_frames (&alone, engine, exec, cancellable, error)) {
    engine_tensor_sums_clear (&alone.sums);
    return FALSE;
  }
  engine_tensor_sums_clear (&pair->alone);
  pair->alone = alone.sums;
  engine_agreement_score (agreement, &score);
  pair->alone_logits = score.sqnr;
  return TRUE;
}

gboolean
engine_comparison_alone (EngineComparison *comparison, const EngineModel *model,
    const EngineBuildOptions *options, EngineProgressFn progress, gpointer data,
    GCancellable *cancellable, GError **error)
{
  guint done = 0, total = 0;

  g_return_val_if_fail (!comparison->network_only, FALSE);

  if (comparison->kept->len == 0) {
    g_set_error_literal (error, CALIB_ERROR, CALIB_ERROR_EMPTY,
        "layers cannot be run alone: no frame was kept");
    return FALSE;
  }
  for (guint i = 0; i < comparison->n_pairs; i++)
    total +=
        engine_comparison_precision (comparison, &comparison->pairs[i]) == ENGINE_PRECISION_INT8;
  for (guint i = 0; i < comparison->n_pairs; i++) {
    EngineTensorPair *pair = &comparison->pairs[i];

    if (engine_comparison_precision (comparison, pair) != ENGINE_PRECISION_INT8)
      continue;
    if (progress)
      progress (done++, total, pair->name, data);
    if (!measure (comparison, pair, model, options, cancellable, error)) {
      g_prefix_error (error, "only '%s' as int8: ", pair->name);
      return FALSE;
    }
  }
  if (progress)
    progress (total, total, "done", data);
  return TRUE;
}
