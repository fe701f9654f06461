/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dump.c: the graph as text. One line for every input, node and the outputs; parameters that are
 * neutral are left out; constants appear by shape.
 *
 *     data = input f32 [1 28 28 1]
 *     conv1 = conv (data, w [20 5 5 1], b [20]) clamp 0..inf f32 [1 24 24 20]
 *     pool1 = maxpool (conv1) 2x2 stride 2x2 f32 [1 12 12 20]
 *     output pool1
 */
#include "engine/graph.h"

#include <math.h>

static void
append_dims (GString *out, const int *dims, int rank)
{
  g_string_append_c (out, '[');
  for (int i = 0; i < rank; i++)
    g_string_append_printf (out, "%s%d", i ? " " : "", dims[i]);
  g_string_append_c (out, ']');
}

static void
append_float (GString *out, float x)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE];

  g_string_append (out, g_ascii_formatd (text, sizeof text, "%.9g", x));
}

/* " label x" */
static void
append_number (GString *out, const char *label, float x)
{
  g_string_append_printf (out, " %s ", label);
  append_float (out, x);
}

static void
append_type (GString *out, const EngineValue *value)
{
  g_string_append_printf (out, "%s ", engine_type_name (value->type));
  append_dims (out, value->dims, value->rank);
  if (value->type != ENGINE_TYPE_S8 || (value->data && value->quant.scale == 0))
    return;
  append_number (out, "scale", value->quant.scale);
  g_string_append_printf (out, " zero %d %s", value->quant.zero,
      engine_range_name (value->quant.range));
}

static void
append_input (GString *out, const EngineGraph *graph, const EngineNode *node, int i)
{
  static const char *const conv_labels[] = {"", "w ", "b ", "m ", "r "};
  const EngineValue *value = engine_graph_value (graph, node->inputs[i]);

  if (node->op == ENGINE_OP_CONV)
    g_string_append (out, conv_labels[i]);
  if (!value->data)
    g_string_append (out, value->name);
  else if (value->type == ENGINE_TYPE_S8)
    append_type (out, value);
  else
    append_dims (out, value->dims, value->rank);
}

static void
append_pair (GString *out, const char *label, int h, int w, int neutral)
{
  if (h != neutral || w != neutral)
    g_string_append_printf (out, " %s %dx%d", label, h, w);
}

static void
append_pads (GString *out, int top, int left, int bottom, int right)
{
  if (top || left || bottom || right)
    g_string_append_printf (out, " pad %d,%d,%d,%d", top, left, bottom, right);
}

static void
append_clamp (GString *out, float lo, float hi)
{
  if (lo == -INFINITY && hi == INFINITY)
    return;
  g_string_append (out, " clamp ");
  append_float (out, lo);
  g_string_append (out, "..");
  append_float (out, hi);
}

static void
append_conv (GString *out, const EngineConvParams *p)
{
  append_pair (out, "stride", p->stride_h, p->stride_w, 1);
  append_pair (out, "dilation", p->dilation_h, p->dilation_w, 1);
  append_pads (out, p->pad_top, p->pad_left, p->pad_bottom, p->pad_right);
  if (p->groups != 1)
    g_string_append_printf (out, " groups %d", p->groups);
  append_clamp (out, p->lo, p->hi);
}

static void
append_pool (GString *out, const EnginePoolParams *p)
{
  g_string_append_printf (out, " %dx%d", p->kh, p->kw);
  append_pair (out, "stride", p->stride_h, p->stride_w, 1);
  append_pair (out, "dilation", p->dilation_h, p->dilation_w, 1);
  append_pads (out, p->pad_top, p->pad_left, p->pad_bottom, p->pad_right);
  if (p->include_pad)
    g_string_append (out, " include-pad");
  if (p->ceil_mode)
    g_string_append (out, " ceil");
}

