/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gstint8calib-export.c: the calibrated network as an ONNX file for other runtimes. */
#include "gst/gstint8calib-private.h"

GType
gst_int8_calib_qdq_target_type (void)
{
  static const GEnumValue values[] = {
      {ENGINE_EXPORT_TENSORRT, "TensorRT 8 to 11: symmetric ranges", "tensorrt"},
      {ENGINE_EXPORT_ONNXRUNTIME, "ONNX Runtime", "onnxruntime"},
      {ENGINE_EXPORT_OPENVINO, "OpenVINO", "openvino"},
      {0, NULL, NULL},
  };
  static gsize type;

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstInt8CalibQdqTarget", values));
  return type;
}

gboolean
gst_int8_calib_export (GstInt8Calib *self, const CalibTable *table, const EngineBias *bias,
    GError **error)
{
  const EngineExportOptions options = {.target = self->run.qdq_target};
  const EngineBuildOptions build = {.precision = ENGINE_PRECISION_INT8,
      .ranges = options.target == ENGINE_EXPORT_TENSORRT ? ENGINE_RANGES_SYMMETRIC
                                                         : ENGINE_RANGES_FULL,
      .table = table,
      .bias = bias,
      .preprocess = &self->preprocess};
  g_autoptr (Engine) engine = NULL;

  if (!self->run.qdq_model)
    return TRUE;
  engine = engine_build (self->model, &build, NULL, NULL, NULL, NULL, error);
  if (engine && engine_export_qdq (engine, &options, self->run.qdq_model, error))
    return TRUE;
  g_prefix_error (error, "qdq-model=%s: ", self->run.qdq_model);
  return FALSE;
}
