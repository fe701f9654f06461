/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * compact.c: sorts a graph and drops what no output needs. Every pass ends with it.
 */
#include "engine/graph.h"

#include <string.h>

/* Node indices that `output` needs and `seen` lacks, producers first: depth first with a stack of
 * its own, because a chain may be long. Among independent nodes the order of inputs decides. */
static void
collect_needed (const EngineGraph *graph, int output, gboolean *seen, GArray *order)
{
  typedef struct {
    int node, next_input;
  } Frame;
  g_autoptr (GArray) stack = g_array_new (FALSE, FALSE, sizeof (Frame));
  Frame frame = {engine_graph_value (graph, output)->producer, 0};

  if (frame.node == ENGINE_NONE || seen[frame.node])
    return;
  seen[frame.node] = TRUE;
  g_array_append_val (stack, frame);
  while (stack->len > 0) {
    Frame *top = &g_array_index (stack, Frame, stack->len - 1);
    const EngineNode *node = engine_graph_node (graph, top->node);

    if (top->next_input == node->n_inputs) {
      g_array_append_val (order, top->node);
      g_array_set_size (stack, stack->len - 1);
      continue;
    }
    const int input = node->inputs[top->next_input++];
    frame.node = input == ENGINE_NONE ? ENGINE_NONE : engine_graph_value (graph, input)->producer;
    if (frame.node == ENGINE_NONE || seen[frame.node])
      continue;
    seen[frame.node] = TRUE;
    g_array_append_val (stack, frame);
  }
}

/* The nodes to keep, sorted. They stay in their order where that is a valid one. */
static GArray *
needed_nodes (const EngineGraph *graph)
{
  const guint n = graph->nodes->len;
  g_autofree gboolean *needed = g_new0 (gboolean, n), *seen = g_new0 (gboolean, n);
  g_autoptr (GArray) reachable = g_array_new (FALSE, FALSE, sizeof (int));
  GArray *order = g_array_new (FALSE, FALSE, sizeof (int));

  for (guint i = 0; i < graph->outputs->len; i++)
    collect_needed (graph, g_array_index (graph->outputs, int, i), needed, reachable);
  for (guint i = 0; i < n; i++)
    if (needed[i])
      collect_needed (graph, engine_graph_node (graph, i)->output, seen, order);
  return order;
}

static gboolean *
needed_values (const EngineGraph *graph, const GArray *order)
{
  gboolean *keep = g_new0 (gboolean, graph->values->len);

  for (guint i = 0; i < graph->inputs->len; i++)
    keep[g_array_index (graph->inputs, int, i)] = TRUE;
  for (guint i = 0; i < graph->outputs->len; i++)
    keep[g_array_index (graph->outputs, int, i)] = TRUE;
  for (guint i = 0; i < order->len; i++) {
    const EngineNode *node = engine_graph_node (graph, g_array_index (order, int, i));

    keep[node->output] = TRUE;
    for (int j = 0; j < node->n_inputs; j++)
      if (node->inputs[j] != ENGINE_NONE)
        keep[node->inputs[j]] = TRUE;
  }
  return keep;
}

/* Moves the values to keep together and gives them their names back. Returns the new index of
 * every value, ENGINE_NONE for those dropped. */
static int *
compact_values (EngineGraph *graph, const gboolean *keep)
{
  int *renumbered = g_new (int, graph->values->len);
  int n = 0;

  g_hash_table_remove_all (graph->names);
  for (guint i = 0; i < graph->values->len; i++) {
    EngineValue *from = engine_graph_value (graph, i), *to = engine_graph_value (graph, n);

    renumbered[i] = keep[i] ? n : ENGINE_NONE;
    if (!keep[i])
      continue;
    if (from != to) {
      const EngineValue dropped = *to;

      *to = *from;
      *from = dropped; /* freed with the end of the array */
    }
    g_hash_table_insert (graph->names, to->name, GINT_TO_POINTER (n + 1));
    n++;
  }
  g_array_set_size (graph->values, n);
  return renumbered;
}

static void
compact_nodes (EngineGraph *graph, const GArray *order)
{
  const guint n = graph->nodes->len;
  g_autofree EngineNode *nodes = g_memdup2 (graph->nodes->data, n * sizeof (EngineNode));
  g_autofree gboolean *kept = g_new0 (gboolean, n);
  guint end = order->len;

  for (guint i = 0; i < order->len; i++) {
    const int from = g_array_index (order, int, i);

    *engine_graph_node (graph, i) = nodes[from];
    kept[from] = TRUE;
  }
  for (guint i = 0; i < n; i++)
    if (!kept[i])
      *engine_graph_node (graph, end++) = nodes[i];
  g_array_set_size (graph->nodes, order->len);
}

static void
renumber (GArray *indices, const int *renumbered)
{
  for (guint i = 0; i < indices->len; i++)
    g_array_index (indices, int, i) = renumbered[g_array_index (indices, int, i)];
}

void
engine_graph_compact (EngineGraph *graph)
{
  g_autoptr (GArray) order = needed_nodes (graph);
  g_autofree gboolean *keep = needed_values (graph, order);
  g_autofree int *renumbered = compact_values (graph, keep);

  compact_nodes (graph, order);
  for (guint i = 0; i < graph->nodes->len; i++) {
    EngineNode *node = engine_graph_node (graph, i);

    node->output = renumbered[node->output];
    engine_graph_value (graph, node->output)->producer = i;
    for (int j = 0; j < node->n_inputs; j++)
      if (node->inputs[j] != ENGINE_NONE)
        node->inputs[j] = renumbered[node->inputs[j]];
  }
  renumber (graph->inputs, renumbered);
  renumber (graph->outputs, renumbered);
}
