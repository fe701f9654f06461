/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/order.c: names and order of a model's nodes, and the ops that nobody knows: all of them at
 * once, before anything else is found wrong.
 */
#include "engine/onnx/order.h"

#include <string.h>

/* Many times what the largest classifiers have; keeps every pass, which may look at all pairs, in
 * seconds. */
#define MAX_NODES 16384
#define MAX_EDGES 65536
#define MAX_NAME  4096

typedef struct {
  const EngineOnnx__GraphProto *proto;
  const EngineOnnx *outer;
  GHashTable *captured;  /* node with subgraphs to the names (GPtrArray) that these may read */
  GHashTable *producers; /* name to node index + 1; 0 for inputs and initialisers */
  GArray *order;
  guint8 *state; /* of each node */
} Order;

enum { UNSEEN, OPEN, DONE };

#define REFUSE(...) (g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MODEL, __VA_ARGS__), FALSE)

static const char *
node_name (const EngineOnnx__NodeProto *node)
{
  return node->name && node->name[0] ? node->name : node->n_output ? node->output[0] : "";
}

/* --- Names ---------------------------------------------------------------------------------- */

gboolean
engine_onnx_check_name (const char *name, const char *of, GError **error)
{
  const gsize length = strlen (name);
  g_autofree char *printable = NULL;

  if (length <= MAX_NAME && g_utf8_validate (name, length, NULL)) {
    gsize i = 0;

    while (i < length && (guchar) name[i] >= ' ' && name[i] != 0x7f)
      i++;
    if (i == length)
      return TRUE;
  }
  printable = g_strescape (name, NULL);
  if (strlen (printable) > 64)
    strcpy (printable + 61, "...");
  return REFUSE ("the %s \"%s\" is too long, not UTF-8, or has control characters", of, printable);
}

static gboolean
is_outer (const Order *order, const char *name)
{
  return g_hash_table_contains (order->outer->values, name) ||
         g_hash_table_contains (order->outer->tensors, name);
}

static gboolean
add_name (Order *order, const char *name, int producer, GError **error)
{
  if (!engine_onnx_check_name (name, "name", error))
    return FALSE;
  if (g_hash_table_contains (order->producers, name) || is_outer (order, name))
    return REFUSE ("two values are named \"%s\"", name);
  g_hash_table_insert (order->producers, (char *) name, GINT_TO_POINTER (producer));
  return TRUE;
}

static gboolean
check_node (const EngineOnnx__NodeProto *node, gsize i, GError **error)
{
  if (!node->op_type || !node->op_type[0])
    return REFUSE ("node %" G_GSIZE_FORMAT " has no op", i);
  if (!engine_onnx_check_name (node->op_type, "op", error) ||
      (node->name && !engine_onnx_check_name (node->name, "node name", error)) ||
      (node->domain && !engine_onnx_check_name (node->domain, "domain", error)))
    return FALSE;
  if (node->n_output == 0 || !node->output[0][0])
    return REFUSE ("node %" G_GSIZE_FORMAT " (%s) has no output", i, node->op_type);
  return TRUE;
}

static gboolean
collect_names (Order *order, GError **error)
{
  const EngineOnnx__GraphProto *proto = order->proto;

  for (gsize i = 0; i < proto->n_initializer; i++) {
    const char *name = proto->initializer[i]->name;

    if (!name || !name[0])
      return REFUSE ("an initialiser has no name");
    if (!add_name (order, name, 0, error))
      return FALSE;
  }
  for (gsize i = 0; i < proto->n_input; i++) {
    const char *name = proto->input[i]->name;

    if (!name || !name[0])
      return REFUSE ("an input has no name");
    if (g_hash_table_contains (order->producers, name)) /* an initialiser that is listed */
      continue;
    if (!add_name (order, name, 0, error))
      return FALSE;
  }
  for (gsize i = 0; i < proto->n_node; i++) {
    const EngineOnnx__NodeProto *node = proto->node[i];

    if (!check_node (node, i, error))
      return FALSE;
    for (gsize j = 0; j < node->n_output; j++)
      if (node->output[j][0] && !add_name (order, node->output[j], i + 1, error))
        return FALSE;
  }
  return TRUE;
}

/* --- Subgraphs ------------------------------------------------------------------------------ */

