/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mse.c: the threshold with the least squared quantisation error, values being uniform inside a
 * bin. mse-relative divides the error of x by 1 + x^2 / (5 E[x^2]): up to about twice the root mean
 * square it is the squared error, and far beyond the error relative to the value.
 */
#include "calib/private.h"

#include <math.h>

#define CANDIDATES 800
/* Of E[x^2], where mse-relative turns from one error to the other. Chosen on frames that calibrated
 * MobileNetV2, which has long tails that carry nothing: 3, 5, 10, 30 and 100 have 20.4, 20.5, 20.4,
 * 19.9 and 19.4 dB there, mse 17.4. */
#define RELATIVE 5

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

/* What the error of a bin counts, by the bin's middle. E[x^2] is that of the values which are not zero:
 * zeros say nothing about where the others lie, and after a ReLU their share is any. */
static void
find_weights (const CalibHistogram *h, gboolean relative, double *weight)
{
  double squares = 0;

  for (int j = 0; j < CALIB_BINS; j++)
    squares += (double) (h->bins[j] + h->bins[CALIB_BINS + j]) * (j + 0.5) * (j + 0.5);
  squares /= (double) calib_histogram_n_binned (h);
  for (int j = 0; j < CALIB_BINS; j++)
    weight[j] = relative ? 1 / (1 + (j + 0.5) * (j + 0.5) / (RELATIVE * squares)) : 1;
}

float
calib_mse_search (const CalibHistogram *h, CalibRange range, gboolean relative, double *mse)
{
  const double max_abs = calib_histogram_max_abs (h);
  const double r = ldexp (max_abs, -h->exponent);
  const double limit = range == CALIB_RANGE_FULL ? 255 : 127;
  const int used = MIN (CALIB_BINS, (int) r + 1);
  g_autofree double *count = g_new (double, CALIB_BINS), *weight = g_new (double, CALIB_BINS);
  double clipped = 0; /* the error of values that no threshold changes */

  find_weights (h, relative, weight);
  for (int j = 0; j < CALIB_BINS; j++) {
    const double negative = weight[j] * (double) h->bins[CALIB_BINS + j];

    count[j] = weight[j] * (double) h->bins[j];
    if (range == CALIB_RANGE_FULL)
      clipped += negative * (j * (j + 1.0) + 1.0 / 3);
    else
      count[j] += negative;
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
