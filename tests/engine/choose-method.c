/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * choose-method.c: method auto: every method is tried, the least divergence is first, and what it says
 * of a method is what a comparison of that method's engine says.
 */
#include "engine/compare/compare.h"
#include "engine/model.h"
#include "tests/check.h"
#include "tests/engine/net.h"
#include "tests/sanitized.h"

#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEEP 32

static KernelBackend *cpu;

static EngineModel *
make_model_of (int side)
{
  g_autoptr (Net) net = net_new (7);
  int x = net_input (net, side, side, 3);

  x = net_conv (net, x, (NetConv){.oc = 16, .k = 3, .pad = 1, .lo = 0, .hi = INFINITY});
  x = net_pool (net, ENGINE_OP_MAXPOOL, x, 2, 2, 0);
  x = net_conv (net, x, (NetConv){.oc = 24, .k = 3, .pad = 1, .lo = 0, .hi = INFINITY});
  x = net_dense (net, net_global_pool (net, x), 10);
  return net_model (net_finish (net, x));
}

static EngineModel *
make_model (void)
{
  return make_model_of (12);
}

/* Statistics of frames of noise with a long tail: methods differ on them. */
static CalibStatistics *
observe (EngineModel *model, CalibHistogramFlags flags, guint keep)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (3);
  g_autoptr (GError) error = NULL;
  CalibStatistics *statistics = calib_statistics_new (NULL, flags);

  calib_statistics_keep_frames (statistics, keep);
  g_autoptr (EngineCalibrator) calibrator =
      engine_calibrator_new (model, cpu, 1, 1, statistics, &error);
  if (!calibrator)
    g_error ("%s", error->message);
  for (int f = 0; f < 40; f++) {
    float *frame = engine_calibrator_input (calibrator);

    for (int i = 0; i < 12 * 12 * 3; i++) {
      const float u = (float) g_rand_double_range (rand, -1, 1);
      frame[i] = u * u * u * u * u * (i % 97 == f ? 20 : 3);
    }
    if (!engine_calibrator_push (calibrator, &error))
      g_error ("%s", error->message);
  }
  return statistics;
}

static GArray *
rank (const EngineModel *model, const CalibStatistics *statistics, const EngineBias *bias,
    int threads)
{
  const EngineChooseOptions options = {.percentile = 99.99, .bias = bias, .threads = threads};
  g_autoptr (GError) error = NULL;
  GArray *ranking = engine_calibration_rank (model, statistics, &options, cpu, NULL, &error);

  if (!ranking)
    g_error ("%s", error->message);
  return ranking;
}

/* The score of one method, found without the ranking. */
static EngineAgreementScore
score_of (const EngineModel *model, const CalibStatistics *statistics, CalibMethod method,
    const EngineBias *bias)
{
  g_autoptr (CalibTable) table =
      engine_calibration_table (model, statistics, method, 99.99, 8601, NULL);
  const EngineBuildOptions build = {.precision = ENGINE_PRECISION_INT8,
      .table = table,
      .bias = bias};
  g_autoptr (EngineComparison) comparison = engine_comparison_of_kept (model, &build, statistics,
      cpu, &(EngineCompareOptions){.threads = 1}, NULL, NULL);
  EngineAgreementScore score;

  engine_comparison_score (comparison, &score);
  return score;
}

static void
check_ranking (const EngineModel *model, const CalibStatistics *statistics, const EngineBias *bias,
    guint n_methods)
{
  g_autoptr (GArray) ranking = rank (model, statistics, bias, 1);
  gboolean seen[CALIB_METHOD_COUNT] = {FALSE};
  gboolean differ = FALSE;
  double least = INFINITY;

  CHECK_INT (ranking->len, ==, n_methods);
  CHECK (g_array_index (ranking, EngineMethodScore, 0).best);
  for (guint i = 0; i < ranking->len; i++) {
    const EngineMethodScore *row = &g_array_index (ranking, EngineMethodScore, i);

    if (row->score.kl_mean < least) {
      least = row->score.kl_mean;
      CHECK (row->best);
    }
  }
  for (guint i = 0; i < ranking->len; i++) {
    const EngineMethodScore *row = &g_array_index (ranking, EngineMethodScore, i);
    const EngineAgreementScore alone = score_of (model, statistics, row->method, bias);

    CHECK (!seen[row->method]);
    seen[row->method] = TRUE;
    CHECK_INT (row->score.frames, ==, KEEP);
    CHECK (row->score.kl_mean == alone.kl_mean && row->score.sqnr == alone.sqnr &&
           row->score.top1 == alone.top1);
    if (i > 0 && !row->best && !row[-1].best)
      CHECK (row[-1].score.kl_mean <= row->score.kl_mean);
    if (i > 0 && row->best && row[-1].best)
      CHECK (row[-1].score.sqnr >= row->score.sqnr);
    if (i > 0) {
      CHECK (row[-1].best || !row->best);
      differ |= row[-1].best && !row->best;
    }
  }
  CHECK (differ);
}

static void
test_every_method (void)
{
  g_autoptr (EngineModel) model = make_model ();
  g_autoptr (CalibStatistics) all = observe (model, CALIB_HISTOGRAM_TENSORRT, KEEP);
  g_autoptr (CalibStatistics) plain = observe (model, CALIB_HISTOGRAM_DEFAULT, KEEP);
  g_autoptr (EngineBias) bias = engine_bias_fast (model, plain, NULL);

  check_ranking (model, all, NULL, CALIB_METHOD_COUNT);
  check_ranking (model, plain, NULL, CALIB_METHOD_COUNT - 2);
  check_ranking (model, plain, bias, CALIB_METHOD_COUNT - 2);
}

