/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * quantise-levels.c: factors that give other runtimes' levels: fractions that keep off ties, and m and b for
 * factors that a model states.
 */
#include <math.h>

#include "engine/quant.h"
#include "engine/quantise.h"
#include "tests/check.h"

static guint32 state = 1;

static double
uniform (void)
{
  state = state * 1664525u + 1013904223u;
  return (state >> 8) / 16777216.0;
}

/* From 2^-13 to 1. */
static double
random_factor (void)
{
  return exp2 (-13 * uniform ());
}

/* The sums whose products lie nearest to the tie above level n. */
static double
sum_at (double m, int n, int k)
{
  return floor ((n + 0.5) / m) + k;
}

/* --- Fractions -------------------------------------------------------------------------------- */

static void
test_near (void)
{
  for (int i = 0; i < 2000; i++) {
    const double m = random_factor (), snapped = engine_quantise_snap (m, 1);

    CHECK (fabs (snapped / m - 1) < 1.0 / 4000);
  }
  CHECK (engine_quantise_snap (1, 1) == 1);
  CHECK (engine_quantise_snap (0.2, 1) == 0.2);
  CHECK (engine_quantise_snap (0, 1) == 0);
  CHECK (engine_quantise_snap (INFINITY, 1) == INFINITY);
  CHECK (isnan (engine_quantise_snap (NAN, 1)));
  CHECK (fabs (engine_quantise_snap (1e-6, 1) * 1e6 - 1) < 1e-5);
}

/* No product with a whole number is nearer to a tie than all that a float computation may be off. */
static void
test_off_ties (void)
{
  double nearest = 1;

  for (int i = 0; i < 300; i++) {
    const double m = engine_quantise_snap (random_factor (), 1);

    for (int n = 0; n < 255; n++)
      for (int k = -1; k <= 2; k++)
        nearest = fmin (nearest, fabs (m * sum_at (m, n, k) - (n + 0.5)));
  }
  CHECK (nearest > 6e-5);
  CHECK (nearest < 7e-5); /* the bound is a tight one: halves of other fractions would show */
}

/* As others compute it. */
static void
test_any_order (void)
{
  for (int i = 0; i < 300; i++) {
    const float s_x = (float) (0.001 + uniform ()), s_y = (float) (0.001 + uniform ());
    const double m = engine_quantise_snap (random_factor (), 1);
    const float s_w = (float) (m * s_y / s_x);

    for (int n = 0; n < 255; n++)
      for (int k = 0; k <= 1; k++) {
        const double sum = sum_at (m, n, k);
        const int level = (int) rint (sum * m);

        CHECK_INT ((int) rintf ((float) sum * (s_x * s_w / s_y)), ==, level);
        CHECK_INT ((int) rintf ((float) sum * (s_x * s_w) / s_y), ==, level);
        CHECK_INT ((int) rintf ((float) sum * (s_x * s_w) * (1 / s_y)), ==, level);
        CHECK_INT ((int) rintf (fmaf ((float) (sum - 1000), (float) m,
                       (float) (1000 * (double) (float) m - 128))) +
                       128,
            ==, level);
      }
  }
}

/* --- With a residual ---------------------------------------------------------------------------- */

static void
test_simple_fractions (void)
{
  CHECK (engine_quantise_simple_fraction (1) == 1);
  CHECK (engine_quantise_simple_fraction (3) == 3);
  CHECK (engine_quantise_simple_fraction (2.0 / 3) == 2.0 / 3);
  CHECK (engine_quantise_simple_fraction (0.5) == 32.0 / 63);
  CHECK (engine_quantise_simple_fraction (0.001) == 0.001);
  CHECK_INT (engine_quantise_simple_denominator (0.001), ==, 0);
  CHECK_INT (engine_quantise_simple_denominator (0.7071), ==, 0);
  for (int i = 0; i < 2000; i++) {
    const double x = 0.1 + 2 * uniform (), fraction = engine_quantise_simple_fraction (x);
    const float s_y = (float) (0.001 + uniform ()), s_r = (float) (fraction * s_y);
    const int d = engine_quantise_simple_denominator ((double) s_r / s_y);

    CHECK (fraction >= x * (1 - 1e-6) && fraction <= x * (1 + 1.0 / 16));
    CHECK (d % 2 == 1 && fabs (fraction * d - rint (fraction * d)) < 1e-5);
  }
}

