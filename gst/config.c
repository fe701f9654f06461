/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* config.c: properties of both elements, and what they mean to the engine. */
#include "gst/config.h"

#define SETTABLE (G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS)

static const GEnumValue presets[] = {
    {GST_INT8_PRESET_AUTO, "imagenet for a model with three input channels, unit for one", "auto"},
    {GST_INT8_PRESET_IMAGENET,
        "RGB, y = (x/255 - mean) / std with ImageNet's mean and std, centre crop 0.875 "
        "(torchvision)",
        "imagenet"},
    {GST_INT8_PRESET_IMAGENET_CAFFE,
        "BGR, y = x - mean with 103.939,116.779,123.68, centre crop 0.875 (Caffe, Keras)",
        "imagenet-caffe"},
    {GST_INT8_PRESET_UNIT, "RGB, y = x/255, stretched", "unit"},
    {GST_INT8_PRESET_RAW, "RGB, y = x, stretched", "raw"},
    {0, NULL, NULL},
};

static const GEnumValue color_formats[] = {
    {0, "As the preset says; gray for a model with one input channel", "auto"},
    {1 + ENGINE_COLOR_RGB, "Red, green, blue", "rgb"},
    {1 + ENGINE_COLOR_BGR, "Blue, green, red", "bgr"},
    {1 + ENGINE_COLOR_GRAY, "One channel of luma", "gray"},
    {0, NULL, NULL},
};

static const GEnumValue resize_modes[] = {
    {0, "As the preset says", "auto"},
    {1 + ENGINE_RESIZE_STRETCH, "To the input's size, whatever the aspect", "stretch"},
    {1 + ENGINE_RESIZE_LETTERBOX, "Keep the aspect, black at the right or below", "letterbox"},
    {1 + ENGINE_RESIZE_LETTERBOX_CENTERED, "Keep the aspect, black on both sides",
        "letterbox-centered"},
    {1 + ENGINE_RESIZE_CENTER_CROP, "Keep the aspect, cut out the middle (see crop-ratio)",
        "center-crop"},
    {0, NULL, NULL},
};

static const GEnumValue scalings[] = {
    {0, "As the preset says", "auto"},
    {1 + KERNEL_SCALING_ANTIALIAS, "Bilinear with antialiasing, the bytes of Pillow's BILINEAR",
        "antialias"},
    {1 + KERNEL_SCALING_BILINEAR, "Bilinear without antialiasing", "bilinear"},
    {1 + KERNEL_SCALING_NEAREST, "The nearest pixel", "nearest"},
    {0, NULL, NULL},
};

static GType
enum_type (gsize *once, const char *name, const GEnumValue *values)
{
  if (g_once_init_enter (once))
    g_once_init_leave (once, g_enum_register_static (name, values));
  return (GType) *once;
}

static GType
preset_type (void)
{
  static gsize type;
  return enum_type (&type, "GstInt8Preprocess", presets);
}

static GType
color_format_type (void)
{
  static gsize type;
  return enum_type (&type, "GstInt8ColorFormat", color_formats);
}

static GType
resize_mode_type (void)
{
  static gsize type;
  return enum_type (&type, "GstInt8ResizeMode", resize_modes);
}

static GType
scaling_type (void)
{
  static gsize type;
  return enum_type (&type, "GstInt8Scaling", scalings);
}

