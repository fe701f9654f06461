/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench-trtexec.c: trtexec's options in terms of the command's own. They mean what they mean there;
 * what has no counterpart is refused with what to do instead, and never left out silently.
 */
#include "tools/bench.h"

#include <string.h>

/* trtexec's defaults, where one of its options is given. */
#define WARM_UP_MS 200
#define ITERATIONS 10

/* --- Options that have no counterpart -------------------------------------------------------- */

/* clang-format off */
static const struct {
  const char *names, *hint; /* names between blanks */
} unknown[] = {
    {"device", "--backend cuda:N chooses the device"},
    {"useDLACore allowGPUFallback layerDeviceTypes", "there is no DLA back end: --backend cpu, cuda, cuda:N or ref"},
    {"deploy", "--proto is the prototxt of a caffemodel"},
    {"uff uffInput uffNHWC", "convert the network to ONNX (tf2onnx)"},
    {"output", "outputs are those of the model"},
    {"minShapes optShapes maxShapes", "an engine is for one size of image and any batch: --shapes"},
    {"minShapesCalib optShapesCalib maxShapesCalib calibProfile dumpOptimizationProfile",
     "tables are made before: gst-int8-1.0 calibrate"},
    {"maxBatch explicitBatch implicitBatch", "engines run any batch: --batch or --shapes"},
    {"inputIOFormats outputIOFormats directIO", "inputs are NHWC, bytes or floats as the network begins; outputs float"},
    {"loadInputs", "inputs are random here; gst-int8-1.0 evaluate and classify run pictures"},
    {"bf16 fp8 int4 noTF32 stronglyTyped", "precisions are --int8, --fp16 or FP32; a model with Q/DQ is taken as it is"},
    {"workspace memPoolSize weightStreamingBudget allowWeightStreaming", "memory is what layers and batch need"},
    {"timingCacheFile noBuilderCache errorOnTimingCacheMiss", "gst-int8-1.0 build --tune keeps what it timed in the engine file"},
    {"tacticSources avgTiming minTiming builderOptimizationLevel heuristic maxTactics", "--tune times the ways to compute convolutions"},
    {"buildOnly skipInference", "gst-int8-1.0 build"},
    {"refit dumpRefit stripWeights stripAllWeights", "gst-int8-1.0 build makes another engine of other weights"},
    {"versionCompatible vc hardwareCompatibilityLevel excludeLeanRuntime runtimePlatform safe restricted preview",
     "engine files are portable: leave it out"},
    {"plugins dynamicPlugins staticPlugins setPluginsToSerialize ignoreParsedPluginLibs", "there are none; docs/MODELS.md lists what is read"},
    {"sparsity", "weights are dense: leave it out"},
    {"profilingVerbosity", "--exportLayerInfo writes all that is known: leave it out"},
    {"verbose v dumpLayerInfo", "gst-int8-1.0 inspect tells layers, precisions and reasons"},
    {"avgRuns percentile", "every run counts, and p90, p95 and p99 are always printed"},
    {"exportTimes", "--json writes what is measured"},
    {"separateProfileRun", "profiles always are runs of their own: leave it out"},
    {"noDataTransfers exposeDMA useManagedMemory", "inputs lie in the back end's memory, and outputs are fetched: leave it out"},
    {"streams infStreams", "one network runs at a time; several at once are several elements in a pipeline"},
    {"useCudaGraph useSpinWait persistentCacheRatio", "how a device is driven is the back end's matter: leave it out"},
    {"sleepTime idleTime useRuntime", "leave it out"},
    {"dumpRawBindingsToFile markDebug saveDebugTensors", "--exportOutput writes outputs; gst-int8-1.0 compare looks inside"},
    {"consistency", "--check ref compares the results"},
    {"getPlanVersionOnly", "gst-int8-1.0 inspect"},
    {"tempdir tempfileControls", "no temporary files are written: leave it out"},
};
/* clang-format on */

static gboolean
has_word (const char *words, const char *word, gsize n)
{
  g_auto (GStrv) list = g_strsplit (words, " ", -1);

  for (char **w = list; *w; w++)
    if (strlen (*w) == n && strncmp (*w, word, n) == 0)
      return TRUE;
  return FALSE;
}

gboolean
bench_trtexec_know (int argc, char *const *argv, GError **error)
{
  for (int i = 1; i < argc && !g_str_equal (argv[i], "--"); i++) {
    const char *name = argv[i] + 2;
    const gsize n = g_str_has_prefix (argv[i], "--") ? strcspn (name, "=") : 0;

    for (gsize k = 0; n > 0 && k < G_N_ELEMENTS (unknown); k++)
      if (has_word (unknown[k].names, name, n))
        return tool_usage (error, "--%.*s of trtexec is not here: %s", (int) n, name,
            unknown[k].hint);
  }
  return TRUE;
}

/* --- Options that have one ------------------------------------------------------------------- */