/* m acc + mr r of any levels r keeps off ties as well. */
static void
test_sums_off_ties (void)
{
  double nearest = 1;

  for (int i = 0; i < 300; i++) {
    const double mr = engine_quantise_simple_fraction (0.1 + uniform ());
    const double m =
        engine_quantise_snap (random_factor (), engine_quantise_simple_denominator (mr));

    for (int r = 0; r < 256; r++)
      for (int k = 0; k <= 1; k++) {
        const double sum = sum_at (m, (int) (200 * uniform ()), k) - rint (mr / m * r);
        const double t = m * sum + mr * r;

        nearest = fmin (nearest, fabs (t - floor (t) - 0.5));
      }
  }
  CHECK (nearest > 5.5e-5); /* mr is exact to floats only here: 1e-6 */
}

/* --- Stated factors ----------------------------------------------------------------------------- */

static int
their_level (const EngineStatedSums *s, double sum)
{
  return (int) fminf (fmaxf (rintf ((float) sum * s->factor) + s->zero, s->lo), s->hi);
}

static int
our_level (const EngineStatedSums *s, double sum, float m, float b)
{
  return (int) fminf (fmaxf (rintf (fmaf ((float) (sum - s->start), m, b)), s->lo), s->hi);
}

static int
count_differing (const EngineStatedSums *s, float m, float b)
{
  int n = 0;

  for (double sum = s->least; sum <= s->most; sum++)
    n += our_level (s, sum, m, b) != their_level (s, sum);
  return n;
}

/* Every sum of 200 channels. The plain m and b differ for some, those that are found for none where it
 * says so, and it says so mostly. */
static void
test_stated (void)
{
  int plain = 0, matched = 0, perfect = 0;

  for (int i = 0; i < 200; i++) {
    EngineStatedSums s = {.factor = (float) exp2 (-6 - 4 * uniform ()),
        .start = floor (20000 * uniform ()) - 10000,
        .zero = i % 3 ? -128 : (int) (100 * uniform ()) - 50,
        .lo = -128,
        .hi = 127};
    float m, b, cost;

    s.most = floor (255 / s.factor) + 10;
    s.least = i % 3 ? -10 : -s.most;
    cost = engine_quantise_match (&s, &m, &b);
    matched += count_differing (&s, m, b);
    plain += count_differing (&s, s.factor, (float) (s.start * s.factor + s.zero));
    perfect += cost == 0;
    CHECK ((cost == 0) == (count_differing (&s, m, b) == 0));
    CHECK (fabsf (m / s.factor - 1) < 1e-6f);
  }
  printf ("sums with another level: %d, matched %d; channels without any: %d of 200\n", plain,
      matched, perfect);
  CHECK (plain > 50);
  CHECK (matched * 3 < plain);
  CHECK (perfect >= 170);
}

/* A channel that does nothing, and one beyond floats. */
static void
test_stated_extremes (void)
{
  EngineStatedSums s = {.factor = 0.01f, .zero = 3, .lo = -128, .hi = 127};
  float m = 0, b = 0;

  CHECK (engine_quantise_match (&s, &m, &b) == 0);
  CHECK (m == 0.01f && b == 3);
  s.factor = 0;
  CHECK (engine_quantise_match (&s, &m, &b) == 0);
  CHECK (m == 0 && b == 3);
  s.factor = INFINITY;
  engine_quantise_match (&s, &m, &b);
  CHECK (!isfinite (m) || !isfinite (b)); /* which engine_quantise_conv() refuses */
}

