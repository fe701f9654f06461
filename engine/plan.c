/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plan.c: lifetimes, places and offsets.
 *
 * Time is counted in nodes. A place lives from the node that makes its first value to the last node
 * that reads any of its values. The network's input lives from before the first node to after the
 * last, so that a second run sees the same input; outputs live to the end, where they are fetched.
 *
 * Before the cut the nodes run once for every image. Places of ENGINE_SPACE_IMAGE are used anew by
 * each. Those of ENGINE_SPACE_BATCH that exist then (the input, outputs, what crosses the cut) all
 * live beyond it, so that none shares its bytes with another, which some other image may be at.
 */
#include "engine/plan.h"

typedef struct {
  int value; /* the first of its values, which names the place */
  int first, last;
  EngineSpace space;
  gsize size; /* for the batch or for one image; a multiple of KERNEL_ALIGN */
} Place;

typedef struct {
  const EngineGraph *graph;
  EnginePlan *plan;
  EnginePlanFlags flags;
  int max_batch, cut;
  int *last;     /* per value: the last node that needs its memory */
  Place *places; /* per value, where it names one */
} Planner;

static gsize
aligned (gsize size)
{
  return (size + KERNEL_ALIGN - 1) / KERNEL_ALIGN * KERNEL_ALIGN;
}

/* --- Lifetimes ------------------------------------------------------------------------------ */

/* The last node that needs each value; n_nodes for what is needed after the run, -1 for none. */
static int *
last_readers (const EngineGraph *graph, const int *kept)
{
  int *last = g_new (int, graph->values->len);

  for (guint v = 0; v < graph->values->len; v++)
    last[v] = -1;
  for (guint i = 0; i < graph->nodes->len; i++) {
    const EngineNode *node = engine_graph_node (graph, i);

    for (int k = 0; k < node->n_inputs; k++)
      if (node->inputs[k] != ENGINE_NONE)
        last[node->inputs[k]] = i;
  }
  for (guint i = 0; kept && i < graph->nodes->len; i++) {
    const int output = engine_graph_node (graph, i)->output;

    last[output] = MAX (last[output], kept[i]);
  }
  for (guint i = 0; i < graph->inputs->len; i++)
    last[g_array_index (graph->inputs, int, i)] = graph->nodes->len;
  for (guint i = 0; i < graph->outputs->len; i++)
    last[g_array_index (graph->outputs, int, i)] = graph->nodes->len;
  return last;
}

/* --- Places --------------------------------------------------------------------------------- */

static gboolean
same_elements (const EngineGraph *graph, int a, int b)
{
  return engine_value_elements (engine_graph_value (graph, a)) ==
         engine_value_elements (engine_graph_value (graph, b));
}

/* The inputs (by position) that a node's kernel may overwrite with its output, as kernels.h says;
 * returns how many. Whether the memory is free for it is another question. */
static int
overwritable (const EngineGraph *graph, const EngineNode *node, int positions[2])
{
  switch (node->op) {
  case ENGINE_OP_UNARY:
  case ENGINE_OP_SOFTMAX:
  case ENGINE_OP_LAYERNORM:
    positions[0] = 0;
    return 1;
  case ENGINE_OP_ADD:
  case ENGINE_OP_MUL:
    positions[0] = 0;
    positions[1] = 1;
    return same_elements (graph, node->inputs[1], node->output) ? 2 : 1;
  case ENGINE_OP_CONV:
    positions[0] = ENGINE_CONV_R;
    return node->inputs[ENGINE_CONV_R] != ENGINE_NONE ? 1 : 0;
  default:
    return 0;
  }
}

/* Whether input `position` may be overwritten by node i: nobody reads its place later, and the node
 * itself reads nothing else there that its kernel would still need. */
