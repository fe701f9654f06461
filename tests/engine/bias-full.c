/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bias-full.c: full bias correction: a layer by its definition, clamps, residuals and pools between
 * layers, a frame that is far out, and what is refused.
 */
#include "engine/bias.h"
#include "engine/quant.h"
#include "tests/check.h"
#include "tests/engine/net.h"

#include <math.h>

#define FRAMES 9
#define PIXELS (4 * 4 * 2)

static KernelBackend *cpu;

/* Far from a mean of 0; no frame is like another. */
static GPtrArray *
make_frames (guint n)
{
  GPtrArray *frames = g_ptr_array_new_with_free_func (g_free);

  for (guint f = 0; f < n; f++) {
    float *x = g_new (float, PIXELS);

    for (int k = 0; k < PIXELS; k++)
      x[k] = 1 + 0.5f * sinf ((float) f + 0.7f * (float) k);
    g_ptr_array_add (frames, x);
  }
  return frames;
}

static EngineBias *
correct (const EngineModel *model, const CalibTable *table, const GPtrArray *frames, int threads)
{
  const EngineBiasOptions options = {.frames = frames, .threads = threads};
  g_autoptr (GError) error = NULL;
  EngineBias *bias = engine_bias_full (model, table, &options, cpu, NULL, &error);

  if (!bias)
    g_error ("%s", error->message);
  return bias;
}

static int
compare_doubles (const void *a, const void *b)
{
  const double x = *(const double *) a, y = *(const double *) b;

  return (x > y) - (x < y);
}

/* --- The definition -------------------------------------------------------------------------- */

/* Mean over a frame of what a 1x1 filter of two weights makes of exact values, less what it makes of
 * levels. */
static double
lost (const float *w, const float *frame, double s_x)
{
  const double s_w = fmax (fabs (w[0]), fabs (w[1])) / 127;
  double sum = 0;

  for (int i = 0; i < PIXELS; i++)
    sum += w[i % 2] * frame[i] - s_w * rint (w[i % 2] / s_w) * s_x * rint (frame[i] / s_x);
  return sum / (PIXELS / 2);
}

/* The first layer of a network, clamped, and the last: the ReLU6 takes no part. */
static void
test_definition (void)
{
  static const float w[] = {1, 0.313f, -0.52f, 0.777f, 0.9f, 0.41f}, b[] = {-0.7f, 0.1f, 5.5f};
  g_autoptr (Net) net = net_new (1);
  int x = net_conv_given (net, net_input (net, 4, 4, 2), 3, 1, 2, w, b);
  EngineNode *conv = engine_graph_node (net->graph, 0);
  g_autoptr (GPtrArray) frames = make_frames (FRAMES);
  float scale;
  guint channels = 0;

  conv->conv.lo = 0;
  conv->conv.hi = 6;
  g_autofree char *name = g_strdup (engine_graph_value (net->graph, x)->name);
  x = net_dense (net, x, 4);
  g_autoptr (EngineModel) model = net_model (net_finish (net, x));
  g_autoptr (CalibTable) table = net_table (model, cpu, frames, NULL);
  g_autoptr (EngineBias) bias = correct (model, table, frames, 1);

  CHECK_INT (engine_bias_n_layers (bias), ==, 2);
  CHECK (calib_table_lookup (table, "input", &scale));
  const float *found = engine_bias_lookup (bias, name, &channels);
  CHECK (found != NULL);
  CHECK_INT (channels, ==, 3);
  for (int k = 0; k < 3 && found; k++) {
    double off[FRAMES];

    for (int f = 0; f < FRAMES; f++)
      off[f] = lost (w + 2 * k, frames->pdata[f], scale);
    qsort (off, FRAMES, sizeof *off, compare_doubles);
    CHECK (fabs (found[k] - off[FRAMES / 2]) < 0.51 * scale / 127); /* biases are whole sums */
    CHECK (fabs (off[FRAMES / 2]) > 2 * scale / 127);
  }
}

