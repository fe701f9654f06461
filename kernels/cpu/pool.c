/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pool.c: threads that share the tasks of one run after another.
 *
 * A run is published in one 64-bit word, `ticket`: the number of the run above, the tasks nobody
 * has taken below. A thread takes a task by lowering the word with a compare-and-swap. Success
 * proves that the run is still the one it looked at, and the task taken keeps that run open, so
 * that fn, ctx and tasks are read afterwards as plain fields. A worker that wakes up late finds
 * nothing left and disturbs nobody: the caller waits for tasks, never for threads.
 *
 * Who finds no work spins briefly, because the next layer follows within microseconds, then sleeps
 * on a condition. The pairs of sequentially consistent accesses (ticket and sleepers, pending and
 * caller_sleeps) are what makes a lost wake-up impossible: of two threads that each write one and
 * then read the other, at least one sees the other's write.
 */
#include "kernels/cpu/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* Rounds of a spin loop before sleeping: tens of microseconds, less than a wake-up costs twice. */
#define SPIN_ROUNDS 2000
/* Parts of a range: a thread that was late or slow keeps the others waiting for less. */
#define PARTS_PER_THREAD 4

typedef struct {
  KernelPool *pool;
  pthread_t thread;
  int index;
} Worker;

struct KernelPool {
  _Alignas(64) _Atomic uint64_t ticket; /* run << 32 | tasks not taken */
  _Alignas(64) atomic_int pending;      /* tasks not finished */
  _Alignas(64) KernelPoolFn fn;
  const void *ctx;
  int tasks;

  atomic_int sleepers;
  atomic_bool caller_sleeps;
  atomic_bool quit;
  pthread_mutex_t mutex;
  pthread_cond_t work, done;

  int threads, started; /* with the caller; workers that exist */
  Worker workers[];
};

static inline void
pool_relax (void)
{
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause ();
#elif defined(__aarch64__)
  __asm__ volatile("yield" ::: "memory");
#endif
}

static bool
pool_has_work (KernelPool *pool)
{
  return (uint32_t) atomic_load (&pool->ticket) != 0;
}

/* Takes and runs tasks until none is left. */
static void
pool_work (KernelPool *pool, int thread)
{
  uint64_t ticket = atomic_load (&pool->ticket);

  while ((uint32_t) ticket != 0) {
    if (!atomic_compare_exchange_weak (&pool->ticket, &ticket, ticket - 1))
      continue;
    pool->fn (pool->ctx, pool->tasks - (int) (uint32_t) ticket, thread);
    if (atomic_fetch_sub (&pool->pending, 1) == 1 && atomic_load (&pool->caller_sleeps)) {
      pthread_mutex_lock (&pool->mutex);
      pthread_cond_signal (&pool->done);
      pthread_mutex_unlock (&pool->mutex);
    }
    ticket = atomic_load (&pool->ticket);
  }
}

static void
pool_wait_for_work (KernelPool *pool)
{
  for (int i = 0; i < SPIN_ROUNDS; i++) {
    if (pool_has_work (pool) || atomic_load (&pool->quit))
      return;
    pool_relax ();
  }
  pthread_mutex_lock (&pool->mutex);
  atomic_fetch_add (&pool->sleepers, 1);
  while (!pool_has_work (pool) && !atomic_load (&pool->quit))
    pthread_cond_wait (&pool->work, &pool->mutex);
  atomic_fetch_sub (&pool->sleepers, 1);
  pthread_mutex_unlock (&pool->mutex);
}

static void
pool_wait_for_done (KernelPool *pool)
{
  for (int i = 0; i < SPIN_ROUNDS; i++) {
    if (atomic_load (&pool->pending) == 0)
      return;
    pool_relax ();
  }
  pthread_mutex_lock (&pool->mutex);
  atomic_store (&pool->caller_sleeps, true);
  while (atomic_load (&pool->pending) != 0)
    pthread_cond_wait (&pool->done, &pool->mutex);
  atomic_store (&pool->caller_sleeps, false);
  pthread_mutex_unlock (&pool->mutex);
}