static void
install_preprocess (GObjectClass *klass, GParamFlags flags)
{
  g_object_class_install_property (klass, GST_INT8_CONFIG_PREPROCESS,
      g_param_spec_enum ("preprocess", "Preprocessing preset",
          "How the model wants its pictures: what the other preprocessing properties do not "
          "set. It must be what the model was trained with",
          preset_type (), GST_INT8_PRESET_AUTO, flags));
  g_object_class_install_property (klass, GST_INT8_CONFIG_COLOR_FORMAT,
      g_param_spec_enum ("color-format", "Colour format", "Order of the model's input channels",
          color_format_type (), 0, flags));
  g_object_class_install_property (klass, GST_INT8_CONFIG_SCALE_FACTOR,
      g_param_spec_double ("scale-factor", "Scale factor",
          "f in y = (f * x - mean) / std, x being a byte 0..255 (0 = as the preset says)", 0,
          G_MAXFLOAT, 0, flags));
  g_object_class_install_property (klass, GST_INT8_CONFIG_MEAN,
      g_param_spec_string ("mean", "Mean",
          "mean in y = (f * x - mean) / std: one number, or one per channel in the order of "
          "color-format, as in \"0.485,0.456,0.406\" (unset = as the preset says)",
          NULL, flags));
  g_object_class_install_property (klass, GST_INT8_CONFIG_MEAN_FILE,
      g_param_spec_string ("mean-file", "Mean image",
          "Path of a picture that is subtracted from every input, in the place of mean: "
          "y = f * (x - picture) / std. A binary PPM (P6; P5 for one channel) of the model's input size, its "
          "bytes in the order of color-format, as DeepStream's mean-file (unset = none)",
          NULL, flags));
  g_object_class_install_property (klass, GST_INT8_CONFIG_STD,
      g_param_spec_string ("std", "Standard deviation",
          "std in y = (f * x - mean) / std: one number, or one per channel in the order of "
          "color-format, as in \"0.229,0.224,0.225\" (unset = as the preset says)",
          NULL, flags));
  g_object_class_install_property (klass, GST_INT8_CONFIG_RESIZE_MODE,
      g_param_spec_enum ("resize-mode", "Resize mode",
          "How a frame of any size becomes a picture of the model's input size",
          resize_mode_type (), 0, flags));
  g_object_class_install_property (klass, GST_INT8_CONFIG_CROP_RATIO,
      g_param_spec_double ("crop-ratio", "Crop ratio",
          "resize-mode=center-crop: side of the part that is kept, relative to the frame's "
          "short side (0 = as the preset says; 224 of 256 is 0.875)",
          0, 1, 0, flags));
  g_object_class_install_property (klass, GST_INT8_CONFIG_SCALING,
      g_param_spec_enum ("scaling", "Scaling", "Filter that resizes frames", scaling_type (), 0,
          flags));
}

void
gst_int8_config_install (GObjectClass *klass, GParamFlags mutability)
{
  const GParamFlags fixed = SETTABLE | GST_PARAM_MUTABLE_READY, flags = SETTABLE | mutability;

  g_object_class_install_property (klass, GST_INT8_CONFIG_MODEL,
      g_param_spec_string ("model", "Model",
          "Path of the classifier: ONNX, or Caffe (a .caffemodel, its .prototxt beside it or in "
          "proto-file) (must be set)",
          NULL, flags));
  g_object_class_install_property (klass, GST_INT8_CONFIG_PROTO_FILE,
      g_param_spec_string ("proto-file", "Prototxt",
          "Caffe: path of the network whose weights are `model` (unset = beside the model, with its "
          "name)",
          NULL, flags));
  g_object_class_install_property (klass, GST_INT8_CONFIG_INFER_DIMS,
      g_param_spec_string ("infer-dims", "Inference dims",
          "Shape of the image where the model leaves it open, or takes a vector: \"c;h;w\" in the model's "
          "order of axes, such as 3;224;224 (unset = as the model says)",
          NULL, flags));
  install_preprocess (klass, flags);
  g_object_class_install_property (klass, GST_INT8_CONFIG_BACKEND,
      g_param_spec_string ("backend", "Back end",
          "What computes: \"cpu\" (fast kernels of this CPU), \"cuda\" or \"cuda:N\" (an NVIDIA GPU, the same "
          "bytes; frames in memory:CUDAMemory stay there), \"ref\" (plain C, slow, the same "
          "bytes), \"auto\" (cuda where it opens, else cpu)",
          "auto", fixed));
  g_object_class_install_property (klass, GST_INT8_CONFIG_THREADS,
      g_param_spec_uint ("threads", "Threads",
          "Threads that may compute the network, with the element's own (0 = one per CPU this process "
          "may use); elements of a process share all others",
          0, 1024, 0, fixed));
}

void
gst_int8_config_init (GstInt8Config *config)
{
  *config = (GstInt8Config){.backend = g_strdup ("auto")};
}

void
gst_int8_config_clear (GstInt8Config *config)
{
  g_clear_pointer (&config->model, g_free);
  g_clear_pointer (&config->proto_file, g_free);
  g_clear_pointer (&config->infer_dims, g_free);
  g_clear_pointer (&config->mean, g_free);
  g_clear_pointer (&config->mean_file, g_free);
  g_clear_pointer (&config->std, g_free);
  g_clear_pointer (&config->backend, g_free);
}

