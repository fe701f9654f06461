/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * exec.c: engines on back ends: arithmetic by hand, batches, threads, back ends against each other,
 * taps.
 */
#include "engine/exec.h"
#include "tests/check.h"
#include "tests/engine/make-graph.h"
#include "tests/engine/net.h"

static KernelBackend *ref, *cpu;

static EngineExec *
exec_new (Engine *engine, KernelBackend *backend, int batch, int threads)
{
  g_autoptr (GError) error = NULL;
  EngineExec *exec = engine_exec_new (engine, backend, batch, threads, &error);

  if (!exec)
    g_error ("engine_exec_new: %s", error->message);
  return exec;
}

static void
run (EngineExec *exec, int batch)
{
  g_autoptr (GError) error = NULL;

  if (!engine_exec_run (exec, batch, &error))
    g_error ("engine_exec_run: %s", error->message);
}

/* --- By hand -------------------------------------------------------------------------------- */

/* A 2x2 window over 3x3 pixels, two filters, ReLU, then the mean: small enough for paper. */
static const float paper_w[] = {1, 2, 3, 4, /* */ -1, 0, 0, 1};
static const float paper_b[] = {0.5f, -1};
static const float paper_x[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};

static EngineGraph *
paper_net (void)
{
  g_autoptr (Net) net = net_new (1);
  const int y = net_conv_given (net, net_input (net, 3, 3, 1), 2, 2, 1, paper_w, paper_b);

  engine_graph_node (net->graph, engine_graph_value (net->graph, y)->producer)->conv.lo = 0;
  return net_finish (net, net_global_pool (net, y));
}

static void
test_fp32_by_hand (void)
{
  g_autoptr (Engine) engine = net_engine (paper_net ());
  g_autoptr (EngineExec) exec = exec_new (engine, ref, 1, 1);

  memcpy (engine_exec_input (exec, 0), paper_x, sizeof paper_x);
  run (exec, 1);
  /* filter 1: 37.5, 47.5, 67.5, 77.5; filter 2: -1 + 5 - 1 = 3 four times (x22 - x11 = 4) */
  CHECK (engine_exec_output (exec, 0)[0] == 57.5f);
  CHECK (engine_exec_output (exec, 0)[1] == 3.0f);
}

/* The same network in int8, computed with the formulas of docs/NUMERICS.md and nothing else. */
static void
paper_int8 (const EngineGraph *graph, EngineRanges ranges, float out[2])
{
  const gboolean full = ranges == ENGINE_RANGES_FULL;
  g_autoptr (CalibTable) table = net_calibrate (graph, 9, 8);
  float word_x, word_y;
  CHECK (calib_table_lookup (table, "input", &word_x));
  CHECK (calib_table_lookup (table, "conv1", &word_y));

  /* The input may be negative; conv1 ends in a ReLU. */
  const float s_x = word_x, s_y = full ? (float) (word_y * 127.0 / 255) : word_y;
  const int zero_y = full ? -128 : 0;
  gint8 x[9], y[4][2];
  for (int i = 0; i < 9; i++)
    x[i] = (gint8) CLAMP (rint ((paper_x[i] / 20) / (double) s_x), -128, 127);
  for (int k = 0; k < 2; k++) {
    const double s_w = (k == 0 ? 4.0 : 1.0) / 127;
    const float m = (float) (s_x * s_w / s_y), b = (float) (paper_b[k] / s_y + zero_y);
    for (int o = 0; o < 4; o++) {
      int acc = 0;
      for (int j = 0; j < 4; j++)
        acc += x[(o / 2 + j / 2) * 3 + o % 2 + j % 2] * (int) rint (paper_w[4 * k + j] / s_w);
      y[o][k] = (gint8) CLAMP (rintf (fmaf ((float) acc, m, b)), zero_y, 127);
    }
    const double per_pixel = (double) s_y / 4;
    const int sum = y[0][k] + y[1][k] + y[2][k] + y[3][k];
    out[k] = fmaf ((float) sum, (float) per_pixel, (float) (-4.0 * zero_y * per_pixel));
  }
}

static void
check_int8_by_hand (EngineRanges ranges)
{
  g_autoptr (EngineGraph) graph = paper_net ();
  g_autoptr (Engine) engine = net_engine_int8 (graph, ranges, 9);
  g_autoptr (EngineExec) exec = exec_new (engine, ref, 1, 1);
  float scale, expected[2];
  int zero;

  CHECK_INT (engine_input_type (engine, &scale, &zero), ==, ENGINE_TYPE_S8);
  CHECK_INT (zero, ==, 0);
  for (int i = 0; i < 9; i++)
    ((gint8 *) engine_exec_input (exec, 0))[i] =
        (gint8) CLAMP (rint ((paper_x[i] / 20) / (double) scale), -128, 127);
  run (exec, 1);
  paper_int8 (graph, ranges, expected);
  CHECK (memcmp (engine_exec_output (exec, 0), expected, sizeof expected) == 0);
  CHECK (fabsf (expected[0] - (57 / 20.0f + 0.5f)) < 0.1f);
}

