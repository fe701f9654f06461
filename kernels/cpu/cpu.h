/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cpu.h: what the kernels of the `cpu` back end share: their prototypes and their queue.
 */
#pragma once

#include "kernels/cpu/pool.h"
#include "kernels/kernels.h"

/* Of x86-64, false elsewhere. The second asks the system for the tile registers, once. */
bool kernel_cpu_has_avx_vnni (void);
bool kernel_cpu_may_use_amx (void);

static inline int
kernel_min_int (int a, int b)
{
  return a < b ? a : b;
}

static inline int
kernel_divide_up (int a, int b)
{
  return (a + b - 1) / b;
}

/* Before a loop whose iterations do not depend on each other. */
#ifdef __clang__
#define KERNEL_IVDEP /* it has no such word, and finds out */
#else
#define KERNEL_IVDEP _Pragma ("GCC ivdep")
#endif

struct KernelQueue {
  KernelBackend *backend;
  KernelPool *pool;
  KernelQueue *lanes; /* [kernel_pool_threads (pool)], each a queue of one thread; NULL for such */
};

/* The slot's own type, so that a prototype cannot drift from the table. */
#define KERNEL(slot, suffix, flag) __typeof__ (*(((KernelOps *) 0)->slot)) kernel_##slot##_##suffix;
#include "kernels/kernel-list.inc"
#undef KERNEL
