/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bias.c: fast bias correction by its formula, its file and every truncation of it, and what a request
 * makes of it.
 */
#include "engine/quant.h"
#include "engine/quantise.h"
#include "tests/engine/request.h"

#include <math.h>

/* --- The formula ---------------------------------------------------------------------------- */

static EngineModel *
model_of (EngineGraph *graph)
{
  EngineModel *made = g_new0 (EngineModel, 1);

  g_atomic_ref_count_init (&made->references);
  made->path = g_strdup ("made");
  made->sha256 = g_strdup ("0");
  made->graph = graph;
  return made;
}

/* Values whose channels have these means. */
static void
observe (CalibStatistics *statistics, const char *name, int channels, const float *means)
{
  CalibHistogram *histogram = calib_statistics_tensor (statistics, name, channels);
  g_autofree float *x = g_new (float, 2 * channels);

  for (int c = 0; c < channels; c++) {
    x[c] = means[c] - 0.25f;
    x[channels + c] = means[c] + 0.25f;
  }
  calib_histogram_add (histogram, x, 2 * channels);
}

/* A 3x3 convolution with padding over 3x3 pixels, by hand: in 2 of 3 rows the upper taps lie inside. */
static void
test_formula (void)
{
  g_autoptr (Net) net = net_new (1);
  g_autoptr (CalibStatistics) statistics = calib_statistics_new (NULL, CALIB_HISTOGRAM_DEFAULT);
  const int x = net_input (net, 3, 3, 2);
  const int y = net_conv (net, x, (NetConv){.oc = 3, .k = 3, .pad = 1});
  const float means[] = {0.5f, -2};
  g_autoptr (EngineModel) made = model_of (net_finish (net, y));
  const EngineNode *conv = engine_graph_node (made->graph, 0);
  const EngineValue *weights = engine_graph_value (made->graph, conv->inputs[ENGINE_CONV_W]);
  const float *w = g_bytes_get_data (weights->data, NULL);
  gint8 levels[54];
  double scales[3];
  guint channels = 0;

  engine_quantise_weights (weights, NULL, levels, scales);
  observe (statistics, "input", 2, means);
  g_autoptr (EngineBias) bias = engine_bias_fast (made, statistics, NULL);
  CHECK_INT (engine_bias_n_layers (bias), ==, 1);
  const float *found = engine_bias_lookup (bias, "conv1", &channels);
  CHECK (found != NULL);
  CHECK_INT (channels, ==, 3);
  for (int k = 0; k < 3 && found; k++) {
    double exact = 0;

    for (int i = 0; i < 18; i++) {
      const double rows = i / 6 == 1 ? 1 : 2 / 3.0, columns = i / 2 % 3 == 1 ? 1 : 2 / 3.0;

      exact += (w[k * 18 + i] - scales[k] * levels[k * 18 + i]) * rows * columns * means[i % 2];
    }
    CHECK (fabs (found[k] - exact) < 1e-6);
    CHECK (fabs (exact) > 1e-5);
  }
}

