/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * choose-method.c: the calibration method with which a network loses least, found by trying: a table by
 * every method, an engine of each, and each beside the FP32 network on the frames that the statistics
 * keep.
 */
#include "engine/compare.h"
#include "engine/engine.h"

/* In the order in which they are preferred where nothing tells them apart: the default first. */
static const CalibMethod candidates[] = {
    CALIB_METHOD_MSE,
    CALIB_METHOD_ENTROPY2,
    CALIB_METHOD_PERCENTILE,
    CALIB_METHOD_MINMAX,
    CALIB_METHOD_ENTROPY,
    CALIB_METHOD_ENTROPY2_TRT,
    CALIB_METHOD_LEGACY,
};
G_STATIC_ASSERT (G_N_ELEMENTS (candidates) == CALIB_METHOD_COUNT);

/* One table by one method, on all kept frames. */
static gboolean
judge (const EngineModel *model, const CalibStatistics *statistics, CalibMethod method,
    const EngineChooseOptions *options, KernelBackend *backend, EngineMethodScore *score,
    GCancellable *cancellable, GError **error)
{
  const EngineCompareOptions how = {.preprocess = options->preprocess,
      .network_only = TRUE,
      .threads = options->threads};
  g_autoptr (CalibTable) table =
      engine_calibration_table (model, statistics, method, options->percentile, 8601, error);
  g_autoptr (EngineComparison) comparison = NULL;

  if (table)
    comparison = engine_comparison_of_kept (model,
        &(EngineBuildOptions){.precision = ENGINE_PRECISION_INT8,
            .ranges = options->ranges,
            .table = table,
            .preprocess = options->preprocess,
            .bias = options->bias},
        statistics, backend, &how, cancellable, error);
  if (!comparison) {
    g_prefix_error (error, "%s: ", calib_method_name (method));
    return FALSE;
  }
  score->method = method;
  engine_comparison_score (comparison, &score->score);
  return TRUE;
}

/* Least divergence first; g_array_sort() keeps the order of equals. A divergence that is no number, as
 * of logits that are none, is the worst. */
static int
by_divergence (gconstpointer a, gconstpointer b)
{
  const double x = ((const EngineMethodScore *) a)->score.kl_mean;
  const double y = ((const EngineMethodScore *) b)->score.kl_mean;

  if (x < y || y != y)
    return x == x ? -1 : 0;
  return x > y || x != x ? 1 : 0;
}

GArray *
engine_calibration_rank (const EngineModel *model, const CalibStatistics *statistics,
    const EngineChooseOptions *options, KernelBackend *backend, GCancellable *cancellable,
    GError **error)
{
  const CalibHistogramFlags there = calib_statistics_flags (statistics);
  g_autoptr (GArray) ranking = g_array_new (FALSE, TRUE, sizeof (EngineMethodScore));

  if (calib_statistics_n_kept (statistics) == 0) {
    g_set_error_literal (error, CALIB_ERROR, CALIB_ERROR_EMPTY,
        "there is nothing to try the methods on, the statistics keep no frames: calibrate with "
        "int8calib method=auto or keep-frames=50, or name a method");
    return NULL;
  }
  for (guint i = 0; i < G_N_ELEMENTS (candidates); i++) {
    EngineMethodScore score;

    if ((calib_method_flags (candidates[i]) & ~there) != 0)
      continue;
    if (!judge (model, statistics, candidates[i], options, backend, &score, cancellable, error))
      return NULL;
    g_array_append_val (ranking, score);
  }
  g_array_sort (ranking, by_divergence);
  return g_steal_pointer (&ranking);
}

char *
engine_calibration_ranking_text (const GArray *ranking)
{
  GString *text = g_string_new ("method         divergence  top-1 agreement  logit SQNR");

  for (guint i = 0; i < ranking->len; i++) {
    const EngineMethodScore *row = &g_array_index (ranking, EngineMethodScore, i);

    g_string_append_printf (text, "\n%-13s  %10.6f  %13.2f %%  %7.2f dB",
        calib_method_name (row->method), row->score.kl_mean, 100 * row->score.top1,
        row->score.sqnr);
  }
  return g_string_free (text, FALSE);
}
