/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * convergence.c: the stopping rule on values whose distribution is known, and that the parts add up.
 */
#include "calib/convergence.h"
#include "tests/calib/common.h"

#define VALUES 4000 /* of a tensor in a frame */

static const CalibThresholdOptions mse = {.method = CALIB_METHOD_MSE};
static const CalibProvenance provenance = {(char *) "00", (char *) "11", (char *) "camera",
    (char *) "test", 0};

/* What value i of frame n is. */
typedef float (*Source) (Random *r, guint64 n);

static float
gaussian (Random *r, guint64 n)
{
  return (float) random_normal (r);
}

/* |x| > t in one of t^4 values: its maximum has no end. */
static float
heavy_tailed (Random *r, guint64 n)
{
  return (float) (pow (random_unit (r), -0.25) * (random_bits (r) & 1 ? 1 : -1));
}

/* Every frame is a little larger than the one before it. */
static float
growing (Random *r, guint64 n)
{
  return (float) (random_normal (r) * (1 + 0.01 * (double) n));
}

/* From frame 230 on another scene, one value in a thousand of it far out. */
static float
with_a_new_scene (Random *r, guint64 n)
{
  const double x = random_normal (r);

  return (float) (n >= 230 && random_below (r, 2000) == 0 ? 1.3 * 4 : x > 4 ? 4 : x);
}

static void
add_frame (CalibStatistics *s, Source source, guint64 n)
{
  Random r = {n * 1000 + 1};
  g_autofree float *x = g_new (float, VALUES);

  for (guint i = 0; i < VALUES; i++)
    x[i] = source (&r, n);
  calib_histogram_add (calib_statistics_tensor (s, "x", 0), x, VALUES);
  for (guint i = 0; i < VALUES; i++)
    x[i] = 0;
  calib_histogram_add (calib_statistics_tensor (s, "zeros", 4), x, VALUES);
}

/* n frames in batches; stops where the rule does. */
static guint64
run (CalibConvergence *c, Source source, guint64 n, guint batch)
{
  CalibConvergenceState state;

  for (guint64 i = 0; i < n; i += batch) {
    CalibStatistics *part, *newest;

    calib_convergence_targets (c, batch, &part, &newest);
    for (guint64 k = i; k < i + batch; k++) {
      add_frame (part, source, k);
      if (newest)
        add_frame (newest, source, k);
    }
    calib_statistics_add_frames (part, batch);
    calib_convergence_added (c, batch);
    if (!calib_convergence_is_due (c))
      continue;
    calib_convergence_check (c);
    calib_convergence_state (c, &state);
    if (state.converged)
      return state.frames;
  }
  return 0;
}

static CalibConvergence *
converge_on (CalibStatistics *base, const CalibThresholdOptions *options)
{
  g_autoptr (GError) error = NULL;
  CalibConvergence *c = calib_convergence_new (base, options, 2, &error);

  if (!c)
    g_error ("%s", error->message);
  return c;
}

/* --- The rule ------------------------------------------------------------------------------- */

static void
test_when_checks_are_due (void)
{
  static const guint expected[] = {32, 45, 64, 91, 128, 181, 256, 362, 512};
  g_autoptr (CalibStatistics) base = calib_statistics_new (&provenance, 0);
  g_autoptr (CalibConvergence) c =
      converge_on (base, &(CalibThresholdOptions){.method = CALIB_METHOD_MINMAX});
  guint step = 0;

  for (guint n = 1; n <= 512; n++) {
    CalibConvergenceState state;
    CalibStatistics *part, *newest;

    calib_convergence_targets (c, 1, &part, &newest);
    /* the newest tenth of 64 frames is the last six, of 512 the last 51 */
    CHECK_INT (newest != NULL, ==, step >= 2 && n > 0.9 * expected[step]);
    calib_histogram_add (calib_statistics_tensor (part, "x", 0), (const float[]){(float) n}, 1);
    calib_convergence_added (c, 1);
    CHECK_INT (calib_convergence_is_due (c), ==, n == expected[step]);
    if (n < expected[step])
      continue;
    calib_convergence_check (c);
    calib_convergence_state (c, &state);
    CHECK_INT (state.compared, ==, step < 2 ? 0 : expected[step - 2]);
    CHECK (step < 2 || fabs (state.change - 0.5) < 0.01); /* n against n / 2 */
    step++;
  }
  CHECK_INT (step, ==, G_N_ELEMENTS (expected));
}

