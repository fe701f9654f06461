/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * step-element.c: ops that work value by value: add, mul, unary functions, conversions, softmax.
 */
#include "engine/quant.h"
#include "engine/step.h"

/* n rows c of a value: images, channels, and what lies between. */
static void
split_dims (const EngineValue *value, int *n, int *rows, int *c)
{
  *n = value->dims[0];
  *c = value->rank > 1 ? value->dims[value->rank - 1] : 1;
  *rows = 1;
  for (int axis = 1; axis < value->rank - 1; axis++)
    *rows *= value->dims[axis];
}

static void
binary_s8_factors (KernelBinaryS8 *args, EngineOp op, const EngineQuant *x1, const EngineQuant *x2,
    const EngineQuant *y)
{
  args->zero1 = x1->zero;
  args->zero2 = x2->zero;
  if (op == ENGINE_OP_ADD) {
    const EngineQuantSum sum = engine_quant_sum (x1, x2, y);

    args->m1 = sum.m1;
    args->m2 = sum.m2;
    args->b = sum.b;
  } else {
    args->m1 = (float) ((double) x1->scale / y->scale * x2->scale);
    args->b = (float) y->zero;
  }
}

/* The second operand of node i, whose x1 has the step: an activation, or bytes of the back end. Sets
 * how it is spread over x1. */
typedef struct {
  const void *constant; /* NULL: an activation */
  int n, rows, c;
  gboolean broadcast, repeated;
} Second;

static gboolean
second_operand (EngineProgram *program, int i, Second *second, GError **error)
{
  const EngineNode *node = engine_graph_node (program->graph, i);
  const EngineValue *x2 = engine_graph_value (program->graph, node->inputs[ENGINE_BINARY_X2]);
  const EngineValue *y = engine_graph_value (program->graph, node->output);
  const gint64 elements = engine_value_elements (y), own = engine_value_elements (x2);
  gsize size;

  *second = (Second){0};
  split_dims (y, &second->n, &second->rows, &second->c);
  if (!x2->data) {
    second->broadcast = own != elements;
    return TRUE;
  }
  second->repeated = TRUE;
  second->c = x2->dims[x2->rank - 1];
  second->rows = own / second->c;
  second->n = elements / own;
  const void *data = g_bytes_get_data (x2->data, &size);
  second->constant = engine_step_constant (program, i, ENGINE_BINARY_X2, data, size, error);
  return second->constant != NULL;
}

/* Where a step finds it. */
static EngineOperand
second_place (const EngineProgram *program, int i, const Second *second)
{
  const EngineNode *node = engine_graph_node (program->graph, i);

  return second->constant ? (EngineOperand){ENGINE_SPACE_NONE, 0, 0}
                          : engine_step_operand (program, node->inputs[ENGINE_BINARY_X2], 0);
}

static gboolean
binary_s8 (EngineProgram *program, int i, GError **error)
{
  const EngineNode *node = engine_graph_node (program->graph, i);
  const EngineValue *x1 = engine_graph_value (program->graph, node->inputs[0]);
  const EngineValue *x2 = engine_graph_value (program->graph, node->inputs[1]);
  const EngineValue *y = engine_graph_value (program->graph, node->output);
  Second second;

  if (!second_operand (program, i, &second, error))
    return FALSE;

  EngineStep *step = engine_step_add (program, i,
      node->op == ENGINE_OP_ADD ? ENGINE_SLOT_add_s8 : ENGINE_SLOT_mul_s8, error);
  if (!step)
    return FALSE;

  KernelBinaryS8 *args = &step->binary_s8;
  step->x2 = second_place (program, i, &second);
  *args = (KernelBinaryS8){second.n, second.rows, second.c, second.broadcast, second.repeated,
      .x2 = second.constant};
  binary_s8_factors (args, node->op, &x1->quant, &x2->quant, &y->quant);
  args->lo = engine_quant_level (&y->quant, node->binary.lo);
  args->hi = engine_quant_level (&y->quant, node->binary.hi);
  return TRUE;
}

/* Floats or halves. */
static gboolean
binary_float (EngineProgram *program, int i, EngineSlot slot, EngineType type, GError **error)
{
  const EngineNode *node = engine_graph_node (program->graph, i);
  const float lo = node->binary.lo, hi = node->binary.hi;
  Second x2;

  if (!second_operand (program, i, &x2, error))
    return FALSE;

  EngineStep *step = engine_step_add (program, i, slot, error);
  if (!step)
    return FALSE;
  step->x2 = second_place (program, i, &x2);
  if (type == ENGINE_TYPE_F16)
    step->binary_f16 = (KernelBinaryF16){x2.n, x2.rows, x2.c, x2.broadcast, x2.repeated,
        .x2 = x2.constant, .lo = lo, .hi = hi};
  else
    step->binary_f32 = (KernelBinaryF32){x2.n, x2.rows, x2.c, x2.broadcast, x2.repeated,
        .x2 = x2.constant, .lo = lo, .hi = hi};
  return TRUE;
}

