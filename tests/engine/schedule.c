/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * schedule.c: images side by side. Wherever a program is cut, and however many images and threads
 * there are, results are the bytes of one image alone; and where it is cut by itself.
 */
#include "engine/exec.h"
#include "tests/check.h"
#include "tests/engine/net.h"

#define BATCH 9

static KernelBackend *ref, *cpu;

/* --- The same bytes ------------------------------------------------------------------------- */

/* Logits of BATCH images, each alone, layer by layer, in memory that is never used twice. */
static float *
expected_outputs (Engine *engine, guint32 seed)
{
  const int classes = engine_n_classes (engine);
  const EngineSchedule by_layer = {.cut = 0, .lanes = 1};
  const EngineProgramOptions options = {ENGINE_PLAN_SEPARATE, &by_layer};
  g_autoptr (EngineExec) exec = engine_exec_new_full (engine, ref, 1, 1, &options, NULL);
  float *outputs = g_new (float, BATCH *classes);

  CHECK (exec);
  for (int i = 0; i < BATCH; i++) {
    net_fill_input (engine, exec, 0, seed, i);
    CHECK (engine_exec_run (exec, 1, NULL));
    memcpy (outputs + i * classes, engine_exec_output (exec, 0), classes * sizeof (float));
  }
  return outputs;
}

/* Stale bytes must not pass for right ones: of another image, or of the run before. */
static void
spoil (const EngineProgram *program)
{
  const gsize *arena = program->plan->arena;

  memset (program->arena, 0xa5, arena[ENGINE_SPACE_BATCH]);
  memset (program->lanes, 0xa5, arena[ENGINE_SPACE_IMAGE] * program->schedule.lanes);
}

static void
check_batch (Engine *engine, EngineExec *exec, int batch, guint32 seed, const float *expected)
{
  const EngineProgram *program = engine_exec_program (exec);
  const int classes = engine_n_classes (engine);
  const gsize input = program->plan->size[g_array_index (program->graph->inputs, int, 0)] * batch;

  spoil (program);
  for (int i = 0; i < batch; i++)
    net_fill_input (engine, exec, i, seed, i);
  g_autofree void *before = g_memdup2 (engine_exec_input (exec, 0), input);
  CHECK (engine_exec_run (exec, batch, NULL));
  for (int i = 0; i < batch; i++)
    if (memcmp (engine_exec_output (exec, i), expected + i * classes, classes * sizeof (float)) !=
        0)
      CHECK_FAIL ("seed %u, cut %d, %d lanes: image %d of %d differs", seed, program->schedule.cut,
          program->schedule.lanes, i, batch);
  CHECK (memcmp (before, engine_exec_input (exec, 0), input) == 0);
}

static void
check_cut (Engine *engine, int cut, int threads, EnginePlanFlags flags, guint32 seed,
    const float *expected)
{
  const EngineSchedule schedule = {.cut = cut, .lanes = threads};
  const EngineProgramOptions options = {flags, &schedule};
  g_autoptr (EngineExec) exec = engine_exec_new_full (engine, cpu, BATCH, threads, &options, NULL);

  CHECK (exec);
  for (int batch = 1; batch <= BATCH; batch++)
    check_batch (engine, exec, batch, seed, expected);
}

static void
check_every_cut (Engine *engine, guint32 seed)
{
  g_autofree float *expected = expected_outputs (engine, seed);

  for (int cut = 0; cut <= (int) engine->graph->nodes->len && !check_failures_in_test; cut++)
    for (int threads = 1; threads <= 4; threads++)
      check_cut (engine, cut, threads, ENGINE_PLAN_DEFAULT, seed, expected);
}

/* Branches of all lengths, residuals in place and not, chains in place, reshapes whose both sides
 * are read later, a concat, a slice, a gate. */
static EngineGraph *
branched_net (void)
{
  g_autoptr (Net) net = net_new (1);
  const NetConv three = {.oc = 8, .k = 3, .pad = 1, .lo = 0, .hi = 6};
  const int input = net_input (net, 8, 8, 3);
  const int a = net_conv (net, input, three);
  const int b = net_conv (net, a, (NetConv){.oc = 8, .k = 3, .pad = 1, .residual = a});
  const int c = net_unary (net, b, KERNEL_UNARY_HARD_SWISH, 0, 0);
  const int d = net_conv (net, c, (NetConv){.oc = 8, .k = 3, .pad = 1, .groups = 8, .residual = c});
  const int flat = net_reshape (net, d, 2, (const int[]){1, 512});
  const int back = net_reshape (net, flat, 4, (const int[]){1, 8, 8, 8});
  const int gate = net_unary (net, net_global_pool (net, d), KERNEL_UNARY_SIGMOID, 0, 0);
  const int e = net_binary (net, ENGINE_OP_MUL, back, gate, -INFINITY, INFINITY);
  const int f = net_pool (net, ENGINE_OP_MAXPOOL, e, 3, 1, 1);
  const int g = net_concat (net, (const int[]){a, f, b}, 3, 3);
  const int h = net_slice (net, g, 3, 4, 16);
  const int i = net_conv (net, h, (NetConv){.oc = 8, .stride = 2});
  const int j = net_pool (net, ENGINE_OP_AVGPOOL, e, 2, 2, 0);
  const int k = net_binary (net, ENGINE_OP_ADD, i, j, 0, INFINITY);

  return net_finish (net, net_softmax (net, net_dense (net, net_pad (net, k, 1, 0), 5)));
}

static void
test_every_cut_fp32 (void)
{
  g_autoptr (Engine) engine = net_engine (branched_net ());

  check_every_cut (engine, 1);
}

static void
test_every_cut_int8 (void)
{
  g_autoptr (EngineGraph) graph = branched_net ();
  g_autoptr (Engine) engine = net_engine_int8 (graph, ENGINE_RANGES_FULL, 2);

  check_every_cut (engine, 2);
}