static void
test_what_stands_still_converges (void)
{
  static const CalibMethod methods[] = {CALIB_METHOD_MSE, CALIB_METHOD_PERCENTILE,
      CALIB_METHOD_ENTROPY2};
  static const guint most[] = {724, 128, 724};

  for (guint m = 0; m < G_N_ELEMENTS (methods); m++) {
    g_autoptr (CalibStatistics) base = calib_statistics_new (&provenance, 0);
    g_autoptr (CalibConvergence) c =
        converge_on (base, &(CalibThresholdOptions){methods[m], 99.9, CALIB_RANGE_SYMMETRIC});
    const guint64 n = run (c, gaussian, 1100, 1);
    g_autofree char *changing = calib_convergence_changing (c, 3);
    CalibConvergenceState state;

    calib_convergence_state (c, &state);
    if (n < 91 || n > most[m])
      CHECK_FAIL ("%s stopped at %d", calib_method_name (methods[m]), (int) n);
    CHECK_INT (state.in_a_row, ==, 2);
    CHECK_INT (state.n_tensors, ==, 2);
    CHECK_INT (state.n_changing, ==, 0);
    CHECK (state.change < 0.02 && state.jackknife >= 0 && state.jackknife < 0.02);
    CHECK_STR (state.tensor, "x");
    CHECK_STR (changing, "");
  }
}

/* minmax never does, and is told apart where the method's own threshold stands still. */
static void
test_heavy_tails (void)
{
  g_autoptr (CalibStatistics) base = calib_statistics_new (&provenance, 0);
  g_autoptr (CalibConvergence) minmax =
      converge_on (base, &(CalibThresholdOptions){.method = CALIB_METHOD_MINMAX});
  g_autoptr (CalibConvergence) percentile = converge_on (base,
      &(CalibThresholdOptions){CALIB_METHOD_PERCENTILE, 99.9, CALIB_RANGE_SYMMETRIC});
  CalibConvergenceState state;

  CHECK_INT (run (minmax, heavy_tailed, 256, 1), ==, 0);
  g_autofree char *changing = calib_convergence_changing (minmax, 3);
  CHECK_STR (changing, "x");
  CHECK_INT (run (percentile, heavy_tailed, 512, 1), >, 0);
  calib_convergence_state (percentile, &state);
  CHECK_INT (state.n_changing, ==, 0);
  CHECK_STR (state.drift_tensor, "x");
  CHECK (state.drift >= 0.02 && state.n_drifting == 1);
}

static void
test_what_grows_does_not_converge (void)
{
  g_autoptr (CalibStatistics) base = calib_statistics_new (&provenance, 0);
  g_autoptr (CalibConvergence) c = converge_on (base, &mse);
  CalibConvergenceState state;

  CHECK_INT (run (c, growing, 600, 1), ==, 0);
  calib_convergence_state (c, &state);
  CHECK (state.change > 0.02);
  CHECK_INT (state.jackknife, ==, -1); /* not worth its time */
  CHECK_INT (state.n_changing, ==, 1);
  CHECK_INT (state.in_a_row, ==, 0);
}

/* The threshold hardly moves, but what is new lies outside. */
static void
test_clipping_of_the_newest (void)
{
  g_autoptr (CalibStatistics) base = calib_statistics_new (&provenance, 0);
  g_autoptr (CalibConvergence) c = converge_on (base,
      &(CalibThresholdOptions){CALIB_METHOD_PERCENTILE, 99.99, CALIB_RANGE_SYMMETRIC});
  CalibConvergenceState state;
  guint64 n = 0;

  for (guint64 i = 0; i < 256; i++) {
    CalibStatistics *part, *newest;

    calib_convergence_targets (c, 1, &part, &newest);
    add_frame (part, with_a_new_scene, i);
    if (newest)
      add_frame (newest, with_a_new_scene, i);
    calib_convergence_added (c, 1);
    if (!calib_convergence_is_due (c))
      continue;
    calib_convergence_check (c);
    n++;
  }
  calib_convergence_state (c, &state);
  CHECK_INT (n, ==, 7);
  CHECK (state.clipping >= 3);
  CHECK_STR (state.clipping_tensor, "x");
  CHECK_INT (state.in_a_row, ==, 0);
}

