/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* compare/kept.c: a comparison on the frames that statistics keep. */
#include "engine/compare/private.h"

#include <string.h>

gboolean
engine_comparison_push_kept (EngineComparison *comparison, const CalibStatistics *statistics,
    guint index, GError **error)
{
  gsize n;
  const float *frame = calib_statistics_kept (statistics, index, &n);

  if (n != comparison->input_elements) {
    g_set_error (error, CALIB_ERROR, CALIB_ERROR_MISMATCH,
        "frame %u of the statistics has %" G_GSIZE_FORMAT
        " values, the network takes %" G_GSIZE_FORMAT ": the statistics are of another model",
        index, n, comparison->input_elements);
    return FALSE;
  }
  memcpy (engine_comparison_input (comparison), frame, n * sizeof *frame);
  return engine_comparison_push (comparison, error);
}

EngineComparison *
engine_comparison_of_kept (const EngineModel *model, const EngineBuildOptions *options,
    const CalibStatistics *statistics, KernelBackend *backend, const EngineCompareOptions *how,
    GCancellable *cancellable, GError **error)
{
  const EngineBuildOptions exact_options = {.precision = ENGINE_PRECISION_FP32};
  g_autoptr (EngineComparison) comparison = NULL;
  g_autoptr (Engine) judged = NULL, exact = NULL;

  if (calib_statistics_n_kept (statistics) == 0) {
    g_set_error_literal (error, CALIB_ERROR, CALIB_ERROR_EMPTY,
        "nothing can be compared: the statistics keep no frames");
    return NULL;
  }
  exact = engine_build (model, &exact_options, NULL, NULL, NULL, cancellable, error);
  if (exact)
    judged = engine_build (model, options, NULL, NULL, NULL, cancellable, error);
  if (judged)
    comparison = engine_comparison_new (exact, judged, backend, how, error);
  for (guint i = 0; comparison && i < calib_statistics_n_kept (statistics); i++)
    if (g_cancellable_set_error_if_cancelled (cancellable, error) ||
        !engine_comparison_push_kept (comparison, statistics, i, error))
      return NULL;
  return g_steal_pointer (&comparison);
}
