/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/control.c: If and Loop that decide nothing: where conditions and counts are constants, once
 * shapes are known, the branch that is taken, or the body as often as it runs, is imported in the
 * node's place.
 *
 * The values of a subgraph become values of the model; those of a body, after its first run, under names
 * with the number of the run behind them.
 */
#include <string.h>

#include "engine/onnx/order.h"

/* Nodes that all runs of a body may come to: as many as a model may have. */
#define MAX_UNROLLED 16384

/* A value by its name, wherever it was made. */
static EngineOnnxValue *
read_value (EngineOnnx *onnx, const EngineOnnxNode *node, const char *name, GError **error)
{
  EngineOnnx__NodeProto proto = *node->proto;
  const EngineOnnxNode made = {&proto, node->name};
  char *inputs[] = {(char *) name};

  proto.n_input = 1;
  proto.input = inputs;
  return engine_onnx_input (onnx, &made, 0, error);
}

static const EngineOnnx__GraphProto *
read_graph (const EngineOnnxNode *node, const char *name, gsize outputs, GError **error)
{
  const EngineOnnx__AttributeProto *attribute = engine_onnx_attribute (node, name);
  const EngineOnnx__GraphProto *graph = attribute ? attribute->g : NULL;

  if (!graph) {
    ENGINE_ONNX_REFUSE ("attribute \"%s\" is missing, or no graph", name);
    return NULL;
  }
  if (graph->n_output != outputs) {
    ENGINE_ONNX_UNSUPPORTED ("\"%s\" has %" G_GSIZE_FORMAT " outputs; %" G_GSIZE_FORMAT
                             " can be done",
        name, graph->n_output, outputs);
    return NULL;
  }
  for (gsize i = 0; i < outputs; i++)
    if (!graph->output[i]->name || !graph->output[i]->name[0]) {
      ENGINE_ONNX_REFUSE ("output %" G_GSIZE_FORMAT " of \"%s\" has no name", i, name);
      return NULL;
    }
  return graph;
}

static gboolean
read_condition (EngineOnnx *onnx, const EngineOnnxNode *node, guint i, gboolean *condition,
    GError **error)
{
  const EngineOnnxConstant *constant = engine_onnx_integers (onnx, node, i, error);

  if (!constant)
    return FALSE;
  if (constant->n != 1)
    return ENGINE_ONNX_REFUSE ("a condition of %" G_GINT64_FORMAT " elements", constant->n);
  *condition = engine_onnx_i (constant, 0) != 0;
  return TRUE;
}

gboolean
engine_onnx_import_if (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  const EngineOnnx__GraphProto *branch;
  gboolean condition = FALSE;

  if (!read_condition (onnx, node, 0, &condition, error))
    return FALSE;
  branch =
      read_graph (node, condition ? "then_branch" : "else_branch", node->proto->n_output, error);
  if (!branch || !engine_onnx_import_subgraph (onnx, branch, error))
    return FALSE;
  for (gsize i = 0; i < branch->n_output; i++) {
    EngineOnnxValue *value = read_value (onnx, node, branch->output[i]->name, error);

    if (!value)
      return FALSE;
    g_hash_table_insert (onnx->values, node->proto->output[i], value);
  }
  return TRUE;
}

/* --- Loop ------------------------------------------------------------------------------------ */

typedef struct {
  const EngineOnnxNode *node;
  const EngineOnnx__GraphProto *body;
  EngineOnnxValue **carried; /* body->n_input - 2 of them */
  gint64 run;
} Loop;

/* In run 0 the name itself. */
static char *
name_in_run (EngineOnnx *onnx, const Loop *loop, const char *name)
{
  char *text;

  if (loop->run == 0 || !name[0])
    return (char *) name;
  text = g_strdup_printf ("%s/%" G_GINT64_FORMAT, name, loop->run);
  g_ptr_array_add (onnx->texts, text);
  return text;
}

