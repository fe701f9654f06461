/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pool.c: the thread pool runs every task once, publishes what it wrote, and copes with runs of
 * any size that follow each other at once or after a sleep. Built with pool.c alone, so that
 * ThreadSanitizer sees nothing else.
 */
#include "kernels/cpu/pool-crew.h"
#include "tests/check.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAX_TASKS   4096
#define MAX_THREADS 16

typedef struct {
  uint64_t *out; /* plain memory: a missing happens-before is a race that the sanitizer sees */
  uint64_t value;
  atomic_int *busy; /* [threads] */
  atomic_int *clash;
  int threads;
} Run;

static void
write_task (const void *ctx, int task, int thread)
{
  const Run *run = ctx;

  if (thread < 0 || thread >= run->threads || atomic_fetch_add (&run->busy[thread], 1) != 0)
    atomic_fetch_add (run->clash, 1);
  run->out[task] = run->out[task] * 3 + run->value + (uint64_t) task;
  if (thread >= 0 && thread < run->threads)
    atomic_fetch_sub (&run->busy[thread], 1);
}

/* Many runs of changing size on one pool, against the same arithmetic done by one thread. */
static void
hammer (int threads, int runs, int pause_every)
{
  static uint64_t got[MAX_TASKS], expected[MAX_TASKS];
  atomic_int busy[MAX_THREADS] = {0}, clash = 0;
  KernelPool *pool = kernel_pool_new (threads);
  uint32_t random = 12345;

  CHECK (pool != NULL);
  if (!pool)
    return;
  CHECK_INT (kernel_pool_threads (pool), ==, threads);
  memset (got, 0, sizeof got);
  memset (expected, 0, sizeof expected);
  for (int i = 0; i < runs; i++) {
    random = random * 1664525 + 1013904223;
    const int tasks = i % 7 == 0 ? (int) (random >> 16) % MAX_TASKS : (int) (random >> 16) % 9;
    const Run run = {got, (uint64_t) i, busy, &clash, threads};

    kernel_pool_run (pool, write_task, &run, tasks);
    for (int task = 0; task < tasks; task++)
      expected[task] = expected[task] * 3 + (uint64_t) i + (uint64_t) task;
    if (pause_every && i % pause_every == 0)
      usleep (500); /* longer than any spin: the workers sleep */
  }
  CHECK (memcmp (got, expected, sizeof got) == 0);
  CHECK_INT (atomic_load (&clash), ==, 0);
  kernel_pool_free (pool);
}

static void
test_one_thread (void)
{
  hammer (1, 2000, 0);
}

static void
test_threads_back_to_back (void)
{
  hammer (2, 5000, 0);
  hammer (4, 5000, 0);
}

static void
test_threads_that_slept (void)
{
  hammer (4, 400, 3);
}

static void
test_more_threads_than_cpus (void)
{
  hammer (MAX_THREADS, 500, 50);
}

/* Tasks that take longer than the caller's spin: it has to be woken. */
static void
slow_task (const void *ctx, int task, int thread)
{
  usleep (1000);
  atomic_fetch_add ((atomic_int *) ctx, 1);
}

static void
test_caller_sleeps (void)
{
  KernelPool *pool = kernel_pool_new (3);
  atomic_int count = 0;

  for (int i = 0; i < 50; i++)
    kernel_pool_run (pool, slow_task, &count, 1 + i % 4);
  CHECK_INT (atomic_load (&count), ==, 123);
  kernel_pool_free (pool);
}

/* The caller's task waits until a worker has taken another, for at most 20 s: a busy machine may let
 * the worker wait, a lost wake-up lets it sleep for good. */
static void
wait_for_worker (const void *ctx, int task, int thread)
{
  atomic_int *workers = (atomic_int *) ctx;

  if (thread != 0)
    atomic_fetch_add (workers, 1);
  for (int i = 0; i < 20000 && atomic_load (workers) == 0; i++)
    usleep (1000);
}

/* Workers that fell asleep come back. */
static void
test_sleepers_are_woken (void)
{
  KernelPool *pool = kernel_pool_new (4);

  for (int i = 0; i < 3; i++) {
    atomic_int workers = 0;

    usleep (50000);
    kernel_pool_run (pool, wait_for_worker, &workers, 4);
    CHECK_INT (atomic_load (&workers), >, 0);
  }
  kernel_pool_free (pool);
}

