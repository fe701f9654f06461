/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* compare-json.c: a comparison as JSON. Infinite figures are null; what was not measured is absent. */
#include "tools/compare.h"
#include "tools/json.h"

static void
add_network (JsonBuilder *builder, const CompareCandidate *candidate)
{
  EngineAgreementScore s;

  engine_comparison_score (candidate->comparison, &s);
  json_builder_begin_object (builder);
  tool_json_string (builder, "calibration", candidate->label);
  tool_json_string (builder, "method", candidate->method);
  tool_json_int (builder, "frames", (gint64) s.frames);
  tool_json_double (builder, "top1", s.top1);
  tool_json_double (builder, "top5", s.top5);
  tool_json_double (builder, "sqnr", s.sqnr);
  tool_json_double (builder, "kl-mean", s.kl_mean);
  tool_json_double (builder, "kl-p99", s.kl_p99);
  json_builder_end_object (builder);
}

static void
add_tensor (JsonBuilder *builder, const EngineTensorScore *t)
{
  json_builder_begin_object (builder);
  tool_json_string (builder, "tensor", t->name);
  tool_json_string (builder, "layer", t->layer);
  tool_json_string (builder, "op", t->op);
  tool_json_string (builder, "precision", engine_precision_name (t->precision));
  tool_json_double (builder, "sqnr", t->sqnr);
  tool_json_double (builder, "cosine", t->cosine);
  tool_json_double (builder, "largest", t->largest);
  tool_json_double (builder, "alone", t->alone);
  tool_json_double (builder, "alone-logits", t->alone_logits);
  if (t->int8) {
    tool_json_double (builder, "scale", t->scale);
    tool_json_int (builder, "zero", t->zero);
    tool_json_double (builder, "saturated", t->saturated);
    tool_json_double (builder, "clip-noise", t->clip_noise);
    tool_json_int (builder, "levels", t->levels);
    tool_json_int (builder, "channels", t->channels);
    tool_json_int (builder, "dead", t->dead);
  }
  json_builder_end_object (builder);
}

static void
add_tensors (JsonBuilder *builder, const EngineComparison *comparison)
{
  json_builder_set_member_name (builder, "tensors");
  json_builder_begin_array (builder);
  for (guint i = 0; i < engine_comparison_n_tensors (comparison); i++) {
    EngineTensorScore score;

    engine_comparison_tensor (comparison, i, &score);
    add_tensor (builder, &score);
  }
  json_builder_end_array (builder);
}

static void
add_suspects (JsonBuilder *builder, const EngineComparison *comparison)
{
  g_autoptr (GPtrArray) suspects = engine_comparison_suspects (comparison);

  json_builder_set_member_name (builder, "suspects");
  json_builder_begin_array (builder);
  for (guint i = 0; i < suspects->len; i++) {
    const EngineSuspect *suspect = g_ptr_array_index (suspects, i);
    EngineTensorScore score;

    engine_comparison_tensor (comparison, suspect->tensor, &score);
    json_builder_begin_object (builder);
    tool_json_string (builder, "tensor", score.name);
    tool_json_double (builder, "damage", suspect->damage);
    tool_json_string (builder, "why", suspect->why);
    tool_json_string (builder, "layer-precision", suspect->precision);
    tool_json_string (builder, "dynamic-range", suspect->range);
    json_builder_end_object (builder);
  }
  json_builder_end_array (builder);
}

gboolean
compare_write_json (const Compare *compare, const CompareCandidate *detailed, const char *path,
    GError **error)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  g_autofree char *preprocess = engine_preprocess_to_string (&compare->preprocess);

  json_builder_begin_object (builder);
  tool_json_string (builder, "model", compare->model_path);
  tool_json_string (builder, "model-sha256", engine_model_sha256 (compare->model));
  tool_json_string (builder, "preprocess", preprocess);
  json_builder_set_member_name (builder, "calibrations");
  json_builder_begin_array (builder);
  for (guint i = 0; i < compare->candidates->len; i++)
    add_network (builder, g_ptr_array_index (compare->candidates, i));
  json_builder_end_array (builder);
  tool_json_string (builder, "detailed", detailed->label);
  add_tensors (builder, detailed->comparison);
  add_suspects (builder, detailed->comparison);
  json_builder_end_object (builder);
  return tool_json_write (builder, path, error);
}
