/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * halves.c: FP16 engines: the pass that makes them, that they stay close to FP32 on `ref` and on a
 * GPU, their files, and who refuses them.
 */
#include "engine/pass/pass.h"
#include "tests/calib/common.h"
#include "tests/engine/net.h"

#include <glib/gstdio.h>

#define NETWORKS 60

static const EngineBuildOptions fp16 = {.precision = ENGINE_PRECISION_FP16};
static const EngineBuildOptions fp32 = {.precision = ENGINE_PRECISION_FP32};

/* --- The pass ------------------------------------------------------------------------------- */

static void
test_pass (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Net) net = net_new (1);
  const EnginePassContext context = {&fp16};
  int x = net_input (net, 8, 8, 4);

  x = net_conv (net, x, (NetConv){.oc = 8, .k = 3, .pad = 1, .hi = 6});
  x = net_global_pool (net, x);
  x = net_softmax (net, x);
  g_autoptr (EngineGraph) graph = net_finish (net, x);
  CHECK (engine_passes_fp16 (graph, &context, &error));
  CHECK (!error);
  g_autofree char *text = engine_graph_dump (graph);
  CHECK (strstr (text, "(half)"));
  CHECK (strstr (text, "f16 [1 8 8 8]"));
  CHECK (strstr (text, "widen"));
  for (guint i = 0; i < graph->nodes->len; i++) {
    const EngineNode *node = engine_graph_node (graph, i);
    const EngineType x_type = engine_graph_value (graph, node->inputs[0])->type;

    CHECK_INT (x_type, ==,
        node->op == ENGINE_OP_SOFTMAX || node->op == ENGINE_OP_NARROW ? ENGINE_TYPE_F32
                                                                      : ENGINE_TYPE_F16);
  }
  CHECK_INT (engine_graph_value (graph, g_array_index (graph->outputs, int, 0))->type, ==,
      ENGINE_TYPE_F32);
}

/* --- Results -------------------------------------------------------------------------------- */

static float *
run (Engine *engine, KernelBackend *backend, guint32 seed)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineExec) exec = engine_exec_new (engine, backend, 1, 1, &error);
  KernelBackend *host = net_backend ("ref");
  EngineInputInfo info;

  if (!exec)
    g_error ("%s", error->message);
  engine_input (engine, &info);
  if (backend->host_memory) {
    net_fill_input (engine, exec, 0, seed, 0);
  } else {
    g_autoptr (EngineExec) twin = engine_exec_new (engine, host, 1, 1, &error);

    net_fill_input (engine, twin, 0, seed, 0);
    backend->upload (engine_exec_queue (exec), engine_exec_input (exec, 0),
        engine_exec_input (twin, 0),
        sizeof (float) * info.height * info.width * info.channels);
  }
  CHECK (engine_exec_run (exec, 1, &error));
  CHECK (!error);
  kernel_close (host);
  return g_memdup2 (engine_exec_output (exec, 0), sizeof (float) * engine_n_classes (engine));
}

/* The largest difference, as a part of the largest magnitude. */
static double
difference (const float *x, const float *expected, int n)
{
  double off = 0, largest = 1e-6;

  for (int i = 0; i < n; i++) {
    off = fmax (off, fabs ((double) x[i] - expected[i]));
    largest = fmax (largest, fabs ((double) expected[i]));
  }
  return off / largest;
}

/* Each value is rounded to 11 bits, 14 layers deep at the most. */
static void
test_close_to_floats (void)
{
  KernelBackend *ref = net_backend ("ref");
  double worst = 0;

  for (guint32 seed = 1; seed <= NETWORKS; seed++) {
    g_autoptr (EngineGraph) graph = net_random (seed);
    g_autoptr (Engine) half = net_engine_with (graph, &fp16);
    g_autoptr (Engine) full = net_engine_with (graph, &fp32);
    g_autofree float *x = run (half, ref, seed), *expected = run (full, ref, seed);

    CHECK_INT (engine_precision (half), ==, ENGINE_PRECISION_FP16);
    worst = fmax (worst, difference (x, expected, engine_n_classes (full)));
  }
  printf ("%d networks: FP16 differs from FP32 by at most %.2g of the largest output\n", NETWORKS,
      worst);
  CHECK (worst < 0.02);
  kernel_close (ref);
}

static void
test_device (void)
{
  char why[256];
  KernelBackend *cuda = kernel_open ("cuda", why, sizeof why), *ref;
  double worst = 0;

  if (!cuda)
    SKIP ("%s", why);
  ref = net_backend ("ref");
  for (guint32 seed = 1; seed <= NETWORKS; seed++) {
    g_autoptr (EngineGraph) graph = net_random (seed);
    g_autoptr (Engine) half = net_engine_with (graph, &fp16);
    g_autofree float *x = run (half, cuda, seed), *expected = run (half, ref, seed);

    worst = fmax (worst, difference (x, expected, engine_n_classes (half)));
  }
  printf ("%d networks: %s differs from ref by at most %.2g of the largest output\n", NETWORKS,
      cuda->name, worst);
  CHECK (worst < 0.02);
  kernel_close (ref);
  kernel_close (cuda);
}

/* --- Files, and refusals -------------------------------------------------------------------- */

static void
test_file (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *folder = g_dir_make_tmp ("int8-halves-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "half.int8engine", NULL);
  g_autoptr (EngineGraph) graph = net_random (7);
  g_autoptr (Engine) half = net_engine_with (graph, &fp16);
  KernelBackend *ref = net_backend ("ref");

  CHECK (engine_save (half, "key", path, &error));
  g_autofree float *expected = run (half, ref, 7);
  g_clear_pointer (&half, engine_unref);
  half = engine_load (path, "key", &error);
  if (!half)
    g_error ("%s", error->message);
  CHECK_INT (engine_precision (half), ==, ENGINE_PRECISION_FP16);
  g_autofree float *x = run (half, ref, 7);
  CHECK (memcmp (x, expected, sizeof (float) * engine_n_classes (half)) == 0);
  kernel_close (ref);
  g_remove (path);
  g_rmdir (folder);
}

static void
test_refusals (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineGraph) graph = net_random (3);
  g_autoptr (Engine) half = net_engine_with (graph, &fp16);
  KernelBackend *cpu = net_backend ("cpu");

  CHECK (!engine_exec_new (half, cpu, 1, 1, &error));
  CHECK (g_error_matches (error, ENGINE_ERROR, ENGINE_ERROR_BACKEND));
  CHECK (strstr (error->message, "fp32"));
  kernel_close (cpu);
}

int
main (void)
{
  RUN (test_pass);
  RUN (test_close_to_floats);
  RUN (test_device);
  RUN (test_file);
  RUN (test_refusals);
  return check_done ();
}