GArray *
bench_trtexec_entries (BenchTrtexec *t, BenchSettings *s)
{
  const GOptionEntry more[] = {
      {"onnx", 0, 0, G_OPTION_ARG_FILENAME, &t->onnx,
          "The model, as the argument", "FILE"},
      {"loadEngine", 0, 0, G_OPTION_ARG_FILENAME, &t->load, "The engine file, as the argument",
          "FILE"},
      {"saveEngine", 0, 0, G_OPTION_ARG_FILENAME, &s->save, "Write the engine that is built",
          "FILE"},
      {"int8", 0, 0, G_OPTION_ARG_NONE, &s->int8,
          "Build INT8, with --calib or of a model that is quantised already; never with random ranges",
          NULL},
      {"fp16", 0, 0, G_OPTION_ARG_NONE, &s->fp16, "Build FP16 (cuda, ref)", NULL},
      {"best", 0, 0, G_OPTION_ARG_NONE, &s->best,
          "Build INT8 where there are ranges, else FP16 on a device, else FP32", NULL},
      {"calib", 0, 0, G_OPTION_ARG_FILENAME, &t->calib, "As --table", "FILE"},
      {"layerPrecisions", 0, 0, G_OPTION_ARG_STRING, &t->precisions,
          "As --layer-precision, with * in names; needs --precisionConstraints", "SPEC"},
      {"layerOutputTypes", 0, 0, G_OPTION_ARG_STRING, &t->types, "The same for types of outputs",
          "SPEC"},
      {"precisionConstraints", 0, 0, G_OPTION_ARG_STRING, &t->constraints,
          "none (default): the two are not used; prefer: where there is a kernel; obey: an error where "
          "there is none",
          "C"},
      {"iterations", 0, 0, G_OPTION_ARG_INT, &t->iterations,
          "Runs at the least; default 10 with any of trtexec's options, else 1", "N"},
      {"duration", 0, 0, G_OPTION_ARG_DOUBLE, &t->duration,
          "Seconds to run at the least: --seconds; default 3", "S"},
      {"warmUp", 0, 0, G_OPTION_ARG_DOUBLE, &t->warm_up,
          "How long to warm up; default 200 with any of trtexec's options, else one run", "MS"},
      {"dumpProfile", 0, 0, G_OPTION_ARG_NONE, &s->print_profile, "As --profile", NULL},
      {"exportProfile", 0, 0, G_OPTION_ARG_FILENAME, &s->export_profile,
          "Write the times of layers as JSON", "FILE"},
      {"exportLayerInfo", 0, 0, G_OPTION_ARG_FILENAME, &s->export_layers,
          "Write the layers, their precisions and why as JSON", "FILE"},
      {"dumpOutput", 0, 0, G_OPTION_ARG_NONE, &s->print_output, "Print the outputs of the last run",
          NULL},
      {"exportOutput", 0, 0, G_OPTION_ARG_FILENAME, &s->export_output, "Write them as JSON",
          "FILE"},
  };

  GArray *list = g_array_new (TRUE, FALSE, sizeof (GOptionEntry));

  return g_array_append_vals (list, more, G_N_ELEMENTS (more));
}

void
bench_trtexec_clear (BenchTrtexec *t)
{
  g_free (t->onnx);
  g_free (t->load);
  g_free (t->calib);
  g_free (t->precisions);
  g_free (t->types);
  g_free (t->constraints);
}

static gboolean
is_used (const BenchTrtexec *t, const BenchSettings *s)
{
  return t->onnx || t->load || t->precisions || t->types || t->constraints ||
         t->duration != -G_MAXDOUBLE || t->warm_up != -G_MAXDOUBLE || t->iterations != G_MININT || s->int8 ||
         s->fp16 || s->best || t->calib || s->save || s->print_output || s->export_profile ||
         s->export_layers || s->export_output;
}

/* --- What to run ------------------------------------------------------------------------------ */

static gboolean
choose_path (const BenchTrtexec *t, const char *argument, BenchSettings *s, GError **error)
{
  ToolOptions *o = &s->network;

  if (!!t->onnx + !!t->load + !!o->model + !!argument != 1)
    return tool_usage (error,
        "one engine or model is needed: --onnx, --loadEngine, --model or the argument");
  if (!o->model)
    o->model = g_strdup (t->onnx ? t->onnx : t->load ? t->load : argument);
  if (t->onnx && !tool_is_model (o, t->onnx))
    return tool_usage (error, "--onnx %s: the name of a model ends in .onnx; an engine file is for --loadEngine",
        t->onnx);
  if (t->load && tool_is_model (o, t->load))
    return tool_usage (error, "--loadEngine %s is a model: --onnx", t->load);
  if (s->save && !tool_is_model (o, o->model))
    return tool_usage (error, "--saveEngine: %s is an engine already; --onnx builds one", o->model);
  return TRUE;
}

static gboolean
choose_table (const BenchTrtexec *t, BenchSettings *s, GError **error)
{
  if (!t->calib)
    return TRUE;
  if (s->network.tables)
    return tool_usage (error, "--calib and --table are the same: one of them");
  if (!s->int8 && !s->best)
    return tool_usage (error, "--calib needs --int8 or --best");
  s->network.tables = g_new0 (char *, 2);
  s->network.tables[0] = g_strdup (t->calib);
  return TRUE;
}

