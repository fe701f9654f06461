/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gstint8infer-load.c: the thread that loads the engine, or builds and saves it, between
 * READY→PAUSED and the first frame. It posts progress, the message "int8-engine", and, where it
 * fails, the one error.
 */
#include "gst/gstint8infer-private.h"

#include "gst/progress.h"

#define GST_CAT_DEFAULT gst_int8_infer_debug

/* What the callbacks of a build need. */
typedef struct {
  GstInt8Infer *self;
  char *reason;
  int percent; /* last posted; -1: no build has begun */
} Build;

static void
on_build_start (const char *reason, gpointer data)
{
  Build *build = data;
  g_autofree char *text = g_strdup_printf ("building the engine: %s", reason);

  build->reason = g_strdup (reason);
  build->percent = 0;
  GST_INFO_OBJECT (build->self, "%s", text);
  gst_int8_progress_post (GST_ELEMENT (build->self), GST_PROGRESS_TYPE_START,
      &(GstInt8Progress){.code = "engine", .text = text, .reason = reason, .percent = 0});
}

static void
on_build_progress (guint done, guint total, const char *what, gpointer data)
{
  Build *build = data;
  const int percent = total ? (int) ((guint64) done * 100 / total) : -1;
  g_autofree char *text = NULL;

  if (percent == build->percent)
    return;
  build->percent = percent;
  text = g_strdup_printf ("building the engine: %d %%, %s", percent, what);
  gst_int8_progress_post (GST_ELEMENT (build->self), GST_PROGRESS_TYPE_CONTINUE,
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
    gst_int8_progress_post (GST_ELEMENT (build->self),
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

/* The element message "int8-engine": built (gboolean), reason (string; built only), path (string;
 * where the file could be kept), seconds (gdouble: from the start to the first frame's turn),
 * precision and backend (string), layers-int8, layers-fp32 (gint), tuned (gboolean: timed now), tactics
 * (string: whose choice they are). Arrays of string, where there are such: inferred (tensors
 * whose range came from another's), obeyed (layers with a rule of layer-precision), refused (what cannot
 * be had), unmatched (rules and ranges by hand that nothing has). */
static void
post_engine (GstInt8Infer *self, const EngineRequestReport *report, EnginePrecision precision,
    double seconds)
{
  /* clang-format off */
  GstStructure *fields = gst_structure_new ("int8-engine",
      "built", G_TYPE_BOOLEAN, report->built,
      "seconds", G_TYPE_DOUBLE, seconds,
      "precision", G_TYPE_STRING, engine_precision_name (precision),
      "backend", G_TYPE_STRING, self->backend->name,
      "layers-int8", G_TYPE_INT, report->build.layers_int8,
      "layers-fp16", G_TYPE_INT, report->build.layers_fp16,
      "layers-fp32", G_TYPE_INT, report->build.layers_fp32,
      "tuned", G_TYPE_BOOLEAN, report->tuned,
      "tactics", G_TYPE_STRING, gst_int8_runner_tactics (self->batches[0].runner), NULL);
  /* clang-format on */

  if (report->built && report->reason)
    gst_structure_set (fields, "reason", G_TYPE_STRING, report->reason, NULL);
  if (report->path)
    gst_structure_set (fields, "path", G_TYPE_STRING, report->path, NULL);
  set_lines (fields, "inferred", report->build.inferred);
  set_lines (fields, "obeyed", report->build.obeyed);
  set_lines (fields, "refused", report->build.refused);
  set_lines (fields, "unmatched", report->build.unmatched);

  GST_INFO_OBJECT (self, "%" GST_PTR_FORMAT, fields);
  gst_element_post_message (GST_ELEMENT (self),
      gst_message_new_element (GST_OBJECT (self), fields));
}

static gboolean
resolve_preprocess (const GstInt8InferSettings *settings, EnginePreprocess *preprocess,
    GError **error)
{
  g_autoptr (EngineModel) model = NULL;
  EngineInputInfo input = {0};

  if (gst_int8_config_needs_channels (&settings->config)) {
    model = engine_model_load (settings->config.model, error);
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

/* What was asked for and is not so; `strict` makes it an error. */
static void
warn_about_rules (GstInt8Infer *self, const EngineBuildReport *report)
{
  const guint refused = report->refused ? report->refused->len : 0;
  const guint unmatched = report->unmatched ? report->unmatched->len : 0;

  if (refused)
    GST_ELEMENT_WARNING (self, RESOURCE, SETTINGS,
        ("not as asked: %s", (const char *) report->refused->pdata[0]),
        ("%u such; the message int8-engine lists them, strict=true makes them errors", refused));
  if (unmatched)
    GST_ELEMENT_WARNING (self, RESOURCE, SETTINGS,
        ("%s matches nothing", (const char *) report->unmatched->pdata[0]),
        ("%u such; the message int8-engine lists them, strict=true makes them errors", unmatched));
}

static Engine *
obtain (GstInt8Infer *self, const GstInt8InferSettings *settings,
    const EnginePreprocess *preprocess, EngineRequestReport *report, GError **error)
{
  const EngineRequest request = {.model = settings->config.model,
      .table = settings->precision == ENGINE_PRECISION_FP32 ? NULL : given (settings->table),
      .dynamic_ranges = given (settings->dynamic_ranges),
      .layer_precision = given (settings->layer_precision),
      .strict = settings->strict,
      .engine = settings->engine,
      .force = settings->force_table,
      .precision = settings->precision,
      .ranges = settings->ranges,
      .preprocess = preprocess,
      .tune_for = settings->tune ? self->backend : NULL,
      .tune_batch = (int) settings->batch_size,
      .tune_threads = (int) settings->config.threads};
  Build build = {.self = self, .percent = -1};
  g_autoptr (GError) failure = NULL;
  Engine *engine;

  engine = engine_obtain (&request, report, on_build_start, on_build_progress, &build,
      self->cancellable, &failure);
  post_build_end (&build, failure);
  if (engine && report->warning)
    GST_ELEMENT_WARNING (self, RESOURCE, FAILED, ("%s", report->warning), (NULL));
  if (engine)
    warn_about_rules (self, &report->build);
  if (failure)
    g_propagate_error (error, g_steal_pointer (&failure));
  return engine;
}

/* n_classes 0 only looks whether the file can be read, before an engine is built. */
static gboolean
load_labels (GstInt8Infer *self, const char *path, guint n_classes, GError **error)
{
  g_autofree char *warning = NULL;
  GstInt8Labels *labels = gst_int8_labels_load (path, n_classes, &warning, error);

  if (!labels)
    return FALSE;
  gst_int8_labels_free (self->labels);
  self->labels = labels;
  if (warning && n_classes)
    GST_ELEMENT_WARNING (self, RESOURCE, SETTINGS, ("labels: %s", warning), (NULL));
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

static gboolean
load_all (GstInt8Infer *self, const GstInt8InferSettings *settings, EngineRequestReport *report,
    GError **error)
{
  const gint64 start = g_get_monotonic_time ();
  g_autoptr (Engine) engine = NULL;
  EnginePreprocess preprocess;

  if (!load_labels (self, settings->labels, 0, error) ||
      !resolve_preprocess (settings, &preprocess, error))
    return FALSE;
  engine = obtain (self, settings, &preprocess, report, error);
  if (!engine || g_cancellable_set_error_if_cancelled (self->cancellable, error))
    return FALSE;
  if (!gst_int8_infer_batches_new (self, engine, &preprocess, settings->config.threads, error) ||
      !load_labels (self, settings->labels, (guint) engine_n_classes (engine), error))
    return FALSE;
  self->model_name = model_name (settings->config.model);
  post_engine (self, report, engine_precision (engine),
      (double) (g_get_monotonic_time () - start) * 1e-6);
  return TRUE;
}

static gboolean
load (GstInt8Infer *self, const GstInt8InferSettings *settings, GError **error)
{
  EngineRequestReport report = {0};
  const gboolean ok = load_all (self, settings, &report, error);

  engine_request_report_clear (&report);
  return ok;
}

static gpointer
load_thread (gpointer data)
{
  GstInt8Infer *self = data;
  g_auto (GstInt8InferSettings) settings = {0};
  g_autoptr (GError) error = NULL;
  gboolean ok;

  GST_OBJECT_LOCK (self);
  gst_int8_infer_settings_copy (&self->settings, &settings);
  GST_OBJECT_UNLOCK (self);

  ok = load (self, &settings, &error);
  if (!ok && g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    GST_DEBUG_OBJECT (self, "loading was cancelled");
  else if (!ok)
    gst_int8_config_post_error (GST_ELEMENT (self), error,
        g_error_matches (error, ENGINE_ERROR, ENGINE_ERROR_MISMATCH)
            ? "int8calib makes a table for this model with the same preprocessing properties; "
              "force-table=true uses this one all the same"
            : NULL);

  g_mutex_lock (&self->lock);
  self->load_state = ok ? GST_INT8_LOAD_READY : GST_INT8_LOAD_FAILED;
  self->error_posted = self->error_posted || !ok;
  g_cond_broadcast (&self->changed);
  g_mutex_unlock (&self->lock);
  return NULL;
}

/* What can be told without reading a file. */
static gboolean
check_settings (GstInt8Infer *self, const GstInt8InferSettings *settings)
{
  const char *model = settings->config.model;
  EnginePreprocess preprocess;
  g_autoptr (GError) error = NULL;

  if (!model || !*model) {
    GST_ELEMENT_ERROR (self, RESOURCE, SETTINGS,
        ("no model: set the property \"model\" to the path of an ONNX classifier"), (NULL));
    return FALSE;
  }
  if (settings->precision != ENGINE_PRECISION_FP32 && !given (settings->table) &&
      !given (settings->dynamic_ranges)) {
    GST_ELEMENT_ERROR (self, RESOURCE, SETTINGS,
        ("INT8 needs a calibration table for %s: set \"calibration-table\" or \"dynamic-ranges\", or "
         "precision=fp32. A table is made with: gst-launch-1.0 filesrc location=VIDEO ! decodebin ! videoconvert ! "
         "int8calib model=%s table=%s.table eos-when-done=true",
            model, model, model),
        ("the preprocessing properties of int8calib and int8infer must be the same"));
    return FALSE;
  }
  if (!gst_int8_config_preprocess (&settings->config, 0, &preprocess, &error)) {
    gst_int8_config_post_error (GST_ELEMENT (self), error, NULL);
    return FALSE;
  }
  return TRUE;
}

gboolean
gst_int8_infer_load_start (GstInt8Infer *self)
{
  g_auto (GstInt8InferSettings) settings = {0};

  GST_OBJECT_LOCK (self);
  gst_int8_infer_settings_copy (&self->settings, &settings);
  GST_OBJECT_UNLOCK (self);
  if (!check_settings (self, &settings))
    return FALSE;

  g_mutex_lock (&self->lock);
  self->batch_size = settings.batch_size;
  self->n_batches = self->backend->host_memory ? 1 : GST_INT8_INFER_BATCHES;
  self->capacity = settings.batch_size + 1;
  self->error_posted = FALSE;
  self->load_state = GST_INT8_LOAD_BUSY;
  self->cancellable = g_cancellable_new ();
  self->loader = g_thread_new ("int8infer-load", load_thread, self);
  g_mutex_unlock (&self->lock);
  return TRUE;
}

void
gst_int8_infer_load_cancel (GstInt8Infer *self)
{
  if (self->cancellable)
    g_cancellable_cancel (self->cancellable);
}

void
gst_int8_infer_load_join (GstInt8Infer *self)
{
  if (!self->loader)
    return;
  g_thread_join (g_steal_pointer (&self->loader));
  g_clear_object (&self->cancellable);
  gst_int8_infer_batches_free (self);
  g_clear_pointer (&self->labels, gst_int8_labels_free);
  g_mutex_lock (&self->lock);
  self->load_state = GST_INT8_LOAD_NONE;
  g_mutex_unlock (&self->lock);
}
