/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gstint8infer-types.c: the enumerations of int8infer's properties. */
#include "gst/gstint8infer-private.h"

GType
gst_int8_infer_precision_type (void)
{
  static const GEnumValue values[] = {
      {ENGINE_PRECISION_INT8, "8-bit integers; needs calibration-table or dynamic-ranges", "int8"},
      {ENGINE_PRECISION_FP16, "16-bit floats, on a GPU", "fp16"},
      {ENGINE_PRECISION_FP32, "32-bit floats", "fp32"},
      {ENGINE_PRECISION_MIXED, "int8, but for the layers that <calibration-table>.precision names",
          "mixed"},
      {0, NULL, NULL},
  };
  static gsize type;

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstInt8Precision", values));
  return type;
}

GType
gst_int8_infer_ranges_type (void)
{
  static const GEnumValue values[] = {
      {ENGINE_RANGES_FULL, "All 256 levels where a tensor is never, or hardly, negative", "full"},
      {ENGINE_RANGES_SYMMETRIC, "Zero point 0 everywhere, as TensorRT does", "symmetric"},
      {0, NULL, NULL},
  };
  static gsize type;

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstInt8Ranges", values));
  return type;
}

GType
gst_int8_infer_softmax_type (void)
{
  static const GEnumValue values[] = {
      {GST_INT8_SOFTMAX_AUTO, "Unless the network itself ends in softmax", "auto"},
      {GST_INT8_SOFTMAX_ON, "Always", "on"},
      {GST_INT8_SOFTMAX_OFF, "Never: confidences are the network's own values", "off"},
      {0, NULL, NULL},
  };
  static gsize type;

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstInt8Softmax", values));
  return type;
}

GType
gst_int8_infer_metadata_type (void)
{
  static const GEnumValue values[] = {
      {GST_INT8_METADATA_MODE_AUTO,
#ifdef HAVE_GST_ANALYTICS
          "custom; roi and analytics for frames, roi for regions of interest, analytics for detections",
#else
          "roi and custom",
#endif
          "auto"},
      {GST_INT8_METADATA_MODE_ROI,
          "GstVideoRegionOfInterestMeta over the frame, with \"classification\" params", "roi"},
      {GST_INT8_METADATA_MODE_CUSTOM, "GstCustomMeta \"GstInt8ClassificationMeta\"", "custom"},
      {GST_INT8_METADATA_MODE_BOTH, "roi and custom", "both"},
      {GST_INT8_METADATA_MODE_NONE, "None; see post-messages", "none"},
#ifdef HAVE_GST_ANALYTICS
      {GST_INT8_METADATA_MODE_ANALYTICS,
          "GstAnalyticsClsMtd, related to an object's GstAnalyticsODMtd; objects that are regions "
          "get params",
          "analytics"},
#endif
      {0, NULL, NULL},
  };
  static gsize type;

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstInt8MetadataMode", values));
  return type;
}