/* Without either, bench-engine.c chooses. */
static gboolean
choose_precision (const BenchSettings *s, GError **error)
{
  if (s->network.precision && (s->int8 || s->fp16 || s->best))
    return tool_usage (error, "--precision, or --int8, --fp16 and --best, but not both");
  return TRUE;
}

/* The batch in front of --shapes. */
static gboolean
choose_batch (BenchSettings *s, GError **error)
{
  ToolOptions *o = &s->network;
  const char *shape = o->shapes;
  const char *colon = shape ? strrchr (shape, ':') : NULL;
  g_auto (GStrv) words = g_strsplit_set (colon ? colon + 1 : shape ? shape : "", "x;", -1);
  guint64 batch = 1;

  if (g_strv_length (words) == 4 &&
      !g_ascii_string_to_unsigned (words[0], 10, 1, G_MAXINT, &batch, NULL))
    return tool_usage (error, "--shapes %s: the batch, %s, is no number above 0", shape, words[0]);
  if (o->batch_given && g_strv_length (words) == 4 && batch != 1 && (int) batch != o->batch)
    return tool_usage (error, "--shapes %s and --batch %d contradict each other", shape, o->batch);
  if (!o->batch_given)
    o->batch = (int) batch;
  return TRUE;
}

/* --- Precisions of layers --------------------------------------------------------------------- */

/* Only `*` is special to trtexec; '\', '?', and '@' and '#' in front, are to our rules. */
static void
append_name (GString *rules, const char *name, gsize n)
{
  for (gsize i = 0; i < n; i++) {
    if (strchr ("\\?", name[i]) || (i == 0 && strchr ("@#", name[i])))
      g_string_append_c (rules, '\\');
    g_string_append_c (rules, name[i]);
  }
}

/* NAME:TYPE between commas; of_output: NAME:output=TYPE of ours. */
static gboolean
append_rules (GString *rules, const char *option, const char *text, gboolean of_output,
    GError **error)
{
  g_auto (GStrv) list = g_strsplit (text ? text : "", ",", -1);

  for (char **spec = list; *spec; spec++) {
    const char *colon = strrchr (*spec, ':');

    if (!colon || colon == *spec)
      return tool_usage (error, "--%s: '%s' is not NAME:TYPE", option, *spec);
    if (strchr (colon, '+'))
      return tool_usage (error, "--%s: '%s': layers have one output each", option, *spec);
    if (!g_str_equal (colon + 1, "int8") && !g_str_equal (colon + 1, "fp32"))
      return tool_usage (error,
          "--%s: '%s': a layer of an INT8 network is int8 or fp32; fp16 is for whole networks",
          option, *spec);
    g_string_append (rules, rules->len ? "," : "");
    append_name (rules, *spec, (gsize) (colon - *spec));
    g_string_append_printf (rules, ":%s%s", of_output ? "output=" : "", colon + 1);
  }
  return TRUE;
}

static gboolean
choose_rules (const BenchTrtexec *t, BenchSettings *s, GError **error)
{
  const char *constraints = t->constraints ? t->constraints : "none";
  g_autoptr (GString) rules = g_string_new (NULL);

  const gboolean obey = g_str_equal (constraints, "obey");
  if (!obey && !g_str_equal (constraints, "prefer") && !g_str_equal (constraints, "none"))
    return tool_usage (error, "--precisionConstraints is none, prefer or obey, not %s",
        constraints);
  if (!append_rules (rules, "layerPrecisions", t->precisions, FALSE, error) ||
      !append_rules (rules, "layerOutputTypes", t->types, TRUE, error))
    return FALSE;
  if (rules->len == 0)
    return TRUE;
  if (g_str_equal (constraints, "none")) {
    g_printerr ("--layerPrecisions and --layerOutputTypes are not used: they need "
                "--precisionConstraints=prefer or obey\n");
    return TRUE;
  }
  if (s->network.layer_precision)
    return tool_usage (error, "--layer-precision and trtexec's rules of layers: one of them");
  s->network.strict = s->network.strict || obey;
  s->network.layer_precision = g_string_free (g_steal_pointer (&rules), FALSE);
  return TRUE;
}

gboolean
bench_trtexec_apply (const BenchTrtexec *t, const char *argument, BenchSettings *s, GError **error)
{
  if (!choose_path (t, argument, s, error) || !choose_table (t, s, error) ||
      !choose_precision (s, error) || !choose_batch (s, error) || !choose_rules (t, s, error))
    return FALSE;
  if (is_used (t, s)) {
    s->iterations = ITERATIONS;
    s->warm_up = 1e-3 * WARM_UP_MS;
  }
  if (t->iterations != G_MININT)
    s->iterations = t->iterations;
  if (t->warm_up != -G_MAXDOUBLE)
    s->warm_up = 1e-3 * t->warm_up;
  if (t->duration != -G_MAXDOUBLE)
    s->seconds = t->duration;
  s->profile = s->print_profile || s->export_profile;
  return TRUE;
}
