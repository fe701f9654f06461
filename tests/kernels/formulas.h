/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * formulas.h: what the tests of ref by other formulas share: random numbers, and exact arithmetic
 * that does not use fmaf or rintf.
 */
#pragma once

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define ROUNDS 300

static uint64_t formulas_state = 1;

static inline int
range (int lo, int hi)
{
  formulas_state = formulas_state * 6364136223846793005 + 1442695040888963407; /* Knuth's MMIX */
  return lo + (int) ((formulas_state >> 33) % (uint64_t) (hi - lo + 1));
}

static inline float
real (void)
{
  return (float) range (-1000000, 1000000) / 500000.0f;
}

/* --- Exact arithmetic ----------------------------------------------------------------------- */

/* a * b + c rounded once. The product of two floats is exact in double; the error of the double
 * sum (Knuth's two-sum) moves it to an odd last bit, after which rounding to float is correct. */
static inline float
fused (float a, float b, float c)
{
  const double product = (double) a * b;
  double sum = product + c;
  const double part = sum - product, error = (product - (sum - part)) + (c - part);
  uint64_t bits;

  memcpy (&bits, &sum, sizeof bits);
  if (error != 0 && bits % 2 == 0)
    sum = nextafter (sum, error > 0 ? INFINITY : -INFINITY);
  return (float) sum;
}

/* Half to even, by hand. */
static inline int
rounded (float t, int lo, int hi)
{
  const double below = floor (t), rest = t - below;
  const double up = rest > 0.5 || (rest == 0.5 && fmod (below, 2) != 0) ? below + 1 : below;

  return up < lo ? lo : up > hi ? hi : (int) up;
}

/* Whether every window of an axis touches the input, as kernels.h requires. */
static inline bool
axis_touches (int in, int out, int k, int stride, int dilation, int pad)
{
  for (int o = 0; o < out; o++) {
    bool touches = false;

    for (int i = 0; i < k; i++)
      touches =
          touches || (o * stride - pad + i * dilation >= 0 && o * stride - pad + i * dilation < in);
    if (!touches)
      return false;
  }
  return true;
}