static void
test_batches (void)
{
  g_autoptr (CalibStatistics) base = calib_statistics_new (&provenance, 0);
  g_autoptr (CalibConvergence) c = converge_on (base, &mse);
  const guint64 n = run (c, gaussian, 2048, 64);

  /* eight parts of one batch each are the least that a jackknife can tell anything of */
  CHECK_INT (n, >=, 512);
  CHECK_INT (n, <=, 1024);
}

static void
test_nothing_to_tell (void)
{
  g_autoptr (CalibStatistics) base = calib_statistics_new (&provenance, 0);
  g_autoptr (CalibConvergence) c = converge_on (base, &mse);
  CalibConvergenceState state;

  for (guint n = 0; n < 200; n++) {
    CalibStatistics *part, *newest;
    const float nan = NAN;

    calib_convergence_targets (c, 1, &part, &newest);
    calib_histogram_add (calib_statistics_tensor (part, "nan", 0), &nan, 1);
    calib_convergence_added (c, 1);
    if (calib_convergence_is_due (c))
      calib_convergence_check (c);
  }
  calib_convergence_state (c, &state);
  CHECK_INT (state.n_tensors, ==, 0);
  CHECK (!state.converged);
}

static void
test_order_dependent_histograms (void)
{
  g_autoptr (CalibStatistics) base = calib_statistics_new (&provenance, CALIB_HISTOGRAM_TENSORRT);
  g_autoptr (GError) error = NULL;

  CHECK (!calib_convergence_new (base, &mse, 1, &error));
  CHECK_ERROR (error, CALIB_ERROR, CALIB_ERROR_UNAVAILABLE, "entropy2");
}

/* --- The sum -------------------------------------------------------------------------------- */

static void
test_parts_add_up (void)
{
  for (guint seed = 0; seed < 6; seed++) {
    Random r = {seed};
    const guint old = seed % 2 ? 20 : 0, n = 50 + random_below (&r, 100);
    g_autoptr (CalibStatistics) one = calib_statistics_new (&provenance, 0);
    g_autoptr (CalibStatistics) base = calib_statistics_new (&provenance, 0);
    g_autoptr (GError) error = NULL;

    calib_statistics_keep_frames (one, 5);
    calib_statistics_keep_frames (base, 5);
    for (guint i = 0; i < old; i++) {
      add_frame (one, heavy_tailed, 5000 + i);
      add_frame (base, heavy_tailed, 5000 + i);
    }
    calib_statistics_add_frames (base, old);
    g_autoptr (CalibConvergence) c = converge_on (base, &mse);
    for (guint i = 0; i < n; i++) {
      const float frame[] = {(float) i, 1};
      CalibStatistics *part, *newest;

      calib_convergence_targets (c, 1, &part, &newest);
      add_frame (part, growing, i);
      calib_statistics_add_frames (part, 1);
      calib_statistics_offer_frame (base, frame, 2); /* parts keep none */
      CHECK_INT (calib_statistics_keeps (part), ==, 0);
      if (newest)
        add_frame (newest, growing, i);
      calib_convergence_added (c, 1);
      if (calib_convergence_is_due (c))
        calib_convergence_check (c);
      add_frame (one, growing, i);
      calib_statistics_offer_frame (one, frame, 2);
    }
    calib_statistics_add_frames (one, old + n);

    g_autoptr (CalibStatistics) sum = calib_convergence_sum (c, &error);
    CHECK_OK (sum != NULL, error);
    CHECK_OK (calib_convergence_finish (c, &error), error);
    g_autoptr (GBytes) expected = calib_statistics_to_bytes (one, NULL);
    g_autoptr (GBytes) of_sum = calib_statistics_to_bytes (sum, NULL);
    g_autoptr (GBytes) of_base = calib_statistics_to_bytes (base, NULL);
    CHECK (g_bytes_equal (of_sum, expected));
    CHECK (g_bytes_equal (of_base, expected));
  }
}

int
main (void)
{
  RUN (test_when_checks_are_due);
  RUN (test_what_stands_still_converges);
  RUN (test_heavy_tails);
  RUN (test_what_grows_does_not_converge);
  RUN (test_clipping_of_the_newest);
  RUN (test_batches);
  RUN (test_nothing_to_tell);
  RUN (test_order_dependent_histograms);
  RUN (test_parts_add_up);
  return check_done ();
}