static gboolean
may_overwrite (const Planner *planner, int i, int position)
{
  const EngineGraph *graph = planner->graph;
  const EnginePlan *plan = planner->plan;
  const EngineNode *node = engine_graph_node (graph, i);
  const int input = node->inputs[position], place = plan->place[input];
  const gboolean element_wise = node->op == ENGINE_OP_ADD || node->op == ENGINE_OP_MUL;

  if (place == ENGINE_NONE || planner->places[place].last != i ||
      plan->size[input] != plan->size[node->output])
    return FALSE;
  for (int k = 0; k < node->n_inputs; k++) {
    const int other = node->inputs[k];

    if (k == position || other == ENGINE_NONE || plan->place[other] != place)
      continue;
    if (!element_wise || !same_elements (graph, other, node->output))
      return FALSE;
  }
  return TRUE;
}

/* The place of another value that node i writes its output to, or ENGINE_NONE. */
static int
shared_place (const Planner *planner, int i)
{
  const int *place = planner->plan->place;
  const EngineNode *node = engine_graph_node (planner->graph, i);
  int positions[2];

  if (node->op == ENGINE_OP_RESHAPE)
    return place[node->inputs[0]];
  if (planner->flags & ENGINE_PLAN_SEPARATE)
    return ENGINE_NONE;
  /* What crosses the cut would take its operand, and all that shares memory with it, out of the
   * lane. */
  if (i < planner->cut && planner->last[node->output] >= planner->cut)
    return ENGINE_NONE;

  const int n = overwritable (planner->graph, node, positions);
  for (int p = 0; p < n; p++)
    if (may_overwrite (planner, i, positions[p]))
      return place[node->inputs[positions[p]]];
  return ENGINE_NONE;
}

/* A place joined by a reshape must outlive the readers of both values: the lifetimes of all values
 * that a chain of reshapes makes one are joined before anything may be overwritten. */
static void
extend_through_reshapes (const EngineGraph *graph, int *last)
{
  for (int i = (int) graph->nodes->len - 1; i >= 0; i--) {
    const EngineNode *node = engine_graph_node (graph, i);

    if (node->op == ENGINE_OP_RESHAPE)
      last[node->inputs[0]] = MAX (last[node->inputs[0]], last[node->output]);
  }
}

static EngineSpace
space_of (const Planner *planner, int first, int last)
{
  return first < planner->cut && last < planner->cut ? ENGINE_SPACE_IMAGE : ENGINE_SPACE_BATCH;
}

static void
add_place (Planner *planner, int value, int first, int last)
{
  const EngineSpace space = space_of (planner, first, last);
  const gsize images = space == ENGINE_SPACE_BATCH ? planner->max_batch : 1;

  planner->places[value] =
      (Place){value, first, last, space, aligned (planner->plan->size[value] * images)};
  planner->plan->place[value] = value;
}

static void
assign_places (Planner *planner)
{
  const EngineGraph *graph = planner->graph;
  const int end = graph->nodes->len;

  extend_through_reshapes (graph, planner->last);
  for (guint i = 0; i < graph->inputs->len; i++)
    add_place (planner, g_array_index (graph->inputs, int, i), -1, end);
  for (int i = 0; i < end; i++) {
    const int output = engine_graph_node (graph, i)->output;
    const int until = planner->flags & ENGINE_PLAN_SEPARATE ? end : MAX (planner->last[output], i);
    const int place = shared_place (planner, i);

    if (place == ENGINE_NONE) {
      add_place (planner, output, i, until);
    } else {
      planner->plan->place[output] = place;
      planner->places[place].last = MAX (planner->places[place].last, until);
    }
  }
}

/* --- Offsets -------------------------------------------------------------------------------- */

static int
compare_places (gconstpointer a, gconstpointer b)
{
  const Place *p = a, *q = b;

  if (p->size != q->size)
    return p->size < q->size ? 1 : -1;
  return p->value - q->value;
}

static gboolean
live_together (const Place *a, const Place *b)
{
  return a->first <= b->last && b->first <= a->last;
}