/* Means go through reshapes, transposes, slices and concats, but not through max pools. */
static void
test_means_pass (void)
{
  g_autoptr (Net) net = net_new (1);
  g_autoptr (CalibStatistics) statistics = calib_statistics_new (NULL, CALIB_HISTOGRAM_DEFAULT);
  const float means[] = {1, 2, 3, 4}, order[] = {3, 2, 1, 3, 2, 4};
  const int x = net_input (net, 2, 2, 4);
  const int split = net_reshape (net, x, 5, (const int[]){1, 2, 2, 2, 2});
  const int turned = net_transpose (net, split, (const int[]){0, 1, 2, 4, 3});
  const int shuffled = net_reshape (net, turned, 4, (const int[]){1, 2, 2, 4}); /* 1 3 2 4 */
  const int half = net_slice (net, shuffled, 3, 1, 2);
  const int joined = net_concat (net, (const int[]){half, shuffled}, 2, 3);
  const float w[] = {1, 0.31f, 0.52f, 0.77f, 0.13f, 0.91f}, b[] = {0};
  /* 16.51 goes down, for the others are 0.23 too high */
  const int levels[] = {127, 39, 66, 98, 16, 116};
  const int y1 = net_conv_given (net, joined, 1, 1, 6, w, b);
  g_autofree char *name = g_strdup (engine_graph_value (net->graph, y1)->name);
  const int y2 =
      net_conv (net, net_pool (net, ENGINE_OP_MAXPOOL, joined, 2, 2, 0), (NetConv){.oc = 1});
  const int sum =
      net_binary (net, ENGINE_OP_ADD, net_global_pool (net, y1), y2, -INFINITY, INFINITY);
  g_autoptr (EngineModel) made = model_of (net_finish (net, sum));
  double exact = 0;
  guint channels;

  observe (statistics, "input", 4, means);
  g_autoptr (EngineBias) bias = engine_bias_fast (made, statistics, NULL);
  CHECK_INT (engine_bias_n_layers (bias), ==, 1);
  for (int i = 0; i < 6; i++)
    exact += (w[i] - levels[i] / 127.0) * order[i];
  const float *found = engine_bias_lookup (bias, name, &channels);
  CHECK (found && fabs (found[0] - exact) < 1e-6);
}

/* --- Whether it helps ----------------------------------------------------------------------- */

#define IMAGES 32
#define PIXELS 32

/* Means that are far from 0 and from each other: sums of the weights' errors are small as they are. */
static float
pixel (int image, int k)
{
  return (k % 2 ? 3 : -1) + 0.5f * sinf (image + 0.7f * k);
}

static void
sum_outputs (EngineModel *made, const EngineBuildOptions *options, KernelBackend *cpu, double *sums)
{
  g_autoptr (Engine) engine = engine_build (made, options, NULL, NULL, NULL, NULL, NULL);
  g_autoptr (EngineExec) exec = engine_exec_new (engine, cpu, 1, 1, NULL);
  EngineQuant quant = {0};
  const EngineType type = engine_input_type (engine, &quant.scale, &quant.zero);

  for (int i = 0; i < IMAGES; i++) {
    void *input = engine_exec_input (exec, 0);

    for (int k = 0; k < PIXELS; k++)
      if (type == ENGINE_TYPE_S8)
        ((gint8 *) input)[k] = engine_quant_level (&quant, pixel (i, k));
      else
        ((float *) input)[k] = pixel (i, k);
    CHECK (engine_exec_run (exec, 1, NULL));
    for (int k = 0; k < engine_n_classes (engine); k++)
      sums[k] += engine_exec_output (exec, 0)[k] / IMAGES;
  }
}

/* Without correction, and with it: how far the mean outputs are from those of the float network. */
static void
measure (guint32 seed, KernelBackend *cpu, double *without, double *with)
{
  g_autoptr (Net) net = net_new (seed);
  g_autoptr (CalibStatistics) statistics = calib_statistics_new (NULL, CALIB_HISTOGRAM_DEFAULT);
  const int x = net_conv (net, net_input (net, 4, 4, 2), (NetConv){.oc = 32, .k = 3, .pad = 1});
  g_autoptr (EngineModel) made = model_of (net_finish (net, net_dense (net, x, 4)));
  g_autoptr (EngineCalibrator) calibrator =
      engine_calibrator_new (made, cpu, 1, 1, statistics, NULL);
  double fp32[4] = {0}, plain[4] = {0}, corrected[4] = {0};

  for (int i = 0; i < IMAGES; i++) {
    for (int k = 0; k < PIXELS; k++)
      engine_calibrator_input (calibrator)[k] = pixel (i, k);
    CHECK (engine_calibrator_push (calibrator, NULL));
  }
  g_autoptr (CalibTable) ranges =
      engine_calibration_table (made, statistics, CALIB_METHOD_MINMAX, 0, 8601, NULL);
  g_autoptr (EngineBias) bias = engine_bias_fast (made, statistics, NULL);
  EngineBuildOptions options = {.precision = ENGINE_PRECISION_FP32, .table = ranges};

  sum_outputs (made, &options, cpu, fp32);
  options.precision = ENGINE_PRECISION_INT8;
  sum_outputs (made, &options, cpu, plain);
  options.bias = bias;
  sum_outputs (made, &options, cpu, corrected);
  for (int k = 0; k < 4; k++) {
    *without += fabs (plain[k] - fp32[k]);
    *with += fabs (corrected[k] - fp32[k]);
  }
}

