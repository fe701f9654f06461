/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * network.c: a network that is ready to run: its engine is loaded, or built and saved, with progress
 * messages; then its labels, and memory for the batches.
 */
#include "gst/network.h"

#include "gst/progress.h"

#include <string.h>

GST_DEBUG_CATEGORY_EXTERN (gst_int8_infer_debug);
#define GST_CAT_DEFAULT gst_int8_infer_debug

/* What the callbacks of a build need. */
typedef struct {
  GstElement *element;
  char *reason;
  GstInt8Pace pace;
} Build;

static void
on_build_start (const char *reason, gpointer data)
{
  Build *build = data;
  g_autofree char *text = g_strdup_printf ("building the engine: %s", reason);

  build->reason = g_strdup (reason);
  gst_int8_pace_is_due (&build->pace, 0);
  GST_INFO_OBJECT (build->element, "%s", text);
  gst_int8_progress_post (build->element, GST_PROGRESS_TYPE_START,
      &(GstInt8Progress){.code = "engine", .text = text, .reason = reason, .percent = 0});
}

static void
on_build_progress (guint done, guint total, const char *what, gpointer data)
{
  Build *build = data;
  const int percent = total ? (int) ((guint64) done * 100 / total) : -1;
  g_autofree char *text = NULL;

  if (!gst_int8_pace_is_due (&build->pace, percent))
    return;
  text = g_strdup_printf ("building the engine: %d %%, %s", percent, what);
  gst_int8_progress_post (build->element, GST_PROGRESS_TYPE_CONTINUE,
      &(GstInt8Progress){.code = "engine",
          .text = text,
          .reason = build->reason,
          .layer = what,
          .percent = percent});
}

static void
post_build_end (Build *build, const GError *error)
{
  const gboolean cancelled = g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);

  if (build->reason)
    gst_int8_progress_post (build->element,
        !error      ? GST_PROGRESS_TYPE_COMPLETE
        : cancelled ? GST_PROGRESS_TYPE_CANCELED
                    : GST_PROGRESS_TYPE_ERROR,
        &(GstInt8Progress){.code = "engine",
            .text = !error      ? "engine ready"
                    : cancelled ? "build cancelled"
                                : error->message,
            .reason = build->reason,
            .percent = error ? -1 : 100});
  g_clear_pointer (&build->reason, g_free);
}

static void
set_lines (GstStructure *fields, const char *name, const GPtrArray *lines)
{
  GValue array = G_VALUE_INIT;

  if (!lines)
    return;
  gst_value_array_init (&array, lines->len);
  for (guint i = 0; i < lines->len; i++) {
    GValue line = G_VALUE_INIT;

    g_value_init (&line, G_TYPE_STRING);
    g_value_set_string (&line, g_ptr_array_index (lines, i));
    gst_value_array_append_and_take_value (&array, &line);
  }
  gst_structure_take_value (fields, name, &array);
}

char *
gst_int8_device_name (const GstInt8Device *device)
{
  /* Without the address of a context. */
  return g_strndup (device->backend->name, strcspn (device->backend->name, "@"));
}

static char *
device_names (const GstInt8Device *devices, guint n)
{
  g_autoptr (GString) names = g_string_new (NULL);

  for (guint i = 0; i < n; i++) {
    g_autofree char *name = gst_int8_device_name (&devices[i]);

    g_string_append_printf (names, "%s%s", i ? "," : "", name);
  }
  return g_string_free (g_steal_pointer (&names), FALSE);
}

/* The element message "int8-engine": swapped (gboolean: while playing, in place of another), built
 * (gboolean), reason (string; built only), path (string; where the file could be kept), seconds (gdouble:
 * from the start to the first frame's turn), precision and backend (string), layers-int8, layers-fp16,
 * layers-fp32 (gint), tuned (gboolean: timed now), tactics (string: whose choice they are). Arrays of
 * string, where there are such: inferred (tensors whose range came from another's), obeyed (layers with a
 * rule of layer-precision), refused (what cannot be had), unmatched (rules and ranges by hand that nothing
 * has). */
