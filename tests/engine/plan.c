/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plan.c: the arena. On random networks every value must hold its bytes until its last reader has
 * run: compared with a plan in which no memory is used twice.
 */
#include "engine/exec.h"
#include "tests/check.h"
#include "tests/engine/net.h"

#define NETWORKS 300
#define BATCH    3

static KernelBackend *ref;

/* --- Values survive ------------------------------------------------------------------------- */

static gboolean
same_bytes (const EngineProgram *a, const EngineProgram *b, int value)
{
  return memcmp (engine_program_value (a, value), engine_program_value (b, value),
             BATCH * a->plan->size[value]) == 0;
}

/* Runs the shared program node by node and compares what each node reads with the separate one,
 * which has run and kept everything. Returns the name of the first value that was overwritten too
 * early. */
static const char *
first_overwritten (const EngineGraph *graph, const EngineProgram *separate,
    const EngineProgram *shared)
{
  const EngineSpan batch = engine_program_span (shared, 0, BATCH, ENGINE_NONE);
  guint next = 0;

  for (guint i = 0; i < graph->nodes->len; i++) {
    const EngineNode *node = engine_graph_node (graph, i);

    for (int k = 0; k < node->n_inputs; k++) {
      const int input = node->inputs[k];
      if (input != ENGINE_NONE && !engine_graph_value (graph, input)->data &&
          !same_bytes (separate, shared, input))
        return engine_graph_value (graph, input)->name;
    }
    for (; next < shared->steps->len; next++) {
      const EngineStep *step = &g_array_index (shared->steps, EngineStep, next);
      if (step->node != (int) i)
        break;
      step->run (step, &batch, shared->queue);
    }
  }
  for (guint i = 0; i < graph->outputs->len; i++) {
    const int output = g_array_index (graph->outputs, int, i);
    if (!same_bytes (separate, shared, output))
      return engine_graph_value (graph, output)->name;
  }
  return same_bytes (separate, shared, g_array_index (graph->inputs, int, 0)) ? NULL : "input";
}

static void
check_survival (Engine *engine, guint32 seed)
{
  g_autoptr (GError) error = NULL;
  const EngineSchedule by_layer = {.cut = 0, .lanes = 1};
  g_autoptr (EngineExec) separate = engine_exec_new_full (engine, ref, BATCH, 1,
      &(EngineProgramOptions){.flags = ENGINE_PLAN_SEPARATE, .schedule = &by_layer}, &error);
  g_autoptr (EngineExec) shared = engine_exec_new_full (engine, ref, BATCH, 1,
      &(EngineProgramOptions){.schedule = &by_layer}, &error);

  CHECK (separate && shared);
  for (int i = 0; i < BATCH; i++) {
    net_fill_input (engine, separate, i, seed, i);
    net_fill_input (engine, shared, i, seed, i);
  }
  /* Stale bytes must not pass for right ones. */
  const EngineProgram *program = engine_exec_program (shared);
  const gsize input = BATCH * program->plan->size[g_array_index (engine->graph->inputs, int, 0)];
  const void *at = engine_exec_input (shared, 0);
  g_autofree void *saved = g_memdup2 (at, input);
  memset (program->arena, 0xa5, program->plan->arena[ENGINE_SPACE_BATCH]);
  memcpy ((void *) at, saved, input);

  CHECK (engine_exec_run (separate, BATCH, &error));
  const char *overwritten =
      first_overwritten (engine->graph, engine_exec_program (separate), program);
  if (overwritten) {
    g_autofree char *dump = engine_dump (engine);
    CHECK_FAIL ("seed %u: '%s' was overwritten before its last reader\n%s", seed, overwritten,
        dump);
  }
}

static void
test_values_survive_fp32 (void)
{
  for (guint32 seed = 1; seed <= NETWORKS && !check_failures_in_test; seed++) {
    g_autoptr (Engine) engine = net_engine (net_random (seed));
    check_survival (engine, seed);
  }
}

