/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * layer-rules.h: the inside of an EngineLayerRules, and what its rules say about the nodes of a
 * graph. Internal to engine/.
 */
#pragma once

#include "engine/engine.h"
#include "engine/graph.h"

typedef struct {
  char *text;         /* "pattern:value", canonical */
  gsize pattern_size; /* the pattern is the first bytes of text, with its backslashes */
  gboolean of_output; /* else of the precision */
  int value;          /* EngineType, else EnginePrecision */
} EngineLayerRule;

struct _EngineLayerRules {
  GArray *list; /* EngineLayerRule */
};

/* What was asked of a node: the last rule that matches it, or ENGINE_NONE. */
typedef struct {
  int precision, precision_rule; /* ENGINE_PRECISION_INT8 or _FP32 */
  int output, output_rule;       /* EngineType */
} EngineLayerWish;

/* A wish for every node of the graph (to be freed), and for every rule whether any node matches it
 * (to be freed). rules may be NULL: no wishes. */
EngineLayerWish *engine_layer_rules_apply (const EngineLayerRules *rules, const EngineGraph *graph,
    gboolean **matched);

/* One rule as text: "conv*:fp32". */
const char *engine_layer_rules_text (const EngineLayerRules *rules, int rule);

/* Whether the op is a layer for people: it computes, rather than moves bytes. */
gboolean engine_op_computes (EngineOp op);
/* Of one image: multiply-adds of a convolution or a matmul, else values read. */
guint64 engine_node_operations (const EngineGraph *graph, const EngineNode *node);
/* Whether the op can work on int8. */
gboolean engine_op_has_int8 (EngineOp op);
