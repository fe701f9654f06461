/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pass/explicit.c: the INT8 engine of a model that is quantised already. A node whose inputs are
 * dequantised works on the levels instead; where only a quantise reads its output, it writes levels,
 * too. Scales, zero points and the integers of the weights are the model's. Everything else stays
 * float: what is not between Q and DQ was not meant to be int8.
 */
#include "engine/build.h"
#include "engine/explicit.h"
#include "engine/layer-rules.h"
#include "engine/quant.h"
#include "engine/quantise.h"
#include "engine/rewrite.h"

#include <math.h>

typedef struct {
  EngineGraph *graph;
  const EnginePassContext *context;
  const EngineLayerWish *wishes;
} Explicit;

static EngineNode *
node_at (const Explicit *x, int i)
{
  return engine_graph_node (x->graph, i);
}

/* --- What the model has quantised ------------------------------------------------------------- */

/* The levels behind a dequantised value, or ENGINE_NONE. */
static int
levels_behind (const Explicit *x, int value)
{
  const EngineNode *producer = engine_rewrite_producer (x->graph, value);

  return producer && producer->op == ENGINE_OP_DEQUANTISE ? producer->inputs[0] : ENGINE_NONE;
}

/* The quantise that alone reads the value, or NULL. */
static EngineNode *
quantise_behind (const Explicit *x, int value)
{
  EngineNode *reader = engine_graph_sole_consumer (x->graph, value);

  return reader && reader->op == ENGINE_OP_QUANTISE ? reader : NULL;
}

/* The levels of a matmul's second operand have zero point 0. */
static gboolean
has_zero_0 (const Explicit *x, int value)
{
  const int levels = levels_behind (x, value);

  return levels != ENGINE_NONE && engine_graph_value (x->graph, levels)->quant.zero == 0;
}

/* Weights of a single tap are levels of any scale: 127 is the scale of its filter. */
static void
give_scales (EngineValue *weights)
{
  const float *w = g_bytes_get_data (weights->data, NULL);
  const int oc = weights->dims[0];
  float *scales;

  if (weights->scales || engine_value_elements (weights) != oc)
    return;
  scales = g_new (float, oc);
  for (int k = 0; k < oc; k++)
    scales[k] = w[k] == 0 ? 1 : fabsf (w[k]) / 127;
  weights->scales = g_bytes_new_take (scales, oc * sizeof (float));
}

static gboolean
has_levels (const Explicit *x, const EngineNode *node)
{
  switch (node->op) {
  case ENGINE_OP_CONV:
    give_scales (engine_graph_value (x->graph, node->inputs[ENGINE_CONV_W]));
    return levels_behind (x, node->inputs[ENGINE_CONV_X]) != ENGINE_NONE &&
           engine_graph_value (x->graph, node->inputs[ENGINE_CONV_W])->scales;
  case ENGINE_OP_AVGPOOL:
    return levels_behind (x, node->inputs[0]) != ENGINE_NONE;
  case ENGINE_OP_MATMUL:
    return levels_behind (x, node->inputs[0]) != ENGINE_NONE && has_zero_0 (x, node->inputs[1]);
  case ENGINE_OP_ADD: /* a constant operand is float */
  case ENGINE_OP_MUL:
    return levels_behind (x, node->inputs[0]) != ENGINE_NONE &&
           levels_behind (x, node->inputs[1]) != ENGINE_NONE && quantise_behind (x, node->output);
  case ENGINE_OP_UNARY:
    return levels_behind (x, node->inputs[0]) != ENGINE_NONE && quantise_behind (x, node->output);
  default:
    return FALSE;
  }
}

/* --- Rules ---------------------------------------------------------------------------------- */

