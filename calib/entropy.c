/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * entropy.c: the objective of TensorRT's entropy calibrator (Szymon Migacz, "8-bit inference with
 * TensorRT", GTC 2017), as recovered from NVIDIA's published tables; docs/CALIBRATION.md has it as
 * pseudo-code. How much does the distribution, clipped at i of 2048 bins, differ from what 128
 * levels can say of it? The i with the least divergence wins.
 */
#include "calib/private.h"

#include <math.h>
#include <string.h>

#define BINS   CALIB_TRT_BINS
#define LEVELS 128

/* --- From the state's bins to 2048 ---------------------------------------------------------- */

/* Units are the state's bins. With r = max |x| / 2^e, target t covers [t, t + 1) * r / 2048; r is a
 * float32 and t < 2^12, so every edge and every share below is exact in double. r >= 8192, save for
 * tensors below 2^-113, so a bin of the state meets at most two targets and a target has bins
 * that lie wholly within it.
 *
 * A bin across an edge is split in proportion where both targets hold bins of their own. Where one
 * has none the data lies on a grid (pixels) or thins out (the tail): a split would fill bins
 * that are empty in truth, which the objective punishes, so the bin goes whole to the target of its
 * lower edge, where a grid of integers or of n / 2^k has its values. */
void
calib_entropy_rebin (const CalibHistogram *h, double bins[BINS])
{
  const double r = ldexp (calib_histogram_max_abs (h), -h->exponent);
  gboolean own[BINS + 1] = {FALSE};

  memset (bins, 0, BINS * sizeof *bins);
  for (int pass = 0; pass < 2; pass++) {
    int t = 0;
    for (int j = 0; j < CALIB_BINS; j++) {
      const double n = (double) (h->bins[j] + h->bins[CALIB_BINS + j]);
      while (t < BINS - 1 && (t + 1) * r <= (double) j * BINS)
        t++;
      if (n == 0)
        continue;
      const double edge = (t + 1) * r / BINS;
      const gboolean within = t == BINS - 1 || j + 1 <= edge;
      if (pass == 0) {
        own[t] |= within;
      } else if (within || !own[t] || !own[t + 1]) {
        bins[t] += n;
      } else {
        bins[t] += n * (edge - j);
        bins[t + 1] += n * (j + 1 - edge);
      }
    }
  }
}

/* --- The search ----------------------------------------------------------------------------- */

/* The divergence of clipping at i bins, `outliers` being the sum of all bins from i on.
 *
 *   sum P ln (P / Q), P = p / Sp, Q = q / Sq   =   (sum p ln (p / q)) / Sp + ln (Sq / Sp)
 *
 * Sums run upward, level by level, in double; Sp = Sq + outliers. */
static double
divergence (const double *h, guint i, double outliers)
{
  double total = 0, sum_q = 0;

  if (outliers > 0 && h[i - 1] == 0)
    return INFINITY;
  for (guint level = 0, j = 0; level < LEVELS; level++) {
    /* j * 128 / i == level, in integers */
    const guint start = j, end = ((level + 1) * i + LEVELS - 1) / LEVELS;
    double s = 0;
    guint n = 0;
    for (j = start; j < end; j++) {
      s += h[j];
      n += h[j] > 0;
    }
    if (n == 0)
      continue;
    const double q = s / n;
    sum_q += s;
    for (j = start; j < end; j++) {
      const double p = j == i - 1 ? h[j] + outliers : h[j];
      if (p > 0 && p != q)
        total += p * log (p / q);
    }
  }
  if (sum_q == 0)
    return INFINITY;
  const double sum_p = sum_q + outliers;
  return total / sum_p + log (sum_q / sum_p);
}

guint
calib_entropy_search (double h[BINS], double *best_divergence)
{
  double above[BINS + 1]; /* above[i] = h[i] + ... + h[2047], summed downward */
  double best = INFINITY;
  guint m = BINS;

  h[0] = h[1];
  above[BINS] = 0;
  for (guint i = BINS; i-- > 0;)
    above[i] = above[i + 1] + h[i];
  for (guint i = LEVELS; i <= BINS; i++) {
    const double d = divergence (h, i, above[i]);
    if (d < best) {
      best = d;
      m = i;
    }
  }
  *best_divergence = best;
  return m;
}
