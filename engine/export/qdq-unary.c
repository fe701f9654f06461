/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * export/qdq-unary.c: unary functions as ops of ONNX in float. Those that the export's opset has no op
 * for are spelled out, as exporters of its time did.
 */
#include "engine/export/qdq.h"

#include <math.h>

typedef struct {
  EngineExport *x;
  const EngineNode *node;
  const char *input, *result;
} Unary;

static const char *
part (const Unary *u, const char *suffix)
{
  return engine_export_name (u->x, u->node->output, suffix);
}

static const char *
op (const Unary *u, const char *name, const char *a, const char *b, const char *output)
{
  engine_export_op (u->x, name, a, b, output);
  return output;
}

static const char *
number (const Unary *u, const char *suffix, float value)
{
  return engine_export_float (u->x, part (u, suffix), value);
}

/* An op with the attributes alpha and, if wanted, another. */
static void
op_alpha (const Unary *u, const char *name, const char *input, float alpha, const char *second,
    float beta, const char *output)
{
  EngineOnnx__NodeProto *made = engine_export_op (u->x, name, input, NULL, output);

  engine_onnx_writer_float (u->x->writer, made, "alpha", alpha);
  if (second)
    engine_onnx_writer_float (u->x->writer, made, second, beta);
}

/* x * gate */
static void
gated (const Unary *u, const char *gate)
{
  op (u, "Mul", u->input, gate, u->result);
}

/* x * 0.5 * (1 + erf (x / sqrt (2))) */
static void
gelu (const Unary *u)
{
  const char *scaled =
      op (u, "Div", u->input, number (u, "_sqrt2", 0x1.6a09e6p+0f), part (u, "_scaled"));
  const char *erf = op (u, "Erf", scaled, NULL, part (u, "_erf"));
  const char *gate = op (u, "Add", erf, number (u, "_one", 1), part (u, "_gate"));
  const char *product = op (u, "Mul", u->input, gate, part (u, "_product"));

  op (u, "Mul", product, number (u, "_half", 0.5f), u->result);
}

/* x * 0.5 * (1 + tanh (sqrt (2 / pi) * (x + 0.044715 x^3))) */
static void
gelu_tanh (const Unary *u)
{
  const char *cube = op (u, "Pow", u->input, number (u, "_three", 3), part (u, "_cube"));
  const char *small = op (u, "Mul", cube, number (u, "_c", 0.044715f), part (u, "_small"));
  const char *sum = op (u, "Add", u->input, small, part (u, "_sum"));
  const char *scaled = op (u, "Mul", sum, number (u, "_sqrt", 0x1.988454p-1f), part (u, "_scaled"));
  const char *tanh = op (u, "Tanh", scaled, NULL, part (u, "_tanh"));
  const char *gate = op (u, "Add", tanh, number (u, "_one", 1), part (u, "_gate"));
  const char *product = op (u, "Mul", u->input, gate, part (u, "_product"));

  op (u, "Mul", product, number (u, "_half", 0.5f), u->result);
}

/* exp (beta x) inside Elu is Celu's, whose two parameters are one; others: max (x, 0) + alpha *
 * (exp (beta * min (x, 0)) - 1). */
static void
elu (const Unary *u, float alpha, float beta)
{
  if (beta == 1) {
    op_alpha (u, "Elu", u->input, alpha, NULL, 0, u->result);
    return;
  }
  const char *scaled = op (u, "Mul", u->input, number (u, "_beta", beta), part (u, "_scaled"));
  const char *elu = part (u, "_elu");
  const char *positive = op (u, "Relu", u->input, NULL, part (u, "_positive"));
  const char *negative = part (u, "_negative");

  op_alpha (u, "Elu", scaled, 1, NULL, 0, elu);
  engine_export_clamp (u->x, elu, -INFINITY, 0, negative);
  op (u, "Add", positive, op (u, "Mul", negative, number (u, "_alpha", alpha), part (u, "_part")),
      u->result);
}