/* Whether the node works on int8, as the model has it and the rules want it. */
static gboolean
is_wanted (const Explicit *x, int i)
{
  const EngineNode *node = node_at (x, i);
  const EngineLayerWish *wish = &x->wishes[i];
  const gboolean possible = has_levels (x, node);
  EngineBuildReport *report = x->context->report;

  if (wish->precision == ENGINE_NONE)
    return possible;
  if (wish->precision == ENGINE_PRECISION_INT8 && !possible) {
    engine_report_add (&report->refused,
        "layer '%s' (rule %s): the model has not quantised its inputs, weights or output",
        node->name, engine_layer_rules_text (x->context->options->rules, wish->precision_rule));
    return FALSE;
  }
  engine_report_add (&report->obeyed, "%s: %s (%s)", node->name,
      engine_precision_name (wish->precision),
      engine_layer_rules_text (x->context->options->rules, wish->precision_rule));
  return wish->precision == ENGINE_PRECISION_INT8;
}

static void
refuse_output (const Explicit *x, int i)
{
  const EngineLayerWish *wish = &x->wishes[i];

  if (wish->output == ENGINE_NONE)
    return;
  engine_report_add (&x->context->report->refused,
      "layer '%s' (rule %s): of a quantised model, the model says which outputs are int8",
      node_at (x, i)->name,
      engine_layer_rules_text (x->context->options->rules, wish->output_rule));
}

/* What the model's own scales make idle. */
static void
report_unused (const Explicit *x, const gboolean *matched)
{
  const EngineBuildOptions *options = x->context->options;
  GPtrArray **unmatched = &x->context->report->unmatched;
  GPtrArray **refused = &x->context->report->refused;

  if (options->table)
    engine_report_add (refused,
        "calibration table: the model is quantised already, with scales of its own");
  if (options->dynamic_ranges)
    engine_report_add (refused,
        "dynamic ranges: the model is quantised already, with scales of its own");
  for (guint r = 0; options->rules && r < engine_layer_rules_n_entries (options->rules); r++)
    if (!matched[r])
      engine_report_add (unmatched, "rule %s", engine_layer_rules_text (options->rules, r));
}

/* --- Nodes ---------------------------------------------------------------------------------- */

/* The quantise behind a node becomes the node's own output, under the name of the real value. */
static void
write_levels (const Explicit *x, int i)
{
  const int output = node_at (x, i)->output;
  const EngineNode *quantise = quantise_behind (x, output);
  const int levels = quantise->output;
  EngineValue *y = engine_graph_value (x->graph, output);

  y->type = ENGINE_TYPE_S8;
  y->quant = engine_graph_value (x->graph, levels)->quant;
  engine_rewrite_bypass (x->graph, levels, output);
}

static void
read_levels (const Explicit *x, int i)
{
  EngineNode *node = node_at (x, i);

  for (int k = 0; k < node->n_inputs; k++)
    if (node->inputs[k] != ENGINE_NONE && !engine_graph_value (x->graph, node->inputs[k])->data)
      node->inputs[k] = levels_behind (x, node->inputs[k]);
}

static void
convert_conv (const Explicit *x, int i)
{
  const EngineNode *node = node_at (x, i);
  const int residual = node->inputs[ENGINE_CONV_R];
  const gboolean writes = quantise_behind (x, node->output) &&
                          (residual == ENGINE_NONE || levels_behind (x, residual) != ENGINE_NONE);

  if (!writes)
    engine_quantise_split_end (x->graph, i);
  read_levels (x, i);
  if (writes)
    write_levels (x, i);
}

static void
convert (const Explicit *x, int i)
{
  const gboolean writes = quantise_behind (x, node_at (x, i)->output) != NULL;

  read_levels (x, i);
  if (writes)
    write_levels (x, i);
}

/* Levels of one scale become those of another: a table. */
static void
convert_levels (EngineGraph *graph)
{
  for (guint i = 0; i < graph->nodes->len; i++) {
    EngineNode *node = engine_graph_node (graph, i);
    const EngineNode *before;
    int levels;

    if (node->op != ENGINE_OP_QUANTISE)
      continue;
    before = engine_rewrite_producer (graph, node->inputs[0]);
    if (!before || before->op != ENGINE_OP_DEQUANTISE)
      continue;
    levels = before->inputs[0];
    if (engine_quant_equal (&engine_graph_value (graph, levels)->quant,
            &engine_graph_value (graph, node->output)->quant)) {
      engine_rewrite_bypass (graph, node->output, levels);
      continue;
    }
    node->op = ENGINE_OP_UNARY;
    node->inputs[0] = levels;
    node->unary.kind = KERNEL_UNARY_CLIP;
    node->unary.alpha = -INFINITY;
    node->unary.beta = INFINITY;
  }
  engine_graph_compact (graph);
}

