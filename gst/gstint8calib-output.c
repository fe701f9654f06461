/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gstint8calib-output.c: what a calibration leaves behind: the statistics file, the table and its
 * provenance.
 */
#include "gst/gstint8calib-private.h"

#define GST_CAT_DEFAULT gst_int8_calib_debug

/* --- An existing table ----------------------------------------------------------------------- */

/* A table without provenance (TensorRT's) is taken at its word. */
static gboolean
check_provenance (GstInt8Calib *self, CalibProvenance *provenance, GError **error)
{
  g_autofree char *preprocess = engine_preprocess_sha256 (&self->preprocess);
  const char *what = NULL;

  if (provenance->model_sha256 &&
      !g_str_equal (provenance->model_sha256, engine_model_sha256 (self->model)))
    what = "another model";
  else if (provenance->preprocess_sha256 &&
           !g_str_equal (provenance->preprocess_sha256, preprocess))
    what = "other preprocessing";
  if (what)
    g_set_error (error, CALIB_ERROR, CALIB_ERROR_MISMATCH,
        "table=%s exists, but was made for %s; set table-exists=overwrite, or name another file",
        self->run.table, what);
  return !what;
}

gboolean
gst_int8_calib_use_table (GstInt8Calib *self, GError **error)
{
  g_autoptr (CalibTable) table = calib_table_load (self->run.table, error);
  CalibProvenance provenance = {0};
  g_autoptr (GError) failure = NULL;
  g_autofree char *text = NULL;
  gboolean fits;

  if (!table)
    return FALSE;
  if (!calib_provenance_load (self->run.table, &provenance, &failure) && failure) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return FALSE;
  }
  fits = check_provenance (self, &provenance, error);
  calib_provenance_clear (&provenance);
  if (!fits)
    return FALSE;
  text = g_strdup_printf (
      "calibration is skipped: %s is there already (table-exists=overwrite makes it anew)",
      self->run.table);
  /* Twice: gst-launch shows the second. */
  GST_ELEMENT_INFO (self, RESOURCE, SETTINGS, ("%s", text), ("%s", text));
  gst_int8_calib_post_done (self,
      &(GstInt8CalibOutcome){.skipped = TRUE, .n_tensors = calib_table_n_entries (table)});
  return TRUE;
}

/* --- Statistics ------------------------------------------------------------------------------ */

/* Statistics from a file, if they are of this model and preprocessing. */
static CalibStatistics *
load_statistics (GstInt8Calib *self, const char *path, GError **error)
{
  g_autoptr (CalibStatistics) statistics = calib_statistics_load (path, error);
  g_autofree char *preprocess = engine_preprocess_sha256 (&self->preprocess);
  const CalibProvenance *provenance;
  const char *what = NULL;

  if (!statistics)
    return NULL;
  provenance = calib_statistics_provenance (statistics);
  if (g_strcmp0 (provenance->model_sha256, engine_model_sha256 (self->model)) != 0)
    what = "another model";
  else if (g_strcmp0 (provenance->preprocess_sha256, preprocess) != 0)
    what = "other preprocessing";
  if (what) {
    g_set_error (error, CALIB_ERROR, CALIB_ERROR_MISMATCH,
        "%s holds statistics of %s and cannot be continued or merged; name another file", path,
        what);
    return NULL;
  }
  return g_steal_pointer (&statistics);
}

/* Whether statistics of a file hold TensorRT's own histograms, which cannot be added later. */
static gboolean
check_method (GstInt8Calib *self, const CalibStatistics *statistics, GError **error)
{
  const CalibThresholdOptions options = {.method = self->run.method};
  g_autoptr (GError) reason = NULL;
  CalibThreshold threshold;

  if (!(calib_method_flags (self->run.method) & CALIB_HISTOGRAM_TENSORRT) ||
      calib_statistics_n_tensors (statistics) == 0)
    return TRUE;
  if (!calib_threshold (calib_statistics_lookup (statistics, calib_statistics_name (statistics, 0)),
          &options, &threshold, &reason) &&
      g_error_matches (reason, CALIB_ERROR, CALIB_ERROR_UNAVAILABLE)) {
    g_set_error (error, CALIB_ERROR, CALIB_ERROR_UNAVAILABLE,
        "%s was begun with another method than %s, which needs statistics of its own; name another "
        "file, or take method=entropy2",
        self->run.statistics, calib_method_name (self->run.method));
    return FALSE;
  }
  return TRUE;
}

/* The sum of all files in `merge`, or NULL. The same twice, to fail before frames are spent. */
static gboolean
merge_files (GstInt8Calib *self, CalibStatistics *into, GError **error)
{
  g_auto (GStrv) paths = gst_int8_calib_merge_paths (&self->run);

  for (char **path = paths; *path; path++) {
    g_autoptr (CalibStatistics) from = load_statistics (self, *path, error);

    if (!from || (into && !calib_statistics_merge (into, from, error))) {
      g_prefix_error (error, "merge: ");
      return FALSE;
    }
  }
  return TRUE;
}

static void
post_continued (GstInt8Calib *self, guint64 frames)
{
  g_autofree char *text = g_strdup_printf ("continuing %s: its %" G_GUINT64_FORMAT
      " frames count too, beside those that max-frames counts. Remove it to begin anew",
      self->run.statistics, frames);

  /* Twice: gst-launch shows the second. */
  GST_ELEMENT_INFO (self, RESOURCE, SETTINGS, ("%s", text), ("%s", text));
}

