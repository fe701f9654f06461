/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pool-crew.c: the helpers of the process: where each sits, and when it sleeps.
 *
 * A helper has a seat at one pool (a slot that it polls), or it looks for one, or it sleeps. Seats,
 * sleep and the list of pools are under one mutex, which neither a run nor a helper that has work
 * touches.
 *
 * Load is the number of working callers and of helpers that are awake. Where it exceeds the CPUs,
 * helpers sleep, even with work before them: that work's caller is one of the threads that the CPUs
 * are for. Nobody is woken unless there is a CPU for it. Eight queues on four CPUs are therefore
 * eight threads without helpers, one queue has three helpers, two have one each.
 *
 * Helpers even out: one leaves its pool for another where that leaves neither with fewer helpers
 * than the other had, and otherwise stays, with the caches that it has filled.
 */
#include "kernels/cpu/pool-crew.h"

#include <signal.h>
#include <stdlib.h>

/* Runs between two looks at other pools, for a helper that is never idle. */
#define RUNS_PER_LOOK 8

/* A word of two halves, to be seen and changed together. */
#define LOAD_CALLER (1u << 16)
#define LOAD_HELPER 1u

static struct {
  pthread_mutex_t lifetime; /* of pools and helpers; taken first */
  pthread_t *helpers;
  int started, pools, shares; /* pools of more than one thread; the sum of their threads - 1 */

  pthread_mutex_t mutex;
  pthread_cond_t work, left;
  KernelPool *list;
  int wakes; /* granted and not yet taken up */
  bool quit;

  _Alignas(64) atomic_uint load;
  atomic_int limit; /* threads that may work at a time: the CPUs, or the most that a pool has */
  atomic_int sleepers;
} crew = {.lifetime = PTHREAD_MUTEX_INITIALIZER,
    .mutex = PTHREAD_MUTEX_INITIALIZER,
    .work = PTHREAD_COND_INITIALIZER,
    .left = PTHREAD_COND_INITIALIZER};

/* CPUs that nobody of us works on; negative when there are not enough. */
static int
room (void)
{
  const unsigned load = atomic_load (&crew.load);

  return atomic_load (&crew.limit) - (int) (load / LOAD_CALLER) - (int) (load % LOAD_CALLER);
}

static bool
has_other_callers (void)
{
  return atomic_load (&crew.load) >= 2 * LOAD_CALLER;
}

/* --- Seats, under the mutex ----------------------------------------------------------------- */

typedef struct {
  KernelPool *pool; /* NULL: none */
  int slot;
  int after; /* helpers that the pool has, with this one */
} Seat;

/* The seat of an open slot at the pool that has the fewest helpers. */
static Seat
find_seat (void)
{
  Seat best = {.after = INT32_MAX};

  for (KernelPool *pool = crew.list; pool; pool = pool->next) {
    const int opened = atomic_load (&pool->opened), present = atomic_load (&pool->present);

    for (int i = 1; i < opened && present + 1 < best.after; i++)
      if (!pool->slot[i].seated && atomic_load (&pool->slot[i].state) == KERNEL_SLOT_OPEN)
        best = (Seat){pool, i, present + 1};
  }
  return best;
}

static void
take_seat (Seat *seat)
{
  seat->pool->slot[seat->slot].seated = true;
  atomic_fetch_add (&seat->pool->present, 1);
}

static void
give_up_seat (Seat *seat)
{
  if (!seat->pool)
    return;
  seat->pool->slot[seat->slot].seated = false;
  atomic_fetch_sub (&seat->pool->present, 1);
  if (atomic_load (&seat->pool->gone))
    pthread_cond_broadcast (&crew.left);
  seat->pool = NULL;
}

/* Whoever wakes a helper has counted it before it runs, so that no two callers fill one CPU. */
static void
sleep_until_called (void)
{
  while (crew.wakes == 0 && !crew.quit)
    pthread_cond_wait (&crew.work, &crew.mutex);
  if (crew.wakes > 0)
    crew.wakes--;
}

/* Sleepers are announced before the last look, `opened` is set before a caller looks at sleepers. */
static bool
rest_or_find (Seat *seat)
{
  if (crew.quit)
    return true;
  if (room () >= 0) {
    *seat = find_seat ();
    if (seat->pool) {
      take_seat (seat);
      return true;
    }
  }
  return false;
}