/* --- Sums of two tensors ------------------------------------------------------------------------ */

/* Of uint8, as ONNX Runtime adds: pairs of 65536 that get another level with this b. */
static int
count_differing_pairs (const EngineQuant *q, const EngineQuantSum *sum)
{
  const float b = (float) (q[2].zero + 128) -
                  fmaf (sum->m1, (float) (q[0].zero + 128), sum->m2 * (q[1].zero + 128));
  int n = 0;

  for (int i = 0; i < 256; i++)
    for (int j = 0; j < 256; j++) {
      const float theirs = fmaf ((float) i, sum->m1, fmaf ((float) j, sum->m2, b));
      const float ours =
          fmaf ((float) (i - 128), sum->m1, fmaf ((float) (j - 128), sum->m2, sum->b));

      n += fminf (fmaxf (rintf (theirs), 0), 255) != fminf (fmaxf (rintf (ours), -128), 127) + 128;
    }
  return n;
}

static EngineQuantSum
plain_sum (const EngineQuant *q)
{
  const double m1 = (double) q[0].scale / q[2].scale, m2 = (double) q[1].scale / q[2].scale;

  return (EngineQuantSum){(float) m1, (float) m2,
      (float) (q[2].zero - q[0].zero * m1 - q[1].zero * m2)};
}

/* Two sums of ResNet-20 and one of MobileNetV2 where ONNX Runtime 1.31 was seen to give one pair another
 * level than the plain b does; random ones; and one that has ties everywhere and needs nothing. */
static void
test_sums_of_two (void)
{
  const EngineQuant seen[3][3] = {
      {{0.015676360577344894f, -9}, {0.0194369126111269f, 1}, {0.010462824255228043f, -128}},
      {{0.01355537585914135f, 10}, {0.010462824255228043f, -128}, {0.011966520920395851f, -128}},
      {{0.029743939638137817f, 10}, {0.014414653182029724f, 13}, {0.028006207197904587f, 0}}};
  const EngineQuant ties[3] = {{0.5f, 3}, {0.25f, -7}, {1.0f, -128}};
  int plain = 0, found = 0;

  state = 1;
  for (int i = 0; i < 3; i++) {
    const EngineQuantSum before = plain_sum (seen[i]);
    const EngineQuantSum sum = engine_quant_sum (&seen[i][0], &seen[i][1], &seen[i][2]);

    CHECK_INT (count_differing_pairs (seen[i], &before), ==, 1);
    CHECK_INT (count_differing_pairs (seen[i], &sum), ==, 0);
    CHECK (fabsf (sum.b - before.b) < 1e-4f);
  }
  for (int i = 0; i < 100; i++) {
    EngineQuant q[3];
    EngineQuantSum sum;

    for (int k = 0; k < 3; k++) {
      q[k].scale = 0.01f + 0.02f * (float) uniform (); /* GCC 12 forgets to round a double here */
      q[k].zero = (int) (255 * uniform ()) - 128;
    }
    sum = plain_sum (q);
    plain += count_differing_pairs (q, &sum);
    sum = engine_quant_sum (&q[0], &q[1], &q[2]);
    found += count_differing_pairs (q, &sum);
  }
  printf ("pairs with another level: %d, after the choice of b %d\n", plain, found);
  CHECK (plain > 20);
  CHECK (found * 3 < plain);

  const EngineQuantSum sum = engine_quant_sum (&ties[0], &ties[1], &ties[2]);

  CHECK (sum.m1 == 0.5f && sum.m2 == 0.25f && sum.b == -128 - 1.5f + 1.75f);
  CHECK_INT (count_differing_pairs (ties, &sum), ==, 0);
}

int
main (void)
{
  RUN (test_near);
  RUN (test_off_ties);
  RUN (test_any_order);
  RUN (test_simple_fractions);
  RUN (test_sums_off_ties);
  RUN (test_stated);
  RUN (test_stated_extremes);
  RUN (test_sums_of_two);
  return check_done ();
}
