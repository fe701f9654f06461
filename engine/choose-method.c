/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * choose-method.c: the calibration method with which a network loses least, found by trying: a table by
 * every method, an engine of each, and each beside the FP32 network on the frames that the statistics
 * keep.
 */
#include "engine/compare/private.h"
#include "engine/point.h"

#include <math.h>
#include <string.h>

/* In the order in which they are taken where nothing at all tells them apart. */
static const CalibMethod candidates[] = {
    CALIB_METHOD_MSE,
    CALIB_METHOD_MSE_RELATIVE,
    CALIB_METHOD_ENTROPY2,
    CALIB_METHOD_PERCENTILE,
    CALIB_METHOD_MINMAX,
    CALIB_METHOD_ENTROPY,
    CALIB_METHOD_ENTROPY2_TRT,
    CALIB_METHOD_LEGACY,
};
G_STATIC_ASSERT (G_N_ELEMENTS (candidates) == CALIB_METHOD_COUNT);

typedef struct {
  const EngineModel *model;
  const CalibStatistics *statistics;
  const EngineChooseOptions *options;
  KernelBackend *backend;
  GCancellable *cancellable;
  Engine *exact;
  guint n_frames; /* the first of those kept */
  guint done, total; /* frames, of all methods */
  float *logits;  /* of the FP32 network on these; NULL until one method has run */
  double *divergences[CALIB_METHOD_COUNT]; /* of every frame, by method; NULL: not judged */
} Trials;

static Engine *
build (const Trials *t, CalibMethod method, GError **error)
{
  g_autoptr (CalibTable) table = engine_calibration_table (t->model, t->statistics, method,
      t->options->percentile, 8601, error);
  const EngineBuildOptions options = {.precision = ENGINE_PRECISION_INT8,
      .ranges = t->options->ranges,
      .table = table,
      .preprocess = t->options->preprocess,
      .bias = t->options->bias};

  return table ? engine_build (t->model, &options, NULL, NULL, NULL, t->cancellable, error) : NULL;
}

static void
tell (const Trials *t, const char *what)
{
  if (t->options->progress)
    t->options->progress (t->done, t->total, what, t->options->progress_data);
}

/* The FP32 network runs for the first method only. */
static gboolean
push_frames (Trials *t, CalibMethod method, EngineComparison *comparison, GError **error)
{
  const EngineTensorPair *pair = &comparison->pairs[comparison->logits];
  const gboolean known = t->logits != NULL;

  if (!known)
    t->logits = g_new (float, t->n_frames * pair->elements);
  for (guint i = 0; i < t->n_frames; i++) {
    float *logits = t->logits + i * pair->elements;
    gsize size;

    tell (t, calib_method_name (method));
    if (g_cancellable_set_error_if_cancelled (t->cancellable, error) ||
        !(known ? engine_comparison_push_frame (comparison,
                      calib_statistics_kept (t->statistics, i, &size), logits, error)
                : engine_comparison_push_kept (comparison, t->statistics, i, error)))
      return FALSE;
    if (!known)
      memcpy (logits, pair->exact, pair->elements * sizeof *logits);
    t->done++;
  }
  return TRUE;
}

/* One table by one method. */
static gboolean
judge (Trials *t, CalibMethod method, EngineMethodScore *score, GError **error)
{
  const EngineCompareOptions how = {.preprocess = t->options->preprocess,
      .network_only = TRUE,
      .threads = t->options->threads};
  g_autoptr (Engine) judged = build (t, method, error);
  g_autoptr (EngineComparison) comparison =
      judged ? engine_comparison_new (t->exact, judged, t->backend, &how, error) : NULL;

  if (!comparison || !push_frames (t, method, comparison, error)) {
    g_prefix_error (error, "%s: ", calib_method_name (method));
    return FALSE;
  }
  score->method = method;
  score->best = FALSE;
  engine_comparison_score (comparison, &score->score);
  t->divergences[method] = g_memdup2 (engine_agreement_divergences (comparison->agreement),
      score->score.frames * sizeof (double));
  return TRUE;
}

/* A divergence that is no number, as of logits that are none, is the worst. g_array_sort() keeps the
 * order of equals. */
static int
by_divergence (gconstpointer a, gconstpointer b)
{
  const double x = ((const EngineMethodScore *) a)->score.kl_mean;
  const double y = ((const EngineMethodScore *) b)->score.kl_mean;

  if (x < y || y != y)
    return x == x ? -1 : 0;
  return x > y || x != x ? 1 : 0;
}

static int
preference (CalibMethod method)
{
  int i = 0;

  while (candidates[i] != method)
    i++;
  return i;
}

/* The highest logit SQNR first: it varies less from frame to frame than the divergence. */
static int
by_sqnr (gconstpointer a, gconstpointer b)
{
  const EngineMethodScore *x = a, *y = b;

  if (x->score.sqnr > y->score.sqnr)
    return -1;
  if (x->score.sqnr < y->score.sqnr)
    return 1;
  return preference (x->method) - preference (y->method);
}

/* Whether y is larger than x, frame by frame, by no more than two standard errors of the mean
 * difference: with eight methods, one of them is the best by one error often enough by chance. */
