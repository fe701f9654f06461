/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * profile.c: what is told about steps, and a profiled run: every step once, in order, and the same
 * results as without.
 */
#include "engine/exec.h"
#include "tests/check.h"
#include "tests/engine/net.h"

static KernelBackend *cpu;

static void
test_steps_are_described (void)
{
  g_autoptr (Net) net = net_new (7);
  int x = net_input (net, 9, 10, 4);

  x = net_conv (net, x, (NetConv){.oc = 8, .k = 3, .stride = 2, .pad = 1, .groups = 2});
  x = net_pool (net, ENGINE_OP_MAXPOOL, x, 2, 1, 0);
  g_autoptr (Engine) engine = net_engine (net_finish (net, net_dense (net, x, 5)));
  g_autoptr (EngineExec) exec = engine_exec_new (engine, cpu, 2, 1, NULL);
  EngineStepInfo info;

  CHECK_INT (engine_exec_n_steps (exec), ==, 3);
  engine_exec_step (exec, 0, &info);
  CHECK_STR (info.kernel, "conv_f32");
  CHECK_STR (info.name, engine_graph_node (engine->graph, 0)->name);
  CHECK (info.x[0] == 9 && info.x[1] == 10 && info.x[2] == 4);
  CHECK (info.y[0] == 5 && info.y[1] == 5 && info.y[2] == 8);
  CHECK (info.kh == 3 && info.kw == 3 && info.stride == 2 && info.groups == 2);
  CHECK (info.tactic && *info.tactic);
  CHECK (info.operations == 2.0 * 5 * 5 * 8 * 3 * 3 * 2);
  CHECK (info.image_bytes == 4.0 * (9 * 10 * 4 + 5 * 5 * 8));
  CHECK (info.constant_bytes >= 4.0 * 8 * 3 * 3 * 2);

  engine_exec_step (exec, 1, &info);
  CHECK_STR (info.kernel, "maxpool_f32");
  CHECK (info.kh == 2 && info.stride == 1 && info.groups == 0 && !info.tactic);
  CHECK (info.operations == 0 && info.constant_bytes == 0);

  engine_exec_step (exec, 2, &info);
  CHECK (info.y[0] == 1 && info.y[1] == 1 && info.y[2] == 5);
}

typedef struct {
  guint next;
  double seconds;
} Seen;

static void
see (guint step, double seconds, gpointer data)
{
  Seen *seen = data;

  CHECK_INT (step, ==, seen->next);
  CHECK (seconds >= 0);
  seen->next++;
  seen->seconds += seconds;
}

/* The steps take most of a profiled run, and no more. */
static void
check_profile (Engine *engine, guint32 seed)
{
  g_autoptr (EngineExec) exec = engine_exec_new (engine, cpu, 3, 2, NULL);
  const int classes = engine_n_classes (engine);
  g_autofree float *plain = g_new (float, 3 * classes);
  Seen seen = {0};

  for (int i = 0; i < 3; i++)
    net_fill_input (engine, exec, i, seed, i);
  CHECK (engine_exec_run (exec, 3, NULL));
  memcpy (plain, engine_exec_output (exec, 0), 3 * classes * sizeof (float));

  engine_exec_set_profile (exec, see, &seen);
  const gint64 start = g_get_monotonic_time ();
  CHECK (engine_exec_run (exec, 3, NULL));
  CHECK (seen.seconds <= 1e-6 * (g_get_monotonic_time () - start + 1));
  CHECK_INT (seen.next, ==, engine_exec_n_steps (exec));
  CHECK (memcmp (plain, engine_exec_output (exec, 0), 3 * classes * sizeof (float)) == 0);

  engine_exec_set_profile (exec, NULL, NULL);
  CHECK (engine_exec_run (exec, 3, NULL));
  CHECK_INT (seen.next, ==, engine_exec_n_steps (exec));
}

static void
test_profiled_runs (void)
{
  for (guint32 seed = 1; seed <= 40 && !check_failures_in_test; seed++) {
    g_autoptr (EngineGraph) graph = net_random (seed);
    g_autoptr (Engine) int8 = net_engine_int8 (graph, ENGINE_RANGES_FULL, seed);
    g_autoptr (Engine) fp32 = net_engine (g_steal_pointer (&graph));

    check_profile (int8, seed);
    check_profile (fp32, seed);
  }
}

static const char *
fail (KernelQueue *queue)
{
  return "the device is gone";
}

static void
test_failure_is_told (void)
{
  g_autoptr (EngineGraph) graph = net_random (1);
  g_autoptr (Engine) engine = net_engine (g_steal_pointer (&graph));
  KernelBackend broken = *cpu;
  g_autoptr (EngineExec) exec = engine_exec_new (engine, &broken, 1, 1, NULL);
  g_autoptr (GError) error = NULL;
  Seen seen = {0};

  engine_exec_set_profile (exec, see, &seen);
  broken.queue_wait = fail;
  CHECK (!engine_exec_run (exec, 1, &error));
  CHECK (g_error_matches (error, ENGINE_ERROR, ENGINE_ERROR_BACKEND));
  CHECK_INT (seen.next, ==, 0);
}

int
main (void)
{
  cpu = net_backend ("cpu");
  RUN (test_steps_are_described);
  RUN (test_profiled_runs);
  RUN (test_failure_is_told);
  kernel_close (cpu);
  return check_done ();
}
