/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * explicit.h: models that are quantised already, with QuantizeLinear and DequantizeLinear or the ops
 * that stand for them. Internal to engine/.
 *
 * Their float graph has quantise and dequantise nodes in it, where the model has them, so that an FP32
 * engine computes what the file says: float ops on values that are rounded to levels. An INT8 engine
 * does in int8 what lies between dequantise and quantise, and nothing else.
 */
#pragma once

#include "engine/pass/pass.h"

gboolean engine_graph_is_explicit (const EngineGraph *graph);

/* Whether the op moves values and makes no others: quantising before or after it is the same. quant:
 * whether also these levels come out where they went in, or NULL. */
gboolean engine_explicit_moves (const EngineNode *node, const EngineQuant *quant);

/* pass/explicit-move.c: conversions go to where the work is. Ops that only move values do so in int8:
 * dequantising is put behind them, and quantising before them. */
void engine_explicit_sink (EngineGraph *graph);
void engine_explicit_hoist (EngineGraph *graph);

/* pass/explicit-wide.c: int8 convolutions whose weights' levels int8 does not hold get others that are exactly
 * the same. Those that cannot are as they were. */
gboolean engine_explicit_widen (EngineGraph *graph, GError **error);

/* The pass for such graphs, in place of quantise. */
gboolean engine_pass_explicit (EngineGraph *graph, const EnginePassContext *context,
    GError **error);
