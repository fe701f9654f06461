/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * quantise-snap.c: factors that bring no sum near a tie. With m = M / D, D odd, the product with a whole
 * number stays 1 / (2 D) away from the middle between two levels:
 *
 *   m acc - (n + 1/2) = (2 M acc - (2 n + 1) D) / (2 D), an odd number over 2 D
 *
 * So all that multiply and round in floats, in whatever order, find the same level, as long as their
 * roundings together stay below that: ONNX Runtime's are at most 4.6e-5 (three of 2^-24, of 255), and
 * D <= 8191 leaves 6.1e-5. With a residual r there are two products, m acc + mr r, and where mr is a
 * simple fraction R / d and D a multiple of d, the same is true of their sum.
 */
#include "engine/quantise.h"

#include <math.h>

#define LARGEST_D 8191
#define TOLERANCE (1.0 / 4096) /* of m: 72 dB below what it multiplies */
#define SIMPLE_D  63
/* How much more is good enough, of 1 / 2 for instance 32 / 63; and how much is too much. */
#define WIDER  (1.0 / SIMPLE_D)
#define WIDEST (1.0 / 16)
/* Of a ratio of two floats, of which one was made from the other. */
#define FLOATS 0x1p-22

double
engine_quantise_snap (double m, int of)
{
  double best = m, best_error = INFINITY;

  if (!(m > 0 && m < INFINITY))
    return m;
  if (m * LARGEST_D < 1) /* M is 1; such products rarely come near 255 */
    return 1 / (of * (2 * rint ((1 / m / of - 1) / 2) + 1));
  for (int d = of; d <= LARGEST_D && best_error > m * TOLERANCE; d += 2 * of) {
    const double fraction = rint (m * d) / d, error = fabs (fraction - m);

    if (fraction > 0 && error < best_error) {
      best = fraction;
      best_error = error;
    }
  }
  return best;
}

double
engine_quantise_simple_fraction (double x)
{
  double best = INFINITY;

  for (int d = 1; d <= SIMPLE_D && best > x * (1 + WIDER) * (1 + FLOATS); d += 2)
    best = fmin (best, ceil (x * d * (1 - FLOATS)) / d);
  return best <= x * (1 + WIDEST) ? best : x;
}

int
engine_quantise_simple_denominator (double x)
{
  for (int d = 1; d <= SIMPLE_D; d += 2)
    if (rint (x * d) > 0 && fabs (x * d - rint (x * d)) <= x * d * FLOATS)
      return d;
  return 0;
}
