/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pool-crew.h: what pool.c (a run, seen by its caller) and pool-crew.c (the helpers) share.
 *
 * A run is handed over through slots, one for each thread, each on a cache line of its own. The
 * caller opens slots 1 .. slots - 1; a helper that has the seat of an open slot takes it, works, and
 * closes it; the caller closes those that nobody took and waits for the others. While a slot is
 * taken the run cannot end, so that a helper reads its fields as plain memory.
 *
 *     caller   CLOSED -> OPEN, OPEN -> CLOSED        helper   OPEN -> TAKEN -> CLOSED
 *
 * A helper keeps its seat from run to run. Nobody else polls the slot of that seat, so handing over
 * costs the transfer of one cache line each way.
 */
#pragma once

#include "kernels/cpu/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

typedef enum {
  KERNEL_SLOT_CLOSED,
  KERNEL_SLOT_OPEN,
  KERNEL_SLOT_TAKEN,
} KernelSlotState;

typedef struct {
  _Alignas(64) atomic_int state;
  _Atomic uint64_t tasks; /* not taken yet: the first | the end << 32 */
  bool seated;            /* a helper polls this slot; under the crew's mutex */
} KernelPoolSlot;

/* The CPU that a working thread was last seen on. */
typedef struct {
  int cpu;
  bool on;
} KernelPlace;

struct KernelPool {
  /* Written by the caller in every run. */
  _Alignas(64) KernelPoolFn fn;
  const void *ctx;
  int slots;
  atomic_int opened; /* slots, while a run is open: what helpers that look for a seat read */
  KernelPlace place; /* the caller's */
  int64_t since;     /* when this burst of runs began */
  int64_t rested;    /* the last kernel_pool_rest(); before `since` where there was none yet */
  int64_t shared_ns; /* what one with helpers took */
  bool alone;        /* this one is without */
  int trials;        /* without, that took longer one after the other */
  int pause;         /* bursts with helpers before the next trial */

  /* Hardly ever written. */
  _Alignas(64) int threads;
  atomic_bool counted; /* among the crew's callers */
  atomic_int rest_ns;  /* so long do helpers poll while the caller rests */
  atomic_int present;  /* helpers that have a seat */
  atomic_bool gone;    /* is being freed */
  atomic_bool caller_sleeps;
  pthread_mutex_t mutex;
  pthread_cond_t done;
  KernelPool *next; /* under the crew's mutex */

  KernelPoolSlot slot[];
};

static inline int
kernel_pool_left (uint64_t tasks)
{
  return (int) ((uint32_t) (tasks >> 32) - (uint32_t) tasks);
}

/* Waiting threads poll for so long, then let others go first between polls, then sleep. Waking takes
 * tens of microseconds, more in a virtual machine, so that a helper sleeps within a network only where
 * its caller is long busy alone; when the caller rests, the next run may be a frame away, and helpers poll for
 * longer only where the rest before was a short one: frames come as fast as they are dealt with. */
#define KERNEL_POOL_POLL_NS 30000
#define KERNEL_POOL_REST_NS 100000
#define KERNEL_POOL_WAIT_NS 300000
/* A burst of runs, with rests of less than the gap among them, that is over in less may take hardly longer
 * without helpers, which leaves their CPUs to the other threads of a pipeline. So a few are tried: if
 * each takes longer by a quarter, and by what waking costs, so many others pass before the next trial. */
#define KERNEL_POOL_GAP_NS    2000
#define KERNEL_POOL_BRIEF_NS  100000
#define KERNEL_POOL_WAKING_NS 20000
#define KERNEL_POOL_TRIALS    3
#define KERNEL_POOL_PAUSE     500
/* Polls between two looks at the clock. */
#define KERNEL_POOL_POLLS 32

static inline void
kernel_pool_relax (void)
{
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause ();
#elif defined(__aarch64__)
  __asm__ volatile("yield" ::: "memory");
#endif
}

/* What kernel_pool_wait() remembers between calls; zero at first. */
typedef struct {
  unsigned polls;
  int64_t since;
} KernelPoolWait;

static inline int64_t
kernel_pool_now (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC, &now);
  return (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Between two polls. False when they have been going on for longer than `most` nanoseconds. */
static inline bool
kernel_pool_wait (KernelPoolWait *wait, int64_t most)
{
  kernel_pool_relax ();
  if (++wait->polls % KERNEL_POOL_POLLS != 0)
    return true;

  const int64_t now = kernel_pool_now ();

  if (wait->since == 0)
    wait->since = now;
  if (now - wait->since > KERNEL_POOL_POLL_NS)
    sched_yield ();
  return now - wait->since < most;
}

/* Takes and runs tasks of the pool's open run until none is left. */
void kernel_pool_work (KernelPool *pool, int slot);

/* False when the threads could not be started; then nothing has changed. */
bool kernel_crew_join (KernelPool *pool);
void kernel_crew_leave (KernelPool *pool);
/* The pool's caller works from now on, or no longer. */
void kernel_crew_count (KernelPool *pool, bool counted);
/* Wakes up to `wanted` helpers, if any sleeps and there are CPUs for them. */
void kernel_crew_call (int wanted);

/* pool-place.c: notes the CPU that the calling thread is on; that it works no longer; and moves it
 * to a CPU without a working thread of ours if it shares one. */
void kernel_place_update (KernelPlace *place);
void kernel_place_leave (KernelPlace *place);
void kernel_place_step_aside (KernelPlace *place);
/* In the child of a fork. */
void kernel_place_forget_all (void);