static void
test_values_survive_int8 (void)
{
  for (guint32 seed = 1; seed <= NETWORKS && !check_failures_in_test; seed++) {
    g_autoptr (EngineGraph) graph = net_random (seed);
    g_autoptr (Engine) engine =
        net_engine_int8 (graph, seed % 2 ? ENGINE_RANGES_FULL : ENGINE_RANGES_SYMMETRIC, seed);
    check_survival (engine, seed);
  }
}

/* --- Layout --------------------------------------------------------------------------------- */

static void
test_aligned_and_inside (void)
{
  for (guint32 seed = 1; seed <= 50; seed++) {
    g_autoptr (EngineGraph) graph = net_random (seed);
    const int cut = seed % (graph->nodes->len + 1);
    g_autoptr (EnginePlan) plan = engine_plan_new (graph, 5, cut, NULL, ENGINE_PLAN_DEFAULT, NULL);

    for (int v = 0; v < plan->n_values; v++) {
      const EngineValue *value = engine_graph_value (graph, v);
      if (value->data) {
        CHECK_INT (plan->place[v], ==, ENGINE_NONE);
        CHECK_INT (plan->space[v], ==, ENGINE_SPACE_NONE);
        continue;
      }
      const int images = plan->space[v] == ENGINE_SPACE_BATCH ? 5 : 1;
      CHECK (images == 5 || plan->space[v] == ENGINE_SPACE_IMAGE);
      CHECK_INT (plan->offset[v] % KERNEL_ALIGN, ==, 0);
      CHECK_INT (plan->size[v], ==, engine_value_elements (value) * sizeof (float));
      CHECK_INT (plan->offset[v] + images * plan->size[v], <=, plan->arena[plan->space[v]]);
    }
  }
}

/* Two big values that never live together share their memory; a chain of ten needs two places and
 * the input's. */
static void
test_chain_reuses_memory (void)
{
  g_autoptr (Net) net = net_new (1);
  int x = net_input (net, 8, 8, 4);

  for (int i = 0; i < 10; i++)
    x = net_conv (net, x, (NetConv){.oc = 4, .k = 3, .pad = 1});
  g_autoptr (EngineGraph) graph = net_finish (net, x);
  g_autoptr (EnginePlan) plan = engine_plan_new (graph, 1, 0, NULL, ENGINE_PLAN_DEFAULT, NULL);
  CHECK_INT (plan->arena[ENGINE_SPACE_BATCH], ==, 3 * 8 * 8 * 4 * sizeof (float));
}

/* --- In place ------------------------------------------------------------------------------- */

static int
value_named (const EngineGraph *graph, const char *name)
{
  for (guint v = 0; v < graph->values->len; v++)
    if (g_str_equal (engine_graph_value (graph, v)->name, name))
      return v;
  g_error ("no value %s", name);
}

static gboolean
share (const EngineGraph *graph, const char *a, const char *b)
{
  g_autoptr (EnginePlan) plan = engine_plan_new (graph, 1, 0, NULL, ENGINE_PLAN_DEFAULT, NULL);

  return plan->place[value_named (graph, a)] == plan->place[value_named (graph, b)];
}

