/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * quant.h: real values and int8 levels, the few formulas that passes and steps share. Everything
 * is computed in double and rounded once. Internal to engine/.
 */
#pragma once

#include <math.h>
#include "engine/graph.h"

/* The level of a real value, rounded half to even and clamped; infinities give the ends. */
static inline gint8
engine_quant_level (const EngineQuant *quant, double real)
{
  const double level = rint (real / quant->scale + quant->zero);

  return (gint8) fmin (fmax (level, -128), 127);
}

static inline double
engine_quant_real (const EngineQuant *quant, int level)
{
  return (double) (level - quant->zero) * quant->scale;
}

/* quantise-sum.c: of an int8 sum, as the kernels add. */
typedef struct {
  float m1, m2, b;
} EngineQuantSum;

EngineQuantSum engine_quant_sum (const EngineQuant *x1, const EngineQuant *x2,
    const EngineQuant *y);

static inline gboolean
engine_quant_equal (const EngineQuant *a, const EngineQuant *b)
{
  return a->scale == b->scale && a->zero == b->zero;
}
