/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * verify.c: what every later room relies on. Structure first (indices, names, order), then each
 * node: operands, types, parameters, shape, and what a run of several images would break.
 */
#include "engine/verify.h"

#include <math.h>
#include <string.h>

G_GNUC_PRINTF (3, 4)
static gboolean
refuse (GError **error, EngineError code, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  if (error)
    *error = g_error_new_valist (ENGINE_ERROR, code, format, args);
  va_end (args);
  return FALSE;
}

#define REFUSE(...) refuse (error, ENGINE_ERROR_MODEL, __VA_ARGS__)

gboolean
engine_verify_refuse (const EngineNode *node, EngineError code, GError **error, const char *format, ...)
{
  g_autofree char *cause = NULL;
  va_list args;

  va_start (args, format);
  cause = g_strdup_vprintf (format, args);
  va_end (args);
  return refuse (error, code, "node \"%s\" (%s): %s", node->name, engine_op_name (node->op), cause);
}

/* --- Values --------------------------------------------------------------------------------- */

static gboolean
verify_dims (const EngineValue *value, GError **error)
{
  gint64 elements = 1;

  if (value->rank < 1 || value->rank > ENGINE_MAX_RANK)
    return REFUSE ("value \"%s\": rank %d; 1 to %d is possible", value->name, value->rank,
        ENGINE_MAX_RANK);
  for (int i = 0; i < value->rank; i++) {
    if (value->dims[i] < 1 || value->dims[i] > ENGINE_MAX_DIM)
      return REFUSE ("value \"%s\": axis %d has size %d; 1 to %d is possible", value->name, i,
          value->dims[i], ENGINE_MAX_DIM);
    elements *= value->dims[i];
    if (elements > ENGINE_MAX_ELEMENTS)
      return REFUSE ("value \"%s\": more than %" G_GINT64_FORMAT " elements", value->name,
          ENGINE_MAX_ELEMENTS);
  }
  return TRUE;
}

static gboolean
is_quant (const EngineQuant *quant)
{
  return quant->scale > 0 && quant->scale < INFINITY && quant->zero >= -128 && quant->zero <= 127;
}

static gboolean
verify_value (const EngineGraph *graph, int index, GError **error)
{
  const EngineValue *value = engine_graph_value (graph, index);
  const EngineQuant *quant = &value->quant;

  if (!value->name ||
      GPOINTER_TO_INT (g_hash_table_lookup (graph->names, value->name)) != index + 1)
    return REFUSE ("value %d (\"%s\"): the name is not unique", index,
        value->name ? value->name : "");
  if (!verify_dims (value, error))
    return FALSE;
  if (value->producer < ENGINE_NONE || value->producer >= (int) graph->nodes->len)
    return REFUSE ("value \"%s\": producer %d does not exist", value->name, value->producer);
  if (value->data) {
    const gsize size = engine_value_elements (value) * engine_type_size (value->type);

    if (value->producer != ENGINE_NONE)
      return REFUSE ("value \"%s\": a constant with a producer", value->name);
    if (g_bytes_get_size (value->data) != size)
      return REFUSE ("constant \"%s\": %" G_GSIZE_FORMAT
                     " bytes where its dims need %" G_GSIZE_FORMAT,
          value->name, g_bytes_get_size (value->data), size);
  } else if (value->type == ENGINE_TYPE_S8) {
    if (!is_quant (quant))
      return REFUSE ("value \"%s\": scale %g, zero %d", value->name, quant->scale, quant->zero);
  }
  return TRUE;
}

static gboolean
verify_interface (const EngineGraph *graph, GError **error)
{
  if (graph->inputs->len != 1)
    return REFUSE ("%u inputs; one image is needed", graph->inputs->len);
  if (graph->outputs->len == 0)
    return REFUSE ("no output");
  for (guint i = 0; i < graph->inputs->len + graph->outputs->len; i++) {
    const gboolean input = i < graph->inputs->len;
    const int index = input ? g_array_index (graph->inputs, int, i)
                            : g_array_index (graph->outputs, int, i - graph->inputs->len);
    const char *role = input ? "input" : "output";
    const EngineValue *value;

    if (index < 0 || index >= (int) graph->values->len)
      return REFUSE ("%s: value %d does not exist", role, index);
    value = engine_graph_value (graph, index);
    if (value->data)
      return REFUSE ("%s \"%s\" is a constant", role, value->name);
    if (input && value->producer != ENGINE_NONE)
      return REFUSE ("input \"%s\" has a producer", value->name);
    if (!input && value->producer == ENGINE_NONE)
      return REFUSE ("output \"%s\" is not computed by any node", value->name);
  }
  return TRUE;
}

/* --- Operands ------------------------------------------------------------------------------- */

static gboolean
optional_operand (const EngineNode *node, int i)
{
  return node->op == ENGINE_OP_CONV && i >= ENGINE_CONV_B;
}

