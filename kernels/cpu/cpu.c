/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cpu.c: the back end "cpu": host memory, queues that share the threads of the process, and the best
 * kernels that this machine can run.
 *
 * The table starts as that of `ref` and is overwritten from kernel-list.inc. What stays `ref` is
 * what no classifier spends time in (padding, softmax) and what a compiler vectorises
 * as it stands (dequantise_f32, copy_f32). This file is compiled for the oldest CPU; only what the
 * table points to may use more.
 */
#include "kernels/cpu/cpu.h"

#include "kernels/backend.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

static unsigned cpu_mask = ~0u;

void
kernel_cpu_set_mask (unsigned mask)
{
  cpu_mask = mask;
}

/* __builtin_cpu_supports asks cpuid, and xgetbv whether the system saves the registers. What it
 * does not know in every compiler is asked in cpu-x86.c; tiles are asked for only when wanted. */
static unsigned
cpu_detect (unsigned wanted)
{
  unsigned flags = 0;

#if defined(__x86_64__)
  __builtin_cpu_init ();
  if (__builtin_cpu_supports ("avx2") && __builtin_cpu_supports ("fma"))
    flags |= KERNEL_CPU_AVX2;
  if (__builtin_cpu_supports ("avx512f") && __builtin_cpu_supports ("avx512bw") &&
      __builtin_cpu_supports ("avx512dq") && __builtin_cpu_supports ("avx512vl"))
    flags |= KERNEL_CPU_AVX512;
  if (__builtin_cpu_supports ("avx512vnni"))
    flags |= KERNEL_CPU_AVX512_VNNI;
  if (__builtin_cpu_supports ("avx512vbmi"))
    flags |= KERNEL_CPU_AVX512_VBMI;
  if (kernel_cpu_has_avx_vnni ())
    flags |= KERNEL_CPU_AVX_VNNI;
  if (wanted & KERNEL_CPU_AMX_INT8 && kernel_cpu_may_use_amx ())
    flags |= KERNEL_CPU_AMX_INT8;
#elif defined(__aarch64__)
  flags |= KERNEL_CPU_NEON;
#if defined(__linux__)
  if (getauxval (AT_HWCAP) & HWCAP_ASIMDDP)
    flags |= KERNEL_CPU_NEON_DOT;
#endif
#endif
  return flags;
}

/* False when INT8_CPU_MASK is not a number. */
static bool
cpu_environment_mask (unsigned *mask)
{
  const char *text = getenv ("INT8_CPU_MASK");
  char *end;

  *mask = ~0u;
  if (!text)
    return true;
  errno = 0;
  const unsigned long value = strtoul (text, &end, 16);
  if (end == text || *end != '\0' || errno != 0)
    return false;
  *mask = (unsigned) value;
  return true;
}

/* A feature counts only with all those below it: kernels of the higher one use them too. */
unsigned
kernel_cpu_flags (void)
{
  unsigned wanted;
  unsigned flags;

  cpu_environment_mask (&wanted);
  wanted &= cpu_mask;
  flags = cpu_detect (wanted) & wanted;
  if (!(flags & KERNEL_CPU_AVX2))
    flags &= KERNEL_CPU_NEON | KERNEL_CPU_NEON_DOT;
  if (!(flags & KERNEL_CPU_AVX512))
    flags &= ~(KERNEL_CPU_AVX512_VNNI | KERNEL_CPU_AVX512_VBMI);
  if (!(flags & KERNEL_CPU_AVX512_VNNI))
    flags &= ~KERNEL_CPU_AMX_INT8;
  if (!(flags & KERNEL_CPU_NEON))
    flags &= ~KERNEL_CPU_NEON_DOT;
  return flags;
}

static const char *
cpu_describe (unsigned flags)
{
  if (flags & KERNEL_CPU_AMX_INT8)
    return "AMX int8";
  if (flags & KERNEL_CPU_AVX512_VNNI && flags & KERNEL_CPU_AVX512_VBMI)
    return "AVX-512 VNNI and VBMI";
  if (flags & KERNEL_CPU_AVX512_VNNI)
    return "AVX-512 VNNI";
  if (flags & KERNEL_CPU_AVX512)
    return "AVX-512";
  if (flags & KERNEL_CPU_AVX_VNNI)
    return "AVX-VNNI";
  if (flags & KERNEL_CPU_AVX2)
    return "AVX2";
  if (flags & KERNEL_CPU_NEON_DOT)
    return "NEON dot product";
  if (flags & KERNEL_CPU_NEON)
    return "NEON";
  return "plain C";
}

