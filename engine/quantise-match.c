/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * quantise-match.c: m and b for the levels of ONNX Runtime, where a model states all scales. It rounds
 * twice, rintf ((float) sum * factor) + zero, we once, rintf (fmaf (acc, m, b)), sum being acc + start. The
 * two differ where a product comes as near to a tie as floats can tell: for some sums of a channel, which
 * are known. Of the floats next to m and b those are taken that differ least.
 */
#include "engine/quantise.h"

#include <math.h>

/* Beyond it neither way of rounding can take the other side. */
#define NEAR      0x1p-13
#define MOST_SUMS 1024
#define STEPS_M   5
#define STEPS_B   8

typedef struct {
  float acc, weight;
  int level; /* ONNX Runtime's */
} NearSum;

static float
step (float x, int steps)
{
  for (; steps > 0; steps--)
    x = nextafterf (x, INFINITY);
  for (; steps < 0; steps++)
    x = nextafterf (x, -INFINITY);
  return x;
}

/* 0, -1, 1, -2, 2 ... */
static int
alternate (int i)
{
  return i & 1 ? -(i + 1) / 2 : i / 2;
}

/* The sums that can occur and lie next to a tie. Levels near the zero point are the most frequent. */
static int
find_near (const EngineStatedSums *s, NearSum *sums)
{
  int n = 0;

  for (int level = s->lo; level < s->hi; level++) {
    const double tie = level + 0.5 - s->zero;
    const double first = fmax (ceil ((tie - NEAR) / s->factor), s->least);
    const double last = fmin (floor ((tie + NEAR) / s->factor), s->most);

    for (double sum = first; sum <= last && n < MOST_SUMS; sum++) {
      const float product = rintf ((float) sum * s->factor);

      sums[n++] = (NearSum){.acc = (float) (sum - s->start),
          .weight = 1 / (1 + fabsf ((float) tie)),
          .level = (int) fminf (fmaxf (product + s->zero, s->lo), s->hi)};
    }
  }
  return n;
}

/* What differs, or more than `limit`. */
static float
cost_of (const EngineStatedSums *s, const NearSum *sums, int n, float m, float b, float limit)
{
  float cost = 0;

  for (int i = 0; i < n && cost < limit; i++) {
    const float t = rintf (fmaf (sums[i].acc, m, b));

    if ((int) fminf (fmaxf (t, s->lo), s->hi) != sums[i].level)
      cost += sums[i].weight;
  }
  return cost;
}

float
engine_quantise_match (const EngineStatedSums *s, float *m, float *b)
{
  g_autofree NearSum *sums = g_new (NearSum, MOST_SUMS);
  const int n = find_near (s, sums);
  float best = INFINITY;

  for (int i = 0; i <= 2 * STEPS_M && best > 0; i++) {
    const float m_i = step (s->factor, alternate (i));
    const float b_i = (float) (s->start * m_i + s->zero);

    for (int j = 0; j <= 2 * STEPS_B && best > 0; j++) {
      const float b_j = step (b_i, alternate (j));
      const float cost = cost_of (s, sums, n, m_i, b_j, best);

      if (cost < best) {
        best = cost;
        *m = m_i;
        *b = b_j;
      }
    }
  }
  return best;
}
