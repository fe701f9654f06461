/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pass/quantise.c: values become int8, and what that makes of the nodes. Which nodes is decided in
 * quantise-work.c; here values get types, conversions are put between int8 and float, and constants
 * are quantised.
 */
#include "engine/bias.h"
#include "engine/build.h"
#include "engine/equalise.h"
#include "engine/explicit.h"
#include "engine/quant.h"
#include "engine/quantise.h"
#include "engine/rewrite.h"

#include <math.h>
#include <string.h>

typedef struct {
  EngineGraph *graph;
  const EnginePassContext *context;
  int n_values, n_nodes; /* of the float graph; what the pass adds lies behind */
  EngineWork *work;      /* per node */
  gboolean *needed;      /* per value: it is int8, or read as int8 */
  EngineQuant *quant;    /* per value */
  EngineQuantiseChannels channels;
  int *twin; /* per value: the same in the other type, ENGINE_NONE while not needed */
} Quantiser;

/* --- Types ---------------------------------------------------------------------------------- */

/* Whether a node wants its floats untouched: the network's input comes as such then. */
static gboolean
is_float_input (const Quantiser *q, int value)
{
  for (int i = 0; i < q->n_nodes; i++) {
    const EngineNode *node = engine_graph_node (q->graph, i);

    for (int k = 0; k < node->n_inputs; k++)
      if (node->inputs[k] == value && !engine_quantise_reads_int8 (node, q->work[i], k))
        return TRUE;
  }
  return FALSE;
}

static void
set_factors (const Quantiser *q, EngineValue *value, int v)
{
  const gsize channels = value->dims[value->rank - 1];

  if (q->channels.factors[v])
    value->factors = g_bytes_new (q->channels.factors[v], channels * sizeof (float));
}

static void
set_types (Quantiser *q)
{
  for (int v = 0; v < q->n_values; v++) {
    EngineValue *value = engine_graph_value (q->graph, v);
    const int producer = value->producer;

    if (!q->needed[v] ||
        (producer == ENGINE_NONE ? is_float_input (q, v) : q->work[producer] != ENGINE_WORK_INT8))
      continue;
    value->type = ENGINE_TYPE_S8;
    value->quant = q->quant[v];
    set_factors (q, value, v);
  }
}

/* --- Conversions ---------------------------------------------------------------------------- */

/* The value in the other type, made on first use. */
static int
twin_of (Quantiser *q, int value)
{
  const gboolean quantise = engine_graph_value (q->graph, value)->type == ENGINE_TYPE_F32;

  if (q->twin[value] != ENGINE_NONE)
    return q->twin[value];
  q->twin[value] = quantise
                       ? engine_rewrite_convert (q->graph, ENGINE_OP_QUANTISE, value, "int8")
                       : engine_rewrite_convert (q->graph, ENGINE_OP_DEQUANTISE, value, "float");
  if (quantise)
    engine_graph_value (q->graph, q->twin[value])->quant = q->quant[value];
  return q->twin[value];
}

static void
convert_inputs (Quantiser *q, int i)
{
  for (int k = 0; k < engine_graph_node (q->graph, i)->n_inputs; k++) {
    const EngineNode *node = engine_graph_node (q->graph, i);
    const int input = node->inputs[k];
    const EngineType wanted =
        engine_quantise_reads_int8 (node, q->work[i], k) ? ENGINE_TYPE_S8 : ENGINE_TYPE_F32;

    if (input == ENGINE_NONE || engine_graph_value (q->graph, input)->data ||
        engine_graph_value (q->graph, input)->type == wanted)
      continue;
    const int twin = twin_of (q, input);
    engine_graph_node (q->graph, i)->inputs[k] = twin;
  }
}

static void
convert_outputs (Quantiser *q)
{
  for (guint i = 0; i < q->graph->outputs->len; i++) {
    const int output = g_array_index (q->graph->outputs, int, i);

    if (engine_graph_value (q->graph, output)->type == ENGINE_TYPE_S8)
      g_array_index (q->graph->outputs, int, i) = twin_of (q, output);
  }
}

