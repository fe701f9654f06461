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

/* Whether it is text of one line, not too long: names end in tables, and in messages. `of` is what it
 * names. */
gboolean engine_onnx_check_name (const char *name, const char *of, GError **error);

/* Indices (int) of the nodes that the outputs need, producers first; in the order of the model
 * where that is one. Names must be text and unique, ops known, and no value may need itself. What
 * is in outer already may be read, and nothing of its name made. */
GArray *engine_onnx_order (const EngineOnnx__GraphProto *graph, const EngineOnnx *outer,
    GError **error);
