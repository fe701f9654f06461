/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tune.c: the faster way is found and remembered for its machine, and for no other; what a file says
 * of ways is believed only where the back end says the same.
 */
#include "engine/exec.h"
#include "engine/tactics.h"
#include "tests/engine/request.h"

#include <stdatomic.h>

static KernelBackend *ref;

/* --- A back end with two ways for what is no 1x1 --------------------------------------------- */

static struct {
  KernelBackend backend;
  KernelOps ops;
  const char *fast; /* the name of the second way */
  int slow;         /* how many times as long the first one takes */
  atomic_int ran_fast;
} fake;

static const char *
way (const KernelConvShape *shape, int tactic)
{
  if (tactic == 0 || tactic == 1)
    return "slow";
  return tactic == 2 && shape->kh > 1 ? fake.fast : NULL;
}

static KernelConvShape
without_tactic (const KernelConvShape *shape)
{
  KernelConvShape plain = *shape;

  plain.tactic = 0;
  return plain;
}

static size_t
pack (const KernelConvShape *shape, int8_t zero_x, const int8_t *w, void *packed)
{
  const KernelConvShape plain = without_tactic (shape);

  return ref->ops->conv_s8_pack (&plain, zero_x, w, packed);
}

/* The slow way is the fast one some times over: as much slower on every machine, busy or not. */
static void
run (const KernelConvS8 *args, void (*kernel) (const KernelConvS8 *, KernelQueue *),
    KernelQueue *queue)
{
  const gboolean fast = args->shape.tactic == 2;
  KernelConvS8 plain = *args;

  plain.shape.tactic = 0;
  if (fast)
    fake.ran_fast++;
  for (int i = 0; i < (fast ? 1 : fake.slow); i++)
    kernel (&plain, queue);
}

static void
conv_s8 (const KernelConvS8 *args, KernelQueue *queue)
{
  run (args, ref->ops->conv_s8, queue);
}

static void
conv_s8_f32 (const KernelConvS8 *args, KernelQueue *queue)
{
  run (args, ref->ops->conv_s8_f32, queue);
}

static KernelBackend *
fake_backend (void)
{
  fake.backend = *ref;
  fake.ops = *ref->ops;
  fake.ops.conv_s8_pack = pack;
  fake.ops.conv_s8_tactic = way;
  fake.ops.conv_s8 = conv_s8;
  fake.ops.conv_s8_f32 = conv_s8_f32;
  fake.backend.name = "fake";
  fake.backend.description = "two ways";
  fake.backend.ops = &fake.ops;
  fake.fast = "fast";
  fake.slow = 6;
  fake.ran_fast = 0;
  return &fake.backend;
}

/* Two convolutions of 3x3 and one of 1x1. */
static Engine *
small_engine (void)
{
  g_autoptr (Net) net = net_new (4);
  int x = net_conv (net, net_input (net, 6, 6, 3), (NetConv){.oc = 4, .k = 3, .pad = 1});

  x = net_conv (net, x, (NetConv){.oc = 5, .k = 1});
  x = net_conv (net, x, (NetConv){.oc = 3, .k = 3});
  g_autoptr (EngineGraph) graph = net_finish (net, net_global_pool (net, x));
  return net_engine_int8 (graph, ENGINE_RANGES_FULL, 4);
}

static gboolean
tune (Engine *engine, int batch, EngineTuneReport *report)
{
  g_autoptr (GError) error = NULL;
  const gboolean ok =
      engine_tune (engine, &fake.backend, batch, 1, report, NULL, NULL, NULL, &error);

  if (error)
    CHECK_FAIL ("%s", error->message);
  return ok;
}

/* How many steps of a new exec take the fast way; the note must contain the text. */
static int
fast_steps (Engine *engine, int batch, const char *text)
{
  g_autoptr (EngineExec) exec = engine_exec_new (engine, &fake.backend, batch, 1, NULL);
  int n = 0;

  CHECK (exec);
  if (!strstr (engine_exec_tuning (exec), text))
    CHECK_FAIL ("expected \"%s\", got \"%s\"", text, engine_exec_tuning (exec));
  for (guint i = 0; i < engine_exec_n_steps (exec); i++) {
    EngineStepInfo info;

    engine_exec_step (exec, i, &info);
    n += g_strcmp0 (info.tactic, fake.fast) == 0;
  }
  fake.ran_fast = 0;
  net_fill_input (engine, exec, 0, 1, 0);
  CHECK (engine_exec_run (exec, 1, NULL));
  CHECK_INT (fake.ran_fast, ==, n);
  return n;
}