/* All names that a graph reads, its own among them. Messages nest to a fixed depth (onnx/wire.c). */
static void
collect_reads (const EngineOnnx__GraphProto *graph, GPtrArray *names)
{
  for (gsize i = 0; i < graph->n_node; i++) {
    const EngineOnnx__NodeProto *node = graph->node[i];

    for (gsize j = 0; j < node->n_input; j++)
      g_ptr_array_add (names, node->input[j]);
    for (gsize j = 0; j < node->n_attribute; j++)
      if (node->attribute[j]->g)
        collect_reads (node->attribute[j]->g, names);
  }
  for (gsize i = 0; i < graph->n_output; i++)
    if (graph->output[i]->name)
      g_ptr_array_add (names, graph->output[i]->name);
}

static void
collect_captured (Order *order)
{
  for (gsize i = 0; i < order->proto->n_node; i++) {
    EngineOnnx__NodeProto *node = order->proto->node[i];
    g_autoptr (GPtrArray) names = g_ptr_array_new ();

    for (gsize j = 0; j < node->n_attribute; j++)
      if (node->attribute[j]->g)
        collect_reads (node->attribute[j]->g, names);
    if (names->len > 0)
      g_hash_table_insert (order->captured, node, g_steal_pointer (&names));
  }
}

/* --- Order ---------------------------------------------------------------------------------- */

typedef struct {
  int node;
  gsize next_input;
} Frame;

static gboolean
enter (Order *order, GArray *stack, const char *name, const char *reader, GError **error)
{
  gpointer producer;
  Frame frame = {0};

  if (is_outer (order, name))
    return TRUE;
  if (!g_hash_table_lookup_extended (order->producers, name, NULL, &producer))
    return REFUSE ("%s reads \"%s\", which is neither an input nor an initialiser nor computed",
        reader, name);
  frame.node = GPOINTER_TO_INT (producer) - 1;
  if (frame.node < 0 || order->state[frame.node] == DONE)
    return TRUE;
  if (order->state[frame.node] == OPEN)
    return REFUSE ("\"%s\" is computed from itself: the nodes form a cycle", name);
  order->state[frame.node] = OPEN;
  g_array_append_val (stack, frame);
  return TRUE;
}

/* Depth first from one value, with a stack of its own. */
static gboolean
visit (Order *order, const char *name, const char *reader, GError **error)
{
  g_autoptr (GArray) stack = g_array_new (FALSE, FALSE, sizeof (Frame));

  if (!enter (order, stack, name, reader, error))
    return FALSE;
  while (stack->len > 0) {
    Frame *top = &g_array_index (stack, Frame, stack->len - 1);
    const EngineOnnx__NodeProto *node = order->proto->node[top->node];
    const GPtrArray *captured = g_hash_table_lookup (order->captured, node);
    g_autofree char *label = NULL;

    if (top->next_input == node->n_input + (captured ? captured->len : 0)) {
      order->state[top->node] = DONE;
      g_array_append_val (order->order, top->node);
      g_array_set_size (stack, stack->len - 1);
      continue;
    }
    const gsize i = top->next_input++;
    const char *input = i < node->n_input ? node->input[i] : captured->pdata[i - node->n_input];

    if (!input[0])
      continue;
    if (g_hash_table_contains (order->producers, input)) {
      if (!enter (order, stack, input, "", error))
        return FALSE;
      continue;
    }
    if (i >= node->n_input || is_outer (order, input)) /* or the subgraph's own */
      continue;
    label = g_strdup_printf ("node \"%s\" (%s)", node_name (node), node->op_type);
    return enter (order, stack, input, label, error);
  }
  return TRUE;
}

/* Marks what the outputs need; then walks the needed nodes in the order of the model. */
static gboolean
sort (Order *order, GError **error)
{
  const EngineOnnx__GraphProto *proto = order->proto;
  g_autofree guint8 *needed = NULL;

  for (gsize i = 0; i < proto->n_output; i++) {
    const char *name = proto->output[i]->name;

    if (!name || !name[0])
      return REFUSE ("an output has no name");
    if (!visit (order, name, "the list of outputs", error))
      return FALSE;
  }
  needed = g_memdup2 (order->state, proto->n_node + 1);
  memset (order->state, UNSEEN, proto->n_node);
  g_array_set_size (order->order, 0);
  for (gsize i = 0; i < proto->n_node; i++)
    if (needed[i] == DONE && !visit (order, proto->node[i]->output[0], "", error))
      return FALSE;
  return TRUE;
}

/* --- Ops ------------------------------------------------------------------------------------ */