/* Of an even number of frames, the middle of the two in the middle. */
static void
test_even (void)
{
  static const float w[] = {1, 0.313f}, b[] = {0};
  g_autoptr (Net) net = net_new (1);
  const int x = net_conv_given (net, net_input (net, 4, 4, 2), 1, 1, 2, w, b);
  g_autoptr (GPtrArray) frames = make_frames (2);
  g_autoptr (EngineModel) model = net_model (net_finish (net, x));
  g_autoptr (CalibTable) table = net_table (model, cpu, frames, NULL);
  g_autoptr (EngineBias) bias = correct (model, table, frames, 1);
  float scale;
  guint channels;

  CHECK (calib_table_lookup (table, "input", &scale));
  const double a = lost (w, frames->pdata[0], scale), c = lost (w, frames->pdata[1], scale);
  const float *found = engine_bias_lookup (bias, engine_bias_layer (bias, 0), &channels);
  CHECK (found && fabs (found[0] - (a + c) / 2) < 2e-6);
}

/* --- Whole networks --------------------------------------------------------------------------- */

/* A clamp, a max pool behind which no means are known, a residual that is clamped, and one that is not. */
static EngineModel *
make_model (guint32 seed)
{
  g_autoptr (Net) net = net_new (seed);
  int x = net_input (net, 4, 4, 2);
  int y;

  x = net_conv (net, x, (NetConv){.oc = 8, .k = 3, .pad = 1, .lo = 0, .hi = 6});
  x = net_pool (net, ENGINE_OP_MAXPOOL, x, 2, 2, 0);
  y = net_conv (net, x, (NetConv){.oc = 8, .k = 3, .pad = 1, .lo = 0, .hi = INFINITY});
  x = net_conv (net, y,
      (NetConv){.oc = 8, .k = 3, .pad = 1, .residual = x, .lo = 0, .hi = INFINITY});
  x = net_conv (net, x, (NetConv){.oc = 8, .k = 1, .residual = y, .lo = -INFINITY, .hi = INFINITY});
  return net_model (net_finish (net, net_dense (net, x, 4)));
}

static void
sum_outputs (const EngineModel *model, const EngineBuildOptions *options, const GPtrArray *frames,
    double *sums)
{
  g_autoptr (Engine) engine = engine_build (model, options, NULL, NULL, NULL, NULL, NULL);
  g_autoptr (EngineExec) exec = engine_exec_new (engine, cpu, 1, 1, NULL);
  EngineQuant quant = {0};
  const EngineType type = engine_input_type (engine, &quant.scale, &quant.zero);

  for (guint f = 0; f < frames->len; f++) {
    const float *frame = frames->pdata[f];
    void *input = engine_exec_input (exec, 0);

    for (int k = 0; k < PIXELS; k++)
      if (type == ENGINE_TYPE_S8)
        ((gint8 *) input)[k] = engine_quant_level (&quant, frame[k]);
      else
        ((float *) input)[k] = frame[k];
    CHECK (engine_exec_run (exec, 1, NULL));
    for (int k = 0; k < 4; k++)
      sums[k] += engine_exec_output (exec, 0)[k] / (double) frames->len;
  }
}

static void
test_it_helps (void)
{
  double without = 0, with = 0;

  for (guint32 seed = 1; seed <= 20; seed++) {
    g_autoptr (EngineModel) model = make_model (seed);
    g_autoptr (GPtrArray) frames = make_frames (FRAMES);
    g_autoptr (CalibTable) table = net_table (model, cpu, frames, NULL);
    g_autoptr (EngineBias) bias = correct (model, table, frames, 1);
    EngineBuildOptions options = {.precision = ENGINE_PRECISION_FP32, .table = table};
    double fp32[4] = {0}, plain[4] = {0}, corrected[4] = {0};

    CHECK_INT (engine_bias_n_layers (bias), ==, 5);
    sum_outputs (model, &options, frames, fp32);
    options.precision = ENGINE_PRECISION_INT8;
    sum_outputs (model, &options, frames, plain);
    options.bias = bias;
    sum_outputs (model, &options, frames, corrected);
    for (int k = 0; k < 4; k++) {
      without += fabs (plain[k] - fp32[k]);
      with += fabs (corrected[k] - fp32[k]);
    }
  }
  printf ("mean outputs are off by %.3g without, %.3g with correction\n", without, with);
  CHECK (with < 0.4 * without); /* the median is no mean: something is left */
}