static void
test_random_networks (void)
{
  for (guint32 seed = 1; seed <= 60 && !check_failures_in_test; seed++) {
    g_autoptr (EngineGraph) graph = net_random (seed);
    g_autoptr (Engine) int8 = net_engine_int8 (graph, ENGINE_RANGES_FULL, seed);
    g_autoptr (Engine) fp32 = net_engine (g_steal_pointer (&graph));
    Engine *engine = seed % 3 ? int8 : fp32;
    g_autofree float *expected = expected_outputs (engine, seed);

    for (int cut = 0; cut <= (int) engine->graph->nodes->len; cut++)
      check_cut (engine, cut, 1 + (seed + cut) % 4,
          seed % 5 ? ENGINE_PLAN_DEFAULT : ENGINE_PLAN_SEPARATE, seed, expected);
  }
}

/* --- Where it is cut ------------------------------------------------------------------------ */

/* 2.5 MiB of activations and small weights, then 6 MiB of weights; *first_late is their node. */
static EngineGraph *
two_ends (int *first_late)
{
  g_autoptr (Net) net = net_new (3);
  int x = net_input (net, 128, 128, 4);

  for (int i = 0; i < 4; i++)
    x = net_conv (net, x, (NetConv){.oc = 32, .k = 3, .pad = 1, .stride = 1 + i % 2});
  x = net_pool (net, ENGINE_OP_AVGPOOL, x, 8, 8, 0);
  *first_late = (int) net->graph->nodes->len;
  x = net_dense (net, x, 1024);
  x = net_reshape (net, x, 4, (const int[]){1, 1, 1, 1024});
  return net_finish (net, net_dense (net, net_dense (net, x, 1024), 10));
}

static EngineSchedule
schedule_for (const EngineGraph *graph, KernelBackend *backend, int max_batch, int threads)
{
  KernelQueue *queue = backend->queue_new (backend, threads);
  const EngineSchedule schedule = engine_schedule_new (graph, backend, queue, max_batch);

  backend->queue_free (queue);
  return schedule;
}

static void
test_cut_between_activations_and_weights (void)
{
  int late;
  g_autoptr (EngineGraph) graph = two_ends (&late);

  for (int threads = 1; threads <= 4; threads++) {
    const EngineSchedule schedule = schedule_for (graph, cpu, 16, threads);

    CHECK_INT (schedule.lanes, ==, threads);
    CHECK_INT (schedule.cut, ==, late);
  }
}

static void
test_by_layer_where_nothing_is_gained (void)
{
  int late;
  g_autoptr (EngineGraph) graph = two_ends (&late);
  KernelBackend device = *cpu;

  CHECK_INT (schedule_for (graph, cpu, 1, 1).cut, ==, 0);
  CHECK_INT (schedule_for (graph, cpu, 1, 4).cut, ==, 0);
  CHECK_INT (schedule_for (graph, cpu, 2, 4).cut, ==, 0); /* two threads would have no image */
  device.queue_each = NULL;
  CHECK_INT (schedule_for (graph, &device, 16, 4).cut, ==, 0);
  CHECK_INT (schedule_for (graph, &device, 16, 4).lanes, ==, 1);
}

static void
test_rest_of_a_batch (void)
{
  const struct {
    int lanes, batch, by_image;
  } cases[] = {{1, 1, 1}, {1, 7, 7}, {2, 1, 0}, {2, 5, 4}, {3, 5, 3}, {4, 1, 0}, {4, 2, 0},
      {4, 3, 3}, {4, 4, 4}, {4, 5, 4}, {4, 6, 4}, {4, 7, 7}, {4, 16, 16}, {16, 27, 16},
      {16, 28, 28}};

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    const EngineSchedule cut = {.cut = 1, .lanes = cases[i].lanes};
    const EngineSchedule by_layer = {.cut = 0, .lanes = cases[i].lanes};

    CHECK_INT (engine_schedule_by_image (&cut, cases[i].batch), ==, cases[i].by_image);
    CHECK_INT (engine_schedule_by_image (&by_layer, cases[i].batch), ==, 0);
  }
}

/* The early activations of 16 images are not all there at once. */
static void
test_memory (void)
{
  int late;
  g_autoptr (EngineGraph) graph = two_ends (&late);
  g_autoptr (EnginePlan) whole = engine_plan_new (graph, 16, 0, NULL, ENGINE_PLAN_DEFAULT, NULL);
  g_autoptr (EnginePlan) cut = engine_plan_new (graph, 16, late, NULL, ENGINE_PLAN_DEFAULT, NULL);
  const gsize input = cut->size[g_array_index (graph->inputs, int, 0)] * 16;

  CHECK_INT (whole->arena[ENGINE_SPACE_IMAGE], ==, 0);
  CHECK_INT (cut->arena[ENGINE_SPACE_IMAGE], ==, 128 * 128 * 32 * sizeof (float) * 5 / 4);
  CHECK_INT (cut->arena[ENGINE_SPACE_BATCH], <, input + (1 << 20));
  CHECK_INT (whole->arena[ENGINE_SPACE_BATCH], ==, input + 16 * cut->arena[ENGINE_SPACE_IMAGE]);
}

int
main (void)
{
  ref = net_backend ("ref");
  cpu = net_backend ("cpu");
  RUN (test_every_cut_fp32);
  RUN (test_every_cut_int8);
  RUN (test_random_networks);
  RUN (test_cut_between_activations_and_weights);
  RUN (test_by_layer_where_nothing_is_gained);
  RUN (test_rest_of_a_batch);
  RUN (test_memory);
  kernel_close (cpu);
  kernel_close (ref);
  return check_done ();
}