/* Either an activation or a constant. */
static gboolean
any_operand (const EngineNode *node, int i)
{
  return (node->op == ENGINE_OP_ADD || node->op == ENGINE_OP_MUL) && i == ENGINE_BINARY_X2;
}

static gboolean
constant_operand (const EngineNode *node, int i)
{
  switch (node->op) {
  case ENGINE_OP_CONV:
    return i != ENGINE_CONV_X && i != ENGINE_CONV_R;
  case ENGINE_OP_AFFINE:
  case ENGINE_OP_LAYERNORM:
  case ENGINE_OP_UNARY:
    return i > 0;
  default:
    return FALSE;
  }
}

static gboolean
verify_operands (const EngineGraph *graph, int index, GError **error)
{
  static const struct {
    int min, max;
  } arity[] = {
#define ENGINE_OP(ID, name, min_inputs, max_inputs) {min_inputs, max_inputs},
#include "engine/ops.inc"
#undef ENGINE_OP
  };
  const EngineNode *node = engine_graph_node (graph, index);

  if (node->op >= ENGINE_OP_COUNT)
    return REFUSE ("node \"%s\": op %d does not exist", node->name, node->op);
  if (node->n_inputs < arity[node->op].min || node->n_inputs > arity[node->op].max)
    return REFUSE_NODE ("%d inputs; %d to %d are possible", node->n_inputs, arity[node->op].min,
        arity[node->op].max);
  if (node->output < 0 || node->output >= (int) graph->values->len ||
      engine_graph_value (graph, node->output)->producer != index)
    return REFUSE_NODE ("output %d is not its own", node->output);
  for (int i = 0; i < node->n_inputs; i++) {
    const EngineValue *value;

    if (node->inputs[i] == ENGINE_NONE && optional_operand (node, i))
      continue;
    if (node->inputs[i] < 0 || node->inputs[i] >= (int) graph->values->len)
      return REFUSE_NODE ("input %d: value %d does not exist", i, node->inputs[i]);
    value = engine_graph_value (graph, node->inputs[i]);
    if (!any_operand (node, i) && !value->data != !constant_operand (node, i))
      return REFUSE_NODE ("input %d (\"%s\") is %s constant", i, value->name,
          value->data ? "a" : "not a");
    if (!value->data && value->producer == ENGINE_NONE &&
        node->inputs[i] != g_array_index (graph->inputs, int, 0))
      return REFUSE_NODE ("input %d (\"%s\") is not computed by any node", i, value->name);
    if (value->producer >= index)
      return REFUSE_NODE ("input %d (\"%s\") is computed later", i, value->name);
  }
  return TRUE;
}

/* --- Types ---------------------------------------------------------------------------------- */

static gboolean
type_is (const EngineGraph *graph, int value, EngineType type)
{
  return value == ENGINE_NONE || engine_graph_value (graph, value)->type == type;
}

/* Bytes pass through these: what goes in and out shares scale and zero. (A concat may translate.)
 */
static gboolean
passes_bytes (EngineOp op)
{
  return op == ENGINE_OP_MAXPOOL || op == ENGINE_OP_SLICE || op == ENGINE_OP_RESHAPE ||
         op == ENGINE_OP_TRANSPOSE || op == ENGINE_OP_PAD;
}

/* Read as the output is written: pixel by pixel, whatever the rank of either. */
static gboolean
is_residual_of (const EngineValue *r, const EngineValue *y)
{
  int from[4], to[4];

  if (r->rank < 2 || r->rank > 4)
    return FALSE;
  engine_value_nhwc (r, from);
  engine_value_nhwc (y, to);
  return memcmp (from, to, sizeof to) == 0;
}

static gboolean
verify_conv_types (const EngineGraph *graph, const EngineNode *node, GError **error)
{
  const EngineType x = engine_graph_value (graph, node->inputs[ENGINE_CONV_X])->type;
  const EngineType y = engine_graph_value (graph, node->output)->type;
  const int b = node->inputs[ENGINE_CONV_B], m = node->inputs[ENGINE_CONV_M];
  const int r = node->inputs[ENGINE_CONV_R];
  const int vectors[] = {b, m};
  const int oc = engine_graph_value (graph, node->inputs[ENGINE_CONV_W])->dims[0];

  /* Weights of halves are floats until a back end packs them. */
  if (!type_is (graph, node->inputs[ENGINE_CONV_W], x == ENGINE_TYPE_F16 ? ENGINE_TYPE_F32 : x) ||
      !type_is (graph, r, x) || (x != ENGINE_TYPE_S8 && y != x))
    return REFUSE_NODE ("input, weights, residual and output differ in type");
  if ((x == ENGINE_TYPE_S8) != (m != ENGINE_NONE) || (x == ENGINE_TYPE_S8 && b == ENGINE_NONE))
    return REFUSE_NODE ("int8 needs both m and b, float takes no m");
  if (x == ENGINE_TYPE_S8 && y == ENGINE_TYPE_F32 &&
      (r != ENGINE_NONE || node->conv.lo > -INFINITY || node->conv.hi < INFINITY))
    return REFUSE_NODE ("a float output of int8 takes neither residual nor clamp");
  if (r != ENGINE_NONE &&
      !is_residual_of (engine_graph_value (graph, r), engine_graph_value (graph, node->output)))
    return REFUSE_NODE ("residual and output differ in shape");
  for (guint i = 0; i < G_N_ELEMENTS (vectors); i++) {
    const EngineValue *v;

    if (vectors[i] == ENGINE_NONE)
      continue;
    v = engine_graph_value (graph, vectors[i]);
    if (v->type != ENGINE_TYPE_F32 || v->rank != 1 || v->dims[0] != oc)
      return REFUSE_NODE ("%s is not float [%d]", i ? "m" : "b", oc);
  }
  return TRUE;
}

