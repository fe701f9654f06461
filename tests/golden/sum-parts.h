/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sum-parts.h: the same network with its long sums cut in four. The engine adds the products of an
 * output one after the other and rounds each sum; a GPU adds parts of them at the same time. With 800
 * products the two differ by a few units in the last place, and parts are nearer to the true sum.
 */
#pragma once

#include "engine/model.h"
#include "tests/check.h"

#include <string.h>

enum { SUM_PARTS = 4, SUM_LONG = 256 };

/* Input channels first .. first + size - 1 of the weights. */
static inline int
sum_part_weights (EngineGraph *graph, int weights, int first, int size)
{
  const EngineValue *w = engine_graph_value (graph, weights);
  const int ic = w->dims[3], dims[4] = {w->dims[0], w->dims[1], w->dims[2], size};
  const int rows = dims[0] * dims[1] * dims[2];
  const float *from = g_bytes_get_data (w->data, NULL);
  float *part = g_new (float, (gsize) rows *size);

  for (int r = 0; r < rows; r++)
    memcpy (part + (gsize) r * size, from + (gsize) r * ic + first, size * sizeof *part);
  return engine_graph_add_constant (graph, w->name, ENGINE_TYPE_F32, 4, dims,
      g_bytes_new_take (part, (gsize) rows * size * sizeof *part));
}

static inline int
sum_part_input (EngineGraph *graph, int x, int first, int size)
{
  g_autoptr (GError) error = NULL;
  EngineNode *slice = engine_graph_add_node (graph, ENGINE_OP_SLICE, "part", &x, 1, "part");

  slice->slice.axis = engine_graph_value (graph, x)->rank - 1;
  slice->slice.start = first;
  slice->slice.size = size;
  if (!engine_graph_infer_shape (graph, slice, &error))
    g_error ("%s", error->message);
  return slice->output;
}

/* The convolution becomes a chain of SUM_PARTS, each of which has the sum so far as its residual; the
 * last is the node itself, so the output keeps its name. */
static inline void
sum_in_parts_of (EngineGraph *graph, int index)
{
  const EngineNode conv = *engine_graph_node (graph, index);
  const int ic = engine_graph_value (graph, conv.inputs[ENGINE_CONV_W])->dims[3];
  int inputs[ENGINE_CONV_INPUTS];

  memcpy (inputs, conv.inputs, sizeof inputs);
  for (int part = 0; part < SUM_PARTS; part++) {
    const int first = part * ic / SUM_PARTS, size = (part + 1) * ic / SUM_PARTS - first;
    g_autoptr (GError) error = NULL;

    inputs[ENGINE_CONV_X] = sum_part_input (graph, conv.inputs[ENGINE_CONV_X], first, size);
    inputs[ENGINE_CONV_W] = sum_part_weights (graph, conv.inputs[ENGINE_CONV_W], first, size);
    if (part == SUM_PARTS - 1)
      break;
    EngineNode *node =
        engine_graph_add_node (graph, ENGINE_OP_CONV, "part", inputs, ENGINE_CONV_INPUTS, "part");
    node->conv = conv.conv;
    node->conv.lo = -INFINITY;
    node->conv.hi = INFINITY;
    if (!engine_graph_infer_shape (graph, node, &error))
      g_error ("%s", error->message);
    inputs[ENGINE_CONV_B] = ENGINE_NONE;
    inputs[ENGINE_CONV_R] = node->output;
  }
  memcpy (engine_graph_node (graph, index)->inputs, inputs, sizeof inputs);
}

/* Returns how many layers were cut. */
static inline int
sum_in_parts (EngineModel *model)
{
  EngineGraph *graph = model->graph;
  const int n = graph->nodes->len;
  g_autoptr (GError) error = NULL;
  int cut = 0;

  for (int i = 0; i < n; i++) {
    const EngineNode *node = engine_graph_node (graph, i);

    if (node->op != ENGINE_OP_CONV)
      continue;
    const EngineValue *w = engine_graph_value (graph, node->inputs[ENGINE_CONV_W]);
    if (w->dims[1] * w->dims[2] * w->dims[3] <= SUM_LONG)
      continue;
    sum_in_parts_of (graph, i);
    cut++;
  }
  engine_graph_compact (graph);
  if (!engine_graph_verify (graph, "sum_in_parts", &error))
    g_error ("%s", error->message);
  return cut;
}