static void
test_int8_by_hand_full (void)
{
  check_int8_by_hand (ENGINE_RANGES_FULL);
}

static void
test_int8_by_hand_symmetric (void)
{
  check_int8_by_hand (ENGINE_RANGES_SYMMETRIC);
}

/* Whole networks in int8 stay close to float: a wrong zero point or factor would not. */
static void
test_int8_follows_fp32 (void)
{
  double worst = 0, sum = 0;
  int n = 0;

  for (guint32 seed = 1; seed <= 200; seed++) {
    g_autoptr (EngineGraph) graph = net_random (seed);
    g_autoptr (Engine) int8 = net_engine_int8 (graph, (EngineRanges) (seed % 2), seed);
    g_autoptr (Engine) fp32 = net_engine (g_steal_pointer (&graph));
    g_autoptr (EngineExec) a = exec_new (fp32, ref, 1, 1), b = exec_new (int8, ref, 1, 1);
    double noise = 0, signal = 0;

    for (int i = 0; i < 8; i++) {
      net_fill_input (fp32, a, 0, seed, i);
      net_fill_input (int8, b, 0, seed, i);
      run (a, 1);
      run (b, 1);
      for (int k = 0; k < engine_n_classes (fp32); k++) {
        const double x = engine_exec_output (a, 0)[k], d = engine_exec_output (b, 0)[k] - x;
        signal += x * x;
        noise += d * d;
      }
    }
    const double error = sqrt (noise / signal);
    worst = fmax (worst, error);
    sum += error;
    n++;
  }
  printf ("relative error of int8: mean %.4f, worst %.4f\n", sum / n, worst);
  CHECK (sum / n < 0.03);
  CHECK (worst < 0.5);
}

/* --- The same bytes ------------------------------------------------------------------------- */

static void
check_same_outputs (const char *what, guint32 seed, EngineExec *a, int at_a, EngineExec *b,
    int at_b, int n_classes)
{
  if (memcmp (engine_exec_output (a, at_a), engine_exec_output (b, at_b),
          n_classes * sizeof (float)) != 0)
    CHECK_FAIL ("%s: seed %u, images %d and %d differ", what, seed, at_a, at_b);
}

static void
check_batches (Engine *engine, KernelBackend *backend, guint32 seed)
{
  enum { BATCH = 5 };
  g_autoptr (EngineExec) one = exec_new (engine, backend, 1, 1);
  g_autoptr (EngineExec) many = exec_new (engine, backend, BATCH, 2);

  for (int batch = 1; batch <= BATCH; batch++) {
    for (int i = 0; i < batch; i++)
      net_fill_input (engine, many, i, seed, i);
    run (many, batch);
    for (int i = 0; i < batch; i++) {
      net_fill_input (engine, one, 0, seed, i);
      run (one, 1);
      check_same_outputs ("batch", seed, many, i, one, 0, engine_n_classes (engine));
    }
  }
}

static void
check_threads_and_backends (Engine *engine, guint32 seed)
{
  g_autoptr (EngineExec) expected = exec_new (engine, ref, 2, 1);

  net_fill_input (engine, expected, 0, seed, 0);
  net_fill_input (engine, expected, 1, seed, 1);
  run (expected, 2);
  for (int threads = 1; threads <= 5; threads += 2) {
    g_autoptr (EngineExec) exec = exec_new (engine, cpu, 2, threads);

    net_fill_input (engine, exec, 0, seed, 0);
    net_fill_input (engine, exec, 1, seed, 1);
    run (exec, 2);
    check_same_outputs ("ref and cpu", seed, expected, 0, exec, 0, engine_n_classes (engine));
    check_same_outputs ("ref and cpu", seed, expected, 1, exec, 1, engine_n_classes (engine));
  }
}

static void
for_random_engines (void (*check) (Engine *engine, guint32 seed))
{
  for (guint32 seed = 1; seed <= 60 && !check_failures_in_test; seed++) {
    g_autoptr (EngineGraph) graph = net_random (seed);
    g_autoptr (Engine) int8 = net_engine_int8 (graph, ENGINE_RANGES_FULL, seed);
    g_autoptr (Engine) fp32 = net_engine (g_steal_pointer (&graph));

    check (int8, seed);
    check (fp32, seed);
  }
}

static void
check_batches_on_both (Engine *engine, guint32 seed)
{
  check_batches (engine, ref, seed);
  check_batches (engine, cpu, seed);
}

static void
test_batches (void)
{
  for_random_engines (check_batches_on_both);
}

static void
test_threads_and_backends (void)
{
  for_random_engines (check_threads_and_backends);
}