static gboolean
is_within_noise (const double *x, const double *y, guint64 n)
{
  double sum = 0, squares = 0;

  for (guint64 i = 0; i < n; i++)
    sum += y[i] - x[i];
  const double mean = sum / (double) n;
  for (guint64 i = 0; i < n; i++)
    squares += (y[i] - x[i] - mean) * (y[i] - x[i] - mean);
  return mean <= 0 || (n > 1 && mean <= 2 * sqrt (squares / (double) (n - 1) / (double) n));
}

/* The best, and what these frames cannot tell from it, come first. */
static void
sort (const Trials *t, GArray *ranking)
{
  EngineMethodScore *rows = (EngineMethodScore *) ranking->data;
  guint n_best = 0;

  g_array_sort (ranking, by_divergence);
  for (guint i = 0; i < ranking->len; i++) {
    EngineMethodScore row = rows[i];

    row.best = i == 0 || is_within_noise (t->divergences[rows[0].method],
                             t->divergences[row.method], row.score.frames);
    if (!row.best)
      continue;
    memmove (rows + n_best + 1, rows + n_best, (i - n_best) * sizeof row);
    rows[n_best++] = row;
  }
  qsort (rows, n_best, sizeof *rows, by_sqnr);
}

/* Whether the statistics can serve the method. */
static gboolean
is_served (const Trials *t, CalibMethod method)
{
  return (calib_method_flags (method) & ~calib_statistics_flags (t->statistics)) == 0;
}

static gboolean
judge_all (Trials *t, GArray *ranking, GError **error)
{
  for (guint i = 0; i < G_N_ELEMENTS (candidates); i++)
    t->total += is_served (t, candidates[i]) ? t->n_frames : 0;
  for (guint i = 0; i < G_N_ELEMENTS (candidates); i++) {
    EngineMethodScore score;

    if (!is_served (t, candidates[i]))
      continue;
    if (!judge (t, candidates[i], &score, error))
      return FALSE;
    g_array_append_val (ranking, score);
  }
  tell (t, "methods");
  return TRUE;
}

/* 100 of 224x224, with which scales by channel are judged (equalise-gains.c). Of small ones more cost nothing,
 * and tell methods apart that differ in one image of a thousand. */
#define FRAMES_BYTES ((gsize) 60500 * 1000)
#define FRAMES_LEAST 16
#define FRAMES_MOST  500
/* 50 of 224x224 tell methods apart. */
#define RANKED_BYTES (FRAMES_BYTES / 2)
#define RANKED_LEAST 8

static gsize
frame_bytes (const EngineModel *model)
{
  EngineInputInfo input;

  engine_model_input (model, &input);
  return sizeof (float) * input.height * input.width * input.channels;
}

guint
engine_calibration_frames (const EngineModel *model)
{
  return (guint) CLAMP (FRAMES_BYTES / frame_bytes (model), FRAMES_LEAST, FRAMES_MOST);
}

/* Of those kept, which are in the order of their hashes, so that the first are a sample, too. */
static guint
frames_to_rank_on (const EngineModel *model, const CalibStatistics *statistics)
{
  const gsize most = CLAMP (RANKED_BYTES / frame_bytes (model), RANKED_LEAST, FRAMES_MOST);

  return (guint) MIN (most, calib_statistics_n_kept (statistics));
}

GArray *
engine_calibration_rank (const EngineModel *model, const CalibStatistics *statistics,
    const EngineChooseOptions *options, KernelBackend *backend, GCancellable *cancellable,
    GError **error)
{
  const EngineBuildOptions fp32 = {.precision = ENGINE_PRECISION_FP32};
  Trials t = {.model = model,
      .statistics = statistics,
      .options = options,
      .backend = backend,
      .cancellable = cancellable,
      .n_frames = frames_to_rank_on (model, statistics)};
  g_autoptr (GArray) ranking = g_array_new (FALSE, TRUE, sizeof (EngineMethodScore));
  gboolean ok;

  if (t.n_frames == 0) {
    g_set_error_literal (error, CALIB_ERROR, CALIB_ERROR_EMPTY,
        "there is nothing to try the methods on, the statistics keep no frames: collect them with "
        "keep-frames=50 (int8calib; --keep-frames 50 of gst-int8-1.0 calibrate), or name a method");
    return NULL;
  }
  t.exact = engine_build (model, &fp32, NULL, NULL, NULL, cancellable, error);
  ok = t.exact && judge_all (&t, ranking, error);
  if (ok)
    sort (&t, ranking);
  engine_unref (t.exact);
  g_free (t.logits);
  for (guint m = 0; m < CALIB_METHOD_COUNT; m++)
    g_free (t.divergences[m]);
  return ok ? g_steal_pointer (&ranking) : NULL;
}

char *
engine_calibration_ranking_text (const GArray *ranking)
{
  GString *text = g_string_new ("method         divergence  top-1 agreement  logit SQNR");
  G_GNUC_UNUSED g_auto (EnginePoint) point = engine_point ();

  for (guint i = 0; i < ranking->len; i++) {
    const EngineMethodScore *row = &g_array_index (ranking, EngineMethodScore, i);

    g_string_append_printf (text, "\n%-13s  %10.6f  %13.2f %%  %7.2f dB%s",
        calib_method_name (row->method), row->score.kl_mean, 100 * row->score.top1, row->score.sqnr,
        !row->best ? "" : i == 0 ? "  best" : "  as good");
  }
  return g_string_free (text, FALSE);
}
