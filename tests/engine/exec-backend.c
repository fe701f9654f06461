/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * exec-backend.c: what a back end cannot do: kernels it lacks, memory it has not, memory that the host
 * does not see, a device that fails.
 */
#include "engine/exec.h"
#include "tests/check.h"
#include "tests/engine/net.h"

static KernelBackend *ref;

/* One filter of 2 x 2 over 3 x 3 pixels with a ReLU, then the mean. */
static EngineGraph *
small_net (void)
{
  static const float w[] = {1, 2, 3, 4}, b[] = {0.5f};
  g_autoptr (Net) net = net_new (1);
  const int y = net_conv_given (net, net_input (net, 3, 3, 1), 1, 2, 1, w, b);

  engine_graph_node (net->graph, engine_graph_value (net->graph, y)->producer)->conv.lo = 0;
  return net_finish (net, net_global_pool (net, y));
}

/* --- A back end that can be broken ---------------------------------------------------------- */

static struct {
  KernelBackend backend;
  KernelOps ops;
  gsize largest;       /* what alloc gives */
  const char *failure; /* of every queue_wait */
} fake;

static void *
fake_alloc (KernelBackend *backend, size_t size)
{
  return size > fake.largest ? NULL : ref->alloc (ref, size);
}

static void
fake_free (KernelBackend *backend, void *memory)
{
  ref->free (ref, memory);
}

static KernelQueue *
fake_queue_new (KernelBackend *backend, int threads)
{
  return threads > 99 ? NULL : ref->queue_new (ref, threads);
}

static const char *
fake_queue_wait (KernelQueue *queue)
{
  return fake.failure;
}

static KernelBackend *
fake_backend (void)
{
  fake.ops = *ref->ops;
  fake.backend = *ref;
  fake.backend.name = "fake";
  fake.backend.ops = &fake.ops;
  fake.backend.host_memory = FALSE;
  fake.backend.alloc = fake_alloc;
  fake.backend.free = fake_free;
  fake.backend.queue_new = fake_queue_new;
  fake.backend.queue_wait = fake_queue_wait;
  fake.largest = G_MAXSIZE;
  fake.failure = NULL;
  return &fake.backend;
}

static void
check_refused (Engine *engine, int threads, EngineError code, const char *message)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineExec) exec = engine_exec_new (engine, &fake.backend, 2, threads, &error);

  CHECK (!exec);
  CHECK (g_error_matches (error, ENGINE_ERROR, code));
  CHECK_STR (error ? error->message : NULL, message);
}

static void
test_missing_kernel (void)
{
  g_autoptr (EngineGraph) graph = small_net ();
  g_autoptr (Engine) engine = net_engine_int8 (graph, ENGINE_RANGES_FULL, 1);

  fake_backend ();
  fake.ops.avgpool_s8_f32 = NULL;
  check_refused (engine, 1, ENGINE_ERROR_BACKEND,
      "back end 'fake' has no kernel avgpool_s8_f32, which layer 'avgpool2' needs; choose another "
      "back end");
  fake_backend ();
  fake.ops.conv_s8 = NULL;
  check_refused (engine, 1, ENGINE_ERROR_BACKEND,
      "back end 'fake' has no kernel conv_s8, which layer 'conv1' needs; choose another back end");
  fake_backend ();
  check_refused (engine, 100, ENGINE_ERROR_BACKEND,
      "back end 'fake' could not make a queue with 100 threads");
}

static void
test_no_memory (void)
{
  g_autoptr (Net) net = net_new (1);
  g_autoptr (Engine) engine = net_engine (
      net_finish (net, net_conv (net, net_input (net, 256, 256, 4), (NetConv){.oc = 4})));

  fake_backend ();
  fake.largest = 1 << 20;
  check_refused (engine, 1, ENGINE_ERROR_MEMORY,
      "back end 'fake' has no 4.0 MiB for activations: a batch of 2 takes 4.0 MiB for activations, "
      "and the layers so far 0.0 MiB for constants; lower the batch size");
}

/* Memory that the host does not see: the output is fetched, and a failure of the device is told. */
static void
test_device (void)
{
  const float pixels[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  g_autoptr (Engine) engine = net_engine (small_net ());
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineExec) exec = engine_exec_new (engine, fake_backend (), 2, 1, &error);

  CHECK (exec);
  memcpy (engine_exec_input (exec, 1), pixels, sizeof pixels);
  memset (engine_exec_input (exec, 0), 0, sizeof pixels);
  CHECK (engine_exec_run (exec, 2, &error));
  CHECK (engine_exec_output (exec, 0)[0] == 0.5f);
  CHECK (engine_exec_output (exec, 1)[0] == 57.5f); /* 37.5, 47.5, 67.5, 77.5 */

  fake.failure = "step 3: the device fell off the bus";
  CHECK (!engine_exec_run (exec, 1, &error));
  CHECK (g_error_matches (error, ENGINE_ERROR, ENGINE_ERROR_BACKEND));
  CHECK_STR (error->message, "back end 'fake' failed: step 3: the device fell off the bus");
  fake.failure = NULL;
}

int
main (void)
{
  ref = net_backend ("ref");
  RUN (test_missing_kernel);
  RUN (test_no_memory);
  RUN (test_device);
  kernel_close (ref);
  return check_done ();
}
