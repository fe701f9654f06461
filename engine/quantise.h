/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * quantise.h: the parts of pass-quantise.c. Internal to engine/.
 */
#pragma once

#include "engine/pass.h"

/* Scale and zero point of every value that is int8 or is turned into it, in order of the values;
 * quant[v].scale is 0 for the others. FALSE with ENGINE_ERROR_RANGE when ranges are missing.
 * needed[v]: whether value v will be int8. */
gboolean engine_quantise_ranges (const EngineGraph *graph, const EnginePassContext *context,
    const gboolean *needed, EngineQuant *quant, GError **error);

/* Replaces the weights and bias of a convolution whose input and output have got their types and
 * quants: int8 weights, m, b. */
gboolean engine_quantise_conv (EngineGraph *graph, int node, GError **error);
