/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bench.c: how fast an engine is on this machine. The input is zeros: no kernel's time depends on
 * it. */
#include "tools/tool.h"

#include <string.h>

static int
compare_doubles (const void *a, const void *b)
{
  const double x = *(const double *) a, y = *(const double *) b;

  return (x > y) - (x < y);
}

static void
clear_inputs (EngineExec *exec, const Engine *engine, KernelBackend *backend, int batch)
{
  EngineInputInfo info;
  engine_input (engine, &info);
  const gsize size = (gsize) info.height * info.width * info.channels *
                     (engine_input_type (engine, NULL, NULL) == ENGINE_TYPE_F32 ? 4 : 1);
  g_autofree void *zeros = g_malloc0 (size);

  for (int i = 0; i < batch; i++)
    backend->upload (engine_exec_queue (exec), engine_exec_input (exec, i), zeros, size);
  backend->queue_wait (engine_exec_queue (exec));
}

/* Runs for `seconds` after one warm-up run; times hold seconds per run, sorted. */
static gboolean
measure (EngineExec *exec, int batch, double seconds, GArray *times, GError **error)
{
  if (!engine_exec_run (exec, batch, error))
    return FALSE;
  const gint64 end = g_get_monotonic_time () + (gint64) (seconds * 1e6);
  do {
    const gint64 start = g_get_monotonic_time ();
    if (!engine_exec_run (exec, batch, error))
      return FALSE;
    const double time = 1e-6 * (g_get_monotonic_time () - start);
    g_array_append_val (times, time);
  } while (g_get_monotonic_time () < end);
  g_array_sort (times, compare_doubles);
  return TRUE;
}

static void
print_times (const GArray *times, int batch)
{
  const double *t = (const double *) (gpointer) times->data;
  double sum = 0;

  for (guint i = 0; i < times->len; i++)
    sum += t[i];
  g_print ("runs        %u of batch %d\nthroughput  %.1f images/s\n"
           "latency     min %.3f ms, median %.3f ms, p90 %.3f ms, p99 %.3f ms\n",
      times->len, batch, batch * times->len / sum, 1e3 * t[0], 1e3 * t[times->len / 2],
      1e3 * t[times->len * 9 / 10], 1e3 * t[times->len * 99 / 100]);
}

/* The model in FP32, or an engine file. */
static Engine *
open_engine (const char *path, GError **error)
{
  if (!g_str_has_suffix (path, ".onnx"))
    return engine_load (path, NULL, error);
  g_autoptr (EngineModel) model = engine_model_load (path, error);
  const EngineBuildOptions options = {.precision = ENGINE_PRECISION_FP32};

  return model ? engine_build (model, &options, NULL, tool_progress, NULL, NULL, error) : NULL;
}

gboolean
tool_bench (int argc, char **argv, GError **error)
{
  g_autofree char *backend_name = g_strdup ("cpu");
  int batch = 1, threads = 0;
  double seconds = 3;
  const GOptionEntry entries[] = {
      {"backend", 0, 0, G_OPTION_ARG_STRING, &backend_name, "cpu (default) or ref", "NAME"},
      {"batch", 'b', 0, G_OPTION_ARG_INT, &batch, "Images at once; default 1", "N"},
      {"threads", 0, 0, G_OPTION_ARG_INT, &threads, "Default: all CPUs of this process", "N"},
      {"seconds", 0, 0, G_OPTION_ARG_DOUBLE, &seconds, "How long to run; default 3", "S"},
      {NULL},
  };
  char why[256];

  if (!tool_parse (&argc, &argv, entries, "ENGINE.int8engine|MODEL.onnx",
          "Times an engine file, or a model in FP32.", error))
    return FALSE;
  if (argc != 2)
    return tool_usage (error, "one engine or model is needed");
  if (batch < 1 || threads < 0 || !(seconds > 0))
    return tool_usage (error, "--batch and --seconds must be above 0, --threads not below");

  g_autoptr (Engine) engine = open_engine (argv[1], error);
  if (!engine)
    return FALSE;
  KernelBackend *backend = kernel_open (backend_name, why, sizeof why);
  if (!backend) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_BACKEND, "back end %s: %s", backend_name, why);
    return FALSE;
  }
  g_autoptr (GArray) times = g_array_new (FALSE, FALSE, sizeof (double));
  g_autoptr (EngineExec) exec = engine_exec_new (engine, backend, batch, threads, error);
  if (exec)
    clear_inputs (exec, engine, backend, batch);
  const gboolean ok = exec && measure (exec, batch, seconds, times, error);
  if (ok) {
    g_print ("engine      %s, %s\nback end    %s: %s\n", argv[1],
        engine_precision_name (engine_precision (engine)), backend->name, backend->description);
    print_times (times, batch);
  }
  g_clear_pointer (&exec, engine_exec_free);
  kernel_close (backend);
  return ok;
}
