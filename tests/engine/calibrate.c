/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * calibrate.c: activations into statistics, statistics into a table, and the table into an engine.
 */
#include "engine/model.h"
#include "tests/check.h"
#include "tests/engine/net.h"

#include <glib/gstdio.h>

static KernelBackend *ref, *cpu;

/* Image i, the same whatever batch it is in. */
static void
fill (float *input, const EngineModel *model, int i)
{
  GRand *rand = g_rand_new_with_seed (i + 1);
  EngineInputInfo info;

  engine_model_input (model, &info);
  for (int k = 0; k < info.height * info.width * info.channels; k++)
    input[k] = (float) g_rand_double_range (rand, -2, 2);
  g_rand_free (rand);
}

static CalibStatistics *
calibrate (EngineModel *model, KernelBackend *backend, int batch, int threads, int images)
{
  CalibStatistics *statistics = calib_statistics_new (NULL, CALIB_HISTOGRAM_DEFAULT);
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineCalibrator) calibrator =
      engine_calibrator_new (model, backend, batch, threads, statistics, &error);

  if (!calibrator)
    g_error ("%s", error->message);
  for (int i = 0; i < images; i++) {
    fill (engine_calibrator_input (calibrator), model, i);
    CHECK (engine_calibrator_push (calibrator, &error));
  }
  CHECK (engine_calibrator_flush (calibrator, &error));
  CHECK (engine_calibrator_flush (calibrator, &error)); /* nothing is waiting */
  CHECK_INT (calib_statistics_provenance (statistics)->frames, ==, images);
  return statistics;
}

