/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * compare.c: engines against each other: by hand, the same engine twice, any back end and number of
 * threads, kept frames, what is refused.
 */
#include "tests/engine/judged.h"

static KernelBackend *ref, *cpu;

/* --- By hand -------------------------------------------------------------------------------- */

/* Scales of 1 everywhere: int8 is what rounding and clipping to -128 .. 127 leave. Two channels, the
 * second a tenth of the first; then two classes: the sum of the first channel, and its third pixel. */
static EngineModel *
paper_model (CalibTable **table)
{
  g_autoptr (Net) net = net_new (1);
  const float w1[] = {1, 0.1f}, b1[] = {0, 0}, b2[] = {0, 0};
  const float w2[] = {1, 0, 1, 0, 1, 0, 1, 0, /* */ 0, 0, 0, 0, 1, 0, 0, 0};
  const int x = net_conv_given (net, net_input (net, 2, 2, 1), 2, 1, 1, w1, b1);
  const int y = net_conv_given (net, x, 2, 2, 2, w2, b2);

  *table = calib_table_new ("TRT-8601-MinMaxCalibration");
  calib_table_set (*table, "input", 1);
  calib_table_set (*table, "conv1", 1);
  return model_of (net_finish (net, y));
}

static void
test_by_hand (void)
{
  g_autoptr (CalibTable) table = NULL;
  g_autoptr (EngineModel) model = paper_model (&table);
  g_autoptr (Engine) exact = build_float (model);
  g_autoptr (Engine) judged =
      build (model, &(EngineBuildOptions){.precision = ENGINE_PRECISION_INT8,
                        .ranges = ENGINE_RANGES_SYMMETRIC,
                        .table = table});
  g_autoptr (EngineComparison) comparison =
      compare (exact, judged, ref, (EngineCompareOptions){.threads = 1});
  const float frame[] = {0.25f, 3, 200, -4};
  EngineAgreementScore network;
  EngineTensorScore input, conv, logits;

  CHECK_INT (engine_comparison_n_tensors (comparison), ==, 3);
  engine_comparison_tensor (comparison, 1, &conv);
  CHECK (isnan (conv.sqnr) && isnan (conv.cosine) && conv.saturated == 0);
  push (comparison, frame, 4);
  engine_comparison_tensor (comparison, 0, &input);
  engine_comparison_tensor (comparison, 1, &conv);
  engine_comparison_tensor (comparison, 2, &logits);

  /* 0 3 127 -4 */
  CHECK_STR (input.name, "input");
  CHECK_STR (input.op, "input");
  CHECK (!input.layer && input.int8 && !input.computes && input.scale == 1 && input.zero == 0);
  CHECK_NEAR (input.sqnr, 10 * log10 ((0.0625 + 9 + 40000 + 16) / (0.0625 + 73 * 73)));
  CHECK_NEAR (input.cosine,
      (9 + 200 * 127 + 16) / sqrt (0.0625 + 9 + 40000 + 16) / sqrt (9 + 127 * 127 + 16));
  CHECK_NEAR (input.clip_noise, 73 * 73 / (0.0625 + 73 * 73));
  CHECK (input.saturated == 0.25 && input.largest == 200);
  CHECK_INT (input.levels, ==, 4);
  CHECK_INT (input.dead, ==, 0);

  /* the first channel likewise; the second is 0.025 0.3 20 -0.4, and 0 0 13 0 as int8 */
  CHECK_STR (conv.name, "conv1");
  CHECK (conv.computes && conv.int8 && conv.precision == ENGINE_PRECISION_INT8);
  CHECK (conv.saturated == 1.0 / 8);
  CHECK_INT (conv.levels, ==, 5);
  CHECK_INT (conv.channels, ==, 2);
  CHECK_INT (conv.dead, ==, 0);

  CHECK (!logits.int8 && logits.precision == ENGINE_PRECISION_INT8 && logits.scale == 0);
  engine_comparison_score (comparison, &network);
  CHECK_INT (network.frames, ==, 1);
  CHECK (network.top1 == 1 && network.top5 == 1);
  /* 199.25 and 200; 126 and 127 */
  CHECK (fabs (network.sqnr -
               10 * log10 ((199.25 * 199.25 + 200 * 200) / (73.25 * 73.25 + 73 * 73))) < 1e-4);
  CHECK (network.sqnr == logits.sqnr);
}

