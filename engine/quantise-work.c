/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * quantise-work.c: which nodes work on int8, which on floats.
 *
 * Everything is int8 that has an int8 kernel, but for what only float ops read: the end of the network,
 * the way from attention's scores to their softmax, and the sums that only layer normalisations and
 * other such sums read, through which a transformer's values pass from block to block. A convolution, a
 * matmul or an average pool that only float ops read writes floats itself (logits are never int8);
 * after any other op a dequantise follows. Layer rules change single nodes and
 * never their neighbours: where int8 and float meet, values are converted.
 */
#include "engine/build.h"
#include "engine/layer-rules.h"
#include "engine/quantise.h"
#include "engine/ranges.h"

gboolean
engine_quantise_reads_int8 (const EngineNode *node, EngineWork work, int k)
{
  if (work == ENGINE_WORK_FLOAT || node->inputs[k] == ENGINE_NONE)
    return FALSE;
  return work == ENGINE_WORK_INT8 || node->op != ENGINE_OP_CONV || k != ENGINE_CONV_R;
}

/* Whether no node reads the value as int8: outputs of the network are read as floats. */
static gboolean
read_as_float_only (const EngineGraph *graph, const EngineWork *work, int value)
{
  for (guint i = 0; i < graph->nodes->len; i++) {
    const EngineNode *node = engine_graph_node (graph, i);

    for (int k = 0; k < node->n_inputs; k++)
      if (node->inputs[k] == value && engine_quantise_reads_int8 (node, work[i], k))
        return FALSE;
  }
  return TRUE;
}

/* Whether a node adds two activations. */
static gboolean
is_sum (const EngineGraph *graph, const EngineNode *node)
{
  if (node->op == ENGINE_OP_CONV)
    return node->inputs[ENGINE_CONV_R] != ENGINE_NONE;
  return node->op == ENGINE_OP_ADD &&
         !engine_graph_value (graph, node->inputs[ENGINE_BINARY_X2])->data;
}

/* Whether a layer normalisation, or a sum on floats, reads the value, at once or behind moves.
 * reaches[v] says so of values that later nodes make. */
static gboolean
reaches_floats (const EngineGraph *graph, const EngineWork *work, const gboolean *reaches,
    int value)
{
  for (guint i = 0; i < graph->nodes->len; i++) {
    const EngineNode *node = engine_graph_node (graph, i);

    for (int k = 0; k < node->n_inputs; k++)
      if (node->inputs[k] == value &&
          (node->op == ENGINE_OP_LAYERNORM ||
              (is_sum (graph, node) && work[i] != ENGINE_WORK_INT8) ||
              (engine_op_passes_values (node->op) && work[i] == ENGINE_WORK_FLOAT &&
                  reaches[node->output])))
        return TRUE;
  }
  return FALSE;
}

static EngineWork
plain_work_of (const EngineGraph *graph, const EngineWork *work, const EngineNode *node,
    gboolean reaches)
{
  switch (node->op) {
  case ENGINE_OP_SOFTMAX:
  case ENGINE_OP_LRN:
  case ENGINE_OP_LAYERNORM:
    return ENGINE_WORK_FLOAT;
  case ENGINE_OP_CONV:
    return is_sum (graph, node) && reaches && read_as_float_only (graph, work, node->output)
               ? ENGINE_WORK_INT8_TO_FLOAT
               : ENGINE_WORK_INT8;
  case ENGINE_OP_ADD:
  case ENGINE_OP_MUL:
    if (is_sum (graph, node) && !reaches)
      return ENGINE_WORK_INT8;
    if (node->op == ENGINE_OP_MUL && !engine_graph_value (graph, node->inputs[1])->data)
      return ENGINE_WORK_INT8;
    break;
  case ENGINE_OP_CONCAT:
  case ENGINE_OP_SLICE:
  case ENGINE_OP_RESHAPE:
  case ENGINE_OP_TRANSPOSE:
  case ENGINE_OP_PAD:
  case ENGINE_OP_UNARY:
    break;
  default:
    return ENGINE_WORK_INT8;
  }
  return read_as_float_only (graph, work, node->output) ? ENGINE_WORK_FLOAT : ENGINE_WORK_INT8;
}

static EngineWork *
plain_work (const EngineGraph *graph)
{
  EngineWork *work = g_new0 (EngineWork, graph->nodes->len);
  g_autofree gboolean *reaches = g_new0 (gboolean, graph->values->len);

  for (int i = (int) graph->nodes->len - 1; i >= 0; i--) {
    const EngineNode *node = engine_graph_node (graph, i);

    reaches[node->output] = reaches_floats (graph, work, reaches, node->output);
    work[i] = plain_work_of (graph, work, node, reaches[node->output]);
  }
  return work;
}

/* --- Rules ---------------------------------------------------------------------------------- */

static gboolean
writes_floats_from_int8 (EngineOp op)
{
  return op == ENGINE_OP_CONV || op == ENGINE_OP_MATMUL || op == ENGINE_OP_AVGPOOL;
}