/* From one seat to another, which may be long in coming. False: the crew is dismissed. */
static bool
next_seat (Seat *seat, KernelPlace *place)
{
  pthread_mutex_lock (&crew.mutex);
  give_up_seat (seat);
  while (!rest_or_find (seat)) {
    kernel_place_leave (place);
    atomic_fetch_sub (&crew.load, LOAD_HELPER);
    atomic_fetch_add (&crew.sleepers, 1);
    if (room () > 0 && find_seat ().pool) {
      atomic_fetch_sub (&crew.sleepers, 1);
      atomic_fetch_add (&crew.load, LOAD_HELPER);
      continue;
    }
    sleep_until_called ();
  }
  const bool quit = crew.quit;
  pthread_mutex_unlock (&crew.mutex);
  if (quit)
    kernel_place_leave (place);
  else
    kernel_place_step_aside (place);
  return !quit;
}

/* Moves to another pool if that evens out. */
static void
look_around (Seat *seat)
{
  pthread_mutex_lock (&crew.mutex);
  Seat other = find_seat ();

  if (other.pool && other.after < atomic_load (&seat->pool->present)) {
    give_up_seat (seat);
    take_seat (&other);
    *seat = other;
  }
  pthread_mutex_unlock (&crew.mutex);
}

/* --- A helper ------------------------------------------------------------------------------- */

/* Who comes so late that the others have done its stretch stays out, for its caller would wait. */
static bool
take_part (KernelPool *pool, int number)
{
  KernelPoolSlot *slot = &pool->slot[number];
  int open = KERNEL_SLOT_OPEN;

  if (atomic_load_explicit (&slot->state, memory_order_relaxed) != open ||
      kernel_pool_left (atomic_load_explicit (&slot->tasks, memory_order_relaxed)) <= 0 ||
      !atomic_compare_exchange_strong (&slot->state, &open, KERNEL_SLOT_TAKEN))
    return false;
  kernel_pool_work (pool, number);
  atomic_store (&slot->state, KERNEL_SLOT_CLOSED);
  if (atomic_load (&pool->caller_sleeps)) {
    pthread_mutex_lock (&pool->mutex);
    pthread_cond_signal (&pool->done);
    pthread_mutex_unlock (&pool->mutex);
  }
  return true;
}

/* Takes part in the runs of its pool until there has been none for a while. */
static void
serve (Seat *seat, KernelPlace *place)
{
  KernelPoolWait wait = {0};
  unsigned runs = 0;

  while (room () >= 0 && !atomic_load (&seat->pool->gone)) {
    const int64_t most = atomic_load (&seat->pool->counted) ? KERNEL_POOL_WAIT_NS
                                                            : atomic_load (&seat->pool->rest_ns);
    bool look = false;

    if (take_part (seat->pool, seat->slot)) {
      wait = (KernelPoolWait){0};
      look = ++runs % RUNS_PER_LOOK == 0;
      if (look)
        kernel_place_step_aside (place);
    } else {
      if (!kernel_pool_wait (&wait, most))
        return;
      look = wait.polls % KERNEL_POOL_POLLS == 0;
    }
    if (look && has_other_callers ())
      look_around (seat);
  }
}

static void *
helper_thread (void *data)
{
  Seat seat = {0};
  KernelPlace place = {0};

  while (next_seat (&seat, &place))
    serve (&seat, &place);
  return NULL;
}

/* --- From outside --------------------------------------------------------------------------- */

void
kernel_crew_call (int wanted)
{
  int n;

  if (atomic_load (&crew.sleepers) == 0 || room () <= 0)
    return;
  pthread_mutex_lock (&crew.mutex);
  n = atomic_load (&crew.sleepers);
  n = n < wanted ? n : wanted;
  n = n < room () ? n : room ();
  if (n > 0 && !find_seat ().pool)
    n = 0;
  if (n > 0) {
    crew.wakes += n;
    atomic_fetch_sub (&crew.sleepers, n);
    atomic_fetch_add (&crew.load, (unsigned) n * LOAD_HELPER);
  }
  pthread_mutex_unlock (&crew.mutex);
  if (n > 1)
    pthread_cond_broadcast (&crew.work);
  else if (n == 1)
    pthread_cond_signal (&crew.work);
}

/* A caller that rests leaves room for another's helper, whose run may be a long one. */
void
kernel_crew_count (KernelPool *pool, bool counted)
{
  atomic_store (&pool->counted, counted);
  if (counted)
    kernel_place_update (&pool->place);
  else
    kernel_place_leave (&pool->place);
  if (counted)
    atomic_fetch_add (&crew.load, LOAD_CALLER);
  else if (atomic_fetch_sub (&crew.load, LOAD_CALLER) >= 2 * LOAD_CALLER)
    kernel_crew_call (1);
}

