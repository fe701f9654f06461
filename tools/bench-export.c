/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bench-export.c: outputs, layers and profile in the forms of trtexec's JSON files. */
#include "tools/bench.h"
#include "tools/json.h"

/* --- Outputs -------------------------------------------------------------------------------- */

void
bench_print_output (const Bench *bench)
{
  const int n = engine_n_classes (bench->engine);

  g_print ("output      %s, %d x %d\n", engine_output_name (bench->engine), bench->batch, n);
  for (int image = 0; image < bench->batch; image++) {
    const float *y = engine_exec_output (bench->exec, image);

    for (int i = 0; i < n; i++)
      g_print ("%s%.9g", i ? " " : "", y[i]);
    g_print ("\n");
  }
}

gboolean
bench_export_output (const Bench *bench, const char *path, GError **error)
{
  g_autoptr (JsonBuilder) json = json_builder_new ();
  const int n = engine_n_classes (bench->engine);
  g_autofree char *dimensions = g_strdup_printf ("%dx%d", bench->batch, n);

  json_builder_begin_array (json);
  json_builder_begin_object (json);
  tool_json_string (json, "name", engine_output_name (bench->engine));
  tool_json_string (json, "dimensions", dimensions);
  json_builder_set_member_name (json, "values");
  json_builder_begin_array (json);
  for (int image = 0; image < bench->batch; image++)
    for (int i = 0; i < n; i++)
      json_builder_add_double_value (json, engine_exec_output (bench->exec, image)[i]);
  json_builder_end_array (json);
  json_builder_end_object (json);
  json_builder_end_array (json);
  return tool_json_write (json, path, error);
}

/* --- Layers --------------------------------------------------------------------------------- */

/* hwc with the batch in front. */
static void
add_tensor (JsonBuilder *json, const char *name, int batch, const int hwc[3])
{
  json_builder_set_member_name (json, name);
  json_builder_begin_array (json);
  json_builder_begin_object (json);
  json_builder_set_member_name (json, "Dimensions");
  json_builder_begin_array (json);
  json_builder_add_int_value (json, batch);
  for (int i = 0; i < 3; i++)
    json_builder_add_int_value (json, hwc[i]);
  json_builder_end_array (json);
  json_builder_end_object (json);
  json_builder_end_array (json);
}

static const EngineLayer *
find_layer (const GArray *layers, const char *name)
{
  for (guint i = 0; i < layers->len; i++)
    if (g_str_equal (g_array_index (layers, EngineLayer, i).name, name))
      return &g_array_index (layers, EngineLayer, i);
  return NULL; /* a conversion or a move */
}

static void
add_layer (JsonBuilder *json, const Bench *bench, const GArray *layers, guint step)
{
  EngineStepInfo info;

  engine_exec_step (bench->exec, step, &info);
  const EngineLayer *layer = find_layer (layers, info.name);

  json_builder_begin_object (json);
  tool_json_string (json, "Name", info.name);
  tool_json_string (json, "LayerType", info.kernel);
  add_tensor (json, "Inputs", bench->batch, info.x);
  add_tensor (json, "Outputs", bench->batch, info.y);
  if (info.tactic)
    tool_json_string (json, "TacticName", info.tactic);
  if (layer) {
    g_autofree char *reason = engine_layer_reason (bench->engine, layer);

    tool_json_string (json, "Precision", engine_precision_name (layer->precision));
    if (reason)
      tool_json_string (json, "PrecisionReason", reason);
  }
  json_builder_end_object (json);
}

gboolean
bench_export_layers (const Bench *bench, const char *path, GError **error)
{
  g_autoptr (JsonBuilder) json = json_builder_new ();
  g_autoptr (GArray) layers = engine_layers (bench->engine);
  EngineInputInfo input;

  engine_input (bench->engine, &input);
  json_builder_begin_object (json);
  json_builder_set_member_name (json, "Layers");
  json_builder_begin_array (json);
  for (guint i = 0; i < engine_exec_n_steps (bench->exec); i++)
    add_layer (json, bench, layers, i);
  json_builder_end_array (json);
  json_builder_set_member_name (json, "Bindings");
  json_builder_begin_array (json);
  json_builder_add_string_value (json, input.name);
  json_builder_add_string_value (json, engine_output_name (bench->engine));
  json_builder_end_array (json);
  json_builder_end_object (json);
  return tool_json_write (json, path, error);
}

/* --- Profile -------------------------------------------------------------------------------- */

gboolean
bench_export_profile (const Bench *bench, const char *path, GError **error)
{
  g_autoptr (JsonBuilder) json = json_builder_new ();
  double all = 0;
  guint runs = 0;

  for (guint i = 0; i < bench->layers->len; i++) {
    const GArray *times = g_array_index (bench->layers, BenchLayer, i).times;

    all += bench_mean (times);
    runs = times->len;
  }
  json_builder_begin_array (json);
  json_builder_begin_object (json);
  json_builder_set_member_name (json, "count");
  json_builder_add_int_value (json, runs);
  json_builder_end_object (json);
  for (guint i = 0; i < bench->layers->len; i++) {
    const BenchLayer *layer = &g_array_index (bench->layers, BenchLayer, i);
    const double mean = bench_mean (layer->times);

    json_builder_begin_object (json);
    tool_json_string (json, "name", layer->info.name);
    tool_json_double (json, "timeMs", 1e3 * mean * layer->times->len);
    tool_json_double (json, "averageMs", 1e3 * mean);
    tool_json_double (json, "medianMs", 1e3 * layer->seconds);
    tool_json_double (json, "percentage", all > 0 ? 100 * mean / all : 0);
    json_builder_end_object (json);
  }
  json_builder_end_array (json);
  return tool_json_write (json, path, error);
}