void
gst_int8_network_post (GstElement *element, const GstInt8Network *network,
    const GstInt8Device *devices, guint n_devices)
{
  g_autofree char *backend = device_names (devices, n_devices);
  const EngineRequestReport *report = &network->report;
  /* clang-format off */
  GstStructure *fields = gst_structure_new ("int8-engine",
      "built", G_TYPE_BOOLEAN, report->built,
      "seconds", G_TYPE_DOUBLE, network->seconds,
      "precision", G_TYPE_STRING, engine_precision_name (engine_precision (network->engine)),
      "backend", G_TYPE_STRING, backend,
      "layers-int8", G_TYPE_INT, report->build.layers_int8,
      "layers-fp16", G_TYPE_INT, report->build.layers_fp16,
      "layers-fp32", G_TYPE_INT, report->build.layers_fp32,
      "tuned", G_TYPE_BOOLEAN, report->tuned,
      "tactics", G_TYPE_STRING, gst_int8_runner_tactics (network->runners[0]),
      "swapped", G_TYPE_BOOLEAN, network->swapped, NULL);
  /* clang-format on */

  if (report->built && report->reason)
    gst_structure_set (fields, "reason", G_TYPE_STRING, report->reason, NULL);
  if (report->path) {
    g_autofree char *shown = g_filename_display_name (report->path); /* fields are UTF-8 */

    gst_structure_set (fields, "path", G_TYPE_STRING, shown, NULL);
  }
  set_lines (fields, "inferred", report->build.inferred);
  set_lines (fields, "obeyed", report->build.obeyed);
  set_lines (fields, "refused", report->build.refused);
  set_lines (fields, "unmatched", report->build.unmatched);

  GST_INFO_OBJECT (element, "%" GST_PTR_FORMAT, fields);
  gst_element_post_message (element, gst_message_new_element (GST_OBJECT (element), fields));
}

static gboolean
resolve_preprocess (const GstInt8NetworkSettings *settings, EnginePreprocess *preprocess,
    GError **error)
{
  g_autoptr (EngineModel) model = NULL;
  EngineInputInfo input = {0};

  if (gst_int8_config_needs_channels (&settings->config)) {
    const EngineModelOptions options = gst_int8_config_model_options (&settings->config);

    model = engine_model_load_with (settings->config.model, &options, error);
    if (!model)
      return FALSE;
    engine_model_input (model, &input);
  }
  return gst_int8_config_preprocess (&settings->config, input.channels, preprocess, error);
}

/* An empty text is none. */
static const char *
given (const char *text)
{
  return text && *text ? text : NULL;
}

gboolean
gst_int8_network_settings_check (const GstInt8NetworkSettings *settings, GError **error)
{
  const char *model = settings->config.model;
  EnginePreprocess preprocess;

  if (!given (model)) {
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
        "no model: set the property \"model\" to the path of an ONNX or Caffe classifier");
    return FALSE;
  }
  return gst_int8_config_preprocess (&settings->config, 0, &preprocess, error);
}

/* Only reading a model tells whether it is quantised already and needs no table. */
static void
explain_missing_table (const char *model, GError **error)
{
  g_clear_error (error);
  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_RANGE,
      "INT8 needs a calibration table for %s: set \"calibration-table\" or \"dynamic-ranges\", or "
      "precision=fp32. A table is made with: gst-launch-1.0 filesrc location=VIDEO ! decodebin ! videoconvert ! "
      "int8calib model=%s table=%s.table eos-when-done=true, with the same preprocessing properties",
      model, model, model);
}

/* What was asked for and is not so; `strict` makes it an error. */
static void
warn_about_rules (GstElement *element, const EngineBuildReport *report)
{
  const guint refused = report->refused ? report->refused->len : 0;
  const guint unmatched = report->unmatched ? report->unmatched->len : 0;

  if (refused)
    GST_ELEMENT_WARNING (element, RESOURCE, SETTINGS,
        ("not as asked: %s", (const char *) report->refused->pdata[0]),
        ("%u such; the message int8-engine lists them, strict=true makes them errors", refused));
  if (unmatched)
    GST_ELEMENT_WARNING (element, RESOURCE, SETTINGS,
        ("%s matches nothing", (const char *) report->unmatched->pdata[0]),
        ("%u such; the message int8-engine lists them, strict=true makes them errors", unmatched));
}