static void
test_it_helps (void)
{
  KernelBackend *cpu = net_backend ("cpu");
  double without = 0, with = 0;

  for (guint32 seed = 1; seed <= 20; seed++)
    measure (seed, cpu, &without, &with);
  printf ("mean outputs are off by %.3g without, %.3g with correction\n", without, with);
  CHECK (with < 0.85 * without); /* activations are rounded, too */
  kernel_close (cpu);
}

/* --- The file ------------------------------------------------------------------------------- */

#define SHA256 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HEAD   "gst-int8 bias correction 1\ntable " SHA256 "\n"

#define HEAD2 "gst-int8 bias correction 2\ntable " SHA256 "\n"

static void
test_channels (void)
{
  g_autoptr (EngineBias) bias = engine_bias_new ();
  g_autoptr (GError) error = NULL;
  const float factors[] = {1, 0.25f, 0.015625f}, b[] = {0};
  float threshold = 0;
  guint channels = 0;

  engine_bias_set_channels (bias, "x:0", 2, factors, 1);
  engine_bias_set_channels (bias, "x:0", 5.5f, factors, 3);
  engine_bias_set (bias, "conv1", b, 1);
  g_autofree char *text = engine_bias_to_string (bias, SHA256);
  CHECK_STR (text, HEAD2 "conv1: 0\nchannels\nx:0: 5.5 1 0.25 0.015625\nend\n");
  for (gsize n = 0; n <= strlen (text); n++) {
    g_autofree char *part = g_strndup (text, n);
    g_autoptr (EngineBias) read = engine_bias_parse (part, SHA256, "part", NULL);

    CHECK_INT (read != NULL, ==, n >= strlen (text) - 1);
  }
  g_autoptr (EngineBias) again = engine_bias_parse (text, SHA256, "test", &error);
  CHECK (again && engine_bias_n_equalised (again) == 1 && engine_bias_n_layers (again) == 1);
  const float *found = again ? engine_bias_channels (again, "x:0", &threshold, &channels) : NULL;
  CHECK (
      found && channels == 3 && threshold == 5.5f && memcmp (found, factors, sizeof factors) == 0);
  CHECK (again && !engine_bias_channels (again, "conv1", &threshold, &channels));
}

static void
test_text (void)
{
  g_autoptr (EngineBias) bias = engine_bias_new ();
  g_autoptr (GError) error = NULL;
  const float a[] = {1, -0.1f, 1e-30f, 3.40282347e38f}, b[] = {0};
  guint channels = 0;

  engine_bias_set (bias, "conv1", b, 1);
  engine_bias_set (bias, "input_1:0 [x]", b, 1);
  engine_bias_set (bias, "conv1", a, 4);
  g_autofree char *text = engine_bias_to_string (bias, SHA256);
  CHECK_STR (text, HEAD "conv1: 1 -0.100000001 1e-30 3.40282347e+38\ninput_1:0 [x]: 0\nend\n");
  g_autoptr (EngineBias) again = engine_bias_parse (text, SHA256, "test", &error);
  CHECK (again && engine_bias_n_layers (again) == 2);
  const float *found = again ? engine_bias_lookup (again, "conv1", &channels) : NULL;
  CHECK (found && channels == 4 && memcmp (found, a, sizeof a) == 0);
  CHECK (again && !engine_bias_lookup (again, "conv2", &channels));
  CHECK (!engine_bias_parse (text, SHA256 "x", "test", &error));
  CHECK (g_error_matches (error, ENGINE_ERROR, ENGINE_ERROR_MISMATCH));
}

