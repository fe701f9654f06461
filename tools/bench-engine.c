/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bench-engine.c: the engine to time: a file of one, or built of a model as the options say. */
#include "tools/bench.h"

#include <string.h>

static void
set_needs_ranges (const char *path, GError **error)
{
  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_RANGE,
      "--int8 needs ranges: %s is not quantised already, and there is no calibration table. Random "
      "ranges would time a network that nobody runs. Make a table with\n"
      "  gst-int8-1.0 calibrate %s --images FOLDER --table calib.table\n"
      "and add --calib=calib.table",
      path, path);
}

/* What trtexec's flags say, or their absence. --best is the fastest that there are ranges and kernels for;
 * halves are no faster on CPUs. NULL: an error. */
static const char *
precision_of_flags (const BenchSettings *s, const EngineModel *model, const KernelBackend *backend,
    GError **error)
{
  const gboolean has_ranges = tool_has_ranges (&s->network, model);
  const gboolean halves = backend->ops->conv_f16 && !backend->host_memory;

  if (!s->int8 && !s->fp16 && !s->best)
    return tool_precision (&s->network, model, "int8", error);
  if (s->int8 && !has_ranges) {
    set_needs_ranges (s->network.model, error);
    return NULL;
  }
  if (s->int8 || (s->best && has_ranges)) {
    if (s->fp16 || s->best)
      g_printerr ("what is not int8 is fp32: networks of int8 and fp16 are not built\n");
    return "int8";
  }
  const char *precision = s->fp16 && !s->best ? "fp16" : s->best && halves ? "fp16" : "fp32";
  if (s->best)
    g_printerr ("--best without --calib is %s here: int8 needs a table\n", precision);
  return precision;
}

static void
print_lines (const char *what, const GPtrArray *lines)
{
  for (guint i = 0; lines && i < lines->len; i++)
    g_print ("%-11s %s\n", what, (const char *) lines->pdata[i]);
}

static void
print_report (const EngineRequestReport *report)
{
  print_lines ("obeyed", report->build.obeyed);
  print_lines ("refused", report->build.refused);
  print_lines ("no match", report->build.unmatched);
}

static gboolean
save (const Engine *engine, const EngineRequest *request, const char *path, GError **error)
{
  g_autofree char *key = engine_request_key (request, error);

  if (!key || !engine_save (engine, key, path, error))
    return FALSE;
  g_print ("saved       %s\n", path);
  return TRUE;
}

static Engine *
build (const BenchSettings *s, const KernelBackend *backend, GError **error)
{
  const ToolOptions *o = &s->network;
  g_autoptr (EngineModel) model = tool_model_load (o, error);
  g_autoptr (Engine) engine = NULL;
  const char *precision = o->precision;
  EngineRequestReport report = {0};
  EngineRequest request;
  EnginePreprocess preprocess;

  if (!model || !(precision || (precision = precision_of_flags (s, model, backend, error))) ||
      !tool_request (o, precision, NULL, &preprocess, &request, error))
    return NULL;
  request.no_cache = TRUE;
  const gboolean quantised = engine_model_is_quantised (model);
  if (request.table && (quantised || g_str_has_prefix (precision, "fp"))) {
    if (quantised || !o->precision) /* --precision has been told of */
      g_printerr ("the table is not used: %s\n",
          quantised ? "the model has ranges of its own" : "the network is not int8");
    request.table = NULL;
  }
  engine = tool_obtain (&request, &report, error);
  if (engine)
    print_report (&report);
  engine_request_report_clear (&report);
  if (!engine || (s->save && !save (engine, &request, s->save, error)))
    return NULL;
  return g_steal_pointer (&engine);
}

/* The last three numbers are height, width and channels in either order. */
static gboolean
fits (const Engine *engine, const char *shape, GError **error)
{
  const char *colon = strrchr (shape, ':');
  g_auto (GStrv) words = g_strsplit_set (colon ? colon + 1 : shape, "x;", -1);
  const guint n = g_strv_length (words);
  EngineInputInfo input;
  gint64 dims[3] = {0};

  engine_input (engine, &input);
  for (guint i = 0; i < 3 && n >= 3; i++)
    dims[i] = g_ascii_strtoll (words[n - 3 + i], NULL, 10);
  if ((dims[0] == input.channels && dims[1] == input.height && dims[2] == input.width) ||
      (dims[0] == input.height && dims[1] == input.width && dims[2] == input.channels))
    return TRUE;
  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MISMATCH,
      "--shapes %s: the engine was built for images of %d x %d x %d (channels, height, width); build "
      "it anew for others",
      shape, input.channels, input.height, input.width);
  return FALSE;
}

static Engine *
load (const BenchSettings *s, GError **error)
{
  const ToolOptions *o = &s->network;
  g_autoptr (Engine) engine = tool_engine_load (o->model, error);

  if (!engine || (o->shapes && !fits (engine, o->shapes, error)))
    return NULL;
  if (s->int8 || s->fp16 || s->best || o->precision || o->tables || o->dynamic_ranges ||
      o->ranges || o->layer_precision || o->preprocess)
    g_printerr ("precisions are those of the engine file, %s; options of building are not used\n",
        engine_precision_name (engine_precision (engine)));
  return g_steal_pointer (&engine);
}

Engine *
bench_engine_open (const BenchSettings *s, const KernelBackend *backend, GError **error)
{
  return tool_is_model (&s->network, s->network.model) ? build (s, backend, error)
                                                       : load (s, error);
}