/* asked: where the engine file was to be, or NULL. */
static void
post_engine_warning (GstElement *element, const EngineRequestReport *report, const char *asked)
{
  g_autofree char *shown = report->path ? g_filename_display_name (report->path) : NULL;

  if (asked && g_strcmp0 (report->path, asked) != 0)
    GST_ELEMENT_WARNING (element, RESOURCE, FAILED,
        ("%s; the engine is kept in %s", report->warning, shown ? shown : "no file"), (NULL));
  else
    GST_ELEMENT_WARNING (element, RESOURCE, FAILED, ("%s", report->warning), (NULL));
}

static Engine *
obtain (GstElement *element, const GstInt8NetworkSettings *settings,
    const EnginePreprocess *preprocess, const GstInt8Device *device, GCancellable *cancellable,
    EngineRequestReport *report, GError **error)
{
  const EngineRequest request = {.model = settings->config.model,
      .model_options = gst_int8_config_model_options (&settings->config),
      .table = settings->precision == ENGINE_PRECISION_FP32 ? NULL : given (settings->table),
      .dynamic_ranges = given (settings->dynamic_ranges),
      .layer_precision = given (settings->layer_precision),
      .strict = settings->strict,
      .engine = settings->engine,
      .force = settings->force_table,
      .precision = settings->precision,
      .ranges = settings->ranges,
      .preprocess = preprocess,
      .tune_for = settings->tune ? device->backend : NULL,
      .tune_batch = (int) settings->batch_size,
      .tune_threads = (int) settings->config.threads};
  Build build = {.element = element};
  g_autoptr (GError) failure = NULL;
  Engine *engine;

  engine = engine_obtain (&request, report, on_build_start, on_build_progress, &build, cancellable,
      &failure);
  if (g_error_matches (failure, ENGINE_ERROR, ENGINE_ERROR_RANGE) && !request.table &&
      !request.dynamic_ranges)
    explain_missing_table (request.model, &failure);
  post_build_end (&build, failure);
  if (engine && report->warning)
    post_engine_warning (element, report, given (settings->engine));
  if (engine)
    warn_about_rules (element, &report->build);
  if (failure)
    g_propagate_error (error, g_steal_pointer (&failure));
  return engine;
}

/* Tuning is for a machine and a device: every kind of them is timed once. */
static Engine *
obtain_for_all (GstElement *element, const GstInt8NetworkSettings *settings,
    const EnginePreprocess *preprocess, const GstInt8Device *devices, guint n_devices,
    GCancellable *cancellable, EngineRequestReport *report, GError **error)
{
  Engine *engine = obtain (element, settings, preprocess, &devices[0], cancellable, report, error);

  for (guint i = 1; settings->tune && engine && i < n_devices; i++) {
    EngineRequestReport more = {0};
    Engine *same = obtain (element, settings, preprocess, &devices[i], cancellable, &more, error);

    report->tuned = report->tuned || more.tuned;
    engine_request_report_clear (&more);
    engine_unref (engine);
    engine = same;
  }
  return engine;
}

/* n_classes 0 only looks whether the file can be read, before an engine is built. */
static gboolean
load_labels (GstElement *element, GstInt8Network *network, const char *path, guint n_classes,
    GError **error)
{
  g_autofree char *warning = NULL;
  GstInt8Labels *labels = gst_int8_labels_load (path, n_classes, &warning, error);

  if (!labels)
    return FALSE;
  gst_int8_labels_unref (network->labels);
  network->labels = labels;
  if (warning && n_classes)
    GST_ELEMENT_WARNING (element, RESOURCE, SETTINGS, ("labels: %s", warning), (NULL));
  return TRUE;
}

/* The file's name without its extension. */
static const char *
model_name (const char *path)
{
  g_autofree char *name = g_path_get_basename (path);
  char *extension = strrchr (name, '.');

  if (extension && extension != name)
    *extension = '\0';
  return g_intern_string (name);
}

guint
gst_int8_device_lanes (const GstInt8Device *device)
{
  return device->backend->host_memory ? 1 : GST_INT8_DEVICE_LANES;
}

