/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mse.c: the threshold with the least squared quantisation error, values being uniform inside a
 * bin.
 */
#include "calib/private.h"

#include <math.h>

#define CANDIDATES 800

/* The integral of (x - q(x))^2 from 0 to x >= 0, for levels 0, s, 2s ... limit * s:
 * k cells of s^3 / 12, then the part of the cell that x is in (or all that is clipped). */
static inline double
error_up_to (double x, double s, double inverse, double limit)
{
  /* round to nearest even below 2^51, without a call that would keep loops from being vectorised */
  double k = (x * inverse + 0x1.8p52) - 0x1.8p52;
  k = k < limit ? k : limit;
  const double d = x - k * s;
  return k * (s * s * s) * (1.0 / 12) + d * d * d * (1.0 / 3);
}

/* Sum over the bins of count * mean squared error; units are bins. */
static double
error_of_half (const double *count, int n, double s, double limit)
{
  const double inverse = 1 / s;
  double lanes[4] = {0};
  double last = 0;
  for (int j = 0; j < n; j += 4) {
    double edge[5];
    edge[0] = last;
    for (int l = 0; l < 4; l++)
      edge[l + 1] = error_up_to (j + l + 1, s, inverse, limit);
    for (int l = 0; l < 4; l++)
      lanes[l] += count[j + l] * (edge[l + 1] - edge[l]);
    last = edge[4];
  }
  return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
}

float
calib_mse_search (const CalibHistogram *h, CalibRange range, double *mse)
{
  const double max_abs = calib_histogram_max_abs (h);
  const double r = ldexp (max_abs, -h->exponent);
  const double limit = range == CALIB_RANGE_FULL ? 255 : 127;
  const int used = MIN (CALIB_BINS, (int) r + 1);
  g_autofree double *count = g_new (double, CALIB_BINS);
  double clipped = 0; /* the error of values that no threshold changes */

  for (int j = 0; j < CALIB_BINS; j++) {
    count[j] = (double) h->bins[j];
    if (range == CALIB_RANGE_FULL)
      clipped += (double) h->bins[CALIB_BINS + j] * (j * (j + 1.0) + 1.0 / 3);
    else
      count[j] += (double) h->bins[CALIB_BINS + j];
  }

  double best = INFINITY, threshold = r;
  for (int c = 0; c <= CANDIDATES; c++) {
    const double t = r * pow (0.25, c / 200.0);
    const double error = error_of_half (count, (used + 3) & ~3, t / limit, limit);
    if (error < best) {
      best = error;
      threshold = t;
    }
  }
  *mse = ldexp ((best + clipped) / (double) calib_histogram_n_finite (h), 2 * h->exponent);
  return (float) ldexp (threshold, h->exponent);
}
