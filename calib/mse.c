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

/* Edges of bins that are worked out at a time. */
#define PIECE 128

/* Sum over the bins of count * mean squared error; units are bins. The sums of every fourth bin are one's: no
 * vectors, however wide, change what is added to what. */
CALIB_CLONES static double
error_of_half (const double *count, int n, double s, double limit)
{
  const double inverse = 1 / s;
  double lanes[4] = {0}, edges[PIECE + 1];

  edges[PIECE] = 0;
  for (int start = 0; start < n; start += PIECE) {
    const int size = MIN (PIECE, n - start);

    edges[0] = edges[PIECE];
    for (int i = 0; i < PIECE; i++)
      edges[i + 1] = error_up_to (start + i + 1, s, inverse, limit);
    for (int i = 0; i < size; i += 4)
      for (int l = 0; l < 4; l++)
        lanes[l] += count[start + i + l] * (edges[i + l + 1] - edges[i + l]);
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

/* Counts by magnitude, the grid's two sides apart. */
typedef struct {
  double *count;
  int n;        /* bins, a multiple of 4; 0: nothing there */
  double limit; /* of the tensor on this side, in bins */
} Side;

static double
side_within (const Side *side, double t)
{
  return fmin (side->limit, t);
}

/* For T = t, in bins. The grid is the one that the engine's builder makes of such a range. */
static double
error_of (const Side sides[2], double t)
{
  const double above = side_within (&sides[0], t), below = side_within (&sides[1], t);
  const double s = above == below ? above / 127 : (above + below) / 255;
  double error = 0;

  for (int i = 0; i < 2; i++)
    if (sides[i].n > 0)
      error += error_of_half (sides[i].count, sides[i].n, s, rint (side_within (&sides[i], t) / s));
  return error;
}

/* Weighted counts. On a grid that is the same on both sides negative values count as positive ones. */
static void
fill_sides (const CalibHistogram *h, const double *weight, Side sides[2])
{
  const double r = ldexp (calib_histogram_max_abs (h), -h->exponent);
  const int used = (MIN (CALIB_BINS, (int) r + 1) + 3) & ~3;
  const gboolean same = sides[0].limit == sides[1].limit;

  for (int j = 0; j < CALIB_BINS; j++) {
    const double negative = weight[j] * (double) h->bins[CALIB_BINS + j];

    sides[0].count[j] = weight[j] * (double) h->bins[j] + (same ? negative : 0);
    sides[1].count[j] = same ? 0 : negative;
  }
  sides[0].n = used;
  sides[1].n = same || h->min >= 0 ? 0 : used;
}

float
calib_mse_search (const CalibHistogram *h, double lo, double hi, gboolean relative, double *mse)
{
  const double r = ldexp (calib_histogram_max_abs (h), -h->exponent);
  g_autofree double *above = g_new (double, CALIB_BINS), *below = g_new (double, CALIB_BINS);
  g_autofree double *weight = g_new (double, CALIB_BINS);
  Side sides[2] = {{.count = above, .limit = ldexp (fmax (hi, 0), -h->exponent)},
      {.count = below, .limit = ldexp (fmax (-lo, 0), -h->exponent)}};
  double best = INFINITY, threshold = r;

  find_weights (h, relative, weight);
  fill_sides (h, weight, sides);
  for (int c = 0; c <= CANDIDATES; c++) {
    const double t = r * pow (0.25, c / 200.0);
    const double error = error_of (sides, t);
    if (error < best) {
      best = error;
      threshold = t;
    }
  }
  *mse = ldexp (best / (double) calib_histogram_n_finite (h), 2 * h->exponent);
  return (float) ldexp (threshold, h->exponent);
}