static gboolean
is_translation (const EngineNode *node)
{
  return node && node->op == ENGINE_OP_UNARY && node->unary.kind == KERNEL_UNARY_CLIP &&
         node->unary.alpha == -INFINITY && node->unary.beta == INFINITY;
}

/* A concat reads other levels than its own itself. */
static void
drop_translations (EngineGraph *graph)
{
  for (guint i = 0; i < graph->nodes->len; i++) {
    EngineNode *node = engine_graph_node (graph, i);

    if (node->op != ENGINE_OP_CONCAT ||
        engine_graph_value (graph, node->output)->type != ENGINE_TYPE_S8)
      continue;
    for (int k = 0; k < node->n_inputs; k++) {
      const EngineNode *before = engine_rewrite_producer (graph, node->inputs[k]);

      if (is_translation (before) &&
          engine_quant_equal (&engine_graph_value (graph, before->output)->quant,
              &engine_graph_value (graph, node->output)->quant))
        node->inputs[k] = before->inputs[0];
    }
  }
  engine_graph_compact (graph);
}

/* An image that only a quantise reads is written as int8. */
static void
convert_input (EngineGraph *graph)
{
  const int input = g_array_index (graph->inputs, int, 0);
  const EngineNode *quantise = engine_graph_sole_consumer (graph, input);
  EngineValue *value = engine_graph_value (graph, input);

  if (!quantise || quantise->op != ENGINE_OP_QUANTISE)
    return;
  value->type = ENGINE_TYPE_S8;
  value->quant = engine_graph_value (graph, quantise->output)->quant;
  engine_rewrite_bypass (graph, quantise->output, input);
  engine_graph_compact (graph);
}

/* --- Weights -------------------------------------------------------------------------------- */

static gboolean
quantise_weights (EngineGraph *graph, const EnginePassContext *context, GError **error)
{
  const guint n = graph->nodes->len;

  for (guint i = 0; i < n; i++) {
    const EngineNode *node = engine_graph_node (graph, i);

    if (node->op != ENGINE_OP_CONV ||
        engine_graph_value (graph, node->inputs[ENGINE_CONV_X])->type != ENGINE_TYPE_S8)
      continue;
    if (g_cancellable_set_error_if_cancelled (context->cancellable, error))
      return FALSE;
    if (context->progress)
      context->progress (i, n, node->name, context->progress_data);
    if (!engine_quantise_conv (graph, i, TRUE, NULL, context->report, error))
      return FALSE;
  }
  if (context->progress)
    context->progress (n, n, "done", context->progress_data);
  return TRUE;
}

/* --- The pass ------------------------------------------------------------------------------- */

gboolean
engine_pass_explicit (EngineGraph *graph, const EnginePassContext *context, GError **error)
{
  g_autofree gboolean *matched = NULL;
  g_autofree EngineLayerWish *wishes = NULL;
  Explicit x = {.graph = graph, .context = context};

  engine_explicit_sink (graph);
  engine_explicit_hoist (graph);
  wishes = engine_layer_rules_apply (context->options->rules, graph, &matched);
  x.wishes = wishes;
  report_unused (&x, matched);
  for (int i = 0, n = graph->nodes->len; i < n; i++) { /* of those that were there before */
    refuse_output (&x, i);
    if (!is_wanted (&x, i))
      continue;
    if (node_at (&x, i)->op == ENGINE_OP_CONV)
      convert_conv (&x, i);
    else
      convert (&x, i);
  }
  engine_graph_compact (graph);
  convert_levels (graph);
  drop_translations (graph);
  convert_input (graph);
  if (!engine_explicit_widen (graph, error) || !quantise_weights (graph, context, error) ||
      !engine_quantise_check_strict (context, error))
    return FALSE;
  engine_graph_compact (graph);
  return TRUE;
}