static gboolean
verify_types (const EngineGraph *graph, const EngineNode *node, GError **error)
{
  const EngineValue *x = engine_graph_value (graph, node->inputs[0]);
  const EngineValue *y = engine_graph_value (graph, node->output);
  const gboolean s8 = x->type == ENGINE_TYPE_S8;
  gboolean ok = x->type == y->type;

  if (node->op == ENGINE_OP_CONV)
    return verify_conv_types (graph, node, error);
  if (node->op == ENGINE_OP_QUANTISE)
    ok = x->type == ENGINE_TYPE_F32 && y->type == ENGINE_TYPE_S8;
  else if (node->op == ENGINE_OP_DEQUANTISE)
    ok = s8 && y->type == ENGINE_TYPE_F32;
  else if (node->op == ENGINE_OP_NARROW)
    ok = x->type == ENGINE_TYPE_F32 && y->type == ENGINE_TYPE_F16;
  else if (node->op == ENGINE_OP_WIDEN)
    ok = x->type == ENGINE_TYPE_F16 && y->type == ENGINE_TYPE_F32;
  else if (node->op == ENGINE_OP_AVGPOOL)
    ok = ok || (s8 && y->type == ENGINE_TYPE_F32);
  else if (node->op == ENGINE_OP_SOFTMAX || node->op == ENGINE_OP_AFFINE ||
           node->op == ENGINE_OP_LAYERNORM || node->op == ENGINE_OP_LRN)
    ok = ok && x->type == ENGINE_TYPE_F32;
  else if (node->op == ENGINE_OP_MATMUL)
    ok = x->type != ENGINE_TYPE_F16 && (ok || (s8 && y->type == ENGINE_TYPE_F32));
  for (int i = 1; i < node->n_inputs; i++)
    ok = ok && type_is (graph, node->inputs[i], x->type);
  if (node->op == ENGINE_OP_UNARY && node->n_inputs == 2) /* int8 gets its table in pass/lut.c */
    ok = ok && s8 && engine_value_elements (engine_graph_value (graph, node->inputs[1])) == 256;
  if (!ok)
    return REFUSE_NODE ("the types of its inputs and output do not belong together");
  if (s8 && node->op == ENGINE_OP_MATMUL &&
      engine_graph_value (graph, node->inputs[1])->quant.zero != 0)
    return REFUSE_NODE ("the second operand has zero %d; 0 is needed",
        engine_graph_value (graph, node->inputs[1])->quant.zero);
  if (s8 && any_operand (node, 1) &&
      !is_quant (&engine_graph_value (graph, node->inputs[1])->quant))
    return REFUSE_NODE ("the second operand has no scale");
  if (s8 && passes_bytes (node->op) &&
      (x->quant.scale != y->quant.scale || x->quant.zero != y->quant.zero))
    return REFUSE_NODE ("bytes pass through, but its input has another scale or zero");
  return TRUE;
}

/* --- The whole ------------------------------------------------------------------------------- */

static gboolean
verify_shape (const EngineGraph *graph, const EngineNode *node, GError **error)
{
  const EngineValue *y = engine_graph_value (graph, node->output);
  int rank, dims[ENGINE_MAX_RANK];

  if (!engine_graph_output_dims (graph, node, &rank, dims, error))
    return FALSE;
  if (!engine_value_has_dims (y, rank, dims))
    return REFUSE_NODE ("its output does not have the shape that follows from its inputs");
  return TRUE;
}

static gboolean
verify_graph (const EngineGraph *graph, GError **error)
{
  for (guint i = 0; i < graph->values->len; i++)
    if (!verify_value (graph, i, error))
      return FALSE;
  if (!verify_interface (graph, error))
    return FALSE;
  for (guint i = 0; i < graph->nodes->len; i++) {
    const EngineNode *node = engine_graph_node (graph, i);

    if (!verify_operands (graph, i, error) || !verify_shape (graph, node, error) ||
        !verify_types (graph, node, error) || !engine_verify_parameters (graph, node, error))
      return FALSE;
  }
  return TRUE;
}

gboolean
engine_graph_verify (const EngineGraph *graph, const char *after, GError **error)
{
  if (verify_graph (graph, error))
    return TRUE;
  g_prefix_error (error, "after %s: ", after);
  return FALSE;
}