const EngineOnnxOp *
engine_onnx_op (const EngineOnnx__NodeProto *node)
{
  static const EngineOnnxOp ops[] = {
#define ENGINE_ONNX_OP(op, function, min_inputs, max_inputs, attributes)                           \
  {op, engine_onnx_import_##function, min_inputs, max_inputs, attributes},
#include "engine/onnx/ops.inc"
#undef ENGINE_ONNX_OP
  };

  const gboolean other = node->domain && node->domain[0] && strcmp (node->domain, "ai.onnx") != 0;
  const gsize domain = other ? strlen (node->domain) : 0;

  for (gsize i = 0; i < G_N_ELEMENTS (ops); i++) {
    const char *name = ops[i].name;

    if (other && (strncmp (name, node->domain, domain) != 0 || name[domain] != '.'))
      continue;
    if (strcmp (name + (other ? domain + 1 : 0), node->op_type) == 0)
      return &ops[i];
  }
  return NULL;
}

static const char *
hint_for (const char *unknown)
{
  if (strstr (unknown, "Quantize") || strstr (unknown, "QLinear") || strstr (unknown, "Integer"))
    return "give the quantised model as it was before a runtime optimised it, or the float model that it "
           "was made from";
  if (strstr (unknown, "Scan"))
    return "export it without control flow";
  if (strstr (unknown, "PartitionedCall"))
    return "tf2onnx leaves functions out that Keras compiles; call tf.config.run_functions_eagerly (True) "
           "before the model is exported";
  return "docs/MODELS.md lists those that are; exporting with constant folding may avoid others";
}

static gboolean
refuse_unknown (Order *order, GError **error)
{
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GString) list = g_string_new (NULL);
  guint n = 0;

  for (guint i = 0; i < order->order->len; i++) {
    const EngineOnnx__NodeProto *node = order->proto->node[g_array_index (order->order, int, i)];
    g_autofree char *op = NULL;

    if (engine_onnx_op (node))
      continue;
    op = node->domain && node->domain[0] ? g_strconcat (node->domain, ".", node->op_type, NULL)
                                         : g_strdup (node->op_type);
    n++;
    if (g_hash_table_contains (seen, op) || list->len > 2000)
      continue;
    g_string_append_printf (list, "%s%s (node \"%s\")", list->len ? ", " : "", op,
        node_name (node));
    g_hash_table_add (seen, g_steal_pointer (&op));
  }
  if (n == 0)
    return TRUE;
  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_UNSUPPORTED,
      "%u node%s of ops that are not supported: %s; %s", n, n == 1 ? " is" : "s are", list->str,
      hint_for (list->str));
  return FALSE;
}

/* Subgraphs count. */
static void
count (const EngineOnnx__GraphProto *proto, gsize *nodes, gsize *edges)
{
  *nodes += proto->n_node;
  for (gsize i = 0; i < proto->n_node; i++) {
    *edges += proto->node[i]->n_input + proto->node[i]->n_output;
    for (gsize j = 0; j < proto->node[i]->n_attribute; j++)
      if (proto->node[i]->attribute[j]->g)
        count (proto->node[i]->attribute[j]->g, nodes, edges);
  }
}

static gboolean
check_limits (const EngineOnnx__GraphProto *proto, GError **error)
{
  gsize nodes = 0, edges = 0;

  count (proto, &nodes, &edges);
  if (nodes <= MAX_NODES && edges <= MAX_EDGES)
    return TRUE;
  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_UNSUPPORTED,
      "%" G_GSIZE_FORMAT " nodes with %" G_GSIZE_FORMAT
      " inputs and outputs; %d and %d can be done",
      nodes, edges, MAX_NODES, MAX_EDGES);
  return FALSE;
}

GArray *
engine_onnx_order (const EngineOnnx__GraphProto *proto, const EngineOnnx *outer, GError **error)
{
  Order order = {proto, outer};
  gboolean ok;

  if (!check_limits (proto, error))
    return NULL;
  order.captured = g_hash_table_new_full (NULL, NULL, NULL, (GDestroyNotify) g_ptr_array_unref);
  collect_captured (&order);
  order.producers = g_hash_table_new (g_str_hash, g_str_equal);
  order.order = g_array_new (FALSE, FALSE, sizeof (int));
  order.state = g_new0 (guint8, proto->n_node + 1);
  ok = collect_names (&order, error) && sort (&order, error) && refuse_unknown (&order, error);
  g_hash_table_unref (order.captured);
  g_hash_table_unref (order.producers);
  g_free (order.state);
  if (ok)
    return order.order;
  g_array_unref (order.order);
  return NULL;
}
