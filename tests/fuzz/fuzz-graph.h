/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz-graph.h: what came through a fuzz target, run where that does not take minutes. */
#pragma once

#include "tests/engine/net.h"
#include "tests/fuzz/fuzz.h"

/* Products and values of one image. */
static inline double
fuzz_work (const EngineGraph *graph)
{
  double sum =
      engine_value_elements (engine_graph_value (graph, g_array_index (graph->inputs, int, 0)));

  for (guint i = 0; i < graph->nodes->len; i++) {
    const EngineNode *node = engine_graph_node (graph, i);
    const double outputs =
        (double) engine_value_elements (engine_graph_value (graph, node->output));

    sum += outputs;
    if (node->op == ENGINE_OP_CONV) {
      const EngineValue *w = engine_graph_value (graph, node->inputs[ENGINE_CONV_W]);

      sum += outputs * w->dims[1] * w->dims[2] * w->dims[3];
    } else if (node->op == ENGINE_OP_MATMUL) {
      const EngineValue *x1 = engine_graph_value (graph, node->inputs[0]);

      sum += outputs * x1->dims[x1->rank - 1];
    } else if (node->op == ENGINE_OP_MAXPOOL || node->op == ENGINE_OP_AVGPOOL) {
      sum += outputs * node->pool.kh * node->pool.kw;
    }
  }
  return sum;
}

/* Takes the graph, which is one of floats, and runs two images. */
static inline void
fuzz_run_graph (EngineGraph *graph)
{
  static KernelBackend *ref;
  g_autoptr (GError) error = NULL;
  g_autoptr (Engine) engine = net_engine (graph);
  g_autoptr (EngineExec) exec = NULL;

  if (!ref)
    ref = net_backend ("ref");
  exec = engine_exec_new (engine, ref, 2, 1, &error);
  FUZZ_REQUIRE (exec);
  net_fill_input (engine, exec, 0, 1, 0);
  net_fill_input (engine, exec, 1, 1, 1);
  FUZZ_REQUIRE (engine_exec_run (exec, 2, &error));
}
