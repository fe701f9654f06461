/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/function.c: functions of one value, which are a UNARY of the graph each, and of constants what
 * they are in double.
 */
#include <math.h>

#include "engine/onnx/fold.h"
#include "engine/onnx/levels.h"

int
engine_onnx_add_unary (EngineOnnx *onnx, const EngineOnnxNode *node, int stored, KernelUnary kind,
    float alpha, float beta, GError **error)
{
  EngineNode *unary = engine_onnx_add (onnx, node, ENGINE_OP_UNARY, 0, &stored, 1);

  unary->unary.kind = kind;
  unary->unary.alpha = alpha;
  unary->unary.beta = beta;
  return engine_onnx_infer (onnx, node, unary, error);
}

static gboolean
fold (EngineOnnx *onnx, const EngineOnnxNode *node, const EngineOnnxConstant *x, KernelUnary kind,
    float alpha, float beta, GError **error)
{
  EngineOnnxResult result;

  if (!x->f)
    return ENGINE_ONNX_UNSUPPORTED ("a constant of integers; of floats it can be done");
  if (!engine_onnx_result_new (onnx, &result, TRUE, x->rank, x->dims, error))
    return FALSE;
  for (gint64 i = 0; i < x->n; i++)
    result.f[i] = kernel_unary (kind, alpha, beta, engine_onnx_f (x, i));
  return engine_onnx_define_constant (onnx, node, result.constant);
}

gboolean
engine_onnx_unary (EngineOnnx *onnx, const EngineOnnxNode *node, KernelUnary kind, float alpha,
    float beta, GError **error)
{
  EngineOnnxValue *x = engine_onnx_input (onnx, node, 0, error);
  EngineOnnxStorage storage;
  int stored;

  if (!x)
    return FALSE;
  if (x->constant)
    return fold (onnx, node, x->constant, kind, alpha, beta, error);
  storage = engine_onnx_storage (onnx, x);
  stored = engine_onnx_stored (onnx, node, x, storage, error);
  return stored != ENGINE_NONE &&
         engine_onnx_define (onnx, node, 0,
             engine_onnx_add_unary (onnx, node, stored, kind, alpha, beta, error), storage);
}

/* --- Without parameters ---------------------------------------------------------------------- */