static gboolean
equal (const EngineBias *a, const EngineBias *b)
{
  g_autofree char *x = engine_bias_to_string (a, ""), *y = engine_bias_to_string (b, "");

  return g_str_equal (x, y);
}

static void
test_threads (void)
{
  g_autoptr (EngineModel) model = make_model (3);
  g_autoptr (GPtrArray) frames = make_frames (FRAMES);
  g_autoptr (CalibTable) table = net_table (model, cpu, frames, NULL);
  g_autoptr (EngineBias) one = correct (model, table, frames, 1);
  g_autoptr (EngineBias) three = correct (model, table, frames, 3);

  CHECK (equal (one, three));
}

/* One frame of nine is ten times as bright, and the table clips it: the others are not shifted to make
 * up for what it loses. */
static void
test_far_frame (void)
{
  g_autoptr (EngineModel) model = make_model (5);
  g_autoptr (GPtrArray) frames = make_frames (FRAMES);
  g_autoptr (CalibTable) table = net_table (model, cpu, frames, NULL);
  g_autoptr (EngineBias) before = correct (model, table, frames, 1);
  float *far = frames->pdata[4];
  guint n;

  for (int k = 0; k < PIXELS; k++)
    far[k] *= 10;
  g_autoptr (EngineBias) after = correct (model, table, frames, 1);
  const float *a = engine_bias_lookup (before, engine_bias_layer (before, 0), &n);
  const float *b = engine_bias_lookup (after, engine_bias_layer (after, 0), &n);
  for (guint k = 0; k < n; k++)
    CHECK (fabsf (a[k] - b[k]) < 0.02f); /* its mean is off by about 10 */
}

static void
test_errors (void)
{
  g_autoptr (EngineModel) model = make_model (1);
  g_autoptr (GPtrArray) frames = make_frames (2);
  g_autoptr (GPtrArray) none = g_ptr_array_new ();
  g_autoptr (CalibTable) table = net_table (model, cpu, frames, NULL);
  g_autoptr (CalibTable) empty = calib_table_new ("TRT-8601-MinMaxCalibration");
  g_autoptr (CalibStatistics) other = calib_statistics_new (NULL, CALIB_HISTOGRAM_DEFAULT);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  EngineBiasOptions options = {.frames = none, .threads = 1};
  g_autoptr (GError) error = NULL;

  CHECK (!engine_bias_full (model, table, &options, cpu, NULL, &error));
  CHECK (g_error_matches (error, CALIB_ERROR, CALIB_ERROR_EMPTY) &&
         strstr (error->message, "keep-frames"));
  g_clear_error (&error);
  options.frames = frames;
  CHECK (!engine_bias_full (model, empty, &options, cpu, NULL, &error));
  CHECK (g_error_matches (error, ENGINE_ERROR, ENGINE_ERROR_RANGE));
  g_clear_error (&error);
  g_cancellable_cancel (cancellable);
  CHECK (!engine_bias_full (model, table, &options, cpu, cancellable, &error));
  CHECK (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED));
  g_clear_error (&error);
  calib_statistics_keep_frames (other, 1);
  calib_statistics_offer_frame (other, frames->pdata[0], PIXELS - 1);
  CHECK (!engine_bias_frames (model, other, &error));
  CHECK (g_error_matches (error, CALIB_ERROR, CALIB_ERROR_MISMATCH));
}

int
main (void)
{
  cpu = net_backend ("cpu");
  RUN (test_definition);
  RUN (test_even);
  RUN (test_it_helps);
  RUN (test_threads);
  RUN (test_far_frame);
  RUN (test_errors);
  kernel_close (cpu);
  return check_done ();
}