static void
test_dead_channel (void)
{
  g_autoptr (CalibTable) table = NULL;
  g_autoptr (EngineModel) model = paper_model (&table);
  g_autoptr (Engine) exact = build_float (model);
  g_autoptr (Engine) judged =
      build (model, &(EngineBuildOptions){.precision = ENGINE_PRECISION_INT8,
                        .ranges = ENGINE_RANGES_SYMMETRIC,
                        .table = table});
  g_autoptr (EngineComparison) comparison =
      compare (exact, judged, ref, (EngineCompareOptions){.threads = 1});
  EngineTensorScore conv;

  push (comparison, (const float[]){0, 0, 0, 0}, 4);
  engine_comparison_tensor (comparison, 1, &conv);
  CHECK_INT (conv.dead, ==, 0); /* 0 is right */
  CHECK (conv.sqnr == INFINITY && conv.cosine == 1);
  push (comparison, (const float[]){1, 2, 3, 4}, 4);
  engine_comparison_tensor (comparison, 1, &conv);
  CHECK_INT (conv.dead, ==, 1); /* 0.1 .. 0.4 is 0 as int8 */
  push (comparison, (const float[]){6, 0, 0, 0}, 4);
  engine_comparison_tensor (comparison, 1, &conv);
  CHECK_INT (conv.dead, ==, 0);
}

/* --- Random networks ------------------------------------------------------------------------ */

static void
test_same_engine_twice (void)
{
  for (guint32 seed = 1; seed <= 10; seed++) {
    g_autoptr (EngineModel) model = model_of (net_random (seed));
    g_autoptr (Engine) exact = build_float (model);
    g_autoptr (EngineComparison) comparison =
        compare (exact, exact, cpu, (EngineCompareOptions){.threads = 2});
    g_autoptr (GPtrArray) suspects = NULL;
    EngineAgreementScore network;

    push_noise (comparison, model, 3);
    engine_comparison_score (comparison, &network);
    CHECK (network.top1 == 1 && network.top5 == 1 && network.sqnr == INFINITY);
    CHECK (network.kl_mean == 0 && network.kl_p99 == 0);
    for (guint i = 0; i < engine_comparison_n_tensors (comparison); i++) {
      EngineTensorScore score;

      engine_comparison_tensor (comparison, i, &score);
      CHECK (score.sqnr == INFINITY && fabs (score.cosine - 1) < 1e-12 && !score.int8);
      CHECK (score.levels == 0 && score.saturated == 0 && score.dead == 0);
    }
    suspects = engine_comparison_suspects (comparison);
    CHECK_INT (suspects->len, ==, 0);
  }
}

/* Everything that was measured, to the last bit. */
static char *
text_of (const EngineComparison *comparison)
{
  GString *text = g_string_new (NULL);
  EngineAgreementScore n;

  engine_comparison_score (comparison, &n);
  g_string_append_printf (text, "%d %a %a %a %a %a\n", (int) n.frames, n.top1, n.top5, n.sqnr,
      n.kl_mean, n.kl_p99);
  for (guint i = 0; i < engine_comparison_n_tensors (comparison); i++) {
    EngineTensorScore s;

    engine_comparison_tensor (comparison, i, &s);
    g_string_append_printf (text, "%s %s %a %a %a %a %a %u %u %u %a %a\n", s.name, s.op, s.sqnr,
        s.cosine, s.largest, s.saturated, s.clip_noise, s.levels, s.channels, s.dead, s.alone,
        s.alone_logits);
  }
  return g_string_free (text, FALSE);
}

/* All of it, layers alone included. */
static char *
measure (const EngineModel *model, const EngineBuildOptions *options, KernelBackend *backend,
    int threads)
{
  g_autoptr (Engine) exact = build_float (model), judged = build (model, options);
  g_autoptr (EngineComparison) comparison =
      compare (exact, judged, backend, (EngineCompareOptions){.threads = threads, .keep = 2});
  g_autoptr (GError) error = NULL;

  push_noise (comparison, model, 3);
  if (!engine_comparison_alone (comparison, NULL, NULL, NULL, &error))
    CHECK_FAIL ("%s", error->message);
  return text_of (comparison);
}