static GBytes *
bytes_of (const CalibStatistics *statistics)
{
  g_autofree char *folder = g_dir_make_tmp ("int8-calibrate-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "x.int8stats", NULL), *data = NULL;
  g_autoptr (GError) error = NULL;
  gsize size;

  if (!calib_statistics_save (statistics, path, &error) ||
      !g_file_get_contents (path, &data, &size, &error))
    g_error ("%s", error->message);
  g_unlink (path);
  g_rmdir (folder);
  return g_bytes_new_take (g_steal_pointer (&data), size);
}

/* input, conv1, pool, a branch that is far smaller, concat, a slice, two layers of the end */
static EngineModel *
branchy_model (void)
{
  g_autoptr (Net) net = net_new (1);
  const float w[] = {0.01f, 0, 0, 0.01f}, b[] = {0, 0};
  const int x = net_input (net, 8, 8, 2);
  const int a = net_conv (net, x, (NetConv){.oc = 4, .k = 3, .pad = 1, .hi = INFINITY});
  const int pool = net_pool (net, ENGINE_OP_MAXPOOL, a, 3, 1, 1);
  const int small = net_conv_given (net, x, 2, 1, 2, w, b);
  const int other = net_unary (net, net_conv (net, x, (NetConv){.oc = 2}), KERNEL_UNARY_SILU, 0, 0);
  const int y = net_concat (net, (const int[]){pool, small, other}, 3, 3);
  const int z = net_slice (net, y, 3, 1, 4);

  return net_model (net_finish (net, net_softmax (net, net_dense (net, z, 3))));
}

/* --- Statistics ----------------------------------------------------------------------------- */

static void
test_what_is_observed (void)
{
  g_autoptr (EngineModel) model = branchy_model ();
  g_autoptr (CalibStatistics) statistics = calibrate (model, ref, 2, 1, 3);
  g_autoptr (GString) names = g_string_new (NULL);
  CalibSummary summary;

  for (guint i = 0; i < calib_statistics_n_tensors (statistics); i++)
    g_string_append_printf (names, "%s ", calib_statistics_name (statistics, i));
  CHECK_STR (names->str, "input conv1 conv3 conv4 unary5 conv8 softmax9 ");
  calib_histogram_summary (calib_statistics_lookup (statistics, "conv1"), &summary);
  CHECK_INT (summary.n, ==, 3 * 8 * 8 * 4);
}

static void
test_any_batch_backend_and_threads (void)
{
  for (guint32 seed = 1; seed <= 20 && !check_failures_in_test; seed++) {
    g_autoptr (EngineModel) model = net_model (net_random (seed));
    g_autoptr (CalibStatistics) one = calibrate (model, ref, 1, 1, 7);
    g_autoptr (CalibStatistics) three = calibrate (model, cpu, 3, 2, 7);
    g_autoptr (CalibStatistics) all = calibrate (model, cpu, 16, 3, 7);
    g_autoptr (GBytes) expected = bytes_of (one), b3 = bytes_of (three), b16 = bytes_of (all);

    CHECK (g_bytes_equal (expected, b3));
    CHECK (g_bytes_equal (expected, b16));
  }
}

static void
test_images_not_run_are_dropped (void)
{
  g_autoptr (EngineModel) model = branchy_model ();
  g_autoptr (CalibStatistics) statistics = calib_statistics_new (NULL, CALIB_HISTOGRAM_DEFAULT);
  /* three threads wait for three images */
  EngineCalibrator *calibrator = engine_calibrator_new (model, cpu, 1, 3, statistics, NULL);

  for (int i = 0; i < 4; i++) {
    fill (engine_calibrator_input (calibrator), model, i);
    CHECK (engine_calibrator_push (calibrator, NULL));
  }
  engine_calibrator_free (calibrator);
  CHECK_INT (calib_statistics_provenance (statistics)->frames, ==, 3);
}

static void
test_not_finite (void)
{
  g_autoptr (EngineModel) model = branchy_model ();
  g_autoptr (CalibStatistics) statistics = calib_statistics_new (NULL, CALIB_HISTOGRAM_DEFAULT);
  g_autoptr (EngineCalibrator) calibrator =
      engine_calibrator_new (model, cpu, 1, 1, statistics, NULL);
  CalibSummary input, conv;

  fill (engine_calibrator_input (calibrator), model, 0);
  engine_calibrator_input (calibrator)[0] = NAN;
  engine_calibrator_input (calibrator)[1] = INFINITY;
  CHECK (engine_calibrator_push (calibrator, NULL));
  calib_histogram_summary (calib_statistics_lookup (statistics, "input"), &input);
  calib_histogram_summary (calib_statistics_lookup (statistics, "conv1"), &conv);
  CHECK_INT (input.n_nonfinite, ==, 2);
  CHECK_INT (conv.n_nonfinite, ==, 4 * 4); /* the four windows that see the corner */
  CHECK (isfinite (conv.max));
}

/* 300 KiB a tensor leave no room for the sums of so many channels. */
static void
test_many_channels (void)
{
  for (int oc = 1770; oc <= 1771; oc++) {
    g_autoptr (Net) net = net_new (1);
    const int x = net_dense (net, net_input (net, 1, 1, 2), oc);
    g_autoptr (EngineModel) model = net_model (net_finish (net, x));
    g_autoptr (CalibStatistics) s = calibrate (model, cpu, 1, 1, 1);
    const double mean = calib_histogram_channel_mean (calib_statistics_lookup (s, "conv1"), 0);

    CHECK (oc == 1770 ? isfinite (mean) : isnan (mean));
  }
}

static void
test_continued (void)
{
  g_autoptr (EngineModel) model = branchy_model ();
  g_autoptr (CalibStatistics) once = calibrate (model, ref, 2, 1, 6);
  g_autoptr (CalibStatistics) twice = calib_statistics_new (NULL, CALIB_HISTOGRAM_DEFAULT);

  for (int part = 0; part < 2; part++) {
    g_autoptr (EngineCalibrator) calibrator = engine_calibrator_new (model, ref, 3, 1, twice, NULL);

    for (int i = 0; i < 3; i++) {
      fill (engine_calibrator_input (calibrator), model, 3 * part + i);
      CHECK (engine_calibrator_push (calibrator, NULL));
    }
  }
  g_autoptr (GBytes) a = bytes_of (once), b = bytes_of (twice);
  CHECK (g_bytes_equal (a, b));
}

/* Between batches activations go elsewhere, or to two at once; the parts are the whole. */
static void
test_other_statistics (void)
{
  g_autoptr (EngineModel) model = branchy_model ();
  g_autoptr (CalibStatistics) once = calibrate (model, ref, 2, 1, 6);
  g_autoptr (CalibStatistics) last = calibrate (model, ref, 2, 1, 0);
  g_autoptr (CalibStatistics) a = calib_statistics_new (NULL, CALIB_HISTOGRAM_DEFAULT);
  g_autoptr (CalibStatistics) b = calib_statistics_new (NULL, CALIB_HISTOGRAM_DEFAULT);
  g_autoptr (CalibStatistics) c = calib_statistics_new (NULL, CALIB_HISTOGRAM_DEFAULT);
  g_autoptr (EngineCalibrator) calibrator = engine_calibrator_new (model, cpu, 2, 2, a, NULL);

  for (int i = 0; i < 6; i++) {
    if (i == 2)
      engine_calibrator_set_statistics (calibrator, b, NULL);
    if (i == 4)
      engine_calibrator_set_statistics (calibrator, a, c);
    fill (engine_calibrator_input (calibrator), model, i);
    CHECK (engine_calibrator_push (calibrator, NULL));
  }
  CHECK_INT (calib_statistics_provenance (a)->frames, ==, 4);
  CHECK_INT (calib_statistics_provenance (b)->frames, ==, 2);
  CHECK_INT (calib_statistics_provenance (c)->frames, ==, 2);
  CHECK (calib_statistics_merge (a, b, NULL));
  g_autoptr (GBytes) expected = bytes_of (once), got = bytes_of (a);
  CHECK (g_bytes_equal (expected, got));

  engine_calibrator_set_statistics (calibrator, last, NULL);
  for (int i = 4; i < 6; i++) {
    fill (engine_calibrator_input (calibrator), model, i);
    CHECK (engine_calibrator_push (calibrator, NULL));
  }
  g_autoptr (GBytes) expected_last = bytes_of (last), also = bytes_of (c);
  CHECK (g_bytes_equal (expected_last, also));
}

static void
test_statistics_of_another_model (void)
{
  const CalibProvenance provenance = {.model_sha256 = (char *) "fedcba9876543210"};
  g_autoptr (EngineModel) model = branchy_model ();
  g_autoptr (CalibStatistics) statistics = calib_statistics_new (&provenance, 0);
  g_autoptr (GError) error = NULL;

  CHECK (!engine_calibrator_new (model, ref, 1, 1, statistics, &error));
  CHECK (g_error_matches (error, ENGINE_ERROR, ENGINE_ERROR_MISMATCH));
  CHECK_INT (calib_statistics_n_tensors (statistics), ==, 0);
}

/* --- The table ------------------------------------------------------------------------------ */

static float
entry (const CalibTable *table, const char *name)
{
  float scale = -1;

  if (!calib_table_lookup (table, name, &scale))
    CHECK_FAIL ("no entry '%s'", name);
  return scale;
}

static float
largest (const CalibStatistics *statistics, const char *name)
{
  CalibSummary summary;

  calib_histogram_summary (calib_statistics_lookup (statistics, name), &summary);
  return fmaxf (-summary.min, summary.max) / 127.0f;
}

static void
test_entries (void)
{
  g_autoptr (EngineModel) model = branchy_model ();
  g_autoptr (CalibStatistics) s = calibrate (model, ref, 2, 1, 8);
  g_autoptr (CalibTable) table =
      engine_calibration_table (model, s, CALIB_METHOD_MINMAX, 0, 8601, NULL);
  g_autoptr (GString) names = g_string_new (NULL);

  CHECK_STR (calib_table_get_header (table), "TRT-8601-MinMaxCalibration");
  for (guint i = 0; i < calib_table_n_entries (table); i++)
    g_string_append_printf (names, "%s ", calib_table_entry (table, i, NULL));
  CHECK_STR (names->str, "input conv1 maxpool2 conv3 conv4 unary5 concat6 slice7 conv8 softmax9 ");
  CHECK (entry (table, "input") == largest (s, "input"));
  CHECK (entry (table, "conv4") == largest (s, "conv4"));
  /* The concat's group: pool and its input, silu, slice; not the branch that is far smaller. */
  const float shared = fmaxf (largest (s, "conv1"), largest (s, "unary5"));
  CHECK (entry (table, "conv1") == shared);
  CHECK (entry (table, "maxpool2") == shared);
  CHECK (entry (table, "unary5") == shared);
  CHECK (entry (table, "concat6") == shared);
  CHECK (entry (table, "slice7") == shared);
  CHECK (entry (table, "conv3") == largest (s, "conv3"));
}

/* Version 1 of TensorRT's entropy calibrator shares no ranges: what passes values on takes its input's,
 * a concat the largest, and no input takes another's. */
static void
test_entropy_shares_nothing (void)
{
  const CalibThresholdOptions options = {.method = CALIB_METHOD_ENTROPY2};
  g_autoptr (EngineModel) model = branchy_model ();
  g_autoptr (CalibStatistics) s = calibrate (model, ref, 2, 1, 8);
  g_autoptr (CalibTable) table =
      engine_calibration_table (model, s, CALIB_METHOD_ENTROPY, 0, 8601, NULL);
  float largest_input = 0;

  CHECK_STR (calib_table_get_header (table), "TRT-8601-EntropyCalibration");
  CHECK_INT (calib_table_n_entries (table), ==, 10);
  for (guint i = 0; i < 3; i++) {
    const char *name = (const char *[]){"conv1", "conv3", "unary5"}[i];
    CalibThreshold own;

    CHECK (calib_threshold (calib_statistics_lookup (s, name), &options, &own, NULL));
    CHECK (entry (table, name) == own.threshold / 127.0f);
    largest_input = fmaxf (largest_input, own.threshold / 127.0f);
  }
  CHECK (entry (table, "maxpool2") == entry (table, "conv1"));
  CHECK (entry (table, "concat6") == largest_input);
  CHECK (entry (table, "slice7") == largest_input);
  CHECK (entry (table, "conv1") != entry (table, "unary5"));
}

/* Statistics with TensorRT's histograms observe what passes values on, others do not, and a calibrator
 * fills both. */
static void
test_legacy_observes_all (void)
{
  g_autoptr (EngineModel) model = branchy_model ();
  g_autoptr (CalibStatistics) trt = calib_statistics_new (NULL, CALIB_HISTOGRAM_TENSORRT);
  g_autoptr (CalibStatistics) plain = calib_statistics_new (NULL, CALIB_HISTOGRAM_DEFAULT);
  g_autoptr (EngineCalibrator) calibrator = engine_calibrator_new (model, ref, 1, 1, plain, NULL);
  g_autoptr (GError) error = NULL;

  engine_calibrator_set_statistics (calibrator, plain, trt);
  fill (engine_calibrator_input (calibrator), model, 0);
  CHECK (engine_calibrator_push (calibrator, NULL));
  CHECK_INT (calib_statistics_n_tensors (plain), ==, 7);
  CHECK_INT (calib_statistics_n_tensors (trt), ==, 10);

  g_autoptr (CalibTable) table =
      engine_calibration_table (model, trt, CALIB_METHOD_LEGACY, 0, 8601, &error);
  CHECK (table && calib_table_n_entries (table) == 10);
  CHECK (!engine_calibration_table (model, plain, CALIB_METHOD_LEGACY, 0, 8601, &error));
  CHECK (g_error_matches (error, CALIB_ERROR, CALIB_ERROR_UNAVAILABLE));
  CHECK (calib_statistics_merge (trt, plain, NULL));
  CHECK_INT (calib_statistics_n_tensors (trt), ==, 7);
}

/* mse looks at the grid that a tensor will have. */
static void
test_mse_knows_what_is_never_negative (void)
{
  g_autoptr (EngineModel) model = branchy_model ();
  g_autoptr (CalibStatistics) s = calibrate (model, ref, 2, 1, 8);
  g_autoptr (CalibTable) table =
      engine_calibration_table (model, s, CALIB_METHOD_MSE, 0, 8601, NULL);
  const CalibThresholdOptions full = {.method = CALIB_METHOD_MSE, .range = CALIB_RANGE_FULL};
  const CalibThresholdOptions symmetric = {.method = CALIB_METHOD_MSE};
  CalibThreshold softmax, logits;

  CHECK (calib_threshold (calib_statistics_lookup (s, "softmax9"), &full, &softmax, NULL));
  CHECK (calib_threshold (calib_statistics_lookup (s, "conv8"), &symmetric, &logits, NULL));
  CHECK (entry (table, "softmax9") == softmax.threshold / 127.0f);
  CHECK (entry (table, "conv8") == logits.threshold / 127.0f);
}

/* What only a hard swish reads counts from -3 on, but for TensorRT's methods. */
static void
test_thresholds_of_what_readers_see (void)
{
  g_autoptr (Net) net = net_new (3);
  const float w[] = {10, -10}, b[] = {-5, 0};
  const int x = net_conv_given (net, net_input (net, 4, 4, 1), 2, 1, 1, w, b);
  const int y = net_unary (net, x, KERNEL_UNARY_HARD_SWISH, 0, 0);
  g_autoptr (EngineModel) model = net_model (net_finish (net, net_dense (net, y, 3)));
  g_autoptr (CalibStatistics) s = calibrate (model, ref, 2, 1, 8);
  CalibSummary summary;

  calib_histogram_summary (calib_statistics_lookup (s, "conv1"), &summary);
  CHECK (summary.max > 3 && -summary.min > summary.max);
  for (CalibMethod m = 0; m < CALIB_METHOD_COUNT; m++) {
    const gboolean entropy = m == CALIB_METHOD_ENTROPY || m == CALIB_METHOD_ENTROPY2;
    const CalibThresholdOptions options = {.method = m,
        .percentile = 99.9,
        .range = entropy ? CALIB_RANGE_SYMMETRIC : CALIB_RANGE_WITHIN,
        .lo = -3,
        .hi = INFINITY};
    g_autoptr (CalibTable) table = NULL;
    CalibThreshold expected;

    if (calib_method_flags (m) != CALIB_HISTOGRAM_DEFAULT)
      continue;
    table = engine_calibration_table (model, s, m, 99.9, 8601, NULL);
    CHECK (calib_threshold (calib_statistics_lookup (s, "conv1"), &options, &expected, NULL));
    CHECK (table && entry (table, "conv1") == expected.threshold / 127.0f);
    CHECK (m != CALIB_METHOD_MINMAX || expected.threshold == summary.max);
  }
}

static void
test_statistics_lack_tensors (void)
{
  g_autoptr (EngineModel) model = branchy_model (), other = net_model (net_random (1));
  g_autoptr (CalibStatistics) s = calibrate (other, ref, 1, 1, 1);
  g_autoptr (GError) error = NULL;

  CHECK (!engine_calibration_table (model, s, CALIB_METHOD_MINMAX, 0, 8601, &error));
  CHECK (g_error_matches (error, CALIB_ERROR, CALIB_ERROR_MISMATCH));
}

static void
test_no_frames (void)
{
  g_autoptr (EngineModel) model = branchy_model ();
  g_autoptr (CalibStatistics) s = calibrate (model, ref, 1, 1, 0);
  g_autoptr (GError) error = NULL;

  CHECK (!engine_calibration_table (model, s, CALIB_METHOD_ENTROPY2, 0, 8601, &error));
  CHECK (g_error_matches (error, CALIB_ERROR, CALIB_ERROR_EMPTY));
  CHECK (error && strstr (error->message, "'input'"));
}

/* A table made here fits the engine made here, whatever the network and the method. */
static void
test_table_fits_engine (void)
{
  for (guint32 seed = 1; seed <= 15 && !check_failures_in_test; seed++) {
    g_autoptr (EngineModel) model = net_model (net_random (seed));
    g_autoptr (CalibStatistics) s = calibrate (model, cpu, 4, 1, 8);

    for (int method = 0; method < CALIB_METHOD_COUNT; method++) {
      g_autoptr (GError) error = NULL;
      if (calib_method_flags (method) & CALIB_HISTOGRAM_TENSORRT)
        continue;
      g_autoptr (CalibTable) table =
          engine_calibration_table (model, s, method, 99.9, 8601, &error);
      const EngineBuildOptions options = {.precision = ENGINE_PRECISION_INT8, .table = table};
      EngineBuildReport report = {0};
      g_autoptr (Engine) engine =
          table ? engine_build (model, &options, &report, NULL, NULL, NULL, &error) : NULL;

      if (!engine)
        CHECK_FAIL ("seed %u, %s: %s", seed, calib_method_name (method), error->message);
      CHECK (!report.inferred);
      CHECK_INT (report.layers_int8, >, 0);
      engine_build_report_clear (&report);
    }
  }
}

static void
test_int8_without_a_table (void)
{
  g_autoptr (EngineModel) model = branchy_model ();
  g_autoptr (GError) error = NULL;

  CHECK (!engine_build (model, &(EngineBuildOptions){0}, NULL, NULL, NULL, NULL, &error));
  CHECK (g_error_matches (error, ENGINE_ERROR, ENGINE_ERROR_RANGE));
  CHECK (error && strstr (error->message, "int8calib"));
}

int
main (void)
{
  ref = net_backend ("ref");
  cpu = net_backend ("cpu");
  RUN (test_what_is_observed);
  RUN (test_any_batch_backend_and_threads);
  RUN (test_images_not_run_are_dropped);
  RUN (test_not_finite);
  RUN (test_many_channels);
  RUN (test_continued);
  RUN (test_other_statistics);
  RUN (test_statistics_of_another_model);
  RUN (test_entries);
  RUN (test_entropy_shares_nothing);
  RUN (test_legacy_observes_all);
  RUN (test_mse_knows_what_is_never_negative);
  RUN (test_thresholds_of_what_readers_see);
  RUN (test_statistics_lack_tensors);
  RUN (test_no_frames);
  RUN (test_table_fits_engine);
  RUN (test_int8_without_a_table);
  kernel_close (cpu);
  kernel_close (ref);
  return check_done ();
}
