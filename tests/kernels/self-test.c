/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * self-test.c: plants errors and requires that the harness finds them: kernels that are wrong in
 * one way, and, for every kernel, an output with one bit flipped and the bytes around it.
 */
#include "kernels/backend.h"
#include "tests/kernels/harness-private.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- A back end with errors ------------------------------------------------------------- */

static KernelOps planted_ops;

/* Queues are their number of threads. */
static KernelQueue *
planted_queue_new (KernelBackend *backend, int threads)
{
  return (KernelQueue *) (intptr_t) threads;
}

static void
planted_queue_free (KernelQueue *queue)
{
}

static const char *
planted_queue_wait (KernelQueue *queue)
{
  return NULL;
}

/* Where host_memory is false: memory like a device's, though kernels of ref can reach it. */
static void *
planted_alloc (KernelBackend *backend, size_t size)
{
  return aligned_alloc (KERNEL_ALIGN, (size + KERNEL_ALIGN - 1) / KERNEL_ALIGN * KERNEL_ALIGN);
}

static void
planted_free (KernelBackend *backend, void *memory)
{
  free (memory);
}

static void
planted_copy (KernelQueue *queue, void *to, const void *from, size_t size)
{
  memcpy (to, from, size);
}

static KernelBackend planted_backend = {
    .name = "planted",
    .description = "ref with an error",
    .ops = &planted_ops,
    .host_memory = true,
    .alloc = planted_alloc,
    .free = planted_free,
    .upload = planted_copy,
    .download = planted_copy,
    .queue_new = planted_queue_new,
    .queue_free = planted_queue_free,
    .queue_wait = planted_queue_wait,
};

/* --- The test ------------------------------------------------------------------------------- */

static int passed, failed;

static void
verdict (bool good, const char *kernel, const char *what)
{
  printf ("%-6s %s: %s\n", good ? "ok" : "FAIL", kernel, what);
  fflush (stdout);
  if (good)
    passed++;
  else
    failed++;
}

static int
count_failures (Harness *h, const char *kernel)
{
  h->devices[0].state = HARNESS_COMPARED;
  harness_test (h, harness_find_test (kernel));
  return h->devices[0].failures;
}

/* A read that the pages around a buffer catch ends the process, so it happens in another. */
static bool
crashes (Harness *h, const char *kernel)
{
  const pid_t child = fork ();
  int status;

  if (child == 0) {
    signal (SIGSEGV, SIG_DFL);
    signal (SIGBUS, SIG_DFL);
    count_failures (h, kernel);
    _exit (0);
  }
  return child > 0 && waitpid (child, &status, 0) == child && WIFSIGNALED (status) &&
         (WTERMSIG (status) == SIGSEGV || WTERMSIG (status) == SIGBUS);
}

static void
test_planted (Harness *h)
{
  h->only_case = -1;
  h->stop_after = 1;
  h->only_place = HARNESS_UNALIGNED; /* what is written beside a buffer hits guards, not pages */
  for (const HarnessPlanted *p = harness_planted; p->kernel; p++) {
    planted_ops = kernel_ops_ref;
    p->plant (&planted_ops);
    verdict (count_failures (h, p->kernel) > 0, p->kernel, p->what);
  }
  h->only_place = HARNESS_AT_END;
  for (const HarnessPlanted *p = harness_planted_crashes; p->kernel; p++) {
    planted_ops = kernel_ops_ref;
    p->plant (&planted_ops);
    verdict (crashes (h, p->kernel), p->kernel, p->what);
  }
  h->only_place = HARNESS_PLACES;
}

/* Every kernel: nothing is found where nothing is wrong, and the least error
 * in its output or beside it is. */
static void
test_sabotage (Harness *h, const char *kernel)
{
  static const struct {
    HarnessSabotage how;
    const char *what;
  } sabotages[] = {{HARNESS_FLIP, "one bit flipped"}, {HARNESS_BEFORE, "the byte before"},
      {HARNESS_BEHIND, "the byte behind"}};

  if (!harness_find_test (kernel)) {
    verdict (false, kernel, "no family tests it");
    return;
  }
  planted_ops = kernel_ops_ref;
  h->only_case = 1;
  verdict (count_failures (h, kernel) == 0 && h->ref.failures == 0, kernel, "no error");
  planted_backend.host_memory = false;
  verdict (count_failures (h, kernel) == 0, kernel, "no error in memory of a device");
  planted_backend.host_memory = true;
  h->only_case = -1; /* one case is not enough: a NaN with a flipped bit is as good as before */
  h->stop_after = 1;
  for (size_t i = 0; i < sizeof sabotages / sizeof *sabotages; i++) {
    h->sabotage = sabotages[i].how;
    verdict (count_failures (h, kernel) > 0, kernel, sabotages[i].what);
    h->sabotage = HARNESS_HONEST;
  }
}

int
harness_self_test (Harness *h)
{
  HarnessDevice *device = &h->devices[0];
  char why[256];

  h->quiet = true;
  h->n_devices = 1;
  h->ref.backend = kernel_open ("ref", why, sizeof why);
  device->backend = &planted_backend;
  harness_require (h->ref.backend && harness_open_queues (&h->ref, 1, 1) &&
                       harness_open_queues (device, 1, HARNESS_QUEUES),
      "the self-test has no queue");
  test_planted (h);
  for (int i = 0; i < harness_n_ops; i++)
    test_sabotage (h, harness_ops[i].name);
  printf ("%d passed, %d failed, 0 skipped\n", passed, failed);
  return failed ? 1 : 0;
}
