/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * quantise-sum.c: m1, m2 and b of an int8 sum (kernels/args.h). b is the float next to
 *
 *   zero_y - zero_1 s_1 / s_y - zero_2 s_2 / s_y
 *
 * that gives the levels of ONNX Runtime's QLinearAdd for most pairs. It computes the same among uint8, so
 * that its b is another number and rounded elsewhere: of 65536 pairs one or two lie so near to a tie that
 * this tells.
 */
#include "engine/quant.h"

/* Beyond it no rounding of the sum reaches the other side of a tie. */
#define NEAR  0x1p-12
#define STEPS 16

typedef struct {
  gint8 x1, x2, level; /* ONNX Runtime's */
} Pair;

/* The b of ONNX Runtime 1.31, of uint8. */
static float
b_of_uint8 (const EngineQuantSum *sum, const EngineQuant *x1, const EngineQuant *x2,
    const EngineQuant *y)
{
  const float zero1 = x1->zero + 128, zero2 = x2->zero + 128, zero = y->zero + 128;

  return zero - fmaf (sum->m1, zero1, sum->m2 * zero2);
}

static gint8
level_of_uint8 (const EngineQuantSum *sum, float b, int x1, int x2)
{
  const float t = fmaf ((float) (x1 + 128), sum->m1, fmaf ((float) (x2 + 128), sum->m2, b));

  return (gint8) (fminf (fmaxf (rintf (t), 0), 255) - 128);
}

static gint8
level_of (const EngineQuantSum *sum, int x1, int x2)
{
  const float t = fmaf ((float) x1, sum->m1, fmaf ((float) x2, sum->m2, sum->b));

  return (gint8) fminf (fmaxf (rintf (t), -128), 127);
}

/* Returns how many there are; pairs has room for all. */
static int
find_near (const EngineQuantSum *sum, float b, Pair *pairs)
{
  int n = 0;

  for (int x2 = -128; x2 < 128; x2++)
    for (int x1 = -128; x1 < 128; x1++) {
      const double t = (double) x1 * sum->m1 + (double) x2 * sum->m2 + sum->b;

      if (fabs (t) < 129 && fabs (fabs (t - (int) t) - 0.5) < NEAR)
        pairs[n++] = (Pair){x1, x2, level_of_uint8 (sum, b, x1, x2)};
    }
  return n;
}

static int
n_different (const EngineQuantSum *sum, const Pair *pairs, int n)
{
  int different = 0;

  for (int i = 0; i < n; i++)
    different += level_of (sum, pairs[i].x1, pairs[i].x2) != pairs[i].level;
  return different;
}

EngineQuantSum
engine_quant_sum (const EngineQuant *x1, const EngineQuant *x2, const EngineQuant *y)
{
  const double m1 = (double) x1->scale / y->scale, m2 = (double) x2->scale / y->scale;
  EngineQuantSum sum = {(float) m1, (float) m2, (float) (y->zero - x1->zero * m1 - x2->zero * m2)};
  EngineQuantSum tried[2] = {sum, sum}; /* above and below */
  g_autofree Pair *pairs = g_new (Pair, 256 * 256);
  const int n = find_near (&sum, b_of_uint8 (&sum, x1, x2, y), pairs);
  int least = n_different (&sum, pairs, n);

  for (int i = 0; i < 2 * STEPS && least > 0; i++) {
    EngineQuantSum *at = &tried[i % 2];
    int different;

    at->b = nextafterf (at->b, i % 2 ? -INFINITY : INFINITY);
    different = n_different (at, pairs, n);
    if (different < least) {
      least = different;
      sum = *at;
    }
  }
  return sum;
}