static void
test_any_backend_and_threads (void)
{
  for (guint32 seed = 1; seed <= 12; seed++) {
    g_autoptr (EngineModel) model = model_of (net_random (seed));
    g_autoptr (CalibTable) table = net_calibrate (model->graph, seed, 4);
    const EngineBuildOptions options = {.precision = ENGINE_PRECISION_INT8, .table = table};
    g_autofree char *of_ref = measure (model, &options, ref, 1);
    g_autofree char *of_cpu = measure (model, &options, cpu, 3);

    CHECK_STR (of_cpu, of_ref);
  }
}

static void
test_network_only (void)
{
  for (guint32 seed = 1; seed <= 5; seed++) {
    g_autoptr (EngineModel) model = model_of (net_random (seed));
    g_autoptr (CalibTable) table = net_calibrate (model->graph, seed, 4);
    const EngineBuildOptions options = {.precision = ENGINE_PRECISION_INT8, .table = table};
    g_autoptr (Engine) exact = build_float (model), judged = build (model, &options);
    g_autoptr (EngineComparison) all = compare (exact, judged, cpu, (EngineCompareOptions){0});
    g_autoptr (EngineComparison) network =
        compare (exact, judged, cpu, (EngineCompareOptions){.network_only = TRUE});
    EngineAgreementScore a, b;

    push_noise (all, model, 4);
    push_noise (network, model, 4);
    engine_comparison_score (all, &a);
    engine_comparison_score (network, &b);
    CHECK (memcmp (&a, &b, sizeof a) == 0);
    CHECK_INT (engine_comparison_n_tensors (network), ==, 0);
  }
}

/* The same logits and largest values; clipped is what lies beyond the range, wherever int8 has it. A
 * comparison that was reset is as a new one. */
static void
test_clips_only (void)
{
  for (guint32 seed = 1; seed <= 8; seed++) {
    g_autoptr (EngineModel) model = model_of (net_random (seed));
    g_autoptr (CalibTable) table = net_calibrate (model->graph, seed, 4);
    const EngineBuildOptions options = {.precision = ENGINE_PRECISION_INT8, .table = table};
    guint64 clipped = 0;

    for (guint i = 0; i < calib_table_n_entries (table); i++) {
      float scale;
      const char *name = calib_table_entry (table, i, &scale);

      calib_table_set (table, name, scale * 0.4f);
    }
    g_autoptr (Engine) exact = build_float (model), judged = build (model, &options);
    g_autoptr (EngineComparison) all = compare (exact, judged, cpu, (EngineCompareOptions){0});
    g_autoptr (EngineComparison) clips =
        compare (exact, judged, cpu, (EngineCompareOptions){.clips_only = TRUE});
    EngineAgreementScore a, b;

    push_noise (all, model, 1);
    push_noise (clips, model, 4);
    engine_comparison_reset (clips);
    engine_comparison_score (clips, &b);
    CHECK_INT (b.frames, ==, 0);
    push_noise (clips, model, 1);
    engine_comparison_score (all, &a);
    engine_comparison_score (clips, &b);
    CHECK (memcmp (&a, &b, sizeof a) == 0);
    CHECK_INT (engine_comparison_n_tensors (clips), ==, engine_comparison_n_tensors (all));
    for (guint i = 0; i < engine_comparison_n_tensors (all); i++) {
      EngineTensorScore x, y;

      engine_comparison_tensor (all, i, &x);
      engine_comparison_tensor (clips, i, &y);
      CHECK_STR (y.name, x.name);
      CHECK (y.largest == x.largest);
      CHECK (isnan (y.sqnr) && isnan (y.cosine));
      CHECK (x.int8 || y.saturated == 0);
      CHECK (y.saturated >= x.saturated && y.saturated <= 1);
      clipped += y.saturated > 0.01;
    }
    CHECK (clipped > 0);
  }
}