CalibStatistics *
gst_int8_calib_open_statistics (GstInt8Calib *self, GError **error)
{
  g_autoptr (CalibStatistics) statistics = NULL;
  g_autofree char *preprocess = engine_preprocess_sha256 (&self->preprocess);
  const CalibProvenance provenance = {.model_sha256 = (char *) engine_model_sha256 (self->model),
      .preprocess_sha256 = preprocess,
      .source = self->source,
      .tool = (char *) "gst-int8 " INT8_VERSION};

  if (!merge_files (self, NULL, error))
    return NULL;
  if (self->run.statistics && g_file_test (self->run.statistics, G_FILE_TEST_EXISTS)) {
    statistics = load_statistics (self, self->run.statistics, error);
    if (!statistics || !check_method (self, statistics, error))
      return NULL;
    gst_int8_calib_keep_frames (self, statistics);
    post_continued (self, calib_statistics_provenance (statistics)->frames);
    return g_steal_pointer (&statistics);
  }
  statistics = calib_statistics_new (&provenance, calib_method_flags (self->run.method));
  gst_int8_calib_keep_frames (self, statistics);
  return g_steal_pointer (&statistics);
}

gboolean
gst_int8_calib_save_statistics (GstInt8Calib *self, GError **error)
{
  g_autoptr (CalibStatistics) sum = NULL;

  if (!self->run.statistics)
    return TRUE;
  if (self->convergence && !(sum = calib_convergence_sum (self->convergence, error)))
    return FALSE;
  return calib_statistics_save (sum ? sum : self->statistics, self->run.statistics, error);
}

/* --- The table ------------------------------------------------------------------------------- */

/* Says what is odd about the activations: NaN and infinity are not counted, and a tensor without
 * any other value than 0 has no range. Returns the number of values that are not finite. */
static guint64
warn_of_odd_tensors (GstInt8Calib *self)
{
  g_autoptr (GString) nonfinite = g_string_new (NULL), zero = g_string_new (NULL);
  guint64 n_nonfinite = 0;

  for (guint i = 0; i < calib_statistics_n_tensors (self->statistics); i++) {
    const char *name = calib_statistics_name (self->statistics, i);
    CalibSummary summary;

    calib_histogram_summary (calib_statistics_lookup (self->statistics, name), &summary);
    n_nonfinite += summary.n_nonfinite;
    if (summary.n_nonfinite && nonfinite->len < 200)
      g_string_append_printf (nonfinite, "%s%s", nonfinite->len ? ", " : "", name);
    if (summary.n_zero == summary.n - summary.n_nonfinite && zero->len < 200)
      g_string_append_printf (zero, "%s%s", zero->len ? ", " : "", name);
  }
  if (nonfinite->len)
    GST_ELEMENT_WARNING (self, STREAM, FAILED,
        ("%" G_GUINT64_FORMAT " activations are NaN or infinite and were left out: %s. "
         "Is the preprocessing what the model was trained with?",
            n_nonfinite, nonfinite->str),
        (NULL));
  if (zero->len)
    GST_ELEMENT_WARNING (self, STREAM, FAILED,
        ("these tensors were 0 in every frame: %s. Are the frames typical?", zero->str), (NULL));
  return n_nonfinite;
}

static gboolean
write_table (GstInt8Calib *self, guint *n_entries, GError **error)
{
  g_autoptr (CalibTable) table = NULL;
  g_autoptr (EngineBias) bias = NULL;

  /* The fast one is for choosing the method, too: the full one takes a table. */
  if (self->run.bias_correction != GST_INT8_BIAS_CORRECTION_OFF)
    bias = engine_bias_fast (self->model, self->statistics, NULL);
  if (gst_int8_calib_choose_method (self, bias, error))
    table = engine_calibration_table (self->model, self->statistics, self->run.method,
        self->run.percentile, self->run.trt_version, error);
  if (!table)
    return FALSE;
  bias = gst_int8_calib_finish_bias (self, g_steal_pointer (&bias), table, error);
  if (!bias)
    return FALSE;
  *n_entries = calib_table_n_entries (table);
  /* In this order: a table whose provenance is too old is refused, and so are corrections for another
   * table; the reverse would be believed. */
  return engine_bias_save (bias, table, self->run.table, error) &&
         calib_table_save (table, self->run.table, error) &&
         calib_provenance_save (calib_statistics_provenance (self->statistics),
             calib_method_name (self->run.method), self->run.table, error) &&
         gst_int8_calib_choose_precision (self, table, bias, error) &&
         gst_int8_calib_export (self, table, bias, error) &&
         gst_int8_calib_report (self, table, bias, error);
}

gboolean
gst_int8_calib_complete (GstInt8Calib *self, GError **error)
{
  GstInt8CalibOutcome outcome = {0};

  /* The file holds this element's frames only: merged ones would count twice when continued. */
  if (self->processed > 0 && !gst_int8_calib_save_statistics (self, error))
    return FALSE;
  if (!merge_files (self, self->statistics, error))
    return FALSE;
  outcome.frames = calib_statistics_provenance (self->statistics)->frames;
  if (outcome.frames == 0) {
    g_autofree char *text = gst_int8_calib_nothing (self);

    g_set_error_literal (error, CALIB_ERROR, CALIB_ERROR_EMPTY, text);
    return FALSE;
  }
  outcome.n_nonfinite = warn_of_odd_tensors (self);
  if (self->run.table && !write_table (self, &outcome.n_tensors, error))
    return FALSE;
  gst_int8_calib_post_done (self, &outcome);
  return TRUE;
}
