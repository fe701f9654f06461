/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pool-place.c: no two working threads of ours on one CPU while another CPU has none.
 *
 * A kernel puts a woken thread on an idle CPU, if it knows one. In a virtual machine it may not:
 * Linux as a KVM guest takes a halted CPU for one that the host has taken away, and leaves the woken
 * thread on the waker's. All helpers then pile up on the caller's CPU, interrupt it, and are spread by
 * the load balancer milliseconds later, when the network is done. So a helper that finds itself on a
 * CPU with another thread of ours moves to one without. It keeps the CPUs that it is allowed: whom
 * the kernel moves later, for reasons that we do not see, stays there.
 *
 * Callers are the application's threads. They are counted, never moved.
 */
#include "kernels/cpu/pool-crew.h"

#include <sched.h>

static atomic_int working[KERNEL_POOL_MAX_THREADS]; /* threads of ours, by CPU */

static void
place_set (KernelPlace *place, int cpu)
{
  if (place->on)
    atomic_fetch_sub_explicit (&working[place->cpu], 1, memory_order_relaxed);
  place->on = cpu >= 0 && cpu < KERNEL_POOL_MAX_THREADS;
  place->cpu = cpu;
  if (place->on)
    atomic_fetch_add_explicit (&working[cpu], 1, memory_order_relaxed);
}

void
kernel_place_update (KernelPlace *place)
{
  const int cpu = sched_getcpu ();

  if (!place->on || cpu != place->cpu)
    place_set (place, cpu);
}

void
kernel_place_leave (KernelPlace *place)
{
  if (place->on)
    place_set (place, -1);
}

void
kernel_place_forget_all (void)
{
  for (int i = 0; i < KERNEL_POOL_MAX_THREADS; i++)
    atomic_store_explicit (&working[i], 0, memory_order_relaxed);
}

/* The next CPU from ours on that is allowed and has no thread of ours, or -1. */
static int
free_cpu (const cpu_set_t *allowed, int from)
{
  for (int i = 1; i < KERNEL_POOL_MAX_THREADS; i++) {
    const int cpu = (from + i) % KERNEL_POOL_MAX_THREADS;

    if (cpu < CPU_SETSIZE && CPU_ISSET (cpu, allowed) &&
        atomic_load_explicit (&working[cpu], memory_order_relaxed) == 0)
      return cpu;
  }
  return -1;
}

/* Failing to move costs time, nothing else: a system may forbid it. */
void
kernel_place_step_aside (KernelPlace *place)
{
  cpu_set_t allowed, one;
  int cpu;

  kernel_place_update (place);
  if (!place->on || atomic_load_explicit (&working[place->cpu], memory_order_relaxed) <= 1)
    return;
  if (sched_getaffinity (0, sizeof allowed, &allowed) != 0)
    return;
  cpu = free_cpu (&allowed, place->cpu);
  if (cpu < 0)
    return;
  place_set (place, cpu);
  CPU_ZERO (&one);
  CPU_SET (cpu, &one);
  if (sched_setaffinity (0, sizeof one, &one) == 0)
    sched_setaffinity (0, sizeof allowed, &allowed);
}
