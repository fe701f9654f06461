/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/write.h: an ONNX file, built node by node. Internal to engine/.
 *
 * Everything that is added belongs to the writer. Texts are copied; the names that it hands out live
 * as long as it does.
 */
#pragma once

#include "engine/onnx/import.h"

typedef struct _EngineOnnxWriter EngineOnnxWriter;

/* Data types besides those that the importer knows. */
#define ENGINE_ONNX_INT32 6

EngineOnnxWriter *engine_onnx_writer_new (const char *graph_name);
void engine_onnx_writer_free (EngineOnnxWriter *writer); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EngineOnnxWriter, engine_onnx_writer_free)

/* A name that nobody has yet: the wanted one, or that with "#2", "#3" ... behind it. */
const char *engine_onnx_writer_name (EngineOnnxWriter *writer, const char *wanted);

/* Appends a node with one output. Inputs that are NULL are left out. The pointer is for the
 * attributes that follow. */
EngineOnnx__NodeProto *engine_onnx_writer_node (EngineOnnxWriter *writer, const char *op,
    const char *const *inputs, int n_inputs, const char *output);
void engine_onnx_writer_int (EngineOnnxWriter *writer, EngineOnnx__NodeProto *node,
    const char *name, gint64 value);
void engine_onnx_writer_ints (EngineOnnxWriter *writer, EngineOnnx__NodeProto *node,
    const char *name, const int *values, int n);
void engine_onnx_writer_float (EngineOnnxWriter *writer, EngineOnnx__NodeProto *node,
    const char *name, float value);

/* A constant: takes data, which is dense and in the order of bytes of this machine. */
void engine_onnx_writer_tensor (EngineOnnxWriter *writer, const char *name, int type, int rank,
    const int *dims, void *data, gsize size);

/* Floats that are used where they lie, as long as the writer lives. */
void engine_onnx_writer_floats (EngineOnnxWriter *writer, const char *name, int rank,
    const gint64 *dims, const float *data);

/* The image, or an output of the network: float. dims[0] 0 stands for any batch, "N". */
void engine_onnx_writer_input (EngineOnnxWriter *writer, const char *name, int rank,
    const int *dims);
void engine_onnx_writer_output (EngineOnnxWriter *writer, const char *name, int rank,
    const int *dims);

/* What a reader shows as the model's properties. */
void engine_onnx_writer_metadata (EngineOnnxWriter *writer, const char *key, const char *value);

/* The file as a message, which lives as long as the writer. */
EngineOnnx__ModelProto *engine_onnx_writer_model (EngineOnnxWriter *writer, int opset);
/* The file, of this opset. ENGINE_ERROR_UNSUPPORTED where it exceeds what protobuf can hold. */
GBytes *engine_onnx_writer_finish (EngineOnnxWriter *writer, int opset, GError **error);
