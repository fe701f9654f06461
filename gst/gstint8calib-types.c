/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gstint8calib-types.c: the enumerations of int8calib's properties. */
#include "gst/gstint8calib-private.h"

GType
gst_int8_calib_table_exists_type (void)
{
  static const GEnumValue values[] = {
      {GST_INT8_TABLE_EXISTS_USE, "Keep it: calibration is skipped, and that is said", "use"},
      {GST_INT8_TABLE_EXISTS_OVERWRITE, "Calibrate, and replace it at the end", "overwrite"},
      {GST_INT8_TABLE_EXISTS_REFUSE, "Do not start", "refuse"},
      {0, NULL, NULL},
  };
  static gsize type;

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstInt8TableExists", values));
  return type;
}

GType
gst_int8_calib_method_type (void)
{
  static const GEnumValue values[] = {
      {CALIB_METHOD_MINMAX, "The largest magnitude that was seen", "minmax"},
      {CALIB_METHOD_ENTROPY2, "Least divergence; TensorRT's criterion, whatever order and batches",
          "entropy2"},
      {CALIB_METHOD_ENTROPY2_TRT, "TensorRT's own histogram: its table, bin for bin",
          "entropy2-trt"},
      {CALIB_METHOD_PERCENTILE, "All but the largest few magnitudes (see percentile)",
          "percentile"},
      {CALIB_METHOD_MSE, "Least squared error of quantisation", "mse"},
      {CALIB_METHOD_MSE_RELATIVE,
          "As mse, but errors of values far beyond the root mean square count relative to the value",
          "mse-relative"},
      {CALIB_METHOD_ENTROPY, "As entropy2, but tensors share no ranges: TensorRT's version 1",
          "entropy"},
      {CALIB_METHOD_LEGACY, "TensorRT's legacy calibrator: 0.999999 of all values, bin for bin",
          "legacy"},
      {GST_INT8_METHOD_AUTO,
          "Whichever of all is nearest to FP32 on frames that are kept (see keep-frames)", "auto"},
      {0, NULL, NULL},
  };
  static gsize type;

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstInt8CalibMethod", values));
  return type;
}

GType
gst_int8_calib_bias_correction_type (void)
{
  static const GEnumValue values[] = {
      {GST_INT8_BIAS_CORRECTION_FAST, "From the channel means of the statistics", "fast"},
      {GST_INT8_BIAS_CORRECTION_FULL,
          "On frames that are kept (see keep-frames), layer after layer: what layers before have lost, too",
          "full"},
      {GST_INT8_BIAS_CORRECTION_OFF, "None; <table>.bias is removed", "off"},
      {0, NULL, NULL},
  };
  static gsize type;

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstInt8CalibBiasCorrection", values));
  return type;
}
