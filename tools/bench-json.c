/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bench-json.c: what bench measured, for programs. Seconds, bytes and operations; no rounding. */
#include "tools/bench.h"
#include "tools/json.h"

static void
add_dims (JsonBuilder *json, const char *name, const int hwc[3])
{
  json_builder_set_member_name (json, name);
  json_builder_begin_array (json);
  for (int i = 0; i < 3; i++)
    json_builder_add_int_value (json, hwc[i]);
  json_builder_end_array (json);
}

static void
add_runs (JsonBuilder *json, const Bench *bench)
{
  const double *t = (const double *) (gpointer) bench->times->data;
  const guint n = bench->times->len;
  const double mean = bench_mean (bench->times);

  json_builder_set_member_name (json, "runs");
  json_builder_begin_object (json);
  tool_json_int (json, "count", n);
  tool_json_double (json, "images-per-second", bench->batch / mean);
  tool_json_double (json, "min", t[0]);
  tool_json_double (json, "max", t[n - 1]);
  tool_json_double (json, "mean", mean);
  tool_json_double (json, "median", bench_median (bench->times));
  tool_json_double (json, "p90", bench_percentile (bench->times, 90));
  tool_json_double (json, "p95", bench_percentile (bench->times, 95));
  tool_json_double (json, "p99", bench_percentile (bench->times, 99));
  json_builder_end_object (json);
}

static void
add_peak (JsonBuilder *json, const Bench *bench)
{
  static const char *const names[] = {"int8", "fp16", "fp32"};
  const char *const of_device[] = {bench->limits.int8_instruction, bench->limits.fp16_instruction,
      bench->limits.fp32_instruction};

  json_builder_set_member_name (json, "peak");
  json_builder_begin_object (json);
  for (int k = 0; k < PEAK_COUNT; k++) {
    if (bench->peak[k] <= 0)
      continue;
    json_builder_set_member_name (json, names[k]);
    json_builder_begin_object (json);
    tool_json_string (json, "instruction",
        bench->backend->host_memory ? peak_instruction (k) : of_device[k]);
    tool_json_double (json, "operations-per-second", bench->peak[k]);
    json_builder_end_object (json);
  }
  if (bench->bandwidth > 0)
    tool_json_double (json, "bytes-per-second", bench->bandwidth);
  json_builder_end_object (json);
}

static void
add_layer (JsonBuilder *json, const Bench *bench, const BenchLayer *layer)
{
  const EngineStepInfo *info = &layer->info;

  json_builder_begin_object (json);
  tool_json_string (json, "name", info->name);
  tool_json_string (json, "op", layer->op);
  tool_json_string (json, "kernel", info->kernel);
  add_dims (json, "x", info->x);
  add_dims (json, "y", info->y);
  if (info->kh > 0) {
    tool_json_int (json, "kh", info->kh);
    tool_json_int (json, "kw", info->kw);
    tool_json_int (json, "stride", info->stride);
  }
  if (info->groups > 0) {
    tool_json_int (json, "groups", info->groups);
    tool_json_string (json, "tactic", info->tactic);
    tool_json_double (json, "operations", info->operations * bench->batch);
  }
  tool_json_double (json, "bytes", info->image_bytes * bench->batch + info->constant_bytes);
  tool_json_double (json, "min", g_array_index (layer->times, double, 0));
  tool_json_double (json, "median", layer->seconds);
  if (bench->bandwidth > 0)
    tool_json_double (json, "roof", bench_layer_roof (bench, layer));
  json_builder_end_object (json);
}

gboolean
bench_write_json (const Bench *bench, const char *path, GError **error)
{
  g_autoptr (JsonBuilder) json = json_builder_new ();

  json_builder_begin_object (json);
  tool_json_string (json, "version", INT8_VERSION);
  tool_json_string (json, "engine", bench->path);
  tool_json_string (json, "precision", engine_precision_name (engine_precision (bench->engine)));
  tool_json_string (json, "backend", bench->backend->name);
  tool_json_string (json, "description", bench->backend->description);
  tool_json_int (json, "batch", bench->batch);
  tool_json_int (json, "threads", bench->threads);
  tool_json_string (json, "tactics", engine_exec_tuning (bench->exec));
  add_runs (json, bench);
  if (bench->layers) {
    add_peak (json, bench);
    json_builder_set_member_name (json, "layers");
    json_builder_begin_array (json);
    for (guint i = 0; i < bench->layers->len; i++)
      add_layer (json, bench, &g_array_index (bench->layers, BenchLayer, i));
    json_builder_end_array (json);
  }
  json_builder_end_object (json);
  return tool_json_write (json, path, error);
}
