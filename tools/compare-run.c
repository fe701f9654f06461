/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* compare-run.c: candidates, their engines, and the frames that go through all of them. */
#include "tools/compare.h"

#include <string.h>

static void
candidate_free (gpointer data)
{
  CompareCandidate *candidate = data;

  g_free (candidate->label);
  g_free (candidate->method);
  g_clear_pointer (&candidate->table, calib_table_free);
  engine_bias_free (candidate->bias);
  engine_layer_rules_free (candidate->rules);
  calib_provenance_clear (&candidate->provenance);
  engine_comparison_free (candidate->comparison);
  engine_unref (candidate->engine);
  g_free (candidate);
}

void
compare_clear (Compare *compare)
{
  g_clear_pointer (&compare->candidates, g_ptr_array_unref);
  g_clear_pointer (&compare->frames, g_ptr_array_unref);
  g_clear_pointer (&compare->images, g_ptr_array_unref);
  g_clear_pointer (&compare->statistics, calib_statistics_free);
  engine_layer_rules_free (compare->rules);
  g_clear_pointer (&compare->dynamic_ranges, calib_dynamic_ranges_free);
  engine_backend_close (compare->backend);
  engine_model_unref (compare->model);
  g_free (compare->model_path);
}

/* --- Candidates ----------------------------------------------------------------------------- */

/* Takes table and bias. Rules are those of all candidates. */
static CompareCandidate *
add_candidate (Compare *compare, const char *label, const char *method, CalibTable *table,
    EngineBias *bias, const CalibProvenance *provenance)
{
  CompareCandidate *candidate = g_new0 (CompareCandidate, 1);

  if (!compare->candidates)
    compare->candidates = g_ptr_array_new_with_free_func (candidate_free);
  candidate->label = g_strdup (label);
  candidate->method = g_strdup (method);
  candidate->table = table;
  candidate->bias = bias;
  candidate->rules = compare->rules ? engine_layer_rules_copy (compare->rules) : NULL;
  candidate->provenance = (CalibProvenance){
      .model_sha256 = g_strdup (provenance->model_sha256),
      .preprocess_sha256 = g_strdup (provenance->preprocess_sha256),
      .source = g_strdup (provenance->source),
      .tool = g_strdup (provenance->tool),
      .frames = provenance->frames,
  };
  g_ptr_array_add (compare->candidates, candidate);
  return candidate;
}

/* The rules beside the table, before those of all candidates. */
static gboolean
add_chosen_rules (CompareCandidate *candidate, GError **error)
{
  g_autofree char *path = engine_layer_rules_path (candidate->label);
  g_autoptr (EngineLayerRules) rules = engine_layer_rules_load (path, error);

  if (!rules) {
    g_prefix_error (error,
        "--precision mixed, whose rules --precision-target chooses and writes: ");
    return FALSE;
  }
  if (candidate->rules)
    engine_layer_rules_append (rules, candidate->rules);
  engine_layer_rules_free (candidate->rules);
  candidate->rules = g_steal_pointer (&rules);
  return TRUE;
}

/* What is not known is not compared. */
static gboolean
check_provenance (const Compare *compare, const char *label, const CalibProvenance *provenance,
    GError **error)
{
  g_autofree char *preprocess = engine_preprocess_sha256 (&compare->preprocess);
  const char *other = NULL;

  if (provenance->model_sha256 &&
      !g_str_equal (provenance->model_sha256, engine_model_sha256 (compare->model)))
    other = "model";
  else if (provenance->preprocess_sha256 &&
           !g_str_equal (provenance->preprocess_sha256, preprocess))
    other = "preprocessing";
  if (!other || compare->force)
    return TRUE;
  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MISMATCH,
      "'%s' was made with another %s; calibrate again, or use it as it is with --force", label,
      other);
  return FALSE;
}

gboolean
compare_add_table (Compare *compare, const char *path, GError **error)
{
  g_autoptr (CalibTable) table = calib_table_load (path, error);
  g_autoptr (EngineBias) bias = NULL;
  CalibProvenance provenance = {0};
  g_autoptr (GError) cause = NULL;

  if (!table)
    return FALSE;
  if (!compare->no_bias && !(bias = engine_bias_load (path, &cause)) && cause) {
    g_propagate_error (error, g_steal_pointer (&cause));
    return FALSE;
  }
  if (!calib_provenance_load (path, &provenance, &cause) && cause) {
    g_propagate_error (error, g_steal_pointer (&cause));
    return FALSE;
  }
  gboolean ok = check_provenance (compare, path, &provenance, error);
  if (ok) {
    CompareCandidate *candidate = add_candidate (compare, path, NULL, g_steal_pointer (&table),
        g_steal_pointer (&bias), &provenance);

    ok = !compare->mixed || add_chosen_rules (candidate, error);
  }
  calib_provenance_clear (&provenance);
  return ok;
}

void
compare_add_own (Compare *compare)
{
  static const CalibProvenance unknown;

  add_candidate (compare, "the model's own scales", NULL, NULL, NULL, &unknown);
}

/* The corrections that go with a table made from the statistics; NULL without an error for none. */
static EngineBias *
bias_of_method (const Compare *compare, const CalibTable *table, GError **error)
{
  g_autoptr (GPtrArray) frames = NULL;

  if (compare->no_bias)
    return NULL;
  if (!compare->full_bias)
    return engine_bias_fast (compare->model, compare->statistics, NULL);
  frames = engine_bias_frames (compare->model, compare->statistics, error);
  const EngineBiasOptions options = {.ranges = compare->build.ranges,
      .preprocess = &compare->preprocess,
      .frames = frames,
      .threads = compare->threads};
  return frames ? engine_bias_full (compare->model, table, &options, compare->backend, NULL, error)
                : NULL;
}

