/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rewrite.h: the few moves that passes share. Internal to engine/.
 */
#pragma once

#include "engine/graph.h"

/* The node that makes a value, or NULL for inputs and constants. */
EngineNode *engine_rewrite_producer (const EngineGraph *graph, int value);
/* The same, if it is of this op and nobody but `reader` reads the value, once. */
EngineNode *engine_rewrite_own_producer (const EngineGraph *graph, const EngineNode *reader,
    int value, EngineOp op);

const float *engine_rewrite_floats (const EngineGraph *graph, int value);
/* A float constant; takes data. */
int engine_rewrite_constant (EngineGraph *graph, const char *name, int rank, const int *dims,
    float *data);

/* Whether an AFFINE is the same for all channels; and how. */
gboolean engine_rewrite_uniform (const EngineGraph *graph, const EngineNode *affine, float *scale,
    float *shift);
/* An AFFINE of a value that became 1 / factor times what it was; of its shift nothing changes. */
void engine_rewrite_scale_affine (EngineGraph *graph, EngineNode *affine, double factor);

/* Weights that were made of others, filter by filter: a model's own scales are theirs, too, times
 * factor[k] (NULL: 1). */
void engine_rewrite_keep_scales (EngineGraph *graph, int from, int to, const float *factor);

/* A node of one of the conversions behind `value`, whose output, "value (suffix)", has its dims and the
 * type of `op`; of QUANTISE the quant is left to the caller. Returns the output. */
int engine_rewrite_convert (EngineGraph *graph, EngineOp op, int value, const char *suffix);

/* The node computes a function without parameters of x from now on, and reads nothing else. */
void engine_rewrite_to_unary (EngineNode *node, int x, KernelUnary kind);

/* `to` stands for `from` from now on and takes its name. The node that made `from` reads nothing any
 * more and has no op, until engine_graph_compact() drops it. */
void engine_rewrite_stand_for (EngineGraph *graph, int from, int to);

/* Whoever reads `from` reads `to`, which is the same; `to` keeps its name unless `from` is an output
 * of the graph. FALSE where one value would need two names. The node is dropped as above. */
gboolean engine_rewrite_bypass (EngineGraph *graph, int from, int to);