/* Helpers take no signals: those are for the application's threads. */
static bool
start_helpers (int wanted)
{
  sigset_t all, old;
  pthread_t *helpers;

  if (wanted <= crew.started)
    return true;
  helpers = realloc (crew.helpers, (size_t) wanted * sizeof *helpers);
  if (!helpers)
    return false;
  crew.helpers = helpers;
  sigfillset (&all);
  pthread_sigmask (SIG_SETMASK, &all, &old);
  while (crew.started < wanted) {
    atomic_fetch_add (&crew.load, LOAD_HELPER);
    if (pthread_create (&crew.helpers[crew.started], NULL, helper_thread, NULL) != 0) {
      atomic_fetch_sub (&crew.load, LOAD_HELPER);
      break;
    }
    crew.started++;
  }
  pthread_sigmask (SIG_SETMASK, &old, NULL);
  return crew.started >= wanted;
}

static void
dismiss_helpers (void)
{
  pthread_mutex_lock (&crew.mutex);
  crew.quit = true;
  pthread_cond_broadcast (&crew.work);
  pthread_mutex_unlock (&crew.mutex);
  for (int i = 0; i < crew.started; i++)
    pthread_join (crew.helpers[i], NULL);
  free (crew.helpers);
  crew.helpers = NULL;
  crew.started = 0;
  crew.wakes = 0;
  crew.quit = false;
  atomic_store (&crew.sleepers, 0);
  atomic_store (&crew.limit, 0);
  atomic_fetch_and (&crew.load, ~(LOAD_CALLER - 1));
}

/* --- fork() --------------------------------------------------------------------------------- */

static void
before_fork (void)
{
  pthread_mutex_lock (&crew.lifetime);
  pthread_mutex_lock (&crew.mutex);
}

static void
after_fork (void)
{
  pthread_mutex_unlock (&crew.mutex);
  pthread_mutex_unlock (&crew.lifetime);
}

/* Only the forking thread is left: no helpers, and nobody in the middle of a run. */
static void
after_fork_in_child (void)
{
  for (KernelPool *pool = crew.list; pool; pool = pool->next) {
    atomic_store (&pool->counted, false);
    pool->place.on = false;
    atomic_store (&pool->opened, 0);
    atomic_store (&pool->present, 0);
    atomic_store (&pool->caller_sleeps, false);
    for (int i = 0; i < pool->threads; i++) {
      pool->slot[i].seated = false;
      atomic_store (&pool->slot[i].state, KERNEL_SLOT_CLOSED);
    }
    pthread_mutex_init (&pool->mutex, NULL);
    pthread_cond_init (&pool->done, NULL);
  }
  kernel_place_forget_all ();
  crew.started = 0;
  crew.wakes = 0;
  crew.quit = false;
  atomic_store (&crew.load, 0);
  atomic_store (&crew.sleepers, 0);
  pthread_cond_init (&crew.work, NULL);
  pthread_cond_init (&crew.left, NULL);
  after_fork ();
}

static int fork_error;

static void
watch_forks (void)
{
  fork_error = pthread_atfork (before_fork, after_fork, after_fork_in_child);
}

/* --- Pools come and go ---------------------------------------------------------------------- */

/* The list holds pools of one thread too: their callers count, and a fork has to find them. */
bool
kernel_crew_join (KernelPool *pool)
{
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  const int helpers = pool->threads - 1;
  bool ok;

  pthread_once (&once, watch_forks);
  if (fork_error != 0)
    return false;
  pthread_mutex_lock (&crew.lifetime);
  ok = helpers == 0;
  if (!ok) {
    const int cpus = kernel_pool_cpus ();
    const int most = atomic_load (&crew.limit) > cpus ? atomic_load (&crew.limit) : cpus;
    const int limit = pool->threads > most ? pool->threads : most;
    const int shares = crew.shares + helpers;

    atomic_store (&crew.limit, limit);
    ok = start_helpers (shares < limit - 1 ? shares : limit - 1);
    if (ok) {
      crew.pools++;
      crew.shares = shares;
    } else if (crew.pools == 0) {
      dismiss_helpers ();
    }
  }
  if (ok) {
    pthread_mutex_lock (&crew.mutex);
    pool->next = crew.list;
    crew.list = pool;
    pthread_mutex_unlock (&crew.mutex);
  }
  pthread_mutex_unlock (&crew.lifetime);
  return ok;
}

void
kernel_crew_leave (KernelPool *pool)
{
  pthread_mutex_lock (&crew.lifetime);
  pthread_mutex_lock (&crew.mutex);
  for (KernelPool **link = &crew.list; *link; link = &(*link)->next)
    if (*link == pool) {
      *link = pool->next;
      break;
    }
  atomic_store (&pool->gone, true);
  while (atomic_load (&pool->present) > 0)
    pthread_cond_wait (&crew.left, &crew.mutex);
  pthread_mutex_unlock (&crew.mutex);
  kernel_pool_rest (pool);
  if (pool->threads > 1) {
    crew.shares -= pool->threads - 1;
    if (--crew.pools == 0)
      dismiss_helpers ();
  }
  pthread_mutex_unlock (&crew.lifetime);
}