/* To a hard swish -20 is -3: neither clipped, nor far from -3, nor large. */
static void
test_what_no_reader_tells_apart (void)
{
  g_autoptr (CalibTable) table = calib_table_new ("TRT-8601-MinMaxCalibration");
  g_autoptr (Net) net = net_new (1);
  const int x = net_conv_given (net, net_input (net, 2, 2, 1), 1, 1, 1, (float[]){1}, (float[]){0});
  g_autoptr (EngineModel) model = model_of (
      net_finish (net, net_dense (net, net_unary (net, x, KERNEL_UNARY_HARD_SWISH, 0, 0), 3)));
  const EngineBuildOptions options = {.precision = ENGINE_PRECISION_INT8, .table = table};

  calib_table_set (table, "input", 20.0f / 127);
  calib_table_set (table, "conv1", 4.0f / 127);
  calib_table_set (table, "unary2", 4.0f / 127);
  g_autoptr (Engine) exact = build_float (model), judged = build (model, &options);
  for (int clips_only = 0; clips_only < 2; clips_only++) {
    g_autoptr (EngineComparison) comparison =
        compare (exact, judged, cpu, (EngineCompareOptions){.clips_only = clips_only});
    EngineTensorScore score;

    push (comparison, (const float[]){-20, 3.5f, -6, 1}, 4);
    engine_comparison_tensor (comparison, 1, &score);
    CHECK_STR (score.name, "conv1");
    CHECK (score.int8 && score.saturated == 0 && score.largest == 3.5);
    CHECK (clips_only || (score.clip_noise == 0 && score.sqnr > 30 && score.cosine > 0.999));
    push (comparison, (const float[]){-20, 5, -6, 1}, 4);
    engine_comparison_tensor (comparison, 1, &score);
    CHECK (score.saturated == 1.0 / 8 && score.largest == 5);
  }
}

/* Halves lose what 11 bits lose. */
static void
test_halves (void)
{
  for (guint32 seed = 1; seed <= 5; seed++) {
    g_autoptr (EngineModel) model = model_of (net_random (seed));
    g_autoptr (Engine) exact = build_float (model);
    g_autoptr (Engine) judged =
        build (model, &(EngineBuildOptions){.precision = ENGINE_PRECISION_FP16});
    g_autoptr (EngineComparison) comparison =
        compare (exact, judged, ref, (EngineCompareOptions){.threads = 1});
    EngineAgreementScore network;
    guint halves = 0;

    push_noise (comparison, model, 3);
    engine_comparison_score (comparison, &network);
    CHECK (network.top1 == 1 && network.sqnr > 45 && isfinite (network.sqnr));
    for (guint i = 0; i < engine_comparison_n_tensors (comparison); i++) {
      EngineTensorScore score;

      engine_comparison_tensor (comparison, i, &score);
      CHECK (!score.int8 && score.sqnr > 45);
      halves += score.precision == ENGINE_PRECISION_FP16;
    }
    CHECK (halves > 0);
  }
}

/* --- Kept frames ------------------------------------------------------------------------------ */

static void
test_kept_frames (void)
{
  g_autoptr (EngineModel) model = chain_model (7);
  g_autoptr (CalibTable) table = net_calibrate (model->graph, 1, 8);
  g_autoptr (CalibStatistics) statistics = calib_statistics_new (NULL, CALIB_HISTOGRAM_DEFAULT);
  g_autoptr (CalibStatistics) other = calib_statistics_new (NULL, CALIB_HISTOGRAM_DEFAULT);
  const EngineBuildOptions options = {.precision = ENGINE_PRECISION_INT8, .table = table};
  const EngineCompareOptions how = {0};
  g_autoptr (Engine) exact = build_float (model), judged = build (model, &options);
  g_autoptr (EngineComparison) expected = compare (exact, judged, cpu, how);
  g_autoptr (GRand) rand = g_rand_new_with_seed (3);
  g_autoptr (GError) error = NULL;
  float frame[8 * 8 * 3];
  gsize n;

  CHECK (!engine_comparison_of_kept (model, &options, statistics, cpu, &how, NULL, &error));
  CHECK (g_error_matches (error, CALIB_ERROR, CALIB_ERROR_EMPTY));
  g_clear_error (&error);
  calib_statistics_keep_frames (statistics, 3);
  for (int f = 0; f < 8; f++) {
    for (guint i = 0; i < G_N_ELEMENTS (frame); i++)
      frame[i] = (float) g_rand_double_range (rand, -2, 2);
    calib_statistics_offer_frame (statistics, frame, G_N_ELEMENTS (frame));
  }
  for (guint f = 0; f < 3; f++)
    push (expected, calib_statistics_kept (statistics, f, &n), G_N_ELEMENTS (frame));

  g_autoptr (EngineComparison) comparison =
      engine_comparison_of_kept (model, &options, statistics, cpu, &how, NULL, &error);
  g_autofree char *a = text_of (expected), *b = text_of (comparison);
  CHECK_STR (b, a);

  calib_statistics_keep_frames (other, 1);
  calib_statistics_offer_frame (other, frame, 5);
  CHECK (!engine_comparison_of_kept (model, &options, other, cpu, &how, NULL, &error));
  CHECK (g_error_matches (error, CALIB_ERROR, CALIB_ERROR_MISMATCH));
}

