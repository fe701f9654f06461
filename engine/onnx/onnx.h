/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/onnx.h: ONNX files as graphs. Internal to engine/; only model.c and the request key use it.
 *
 *   onnx-file     the bytes: mapped, recognised, checked on the wire, unpacked within a budget
 *   onnx-tensor   constants: typed data, raw data, external data
 *   onnx          the graph: order, names, the table of ops
 *   onnx-*        one family of ops each
 */
#pragma once

#include "engine/engine.h"
#include "engine/graph.h"

/* Imports a file. The graph is verified, but no pass has run. sha256 (may be NULL) receives the hex
 * digest over the bytes of the file and of every external data file, in order of first mention.
 * Errors: G_FILE_ERROR, ENGINE_ERROR_MODEL, ENGINE_ERROR_UNSUPPORTED, ENGINE_ERROR_MEMORY. */
EngineGraph *engine_onnx_import (const char *path, char **sha256, GError **error);
/* The same with what a file does not say, or NULL: Caffe's models too (caffe/caffe.h). */
EngineGraph *engine_onnx_import_with (const char *path, const EngineModelOptions *options,
    char **sha256, GError **error);

/* The same for bytes in memory; path is where external data lies beside, and what errors name. */
EngineGraph *engine_onnx_import_bytes (GBytes *bytes, const char *path, char **sha256,
    GError **error);

/* Paths of the other files that a model is made of: external data files, each once, in order of first
 * mention, which all lie in the model's folder; of Caffe's, the prototxt. Empty for most models. Free
 * with g_ptr_array_unref(). */
GPtrArray *engine_onnx_external_files (const char *path, const EngineModelOptions *options,
    GError **error);
