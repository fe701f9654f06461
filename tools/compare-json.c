/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* compare-json.c: a comparison as JSON. Infinite figures are null; what was not measured is absent. */
#include "tools/compare.h"

#include <json-glib/json-glib.h>
#include <math.h>

static void
add_text (JsonBuilder *builder, const char *name, const char *text)
{
  g_autofree char *valid = text ? g_utf8_make_valid (text, -1) : NULL;

  if (!valid)
    return;
  json_builder_set_member_name (builder, name);
  json_builder_add_string_value (builder, valid);
}

static void
add_number (JsonBuilder *builder, const char *name, double x)
{
  if (isnan (x))
    return;
  json_builder_set_member_name (builder, name);
  if (isinf (x))
    json_builder_add_null_value (builder);
  else
    json_builder_add_double_value (builder, x);
}

static void
add_integer (JsonBuilder *builder, const char *name, gint64 x)
{
  json_builder_set_member_name (builder, name);
  json_builder_add_int_value (builder, x);
}

static void
add_network (JsonBuilder *builder, const CompareCandidate *candidate)
{
  EngineAgreementScore s;

  engine_comparison_score (candidate->comparison, &s);
  json_builder_begin_object (builder);
  add_text (builder, "calibration", candidate->label);
  add_text (builder, "method", candidate->method);
  add_integer (builder, "frames", (gint64) s.frames);
  add_number (builder, "top1", s.top1);
  add_number (builder, "top5", s.top5);
  add_number (builder, "sqnr", s.sqnr);
  add_number (builder, "kl-mean", s.kl_mean);
  add_number (builder, "kl-p99", s.kl_p99);
  json_builder_end_object (builder);
}

static void
add_tensor (JsonBuilder *builder, const EngineTensorScore *t)
{
  json_builder_begin_object (builder);
  add_text (builder, "tensor", t->name);
  add_text (builder, "layer", t->layer);
  add_text (builder, "op", t->op);
  add_text (builder, "precision", engine_precision_name (t->precision));
  add_number (builder, "sqnr", t->sqnr);
  add_number (builder, "cosine", t->cosine);
  add_number (builder, "largest", t->largest);
  add_number (builder, "alone", t->alone);
  add_number (builder, "alone-logits", t->alone_logits);
  if (t->int8) {
    add_number (builder, "scale", t->scale);
    add_integer (builder, "zero", t->zero);
    add_number (builder, "saturated", t->saturated);
    add_number (builder, "clip-noise", t->clip_noise);
    add_integer (builder, "levels", t->levels);
    add_integer (builder, "channels", t->channels);
    add_integer (builder, "dead", t->dead);
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
    add_text (builder, "tensor", score.name);
    add_number (builder, "damage", suspect->damage);
    add_text (builder, "why", suspect->why);
    add_text (builder, "layer-precision", suspect->precision);
    add_text (builder, "dynamic-range", suspect->range);
    json_builder_end_object (builder);
  }
  json_builder_end_array (builder);
}

gboolean
compare_write_json (const Compare *compare, const CompareCandidate *detailed, const char *path,
    GError **error)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  g_autoptr (JsonGenerator) generator = json_generator_new ();
  g_autofree char *preprocess = engine_preprocess_to_string (&compare->preprocess), *text = NULL;
  gsize size;

  json_builder_begin_object (builder);
  add_text (builder, "model", compare->model_path);
  add_text (builder, "model-sha256", engine_model_sha256 (compare->model));
  add_text (builder, "preprocess", preprocess);
  json_builder_set_member_name (builder, "calibrations");
  json_builder_begin_array (builder);
  for (guint i = 0; i < compare->candidates->len; i++)
    add_network (builder, g_ptr_array_index (compare->candidates, i));
  json_builder_end_array (builder);
  add_text (builder, "detailed", detailed->label);
  add_tensors (builder, detailed->comparison);
  add_suspects (builder, detailed->comparison);
  json_builder_end_object (builder);

  g_autoptr (JsonNode) root = json_builder_get_root (builder);
  json_generator_set_root (generator, root);
  json_generator_set_pretty (generator, TRUE);
  text = json_generator_to_data (generator, &size);
  return calib_file_replace (path, text, size, error);
}
