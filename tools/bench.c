/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bench.c: how fast an engine is on this machine. */
#include "tools/bench.h"

#include <string.h>

#define MAX_SECONDS (366 * 24 * 3600.0)

static int
compare_doubles (const void *a, const void *b)
{
  const double x = *(const double *) a, y = *(const double *) b;

  return (x > y) - (x < y);
}

void
bench_sort (GArray *times)
{
  g_array_sort (times, compare_doubles);
}

double
bench_median (const GArray *sorted)
{
  return g_array_index (sorted, double, sorted->len / 2);
}

double
bench_mean (const GArray *times)
{
  double sum = 0;

  for (guint i = 0; i < times->len; i++)
    sum += g_array_index (times, double, i);
  return sum / times->len;
}

double
bench_percentile (const GArray *sorted, guint percent)
{
  return g_array_index (sorted, double, (guint) ((guint64) sorted->len * percent / 100));
}

static gboolean
warm_up (Bench *bench, double seconds, GError **error)
{
  const gint64 end = g_get_monotonic_time () + (gint64) (seconds * 1e6);

  do
    if (!engine_exec_run (bench->exec, bench->batch, error))
      return FALSE;
  while (g_get_monotonic_time () < end);
  return TRUE;
}

/* So long, and so many runs. */
static gboolean
measure (Bench *bench, const BenchSettings *settings, GError **error)
{
  if (!warm_up (bench, settings->warm_up, error))
    return FALSE;
  const gint64 end = g_get_monotonic_time () + (gint64) (settings->seconds * 1e6);
  do {
    const gint64 start = g_get_monotonic_time ();
    if (!engine_exec_run (bench->exec, bench->batch, error))
      return FALSE;
    const double time = 1e-6 * (g_get_monotonic_time () - start);
    g_array_append_val (bench->times, time);
  } while (g_get_monotonic_time () < end || bench->times->len < (guint) settings->iterations);
  bench_sort (bench->times);
  return TRUE;
}

/* Bursts of some 10 ms; the best of them counts, as other work can only slow them down. */
static void
measure_cpu (Bench *bench)
{
  for (int k = 0; k < PEAK_COUNT; k++) {
    const double operations = peak_operations (k) * bench->threads;

    for (int burst = 0; burst < 5 && operations > 0; burst++) {
      const long runs = 20;
      const double seconds = peak_seconds (k, bench->threads, runs);

      if (seconds > 0)
        bench->peak[k] = MAX (bench->peak[k], runs * operations / seconds);
    }
  }
}

static gboolean
measure_device (Bench *bench, GError **error)
{
  KernelQueue *queue = engine_exec_queue (bench->exec);
  const char *failure;

  if (!bench->backend->limits (queue, &bench->limits)) {
    failure = bench->backend->queue_wait (queue);
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_BACKEND,
        "%s: what the device can do at the most could not be measured: %s", bench->backend->name,
        failure ? failure : "no reason given");
    return FALSE;
  }
  bench->peak[PEAK_INT8] = bench->limits.int8;
  bench->peak[PEAK_FP16] = bench->limits.fp16;
  bench->peak[PEAK_FP32] = bench->limits.fp32;
  bench->bandwidth = bench->limits.bytes;
  return TRUE;
}

static gboolean
measure_limits (Bench *bench, GError **error)
{
  if (bench->backend->limits)
    return measure_device (bench, error);
  if (bench->backend->host_memory)
    measure_cpu (bench);
  return TRUE;
}

static void
print_runs (const Bench *bench)
{
  const GArray *t = bench->times;
  const double mean = bench_mean (t);

  g_print ("engine      %s, %s\nback end    %s: %s, %d thread%s\n", bench->path,
      engine_precision_name (engine_precision (bench->engine)), bench->backend->name,
      bench->backend->description, bench->threads, bench->threads == 1 ? "" : "s");
  g_print ("tactics     %s\n", engine_exec_tuning (bench->exec));
  g_print ("runs        %u of batch %d\nthroughput  %.1f images/s, %.1f qps\n", t->len,
      bench->batch, bench->batch / mean, 1 / mean);
  g_print ("latency     min %.3f ms, max %.3f ms, mean %.3f ms, median %.3f ms, p90 %.3f ms, "
           "p95 %.3f ms, p99 %.3f ms\n",
      1e3 * g_array_index (t, double, 0), 1e3 * g_array_index (t, double, t->len - 1), 1e3 * mean,
      1e3 * bench_median (t), 1e3 * bench_percentile (t, 90), 1e3 * bench_percentile (t, 95),
      1e3 * bench_percentile (t, 99));
}

static void
settings_clear (BenchSettings *s)
{
  char *const texts[] = {s->check, s->sort, s->json, s->save, s->export_profile, s->export_layers,
      s->export_output};

  tool_options_clear (&s->network);
  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    g_free (texts[i]);
}