void
engine_quantise_split_end (EngineGraph *graph, int i)
{
  EngineNode *node = engine_graph_node (graph, i);
  const float lo = node->conv.lo, hi = node->conv.hi;
  const int raw = node->output, residual = node->inputs[ENGINE_CONV_R];
  const int inputs[] = {raw, residual};
  const gboolean adds = residual != ENGINE_NONE;

  if (!adds && lo == -INFINITY && hi == INFINITY)
    return;
  node->inputs[ENGINE_CONV_R] = ENGINE_NONE;
  node->conv.lo = -INFINITY;
  node->conv.hi = INFINITY;

  const char *name = engine_graph_value (graph, raw)->name;
  g_autofree char *known = g_strdup (name);
  g_autofree char *inner = g_strconcat (name, adds ? " (unadded)" : " (unclamped)", NULL);
  EngineNode *end = engine_graph_add_node (graph, adds ? ENGINE_OP_ADD : ENGINE_OP_UNARY, known,
      inputs, adds ? 2 : 1, known);
  const int ended = end->output, end_index = graph->nodes->len - 1;

  if (adds) {
    end->binary.lo = lo;
    end->binary.hi = hi;
  } else {
    end->unary.kind = KERNEL_UNARY_CLIP;
    end->unary.alpha = lo;
    end->unary.beta = hi;
  }
  engine_graph_value (graph, ended)->rank = engine_graph_value (graph, raw)->rank;
  memcpy (engine_graph_value (graph, ended)->dims, engine_graph_value (graph, raw)->dims,
      sizeof (int) * ENGINE_MAX_RANK);
  engine_graph_replace (graph, raw, ended);
  engine_graph_node (graph, end_index)->inputs[0] = raw;
  engine_graph_rename (graph, raw, inner);
  engine_graph_rename (graph, ended, known);
}

/* --- Constants ------------------------------------------------------------------------------ */

static gboolean
is_int8_conv (const Quantiser *q, int i)
{
  return engine_graph_node (q->graph, i)->op == ENGINE_OP_CONV && q->work[i] != ENGINE_WORK_FLOAT;
}

/* Whether a sum or product on int8 has a constant operand. */
static gboolean
has_int8_operand (const Quantiser *q, int i)
{
  const EngineNode *node = engine_graph_node (q->graph, i);

  return (node->op == ENGINE_OP_ADD || node->op == ENGINE_OP_MUL) &&
         q->work[i] == ENGINE_WORK_INT8 &&
         engine_graph_value (q->graph, node->inputs[ENGINE_BINARY_X2])->data;
}

/* By the name that the layer's output has before engine_quantise_split_end(). */
static gboolean
find_correction (const Quantiser *q, int i, const float **correction, GError **error)
{
  const EngineBias *bias = q->context->options->bias;
  const EngineNode *node = engine_graph_node (q->graph, i);
  const guint oc = engine_graph_value (q->graph, node->inputs[ENGINE_CONV_W])->dims[0];
  guint channels = oc;

  *correction =
      bias && !q->channels.uncorrected[i]
          ? engine_bias_lookup (bias, engine_graph_value (q->graph, node->output)->name, &channels)
          : NULL;
  if (channels == oc)
    return TRUE;
  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MISMATCH,
      "layer '%s' has %u output channels, and its bias correction %u: that is of another model; "
      "calibrate again",
      node->name, oc, channels);
  return FALSE;
}

/* Corrections for layers that are not there, and scales of tensors that cannot have any. Before anything is
 * rewritten. */
static void
report_bias (const Quantiser *q)
{
  const EngineBias *bias = q->context->options->bias;

  for (guint i = 0; bias && i < engine_bias_n_layers (bias); i++) {
    const char *name = engine_bias_layer (bias, i);
    const int v = GPOINTER_TO_INT (g_hash_table_lookup (q->graph->names, name)) - 1;
    const int producer = v < 0 ? ENGINE_NONE : engine_graph_value (q->graph, v)->producer;

    if (producer == ENGINE_NONE || engine_graph_node (q->graph, producer)->op != ENGINE_OP_CONV)
      engine_report_add (&q->context->report->unmatched, "bias correction of %s", name);
  }
  for (guint i = 0; bias && i < engine_bias_n_equalised (bias); i++) {
    const char *name = engine_bias_equalised (bias, i);
    const int v = GPOINTER_TO_INT (g_hash_table_lookup (q->graph->names, name)) - 1;

    g_autoptr (GArray) readers = v < 0 ? NULL : engine_equalise_readers (q->graph, v);

    if (!readers)
      engine_report_add (&q->context->report->unmatched, "scales of the channels of %s", name);
  }
}

