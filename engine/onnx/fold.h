/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* onnx/fold.h: making constants from constants of either type. Internal to the importer. */
#pragma once

#include "engine/onnx/import.h"

/* A constant that is being filled: either f or i is set. */
typedef struct {
  EngineOnnxConstant *constant;
  float *f;
  gint64 *i;
} EngineOnnxResult;

gboolean engine_onnx_result_new (EngineOnnx *onnx, EngineOnnxResult *result, gboolean floats,
    int rank, const gint64 *dims, GError **error);
/* Element `to` becomes x[from], which is of the same type. */
void engine_onnx_result_copy (EngineOnnxResult *result, gint64 to, const EngineOnnxConstant *x,
    gint64 from);
/* How far apart the elements of each axis lie. */
void engine_onnx_row_strides (int rank, const gint64 *dims, gint64 *stride);
