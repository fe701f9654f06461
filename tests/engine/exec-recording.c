/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * exec-recording.c: back ends that record. A fake one keeps the calls of `ref` between
 * record_begin() and record_end() and makes them in replay(); and a real device where there is one.
 */
#include "engine/exec.h"
#include "tests/check.h"
#include "tests/engine/net.h"

#define MAX_CALLS 200

static KernelBackend *ref;

/* --- The fake ------------------------------------------------------------------------------- */

typedef struct {
  void (*run) (const void *args);
  max_align_t args[32]; /* of any kernel */
} Call;

struct KernelRecording {
  Call calls[MAX_CALLS];
  int count;
};

static struct {
  KernelBackend backend;
  KernelOps ops;
  KernelRecording *open; /* between begin and end */
  int direct, made, freed, replays;
  int clock, marked[MAX_CALLS];
  gboolean fails;      /* record_end() */
  const char *failure; /* of the next queue_wait() */
} fake;

static void
take_call (void (*run) (const void *args), const void *args, gsize size)
{
  Call *call;

  if (!fake.open) {
    fake.direct++;
    run (args);
    return;
  }
  g_assert (fake.open->count < MAX_CALLS && size <= sizeof call->args);
  call = &fake.open->calls[fake.open->count++];
  call->run = run;
  memcpy (call->args, args, size);
}

