/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pool.h: the threads of one queue of the `cpu` back end.
 *
 * A pool belongs to one calling thread at a time, which works along: a pool of one thread starts
 * none. Nothing is allocated and no thread is started after kernel_pool_new().
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
/* NULL is fine. No run may be in progress. */
void kernel_pool_free (KernelPool *pool);
int kernel_pool_threads (const KernelPool *pool);

/* Calls fn for every task 0 .. tasks - 1, in any order, and returns when all are done. Must not be
 * called from a task. */
void kernel_pool_run (KernelPool *pool, KernelPoolFn fn, const void *ctx, int tasks);

/* Where part i of `parts` nearly equal parts of 0 .. count begins. */
static inline size_t
kernel_pool_part (size_t count, int parts, int i)
{
  return count / parts * i + count % parts * i / parts;
}

/* Calls fn for parts of 0 .. count - 1 of at least `grain` each (or for the whole): what is less
 * costs more to hand over than to do. */
typedef void (*KernelPoolRangeFn) (const void *ctx, size_t begin, size_t end);
void kernel_pool_range (KernelPool *pool, KernelPoolRangeFn fn, const void *ctx, size_t count,
    size_t grain);

/* CPUs that this process may use, at least 1. */
int kernel_pool_cpus (void);
/* Those that the control groups (version 2) above it leave, 0 for no limit; the two arguments are
 * /proc/self/cgroup and /sys/fs/cgroup, or what a test puts there. */
int kernel_pool_quota (const char *cgroup_file, const char *mount);
