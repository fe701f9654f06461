/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pool.c: a run, from its caller's side, and the tasks of it.
 *
 * Every thread of a run owns a stretch of the tasks and takes from its front; who has none left
 * takes from the end of the longest stretch, also of slots that no helper came for. Both are a
 * compare-and-swap of one word, whose first only rises and whose end only falls during a run.
 *
 * The next layer follows within microseconds, so whoever waits polls briefly and then sleeps. The
 * pairs of sequentially consistent accesses (a slot's state and caller_sleeps here, opened and the
 * crew's sleepers in pool-crew.c) are what makes a lost wake-up impossible: of two threads that each
 * write one and then read the other, at least one sees the other's write.
 */
#include "kernels/cpu/pool-crew.h"

#include <stdlib.h>

/* Parts of a range: a thread that was late or slow keeps the others waiting for less. */
#define PARTS_PER_THREAD 4

static inline uint64_t
stretch (uint32_t first, uint32_t end)
{
  return (uint64_t) end << 32 | first;
}

/* The next task of a slot's own stretch, or -1. */
static int
take_first (KernelPoolSlot *slot)
{
  uint64_t tasks = atomic_load_explicit (&slot->tasks, memory_order_relaxed);

  while (kernel_pool_left (tasks) > 0)
    if (atomic_compare_exchange_weak_explicit (&slot->tasks, &tasks, tasks + 1,
            memory_order_relaxed, memory_order_relaxed))
      return (int) (uint32_t) tasks;
  return -1;
}

/* The last task of the longest stretch, or -1 when there is none at all. */
static int
take_last (KernelPool *pool)
{
  for (;;) {
    KernelPoolSlot *victim = NULL;
    uint64_t most = 0;

    for (int i = 0; i < pool->slots; i++) {
      const uint64_t tasks = atomic_load_explicit (&pool->slot[i].tasks, memory_order_relaxed);

      if (kernel_pool_left (tasks) > kernel_pool_left (most)) {
        victim = &pool->slot[i];
        most = tasks;
      }
    }
    if (!victim)
      return -1;
    if (atomic_compare_exchange_strong_explicit (&victim->tasks, &most, most - ((uint64_t) 1 << 32),
            memory_order_relaxed, memory_order_relaxed))
      return (int) (uint32_t) (most >> 32) - 1;
  }
}

void
kernel_pool_work (KernelPool *pool, int slot)
{
  const KernelPoolFn fn = pool->fn;
  const void *ctx = pool->ctx;
  int task;

  while ((task = take_first (&pool->slot[slot])) >= 0)
    fn (ctx, task, slot);
  while ((task = take_last (pool)) >= 0)
    fn (ctx, task, slot);
}

static void
open_slots (KernelPool *pool, KernelPoolFn fn, const void *ctx, int tasks)
{
  const int slots = tasks < pool->threads ? tasks : pool->threads;

  pool->fn = fn;
  pool->ctx = ctx;
  pool->slots = slots;
  for (int i = 0; i < slots; i++)
    atomic_store_explicit (&pool->slot[i].tasks,
        stretch ((uint32_t) kernel_pool_part ((size_t) tasks, slots, i),
            (uint32_t) kernel_pool_part ((size_t) tasks, slots, i + 1)),
        memory_order_relaxed);
  for (int i = 1; i < slots; i++)
    atomic_store_explicit (&pool->slot[i].state, KERNEL_SLOT_OPEN, memory_order_release);
  atomic_store (&pool->opened, slots);
}

/* Polls, then sleeps, until the helper of the slot has finished. */
static void
wait_for (KernelPool *pool, KernelPoolSlot *slot)
{
  KernelPoolWait wait = {0};

  while (atomic_load (&slot->state) != KERNEL_SLOT_CLOSED) {
    if (kernel_pool_wait (&wait, KERNEL_POOL_WAIT_NS))
      continue;
    pthread_mutex_lock (&pool->mutex);
    atomic_store (&pool->caller_sleeps, true);
    while (atomic_load (&slot->state) != KERNEL_SLOT_CLOSED)
      pthread_cond_wait (&pool->done, &pool->mutex);
    atomic_store (&pool->caller_sleeps, false);
    pthread_mutex_unlock (&pool->mutex);
  }
}

static void
close_slots (KernelPool *pool)
{
  atomic_store_explicit (&pool->opened, 0, memory_order_relaxed);
  for (int i = 1; i < pool->slots; i++) {
    int open = KERNEL_SLOT_OPEN;

    if (!atomic_compare_exchange_strong (&pool->slot[i].state, &open, KERNEL_SLOT_CLOSED))
      wait_for (pool, &pool->slot[i]);
  }
}

/* Whether the next burst does without helpers. */
static void
judge_burst (KernelPool *pool)
{
  const int64_t took = pool->rested - pool->since, shared = pool->shared_ns;

  if (!pool->alone) {
    pool->shared_ns = took;
    pool->alone = took < KERNEL_POOL_BRIEF_NS && --pool->pause < 0;
    pool->trials = 0;
  } else if (took < shared + shared / 4 || took < shared + KERNEL_POOL_WAKING_NS) {
    pool->trials = 0;
  } else if (++pool->trials == KERNEL_POOL_TRIALS) {
    pool->alone = false;
    pool->pause = KERNEL_POOL_PAUSE;
  }
}

static void
begin_work (KernelPool *pool)
{
  kernel_crew_count (pool, true);
  if (pool->threads == 1)
    return;

  const int64_t now = kernel_pool_now ();

  if (pool->rested > pool->since) {
    const int64_t rest = now - pool->rested;

    if (rest < KERNEL_POOL_GAP_NS)
      return;
    judge_burst (pool);
    atomic_store_explicit (&pool->rest_ns,
        rest < KERNEL_POOL_REST_NS ? KERNEL_POOL_REST_NS : KERNEL_POOL_POLL_NS,
        memory_order_relaxed);
  }
  pool->since = now;
}

/* One that goes on and on takes helpers after all. */
static bool
is_alone (KernelPool *pool)
{
  if (pool->alone && kernel_pool_now () - pool->since > 2 * KERNEL_POOL_BRIEF_NS) {
    pool->alone = false;
    pool->pause = KERNEL_POOL_PAUSE;
  }
  return pool->alone;
}

/* `counted` for good: nothing is ever written, so that any number of threads may use it. */
static KernelPool serial = {.threads = 1, .counted = true};

KernelPool *
kernel_pool_serial (void)
{
  return &serial;
}

void
kernel_pool_run (KernelPool *pool, KernelPoolFn fn, const void *ctx, int tasks)
{
  if (!atomic_load_explicit (&pool->counted, memory_order_relaxed))
    begin_work (pool);
  if (tasks <= 1 || pool->threads == 1 || is_alone (pool)) {
    for (int task = 0; task < tasks; task++)
      fn (ctx, task, 0);
    return;
  }

  open_slots (pool, fn, ctx, tasks);
  const int missing = pool->slots - 1 - atomic_load (&pool->present);
  if (missing > 0)
    kernel_crew_call (missing);
  kernel_pool_work (pool, 0);
  close_slots (pool);
}

void
kernel_pool_rest (KernelPool *pool)
{
  if (!atomic_load_explicit (&pool->counted, memory_order_relaxed) || pool == &serial)
    return;
  if (pool->threads > 1)
    pool->rested = kernel_pool_now ();
  kernel_crew_count (pool, false);
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
  const size_t threads = (size_t) pool->threads, useful = count / grain;
  size_t parts = useful < threads * PARTS_PER_THREAD ? useful : threads * PARTS_PER_THREAD;

  if (parts <= 1 || threads == 1) {
    fn (ctx, 0, count);
    return;
  }
  /* What is shared at all is shared by all, down to a quarter of a grain, and equally: not for the
   * time, but because the kernels before and after are, so that everyone's part is in its own cache. */
  if (parts < threads)
    parts = count / ((grain + 3) / 4) < threads ? count / ((grain + 3) / 4) : threads;
  else
    parts -= parts % threads;
  const Range range = {fn, ctx, count, (int) parts};

  kernel_pool_run (pool, range_task, &range, range.parts);
}

KernelPool *
kernel_pool_new (int threads)
{
  if (threads <= 0)
    threads = kernel_pool_cpus ();
  if (threads > KERNEL_POOL_MAX_THREADS)
    return NULL;

  const size_t size = sizeof (KernelPool) + (size_t) threads * sizeof (KernelPoolSlot);
  KernelPool *pool = aligned_alloc (64, size);

  if (!pool)
    return NULL;
  *pool = (KernelPool){.threads = threads, .rest_ns = KERNEL_POOL_POLL_NS};
  for (int i = 0; i < threads; i++)
    pool->slot[i] = (KernelPoolSlot){.state = KERNEL_SLOT_CLOSED};
  pthread_mutex_init (&pool->mutex, NULL);
  pthread_cond_init (&pool->done, NULL);
  if (kernel_crew_join (pool))
    return pool;
  pthread_cond_destroy (&pool->done);
  pthread_mutex_destroy (&pool->mutex);
  free (pool);
  return NULL;
}

void
kernel_pool_free (KernelPool *pool)
{
  if (!pool)
    return;
  kernel_crew_leave (pool);
  pthread_cond_destroy (&pool->done);
  pthread_mutex_destroy (&pool->mutex);
  free (pool);
}

int
kernel_pool_threads (const KernelPool *pool)
{
  return pool->threads;
}