G_GNUC_PRINTF (4, 5)
static void
refuse (const EnginePassContext *context, const EngineNode *node, int rule, const char *format, ...)
{
  g_autofree char *cause = NULL;
  va_list args;

  va_start (args, format);
  cause = g_strdup_vprintf (format, args);
  va_end (args);
  engine_report_add (&context->report->refused, "layer '%s' (rule %s): %s", node->name,
      engine_layer_rules_text (context->options->rules, rule), cause);
}

static void
report_obeyed (const EnginePassContext *context, const EngineNode *node, const char *what, int rule)
{
  engine_report_add (&context->report->obeyed, "%s: %s (%s)", node->name, what,
      engine_layer_rules_text (context->options->rules, rule));
}

static void
apply_precision (const EngineNode *node, const EngineLayerWish *wish,
    const EnginePassContext *context, EngineWork *work)
{
  if (wish->precision == ENGINE_NONE)
    return;
  if (wish->precision == ENGINE_PRECISION_INT8 && !engine_op_has_int8 (node->op)) {
    refuse (context, node, wish->precision_rule, "there is no int8 kernel for %s; add %s:fp32",
        engine_op_name (node->op), node->name);
    return;
  }
  *work = wish->precision == ENGINE_PRECISION_INT8 ? ENGINE_WORK_INT8 : ENGINE_WORK_FLOAT;
  report_obeyed (context, node, engine_precision_name (wish->precision), wish->precision_rule);
}

static void
apply_output (const EngineNode *node, const EngineLayerWish *wish, const EnginePassContext *context,
    EngineWork *work)
{
  const gboolean floats = wish->output == ENGINE_TYPE_F32;

  if (wish->output == ENGINE_NONE)
    return;
  if (*work == ENGINE_WORK_FLOAT && !floats) {
    refuse (context, node, wish->output_rule,
        "a layer in floats writes floats; %s:int8 computes it in int8", node->name);
    return;
  }
  if (*work == ENGINE_WORK_INT8 && floats && !writes_floats_from_int8 (node->op)) {
    refuse (context, node, wish->output_rule,
        "no int8 kernel for %s writes floats; %s:fp32 computes it in floats",
        engine_op_name (node->op), node->name);
    return;
  }
  if (*work == ENGINE_WORK_INT8 && floats)
    *work = ENGINE_WORK_INT8_TO_FLOAT;
  report_obeyed (context, node, floats ? "output fp32" : "output int8", wish->output_rule);
}

/* An int8 layer without a word about its output: floats where only float nodes read it, and the kernel
 * need not add a residual to them. */
static gboolean
ends_int8 (const EngineGraph *graph, const EngineWork *work, const EngineNode *node)
{
  if (!writes_floats_from_int8 (node->op) ||
      (node->op == ENGINE_OP_CONV && node->inputs[ENGINE_CONV_R] != ENGINE_NONE))
    return FALSE;
  return read_as_float_only (graph, work, node->output);
}

static void
report_unmatched (const EnginePassContext *context, const gboolean *matched)
{
  const EngineLayerRules *rules = context->options->rules;

  for (guint r = 0; rules && r < engine_layer_rules_n_entries (rules); r++)
    if (!matched[r])
      engine_report_add (&context->report->unmatched, "rule %s",
          engine_layer_rules_text (rules, r));
}

/* Where nothing was said about the output. */
static void
end_int8 (const EngineGraph *graph, const EngineLayerWish *wishes, EngineWork *work)
{
  for (guint i = 0; i < graph->nodes->len; i++)
    if (work[i] == ENGINE_WORK_INT8 && (!wishes || wishes[i].output == ENGINE_NONE) &&
        ends_int8 (graph, work, engine_graph_node (graph, i)))
      work[i] = ENGINE_WORK_INT8_TO_FLOAT;
}

EngineWork *
engine_quantise_work (const EngineGraph *graph, const EnginePassContext *context,
    EngineWork **plain)
{
  const guint n = graph->nodes->len;
  EngineWork *work = plain_work (graph);
  g_autofree gboolean *matched = NULL;
  g_autofree EngineLayerWish *wishes =
      engine_layer_rules_apply (context->options->rules, graph, &matched);

  *plain = g_memdup2 (work, n * sizeof *work);
  end_int8 (graph, NULL, *plain);
  for (guint i = 0; i < n; i++) {
    const EngineNode *node = engine_graph_node (graph, i);

    apply_precision (node, &wishes[i], context, &work[i]);
    apply_output (node, &wishes[i], context, &work[i]);
  }
  end_int8 (graph, wishes, work);
  report_unmatched (context, matched);
  return work;
}

gboolean *
engine_quantise_needed (const EngineGraph *graph, const EngineWork *work)
{
  gboolean *needed = g_new0 (gboolean, graph->values->len);

  for (guint i = 0; i < graph->nodes->len; i++) {
    const EngineNode *node = engine_graph_node (graph, i);

    if (work[i] == ENGINE_WORK_FLOAT)
      continue;
    needed[node->output] |= work[i] == ENGINE_WORK_INT8;
    for (int k = 0; k < node->n_inputs; k++)
      if (engine_quantise_reads_int8 (node, work[i], k) &&
          !engine_graph_value (graph, node->inputs[k])->data)
        needed[node->inputs[k]] = TRUE;
  }
  return needed;
}