/* What the body makes: name to its name in this run. */
static GHashTable *
make_names (EngineOnnx *onnx, const Loop *loop)
{
  GHashTable *names = g_hash_table_new (g_str_hash, g_str_equal);
  const EngineOnnx__GraphProto *body = loop->body;

  for (gsize i = 0; i < body->n_input; i++)
    g_hash_table_insert (names, body->input[i]->name,
        name_in_run (onnx, loop, body->input[i]->name));
  for (gsize i = 0; i < body->n_node; i++)
    for (gsize j = 0; j < body->node[i]->n_output; j++)
      g_hash_table_insert (names, body->node[i]->output[j],
          name_in_run (onnx, loop, body->node[i]->output[j]));
  return names;
}

static char *
renamed (GHashTable *names, char *name)
{
  char *other = g_hash_table_lookup (names, name);

  return other ? other : name;
}

static char **
rename_all (GHashTable *names, char **list, gsize n)
{
  char **result = g_new (char *, n + 1);

  for (gsize i = 0; i < n; i++)
    result[i] = renamed (names, list[i]);
  return result;
}

/* The body's nodes under other names; their attributes are the message's. */
static gboolean
import_renamed (EngineOnnx *onnx, const Loop *loop, GHashTable *names, GError **error)
{
  const EngineOnnx__GraphProto *body = loop->body;
  EngineOnnx__GraphProto graph = *body;
  g_autofree EngineOnnx__NodeProto *protos = g_new (EngineOnnx__NodeProto, body->n_node + 1);
  g_autofree EngineOnnx__NodeProto **nodes = g_new (EngineOnnx__NodeProto *, body->n_node + 1);
  EngineOnnx__ValueInfoProto *infos = g_new (EngineOnnx__ValueInfoProto, body->n_output + 1);
  EngineOnnx__ValueInfoProto **outputs = g_new (EngineOnnx__ValueInfoProto *, body->n_output + 1);
  gboolean ok;

  for (gsize i = 0; i < body->n_node; i++) {
    protos[i] = *body->node[i];
    /* Or the graph would try one number after the other behind equal names. */
    protos[i].name = protos[i].name ? name_in_run (onnx, loop, protos[i].name) : NULL;
    protos[i].input = rename_all (names, protos[i].input, protos[i].n_input);
    protos[i].output = rename_all (names, protos[i].output, protos[i].n_output);
    nodes[i] = &protos[i];
  }
  for (gsize i = 0; i < body->n_output; i++) {
    infos[i] = *body->output[i];
    infos[i].name = renamed (names, infos[i].name);
    outputs[i] = &infos[i];
  }
  graph.node = nodes;
  graph.output = outputs;
  graph.n_input = 0;       /* they are values already */
  graph.n_initializer = 0; /* so are they, from the first run on */
  ok = engine_onnx_import_subgraph (onnx, &graph, error);
  for (gsize i = 0; i < body->n_node; i++) {
    g_free (protos[i].input);
    g_free (protos[i].output);
  }
  g_free (infos);
  g_free (outputs);
  return ok;
}

static gboolean
define_integer (EngineOnnx *onnx, const char *name, gint64 value, GError **error)
{
  gint64 *i;
  EngineOnnxConstant *constant = engine_onnx_new_integers (onnx, 0, NULL, &i, error);

  if (!constant)
    return FALSE;
  i[0] = value;
  engine_onnx_new_value (onnx, name)->constant = constant;
  return TRUE;
}

/* One run: its inputs, its nodes, and what goes into the next. */
static gboolean
run_body (EngineOnnx *onnx, Loop *loop, gboolean *go_on, GError **error)
{
  const EngineOnnxNode *node = loop->node;
  const EngineOnnx__GraphProto *body = loop->body;
  g_autoptr (GHashTable) names = make_names (onnx, loop);
  const EngineOnnxValue *condition;

  for (gsize i = 0; i < body->n_input; i++)
    if (g_hash_table_contains (onnx->values, renamed (names, body->input[i]->name)))
      return ENGINE_ONNX_REFUSE ("two values are named \"%s\"", body->input[i]->name);
  if (!define_integer (onnx, renamed (names, body->input[0]->name), loop->run, error) ||
      !define_integer (onnx, renamed (names, body->input[1]->name), TRUE, error))
    return FALSE;
  for (gsize i = 2; i < body->n_input; i++)
    g_hash_table_insert (onnx->values, renamed (names, body->input[i]->name), loop->carried[i - 2]);
  if (!import_renamed (onnx, loop, names, error))
    return FALSE;
  condition = read_value (onnx, node, renamed (names, body->output[0]->name), error);
  if (!condition)
    return FALSE;
  if (!condition->constant || !condition->constant->i || condition->constant->n != 1)
    return ENGINE_ONNX_UNSUPPORTED ("whether it goes on is computed from the image");
  *go_on = engine_onnx_i (condition->constant, 0) != 0;
  for (gsize i = 1; i < body->n_output; i++) {
    loop->carried[i - 1] = read_value (onnx, node, renamed (names, body->output[i]->name), error);
    if (!loop->carried[i - 1])
      return FALSE;
  }
  return TRUE;
}

