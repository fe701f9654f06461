/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* onnx/order.h: which nodes of a model are needed, and in which order. Internal to the importer. */
#pragma once

#include "engine/onnx/import.h"

/* An op that is imported. */
typedef struct {
  const char *name;
  EngineOnnxImportFn import;
  guint min_inputs, max_inputs;
  const char *attributes; /* between spaces */
} EngineOnnxOp;
/* NULL where it is not known. */
const EngineOnnxOp *engine_onnx_op (const EngineOnnx__NodeProto *node);

/* Indices (int) of the nodes that the outputs need, producers first; in the order of the model
 * where that is one. Names must be text and unique, ops known, and no value may need itself. What
 * is in outer already may be read, and nothing of its name made. */
GArray *engine_onnx_order (const EngineOnnx__GraphProto *graph, const EngineOnnx *outer,
    GError **error);