/* --- Input ---------------------------------------------------------------------------------- */

/* The int8 input is what the preprocessor makes of the picture, byte for byte, though the comparison
 * sees its floats only. */
static void
test_input_bytes (void)
{
  static const char *const presets[] = {"raw", "unit", "imagenet", "imagenet-caffe"};
  enum { SIDE = 64, N = SIDE * SIDE * 3 };
  guint8 pixels[N];
  float floats[N];
  gint8 levels[N];
  const EngineImage image = {.kind = ENGINE_IMAGE_RGB,
      .width = SIDE,
      .height = SIDE,
      .n_planes = 1,
      .planes = {{pixels, SIDE * 3, SIDE, SIDE, 3}},
      .component = {{0, 0}, {0, 1}, {0, 2}}};

  for (int i = 0; i < N; i++)
    pixels[i] = (guint8) (i * 7 + i / 256);
  for (guint p = 0; p < G_N_ELEMENTS (presets); p++) {
    g_autoptr (Net) net = net_new (1);
    const int x = net_input (net, SIDE, SIDE, 3);
    g_autoptr (EngineModel) model = model_of (net_finish (net, net_dense (net, x, 3)));
    g_autoptr (CalibTable) table = net_calibrate (model->graph, 1, 1);
    EnginePreprocess preprocess;
    float scale;
    int zero;

    CHECK (engine_preprocess_preset (&preprocess, presets[p]));
    g_autoptr (Engine) exact = build_float (model);
    g_autoptr (Engine) judged =
        build (model, &(EngineBuildOptions){.precision = ENGINE_PRECISION_INT8,
                          .table = table,
                          .preprocess = &preprocess});
    CHECK (engine_input_type (judged, &scale, &zero) == ENGINE_TYPE_S8);
    g_autoptr (EngineComparison) comparison =
        compare (exact, judged, ref, (EngineCompareOptions){.preprocess = &preprocess});
    g_autoptr (EnginePreprocessor) to_float =
        engine_preprocessor_new (&preprocess, 3, SIDE, SIDE, ENGINE_TYPE_F32, 0, 0, ref, NULL);
    g_autoptr (EnginePreprocessor) to_int8 = engine_preprocessor_new (&preprocess, 3, SIDE, SIDE,
        ENGINE_TYPE_S8, scale, zero, ref, NULL);
    KernelQueue *queue = engine_exec_queue (comparison->judged_exec);
    CHECK (engine_preprocessor_run (to_float, &image, NULL, queue, floats, NULL));
    CHECK (engine_preprocessor_run (to_int8, &image, NULL, queue, levels, NULL));
    CHECK (ref->queue_wait (queue) == NULL);
    engine_comparison_fill (comparison, floats);
    CHECK (memcmp (engine_exec_input (comparison->judged_exec, 0), levels, N) == 0);
  }
}

/* --- Errors --------------------------------------------------------------------------------- */

static void
test_errors (void)
{
  g_autoptr (EngineModel) model = model_of (net_random (1)), other = model_of (net_random (2));
  g_autoptr (Engine) exact = NULL, judged = NULL;
  g_autoptr (GError) error = NULL;
  const EngineCompareOptions options = {0};

  g_free (other->sha256);
  other->sha256 = g_strdup ("another");
  exact = build_float (model);
  judged = build_float (other);
  CHECK (!engine_comparison_new (exact, judged, ref, &options, &error));
  CHECK (g_error_matches (error, ENGINE_ERROR, ENGINE_ERROR_MISMATCH));
}

int
main (void)
{
  ref = net_backend ("ref");
  cpu = net_backend ("cpu");
  RUN (test_by_hand);
  RUN (test_dead_channel);
  RUN (test_same_engine_twice);
  RUN (test_any_backend_and_threads);
  RUN (test_network_only);
  RUN (test_clips_only);
  RUN (test_what_no_reader_tells_apart);
  RUN (test_halves);
  RUN (test_kept_frames);
  RUN (test_input_bytes);
  RUN (test_errors);
  kernel_close (cpu);
  kernel_close (ref);
  return check_done ();
}
