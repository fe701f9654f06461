/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pool.h: how the queues of the `cpu` back end share their work out.
 *
 * A pool is a queue's right to helpers, not a set of threads. The threads belong to the process:
 * one crew of helpers serves every pool (pool-crew.c). A run calls its tasks on the caller, which
 * always works along and could do all of them, and on up to threads - 1 helpers that happen to be
 * free. So a run makes progress whatever the crew is doing, and any number of pools computes on no
 * more threads than there are CPUs.
 *
 * The crew starts with the first pool of more than one thread and ends with the last. It has as many
 * helpers as the pools asked for together, but no more than CPUs - 1; a pool that asks for more
 * threads than there are CPUs (a test) raises that to its own threads - 1. No more helpers are awake
 * than leave a CPU to every working caller: a caller is one from its first run until
 * kernel_pool_rest().
 *
 * A pool belongs to one calling thread at a time. Runs allocate nothing and start no thread.
 *
 * fork(): the child has no crew. A pool that the forking thread may use works there on, alone; the
 * next kernel_pool_new() starts a crew, which serves it too. Pools of other threads can be freed.
 */
#pragma once

#include <stddef.h>

/* As many as cpu_set_t has bits; more is a mistake. */
#define KERNEL_POOL_MAX_THREADS 1024

typedef struct KernelPool KernelPool;

/* `thread` is 0 .. kernel_pool_threads() - 1 and no two tasks run with the same number at the
 * same time: it selects a thread's part of the scratch memory. Results must not depend on it. */
typedef void (*KernelPoolFn) (const void *ctx, int task, int thread);

/* threads: with the caller, 1 to KERNEL_POOL_MAX_THREADS; 0 takes kernel_pool_cpus(). NULL when
 * there are to be more, or no memory or no thread could be had. */
KernelPool *kernel_pool_new (int threads);
/* NULL is fine. No run may be in progress. Not from within a task, of any pool. */
void kernel_pool_free (KernelPool *pool);
int kernel_pool_threads (const KernelPool *pool);

/* The pool of one thread that has no state: for what is a part of another pool's task. Not to be
 * freed. */
KernelPool *kernel_pool_serial (void);

/* Calls fn for every task 0 .. tasks - 1, in any order, and returns when all are done. Must not be
 * called from a task.
 *
 * Thread i begins with the i-th of nearly equal stretches of the tasks and takes those of others
 * when its own are done. So where task numbers rise with addresses, a thread finds in its own cache
 * what it wrote in the run before. */
void kernel_pool_run (KernelPool *pool, KernelPoolFn fn, const void *ctx, int tasks);

/* Says that no run follows at once: the caller's CPU is free for others. */
void kernel_pool_rest (KernelPool *pool);

/* Where part i of `parts` nearly equal parts of 0 .. count begins. */
static inline size_t
kernel_pool_part (size_t count, int parts, int i)
{
  return count / parts * i + count % parts * i / parts;
}

/* Calls fn for parts of 0 .. count - 1, or for the whole where that is less than two grains: a grain is
 * a microsecond of work, about what handing over costs. No part is less than a quarter of one. */
typedef void (*KernelPoolRangeFn) (const void *ctx, size_t begin, size_t end);
void kernel_pool_range (KernelPool *pool, KernelPoolRangeFn fn, const void *ctx, size_t count,
    size_t grain);

/* CPUs that this process may use, at least 1. */
int kernel_pool_cpus (void);
/* Those that the control groups (version 2) above it leave, 0 for no limit; the two arguments are
 * /proc/self/cgroup and /sys/fs/cgroup, or what a test puts there. */
int kernel_pool_quota (const char *cgroup_file, const char *mount);