/* --- Memory and queues ---------------------------------------------------------------------- */

static void *
cpu_alloc (KernelBackend *backend, size_t size)
{
  void *memory = NULL;

  return posix_memalign (&memory, KERNEL_ALIGN, size > 0 ? size : 1) == 0 ? memory : NULL;
}

static void
cpu_free (KernelBackend *backend, void *memory)
{
  free (memory);
}

static void
cpu_queue_free (KernelQueue *queue)
{
  if (!queue)
    return;
  free (queue->lanes);
  kernel_pool_free (queue->pool);
  free (queue);
}

static KernelQueue *
cpu_queue_new (KernelBackend *backend, int threads)
{
  KernelQueue *queue = calloc (1, sizeof *queue);

  if (!queue)
    return NULL;
  queue->backend = backend;
  queue->pool = kernel_pool_new (threads);
  queue->lanes = queue->pool ? calloc (kernel_pool_threads (queue->pool), sizeof *queue) : NULL;
  if (!queue->lanes) {
    cpu_queue_free (queue);
    return NULL;
  }
  for (int i = 0; i < kernel_pool_threads (queue->pool); i++)
    queue->lanes[i] = (KernelQueue){.backend = backend, .pool = kernel_pool_serial ()};
  return queue;
}

static int
cpu_queue_lanes (KernelQueue *queue)
{
  return kernel_pool_threads (queue->pool);
}

typedef struct {
  KernelQueue *queue;
  KernelEachFn fn;
  void *ctx;
} Each;

static void
each_task (const void *ctx, int task, int thread)
{
  const Each *each = ctx;

  each->fn (each->ctx, task, thread, &each->queue->lanes[thread]);
}

static void
cpu_queue_each (KernelQueue *queue, KernelEachFn fn, void *ctx, int pieces)
{
  const Each each = {queue, fn, ctx};

  kernel_pool_run (queue->pool, each_task, &each, pieces);
}

/* A kernel has run when it returns, and cannot fail. */
static const char *
cpu_queue_wait (KernelQueue *queue)
{
  kernel_pool_rest (queue->pool);
  return NULL;
}

static void
cpu_copy (KernelQueue *queue, void *to, const void *from, size_t size)
{
  memcpy (to, from, size);
}

/* --- The object ----------------------------------------------------------------------------- */

typedef struct {
  KernelBackend backend;
  KernelOps ops;
} CpuBackend;

static void
cpu_close (KernelBackend *backend)
{
  free (backend); /* the first member of CpuBackend */
}

static void
cpu_fill (KernelOps *ops, unsigned flags)
{
  *ops = kernel_ops_ref;
#define KERNEL_OP(name, Args)
#define KERNEL_OP_F16(name, Args)     ops->name = NULL; /* ref's would be a hundred times slower than float */
#define KERNEL_OP_PICTURE(name, Args) ops->name = NULL; /* passes are faster */
#include "kernels/kernel-ops.inc"
#undef KERNEL_OP
#define KERNEL(slot, suffix, flag)                                                                 \
  if ((flags & (flag)) == (flag))                                                                  \
    ops->slot = kernel_##slot##_##suffix;
#include "kernels/kernel-list.inc"
#undef KERNEL
}

KernelBackend *
kernel_open_cpu (char *why, size_t why_size)
{
  const unsigned flags = kernel_cpu_flags ();
  unsigned mask;
  CpuBackend *cpu;

  if (!cpu_environment_mask (&mask)) {
    snprintf (why, why_size,
        "INT8_CPU_MASK is \"%s\", not a hexadecimal number of CPU features; unset it or see "
        "KernelCpuFlags in kernels.h",
        getenv ("INT8_CPU_MASK"));
    return NULL;
  }
  cpu = malloc (sizeof *cpu);
  if (!cpu) {
    snprintf (why, why_size, "out of memory");
    return NULL;
  }
  cpu_fill (&cpu->ops, flags);
  cpu->backend = (KernelBackend){
      .name = "cpu",
      .description = cpu_describe (flags),
      .ops = &cpu->ops,
      .host_memory = true,
      .alloc = cpu_alloc,
      .free = cpu_free,
      .queue_new = cpu_queue_new,
      .queue_free = cpu_queue_free,
      .queue_wait = cpu_queue_wait,
      .upload = cpu_copy,
      .download = cpu_copy,
      .queue_lanes = cpu_queue_lanes,
      .queue_each = cpu_queue_each,
      .close = cpu_close,
  };
  return &cpu->backend;
}
