/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bench.c: how fast an engine is on this machine. */
#include "tools/bench.h"

#include <string.h>

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

/* Runs for `seconds` after one warm-up run. */
static gboolean
measure (Bench *bench, double seconds, GError **error)
{
  if (!engine_exec_run (bench->exec, bench->batch, error))
    return FALSE;
  const gint64 end = g_get_monotonic_time () + (gint64) (seconds * 1e6);
  do {
    const gint64 start = g_get_monotonic_time ();
    if (!engine_exec_run (bench->exec, bench->batch, error))
      return FALSE;
    const double time = 1e-6 * (g_get_monotonic_time () - start);
    g_array_append_val (bench->times, time);
  } while (g_get_monotonic_time () < end);
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
  const double *t = (const double *) (gpointer) bench->times->data;
  const guint n = bench->times->len;
  double sum = 0;

  for (guint i = 0; i < n; i++)
    sum += t[i];
  g_print ("engine      %s, %s\nback end    %s: %s, %d thread%s\n", bench->path,
      engine_precision_name (engine_precision (bench->engine)), bench->backend->name,
      bench->backend->description, bench->threads, bench->threads == 1 ? "" : "s");
  g_print ("tactics     %s\n", engine_exec_tuning (bench->exec));
  g_print ("runs        %u of batch %d\nthroughput  %.1f images/s\n"
           "latency     min %.3f ms, median %.3f ms, p90 %.3f ms, p99 %.3f ms\n",
      n, bench->batch, bench->batch * n / sum, 1e3 * t[0], 1e3 * bench_median (bench->times),
      1e3 * t[n * 9 / 10], 1e3 * t[n * 99 / 100]);
}

/* An engine file, or a model: in FP32, or as it is quantised already. */
static Engine *
open_engine (const char *path, GError **error)
{
  if (!tool_is_model (path))
    return engine_load (path, NULL, error);
  g_autoptr (EngineModel) model = tool_model_load (path, error);
  const EngineBuildOptions options = {
      .precision = model && engine_model_is_quantised (model) ? ENGINE_PRECISION_INT8
                                                              : ENGINE_PRECISION_FP32};

  return model ? engine_build (model, &options, NULL, tool_progress, NULL, NULL, error) : NULL;
}

typedef struct {
  char *backend, *check, *sort, *json;
  int batch, threads;
  double seconds;
  gboolean profile, tune;
} Options;

static gboolean
parse (int *argc, char ***argv, Options *options, GError **error)
{
  const GOptionEntry entries[] = {
      {"backend", 0, 0, G_OPTION_ARG_STRING, &options->backend, "cpu (default), cuda, cuda:N or ref", "NAME"},
      {"check", 0, 0, G_OPTION_ARG_STRING, &options->check,
          "First compare the results of random images with those of another back end, byte by byte",
          "NAME"},
      {"batch", 'b', 0, G_OPTION_ARG_INT, &options->batch, "Images at once; default 1", "N"},
      {"threads", 0, 0, G_OPTION_ARG_INT, &options->threads, "Default: all CPUs of this process",
          "N"},
      {"tune", 0, 0, G_OPTION_ARG_NONE, &options->tune,
          "Time the ways to compute every convolution first, and use the fastest; the engine file "
          "stays as it is",
          NULL},
      {"seconds", 0, 0, G_OPTION_ARG_DOUBLE, &options->seconds, "How long to run; default 3", "S"},
      {"profile", 'p', 0, G_OPTION_ARG_NONE, &options->profile,
          "The time of every layer, too, in as many seconds again", NULL},
      {"sort", 0, 0, G_OPTION_ARG_STRING, &options->sort,
          "Layers as in the network (default) or by time", "network|time"},
      {"json", 0, 0, G_OPTION_ARG_FILENAME, &options->json, "Write all that is measured", "FILE"},
      {NULL},
  };

  if (!tool_parse_with_model (argc, argv, entries, "ENGINE.int8engine|MODEL",
          "Times an engine file, or a model: in FP32, or in INT8 where it is quantised already. The input lies in the memory of the back end; the time "
          "includes fetching the output and waiting for it.", error))
    return FALSE;
  if (*argc != 2)
    return tool_usage (error, "one engine or model is needed");
  if (options->batch < 1 || options->threads < 0 || !(options->seconds > 0))
    return tool_usage (error, "--batch and --seconds must be above 0, --threads not below");
  if (options->sort && !options->profile)
    return tool_usage (error, "--sort needs --profile");
  if (options->sort && !g_str_equal (options->sort, "network") &&
      !g_str_equal (options->sort, "time"))
    return tool_usage (error, "--sort is network or time, not %s", options->sort);
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

static gboolean
run (Bench *bench, const Options *options, GError **error)
{
  if (options->tune && !tune (bench, options->threads, error))
    return FALSE;
  bench->exec =
      engine_exec_new (bench->engine, bench->backend, bench->batch, options->threads, error);
  if (!bench->exec)
    return FALSE;
  bench->threads = bench->backend->queue_lanes
                       ? bench->backend->queue_lanes (engine_exec_queue (bench->exec))
                       : 1;
  if (!bench_fill_inputs (bench, bench->backend, bench->exec, error) ||
      (options->check && !bench_check (bench, options->check, error)))
    return FALSE;
  if (!measure (bench, options->seconds, error))
    return FALSE;
  if (options->profile &&
      (!measure_limits (bench, error) || !bench_profile (bench, options->seconds, error)))
    return FALSE;
  print_runs (bench);
  if (options->profile)
    bench_print_layers (bench, options->sort && g_str_equal (options->sort, "time"));
  return !options->json || bench_write_json (bench, options->json, error);
}

static gboolean
bench_engine (const char *path, const Options *options, GError **error)
{
  g_autoptr (Engine) engine = open_engine (path, error);

  if (!engine)
    return FALSE;
  Bench bench = {.path = path,
      .engine = engine,
      .backend = engine_backend_open (options->backend ? options->backend : "cpu", error),
      .batch = options->batch,
      .times = g_array_new (FALSE, FALSE, sizeof (double))};
  const gboolean ok = bench.backend && run (&bench, options, error);
  bench_layers_free (bench.layers);
  g_array_unref (bench.times);
  engine_exec_free (bench.exec);
  engine_backend_close (bench.backend);
  return ok;
}

gboolean
tool_bench (int argc, char **argv, GError **error)
{
  Options options = {.batch = 1, .seconds = 3};
  const gboolean ok =
      parse (&argc, &argv, &options, error) && bench_engine (argv[1], &options, error);

  g_free (options.backend);
  g_free (options.check);
  g_free (options.sort);
  g_free (options.json);
  return ok;
}
