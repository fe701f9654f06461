/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* balance.c: rounding errors of a filter's weights cancel, over the taps of every channel and over all. */
#include "engine/quantise.h"
#include "tests/check.h"

#include <math.h>
#include <stdlib.h>

#define MOST 2048

typedef struct {
  int taps, channels;
} Shape;

static const Shape shapes[] = {{1, 1}, {1, 2048}, {9, 1}, {9, 64}, {49, 3}, {121, 1}, {2, 333}};

static void
round_levels (const float *w, int n, gint8 *levels)
{
  for (int i = 0; i < n; i++)
    levels[i] = (gint8) fmax (fmin (rint (w[i] / 0.25), 127), -127);
}

/* No sum is off by more than half a level, no weight by more than two, and none is beyond int8. */
static void
check_filter (const float *w, Shape shape)
{
  const int n = shape.taps * shape.channels;
  gint8 levels[MOST];
  double all = 0;

  round_levels (w, n, levels);
  engine_quantise_balance (w, 0.25, shape.taps, shape.channels, levels);
  for (int c = 0; c < shape.channels; c++) {
    double sum = 0;

    for (int t = 0; t < shape.taps; t++) {
      const int at = t * shape.channels + c;
      const double error = levels[at] - w[at] / 0.25;

      CHECK (fabs (error) < 2 && levels[at] >= -127);
      sum += error;
    }
    CHECK (fabs (sum) < 1.5);
    all += sum;
  }
  CHECK (fabs (all) <= 0.5 + 1e-9);
}

static void
test_sums (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (5);
  float w[MOST];

  for (guint s = 0; s < G_N_ELEMENTS (shapes); s++)
    for (int round = 0; round < 20; round++) {
      for (int i = 0; i < shapes[s].taps * shapes[s].channels; i++)
        w[i] = (float) g_rand_double_range (rand, -127 * 0.25, 127 * 0.25);
      check_filter (w, shapes[s]);
    }
}

/* All are off in one direction, up to the last level. */
static void
test_one_direction (void)
{
  float w[MOST];

  for (int sign = -1; sign <= 1; sign += 2)
    for (guint s = 0; s < G_N_ELEMENTS (shapes); s++) {
      for (int i = 0; i < shapes[s].taps * shapes[s].channels; i++)
        w[i] = (float) sign * 0.25f * ((float) (i % 127) + 0.501f);
      check_filter (w, shapes[s]);
    }
}

/* What is nearest to its level stays there. */
static void
test_which (void)
{
  const float w[] = {0.25f * 1.4f, 0.25f * 2.1f, 0.25f * 3.3f, 0.25f * 4.2f};
  gint8 levels[4];

  round_levels (w, 4, levels);
  engine_quantise_balance (w, 0.25, 4, 1, levels);
  CHECK_INT (levels[0], ==, 2);
  CHECK_INT (levels[1], ==, 2);
  CHECK_INT (levels[2], ==, 3);
  CHECK_INT (levels[3], ==, 4);
}

/* Whole levels, and weights that are no numbers, are left alone. */
static void
test_left_alone (void)
{
  const float w[] = {-127 * 0.25f, 0, 0.25f, 127 * 0.25f}, none[] = {NAN, 0.1f, 0.1f, 0.1f};
  gint8 levels[4];

  round_levels (w, 4, levels);
  engine_quantise_balance (w, 0.25, 2, 2, levels);
  for (int i = 0; i < 4; i++)
    CHECK_INT (levels[i], ==, (int) (w[i] / 0.25f));
  round_levels (none, 4, levels);
  engine_quantise_balance (none, 0.25, 4, 1, levels);
  for (int i = 1; i < 4; i++)
    CHECK_INT (levels[i], ==, 0);
}

/* Nor are filters of one channel. */
static void
test_depthwise (void)
{
  const float w[] = {127 * 0.25f, 0.25f * 1.4f, 0.25f * 2.4f, 0.25f * 3.4f};
  EngineValue value = {.type = ENGINE_TYPE_F32,
      .rank = 4,
      .dims = {1, 2, 2, 1},
      .data = g_bytes_new_static (w, sizeof w)};
  gint8 levels[4];
  double s_w;

  CHECK_INT (engine_quantise_weights (&value, NULL, levels, &s_w), ==, 0);
  for (int i = 1; i < 4; i++)
    CHECK_INT (levels[i], ==, i);
  value.dims[1] = value.dims[2] = 1;
  value.dims[3] = 4;
  CHECK_INT (engine_quantise_weights (&value, NULL, levels, &s_w), ==, 0);
  CHECK_INT (levels[1] + levels[2] + levels[3], ==, 1 + 2 + 3 + 1);
  g_bytes_unref (value.data);
}

int
main (void)
{
  RUN (test_sums);
  RUN (test_one_direction);
  RUN (test_which);
  RUN (test_left_alone);
  RUN (test_depthwise);
  return check_done ();
}