static void *
pool_thread (void *data)
{
  Worker *worker = data;
  KernelPool *pool = worker->pool;

  while (!atomic_load (&pool->quit)) {
    pool_work (pool, worker->index);
    pool_wait_for_work (pool);
  }
  return NULL;
}

void
kernel_pool_run (KernelPool *pool, KernelPoolFn fn, const void *ctx, int tasks)
{
  if (tasks <= 1 || pool->threads == 1) {
    for (int task = 0; task < tasks; task++)
      fn (ctx, task, 0);
    return;
  }

  pool->fn = fn;
  pool->ctx = ctx;
  pool->tasks = tasks;
  atomic_store (&pool->pending, tasks);
  /* Nobody changes the word of a finished run, so this needs no compare-and-swap. */
  const uint64_t run = (atomic_load (&pool->ticket) >> 32) + 1;
  atomic_store (&pool->ticket, run << 32 | (uint32_t) tasks);

  if (atomic_load (&pool->sleepers) > 0) {
    pthread_mutex_lock (&pool->mutex);
    if (tasks > pool->threads / 2)
      pthread_cond_broadcast (&pool->work);
    else
      for (int i = 1; i < tasks; i++)
        pthread_cond_signal (&pool->work);
    pthread_mutex_unlock (&pool->mutex);
  }
  pool_work (pool, 0);
  pool_wait_for_done (pool);
}

typedef struct {
  KernelPoolRangeFn fn;
  const void *ctx;
  size_t count;
  int parts;
} Range;

static void
range_task (const void *ctx, int task, int thread)
{
  const Range *range = ctx;

  range->fn (range->ctx, kernel_pool_part (range->count, range->parts, task),
      kernel_pool_part (range->count, range->parts, task + 1));
}

void
kernel_pool_range (KernelPool *pool, KernelPoolRangeFn fn, const void *ctx, size_t count,
    size_t grain)
{
  const size_t most = (size_t) pool->threads * PARTS_PER_THREAD, useful = count / grain;
  Range range = {fn, ctx, count, useful < most ? (int) useful : (int) most};

  if (range.parts <= 1 || pool->threads == 1)
    fn (ctx, 0, count);
  else
    kernel_pool_run (pool, range_task, &range, range.parts);
}

/* Workers take no signals: those are for the application's threads. */
static bool
pool_start (KernelPool *pool)
{
  sigset_t all, old;

  sigfillset (&all);
  pthread_sigmask (SIG_SETMASK, &all, &old);
  while (pool->started < pool->threads - 1) {
    Worker *worker = &pool->workers[pool->started];

    worker->pool = pool;
    worker->index = pool->started + 1;
    if (pthread_create (&worker->thread, NULL, pool_thread, worker) != 0)
      break;
    pool->started++;
  }
  pthread_sigmask (SIG_SETMASK, &old, NULL);
  return pool->started == pool->threads - 1;
}

KernelPool *
kernel_pool_new (int threads)
{
  if (threads <= 0)
    threads = kernel_pool_cpus ();
  if (threads > KERNEL_POOL_MAX_THREADS)
    return NULL;

  const size_t size = sizeof (KernelPool) + (size_t) (threads - 1) * sizeof (Worker);
  KernelPool *pool = aligned_alloc (64, (size + 63) / 64 * 64);

  if (!pool)
    return NULL;
  *pool = (KernelPool){.threads = threads};
  pthread_mutex_init (&pool->mutex, NULL);
  pthread_cond_init (&pool->work, NULL);
  pthread_cond_init (&pool->done, NULL);
  if (!pool_start (pool)) {
    kernel_pool_free (pool);
    return NULL;
  }
  return pool;
}

void
kernel_pool_free (KernelPool *pool)
{
  if (!pool)
    return;
  pthread_mutex_lock (&pool->mutex);
  atomic_store (&pool->quit, true);
  pthread_cond_broadcast (&pool->work);
  pthread_mutex_unlock (&pool->mutex);
  for (int i = 0; i < pool->started; i++)
    pthread_join (pool->workers[i].thread, NULL);
  pthread_cond_destroy (&pool->done);
  pthread_cond_destroy (&pool->work);
  pthread_mutex_destroy (&pool->mutex);
  free (pool);
}

int
kernel_pool_threads (const KernelPool *pool)
{
  return pool->threads;
}
