/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/levels.h: quantised models in the importer. Internal to its files.
 *
 * The graph has real numbers only. An activation that ONNX calls int8 or uint8 is the output of a pair of
 * nodes, quantise and dequantise, that rounds it to its levels; its EngineOnnxValue remembers what the
 * levels are. Ops that move levels without reading them (MaxPool, Split, Reshape ...) move the real
 * numbers instead; those that compute with levels (QLinearConv ...) are imported as what they are of:
 * DequantizeLinear, the op on real numbers, QuantizeLinear. uint8 is int8 with 128 added to levels and
 * zero point.
 */
#pragma once

#include "engine/onnx/import.h"

/* As a number. */
static inline int
engine_onnx_level (const EngineOnnxConstant *x, gint64 i)
{
  return x->levels_type == ENGINE_ONNX_INT8 ? (gint8) x->levels[i] : x->levels[i];
}

/* --- onnx/levels.c -------------------------------------------------------------------------- */

/* Before a node is imported: whether it may have levels where it has them. */
gboolean engine_onnx_check_levels (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error);
/* After it: what only moves levels makes levels. */
void engine_onnx_pass_levels (EngineOnnx *onnx, const EngineOnnxNode *node);

/* Scale and zero point of a quantised activation from two inputs of a node; the zero point may be left
 * out. axis: that its scales belong to where there are several. */
gboolean engine_onnx_read_levels (EngineOnnx *onnx, const EngineOnnxNode *node, guint scale,
    guint zero, int axis, EngineOnnxLevels *levels, GError **error);
/* Input x as real numbers, under a name of its own: an activation, whose levels have to be these, or a
 * constant. axis: that its scales belong to where there are several. NULL on error. */
const char *engine_onnx_dequantised (EngineOnnx *onnx, const EngineOnnxNode *node, guint x,
    guint scale, guint zero, int axis, GError **error);
/* The same for a bias, int32 with the scale of an activation times those of weights. */
const char *engine_onnx_dequantised_bias (EngineOnnx *onnx, const EngineOnnxNode *node, guint bias,
    guint scale_x, guint scale_w, GError **error);
/* A value with a name that no model has. constant: taken; NULL gives one like `like`, in real numbers. */
EngineOnnxValue *engine_onnx_temporary (EngineOnnx *onnx, const EngineOnnxValue *like,
    EngineOnnxConstant *constant, const char **name);
/* Runs an import on these inputs, with the attributes of node, and defines `output`. */
gboolean engine_onnx_import_as (EngineOnnx *onnx, const EngineOnnxNode *node,
    EngineOnnxImportFn import, const char *const *inputs, gsize n_inputs, const char *output,
    GError **error);
/* Above 0 and finite, all of them. */
gboolean engine_onnx_check_scales (const EngineOnnxNode *node, const EngineOnnxConstant *scale,
    GError **error);
/* *zero is NULL where it is left out. */
gboolean engine_onnx_read_zero (EngineOnnx *onnx, const EngineOnnxNode *node, guint i,
    const EngineOnnxConstant **zero, GError **error);
/* uint8 unless the zero point or attribute output_dtype say otherwise. */
gboolean engine_onnx_read_level_type (const EngineOnnxNode *node, const EngineOnnxConstant *zero,
    int *type, GError **error);

/* --- onnx/pair.c ------------------------------------------------------------------------------ */

/* Output 0 is an activation, rounded to these levels. */
gboolean engine_onnx_quantise (EngineOnnx *onnx, const EngineOnnxNode *node, EngineOnnxValue *x,
    const EngineOnnxLevels *levels, GError **error);
/* Output 0, which is there as real numbers, becomes levels. */
gboolean engine_onnx_quantise_output (EngineOnnx *onnx, const EngineOnnxNode *node,
    const EngineOnnxLevels *levels, GError **error);

/* --- Elsewhere ------------------------------------------------------------------------------- */

/* onnx/quant.c: levels (or, where there are none, integers) as floats, zero points subtracted. */
EngineOnnxConstant *engine_onnx_real_constant (EngineOnnx *onnx, const EngineOnnxNode *node,
    const EngineOnnxConstant *x, const EngineOnnxConstant *scale, const EngineOnnxConstant *zero,
    int axis, GError **error);
/* The scales of weights whose outputs are on an axis, times a factor, for a constant of the graph. */
void engine_onnx_keep_scales (EngineOnnx *onnx, int weights, const EngineOnnxConstant *w, int axis,
    double factor);
/* onnx/binary.c: output 0, which is there, becomes a multiple of itself. */
gboolean engine_onnx_scale_output (EngineOnnx *onnx, const EngineOnnxNode *node, double factor,
    GError **error);
/* onnx/integer.c: *dynamic is what the product depends on, NULL for none. */
gboolean engine_onnx_mul_dynamic (EngineOnnx *onnx, const EngineOnnxNode *node,
    const EngineOnnxValue *a, const EngineOnnxValue *b, const char **dynamic, GError **error);