/* The input is still there after a run. */
static void
test_runs_again (void)
{
  g_autoptr (EngineGraph) graph = net_random (11);
  g_autoptr (Engine) engine = net_engine_int8 (graph, ENGINE_RANGES_FULL, 11);
  g_autoptr (EngineExec) a = exec_new (engine, cpu, 1, 1), b = exec_new (engine, cpu, 1, 1);

  net_fill_input (engine, a, 0, 1, 1);
  net_fill_input (engine, b, 0, 1, 1);
  run (a, 1);
  run (b, 1);
  run (b, 1);
  check_same_outputs ("again", 11, a, 0, b, 0, engine_n_classes (engine));
}

/* --- Taps ----------------------------------------------------------------------------------- */

static void
note_tap (const EngineTap *tap, gpointer data)
{
  const gsize last = tap->n * tap->elements - 1;

  g_string_append_printf (data, "%s %d x %d / %u: ", tap->name, (int) tap->n, (int) tap->elements,
      tap->channels);
  if (tap->type == ENGINE_TYPE_F32)
    g_string_append_printf (data, "%g .. %g\n", ((const float *) tap->x)[0],
        ((const float *) tap->x)[last]);
  else
    g_string_append_printf (data, "%d .. %d, (q - %d) * %g\n", ((const gint8 *) tap->x)[0],
        ((const gint8 *) tap->x)[last], tap->zero, tap->scale);
}

static void
test_taps (void)
{
  g_autoptr (Net) net = net_new (1);
  const float w[] = {2, 0, 0, -1}, b[] = {0, 1};
  const int x = net_conv_given (net, net_input (net, 1, 2, 2), 2, 1, 2, w, b);
  const int flat = net_reshape (net, x, 2, (const int[]){1, 4});
  const int clip = net_unary (net, flat, KERNEL_UNARY_CLIP, 0, 5);
  g_autoptr (Engine) engine = net_engine (net_finish (net, clip));
  g_autoptr (GString) seen = g_string_new (NULL);
  g_autoptr (EngineExec) exec = engine_exec_new_tapped (engine, ref, 3, 1, note_tap, seen, NULL);
  const float images[] = {1, 2, 3, 4, 10, 20, 30, 40};

  memcpy (engine_exec_input (exec, 0), images, sizeof images);
  run (exec, 2);
  CHECK_STR (seen->str, "input 2 x 4 / 2: 1 .. 40\n"
                        "conv1 2 x 4 / 2: 2 .. -39\n"
                        "reshape2 2 x 4 / 4: 2 .. -39\n" /* before clip overwrites it */
                        "unary3 2 x 4 / 4: 2 .. 0\n");
  CHECK (engine_exec_output (exec, 1)[0] == 5);
}

static void
test_taps_of_int8 (void)
{
  g_autoptr (EngineGraph) graph = engine_graph_new ();
  g_autoptr (GString) seen = g_string_new (NULL);
  const float image[] = {0, 1, 2, -70};
  const int x = make_input (graph, "input", DIMS (1, 1, 2, 2));

  make_node (graph, ENGINE_OP_QUANTISE, "q", x);
  const int q = make_infer (graph);
  engine_graph_value (graph, q)->quant = (EngineQuant){0.5f, -3, ENGINE_RANGE_AFFINE};
  make_node (graph, ENGINE_OP_DEQUANTISE, "y", q);
  make_output (graph, make_infer (graph));

  g_autoptr (Engine) engine = net_engine (g_steal_pointer (&graph));
  g_autoptr (EngineExec) exec = engine_exec_new_tapped (engine, ref, 1, 1, note_tap, seen, NULL);
  memcpy (engine_exec_input (exec, 0), image, sizeof image);
  run (exec, 1);
  CHECK_STR (seen->str, "input 1 x 4 / 2: 0 .. -70\n"
                        "y 1 x 4 / 2: 0 .. -62.5\n" /* the largest first */
                        "q 1 x 4 / 2: -3 .. -128, (q - -3) * 0.5\n");
}

/* --- Softmax -------------------------------------------------------------------------------- */

static void
test_softmax (void)
{
  float x[] = {1000, 1001, 999}, sum = 0;

  engine_softmax (x, 3);
  for (int i = 0; i < 3; i++)
    sum += x[i];
  CHECK (fabsf (sum - 1) < 1e-6f);
  CHECK (fabsf (x[1] / x[0] - (float) G_E) < 1e-5f);
  CHECK (fabsf (x[0] / x[2] - (float) G_E) < 1e-5f);
}

int
main (void)
{
  ref = net_backend ("ref");
  cpu = net_backend ("cpu");
  RUN (test_fp32_by_hand);
  RUN (test_int8_by_hand_full);
  RUN (test_int8_by_hand_symmetric);
  RUN (test_int8_follows_fp32);
  RUN (test_batches);
  RUN (test_threads_and_backends);
  RUN (test_runs_again);
  RUN (test_taps);
  RUN (test_taps_of_int8);
  RUN (test_softmax);
  kernel_close (cpu);
  kernel_close (ref);
  return check_done ();
}