static GPtrArray *
outputs_of (Engine *engine, const int *tactics)
{
  const EngineProgramOptions options = {.tactics = tactics};
  g_autoptr (EngineExec) exec = engine_exec_new_full (engine, &fake.backend, 2, 1, &options, NULL);
  GPtrArray *outputs = g_ptr_array_new_with_free_func (g_free);

  for (int i = 0; i < 2; i++)
    net_fill_input (engine, exec, i, 9, i);
  CHECK (engine_exec_run (exec, 2, NULL));
  for (int i = 0; i < 2; i++)
    g_ptr_array_add (outputs,
        g_memdup2 (engine_exec_output (exec, i), engine_n_classes (engine) * sizeof (float)));
  return outputs;
}

/* --- Choosing ------------------------------------------------------------------------------- */

static void
test_the_faster_way (void)
{
  g_autoptr (Engine) engine = small_engine ();
  EngineTuneReport report;

  fake_backend ();
  CHECK_INT (fast_steps (engine, 2, "own choice"), ==, 0);
  g_autofree int *zeros = g_new0 (int, engine->graph->nodes->len);
  g_autoptr (GPtrArray) before = outputs_of (engine, zeros);

  CHECK (tune (engine, 2, &report));
  CHECK (report.timed && report.seconds > 0);
  CHECK_INT (report.convolutions, ==, 3);
  CHECK_INT (report.chosen, ==, 2);
  CHECK_INT (fast_steps (engine, 2, "timed on this machine: 2 of 3"), ==, 2);
  CHECK_INT (fast_steps (engine, 3, "tuned for 1 other "), ==, 0);

  g_autoptr (GPtrArray) after = outputs_of (engine, NULL);
  for (int i = 0; i < 2; i++)
    CHECK (memcmp (before->pdata[i], after->pdata[i], engine_n_classes (engine) * sizeof (float)) ==
           0);
}

/* What is not faster by more than noise is not taken, and not timed again. */
static void
test_the_same_speed (void)
{
  g_autoptr (Engine) engine = small_engine ();
  EngineTuneReport report;

  fake_backend ();
  fake.slow = 1;
  CHECK (tune (engine, 1, &report));
  CHECK (report.timed);
  if (report.chosen > 0) /* a busy machine may tell two equal ways apart */
    SKIP ("%d equal ways were found faster: too busy here", report.chosen);
  CHECK_INT (fast_steps (engine, 1, "timed on this machine: 0 of 3"), ==, 0);
}

static void
test_nothing_to_choose (void)
{
  g_autoptr (Engine) engine = small_engine ();
  EngineTuneReport report;

  CHECK (engine_tune (engine, ref, 1, 1, &report, NULL, NULL, NULL, NULL));
  CHECK (!report.timed && report.chosen == 0);
  g_autofree char *tuned = engine_tuned_for (engine);
  CHECK_STR (tuned, "");
}

static void
cancel_halfway (guint done, guint total, const char *what, gpointer cancellable)
{
  CHECK (done <= total && *what);
  if (2 * done > total)
    g_cancellable_cancel (cancellable);
}

static void
test_cancelled (void)
{
  g_autoptr (Engine) engine = small_engine ();
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  EngineTuneReport report;

  fake_backend ();
  CHECK (!engine_tune (engine, &fake.backend, 1, 1, &report, cancel_halfway, cancellable,
      cancellable, &error));
  CHECK (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED));
  CHECK_INT (fast_steps (engine, 1, "own choice"), ==, 0);
}

/* --- Files ---------------------------------------------------------------------------------- */

static Engine *
through_bytes (const Engine *engine)
{
  g_autoptr (GBytes) bytes = engine_file_bytes (engine, NULL, NULL);
  EngineFileState state;
  g_autoptr (GError) error = NULL;
  Engine *again = engine_file_parse (bytes, "again", &state, &error);

  if (!again)
    g_error ("%s", error->message);
  return again;
}

