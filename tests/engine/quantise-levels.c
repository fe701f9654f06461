/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * quantise-levels.c: factors that give other runtimes' levels: fractions that keep off ties, and m and b for
 * factors that a model states.
 */
#include <math.h>

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
  return check_done ();
}
