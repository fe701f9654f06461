/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pass/lut.c: every unary function on int8 becomes a table of 256 bytes, computed once in double.
 */
#include "engine/pass/pass.h"
#include "engine/quant.h"

static GBytes *
make_table (const EngineNode *node, const EngineQuant *x, const EngineQuant *y)
{
  gint8 *table = g_malloc (256);

  for (int level = -128; level < 128; level++)
    table[level + 128] =
        engine_quant_level (y, kernel_unary (node->unary.kind, node->unary.alpha, node->unary.beta,
                                   engine_quant_real (x, level)));
  return g_bytes_new_take (table, 256);
}

gboolean
engine_pass_lut (EngineGraph *graph, const EnginePassContext *context, GError **error)
{
  for (guint i = 0; i < graph->nodes->len; i++) {
    const EngineNode *node = engine_graph_node (graph, i);

    if (node->op != ENGINE_OP_UNARY ||
        engine_graph_value (graph, node->inputs[0])->type != ENGINE_TYPE_S8)
      continue;

    GBytes *table = make_table (node, &engine_graph_value (graph, node->inputs[0])->quant,
        &engine_graph_value (graph, node->output)->quant);
    g_autofree char *name = g_strconcat (node->name, " table", NULL);
    const int lut =
        engine_graph_add_constant (graph, name, ENGINE_TYPE_S8, 1, (const int[]){256}, table);
    EngineNode *changed = engine_graph_node (graph, i);

    changed->inputs = g_renew (int, changed->inputs, 2);
    changed->inputs[1] = lut;
    changed->n_inputs = 2;
  }
  return TRUE;
}
