/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verify.h: the parts of engine_graph_verify(). Internal to verify*.c. */
#pragma once

#include "engine/engine.h"
#include "engine/graph.h"

/* FALSE, with an error that names the node. */
gboolean engine_verify_refuse (const EngineNode *node, EngineError code, GError **error,
    const char *format, ...) G_GNUC_PRINTF (4, 5);
#define REFUSE_NODE(...) engine_verify_refuse (node, ENGINE_ERROR_MODEL, error, __VA_ARGS__)
#define REFUSE_UNSUPPORTED(...)                                                                    \
  engine_verify_refuse (node, ENGINE_ERROR_UNSUPPORTED, error, __VA_ARGS__)

/* Whether the parameters of a node whose operands and types are right can be computed with. */
gboolean engine_verify_parameters (const EngineGraph *graph, const EngineNode *node,
    GError **error);