static void
test_no_tasks (void)
{
  KernelPool *pool = kernel_pool_new (4);
  atomic_int count = 0;

  kernel_pool_run (pool, slow_task, &count, 0);
  CHECK_INT (atomic_load (&count), ==, 0);
  kernel_pool_free (pool);
  kernel_pool_free (NULL);
}

static void
test_default_is_the_cpus_allowed (void)
{
  KernelPool *pool = kernel_pool_new (0);

  CHECK (pool != NULL);
  CHECK_INT (kernel_pool_threads (pool), ==, kernel_pool_cpus ());
  CHECK_INT (kernel_pool_threads (pool), >=, 1);
  CHECK_INT (kernel_pool_threads (pool), <=, sysconf (_SC_NPROCESSORS_CONF));
  kernel_pool_free (pool);
}

typedef struct {
  unsigned char *seen;
  atomic_int *parts;
} RangeRun;

static void
mark_range (const void *ctx, size_t begin, size_t end)
{
  const RangeRun *run = ctx;

  atomic_fetch_add (run->parts, 1);
  for (size_t i = begin; i < end; i++)
    run->seen[i]++;
}

/* Every number once; one part below two grains, and no part below a quarter of one. */
static void
test_ranges (void)
{
  static unsigned char seen[1000];
  KernelPool *pool = kernel_pool_new (3);

  for (size_t count = 0; count < sizeof seen; count += 1 + count / 3) {
    for (size_t grain = 1; grain < 400; grain += 1 + grain / 2) {
      atomic_int parts = 0;
      const RangeRun run = {seen, &parts};
      size_t wrong = 0;

      memset (seen, 0, sizeof seen);
      kernel_pool_range (pool, mark_range, &run, count, grain);
      for (size_t i = 0; i < sizeof seen; i++)
        wrong += seen[i] != (i < count);
      CHECK_INT (wrong, ==, 0);
      CHECK_INT (atomic_load (&parts), >=, 1);
      CHECK_INT (atomic_load (&parts), <=, count / grain > 1 ? count / ((grain + 3) / 4) : 1);
    }
  }
  kernel_pool_free (pool);
}

static void
write_file (const char *folder, const char *name, const char *text)
{
  char path[400];
  FILE *out;

  snprintf (path, sizeof path, "%s/%s", folder, name);
  out = fopen (path, "w");
  CHECK (out != NULL);
  if (!out)
    return;
  fputs (text, out);
  fclose (out);
}

static void
remove_files (const char *folder, const char *const *names)
{
  char path[400];

  for (; *names; names++) {
    snprintf (path, sizeof path, "%s/%s", folder, *names);
    CHECK_INT (remove (path), ==, 0);
  }
  CHECK_INT (rmdir (folder), ==, 0);
}

/* The least limit of the group and those above it, rounded up. */
static void
test_quota_of_control_groups (void)
{
  static const char *const names[] = {"a/b/cpu.max", "a/b", "a/cpu.max", "a", "self", NULL};
  char folder[] = "/tmp/int8-pool-XXXXXX", path[400], self[400];

  CHECK (mkdtemp (folder) != NULL);
  snprintf (self, sizeof self, "%s/self", folder);
  CHECK_INT (kernel_pool_quota (self, folder), ==, 0);
  write_file (folder, "self", "1:cpu:/c\n0::/a/b\n");
  CHECK_INT (kernel_pool_quota (self, folder), ==, 0);
  snprintf (path, sizeof path, "%s/a", folder);
  CHECK_INT (mkdir (path, 0700), ==, 0);
  snprintf (path, sizeof path, "%s/a/b", folder);
  CHECK_INT (mkdir (path, 0700), ==, 0);
  write_file (folder, "a/b/cpu.max", "max 100000\n");
  CHECK_INT (kernel_pool_quota (self, folder), ==, 0);
  write_file (folder, "a/cpu.max", "250000 100000\n");
  CHECK_INT (kernel_pool_quota (self, folder), ==, 3);
  write_file (folder, "a/b/cpu.max", "50000 100000\n");
  CHECK_INT (kernel_pool_quota (self, folder), ==, 1);
  write_file (folder, "self", "0::/\n");
  CHECK_INT (kernel_pool_quota (self, folder), ==, 0);
  write_file (folder, "cpu.max", "200000 100000\n"); /* the root of a container's own view */
  CHECK_INT (kernel_pool_quota (self, folder), ==, 2);
  write_file (folder, "cpu.max", "nonsense");
  CHECK_INT (kernel_pool_quota (self, folder), ==, 0);
  snprintf (path, sizeof path, "%s/cpu.max", folder);
  CHECK_INT (remove (path), ==, 0);
  remove_files (folder, names);
}

