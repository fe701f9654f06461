/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dot.c: the graph in Graphviz' language. A box for every node, coloured by the precision that it
 * computes in; its line of dump.c is the tooltip. Edges tell type and shape.
 */
#include "engine/build.h"
#include "engine/layer-rules.h"
#include "engine/model.h"

/* Moves are white, and so is all of a model, which has no precisions yet. */
static const struct {
  EngineType type;
  const char *name, *colour;
} precisions[] = {
    {ENGINE_TYPE_S8, "int8", "#b7e1cd"},
    {ENGINE_TYPE_F16, "fp16", "#fce8b2"},
    {ENGINE_TYPE_F32, "fp32", "#f4c7c3"},
};

/* A quoted string: names may hold anything but 0, and a backslash begins an escape. */
static void
append_quoted (GString *out, const char *text)
{
  g_autofree char *valid = g_utf8_make_valid (text, -1);

  for (const char *c = valid; *c; c++) {
    if (*c == '"' || *c == '\\')
      g_string_append_c (out, '\\');
    if (*c == '\n')
      g_string_append (out, "\\n");
    else
      g_string_append_c (out, *c);
  }
}

static const char *
colour_of (const EngineGraph *graph, const EngineNode *node, gboolean coloured)
{
  const EngineType type = engine_graph_value (graph, node->inputs[0])->type;

  for (gsize i = 0; coloured && engine_op_computes (node->op) && i < G_N_ELEMENTS (precisions); i++)
    if (precisions[i].type == type)
      return precisions[i].colour;
  return "white";
}

static void
append_node (GString *out, const EngineGraph *graph, int index, gboolean coloured)
{
  const EngineNode *node = engine_graph_node (graph, index);
  g_autoptr (GString) line = g_string_new (NULL);

  engine_graph_dump_node (line, graph, node);
  g_string_set_size (line, line->len - 1); /* the end of the line */
  g_string_append_printf (out, "  n%d [label=\"", index);
  append_quoted (out, engine_graph_value (graph, node->output)->name);
  g_string_append_printf (out, "\\n%s", engine_op_name (node->op));
  if (node->op == ENGINE_OP_CONV) {
    const EngineValue *w = engine_graph_value (graph, node->inputs[ENGINE_CONV_W]);

    g_string_append_printf (out, " %dx%d", w->dims[1], w->dims[2]);
  } else if (node->op == ENGINE_OP_UNARY) {
    g_string_append_printf (out, " %s", kernel_unary_name (node->unary.kind));
  }
  g_string_append_printf (out, "\" fillcolor=\"%s\" tooltip=\"", colour_of (graph, node, coloured));
  append_quoted (out, line->str);
  g_string_append (out, "\"];\n");
}

/* From the value's producer, or from the input that it is, to the box named. */
static void
append_edge (GString *out, const EngineGraph *graph, int index, char kind, int to)
{
  const EngineValue *value = engine_graph_value (graph, index);

  if (value->producer == ENGINE_NONE)
    g_string_append_printf (out, "  i%d -> %c%d [label=\"%s ", index, kind, to,
        engine_type_name (value->type));
  else
    g_string_append_printf (out, "  n%d -> %c%d [label=\"%s ", value->producer, kind, to,
        engine_type_name (value->type));
  for (int i = 1; i < value->rank; i++)
    g_string_append_printf (out, "%s%d", i > 1 ? "x" : "", value->dims[i]);
  g_string_append (out, "\"];\n");
}

static void
append_end (GString *out, const EngineGraph *graph, char kind, int index)
{
  g_string_append_printf (out, "  %c%d [shape=ellipse label=\"%s\\n", kind, index,
      kind == 'i' ? "input" : "output");
  append_quoted (out, engine_graph_value (graph, index)->name);
  g_string_append (out, "\"];\n");
}

static void
append_legend (GString *out)
{
  g_string_append (out, "  subgraph cluster_legend {\n    label=\"computed in\";\n");
  for (gsize i = 0; i < G_N_ELEMENTS (precisions); i++)
    g_string_append_printf (out, "    legend_%s [label=\"%s\" fillcolor=\"%s\"];\n",
        precisions[i].name, precisions[i].name, precisions[i].colour);
  g_string_append (out, "  }\n");
}

static char *
graph_dot (const EngineGraph *graph, gboolean coloured)
{
  GString *out = g_string_new ("digraph network {\n"
                               "  node [shape=box style=\"filled,rounded\" fillcolor=white];\n");

  if (coloured)
    append_legend (out);
  for (guint i = 0; i < graph->inputs->len; i++)
    append_end (out, graph, 'i', g_array_index (graph->inputs, int, i));
  for (guint i = 0; i < graph->nodes->len; i++) {
    const EngineNode *node = engine_graph_node (graph, i);

    append_node (out, graph, i, coloured);
    for (int k = 0; k < node->n_inputs; k++)
      if (node->inputs[k] != ENGINE_NONE && !engine_graph_value (graph, node->inputs[k])->data)
        append_edge (out, graph, node->inputs[k], 'n', i);
  }
  for (guint i = 0; i < graph->outputs->len; i++) {
    const int output = g_array_index (graph->outputs, int, i);

    append_end (out, graph, 'o', output);
    append_edge (out, graph, output, 'o', output);
  }
  g_string_append (out, "}\n");
  return g_string_free (out, FALSE);
}

char *
engine_model_dot (const EngineModel *model)
{
  return graph_dot (model->graph, FALSE);
}

char *
engine_dot (const Engine *engine)
{
  return graph_dot (engine->graph, TRUE);
}
