/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gstint8infer-options.c: the properties of int8infer that are of the element, not of its network, and may
 * change from one frame to the next.
 */
#include "gst/gstint8infer-private.h"

enum {
  TOP_K,
  THRESHOLD,
  SOFTMAX,
  METADATA,
  ATTRIBUTE_NAME,
  POST_MESSAGES,
  OUTPUT_TENSORS,
  QOS,
  BATCH_TIMEOUT,
  INTERVAL,
  N_OPTIONS
};
G_STATIC_ASSERT (N_OPTIONS == GST_INT8_INFER_N_OPTIONS);

#define DEFAULT_TOP_K          1
#define DEFAULT_ATTRIBUTE_NAME "classification"

void
gst_int8_infer_options_init (GstInt8InferOptions *options)
{
  *options = (GstInt8InferOptions){.top_k = DEFAULT_TOP_K,
      .softmax = GST_INT8_SOFTMAX_AUTO,
      .metadata = GST_INT8_METADATA_MODE_AUTO,
      .attribute_name = g_intern_static_string (DEFAULT_ATTRIBUTE_NAME)};
}

gboolean
gst_int8_infer_option_set (GstInt8InferOptions *options, guint id, const GValue *value)
{
  const char *text;

  switch (id) {
  case TOP_K:
    options->top_k = g_value_get_uint (value);
    return TRUE;
  case THRESHOLD:
    options->threshold = g_value_get_double (value);
    return TRUE;
  case SOFTMAX:
    options->softmax = g_value_get_enum (value);
    return TRUE;
  case METADATA:
    options->metadata = g_value_get_enum (value);
    return TRUE;
  case ATTRIBUTE_NAME:
    text = g_value_get_string (value);
    options->attribute_name = g_intern_string (text && *text ? text : DEFAULT_ATTRIBUTE_NAME);
    return TRUE;
  case POST_MESSAGES:
    options->post_messages = g_value_get_boolean (value);
    return TRUE;
  case OUTPUT_TENSORS:
    options->output_tensors = g_value_get_boolean (value);
    return TRUE;
  case QOS:
    options->qos = g_value_get_boolean (value);
    return TRUE;
  case BATCH_TIMEOUT:
    options->batch_timeout = g_value_get_uint64 (value);
    return TRUE;
  case INTERVAL:
    options->interval = g_value_get_uint (value);
    return TRUE;
  default:
    return FALSE;
  }
}

gboolean
gst_int8_infer_option_get (const GstInt8InferOptions *options, guint id, GValue *value)
{
  switch (id) {
  case TOP_K:
    g_value_set_uint (value, options->top_k);
    return TRUE;
  case THRESHOLD:
    g_value_set_double (value, options->threshold);
    return TRUE;
  case SOFTMAX:
    g_value_set_enum (value, options->softmax);
    return TRUE;
  case METADATA:
    g_value_set_enum (value, options->metadata);
    return TRUE;
  case ATTRIBUTE_NAME:
    g_value_set_string (value, options->attribute_name);
    return TRUE;
  case POST_MESSAGES:
    g_value_set_boolean (value, options->post_messages);
    return TRUE;
  case OUTPUT_TENSORS:
    g_value_set_boolean (value, options->output_tensors);
    return TRUE;
  case QOS:
    g_value_set_boolean (value, options->qos);
    return TRUE;
  case BATCH_TIMEOUT:
    g_value_set_uint64 (value, options->batch_timeout);
    return TRUE;
  case INTERVAL:
    g_value_set_uint (value, options->interval);
    return TRUE;
  default:
    return FALSE;
  }
}

static void
install_results (GObjectClass *klass, guint first, GParamFlags flags)
{
  g_object_class_install_property (klass, first + TOP_K,
      g_param_spec_uint ("top-k", "Top k", "How many classes a result lists at most, best first", 1,
          GST_INT8_MAX_TOP_K, DEFAULT_TOP_K, flags));
  g_object_class_install_property (klass, first + THRESHOLD,
      g_param_spec_double ("threshold", "Threshold",
          "Classes with a lower confidence are left out; a frame without any gets no metadata "
          "(0 = none is left out)",
          0, G_MAXFLOAT, 0, flags));
  g_object_class_install_property (klass, first + SOFTMAX,
      g_param_spec_enum ("softmax", "Softmax",
          "Whether the network's output is turned into probabilities",
          gst_int8_infer_softmax_type (), GST_INT8_SOFTMAX_AUTO, flags));
  g_object_class_install_property (klass, first + METADATA,
      g_param_spec_enum ("metadata", "Metadata", "Kinds of metadata that frames are given",
          gst_int8_infer_metadata_type (), GST_INT8_METADATA_MODE_AUTO, flags));
  g_object_class_install_property (klass, first + ATTRIBUTE_NAME,
      g_param_spec_string ("attribute-name", "Attribute name",
          "What is classified, as in \"colour\" or \"vehicle-type\"; field attribute_name and "
          "roi_type of the metadata",
          DEFAULT_ATTRIBUTE_NAME, flags));
  g_object_class_install_property (klass, first + POST_MESSAGES,
      g_param_spec_boolean ("post-messages", "Post messages",
          "Post an element message \"int8-classification\" for every result", FALSE, flags));
#ifdef HAVE_GST_TENSOR_META
  g_object_class_install_property (klass, first + OUTPUT_TENSORS,
      g_param_spec_boolean ("output-tensors", "Output tensors",
          "Give frames the network's output itself, too, whatever top-k, threshold and softmax say: a tensor of "
          "their GstTensorMeta, 1 x classes floats, with the id classification-generic-out, or "
          "classification-generic-softmaxed-out where the network ends in a softmax. Of whole frames: none with "
          "process-mode=objects. With async that of the newest result",
          FALSE, flags));
#endif
}

void
gst_int8_infer_options_install (GObjectClass *klass, guint first)
{
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING;

  install_results (klass, first, flags);
  g_object_class_install_property (klass, first + BATCH_TIMEOUT,
      g_param_spec_uint64 ("batch-timeout", "Batch timeout",
          "How long (ns) a frame may wait for others to fill its batch; adds as much to the latency "
          "where batch-size > 1 (0 = a batch begins with what is there)",
          0, G_MAXINT64, 0, flags));
  g_object_class_install_property (klass, first + INTERVAL,
      g_param_spec_uint ("interval", "Interval",
          "Frames that pass without inference and metadata after each that is looked at", 0,
          G_MAXUINT - 1, 0, flags));
  g_object_class_install_property (klass, first + QOS,
      g_param_spec_boolean ("qos", "Quality of service",
          "Pass on, without inference and metadata, frames that their sink says will be too late",
          FALSE, flags));
}
