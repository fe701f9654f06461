/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * weights.c: the execs of one engine on one back end have one set of constants, made once, by
 * whoever comes first, and freed with the last.
 */
#include "engine/exec.h"
#include "engine/weights.h"
#include "tests/check.h"
#include "tests/engine/net.h"

#include <stdatomic.h>

static KernelBackend *cpu;

/* cpu, counting. */
static struct {
  KernelBackend backend;
  KernelOps ops;
  atomic_int packings, allocated, freed, waits;
  atomic_int failing_waits; /* the queue_wait()s from now on that tell of a failure */
} fake;

static size_t
counted_pack (const KernelConvShape *shape, int8_t zero_x, const int8_t *w, void *packed)
{
  if (packed) {
    fake.packings++;
    g_usleep (2000); /* long enough for another thread to come along */
  }
  return cpu->ops->conv_s8_pack (shape, zero_x, w, packed);
}

static void *
counted_alloc (KernelBackend *backend, size_t size)
{
  fake.allocated++;
  return cpu->alloc (cpu, size);
}

static void
counted_free (KernelBackend *backend, void *memory)
{
  fake.freed++;
  cpu->free (cpu, memory);
}

static const char *
failing_wait (KernelQueue *queue)
{
  if (fake.failing_waits == 0)
    return NULL;
  fake.failing_waits--;
  return "upload lost";
}

static KernelBackend *
fake_backend (void)
{
  fake.backend = *cpu;
  fake.ops = *cpu->ops;
  fake.ops.conv_s8_pack = counted_pack;
  fake.backend.ops = &fake.ops;
  fake.backend.alloc = counted_alloc;
  fake.backend.free = counted_free;
  fake.backend.queue_wait = failing_wait;
  fake.packings = fake.allocated = fake.freed = fake.failing_waits = 0;
  return &fake.backend;
}

static Engine *
engine_of (guint32 seed)
{
  g_autoptr (EngineGraph) graph = net_random (seed);

  return net_engine_int8 (graph, ENGINE_RANGES_FULL, seed);
}

static int
n_convolutions (const Engine *engine)
{
  int n = 0;

  for (guint i = 0; i < engine->graph->nodes->len; i++)
    n += engine_graph_node (engine->graph, i)->op == ENGINE_OP_CONV;
  return n;
}

/* Whether both programs read the same memory for every constant; neither: all have their own. */
static void
check_constants (const EngineExec *a, const EngineExec *b, gboolean same)
{
  const GPtrArray *x = engine_exec_program (a)->constants, *y = engine_exec_program (b)->constants;

  CHECK_INT (x->len, >, 0);
  CHECK_INT (x->len, ==, y->len);
  for (guint i = 0; i < x->len; i++)
    CHECK ((engine_constant_memory (g_ptr_array_index (x, i)) ==
               engine_constant_memory (g_ptr_array_index (y, i))) == same);
}

static void
check_same_results (Engine *engine, EngineExec *a, EngineExec *b, guint32 seed)
{
  net_fill_input (engine, a, 0, seed, 0);
  net_fill_input (engine, b, 0, seed, 0);
  CHECK (engine_exec_run (a, 1, NULL) && engine_exec_run (b, 1, NULL));
  CHECK (memcmp (engine_exec_output (a, 0), engine_exec_output (b, 0),
             engine_n_classes (engine) * sizeof (float)) == 0);
}

static void
test_two_execs_share (void)
{
  for (guint32 seed = 1; seed <= 20; seed++) {
    KernelBackend *backend = fake_backend ();
    g_autoptr (Engine) engine = engine_of (seed);
    EngineExec *a = engine_exec_new (engine, backend, 1, 1, NULL);
    const int allocated = fake.allocated, packings = fake.packings;
    EngineExec *b = engine_exec_new (engine, backend, 3, 2, NULL);

    CHECK_INT (packings, ==, n_convolutions (engine));
    CHECK_INT (fake.packings, ==, packings);
    CHECK_INT (fake.allocated - allocated, <=, 2); /* arena, scratch */
    check_constants (a, b, TRUE);
    check_same_results (engine, a, b, seed);
    engine_exec_free (a);

    g_autoptr (EngineExec) c = engine_exec_new (engine, backend, 1, 1, NULL);
    check_constants (b, c, TRUE);
    check_same_results (engine, b, c, seed);
    engine_exec_free (b);
    g_clear_pointer (&c, engine_exec_free);
    CHECK_INT (fake.freed, ==, fake.allocated);
  }
}

static void
test_others_do_not (void)
{
  KernelBackend *backend = fake_backend ();
  KernelBackend *other = net_backend ("cpu");
  g_autoptr (Engine) engine = engine_of (5);
  g_autoptr (Engine) twin = engine_of (5);
  EngineExec *a = engine_exec_new (engine, backend, 1, 1, NULL);
  EngineExec *b = engine_exec_new (engine, other, 1, 1, NULL);
  EngineExec *c = engine_exec_new (twin, backend, 1, 1, NULL);

  check_constants (a, b, FALSE);
  check_constants (a, c, FALSE);
  engine_exec_free (a);
  engine_exec_free (b);
  engine_exec_free (c);
  CHECK_INT (fake.freed, ==, fake.allocated);
  kernel_close (other);
}