static void
test_files_keep_it (void)
{
  g_autoptr (Engine) engine = small_engine ();
  EngineTuneReport report;

  fake_backend ();
  CHECK (tune (engine, 1, &report) && tune (engine, 2, &report));
  g_autoptr (Engine) again = through_bytes (engine);
  g_autofree char *here = engine_tuned_for (engine), *there = engine_tuned_for (again);
  CHECK (strstr (here, "fake: two ways, ") && strstr (here, "batch 2: 2 of 3 convolutions\n"));
  CHECK_STR (there, here);
  CHECK_STR (again->provenance.key, engine->provenance.key);
  CHECK_INT (fast_steps (again, 1, "timed on this machine"), ==, 2);
  CHECK_INT (fast_steps (again, 2, "timed on this machine"), ==, 2);
  CHECK_INT (fast_steps (again, 4, "tuned for 2 others "), ==, 0);
}

/* Another machine, another version of the kernels: left alone, and no error. */
static void
test_elsewhere (void)
{
  g_autoptr (Engine) engine = small_engine ();
  EngineTuneReport report;

  fake_backend ();
  CHECK (tune (engine, 1, &report));
  g_autoptr (Engine) again = through_bytes (engine);
  fake.fast = "swift";
  CHECK_INT (fast_steps (again, 1, "tuned with other kernels"), ==, 0);
  fake.fast = "fast";
  CHECK_INT (fast_steps (again, 1, "timed on this machine"), ==, 2);
  fake.backend.description = "three ways";
  CHECK_INT (fast_steps (again, 1, "tuned for 1 other "), ==, 0);
  fake.backend.description = "two ways";
  fake.backend.name = "fake:1";
  CHECK_INT (fast_steps (again, 1, "tuned for 1 other "), ==, 0);
}

/* Under the right device and the right hash, wrong names. */
static void
test_lies (void)
{
  static const char *const lies[][4] = {
      {"fast", "slow", "fast", NULL}, /* the truth */
      {"fast", "fast", "fast", NULL}, /* the second has no such way */
      {"fast", "slow", NULL},
      {"fast", "slow", "fast", "fast"},
      {"", "", "warp", NULL},
      {NULL},
  };

  for (gsize i = 0; i < G_N_ELEMENTS (lies); i++) {
    g_autoptr (Engine) engine = small_engine ();
    KernelBackend *backend = fake_backend ();
    KernelQueue *queue = backend->queue_new (backend, 1);
    EngineTactics *tactics = engine_tactics_new (engine->graph, backend, queue, 1);

    backend->queue_free (queue);
    for (int k = 0; k < 4 && lies[i][k]; k++)
      g_ptr_array_add (tactics->names, g_strdup (lies[i][k]));
    engine_tactics_add (engine, tactics);
    g_autoptr (Engine) again = through_bytes (engine);
    if (i == 0)
      CHECK_INT (fast_steps (again, 1, "timed on this machine: 2 of 3"), ==, 2);
    else
      CHECK_INT (fast_steps (again, 1, "tuned with other kernels"), ==, 0);
  }
}

static void
test_many_machines (void)
{
  g_autoptr (Engine) engine = small_engine ();
  char *names[] = {"", "", ""};

  for (guint i = 0; i < 100; i++)
    engine_tactics_add (engine,
        engine_tactics_new_given ("cpu", "", "x", 1 + i % 80, 1, "", names, 3));
  g_autoptr (GPtrArray) list = engine_tactics_list (engine);
  CHECK_INT (list->len, ==, 64);
  CHECK_INT (((EngineTactics *) list->pdata[63])->threads, ==, 20);
  g_autoptr (Engine) again = through_bytes (engine);
  g_autofree char *here = engine_tuned_for (engine), *there = engine_tuned_for (again);
  CHECK_STR (there, here);
}

/* --- Requests ------------------------------------------------------------------------------- */

static EngineRequest
tuned_request (const char *path, int batch)
{
  EngineRequest request = request_for (path);

  request.tune_for = &fake.backend;
  request.tune_batch = batch;
  request.tune_threads = 1;
  return request;
}

