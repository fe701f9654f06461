/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gstint8calib-report.c: the page about a calibration, and the comparison on kept frames that is part of
 * it.
 */
#include "gst/gstint8calib-private.h"

/* Frames on which every layer is run alone. */
#define FRAMES_ALONE 4

/* NULL without error where no frames are kept. */
static EngineComparison *
compare_kept (GstInt8Calib *self, const CalibTable *table, const EngineBias *bias, GError **error)
{
  const EngineBuildOptions build = {.precision = ENGINE_PRECISION_INT8,
      .ranges = ENGINE_RANGES_FULL,
      .table = table,
      .bias = bias,
      .preprocess = &self->preprocess};
  const EngineCompareOptions how = {.preprocess = &self->preprocess,
      .keep = FRAMES_ALONE,
      .threads = (int) self->run.config.threads};
  g_autoptr (EngineComparison) comparison = NULL;

  if (calib_statistics_n_kept (self->statistics) == 0)
    return NULL;
  comparison = engine_comparison_of_kept (self->model, &build, self->statistics, self->host,
      &how, NULL, error);
  if (!comparison || !engine_comparison_alone (comparison, NULL, NULL, NULL, error))
    return NULL;
  return g_steal_pointer (&comparison);
}

gboolean
gst_int8_calib_report (GstInt8Calib *self, const CalibTable *table, const EngineBias *bias,
    GError **error)
{
  g_autofree char *preprocess = engine_preprocess_to_string (&self->preprocess);
  g_autoptr (EngineComparison) comparison = NULL;
  g_autoptr (GError) failure = NULL;

  if (!self->run.report)
    return TRUE;
  comparison = compare_kept (self, table, bias, &failure);
  if (!failure) {
    const EngineReport report = {.model = self->model,
        .model_name = self->run.config.model,
        .table = table,
        .table_name = self->run.table,
        .method = calib_method_name (self->run.method),
        .provenance = calib_statistics_provenance (self->statistics),
        .preprocess = preprocess,
        .ranges = ENGINE_RANGES_FULL,
        .bias = bias,
        .statistics = self->statistics,
        .comparison = comparison};

    if (engine_report_save (&report, self->run.report, NULL, NULL, NULL, &failure))
      return TRUE;
  }
  g_propagate_prefixed_error (error, g_steal_pointer (&failure), "report=%s: ", self->run.report);
  return FALSE;
}
