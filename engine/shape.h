/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * shape.h: the dims of an op's output, below engine_graph_output_dims(). Internal to engine/.
 *
 *   shape           the table of ops, and the bounds of graph.h
 *   shape-window    convolutions and pools
 *   shape-operand   ops of several tensors that have to fit each other
 *   shape-move      concat, slice, reshape, transpose and pad
 */
#pragma once

#include "engine/graph.h"

/* Dims before they are known to be within bounds. */
typedef struct {
  int rank;
  gint64 dims[ENGINE_MAX_RANK];
} EngineShape;

EngineShape engine_shape_of (const EngineGraph *graph, int value);
gboolean engine_shape_equal (const EngineShape *a, const EngineShape *b);
char *engine_shape_text (const EngineShape *shape); /* "[1 224 224 3]" */

/* Sets ENGINE_ERROR_MODEL with the node's name and op, and returns FALSE. */
gboolean engine_shape_misfit (const EngineNode *node, GError **error, const char *format, ...)
    G_GNUC_PRINTF (3, 4);

/* Each writes the shape of the node's output, or says what does not fit. */
gboolean engine_shape_conv (const EngineGraph *graph, const EngineNode *node, EngineShape *y,
    GError **error);
gboolean engine_shape_pool (const EngineGraph *graph, const EngineNode *node, EngineShape *y,
    GError **error);
gboolean engine_shape_binary (const EngineGraph *graph, const EngineNode *node, EngineShape *y,
    GError **error);
gboolean engine_shape_matmul (const EngineGraph *graph, const EngineNode *node, EngineShape *y,
    GError **error);
/* AFFINE and LAYERNORM. */
gboolean engine_shape_affine (const EngineGraph *graph, const EngineNode *node, EngineShape *y,
    GError **error);
gboolean engine_shape_concat (const EngineGraph *graph, const EngineNode *node, EngineShape *y,
    GError **error);
gboolean engine_shape_slice (const EngineGraph *graph, const EngineNode *node, EngineShape *y,
    GError **error);
gboolean engine_shape_reshape (const EngineGraph *graph, const EngineNode *node, EngineShape *y,
    GError **error);
gboolean engine_shape_transpose (const EngineGraph *graph, const EngineNode *node, EngineShape *y,
    GError **error);
gboolean engine_shape_pad (const EngineGraph *graph, const EngineNode *node, EngineShape *y,
    GError **error);