/* Without a concat entropy gives the ranges of entropy2: nothing tells them apart, and entropy2 is
 * preferred. */
static void
test_equals (void)
{
  g_autoptr (EngineModel) model = make_model ();
  g_autoptr (CalibStatistics) statistics = observe (model, CALIB_HISTOGRAM_DEFAULT, KEEP);
  g_autoptr (GArray) ranking = rank (model, statistics, NULL, 1);
  int entropy = -1, entropy2 = -1;

  for (int i = 0; i < (int) ranking->len; i++) {
    const CalibMethod method = g_array_index (ranking, EngineMethodScore, i).method;

    entropy = method == CALIB_METHOD_ENTROPY ? i : entropy;
    entropy2 = method == CALIB_METHOD_ENTROPY2 ? i : entropy2;
  }
  CHECK_INT (entropy, ==, entropy2 + 1);
}

static void
test_threads_and_text (void)
{
  g_autoptr (EngineModel) model = make_model ();
  g_autoptr (CalibStatistics) statistics = observe (model, CALIB_HISTOGRAM_DEFAULT, KEEP);
  g_autoptr (GArray) one = rank (model, statistics, NULL, 1);
  g_autoptr (GArray) three = rank (model, statistics, NULL, 3);
  g_autofree char *text = engine_calibration_ranking_text (one);
  g_autofree char *again = engine_calibration_ranking_text (three);
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);

  CHECK_STR (text, again);
  CHECK_INT (g_strv_length (lines), ==, one->len + 1);
  for (guint i = 0; i < one->len; i++)
    CHECK (g_str_has_prefix (lines[i + 1],
        calib_method_name (g_array_index (one, EngineMethodScore, i).method)));
}

static void
test_errors (void)
{
  g_autoptr (EngineModel) model = make_model ();
  g_autoptr (CalibStatistics) none = observe (model, CALIB_HISTOGRAM_DEFAULT, 0);
  g_autoptr (CalibStatistics) some = observe (model, CALIB_HISTOGRAM_DEFAULT, KEEP);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  const EngineChooseOptions options = {.percentile = 99.99, .threads = 1};
  g_autoptr (GError) error = NULL;

  CHECK (!engine_calibration_rank (model, none, &options, cpu, NULL, &error));
  CHECK (g_error_matches (error, CALIB_ERROR, CALIB_ERROR_EMPTY) &&
         strstr (error->message, "keep-frames"));
  g_clear_error (&error);
  g_cancellable_cancel (cancellable);
  CHECK (!engine_calibration_rank (model, some, &options, cpu, cancellable, &error));
  CHECK (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED));
}

/* --- Memory ---------------------------------------------------------------------------------- */

#define MOST_BYTES 60500000 /* about 60 MB, as the properties and documents say */

static void
test_as_many_as_fit (void)
{
  static const struct {
    int side;
    guint frames;
  } cases[] = {{12, 500}, {224, 100}, {299, 56}, {512, 19}, {1024, 16}};

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (EngineModel) model = make_model_of (cases[i].side);
    const guint n = engine_calibration_frames (model);

    CHECK_INT (n, ==, cases[i].frames);
    CHECK (n == 16 || 12.0 * cases[i].side * cases[i].side * n <= MOST_BYTES);
  }
}

/* By how many bytes this process grows while that many frames are offered to so many places. */
static long
growth (guint places, guint offered, gsize n)
{
  g_autoptr (CalibStatistics) statistics = calib_statistics_new (NULL, 0);
  g_autofree float *frame = g_new0 (float, n);
  struct rusage before, after;

  calib_statistics_keep_in_memory (statistics, places);
  getrusage (RUSAGE_SELF, &before);
  for (guint i = 0; i < offered; i++) {
    frame[i] = 1; /* unlike all others */
    calib_statistics_offer_frame (statistics, frame, n);
  }
  getrusage (RUSAGE_SELF, &after);
  return calib_statistics_n_kept (statistics) == places
             ? (after.ru_maxrss - before.ru_maxrss) * 1024
             : -1;
}

/* A camera may show any number of frames: what is kept of them takes 60 MB, and no more than that while the
 * sample changes. In a child, which has held no memory before. */
static void
test_kept_frames_are_60_mb (void)
{
  const gsize n = 3 * 224 * 224;
  int status;

  if (SANITIZED_ADDRESS)
    SKIP ("AddressSanitizer holds what is freed");
  const pid_t child = fork ();

  if (child == 0) {
    const long grown = growth (100, 250, n);

    printf ("100 of 250 frames: %.1f MB\n", (double) grown / 1e6);
    fflush (stdout);
    _exit (grown < (long) (100 * n * sizeof (float)) || grown > MOST_BYTES + (4 << 20));
  }
  CHECK_INT (waitpid (child, &status, 0), ==, child);
  CHECK (WIFEXITED (status) && WEXITSTATUS (status) == 0);
}

int
main (void)
{
  cpu = net_backend ("cpu");
  RUN (test_every_method);
  RUN (test_equals);
  RUN (test_threads_and_text);
  RUN (test_errors);
  RUN (test_as_many_as_fit);
  RUN (test_kept_frames_are_60_mb);
  kernel_close (cpu);
  return check_done ();
}
