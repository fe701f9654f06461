/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* unary-double.c: the unary functions in double, which tables are made from, and what they are called. */
#include "kernels/kernels.h"

#include <math.h>

typedef struct {
  const char *name;
  int parameters;
} Function;

static const Function functions[] = {
#define KERNEL_UNARY(ID, id, name, parameters) {name, parameters},
#include "kernels/unary.inc"
#undef KERNEL_UNARY
};

const char *
kernel_unary_name (KernelUnary kind)
{
  return functions[kind].name;
}

int
kernel_unary_parameters (KernelUnary kind)
{
  return functions[kind].parameters;
}

/* A NaN passes both bounds, as in kernel_clamp_f32(). */
static double
clamp (double x, double lo, double hi)
{
  x = x < lo ? lo : x;
  return x > hi ? hi : x;
}

static double
softplus (double x)
{
  return (x > 0 ? x : 0) + log1p (exp (-fabs (x)));
}

/* 0 where x is -infinity, whose product with 0 is none. */
static double
gated (double x, double gate)
{
  return gate == 0 ? gate * clamp (x, -1, 1) : x * gate;
}

double
kernel_unary (KernelUnary kind, double alpha, double beta, double x)
{
  switch (kind) {
  case KERNEL_UNARY_CLIP:
    return clamp (x, alpha, beta);
  case KERNEL_UNARY_LEAKY_RELU:
    return x < 0 ? alpha * x : x;
  case KERNEL_UNARY_SIGMOID:
    return 1 / (1 + exp (-x));
  case KERNEL_UNARY_HARD_SIGMOID:
    return clamp (alpha * x + beta, 0, 1);
  case KERNEL_UNARY_HARD_SWISH:
    return x * clamp (x / 6 + 0.5, 0, 1);
  case KERNEL_UNARY_SILU:
    return x / (1 + exp (-x));
  case KERNEL_UNARY_GELU:
    return gated (x, 0.5 * erfc (-x * 0.70710678118654752));
  case KERNEL_UNARY_GELU_TANH:
    return gated (x, 0.5 + 0.5 * tanh (0.79788456080286536 * (x + 0.044715 * x * x * x)));
  case KERNEL_UNARY_TANH:
    return tanh (x);
  case KERNEL_UNARY_ERF:
    return erf (x);
  case KERNEL_UNARY_EXP:
    return exp (x);
  case KERNEL_UNARY_LOG:
    return log (x);
  case KERNEL_UNARY_SQRT:
    return sqrt (x);
  case KERNEL_UNARY_RECIPROCAL:
    return 1 / x;
  case KERNEL_UNARY_ABS:
    return fabs (x);
  case KERNEL_UNARY_POW:
    return pow (x, alpha);
  case KERNEL_UNARY_ELU:
    return x < 0 ? alpha * expm1 (beta * x) : x;
  case KERNEL_UNARY_SELU:
    return x < 0 ? alpha * expm1 (x) : beta * x;
  case KERNEL_UNARY_SOFTPLUS:
    return softplus (x);
  case KERNEL_UNARY_SOFTSIGN:
    return x / (1 + fabs (x));
  case KERNEL_UNARY_MISH:
    return gated (x, tanh (softplus (x)));
  case KERNEL_UNARY_THRESHOLD:
    return x > alpha ? x : isnan (x) ? x : beta;
  case KERNEL_UNARY_COUNT:
    break;
  }
  return NAN; /* not a kind */
}