static gpointer
make_and_run (gpointer data)
{
  Engine *engine = data;
  g_autoptr (EngineExec) exec = engine_exec_new (engine, &fake.backend, 1, 1, NULL);

  net_fill_input (engine, exec, 0, 1, 0);
  CHECK (engine_exec_run (exec, 1, NULL));
  return NULL;
}

static void
test_at_the_same_time (void)
{
  g_autoptr (Engine) engine = engine_of (8);
  GThread *threads[6];

  for (int round = 0; round < 10; round++) {
    fake_backend ();
    g_autoptr (EngineExec) first =
        round % 2 ? engine_exec_new (engine, &fake.backend, 1, 1, NULL) : NULL;

    for (int i = 0; i < 6; i++)
      threads[i] = g_thread_new ("exec", make_and_run, engine);
    for (int i = 0; i < 6; i++)
      g_thread_join (threads[i]);
    /* Without the first exec, one that is late may find that all others are gone. */
    if (first)
      CHECK_INT (fake.packings, ==, n_convolutions (engine));
    g_clear_pointer (&first, engine_exec_free);
    CHECK_INT (fake.freed, ==, fake.allocated);
  }
}

static size_t
counted_float_pack (const KernelConvShape *shape, const float *w, void *packed)
{
  fake.packings += packed != NULL;
  return cpu->ops->conv_f32_pack (shape, w, packed);
}

/* Engines of one model share the weights of the layers that are float in both, also when the first is
 * gone; what they compute is what they compute alone. */
static void
test_engines_of_a_model_share (void)
{
  for (guint32 seed = 1; seed <= 20 && !check_failures_in_test; seed++) {
    g_autoptr (EngineGraph) graph = net_random (seed);
    g_autoptr (CalibTable) table = net_calibrate (graph, seed, 2);
    g_autoptr (EngineLayerRules) rules = engine_layer_rules_parse ("*:fp32", NULL);
    const EngineBuildOptions options = {.table = table, .rules = rules};
    g_autoptr (Engine) fp32 = net_engine (engine_graph_copy (graph));
    g_autoptr (Engine) first = net_engine_with (graph, &options);
    engine_layer_rules_add (rules, "conv1", ENGINE_PRECISION_INT8);
    g_autoptr (Engine) second = net_engine_with (graph, &options);

    fake_backend ();
    fake.ops.conv_f32_pack = counted_float_pack;
    fake.ops.conv_s8_pack = cpu->ops->conv_s8_pack;
    g_autoptr (EngineExec) a = engine_exec_new (first, &fake.backend, 1, 1, NULL);
    const int packings = fake.packings;
    g_autoptr (EngineExec) b = engine_exec_new (second, &fake.backend, 1, 1, NULL);
    g_autoptr (EngineExec) c = engine_exec_new (fp32, &fake.backend, 1, 1, NULL);
    CHECK_INT (packings, ==, n_convolutions (first));
    CHECK_INT (fake.packings, ==, packings);

    g_clear_pointer (&a, engine_exec_free);
    g_clear_pointer (&first, engine_unref);
    g_autoptr (EngineExec) alone = engine_exec_new (second, cpu, 1, 1, NULL);
    net_fill_input (second, b, 0, seed, 0);
    net_fill_input (second, alone, 0, seed, 0);
    CHECK (engine_exec_run (b, 1, NULL) && engine_exec_run (alone, 1, NULL));
    CHECK (memcmp (engine_exec_output (b, 0), engine_exec_output (alone, 0),
               engine_n_classes (second) * sizeof (float)) == 0);
    g_clear_pointer (&b, engine_exec_free);
    g_clear_pointer (&c, engine_exec_free);
    CHECK_INT (fake.freed, ==, fake.allocated);
  }
}

/* Whoever waited for a constant that could not be made gets one all the same. */
static void
test_after_a_failure (void)
{
  g_autoptr (Engine) engine = engine_of (3);
  g_autoptr (GError) error = NULL;

  fake_backend ();
  fake.failing_waits = 1;
  CHECK (!engine_exec_new (engine, &fake.backend, 1, 1, &error));
  CHECK (g_error_matches (error, ENGINE_ERROR, ENGINE_ERROR_BACKEND));
  CHECK_INT (fake.freed, ==, fake.allocated);
  make_and_run (engine);
  CHECK_INT (fake.freed, ==, fake.allocated);
}

int
main (void)
{
  cpu = net_backend ("cpu");
  RUN (test_two_execs_share);
  RUN (test_others_do_not);
  RUN (test_at_the_same_time);
  RUN (test_engines_of_a_model_share);
  RUN (test_after_a_failure);
  kernel_close (cpu);
  return check_done ();
}
