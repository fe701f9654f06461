/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * graph.c: making, changing and walking graphs. Nothing here knows what an op means; shape.c does.
 */
#include "engine/graph.h"

#include <math.h>
#include <string.h>

const char *
engine_op_name (EngineOp op)
{
  static const char *const names[] = {
#define ENGINE_OP(ID, name, min_inputs, max_inputs) name,
#include "engine/ops.inc"
#undef ENGINE_OP
  };

  return op < ENGINE_OP_COUNT ? names[op] : "?";
}

gsize
engine_type_size (EngineType type)
{
  static const gsize sizes[] = {[ENGINE_TYPE_F32] = sizeof (float),
      [ENGINE_TYPE_S8] = 1,
      [ENGINE_TYPE_F16] = sizeof (KernelHalf)};

  return sizes[type];
}

const char *
engine_type_name (EngineType type)
{
  static const char *const names[] = {[ENGINE_TYPE_F32] = "f32",
      [ENGINE_TYPE_S8] = "s8",
      [ENGINE_TYPE_F16] = "f16"};

  return names[type];
}

const char *
engine_range_name (EngineRange range)
{
  static const char *const names[] = {[ENGINE_RANGE_SYMMETRIC] = "symmetric",
      [ENGINE_RANGE_FULL] = "full",
      [ENGINE_RANGE_AFFINE] = "affine"};

  return names[range];
}

gboolean
engine_value_has_dims (const EngineValue *value, int rank, const int *dims)
{
  return value->rank == rank && memcmp (value->dims, dims, rank * sizeof *dims) == 0;
}

gboolean
engine_value_same_dims (const EngineValue *a, const EngineValue *b)
{
  return engine_value_has_dims (a, b->rank, b->dims);
}

gint64
engine_value_elements (const EngineValue *value)
{
  gint64 elements = 1;

  for (int i = 0; i < value->rank; i++)
    elements *= value->dims[i];
  return elements;
}

void
engine_value_nhwc (const EngineValue *value, int nhwc[4])
{
  const int rank = value->rank;

  g_return_if_fail (rank >= 2 && rank <= 4);
  nhwc[0] = value->dims[0];
  nhwc[1] = rank == 4 ? value->dims[1] : 1;
  nhwc[2] = rank >= 3 ? value->dims[rank - 2] : 1;
  nhwc[3] = value->dims[rank - 1];
}

/* --- Life ----------------------------------------------------------------------------------- */

static void
value_clear (gpointer data)
{
  EngineValue *value = data;

  g_clear_pointer (&value->name, g_free);
  g_clear_pointer (&value->data, g_bytes_unref);
  g_clear_pointer (&value->scales, g_bytes_unref);
  g_clear_pointer (&value->factors, g_bytes_unref);
}

static void
node_clear (gpointer data)
{
  EngineNode *node = data;

  g_clear_pointer (&node->name, g_free);
  g_clear_pointer (&node->inputs, g_free);
}

static GArray *
values_new (void)
{
  GArray *values = g_array_new (FALSE, TRUE, sizeof (EngineValue));

  g_array_set_clear_func (values, value_clear);
  return values;
}

static GArray *
nodes_new (void)
{
  GArray *nodes = g_array_new (FALSE, TRUE, sizeof (EngineNode));

  g_array_set_clear_func (nodes, node_clear);
  return nodes;
}

EngineGraph *
engine_graph_new (void)
{
  EngineGraph *graph = g_new0 (EngineGraph, 1);

  graph->values = values_new ();
  graph->nodes = nodes_new ();
  graph->inputs = g_array_new (FALSE, FALSE, sizeof (int));
  graph->outputs = g_array_new (FALSE, FALSE, sizeof (int));
  graph->names = g_hash_table_new (g_str_hash, g_str_equal);
  return graph;
}

void
engine_graph_free (EngineGraph *graph)
{
  if (!graph)
    return;
  g_hash_table_unref (graph->names);
  g_array_unref (graph->values);
  g_array_unref (graph->nodes);
  g_array_unref (graph->inputs);
  g_array_unref (graph->outputs);
  g_free (graph);
}

static void
claim_name (EngineGraph *graph, int value)
{
  g_hash_table_insert (graph->names, engine_graph_value (graph, value)->name,
      GINT_TO_POINTER (value + 1));
}

EngineGraph *
engine_graph_copy (const EngineGraph *graph)
{
  EngineGraph *copy = engine_graph_new ();

  for (guint i = 0; i < graph->values->len; i++) {
    EngineValue value = *engine_graph_value (graph, i);

    value.name = g_strdup (value.name);
    if (value.data)
      g_bytes_ref (value.data);
    if (value.scales)
      g_bytes_ref (value.scales);
    if (value.factors)
      g_bytes_ref (value.factors);
    g_array_append_val (copy->values, value);
    claim_name (copy, i);
  }
  for (guint i = 0; i < graph->nodes->len; i++) {
    EngineNode node = *engine_graph_node (graph, i);

    node.name = g_strdup (node.name);
    node.inputs = g_memdup2 (node.inputs, node.n_inputs * sizeof (int));
    g_array_append_val (copy->nodes, node);
  }
  g_array_append_vals (copy->inputs, graph->inputs->data, graph->inputs->len);
  g_array_append_vals (copy->outputs, graph->outputs->data, graph->outputs->len);
  return copy;
}

/* --- Adding --------------------------------------------------------------------------------- */

