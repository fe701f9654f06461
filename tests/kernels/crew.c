/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * crew.c: one crew of helpers serves many pools: right results under stress, progress without a
 * helper, no more threads than promised, none awake without a CPU, and what fork() leaves.
 */
#include "kernels/cpu/pool.h"
#include "tests/check.h"
#include "tests/sanitized.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALLERS   8
#define MAX_TASKS 64
#define PATIENCE  20000 /* ms that a busy machine may let a thread wait */

static int
max_int (int a, int b)
{
  return a > b ? a : b;
}

/* --- Stress --------------------------------------------------------------------------------- */

typedef struct {
  uint64_t *sums; /* plain memory: a missing happens-before is a race that the sanitizer sees */
  atomic_int *busy;
  atomic_int *wrong;
  uint64_t value;
  int threads;
} Sum;

static void
add_task (const void *ctx, int task, int thread)
{
  const Sum *sum = ctx;

  if (thread < 0 || thread >= sum->threads || atomic_fetch_add (&sum->busy[thread], 1) != 0) {
    atomic_fetch_add (sum->wrong, 1);
    return;
  }
  sum->sums[task] = sum->sums[task] * 5 + sum->value + (uint64_t) task;
  atomic_fetch_sub (&sum->busy[thread], 1);
}

/* The life of a pool: runs of any size, some of them after a rest or a sleep. */
static void
use_pool (uint32_t *random, int threads, int runs, atomic_int *wrong)
{
  uint64_t got[MAX_TASKS] = {0}, expected[MAX_TASKS] = {0};
  atomic_int busy[MAX_TASKS] = {0};
  KernelPool *pool = kernel_pool_new (threads);

  if (!pool) {
    atomic_fetch_add (wrong, 1);
    return;
  }
  for (int i = 0; i < runs; i++) {
    *random = *random * 1664525 + 1013904223;
    const int tasks = (int) (*random >> 16) % MAX_TASKS;
    const Sum sum = {got, busy, wrong, (uint64_t) i, threads};

    kernel_pool_run (pool, add_task, &sum, tasks);
    for (int task = 0; task < tasks; task++)
      expected[task] = expected[task] * 5 + (uint64_t) i + (uint64_t) task;
    if (*random % 16 == 0)
      kernel_pool_rest (pool);
    if (*random % 64 == 0)
      usleep (500);
  }
  if (memcmp (got, expected, sizeof got) != 0)
    atomic_fetch_add (wrong, 1);
  kernel_pool_free (pool);
}

typedef struct {
  uint32_t random;
  atomic_int *wrong;
} Caller;

static void *
caller_thread (void *data)
{
  Caller *caller = data;

  for (int life = 0; life < 12; life++)
    use_pool (&caller->random, 1 + (int) (caller->random >> 8) % 6, 100, caller->wrong);
  return NULL;
}

/* Pools come and go while others are in the middle of a run, and so does the crew. */
static void
test_many_pools (void)
{
  pthread_t threads[CALLERS];
  Caller callers[CALLERS];
  atomic_int wrong = 0;

  for (int i = 0; i < CALLERS; i++) {
    callers[i] = (Caller){.random = 99 + (uint32_t) i, .wrong = &wrong};
    CHECK_INT (pthread_create (&threads[i], NULL, caller_thread, &callers[i]), ==, 0);
  }
  for (int i = 0; i < CALLERS; i++)
    pthread_join (threads[i], NULL);
  CHECK_INT (atomic_load (&wrong), ==, 0);
}

/* --- Who works ------------------------------------------------------------------------------ */

typedef struct {
  atomic_int helped; /* tasks that ran on a helper */
  atomic_int done;
  atomic_bool go_on;
} Watch;

static void
watched_task (const void *ctx, int task, int thread)
{
  Watch *watch = (Watch *) ctx;

  if (thread != 0)
    atomic_fetch_add (&watch->helped, 1);
  usleep (1000);
  atomic_fetch_add (&watch->done, 1);
}

static void
stuck_task (const void *ctx, int task, int thread)
{
  Watch *watch = (Watch *) ctx;

  atomic_fetch_add (&watch->done, 1);
  for (int i = 0; i < PATIENCE && !atomic_load (&watch->go_on); i++)
    usleep (1000);
}

typedef struct {
  KernelPool *pool;
  Watch *watch;
} Stuck;

static void *
stuck_thread (void *data)
{
  const Stuck *stuck = data;

  kernel_pool_run (stuck->pool, stuck_task, stuck->watch, kernel_pool_threads (stuck->pool));
  return NULL;
}

/* Runs until a helper has taken part, or patience is over. */
static bool
gets_help (KernelPool *pool)
{
  Watch watch = {0};

  for (int i = 0; i < PATIENCE / 4 && atomic_load (&watch.helped) == 0; i++)
    kernel_pool_run (pool, watched_task, &watch, 4);
  return atomic_load (&watch.helped) > 0;
}