static void
test_bad_text (void)
{
  static const struct {
    const char *text, *cause;
  } cases[] = {
      {"", "line 1: expected `gst-int8"},
      {"gst-int8 bias correction 3\n", "line 1"},
      {HEAD "channels\nx: 1 1\nend\n", "line 3: expected `tensor"},
      {HEAD2 "channels\nx: 1\nend\n", "line 4: expected T"},
      {HEAD2 "channels\nx: 0 1\nend\n", "line 4: expected T"},
      {HEAD2 "channels\nx: 1 0\nend\n", "line 4: expected T"},
      {HEAD2 "channels\nx: 1 1.01\nend\n", "line 4: expected T"},
      {HEAD2 "channels\nchannels\nend\n", "line 4: expected `tensor"},
      {HEAD2 "channels\nx: 1 1\nx: 1 1\nend\n", "line 5: a second line"},
      {HEAD2 "x: 1\nchannels\nx: 1 inf\nend\n", "line 5: expected finite"},
      {HEAD2 "channels\nx: 1 1e-50\nend\n", "line 4: expected T"},
      {HEAD "a: 1\na: 1\nend\n", "line 4: a second line"},
      {HEAD2 "channels\nx: 1 1\n", "line 5: expected `tensor"},
      {"gst-int8 bias correction 1\ntable abc\n", "line 2"},
      {HEAD "conv1 1 2\n", "line 3: expected `tensor"},
      {HEAD "a: 1\n: 1\n", "line 4: expected `tensor"},
      {HEAD "a:\n", "line 3: expected finite"},
      {HEAD "a: \n", "line 3: expected finite"},
      {HEAD "a: 1 nan\n", "line 3: expected finite"},
      {HEAD "a: 1 1e39\n", "line 3: expected finite"},
      {HEAD "a: 1 2x\n", "line 3: expected finite"},
      {HEAD "a: 1\n\nend\n", "line 4: expected `tensor"},
      {HEAD "a: 1\n", "line 4: expected `tensor"},
      {HEAD "end\nend\n", "line 3: expected `tensor"},
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (EngineBias) bias = engine_bias_parse (cases[i].text, SHA256, "file", &error);

    if (bias || !strstr (error->message, cases[i].cause))
      CHECK_FAIL ("case %zu: %s", i, error ? error->message : "no error");
  }
}

static void
test_truncations (void)
{
  const char *text = HEAD "conv1: 1 -2.5e-3 .5\nx:0: 4\nend";

  for (gsize n = 0; n <= strlen (text); n++) {
    g_autofree char *part = g_strndup (text, n);
    g_autoptr (EngineBias) bias = engine_bias_parse (part, SHA256, "part", NULL);

    CHECK_INT (bias != NULL, ==, n == strlen (text));
  }
}

/* --- Requests ------------------------------------------------------------------------------- */

static void
save_bias (const char *tensor, guint channels)
{
  g_autoptr (EngineBias) bias = engine_bias_new ();
  g_autoptr (CalibTable) loaded = calib_table_load (table, NULL);
  g_autofree float *values = g_new (float, channels);

  for (guint k = 0; k < channels; k++)
    values[k] = 0.125f * k;
  engine_bias_set (bias, tensor, values, channels);
  CHECK (engine_bias_save (bias, loaded, table, NULL));
}

static void
save_channels (const char *tensor)
{
  g_autoptr (EngineBias) bias = engine_bias_new ();
  g_autoptr (CalibTable) loaded = calib_table_load (table, NULL);

  engine_bias_set_channels (bias, tensor, 1, (const float[]){1, 0.5f}, 2);
  CHECK (engine_bias_save (bias, loaded, table, NULL));
}

