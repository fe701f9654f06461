/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * equalise.c: channels before a depthwise convolution get scales of their own: which tensors, which factors,
 * that the engine computes with them, that files and comparisons know them.
 */
#include "tests/engine/equalise.h"

#include <glib/gstdio.h>

/* A pointwise convolution of four filters, each a tenth of the one before, and a depthwise one that makes
 * up for it: with one range the last channel has a level or none. */
static EngineModel *
make_model (float hi)
{
  static const float w[] = {1, 0.5f, 0.1f, -0.05f, 0.01f, 0.007f, -0.001f, 0.0004f}, b[4] = {0};
  g_autoptr (Net) net = net_new (3);
  int x = net_conv_given (net, net_input (net, 4, 4, 2), 4, 1, 2, w, b);
  EngineNode *conv = engine_graph_node (net->graph, 0);

  conv->conv.lo = 0;
  conv->conv.hi = hi;
  x = net_conv (net, x, (NetConv){.oc = 4, .k = 3, .pad = 1, .groups = 4});
  conv = engine_graph_node (net->graph, 1);
  float *depthwise = g_memdup2 (
      g_bytes_get_data (engine_graph_value (net->graph, conv->inputs[ENGINE_CONV_W])->data, NULL),
      36 * sizeof (float));
  for (int i = 0; i < 36; i++)
    depthwise[i] *= powf (10, (float) (i / 9));
  EngineValue *weights = engine_graph_value (net->graph, conv->inputs[ENGINE_CONV_W]);
  g_bytes_unref (weights->data);
  weights->data = g_bytes_new_take (depthwise, 36 * sizeof (float));
  return net_model (net_finish (net, net_dense (net, x, 4)));
}

static EngineBias *
equalise (const EngineModel *model, const GPtrArray *frames, CalibMethod method)
{
  const EngineEqualiseOptions options = {.method = method, .frames = frames, .threads = 1};
  EngineBias *bias = engine_bias_new ();
  g_autoptr (GError) error = NULL;

  if (!engine_equalise (bias, model, &options, cpu, NULL, &error))
    g_error ("%s", error->message);
  return bias;
}

/* The largest magnitudes, by hand, of a pointwise convolution with ReLU. */
static void
test_factors (void)
{
  static const float w[] = {1, 0.5f, 0.1f, -0.05f, 0.01f, 0.007f, -0.001f, 0.0004f};
  g_autoptr (EngineModel) model = make_model (INFINITY);
  g_autoptr (GPtrArray) frames = make_frames ();
  g_autoptr (EngineBias) bias = equalise (model, frames, CALIB_METHOD_MINMAX);
  float largest[4] = {0}, threshold;
  guint channels;

  for (guint f = 0; f < FRAMES; f++)
    for (int i = 0; i < PIXELS; i += 2)
      for (int k = 0; k < 4; k++) {
        const float *x = (const float *) frames->pdata[f] + i;

        largest[k] = fmaxf (largest[k], w[2 * k] * x[0] + w[2 * k + 1] * x[1]);
      }
  CHECK_INT (engine_bias_n_equalised (bias), ==, 1);
  const float *factors = engine_bias_channels (bias, between (model), &threshold, &channels);
  CHECK (factors != NULL);
  CHECK_INT (channels, ==, 4);
  CHECK (fabsf (threshold / largest[0] - 1) < 1e-4f);
  for (int k = 0; k < 4 && factors; k++)
    CHECK (fabsf (factors[k] - fmaxf (sqrtf (largest[k] / largest[0]), 1.0f / 64)) < 1e-6f);
}