void
gst_int8_config_copy (const GstInt8Config *from, GstInt8Config *to)
{
  *to = *from;
  to->model = g_strdup (from->model);
  to->proto_file = g_strdup (from->proto_file);
  to->infer_dims = g_strdup (from->infer_dims);
  to->mean = g_strdup (from->mean);
  to->mean_file = g_strdup (from->mean_file);
  to->std = g_strdup (from->std);
  to->backend = g_strdup (from->backend);
}

static void
take_string (char **field, const GValue *value)
{
  g_free (*field);
  *field = g_value_dup_string (value);
}

gboolean
gst_int8_config_set_property (GstInt8Config *config, guint id, const GValue *value)
{
  switch (id) {
  case GST_INT8_CONFIG_MODEL:
    take_string (&config->model, value);
    return TRUE;
  case GST_INT8_CONFIG_PROTO_FILE:
    take_string (&config->proto_file, value);
    return TRUE;
  case GST_INT8_CONFIG_INFER_DIMS:
    take_string (&config->infer_dims, value);
    return TRUE;
  case GST_INT8_CONFIG_PREPROCESS:
    config->preset = g_value_get_enum (value);
    return TRUE;
  case GST_INT8_CONFIG_COLOR_FORMAT:
    config->color_format = g_value_get_enum (value);
    return TRUE;
  case GST_INT8_CONFIG_SCALE_FACTOR:
    config->scale_factor = g_value_get_double (value);
    return TRUE;
  case GST_INT8_CONFIG_MEAN:
    take_string (&config->mean, value);
    return TRUE;
  case GST_INT8_CONFIG_MEAN_FILE:
    take_string (&config->mean_file, value);
    return TRUE;
  case GST_INT8_CONFIG_STD:
    take_string (&config->std, value);
    return TRUE;
  case GST_INT8_CONFIG_RESIZE_MODE:
    config->resize_mode = g_value_get_enum (value);
    return TRUE;
  case GST_INT8_CONFIG_CROP_RATIO:
    config->crop_ratio = g_value_get_double (value);
    return TRUE;
  case GST_INT8_CONFIG_SCALING:
    config->scaling = g_value_get_enum (value);
    return TRUE;
  case GST_INT8_CONFIG_BACKEND:
    take_string (&config->backend, value);
    return TRUE;
  case GST_INT8_CONFIG_THREADS:
    config->threads = g_value_get_uint (value);
    return TRUE;
  default:
    return FALSE;
  }
}

gboolean
gst_int8_config_get_property (const GstInt8Config *config, guint id, GValue *value)
{
  switch (id) {
  case GST_INT8_CONFIG_MODEL:
    g_value_set_string (value, config->model);
    return TRUE;
  case GST_INT8_CONFIG_PROTO_FILE:
    g_value_set_string (value, config->proto_file);
    return TRUE;
  case GST_INT8_CONFIG_INFER_DIMS:
    g_value_set_string (value, config->infer_dims);
    return TRUE;
  case GST_INT8_CONFIG_PREPROCESS:
    g_value_set_enum (value, config->preset);
    return TRUE;
  case GST_INT8_CONFIG_COLOR_FORMAT:
    g_value_set_enum (value, config->color_format);
    return TRUE;
  case GST_INT8_CONFIG_SCALE_FACTOR:
    g_value_set_double (value, config->scale_factor);
    return TRUE;
  case GST_INT8_CONFIG_MEAN:
    g_value_set_string (value, config->mean);
    return TRUE;
  case GST_INT8_CONFIG_MEAN_FILE:
    g_value_set_string (value, config->mean_file);
    return TRUE;
  case GST_INT8_CONFIG_STD:
    g_value_set_string (value, config->std);
    return TRUE;
  case GST_INT8_CONFIG_RESIZE_MODE:
    g_value_set_enum (value, config->resize_mode);
    return TRUE;
  case GST_INT8_CONFIG_CROP_RATIO:
    g_value_set_double (value, config->crop_ratio);
    return TRUE;
  case GST_INT8_CONFIG_SCALING:
    g_value_set_enum (value, config->scaling);
    return TRUE;
  case GST_INT8_CONFIG_BACKEND:
    g_value_set_string (value, config->backend);
    return TRUE;
  case GST_INT8_CONFIG_THREADS:
    g_value_set_uint (value, config->threads);
    return TRUE;
  default:
    return FALSE;
  }
}