static void
test_request (void)
{
  begin ();
  g_autofree char *path = path_of ("my.engine"), *beside = engine_bias_path (table);
  EngineRequest request = request_for (path);
  {
    g_auto (Outcome) before = obtain (&request);
    check_built (&before, "no engine yet");
  }
  save_bias ("ip2", 10);
  {
    g_auto (Outcome) corrected = obtain (&request), again = obtain (&request);
    check_built (&corrected, "bias correction changed");
    check_loaded (&again);
    CHECK (!corrected.report.build.unmatched);
  }
  write_table (table, 0.06f);
  {
    g_auto (Outcome) stale = obtain (&request);
    check_refused (&stale, ENGINE_ERROR, ENGINE_ERROR_MISMATCH, beside);
  }
  request.force = TRUE;
  {
    g_auto (Outcome) forced = obtain (&request);
    check_built (&forced, "calibration table changed");
    CHECK (forced.report.warning && strstr (forced.report.warning, beside));
  }
  request.force = FALSE;
  save_bias ("ip2", 3);
  {
    g_auto (Outcome) wrong = obtain (&request);
    check_refused (&wrong, ENGINE_ERROR, ENGINE_ERROR_MISMATCH, "10 output channels");
  }
  save_bias ("prob", 10);
  {
    g_auto (Outcome) nowhere = obtain (&request);
    CHECK (nowhere.report.build.unmatched != NULL);
    CHECK_STR (nowhere.report.build.unmatched->pdata[0], "bias correction of prob");
  }
  save_channels ("ip2"); /* no convolution reads it */
  {
    g_auto (Outcome) nowhere = obtain (&request);
    CHECK (nowhere.report.build.unmatched != NULL);
    CHECK_STR (nowhere.report.build.unmatched->pdata[0], "scales of the channels of ip2");
  }
  CHECK (g_file_set_contents (beside, "gst-int8 bias correction 1\0", 28, NULL));
  {
    g_auto (Outcome) damaged = obtain (&request);
    check_refused (&damaged, ENGINE_ERROR, ENGINE_ERROR_FILE, "line 2");
  }
}

/* No correction leaves no file behind: an older one would belong to another table. */
static void
test_none_removes_the_file (void)
{
  begin ();
  g_autofree char *beside = engine_bias_path (table);
  g_autoptr (CalibTable) loaded = calib_table_load (table, NULL);
  g_autoptr (EngineBias) bias = NULL;
  g_autoptr (GError) error = NULL;

  save_bias ("ip2", 10);
  bias = engine_bias_load (table, &error);
  CHECK (bias && engine_bias_n_layers (bias) == 1);
  for (int i = 0; i < 2; i++) {
    CHECK (engine_bias_save (NULL, loaded, table, NULL));
    CHECK (!g_file_test (beside, G_FILE_TEST_EXISTS));
    CHECK (!engine_bias_load (table, &error) && !error);
  }
}

/* Messages are UTF-8, whatever a path is. */
static void
test_paths_of_any_bytes (void)
{
  begin ();
  g_autofree char *other = path_of ("\xff.table"), *beside = engine_bias_path (other);
  g_autoptr (CalibTable) loaded = calib_table_load (table, NULL);
  g_autoptr (GError) parsed = NULL, kept = NULL;

  write_table (other, 0.01f);
  write_file (beside, "nothing of ours");
  CHECK (!engine_bias_load (other, &parsed));
  CHECK (parsed && strstr (parsed->message, "line 1") &&
         g_utf8_validate (parsed->message, -1, NULL));
  g_unlink (beside);
  g_mkdir (beside, 0700); /* which is no file that could be removed */
  CHECK (!engine_bias_save (NULL, loaded, other, &kept));
  CHECK (kept && strstr (kept->message, "cannot be removed") &&
         g_utf8_validate (kept->message, -1, NULL));
}

int
main (void)
{
  request_init ();
  RUN (test_formula);
  RUN (test_means_pass);
  RUN (test_it_helps);
  RUN (test_channels);
  RUN (test_text);
  RUN (test_bad_text);
  RUN (test_truncations);
  RUN (test_request);
  RUN (test_none_removes_the_file);
  RUN (test_paths_of_any_bytes);
  return request_done ();
}
