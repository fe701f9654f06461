/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* config-engine.c: from property values to the engine's terms, and from its errors to messages. */
#include "gst/config.h"

/* The name of an enumeration's value as engine_preprocess_set() knows it; 0 is "not set". */
static const char *
color_format_value (int value)
{
  return value ? engine_color_format_name (value - 1) : NULL;
}

static const char *
resize_mode_value (int value)
{
  return value ? engine_resize_mode_name (value - 1) : NULL;
}

static const char *
scaling_value (int value)
{
  return value ? engine_scaling_name (value - 1) : NULL;
}

static const char *
preset_value (GstInt8Preset preset, int channels)
{
  switch (preset) {
  case GST_INT8_PRESET_IMAGENET:
    return "imagenet";
  case GST_INT8_PRESET_IMAGENET_CAFFE:
    return "imagenet-caffe";
  case GST_INT8_PRESET_UNIT:
    return "unit";
  case GST_INT8_PRESET_RAW:
    return "raw";
  case GST_INT8_PRESET_AUTO:
    break;
  }
  return channels == 1 ? "unit" : "imagenet";
}

/* value: NULL or 0 leaves what the preset set. */
static gboolean
set_text (EnginePreprocess *preprocess, const char *key, const char *value, GError **error)
{
  return !value || engine_preprocess_set (preprocess, key, value, error);
}

/* An empty text is none. */
static const char *
given (const char *text)
{
  return text && *text ? text : NULL;
}

static gboolean
set_number (EnginePreprocess *preprocess, const char *key, double value, GError **error)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE];

  return value == 0 ||
         engine_preprocess_set (preprocess, key, g_ascii_dtostr (text, sizeof text, value), error);
}

EngineModelOptions
gst_int8_config_model_options (const GstInt8Config *config)
{
  return (EngineModelOptions){
      .proto = config->proto_file && *config->proto_file ? config->proto_file : NULL,
      .shape = config->infer_dims && *config->infer_dims ? config->infer_dims : NULL};
}

gboolean
gst_int8_config_needs_channels (const GstInt8Config *config)
{
  return config->preset == GST_INT8_PRESET_AUTO || config->color_format == 0;
}

gboolean
gst_int8_config_preprocess (const GstInt8Config *config, int channels, EnginePreprocess *preprocess,
    GError **error)
{
  const char *color = color_format_value (config->color_format);

  if (!color && channels == 1)
    color = "gray";
  engine_preprocess_preset (preprocess, preset_value (config->preset, channels));
  return set_text (preprocess, "color-format", color, error) &&
         set_number (preprocess, "scale-factor", config->scale_factor, error) &&
         set_text (preprocess, "mean-file", given (config->mean_file), error) && /* before mean */
         set_text (preprocess, "mean", given (config->mean), error) &&
         set_text (preprocess, "std", given (config->std), error) &&
         set_text (preprocess, "resize-mode", resize_mode_value (config->resize_mode), error) &&
         set_number (preprocess, "crop-ratio", config->crop_ratio, error) &&
         set_text (preprocess, "scaling", scaling_value (config->scaling), error) &&
         (channels == 0 || engine_preprocess_check (preprocess, channels, error));
}

KernelBackend *
gst_int8_config_open_backend (const GstInt8Config *config, GError **error)
{
  const char *asked = config->backend && *config->backend ? config->backend : "auto";
  const char *name = g_str_equal (asked, "auto") ? "cpu" : asked;
  g_autoptr (GError) local = NULL;
  KernelBackend *backend = engine_backend_open (name, &local);

  if (!backend)
    g_set_error (error, local->domain, local->code, "%s; backend=auto takes what this machine has",
        local->message);
  return backend;
}

static void
error_code (const GError *error, GQuark *domain, int *code)
{
  *domain = GST_RESOURCE_ERROR;
  *code = GST_RESOURCE_ERROR_FAILED;

  if (error->domain == G_FILE_ERROR) {
    if (error->code == G_FILE_ERROR_NOENT)
      *code = GST_RESOURCE_ERROR_NOT_FOUND;
    else if (error->code == G_FILE_ERROR_NOSPC)
      *code = GST_RESOURCE_ERROR_NO_SPACE_LEFT;
    else if (error->code == G_FILE_ERROR_ACCES || error->code == G_FILE_ERROR_PERM)
      *code = GST_RESOURCE_ERROR_NOT_AUTHORIZED;
  } else if (error->domain == ENGINE_ERROR) {
    if (error->code == ENGINE_ERROR_BACKEND) {
      *domain = GST_LIBRARY_ERROR;
      *code = GST_LIBRARY_ERROR_FAILED;
    } else if (error->code == ENGINE_ERROR_RANGE || error->code == ENGINE_ERROR_MISMATCH ||
               error->code == ENGINE_ERROR_RULES) {
      *code = GST_RESOURCE_ERROR_SETTINGS;
    } else if (error->code == ENGINE_ERROR_MEMORY) {
      *code = GST_RESOURCE_ERROR_NO_SPACE_LEFT;
    }
  } else if (error->domain == CALIB_ERROR) {
    *code = error->code == CALIB_ERROR_MISMATCH || error->code == CALIB_ERROR_UNAVAILABLE
                ? GST_RESOURCE_ERROR_SETTINGS
                : GST_RESOURCE_ERROR_READ;
  } else if (error->domain == G_IO_ERROR && error->code == G_IO_ERROR_INVALID_ARGUMENT) {
    *code = GST_RESOURCE_ERROR_SETTINGS;
  }
}

static void
post (GstElement *element, GstMessageType type, const GError *error, const char *text,
    const char *hint)
{
  GQuark domain;
  int code;

  error_code (error, &domain, &code);
  gst_element_message_full (element, type, domain, code, g_strdup (text), g_strdup (hint), __FILE__,
      G_STRFUNC, __LINE__);
}

void
gst_int8_config_post_error (GstElement *element, const GError *error, const char *hint)
{
  post (element, GST_MESSAGE_ERROR, error, error->message, hint);
}

void
gst_int8_config_post_warning (GstElement *element, const GError *error, const char *text,
    const char *hint)
{
  post (element, GST_MESSAGE_WARNING, error, text, hint);
}

void
gst_int8_config_warn_if_late (GstElement *element, const GParamSpec *pspec)
{
  gboolean late;

  GST_OBJECT_LOCK (element);
  /* A sink that waits for its first frame is in READY still. */
  late = MAX (GST_STATE (element), GST_STATE_NEXT (element)) > GST_STATE_READY &&
         !(pspec->flags & GST_PARAM_MUTABLE_PLAYING);
  GST_OBJECT_UNLOCK (element);
  if (late)
    GST_ELEMENT_WARNING (element, RESOURCE, SETTINGS,
        ("\"%s\" was set while the element plays: what runs goes on without it", pspec->name),
        ("it counts from the next start on: set the element to NULL, then to PLAYING"));
}