static void
threshold (const Unary *u, float alpha, float beta)
{
  if (beta == 0) {
    op_alpha (u, "ThresholdedRelu", u->input, alpha, NULL, 0, u->result);
    return;
  }
  const char *above = op (u, "Greater", u->input, number (u, "_alpha", alpha), part (u, "_above"));

  engine_onnx_writer_node (u->x->writer, "Where",
      (const char *const[]){above, u->input, number (u, "_beta", beta)}, 3, u->result);
}

/* FALSE where one op of that name, without attributes, is all. */
static gboolean
spelled_out (const Unary *u, KernelUnary kind, float alpha, float beta)
{
  const char *gate;

  switch (kind) {
  case KERNEL_UNARY_CLIP:
    engine_export_clamp (u->x, u->input, alpha, beta, u->result);
    return TRUE;
  case KERNEL_UNARY_LEAKY_RELU:
    op_alpha (u, "LeakyRelu", u->input, alpha, NULL, 0, u->result);
    return TRUE;
  case KERNEL_UNARY_HARD_SIGMOID:
    op_alpha (u, "HardSigmoid", u->input, alpha, "beta", beta, u->result);
    return TRUE;
  case KERNEL_UNARY_HARD_SWISH: /* an op of its own since opset 14 only */
    gate = part (u, "_gate");
    op_alpha (u, "HardSigmoid", u->input, 1.0f / 6, "beta", 0.5f, gate);
    gated (u, gate);
    return TRUE;
  case KERNEL_UNARY_SILU:
    gated (u, op (u, "Sigmoid", u->input, NULL, part (u, "_gate")));
    return TRUE;
  case KERNEL_UNARY_GELU: /* since opset 20 */
    gelu (u);
    return TRUE;
  case KERNEL_UNARY_GELU_TANH:
    gelu_tanh (u);
    return TRUE;
  case KERNEL_UNARY_POW:
    op (u, "Pow", u->input, number (u, "_exponent", alpha), u->result);
    return TRUE;
  case KERNEL_UNARY_ELU:
    elu (u, alpha, beta);
    return TRUE;
  case KERNEL_UNARY_SELU:
    op_alpha (u, "Selu", u->input, beta == 0 ? 0 : alpha / beta, "gamma", beta, u->result);
    return TRUE;
  case KERNEL_UNARY_MISH: /* since opset 18 */
    gate = op (u, "Softplus", u->input, NULL, part (u, "_softplus"));
    gated (u, op (u, "Tanh", gate, NULL, part (u, "_gate")));
    return TRUE;
  case KERNEL_UNARY_THRESHOLD:
    threshold (u, alpha, beta);
    return TRUE;
  default:
    return FALSE;
  }
}

void
engine_export_unary (EngineExport *x, const EngineNode *node)
{
  static const char *const plain[KERNEL_UNARY_COUNT] = {[KERNEL_UNARY_SIGMOID] = "Sigmoid",
      [KERNEL_UNARY_TANH] = "Tanh",
      [KERNEL_UNARY_ERF] = "Erf",
      [KERNEL_UNARY_EXP] = "Exp",
      [KERNEL_UNARY_LOG] = "Log",
      [KERNEL_UNARY_SQRT] = "Sqrt",
      [KERNEL_UNARY_RECIPROCAL] = "Reciprocal",
      [KERNEL_UNARY_ABS] = "Abs",
      [KERNEL_UNARY_SOFTPLUS] = "Softplus",
      [KERNEL_UNARY_SOFTSIGN] = "Softsign"};
  const EngineExportForm *form = &x->forms[node->inputs[0]];
  const Unary u = {x, node, form->tensor, engine_export_result (x, node->output)};

  if (!spelled_out (&u, node->unary.kind, node->unary.alpha, node->unary.beta))
    op (&u, plain[node->unary.kind], u.input, NULL, u.result);
  engine_export_define (x, node->output, u.result, form);
}