gboolean
engine_step_binary (EngineProgram *program, int i, GError **error)
{
  const EngineNode *node = engine_graph_node (program->graph, i);
  const EngineType type = engine_graph_value (program->graph, node->output)->type;

  if (type == ENGINE_TYPE_S8)
    return binary_s8 (program, i, error);
  return binary_float (program, i,
      node->op == ENGINE_OP_ADD ? ENGINE_SLOT_OF (add, type) : ENGINE_SLOT_OF (mul, type), type,
      error);
}

gboolean
engine_step_unary (EngineProgram *program, int i, GError **error)
{
  const EngineNode *node = engine_graph_node (program->graph, i);
  const EngineValue *x = engine_graph_value (program->graph, node->inputs[0]);
  const gboolean s8 = x->type == ENGINE_TYPE_S8;
  const void *lut = NULL;

  if (s8) {
    gsize size;
    const void *data =
        g_bytes_get_data (engine_graph_value (program->graph, node->inputs[1])->data, &size);
    lut = engine_step_constant (program, i, 1, data, size, error);
    if (!lut)
      return FALSE;
  }

  EngineStep *step = engine_step_add (program, i,
      s8                           ? ENGINE_SLOT_lut_s8
      : x->type == ENGINE_TYPE_F16 ? ENGINE_SLOT_unary_f16
                                   : ENGINE_SLOT_unary_f32,
      error);
  if (!step)
    return FALSE;
  if (s8)
    step->lut = (KernelLutS8){.size = engine_value_elements (x), .lut = lut};
  else if (x->type == ENGINE_TYPE_F16)
    step->unary_f16 = (KernelUnaryF16){.kind = node->unary.kind,
        .alpha = node->unary.alpha,
        .beta = node->unary.beta,
        .size = engine_value_elements (x)};
  else
    step->unary = (KernelUnaryF32){.kind = node->unary.kind,
        .alpha = node->unary.alpha,
        .beta = node->unary.beta,
        .size = engine_value_elements (x)};
  return TRUE;
}

gboolean
engine_step_convert (EngineProgram *program, int i, GError **error)
{
  const EngineNode *node = engine_graph_node (program->graph, i);
  const EngineValue *x = engine_graph_value (program->graph, node->inputs[0]);
  const EngineValue *y = engine_graph_value (program->graph, node->output);
  const gboolean quantise = node->op == ENGINE_OP_QUANTISE;
  const EngineQuant *quant = quantise ? &y->quant : &x->quant;
  EngineStep *step = engine_step_add (program, i,
      quantise ? ENGINE_SLOT_quantise_s8 : ENGINE_SLOT_dequantise_f32, error);

  if (!step)
    return FALSE;
  step->convert = (KernelConvert){
      .size = engine_value_elements (x),
      .m = quantise ? (float) (1.0 / quant->scale) : quant->scale,
      .zero = quant->zero,
  };
  return TRUE;
}

gboolean
engine_step_width (EngineProgram *program, int i, GError **error)
{
  const EngineNode *node = engine_graph_node (program->graph, i);
  EngineStep *step = engine_step_add (program, i,
      node->op == ENGINE_OP_NARROW ? ENGINE_SLOT_narrow_f16 : ENGINE_SLOT_widen_f32, error);

  if (!step)
    return FALSE;
  step->width.size = engine_value_elements (engine_graph_value (program->graph, node->inputs[0]));
  return TRUE;
}

gboolean
engine_step_lrn (EngineProgram *program, int i, GError **error)
{
  const EngineNode *node = engine_graph_node (program->graph, i);
  const EngineValue *x = engine_graph_value (program->graph, node->inputs[0]);
  const int c = x->dims[x->rank - 1];
  EngineStep *step = engine_step_add (program, i, ENGINE_SLOT_lrn_f32, error);

  if (!step)
    return FALSE;
  step->lrn = (KernelLrn){
      .rows = engine_value_elements (x) / c,
      .c = c,
      .before = node->lrn.before,
      .after = node->lrn.after,
      .alpha = node->lrn.alpha,
      .beta = node->lrn.beta,
      .bias = node->lrn.bias,
  };
  return TRUE;
}

gboolean
engine_step_softmax (EngineProgram *program, int i, GError **error)
{
  const EngineNode *node = engine_graph_node (program->graph, i);
  const EngineValue *x = engine_graph_value (program->graph, node->inputs[0]);
  const int c = x->dims[x->rank - 1];
  EngineStep *step = engine_step_add (program, i, ENGINE_SLOT_softmax_f32, error);

  if (!step)
    return FALSE;
  step->softmax = (KernelSoftmax){
      .rows = engine_value_elements (x) / c,
      .c = c,
      .log = node->softmax.log,
  };
  return TRUE;
}