static gboolean
parse (int *argc, char ***argv, BenchTrtexec *trtexec, BenchSettings *s, GError **error)
{
  const GOptionEntry entries[] = {
      {"check", 0, 0, G_OPTION_ARG_STRING, &s->check,
          "First compare the results of random images with those of another back end, byte by byte",
          "NAME"},
      {"tune", 0, 0, G_OPTION_ARG_NONE, &s->tune,
          "Time the ways to compute every convolution first, and use the fastest; the engine file "
          "stays as it is",
          NULL},
      {"seconds", 0, 0, G_OPTION_ARG_DOUBLE, &s->seconds, "How long to run; default 3", "S"},
      {"profile", 0, 0, G_OPTION_ARG_NONE, &s->print_profile,
          "The time of every layer, too, in as many seconds again", NULL},
      {"sort", 0, 0, G_OPTION_ARG_STRING, &s->sort, "Layers as in the network (default) or by time",
          "network|time"},
      {"json", 0, 0, G_OPTION_ARG_FILENAME, &s->json, "Write all that is measured", "FILE"},
      {NULL},
  };
  g_autoptr (GArray) more = bench_trtexec_entries (trtexec, s);
  const ToolSyntax syntax = {.arguments = "[ENGINE.int8engine|MODEL]",
      .summary =
          "Times an engine file, or a model: in INT8 with a table, ranges by hand or where it is quantised\n"
          "already, else in FP32, unless --precision or trtexec's options say another. The input is random and\n"
          "lies in the memory of the back end; the time includes fetching the output and waiting for it.",
      .entries = entries,
      .shared = TOOL_ALL,
      .more_heading = "As trtexec:",
      .more = (const GOptionEntry *) (gpointer) more->data,
      .example = "--onnx=model.onnx --int8 --calib=calib.table --shapes=input:8x3x224x224"};

  return bench_trtexec_know (*argc, *argv, error) &&
         tool_parse (argc, argv, &syntax, &s->network, error);
}

static gboolean
check_settings (const BenchSettings *s, GError **error)
{
  const char *const outputs[] = {s->json, s->save, s->export_profile, s->export_layers,
      s->export_output};

  if (!(s->seconds >= 0 && s->seconds <= MAX_SECONDS && s->warm_up >= 0 &&
          s->warm_up <= MAX_SECONDS) ||
      s->iterations < 1)
    return tool_usage (error, "--seconds, --duration and --warmUp are from 0 to a year, and "
                              "--iterations must be above 0");
  if (s->sort && !s->print_profile)
    return tool_usage (error, "--sort needs --profile");
  if (s->sort && !g_str_equal (s->sort, "network") && !g_str_equal (s->sort, "time"))
    return tool_usage (error, "--sort is network or time, not %s", s->sort);
  for (gsize i = 0; i < G_N_ELEMENTS (outputs); i++)
    if (!tool_check_output (&s->network, outputs[i], error))
      return FALSE;
  return TRUE;
}

static gboolean
tune (Bench *bench, int threads, GError **error)
{
  EngineTuneReport report;

  if (!engine_tune (bench->engine, bench->backend, bench->batch, threads, &report, tool_progress,
          NULL, NULL, error))
    return FALSE;
  if (report.timed)
    g_print ("tuning      %.2f s\n", report.seconds);
  return TRUE;
}

static gboolean export(const Bench *bench, const BenchSettings *s, GError **error)
{
  return (!s->export_output || bench_export_output (bench, s->export_output, error)) &&
         (!s->export_layers || bench_export_layers (bench, s->export_layers, error)) &&
         (!s->export_profile || bench_export_profile (bench, s->export_profile, error)) &&
         (!s->json || bench_write_json (bench, s->json, error));
}

static gboolean
run (Bench *bench, const BenchSettings *s, GError **error)
{
  const int threads = s->network.threads;

  if (s->tune && !tune (bench, threads, error))
    return FALSE;
  bench->exec = engine_exec_new (bench->engine, bench->backend, bench->batch, threads, error);
  if (!bench->exec)
    return FALSE;
  bench->threads = bench->backend->queue_lanes
                       ? bench->backend->queue_lanes (engine_exec_queue (bench->exec))
                       : 1;
  if (!bench_fill_inputs (bench, bench->backend, bench->exec, error) ||
      (s->check && !bench_check (bench, s->check, error)))
    return FALSE;
  if (!measure (bench, s, error))
    return FALSE;
  if (s->profile && (!measure_limits (bench, error) || !bench_profile (bench, s->seconds, error)))
    return FALSE;
  print_runs (bench);
  if (s->print_profile)
    bench_print_layers (bench, s->sort && g_str_equal (s->sort, "time"));
  if (s->print_output)
    bench_print_output (bench);
  return export(bench, s, error);
}

static gboolean
bench_settings (const BenchSettings *s, GError **error)
{
  Bench bench = {.path = s->network.model,
      .backend = tool_backend_open (&s->network, error),
      .batch = s->network.batch,
      .times = g_array_new (FALSE, FALSE, sizeof (double))};

  bench.engine = bench.backend ? bench_engine_open (s, bench.backend, error) : NULL;
  const gboolean ok = bench.engine && run (&bench, s, error);
  bench_layers_free (bench.layers);
  g_array_unref (bench.times);
  engine_exec_free (bench.exec);
  engine_unref (bench.engine);
  engine_backend_close (bench.backend);
  return ok;
}

gboolean
tool_bench (int argc, char **argv, GError **error)
{
  BenchSettings settings = {.seconds = 3, .iterations = 1};
  BenchTrtexec trtexec = {.duration = -G_MAXDOUBLE, .warm_up = -G_MAXDOUBLE, .iterations = G_MININT};
  gboolean ok = parse (&argc, &argv, &trtexec, &settings, error);

  if (ok && argc > 2)
    ok = tool_usage (error, "one engine or model is needed, not %d", argc - 1);
  ok = ok && bench_trtexec_apply (&trtexec, argc == 2 ? argv[1] : NULL, &settings, error) &&
       check_settings (&settings, error) && bench_settings (&settings, error);
  bench_trtexec_clear (&trtexec);
  settings_clear (&settings);
  return ok;
}