static void
test_in_place (void)
{
  g_autoptr (Net) net = net_new (2);
  const int input = net_input (net, 4, 4, 4);
  const int a = net_conv (net, input, (NetConv){.oc = 4});                  /* conv1 */
  const int b = net_conv (net, a, (NetConv){.oc = 4, .residual = a});       /* conv2: r is x */
  const int c = net_conv (net, b, (NetConv){.oc = 4});                      /* conv3 */
  const int d = net_conv (net, c, (NetConv){.oc = 4, .residual = b});       /* conv4: r = y */
  const int e = net_unary (net, d, KERNEL_UNARY_SILU, 0, 0);                /* unary5 */
  const int f = net_reshape (net, e, 4, (const int[]){1, 2, 8, 4});         /* reshape6 */
  const int g = net_binary (net, ENGINE_OP_ADD, f, f, -INFINITY, INFINITY); /* add7 */
  const int h = net_binary (net, ENGINE_OP_MUL, g, g, -INFINITY, INFINITY); /* mul8 */
  const int i = net_binary (net, ENGINE_OP_ADD, g, h, -INFINITY, INFINITY); /* add9 */
  g_autoptr (EngineGraph) graph = net_finish (net, i);

  CHECK (!share (graph, "input", "conv1"));
  CHECK (!share (graph, "conv1", "conv2")); /* it still reads its neighbours */
  CHECK (share (graph, "conv2", "conv4"));
  CHECK (share (graph, "conv4", "unary5"));
  CHECK (share (graph, "unary5", "reshape6"));
  CHECK (share (graph, "reshape6", "add7"));
  CHECK (!share (graph, "add7", "mul8")); /* add9 reads add7 later */
  CHECK (share (graph, "add7", "add9"));
}

/* A gate has one value per channel: it cannot take the output. */
static void
test_broadcast_is_not_overwritten (void)
{
  g_autoptr (Net) net = net_new (3);
  const int x = net_conv (net, net_input (net, 3, 3, 2), (NetConv){.oc = 4});  /* conv1 */
  const int gate = net_global_pool (net, x);                                   /* avgpool2 */
  const int y = net_binary (net, ENGINE_OP_MUL, x, gate, -INFINITY, INFINITY); /* mul3 */
  g_autoptr (EngineGraph) graph = net_finish (net, net_global_pool (net, y));

  CHECK (share (graph, "conv1", "mul3"));
  CHECK (!share (graph, "avgpool2", "mul3"));
}

/* The reshape is read after the value it came from was last read, and the other way round. */
static void
test_reshape_keeps_both_alive (void)
{
  g_autoptr (Net) net = net_new (4);
  const int x = net_conv (net, net_input (net, 4, 4, 2), (NetConv){.oc = 4}); /* conv1 */
  const int flat = net_reshape (net, x, 4, (const int[]){1, 2, 8, 4});        /* reshape2 */
  const int y = net_unary (net, x, KERNEL_UNARY_SIGMOID, 0, 0);               /* unary3 */
  const int z = net_binary (net, ENGINE_OP_ADD, net_reshape (net, y, 4, (const int[]){1, 2, 8, 4}),
      flat, -INFINITY, INFINITY);
  g_autoptr (EngineGraph) graph = net_finish (net, z);

  CHECK (share (graph, "conv1", "reshape2"));
  CHECK (!share (graph, "conv1", "unary3"));
}

/* --- Limits --------------------------------------------------------------------------------- */

static void
test_batch_too_large (void)
{
  g_autoptr (Net) net = net_new (5);
  const int x = net_input (net, 4, 4, 4);
  const int rows = net_reshape (net, x, 2, (const int[]){16, 4});
  g_autoptr (EngineGraph) graph = net_finish (net, net_softmax (net, rows));
  g_autoptr (GError) error = NULL;
  EnginePlan *plan = engine_plan_new (graph, G_MAXINT, 0, NULL, ENGINE_PLAN_DEFAULT, &error);

  CHECK (!plan);
  CHECK (g_error_matches (error, ENGINE_ERROR, ENGINE_ERROR_MEMORY));
  CHECK (error && strstr (error->message, "batch of 2147483647"));
}

int
main (void)
{
  ref = net_backend ("ref");
  RUN (test_values_survive_fp32);
  RUN (test_values_survive_int8);
  RUN (test_aligned_and_inside);
  RUN (test_chain_reuses_memory);
  RUN (test_in_place);
  RUN (test_broadcast_is_not_overwritten);
  RUN (test_reshape_keeps_both_alive);
  RUN (test_batch_too_large);
  kernel_close (ref);
  return check_done ();
}