static gboolean
quantise_weights (Quantiser *q, GError **error)
{
  const EnginePassContext *context = q->context;
  guint total = 0, done = 0;

  for (int i = 0; i < q->n_nodes; i++)
    total += is_int8_conv (q, i);
  for (int i = 0; i < q->n_nodes; i++) {
    const float *correction;

    if (has_int8_operand (q, i) && !engine_quantise_operand (q->graph, i, error))
      return FALSE;
    if (!is_int8_conv (q, i))
      continue;
    if (g_cancellable_set_error_if_cancelled (context->cancellable, error))
      return FALSE;
    if (context->progress)
      context->progress (done++, total, engine_graph_node (q->graph, i)->name,
          context->progress_data);
    if (!find_correction (q, i, &correction, error))
      return FALSE;
    if (q->work[i] == ENGINE_WORK_INT8_TO_FLOAT)
      engine_quantise_split_end (q->graph, i);
    if (!engine_quantise_conv (q->graph, i, FALSE, correction, context->report, error))
      return FALSE;
  }
  if (context->progress)
    context->progress (total, total, "done", context->progress_data);
  return TRUE;
}

/* --- The pass ------------------------------------------------------------------------------- */

#define LISTED 5

static void
list_lines (GString *text, const GPtrArray *lines, const char *what)
{
  for (guint i = 0; lines && i < lines->len && i < LISTED; i++)
    g_string_append_printf (text, "%s%s%s", text->len ? "; " : "", (const char *) lines->pdata[i],
        what);
  if (lines && lines->len > LISTED)
    g_string_append_printf (text, "; and %u more", lines->len - LISTED);
}

gboolean
engine_quantise_check_strict (const EnginePassContext *context, GError **error)
{
  g_autoptr (GString) text = g_string_new (NULL);

  list_lines (text, context->report->refused, "");
  list_lines (text, context->report->unmatched, " matches nothing");
  if (!context->options->strict || text->len == 0)
    return TRUE;
  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_RULES,
      "strict: %s; gst-int8-1.0 inspect prints the layers and tensors of a model", text->str);
  return FALSE;
}

static gboolean
quantise (Quantiser *q, GError **error)
{
  g_autofree EngineWork *plain_work = NULL;
  g_autofree gboolean *plain = NULL;

  q->work = engine_quantise_work (q->graph, q->context, &plain_work);
  q->needed = engine_quantise_needed (q->graph, q->work);
  plain = engine_quantise_needed (q->graph, plain_work);
  report_bias (q);
  if (!engine_quantise_channels (q->graph, q->context, q->work, &q->channels, error) ||
      !engine_quantise_ranges (q->graph, q->context, q->needed, plain, q->channels.thresholds,
          q->quant, error) ||
      !engine_quantise_check_strict (q->context, error))
    return FALSE;
  set_types (q);
  for (int i = 0; i < q->n_nodes; i++)
    convert_inputs (q, i);
  convert_outputs (q);
  if (!quantise_weights (q, error))
    return FALSE;
  engine_graph_compact (q->graph);
  return TRUE;
}

gboolean
engine_pass_quantise (EngineGraph *graph, const EnginePassContext *context, GError **error)
{
  const int n_values = graph->values->len;
  EngineBuildReport unwanted = {0};
  EnginePassContext with_report = *context;
  Quantiser q = {
      .graph = graph,
      .context = &with_report,
      .n_values = n_values,
      .n_nodes = graph->nodes->len,
      .quant = g_new0 (EngineQuant, n_values),
      .twin = g_new (int, n_values),
  };

  if (!with_report.report)
    with_report.report = &unwanted;
  for (int v = 0; v < n_values; v++)
    q.twin[v] = ENGINE_NONE;

  const gboolean ok = engine_graph_is_explicit (graph)
                          ? engine_pass_explicit (graph, &with_report, error)
                          : quantise (&q, error);

  engine_build_report_clear (&unwanted);
  g_free (q.work);
  g_free (q.needed);
  g_free (q.quant);
  engine_quantise_channels_clear (&q.channels);
  g_free (q.twin);
  return ok;
}