static void
test_requests (void)
{
  begin ();
  fake_backend ();
  g_autofree char *path = path_of ("my.engine");
  EngineRequest request = tuned_request (path, 1);

  {
    g_auto (Outcome) first = obtain (&request);
    check_built (&first, "no engine yet");
    CHECK (first.report.tuned && !first.report.warning);
    CHECK_INT (fast_steps (first.engine, 1, "timed on this machine"), >, 0);
  }
  {
    g_auto (Outcome) second = obtain (&request);
    check_loaded (&second);
    CHECK (!second.report.tuned);
    CHECK_INT (fast_steps (second.engine, 1, "timed on this machine"), >, 0);

    request.tune_batch = 2;
    g_auto (Outcome) third = obtain (&request);
    CHECK (!third.report.built && third.report.tuned);
    CHECK_STR (third.told, "not tuned for this machine yet");
    CHECK (third.engine == second.engine);
  }
  request.tune_for = NULL;
  g_auto (Outcome) fourth = obtain (&request);
  check_loaded (&fourth);
  CHECK_INT (fast_steps (fourth.engine, 1, "timed on this machine"), >, 0);
  CHECK_INT (fast_steps (fourth.engine, 2, "timed on this machine"), >, 0);
}

/* Another process has tuned meanwhile: its choices are taken, and kept. */
static void
test_file_of_another_process (void)
{
  begin ();
  fake_backend ();
  g_autofree char *path = path_of ("my.engine");
  EngineRequest request = request_for (path);
  g_auto (Outcome) ours = obtain (&request);
  g_autoptr (Engine) theirs = through_bytes (ours.engine);
  EngineTuneReport report;

  CHECK (tune (theirs, 1, &report));
  CHECK (engine_file_write (theirs, NULL, path, NULL));
  request = tuned_request (path, 2);
  g_auto (Outcome) second = obtain (&request);
  CHECK (second.engine == ours.engine && second.report.tuned);
  g_autoptr (Engine) kept = engine_load (path, NULL, NULL);
  CHECK_INT (fast_steps (kept, 1, "timed on this machine"), >, 0);
  CHECK_INT (fast_steps (kept, 2, "timed on this machine"), >, 0);
  request.tune_batch = 1;
  g_auto (Outcome) third = obtain (&request);
  check_loaded (&third);
  CHECK (!third.report.tuned);
}

static void
test_not_kept (void)
{
  begin ();
  fake_backend ();
  EngineRequest request = tuned_request (NULL, 1);

  request.no_cache = TRUE;
  g_auto (Outcome) outcome = obtain (&request);
  CHECK (outcome.report.tuned);
  CHECK (outcome.report.warning && strstr (outcome.report.warning, "will be repeated"));
  CHECK_INT (fast_steps (outcome.engine, 1, "timed on this machine"), >, 0);
}

static gpointer
obtain_in_thread (gpointer data)
{
  const EngineRequest request = tuned_request (NULL, 1);

  return engine_obtain (&request, data, NULL, NULL, NULL, NULL, NULL);
}

static void
test_one_tunes_for_all (void)
{
  begin ();
  fake_backend ();
  GThread *threads[4];
  Engine *engines[4];
  EngineRequestReport reports[4] = {0};
  int tuned = 0;

  for (int i = 0; i < 4; i++)
    threads[i] = g_thread_new ("obtain", obtain_in_thread, &reports[i]);
  for (int i = 0; i < 4; i++) {
    engines[i] = g_thread_join (threads[i]);
    tuned += reports[i].tuned;
    CHECK (engines[i] && engines[i] == engines[0]);
  }
  CHECK_INT (tuned, ==, 1);
  for (int i = 0; i < 4; i++) {
    engine_unref (engines[i]);
    engine_request_report_clear (&reports[i]);
  }
}

int
main (void)
{
  request_init ();
  ref = net_backend ("ref");
  RUN (test_the_faster_way);
  RUN (test_the_same_speed);
  RUN (test_nothing_to_choose);
  RUN (test_cancelled);
  RUN (test_files_keep_it);
  RUN (test_elsewhere);
  RUN (test_lies);
  RUN (test_many_machines);
  RUN (test_requests);
  RUN (test_file_of_another_process);
  RUN (test_not_kept);
  RUN (test_one_tunes_for_all);
  kernel_close (ref);
  return request_done ();
}