static gboolean
make_runners (GstInt8Network *network, const GstInt8NetworkSettings *settings,
    const EnginePreprocess *preprocess, const GstInt8Device *device, GError **error)
{
  for (guint i = gst_int8_device_lanes (device); i > 0; i--) {
    GstInt8Runner *runner = gst_int8_runner_new (network->engine, preprocess, device->backend,
        device->context, settings->batch_size, settings->config.threads, error);

    if (!runner)
      return FALSE;
    network->runners[network->n_runners++] = runner;
  }
  return TRUE;
}

/* Only int8 has ranges that may fit no more. */
static void
make_guard (GstElement *element, GstInt8Network *network, const GstInt8NetworkSettings *settings,
    const EnginePreprocess *preprocess, const GstInt8Device *device)
{
  const EngineModelOptions options = gst_int8_config_model_options (&settings->config);
  const EnginePrecision precision = engine_precision (network->engine);

  if (settings->guard.interval == 0)
    return;
  if (precision == ENGINE_PRECISION_FP32 || precision == ENGINE_PRECISION_FP16)
    GST_ELEMENT_WARNING (element, RESOURCE, SETTINGS,
        ("drift-interval is for precision=int8 and mixed: %s has no calibrated ranges",
            engine_precision_name (precision)),
        (NULL));
  else
    network->guard = gst_int8_guard_new (element, network->engine, settings->config.model, &options,
        preprocess, device->backend, &settings->guard);
}

GstInt8Network *
gst_int8_network_new (GstElement *element, const GstInt8NetworkSettings *settings,
    const GstInt8Device *devices, guint n_devices, GCancellable *cancellable, GError **error)
{
  const gint64 start = g_get_monotonic_time ();
  g_autoptr (GstInt8Network) network = g_new0 (GstInt8Network, 1);
  EnginePreprocess preprocess;

  if (!load_labels (element, network, given (settings->labels), 0, error) ||
      !resolve_preprocess (settings, &preprocess, error))
    return NULL;
  network->engine = obtain_for_all (element, settings, &preprocess, devices, n_devices, cancellable,
      &network->report, error);
  if (!network->engine || g_cancellable_set_error_if_cancelled (cancellable, error))
    return NULL;
  for (guint i = 0; i < n_devices; i++)
    if (!make_runners (network, settings, &preprocess, &devices[i], error))
      return NULL;
  if (!load_labels (element, network, given (settings->labels),
          (guint) engine_n_classes (network->engine), error))
    return NULL;
  network->model_name = model_name (settings->config.model);
  make_guard (element, network, settings, &preprocess, &devices[0]);
  network->seconds = (double) (g_get_monotonic_time () - start) * 1e-6;
  return g_steal_pointer (&network);
}

void
gst_int8_network_free (GstInt8Network *network)
{
  if (!network)
    return;
  gst_int8_guard_stop (network->guard);
  for (guint i = 0; i < network->n_runners; i++)
    gst_int8_runner_free (network->runners[i]);
  engine_unref (network->engine);
  gst_int8_labels_unref (network->labels);
  engine_request_report_clear (&network->report);
  g_free (network);
}

/* --- Settings -------------------------------------------------------------------------------- */

void
gst_int8_network_settings_copy (const GstInt8NetworkSettings *from, GstInt8NetworkSettings *to)
{
  *to = *from;
  gst_int8_config_copy (&from->config, &to->config);
  to->labels = g_strdup (from->labels);
  to->table = g_strdup (from->table);
  to->engine = g_strdup (from->engine);
  to->dynamic_ranges = g_strdup (from->dynamic_ranges);
  to->layer_precision = g_strdup (from->layer_precision);
}

void
gst_int8_network_settings_clear (GstInt8NetworkSettings *settings)
{
  gst_int8_config_clear (&settings->config);
  g_clear_pointer (&settings->labels, g_free);
  g_clear_pointer (&settings->table, g_free);
  g_clear_pointer (&settings->engine, g_free);
  g_clear_pointer (&settings->dynamic_ranges, g_free);
  g_clear_pointer (&settings->layer_precision, g_free);
}