/* The start of the smallest gap that takes `place`. `placed` is sorted by offset. */
static gsize
find_gap (const EnginePlan *plan, const GArray *placed, const Place *place)
{
  gsize end = 0, best = 0, best_gap = G_MAXSIZE;

  for (guint i = 0; i < placed->len; i++) {
    const Place *other = &g_array_index (placed, Place, i);
    const gsize offset = plan->offset[other->value];

    if (other->space != place->space || !live_together (place, other))
      continue;
    if (offset > end && offset - end >= place->size && offset - end < best_gap) {
      best = end;
      best_gap = offset - end;
    }
    end = MAX (end, offset + other->size);
  }
  return best_gap == G_MAXSIZE ? end : best;
}

static void
assign_offsets (EnginePlan *plan, const Place *places)
{
  g_autoptr (GArray) order = g_array_new (FALSE, FALSE, sizeof (Place));
  g_autoptr (GArray) placed = g_array_new (FALSE, FALSE, sizeof (Place));

  for (int v = 0; v < plan->n_values; v++)
    if (plan->place[v] == v)
      g_array_append_val (order, places[v]);
  g_array_sort (order, compare_places);

  for (guint i = 0; i < order->len; i++) {
    const Place *place = &g_array_index (order, Place, i);
    const gsize offset = find_gap (plan, placed, place);
    guint at = 0;

    plan->offset[place->value] = offset;
    plan->arena[place->space] = MAX (plan->arena[place->space], offset + place->size);
    while (at < placed->len && plan->offset[g_array_index (placed, Place, at).value] <= offset)
      at++;
    g_array_insert_val (placed, at, *place);
  }
  for (int v = 0; v < plan->n_values; v++)
    if (plan->place[v] != ENGINE_NONE) {
      plan->offset[v] = plan->offset[plan->place[v]];
      plan->space[v] = places[plan->place[v]].space;
    }
}

/* --- The plan ------------------------------------------------------------------------------- */

static gboolean
assign_sizes (const EngineGraph *graph, EnginePlan *plan, int max_batch, GError **error)
{
  for (int v = 0; v < plan->n_values; v++) {
    const EngineValue *value = engine_graph_value (graph, v);
    const gint64 elements = engine_value_elements (value);
    const gsize bytes = elements * engine_type_size (value->type);

    if (value->data)
      continue;
    /* Kernels count images, rows and channels in int. 2^31 * 4 * 2^31 still fits gsize. */
    if (max_batch > G_MAXINT / value->dims[0] || elements > G_MAXINT) {
      g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MEMORY,
          "a batch of %d is too large: tensor '%s' alone would take %d times %" G_GSIZE_FORMAT
          " bytes; lower the batch size",
          max_batch, value->name, max_batch, bytes);
      return FALSE;
    }
    plan->size[v] = bytes;
  }
  return TRUE;
}

EnginePlan *
engine_plan_new (const EngineGraph *graph, int max_batch, int cut, const int *kept,
    EnginePlanFlags flags, GError **error)
{
  g_autoptr (EnginePlan) plan = g_new0 (EnginePlan, 1);
  const int n = graph->values->len;
  g_autofree Place *places = g_new0 (Place, n);
  g_autofree int *last = last_readers (graph, kept);
  Planner planner = {graph, plan, flags, max_batch, cut, last, places};

  plan->n_values = n;
  plan->place = g_new (int, n);
  plan->space = g_new0 (EngineSpace, n);
  plan->offset = g_new0 (gsize, n);
  plan->size = g_new0 (gsize, n);
  for (int v = 0; v < n; v++)
    plan->place[v] = ENGINE_NONE;
  if (!assign_sizes (graph, plan, max_batch, error))
    return NULL;
  assign_places (&planner);
  assign_offsets (plan, places);
  return g_steal_pointer (&plan);
}

void
engine_plan_free (EnginePlan *plan)
{
  if (!plan)
    return;
  g_free (plan->place);
  g_free (plan->space);
  g_free (plan->offset);
  g_free (plan->size);
  g_free (plan);
}