static void
append_unary (GString *out, const EngineNode *node)
{
  const int parameters = kernel_unary_parameters (node->unary.kind);

  g_string_append_printf (out, " %s", kernel_unary_name (node->unary.kind));
  if (parameters > 0) {
    g_string_append_c (out, ' ');
    append_float (out, node->unary.alpha);
  }
  if (parameters > 1) {
    g_string_append (out, node->unary.kind == KERNEL_UNARY_CLIP ? ".." : " ");
    append_float (out, node->unary.beta);
  }
}

static void
append_parameters (GString *out, const EngineGraph *graph, const EngineNode *node)
{
  const int rank = engine_graph_value (graph, node->output)->rank;

  switch (node->op) {
  case ENGINE_OP_CONV:
    append_conv (out, &node->conv);
    break;
  case ENGINE_OP_MAXPOOL:
  case ENGINE_OP_AVGPOOL:
    append_pool (out, &node->pool);
    break;
  case ENGINE_OP_MATMUL:
    g_string_append (out, node->matmul.transposed ? " transposed" : "");
    if (node->matmul.factor != 1)
      append_number (out, "factor", node->matmul.factor);
    break;
  case ENGINE_OP_LRN:
    g_string_append_printf (out, " window -%d..%d", node->lrn.before, node->lrn.after);
    append_number (out, "alpha", node->lrn.alpha);
    append_number (out, "beta", node->lrn.beta);
    append_number (out, "bias", node->lrn.bias);
    break;
  case ENGINE_OP_LAYERNORM:
    append_number (out, "epsilon", node->layernorm.epsilon);
    break;
  case ENGINE_OP_ADD:
  case ENGINE_OP_MUL:
    append_clamp (out, node->binary.lo, node->binary.hi);
    break;
  case ENGINE_OP_UNARY:
    append_unary (out, node);
    break;
  case ENGINE_OP_CONCAT:
    g_string_append_printf (out, " axis %d", node->concat.axis);
    break;
  case ENGINE_OP_SLICE:
    g_string_append_printf (out, " axis %d from %d", node->slice.axis, node->slice.start);
    break;
  case ENGINE_OP_TRANSPOSE:
    g_string_append (out, " perm ");
    append_dims (out, node->transpose.perm, rank);
    break;
  case ENGINE_OP_PAD:
    g_string_append (out, " before ");
    append_dims (out, node->pad.before, rank);
    g_string_append (out, " after ");
    append_dims (out, node->pad.after, rank);
    append_number (out, "value", node->pad.value);
    break;
  case ENGINE_OP_SOFTMAX:
    g_string_append (out, node->softmax.log ? " log" : "");
    break;
  default:
    break;
  }
}

void
engine_graph_dump_node (GString *out, const EngineGraph *graph, const EngineNode *node)
{
  const EngineValue *y = engine_graph_value (graph, node->output);
  const char *separator = "";

  g_string_append_printf (out, "%s = %s (", y->name, engine_op_name (node->op));
  for (int i = 0; i < node->n_inputs; i++) {
    if (node->inputs[i] == ENGINE_NONE)
      continue;
    g_string_append (out, separator);
    append_input (out, graph, node, i);
    separator = ", ";
  }
  g_string_append_c (out, ')');
  append_parameters (out, graph, node);
  g_string_append_c (out, ' ');
  append_type (out, y);
  g_string_append_c (out, '\n');
}

char *
engine_graph_dump (const EngineGraph *graph)
{
  GString *out = g_string_new (NULL);

  for (guint i = 0; i < graph->inputs->len; i++) {
    const EngineValue *value = engine_graph_value (graph, g_array_index (graph->inputs, int, i));

    g_string_append_printf (out, "%s = input ", value->name);
    append_type (out, value);
    g_string_append_c (out, '\n');
  }
  for (guint i = 0; i < graph->nodes->len; i++)
    engine_graph_dump_node (out, graph, engine_graph_node (graph, i));
  for (guint i = 0; i < graph->outputs->len; i++)
    g_string_append_printf (out, "output %s\n",
        engine_graph_value (graph, g_array_index (graph->outputs, int, i))->name);
  return g_string_free (out, FALSE);
}