#define FUNCTION(name, KIND)                                                                       \
  gboolean engine_onnx_import_##name (EngineOnnx *onnx, const EngineOnnxNode *node,                \
      GError **error)                                                                              \
  {                                                                                                \
    return engine_onnx_unary (onnx, node, KERNEL_UNARY_##KIND, 0, 0, error);                       \
  }

FUNCTION (sigmoid, SIGMOID)
FUNCTION (hard_swish, HARD_SWISH)
FUNCTION (tanh, TANH)
FUNCTION (erf, ERF)
FUNCTION (exp, EXP)
FUNCTION (log, LOG)
FUNCTION (sqrt, SQRT)
FUNCTION (reciprocal, RECIPROCAL)
FUNCTION (abs, ABS)
FUNCTION (softplus, SOFTPLUS)
FUNCTION (softsign, SOFTSIGN)
FUNCTION (mish, MISH)

gboolean
engine_onnx_import_relu (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  return engine_onnx_unary (onnx, node, KERNEL_UNARY_CLIP, 0, INFINITY, error);
}

/* TensorFlow's op, which tf2onnx leaves as it is, in GELU: 1 + erf (-x), as GELU's chain has it. */
gboolean
engine_onnx_import_erfc (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  const char *x = node->proto->input[0];
  const char *negative = engine_onnx_between (onnx);
  const char *inputs[2] = {engine_onnx_between (onnx), engine_onnx_between (onnx)};
  float *one;
  EngineOnnxConstant *constant = engine_onnx_new_floats (onnx, 0, NULL, FALSE, &one, error);

  if (!constant)
    return FALSE;
  one[0] = 1;
  engine_onnx_new_value (onnx, inputs[1])->constant = constant;
  return engine_onnx_import_as (onnx, node, engine_onnx_import_neg, &x, 1, negative, error) &&
         engine_onnx_import_as (onnx, node, engine_onnx_import_erf, &negative, 1, inputs[0], error) &&
         engine_onnx_import_as (onnx, node, engine_onnx_import_add, inputs, 2,
             node->proto->output[0], error);
}

/* --- Of constants only: sizes and positions that are computed ---------------------------------- */

static gboolean
of_constant (EngineOnnx *onnx, const EngineOnnxNode *node, double (*function) (double),
    GError **error)
{
  const EngineOnnxConstant *x = engine_onnx_floats (onnx, node, 0, error);
  EngineOnnxResult result;

  if (!x || !engine_onnx_result_new (onnx, &result, TRUE, x->rank, x->dims, error))
    return FALSE;
  for (gint64 i = 0; i < x->n; i++)
    result.f[i] = function (engine_onnx_f (x, i));
  return engine_onnx_define_constant (onnx, node, result.constant);
}

gboolean
engine_onnx_import_ceil (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  return of_constant (onnx, node, ceil, error);
}

gboolean
engine_onnx_import_floor (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  return of_constant (onnx, node, floor, error);
}

gboolean
engine_onnx_import_round (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  return of_constant (onnx, node, rint, error);
}

gboolean
engine_onnx_import_sin (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  return of_constant (onnx, node, sin, error);
}

gboolean
engine_onnx_import_cos (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  return of_constant (onnx, node, cos, error);
}

/* --- With parameters ------------------------------------------------------------------------- */

gboolean
engine_onnx_import_leaky_relu (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  float alpha;

  return engine_onnx_float (node, "alpha", 0.01f, &alpha, error) &&
         engine_onnx_unary (onnx, node, KERNEL_UNARY_LEAKY_RELU, alpha, 0, error);
}

gboolean
engine_onnx_import_hard_sigmoid (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  float alpha, beta;

  return engine_onnx_float (node, "alpha", 0.2f, &alpha, error) &&
         engine_onnx_float (node, "beta", 0.5f, &beta, error) &&
         engine_onnx_unary (onnx, node, KERNEL_UNARY_HARD_SIGMOID, alpha, beta, error);
}

gboolean
engine_onnx_import_elu (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  float alpha;

  return engine_onnx_float (node, "alpha", 1, &alpha, error) &&
         engine_onnx_unary (onnx, node, KERNEL_UNARY_ELU, alpha, 1, error);
}

/* max (0, x) + min (0, alpha * (exp (x / alpha) - 1)) */
gboolean
engine_onnx_import_celu (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  float alpha;

  if (!engine_onnx_float (node, "alpha", 1, &alpha, error))
    return FALSE;
  if (!(alpha > 0))
    return ENGINE_ONNX_UNSUPPORTED ("alpha is %g; positive ones can be done", alpha);
  return engine_onnx_unary (onnx, node, KERNEL_UNARY_ELU, alpha, 1 / alpha, error);
}

gboolean
engine_onnx_import_selu (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  float alpha, gamma;

  return engine_onnx_float (node, "alpha", 1.67326319217681884765625f, &alpha, error) &&
         engine_onnx_float (node, "gamma", 1.05070102214813232421875f, &gamma, error) &&
         engine_onnx_unary (onnx, node, KERNEL_UNARY_SELU, gamma * alpha, gamma, error);
}

gboolean
engine_onnx_import_thresholded_relu (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  float alpha;

  return engine_onnx_float (node, "alpha", 1, &alpha, error) &&
         engine_onnx_unary (onnx, node, KERNEL_UNARY_THRESHOLD, alpha, 0, error);
}

gboolean
engine_onnx_import_gelu (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  g_autofree char *approximate = NULL;

  if (!engine_onnx_string (node, "approximate", "none", &approximate, error))
    return FALSE;
  if (g_str_equal (approximate, "none"))
    return engine_onnx_unary (onnx, node, KERNEL_UNARY_GELU, 0, 0, error);
  if (g_str_equal (approximate, "tanh"))
    return engine_onnx_unary (onnx, node, KERNEL_UNARY_GELU_TANH, 0, 0, error);
  return ENGINE_ONNX_REFUSE ("approximate \"%.32s\" does not exist", approximate);
}

gboolean
engine_onnx_import_pow (EngineOnnx *onnx, const EngineOnnxNode *node, GError **error)
{
  EngineOnnxValue *x = engine_onnx_input (onnx, node, 0, error);
  const EngineOnnxValue *y = x ? engine_onnx_input (onnx, node, 1, error) : NULL;
  double exponent;

  if (!y)
    return FALSE;
  if (!y->constant || y->constant->n != 1)
    return ENGINE_ONNX_UNSUPPORTED ("an exponent that is not one constant");
  exponent = y->constant->f ? engine_onnx_f (y->constant, 0) : engine_onnx_i (y->constant, 0);
  if (!isfinite (exponent))
    return ENGINE_ONNX_REFUSE ("an exponent of %g", exponent);
  if (exponent == 1)
    return engine_onnx_define_alias (onnx, node, x);
  if (exponent == 0.5)
    return engine_onnx_unary (onnx, node, KERNEL_UNARY_SQRT, 0, 0, error);
  if (exponent == -1)
    return engine_onnx_unary (onnx, node, KERNEL_UNARY_RECIPROCAL, 0, 0, error);
  return engine_onnx_unary (onnx, node, KERNEL_UNARY_POW, exponent, 0, error);
}
