/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * export/export.h: an INT8 engine as an ONNX file with QuantizeLinear and DequantizeLinear. Part of engine.h.
 */
#pragma once

#include "engine/engine.h"

G_BEGIN_DECLS

/* Whose rules the file follows. All of them read standard ops between QuantizeLinear and
 * DequantizeLinear (opset 13, NCHW; weights int8 with one scale for each output channel, along axis
 * 0); they differ in what they turn into int8 kernels, and in what they refuse. docs/ACCURACY.md
 * tells what ONNX Runtime and OpenVINO make of it.
 *
 *   tensorrt     TensorRT 8 to 11. Activations are int8 with zero point 0: the engine's ranges must be
 *                symmetric. Biases are float: a DequantizeLinear of int32 is refused
 *                (github.com/onnx/onnx-tensorrt/issues/850, github.com/NVIDIA/TensorRT/issues/3360).
 *                Both inputs of an add are dequantised, and nothing is quantised between a
 *                convolution, its add and its activation, so that they become one kernel
 *                (docs.nvidia.com/deeplearning/tensorrt, "Explicit Quantization", and
 *                "Add Custom QDQ Insertion Case" of the TensorFlow-Quantization toolkit). All inputs
 *                of a concat have its scale, and so have what goes into and comes out of a max pool,
 *                reshape, transpose or slice: equal scales are one initialiser.
 *   onnxruntime  Activations are uint8. Biases are int32 at scale s_x s_w. Its int8 convolutions write
 *                int8 only: a sum that a residual is added to is quantised before, in a range outside
 *                which the residual makes no difference. It costs up to two bits there; `exact`
 *                leaves these convolutions to float kernels.
 *   openvino     Activations are uint8. Else as tensorrt, with any zero point. */
typedef enum {
  ENGINE_EXPORT_TENSORRT,
  ENGINE_EXPORT_ONNXRUNTIME,
  ENGINE_EXPORT_OPENVINO,
  ENGINE_EXPORT_TARGET_COUNT
} EngineExportTarget;
const char *engine_export_target_name (EngineExportTarget target); /* "tensorrt" ... */

typedef struct {
  EngineExportTarget target;
  gboolean exact; /* onnxruntime: rounded where our engine rounds and nowhere else; slow */
  int batch;      /* of the input; 0: any, "N" */
} EngineExportOptions;

/* Writes what the INT8 engine executes as an ONNX file: batch norms folded, the tensors with the
 * names that the model had, levels of weights as they are. Images are float [n c h w], not quantised,
 * also where the model took [n h w c]. The file is replaced atomically. Its metadata says what it was
 * made of. ENGINE_ERROR_UNSUPPORTED for what the target does not read, an engine of floats among it;
 * G_FILE_ERROR. */
gboolean engine_export_qdq (const Engine *engine, const EngineExportOptions *options,
    const char *path, GError **error);
/* The same as bytes, to be freed with g_bytes_unref(). */
GBytes *engine_export_qdq_bytes (const Engine *engine, const EngineExportOptions *options,
    GError **error);

G_END_DECLS