/* One pool holds the whole crew in its tasks; another's runs end all the same. */
static void
test_progress_without_helpers (void)
{
  KernelPool *first = kernel_pool_new (4), *second = kernel_pool_new (4);
  Watch held = {0}, watch = {0};
  Stuck stuck = {first, &held};
  pthread_t thread;

  CHECK (first && second);
  CHECK_INT (pthread_create (&thread, NULL, stuck_thread, &stuck), ==, 0);
  for (int i = 0; i < PATIENCE && atomic_load (&held.done) == 0; i++)
    usleep (1000);
  for (int i = 0; i < 20; i++)
    kernel_pool_run (second, watched_task, &watch, 5);
  CHECK_INT (atomic_load (&watch.done), ==, 100);
  atomic_store (&held.go_on, true);
  pthread_join (thread, NULL);
  CHECK_INT (atomic_load (&held.done), ==, 4);
  kernel_pool_rest (first);
  CHECK (gets_help (second)); /* they come over */
  kernel_pool_free (first);
  kernel_pool_free (second);
}

/* As many working callers as CPUs: helpers sleep, until one of them rests. */
static void
test_no_help_without_a_cpu (void)
{
  const int limit = max_int (kernel_pool_cpus (), 4);
  KernelPool **pools = calloc ((size_t) limit, sizeof *pools);
  Watch watch = {0};

  for (int i = 0; i < limit; i++) {
    pools[i] = kernel_pool_new (4);
    CHECK (pools[i] != NULL);
  }
  CHECK (gets_help (pools[0]));
  for (int i = 0; i < limit; i++)
    kernel_pool_run (pools[i], watched_task, &watch, 1);
  /* One may have been on its way. */
  bool alone = false;
  for (int k = 0; k < 50 && !alone; k++) {
    atomic_store (&watch.helped, 0);
    for (int i = 0; i < 10; i++)
      kernel_pool_run (pools[i % limit], watched_task, &watch, 4);
    alone = atomic_load (&watch.helped) == 0;
  }
  CHECK (alone);
  kernel_pool_rest (pools[limit - 1]);
  CHECK (gets_help (pools[0]));
  for (int i = 0; i < limit; i++)
    kernel_pool_free (pools[i]);
  free (pools);
}

/* --- Threads -------------------------------------------------------------------------------- */

static int
count_threads (void)
{
  DIR *folder = opendir ("/proc/self/task");
  int count = 0;

  for (struct dirent *entry; folder && (entry = readdir (folder));)
    count += entry->d_name[0] != '.';
  if (folder)
    closedir (folder);
  return count;
}

/* Many pools, few threads; with the last pool they go. A thread that was joined may be listed for a
 * moment. */
static void
test_crew_size (void)
{
  const int before = count_threads (), cpus = kernel_pool_cpus ();
  KernelPool *pools[CALLERS];

  pools[0] = kernel_pool_new (2);
  CHECK_INT (count_threads (), ==, before + 1);
  for (int i = 1; i < CALLERS; i++)
    pools[i] = kernel_pool_new (3);
  CHECK_INT (count_threads (), >=, before + 2);
  CHECK_INT (count_threads (), <=, before + max_int (cpus, 3) - 1);
  kernel_pool_free (pools[0]);
  pools[0] = kernel_pool_new (cpus + 3);
  CHECK_INT (count_threads (), ==, before + cpus + 2);
  for (int i = 0; i < CALLERS; i++)
    kernel_pool_free (pools[i]);
  for (int i = 0; i < PATIENCE && count_threads () > before; i++)
    usleep (1000);
  CHECK_INT (count_threads (), ==, before);
}

/* Any thread may use it at any time, also from within a task. */
static void
test_serial_pool (void)
{
  uint64_t sums[MAX_TASKS] = {0};
  atomic_int busy[1] = {0}, wrong = 0;
  const Sum sum = {sums, busy, &wrong, 7, 1};

  CHECK_INT (kernel_pool_threads (kernel_pool_serial ()), ==, 1);
  kernel_pool_run (kernel_pool_serial (), add_task, &sum, MAX_TASKS);
  kernel_pool_rest (kernel_pool_serial ());
  CHECK_INT (atomic_load (&wrong), ==, 0);
  CHECK (sums[0] == 7 && sums[MAX_TASKS - 1] == 7 + MAX_TASKS - 1);
}

/* --- fork() --------------------------------------------------------------------------------- */

/* Exit status: 0, or which step failed. */
static int
child (KernelPool *pool)
{
  Watch watch = {0};

  kernel_pool_run (pool, watched_task, &watch, 9);
  if (atomic_load (&watch.done) != 9 || atomic_load (&watch.helped) != 0)
    return 1;
#if !SANITIZED_THREAD /* which starts no threads behind a fork */
  KernelPool *other = kernel_pool_new (4);
  if (!other)
    return 2;
  if (!gets_help (other))
    return 3;
  kernel_pool_rest (other);
  if (!gets_help (pool))
    return 4;
  kernel_pool_free (other);
#endif
  kernel_pool_free (pool);
  return 0;
}

static void
test_fork (void)
{
  KernelPool *pool = kernel_pool_new (4);
  int status = -1;
  pid_t pid;

  CHECK (gets_help (pool));
  pid = fork ();
  if (pid == 0)
    _exit (child (pool));
  CHECK (pid > 0);
  CHECK (waitpid (pid, &status, 0) == pid);
  CHECK (WIFEXITED (status));
  CHECK_INT (WEXITSTATUS (status), ==, 0);
  CHECK (gets_help (pool));
  kernel_pool_free (pool);
}

int
main (void)
{
  RUN (test_many_pools);
  RUN (test_progress_without_helpers);
  RUN (test_no_help_without_a_cpu);
  RUN (test_crew_size);
  RUN (test_serial_pool);
  RUN (test_fork);
  return check_done ();
}