gboolean
compare_add_method (Compare *compare, const char *name, GError **error)
{
  const CalibProvenance *provenance = calib_statistics_provenance (compare->statistics);
  g_autoptr (GError) cause = NULL;
  g_autoptr (CalibTable) table = NULL;
  CalibMethod method;
  EngineBias *bias;

  if (!calib_method_from_name (name, &method))
    return tool_usage (error, "there is no method %s", name);
  if (!check_provenance (compare, "the statistics", provenance, error))
    return FALSE;
  table = engine_calibration_table (compare->model, compare->statistics, method,
      compare->percentile, 8601, error);
  if (!table) {
    g_prefix_error (error, "%s: ", name);
    return FALSE;
  }
  bias = bias_of_method (compare, table, &cause);
  if (cause) {
    g_propagate_prefixed_error (error, g_steal_pointer (&cause), "%s: ", name);
    return FALSE;
  }
  add_candidate (compare, name, name, g_steal_pointer (&table), bias, provenance);
  return TRUE;
}

CompareCandidate *
compare_best (const Compare *compare)
{
  CompareCandidate *best = g_ptr_array_index (compare->candidates, 0);
  EngineAgreementScore least, score;

  engine_comparison_score (best->comparison, &least);
  for (guint i = 1; i < compare->candidates->len; i++) {
    CompareCandidate *candidate = g_ptr_array_index (compare->candidates, i);

    engine_comparison_score (candidate->comparison, &score);
    if (score.kl_mean < least.kl_mean) {
      least = score;
      best = candidate;
    }
  }
  return best;
}

/* --- Running -------------------------------------------------------------------------------- */

static EngineBuildOptions
options_of (const Compare *compare, const CompareCandidate *candidate)
{
  EngineBuildOptions options = compare->build;

  options.table = candidate->table;
  options.bias = candidate->bias;
  options.rules = candidate->rules;
  options.precision = options.rules ? ENGINE_PRECISION_MIXED : ENGINE_PRECISION_INT8;
  return options;
}

static gboolean
prepare (Compare *compare, Engine *exact, CompareCandidate *candidate, GError **error)
{
  const EngineBuildOptions options = options_of (compare, candidate);
  const EngineCompareOptions how = {.preprocess = &compare->preprocess,
      .keep = compare->alone,
      .threads = compare->threads};

  candidate->engine = engine_build (compare->model, &options, NULL, NULL, NULL, NULL, error);
  if (candidate->engine)
    candidate->comparison =
        engine_comparison_new (exact, candidate->engine, compare->backend, &how, error);
  if (!candidate->comparison)
    g_prefix_error (error, "%s: ", candidate->label);
  return candidate->comparison != NULL;
}

typedef struct {
  Compare *compare;
  ToolInput *input;
  gsize values;
} Frames;

static gboolean
push_sample (const ToolSample *sample, gpointer data, GError **error)
{
  const Frames *frames = data;
  const GPtrArray *candidates = frames->compare->candidates;
  const CompareCandidate *first = g_ptr_array_index (candidates, 0);
  float *tensor = engine_comparison_input (first->comparison);

  if (!tool_input_write (frames->input, sample, tensor, error))
    return FALSE;
  if (compare_has_target (frames->compare))
    compare_collect_frame (frames->compare, tensor, frames->values);
  for (guint i = 0; i < candidates->len; i++) {
    EngineComparison *comparison =
        ((CompareCandidate *) g_ptr_array_index (candidates, i))->comparison;

    if (i > 0)
      memcpy (engine_comparison_input (comparison), tensor, frames->values * sizeof *tensor);
    if (!engine_comparison_push (comparison, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
run_images (Compare *compare, GError **error)
{
  ToolSamples samples = {.paths = compare->images,
      .skip = compare->skip,
      .max = compare->max_frames};
  const EngineInputInfo *input = &samples.input;

  engine_model_input (compare->model, &samples.input);
  g_autoptr (ToolInput) writer =
      tool_input_new (&compare->preprocess, input, ENGINE_TYPE_F32, 1, 0, compare->backend, error);
  Frames frames = {.compare = compare,
      .input = writer,
      .values = (gsize) input->height * input->width * input->channels};
  return writer && tool_samples_read (&samples, push_sample, &frames, error) >= 0;
}

/* The frames that the statistics keep. */
static gboolean
run_kept (Compare *compare, GError **error)
{
  const guint kept = calib_statistics_n_kept (compare->statistics);
  const guint n = compare->max_frames > 0 ? (guint) MIN (compare->max_frames, kept) : kept;

  for (guint f = 0; f < n; f++) {
    for (guint i = 0; i < compare->candidates->len; i++) {
      const CompareCandidate *candidate = g_ptr_array_index (compare->candidates, i);

      if (!engine_comparison_push_kept (candidate->comparison, compare->statistics, f, error))
        return FALSE;
    }
    tool_progress (f + 1, n, "kept frames", NULL);
  }
  return TRUE;
}

gboolean
compare_run (Compare *compare, GError **error)
{
  const EngineBuildOptions options = {.precision = ENGINE_PRECISION_FP32};
  g_autoptr (Engine) exact = engine_build (compare->model, &options, NULL, NULL, NULL, NULL, error);

  if (!exact)
    return FALSE;
  for (guint i = 0; i < compare->candidates->len; i++)
    if (!prepare (compare, exact, g_ptr_array_index (compare->candidates, i), error))
      return FALSE;
  return compare->images ? run_images (compare, error) : run_kept (compare, error);
}