/* A pool that nobody uses burns no CPU time: far less than the 0.8 s that four spinning threads
 * would, and more than the loader or a sanitizer adds. */
static void
test_idle_pool_sleeps (void)
{
  KernelPool *pool = kernel_pool_new (4);
  struct timespec before, after;

  usleep (50000);
  clock_gettime (CLOCK_PROCESS_CPUTIME_ID, &before);
  usleep (200000);
  clock_gettime (CLOCK_PROCESS_CPUTIME_ID, &after);
  const double seconds =
      (double) (after.tv_sec - before.tv_sec) + (double) (after.tv_nsec - before.tv_nsec) / 1e9;
  CHECK (seconds < 0.1);
  kernel_pool_free (pool);
}

/* Turns of the caller's CPU, of which it wants to see none by another thread. */
typedef struct {
  int turns;
  atomic_int others;
} Busy;

static void
busy_task (const void *ctx, int task, int thread)
{
  Busy *busy = (Busy *) ctx;
  volatile int turn = 0;

  if (thread != 0)
    atomic_fetch_add (&busy->others, 1);
  while (turn < busy->turns)
    turn++;
}

/* Bursts of many tasks, and who did them in the last ones. */
static int
others_of (KernelPool *pool, int turns, int bursts)
{
  Busy busy = {.turns = turns};

  for (int i = 0; i < bursts; i++) {
    if (i == bursts - 8)
      atomic_store (&busy.others, 0);
    kernel_pool_run (pool, busy_task, &busy, 8);
    kernel_pool_rest (pool);
    usleep (10); /* else the next is of the same burst */
  }
  return atomic_load (&busy.others);
}

/* What is done at once is not handed over; what takes long is, again. A busy machine may see to it that
 * the one looks long, or no helper comes for the other: some patience. */
static void
test_brief_bursts_are_the_callers (void)
{
  KernelPool *pool = kernel_pool_new (4);
  bool brief = false, longer = false;

  for (int i = 0; i < 100 && !(brief && longer); i++) {
    brief = brief || others_of (pool, 1, 300) == 0;
    longer = longer || others_of (pool, 1000000, 10) > 0;
  }
  CHECK (brief);
  CHECK (longer);
  kernel_pool_free (pool);
}

/* How long helpers poll behind a burst before which the caller rested for so many microseconds. */
static int
poll_after (KernelPool *pool, int rest)
{
  Busy busy = {.turns = 1000};

  kernel_pool_run (pool, busy_task, &busy, 8);
  kernel_pool_rest (pool);
  for (const int64_t end = kernel_pool_now () + 1000 * rest; kernel_pool_now () < end;)
    kernel_pool_relax ();
  kernel_pool_run (pool, busy_task, &busy, 8);
  kernel_pool_rest (pool);
  return atomic_load (&pool->rest_ns);
}

/* Helpers wait longer for the next burst where this one came soon. A busy machine may see to it that it did
 * not: some patience. */
static void
test_short_rests_are_waited_for (void)
{
  KernelPool *pool = kernel_pool_new (4);
  bool soon = false;

  CHECK_INT (poll_after (pool, 2000), ==, KERNEL_POOL_POLL_NS);
  for (int i = 0; i < 1000 && !soon; i++)
    soon = poll_after (pool, 20) == KERNEL_POOL_REST_NS;
  CHECK (soon);
  CHECK_INT (poll_after (pool, 2000), ==, KERNEL_POOL_POLL_NS);
  kernel_pool_free (pool);
}

static void
test_too_many_threads_is_refused (void)
{
  CHECK (kernel_pool_new (KERNEL_POOL_MAX_THREADS + 1) == NULL);
}

int
main (void)
{
  RUN (test_one_thread);
  RUN (test_threads_back_to_back);
  RUN (test_threads_that_slept);
  RUN (test_more_threads_than_cpus);
  RUN (test_caller_sleeps);
  RUN (test_sleepers_are_woken);
  RUN (test_no_tasks);
  RUN (test_ranges);
  RUN (test_default_is_the_cpus_allowed);
  RUN (test_quota_of_control_groups);
  RUN (test_idle_pool_sleeps);
  RUN (test_brief_bursts_are_the_callers);
  RUN (test_short_rests_are_waited_for);
  RUN (test_too_many_threads_is_refused);
  return check_done ();
}