#define KERNEL_OP(name, Args)                                                                      \
  static void run_##name (const void *args)                                                        \
  {                                                                                                \
    ref->ops->name (args, NULL);                                                                   \
  }                                                                                                \
  static void take_##name (const Args *args, KernelQueue *queue)                                   \
  {                                                                                                \
    take_call (run_##name, args, sizeof *args);                                                    \
  }
#include "kernels/kernel-ops.inc"
#undef KERNEL_OP

typedef struct {
  void *host;
  const void *device;
  gsize size;
} Copy;

static void
run_download (const void *args)
{
  const Copy *copy = args;

  memcpy (copy->host, copy->device, copy->size);
}

static void
fake_download (KernelQueue *queue, void *host, const void *device, size_t size)
{
  const Copy copy = {host, device, size};

  if (fake.open)
    take_call (run_download, &copy, sizeof copy);
  else
    run_download (&copy);
}

/* A clock that goes on by one at every mark. */
static bool
fake_marks (KernelQueue *queue, int count)
{
  return count <= MAX_CALLS;
}

static void
run_mark (const void *args)
{
  fake.marked[*(const int *) args] = ++fake.clock;
}

static void
fake_mark (KernelQueue *queue, int mark)
{
  take_call (run_mark, &mark, sizeof mark);
}

static double
fake_mark_seconds (KernelQueue *queue, int from, int to)
{
  return fake.marked[to] - fake.marked[from];
}

static void
fake_record_begin (KernelQueue *queue)
{
  g_assert (!fake.open);
  fake.open = g_new0 (KernelRecording, 1);
}

static KernelRecording *
fake_record_end (KernelQueue *queue)
{
  KernelRecording *recording = g_steal_pointer (&fake.open);

  if (fake.fails) {
    g_free (recording);
    return NULL;
  }
  fake.made++;
  return recording;
}

static void
fake_replay (KernelQueue *queue, KernelRecording *recording)
{
  g_assert (!fake.open);
  fake.replays++;
  for (int i = 0; i < recording->count; i++)
    recording->calls[i].run (recording->calls[i].args);
}

static void
fake_recording_free (KernelQueue *queue, KernelRecording *recording)
{
  fake.freed++;
  g_free (recording);
}

static const char *
fake_queue_wait (KernelQueue *queue)
{
  g_assert (!fake.open); /* a recording cannot be waited for */
  return g_steal_pointer (&fake.failure);
}

static KernelBackend *
fake_backend (void)
{
  memset (&fake, 0, sizeof fake);
  fake.ops = *ref->ops;
#define KERNEL_OP(name, Args) fake.ops.name = take_##name;
#include "kernels/kernel-ops.inc"
#undef KERNEL_OP
  fake.backend = *ref;
  fake.backend.ops = &fake.ops;
  fake.backend.name = "fake";
  fake.backend.host_memory = FALSE;
  fake.backend.queue_lanes = NULL;
  fake.backend.queue_each = NULL;
  fake.backend.queue_wait = fake_queue_wait;
  fake.backend.download = fake_download;
  fake.backend.record_begin = fake_record_begin;
  fake.backend.record_end = fake_record_end;
  fake.backend.replay = fake_replay;
  fake.backend.recording_free = fake_recording_free;
  return &fake.backend;
}

/* --- Tests ---------------------------------------------------------------------------------- */

#define MAX_BATCH 3

/* The input of a device is written through its queue. */
static void
upload_input (KernelBackend *backend, const Engine *engine, EngineExec *exec, EngineExec *source,
    int images, guint32 seed)
{
  const gsize size = (const guint8 *) engine_exec_input (source, 1) -
                     (const guint8 *) engine_exec_input (source, 0);

  for (int i = 0; i < images; i++) {
    net_fill_input (engine, source, i, seed, i);
    backend->upload (engine_exec_queue (exec), engine_exec_input (exec, i),
        engine_exec_input (source, i), size);
  }
}

/* Every batch size several times, with new images each time, gives the bytes of ref. */
static void
check_runs (KernelBackend *backend, Engine *engine)
{
  g_autoptr (EngineExec) expected = engine_exec_new (engine, ref, MAX_BATCH, 1, NULL);
  g_autoptr (EngineExec) exec = engine_exec_new (engine, backend, MAX_BATCH, 1, NULL);
  const EngineGraph *graph = engine->graph;
  const gsize classes =
      engine_value_elements (engine_graph_value (graph, g_array_index (graph->outputs, int, 0)));

  CHECK (expected && exec);
  for (guint32 round = 0; exec && round < 3; round++) {
    for (int batch = 1; batch <= MAX_BATCH; batch++) {
      g_autoptr (GError) error = NULL;

      upload_input (backend, engine, exec, expected, batch, round);
      CHECK (engine_exec_run (expected, batch, NULL));
      CHECK (engine_exec_run (exec, batch, &error));
      CHECK_STR (error ? error->message : "fine", "fine");
      CHECK (memcmp (engine_exec_output (exec, 0), engine_exec_output (expected, 0),
                 batch * classes * sizeof (float)) == 0);
    }
  }
}

static void
check_networks (KernelBackend *backend, guint32 first, guint32 last)
{
  for (guint32 seed = first; seed <= last && !check_failures_in_test; seed++) {
    g_autoptr (EngineGraph) graph = net_random (seed);
    g_autoptr (Engine) int8 = net_engine_int8 (graph, ENGINE_RANGES_FULL, seed);
    g_autoptr (Engine) fp32 = net_engine (g_steal_pointer (&graph));

    check_runs (backend, int8);
    check_runs (backend, fp32);
  }
}

/* One recording a batch size; nothing is called directly; none is left. */
static void
test_fake (void)
{
  KernelBackend *backend = fake_backend ();

  check_networks (backend, 1, 20);
  CHECK_INT (fake.made, ==, 20 * 2 * MAX_BATCH);
  CHECK_INT (fake.replays, ==, 3 * fake.made);
  CHECK_INT (fake.freed, ==, fake.made);
  CHECK_INT (fake.direct, ==, 0);
}

static void
ignore_step (guint step, double seconds, gpointer data)
{
  ++*(int *) data;
}

/* Steps that are timed one by one are waited for one by one. */
static void
test_profile (void)
{
  g_autoptr (EngineGraph) graph = net_random (1);
  g_autoptr (Engine) engine = net_engine_int8 (graph, ENGINE_RANGES_FULL, 1);
  g_autoptr (EngineExec) exec = engine_exec_new (engine, fake_backend (), 1, 1, NULL);
  int steps = 0;

  engine_exec_set_profile (exec, ignore_step, &steps);
  CHECK (engine_exec_run (exec, 1, NULL));
  CHECK_INT (steps, >, 0);
  CHECK_INT (fake.direct, ==, steps);
  CHECK_INT (fake.made, ==, 0);
  engine_exec_set_profile (exec, NULL, NULL);
  CHECK (engine_exec_run (exec, 1, NULL));
  CHECK_INT (fake.made, ==, 1);
}

typedef struct {
  int steps;
  double seconds;
} Timed;

static void
add_step (guint step, double seconds, gpointer data)
{
  Timed *timed = data;

  CHECK_INT ((int) step, ==, timed->steps);
  timed->steps++;
  timed->seconds += seconds;
}

/* A device with a clock times a recording of its own, which does not last. */
static void
test_profile_marks (void)
{
  g_autoptr (EngineGraph) graph = net_random (1);
  g_autoptr (Engine) engine = net_engine_int8 (graph, ENGINE_RANGES_FULL, 1);
  KernelBackend *backend = fake_backend ();
  Timed timed = {0};

  backend->marks = fake_marks;
  backend->mark = fake_mark;
  backend->mark_seconds = fake_mark_seconds;
  g_autoptr (EngineExec) exec = engine_exec_new (engine, backend, 1, 1, NULL);
  engine_exec_set_profile (exec, add_step, &timed);
  CHECK (engine_exec_run (exec, 1, NULL));
  CHECK_INT (timed.steps, ==, (int) engine_exec_n_steps (exec));
  CHECK (timed.seconds == timed.steps);
  CHECK_INT (fake.direct, ==, 0);
  CHECK_INT (fake.made, ==, 1);
  CHECK_INT (fake.freed, ==, 1);
}

/* What the queue says, or that it says nothing; and the next run tries again. */
static void
test_failure (void)
{
  g_autoptr (EngineGraph) graph = net_random (1);
  g_autoptr (Engine) engine = net_engine_int8 (graph, ENGINE_RANGES_FULL, 1);
  g_autoptr (EngineExec) exec = engine_exec_new (engine, fake_backend (), 1, 1, NULL);
  g_autoptr (GError) error = NULL;

  fake.fails = TRUE;
  fake.failure = "conv_s8: too many resources";
  CHECK (!engine_exec_run (exec, 1, &error));
  CHECK_STR (error ? error->message : "", "back end 'fake' failed: conv_s8: too many resources");
  g_clear_error (&error);
  CHECK (!engine_exec_run (exec, 1, &error));
  CHECK_STR (error ? error->message : "",
      "back end 'fake' failed: no recording could be made, and the queue has no cause");
  fake.fails = FALSE;
  CHECK (engine_exec_run (exec, 1, NULL));
}

static void
test_device (void)
{
  char why[320];
  KernelBackend *backend = kernel_open ("cuda:0", why, sizeof why);

  if (!backend)
    SKIP ("cuda:0: %s", why);
  check_networks (backend, 1, 100);
  kernel_close (backend);
}

int
main (void)
{
  ref = net_backend ("ref");
  RUN (test_fake);
  RUN (test_profile);
  RUN (test_profile_marks);
  RUN (test_failure);
  RUN (test_device);
  kernel_close (ref);
  return check_done ();
}