static void
test_it_helps (void)
{
  for (int clamped = 0; clamped < 2; clamped++) {
    g_autoptr (EngineModel) model = make_model (clamped ? 1.2f : INFINITY);
    g_autoptr (GPtrArray) frames = make_frames ();
    g_autoptr (CalibTable) table = net_table (model, cpu, frames, NULL);
    g_autoptr (EngineBias) bias = equalise (model, frames, CALIB_METHOD_MINMAX);
    EngineBuildOptions options = {.precision = ENGINE_PRECISION_INT8, .table = table};
    double plain_inside = 0, inside = 0;
    const double plain = sqnr (model, &options, frames, &plain_inside);

    options.bias = bias;
    const double equalised = sqnr (model, &options, frames, &inside);
    printf ("logits %.1f dB, equalised %.1f dB; between %.1f and %.1f dB\n", plain, equalised,
        plain_inside, inside);
    CHECK (equalised > plain + 3);
    CHECK (inside > plain_inside - 0.5); /* of the largest channel, which nothing changes */
  }
}

/* The engine that is loaded computes what was built. */
static void
test_engine_file (void)
{
  g_autoptr (EngineModel) model = make_model (INFINITY);
  g_autoptr (GPtrArray) frames = make_frames ();
  g_autoptr (CalibTable) table = net_table (model, cpu, frames, NULL);
  g_autoptr (EngineBias) bias = equalise (model, frames, CALIB_METHOD_MINMAX);
  const EngineBuildOptions options = {.precision = ENGINE_PRECISION_INT8,
      .table = table,
      .bias = bias};
  g_autoptr (Engine) engine = engine_build (model, &options, NULL, NULL, NULL, NULL, NULL);
  g_autofree char *folder = g_dir_make_tmp ("int8-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "e.int8engine", NULL);
  g_autoptr (GError) error = NULL;

  CHECK (engine_save (engine, "key", path, &error));
  g_autoptr (Engine) loaded = engine_load (path, "key", &error);
  CHECK (loaded != NULL);
  for (guint v = 0; loaded && v < engine->graph->values->len; v++) {
    const GBytes *a = engine_graph_value (engine->graph, v)->factors;
    const GBytes *b = engine_graph_value (loaded->graph, v)->factors;

    CHECK ((a == NULL) == (b == NULL) && (!a || g_bytes_equal (a, b)));
    CHECK (
        (a != NULL) == g_str_equal (engine_graph_value (engine->graph, v)->name, between (model)));
  }
  g_remove (path);
  g_rmdir (folder);
}

/* Before one depthwise convolution: not where somebody else reads the tensor, where there is a residual, or a
 * clamp that is not at 0. */
static void
test_which (void)
{
  g_autoptr (Net) net = net_new (1);
  const int in = net_input (net, 4, 4, 4);
  const int a = net_conv (net, in, (NetConv){.oc = 4, .k = 1, .lo = 0, .hi = 6});
  const int b = net_conv (net, a, (NetConv){.oc = 4, .k = 3, .pad = 1, .groups = 4});
  const int c = net_conv (net, b, (NetConv){.oc = 4, .k = 1, .residual = a});
  const int d = net_conv (net, c, (NetConv){.oc = 4, .k = 3, .pad = 1, .groups = 4});
  const int e = net_conv (net, d, (NetConv){.oc = 4, .k = 1, .lo = -1, .hi = 1});
  const int f = net_conv (net, e, (NetConv){.oc = 4, .k = 3, .pad = 1, .groups = 4});
  const int g = net_conv (net, f, (NetConv){.oc = 4, .k = 1});
  const int h = net_conv (net, g, (NetConv){.oc = 4, .k = 3, .pad = 1, .groups = 4});
  g_autoptr (EngineGraph) graph = net_finish (net, net_dense (net, h, 3));
  int n = 0;

  for (int v = 0; v < (int) graph->values->len; v++) {
    g_autoptr (GArray) readers = engine_equalise_readers (graph, v);

    n += readers && !engine_equalise_is_dense (graph, v);
  }
  CHECK_INT (n, ==, 1);
  g_autoptr (GArray) of_g = engine_equalise_readers (graph, g);
  CHECK (of_g && of_g->len == 1 && !engine_equalise_is_dense (graph, g));
}

int
main (void)
{
  cpu = net_backend ("cpu");
  RUN (test_factors);
  RUN (test_it_helps);
  RUN (test_engine_file);
  RUN (test_which);
  kernel_close (cpu);
  return check_done ();
}
