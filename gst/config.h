/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * config.h: the properties that int8infer and int8calib share: model, preprocessing, back end.
 *
 * One implementation serves both elements, so that the table of one fits the engine of the other.
 * Not thread-safe: the elements hold their object lock.
 */
#pragma once

#include <gst/gst.h>
#include "engine/engine.h"

G_BEGIN_DECLS

typedef enum {
  GST_INT8_PRESET_AUTO,
  GST_INT8_PRESET_IMAGENET,
  GST_INT8_PRESET_IMAGENET_CAFFE,
  GST_INT8_PRESET_UNIT,
  GST_INT8_PRESET_RAW
} GstInt8Preset;

/* Property ids 1 .. GST_INT8_CONFIG_LAST; an element's own begin after it. */
enum {
  GST_INT8_CONFIG_MODEL = 1,
  GST_INT8_CONFIG_PROTO_FILE,
  GST_INT8_CONFIG_INFER_DIMS,
  GST_INT8_CONFIG_PREPROCESS,
  GST_INT8_CONFIG_COLOR_FORMAT,
  GST_INT8_CONFIG_SCALE_FACTOR,
  GST_INT8_CONFIG_MEAN,
  GST_INT8_CONFIG_MEAN_FILE,
  GST_INT8_CONFIG_STD,
  GST_INT8_CONFIG_RESIZE_MODE,
  GST_INT8_CONFIG_CROP_RATIO,
  GST_INT8_CONFIG_SCALING,
  GST_INT8_CONFIG_BACKEND,
  GST_INT8_CONFIG_THREADS,
  GST_INT8_CONFIG_LAST = GST_INT8_CONFIG_THREADS
};

/* Enumerations are 0 for "as the preset says", else 1 + the engine's value. */
typedef struct {
  char *model, *proto_file; /* proto_file: NULL, or Caffe's other file */
  char *infer_dims;         /* NULL: as the model says */
  GstInt8Preset preset;
  int color_format, resize_mode, scaling;
  double scale_factor, crop_ratio; /* 0: as the preset says */
  char *mean, *std;                /* NULL: as the preset says */
  char *mean_file;                 /* NULL: none */
  char *backend;
  guint threads;
} GstInt8Config;

/* mutability: GST_PARAM_MUTABLE_ of those that say what the network is; `backend` and `threads` are
 * settled in READY. */
void gst_int8_config_install (GObjectClass *klass, GParamFlags mutability);
void gst_int8_config_init (GstInt8Config *config);
void gst_int8_config_clear (GstInt8Config *config);
void gst_int8_config_copy (const GstInt8Config *from, GstInt8Config *to); /* to: not initialised */
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (GstInt8Config, gst_int8_config_clear)

/* FALSE when the id is not one of these properties. */
gboolean gst_int8_config_set_property (GstInt8Config *config, guint id, const GValue *value);
gboolean gst_int8_config_get_property (const GstInt8Config *config, guint id, GValue *value);

/* What `model` does not say; points into config. */
EngineModelOptions gst_int8_config_model_options (const GstInt8Config *config);

/* Whether channels must be known for gst_int8_config_preprocess(). */
gboolean gst_int8_config_needs_channels (const GstInt8Config *config);
/* The description of the preprocessing for a model of so many input channels (0: unknown). */
gboolean gst_int8_config_preprocess (const GstInt8Config *config, int channels,
    EnginePreprocess *preprocess, GError **error);

/* Opens the back end; "auto" is cpu here. ENGINE_ERROR_BACKEND with the cause and what to set instead. */
KernelBackend *gst_int8_config_open_backend (const GstInt8Config *config, GError **error);

/* Posts the one error message of a failure: domain and code follow from the GError, the text is its
 * message, the debug text `hint` (or NULL). */
void gst_int8_config_post_error (GstElement *element, const GError *error, const char *hint);
/* The same as a warning, with a text of its own. */
void gst_int8_config_post_warning (GstElement *element, const GError *error, const char *text,
    const char *hint);
/* After a property was set: posts a warning where that says nothing to what runs already. Not under the object
 * lock. */
void gst_int8_config_warn_if_late (GstElement *element, const GParamSpec *pspec);

G_END_DECLS