static char *
unique_name (EngineGraph *graph, const char *name)
{
  char *unique = g_strdup (name);

  for (int i = 2; g_hash_table_contains (graph->names, unique); i++) {
    g_free (unique);
    unique = g_strdup_printf ("%s#%d", name, i);
  }
  return unique;
}

int
engine_graph_add_value (EngineGraph *graph, const char *name, EngineType type, int rank,
    const int *dims)
{
  EngineValue value = {.type = type, .rank = rank, .producer = ENGINE_NONE};

  g_return_val_if_fail (rank >= 0 && rank <= ENGINE_MAX_RANK, ENGINE_NONE);
  value.name = unique_name (graph, name);
  for (int i = 0; i < rank; i++)
    value.dims[i] = dims[i];
  g_array_append_val (graph->values, value);
  claim_name (graph, graph->values->len - 1);
  return graph->values->len - 1;
}

int
engine_graph_add_constant (EngineGraph *graph, const char *name, EngineType type, int rank,
    const int *dims, GBytes *data)
{
  const int index = engine_graph_add_value (graph, name, type, rank, dims);
  EngineValue *value = engine_graph_value (graph, index);

  value->data = data;
  g_warn_if_fail (
      g_bytes_get_size (data) == engine_value_elements (value) * engine_type_size (type));
  return index;
}

static void
set_neutral_parameters (EngineNode *node)
{
  switch (node->op) {
  case ENGINE_OP_CONV:
    node->conv = (EngineConvParams){1, 1, 1, 1, .groups = 1, .lo = -INFINITY, .hi = INFINITY};
    break;
  case ENGINE_OP_MAXPOOL:
  case ENGINE_OP_AVGPOOL:
    node->pool = (EnginePoolParams){1, 1, 1, 1, 1, 1};
    break;
  case ENGINE_OP_MATMUL:
    node->matmul.factor = 1;
    break;
  case ENGINE_OP_ADD:
  case ENGINE_OP_MUL:
    node->binary.lo = -INFINITY;
    node->binary.hi = INFINITY;
    break;
  case ENGINE_OP_TRANSPOSE:
    for (int i = 0; i < ENGINE_MAX_RANK; i++)
      node->transpose.perm[i] = i;
    break;
  default:
    break;
  }
}

EngineNode *
engine_graph_add_node (EngineGraph *graph, EngineOp op, const char *name, const int *inputs,
    int n_inputs, const char *output_name)
{
  EngineNode node = {.op = op, .n_inputs = n_inputs};

  node.name = g_strdup (name);
  node.inputs = g_memdup2 (inputs, n_inputs * sizeof (int));
  node.output = engine_graph_add_value (graph, output_name, ENGINE_TYPE_F32, 0, NULL);
  engine_graph_value (graph, node.output)->producer = graph->nodes->len;
  set_neutral_parameters (&node);
  g_array_append_val (graph->nodes, node);
  return engine_graph_node (graph, graph->nodes->len - 1);
}

/* --- Walking and changing ------------------------------------------------------------------- */

static gboolean
reads (const EngineNode *node, int value)
{
  for (int i = 0; i < node->n_inputs; i++)
    if (node->inputs[i] == value)
      return TRUE;
  return FALSE;
}

int
engine_graph_n_consumers (const EngineGraph *graph, int value)
{
  int consumers = 0;

  for (guint i = 0; i < graph->nodes->len; i++)
    consumers += reads (engine_graph_node (graph, i), value);
  return consumers;
}

gboolean
engine_graph_is_output (const EngineGraph *graph, int value)
{
  for (guint i = 0; i < graph->outputs->len; i++)
    if (g_array_index (graph->outputs, int, i) == value)
      return TRUE;
  return FALSE;
}

EngineNode *
engine_graph_sole_consumer (const EngineGraph *graph, int value)
{
  EngineNode *consumer = NULL;

  if (engine_graph_is_output (graph, value))
    return NULL;
  for (guint i = 0; i < graph->nodes->len; i++) {
    EngineNode *node = engine_graph_node (graph, i);

    if (!reads (node, value))
      continue;
    if (consumer)
      return NULL;
    consumer = node;
  }
  return consumer;
}

void
engine_graph_replace (EngineGraph *graph, int from, int to)
{
  for (guint i = 0; i < graph->nodes->len; i++) {
    EngineNode *node = engine_graph_node (graph, i);

    for (int j = 0; j < node->n_inputs; j++)
      if (node->inputs[j] == from)
        node->inputs[j] = to;
  }
  for (guint i = 0; i < graph->outputs->len; i++)
    if (g_array_index (graph->outputs, int, i) == from)
      g_array_index (graph->outputs, int, i) = to;
}

void
engine_graph_rename (EngineGraph *graph, int value, const char *name)
{
  EngineValue *renamed = engine_graph_value (graph, value);
  const int holder = GPOINTER_TO_INT (g_hash_table_lookup (graph->names, name)) - 1;
  char *new_name;

  if (holder == value)
    return;
  new_name = g_strdup (name); /* name may belong to the holder */
  if (holder >= 0) {
    EngineValue *loser = engine_graph_value (graph, holder);
    char *other = unique_name (graph, new_name);

    g_hash_table_remove (graph->names, loser->name);
    g_free (loser->name);
    loser->name = other;
    claim_name (graph, holder);
  }
  g_hash_table_remove (graph->names, renamed->name);
  g_free (renamed->name);
  renamed->name = new_name;
  claim_name (graph, value);
}
