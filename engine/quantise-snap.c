/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * quantise-snap.c: factors that bring no sum near a tie. With m = M / D, D odd, the product with a whole
 * number stays 1 / (2 D) away from the middle between two levels:
 *
 *   m acc - (n + 1/2) = (2 M acc - (2 n + 1) D) / (2 D), an odd number over 2 D
 *
 * So all that multiply and round in floats, in whatever order, find the same level, as long as their
 * roundings together stay below that: ONNX Runtime's are at most 4.6e-5 (three of 2^-24, of 255), and
 * D <= 8191 leaves 6.1e-5.
 */
#include "engine/quantise.h"

#include <math.h>

#define LARGEST_D 8191
#define TOLERANCE (1.0 / 4096) /* of m: 72 dB below what it multiplies */

double
engine_quantise_snap (double m)
{
  double best = m, best_error = INFINITY;

  if (!(m > 0 && m < INFINITY))
    return m;
  if (m * LARGEST_D < 1) /* M is 1; such products rarely come near 255 */
    return 1 / (2 * rint ((1 / m - 1) / 2) + 1);
  for (int d = 1; d <= LARGEST_D && best_error > m * TOLERANCE; d += 2) {
    const double fraction = rint (m * d) / d, error = fabs (fraction - m);

    if (fraction > 0 && error < best_error) {
      best = fraction;
      best_error = error;
    }
  }
  return best;
}