static gboolean
check_body (const Loop *loop, GError **error)
{
  const EngineOnnxNode *node = loop->node;

  for (gsize i = 0; i < loop->body->n_input; i++) {
    const char *name = loop->body->input[i]->name;

    if (!name || !name[0])
      return ENGINE_ONNX_REFUSE ("input %" G_GSIZE_FORMAT " of \"body\" has no name", i);
    if (!engine_onnx_check_name (name, "name", error))
      return FALSE;
  }
  for (gsize i = 0; i < loop->body->n_node; i++)
    for (gsize j = 0; j < loop->body->node[i]->n_attribute; j++)
      if (loop->body->node[i]->attribute[j]->g)
        return ENGINE_ONNX_UNSUPPORTED ("control flow within its body");
  return TRUE;
}

/* How often at most: M, or as long as the condition says. */
static gboolean
read_count (EngineOnnx *onnx, const EngineOnnxNode *node, gint64 *count, GError **error)
{
  const EngineOnnxConstant *m;
  gboolean begin = TRUE;

  *count = G_MAXINT64;
  if (engine_onnx_has_input (node, 0)) {
    m = engine_onnx_integers (onnx, node, 0, error);
    if (!m)
      return FALSE;
    if (m->n != 1)
      return ENGINE_ONNX_REFUSE ("a count of %" G_GINT64_FORMAT " elements", m->n);
    *count = engine_onnx_i (m, 0);
  }
  if (engine_onnx_has_input (node, 1) && !read_condition (onnx, node, 1, &begin, error))
    return FALSE;
  *count = begin ? *count : 0;
  return TRUE;
}

static gboolean
unroll (EngineOnnx *onnx, Loop *loop, gint64 count, GError **error)
{
  const EngineOnnxNode *node = loop->node;
  gboolean go_on = TRUE;

  if (!engine_onnx_add_initialisers (onnx, loop->body, error))
    return FALSE;
  for (loop->run = 0; go_on && loop->run < count; loop->run++) {
    if ((loop->run + 1) * (gint64) (loop->body->n_node + 1) > MAX_UNROLLED)
      return ENGINE_ONNX_UNSUPPORTED ("more than %" G_GINT64_FORMAT " runs", loop->run);
    if (!run_body (onnx, loop, &go_on, error))
      return FALSE;
  }
  return TRUE;
}

gboolean
engine_onnx_import_loop (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  const gsize n = node->proto->n_input - 2; /* the list of ops has at least 2 */
  g_autofree EngineOnnxValue **carried = g_new0 (EngineOnnxValue *, n + 1);
  Loop loop = {.node = node, .carried = carried};
  gint64 count;

  if (node->proto->n_output != n)
    return ENGINE_ONNX_UNSUPPORTED ("outputs that collect what every run makes");
  loop.body = read_graph (node, "body", n + 1, error);
  if (!loop.body || !read_count (onnx, node, &count, error))
    return FALSE;
  if (loop.body->n_input != n + 2)
    return ENGINE_ONNX_REFUSE ("its body has %" G_GSIZE_FORMAT " inputs, not %" G_GSIZE_FORMAT,
        loop.body->n_input, n + 2);
  if (!check_body (&loop, error))
    return FALSE;
  for (gsize i = 0; i < n; i++) {
    carried[i] = engine_onnx_input (onnx, node, i + 2, error);
    if (!carried[i])
      return FALSE;
  }
  if (!unroll (onnx, &loop, count, error))
    return FALSE;
  for (gsize i = 0; i < n; i++)
    g_hash_table_insert (onnx->values, node->proto->output[i], carried[i]);
  return TRUE;
}
