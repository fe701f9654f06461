/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* peak.c: the loops of peak.h. */
#include "tools/peak.h"

#include "kernels/kernels.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define LOOPS  100000
#define CHAINS 12 /* independent sums: more than latency times throughput on every CPU so far */

typedef struct {
  const char *name;
  PeakKind kind;
  unsigned flag;  /* of the CPU */
  int operations; /* an instruction */
  void (*run) (long instructions_of_a_chain);
} Loop;

#if defined(__x86_64__)
/* The sums are registers 0 to 11, the operands 14 and 15; all begin as zero, so that no denormal or
 * NaN costs time. The whole loop is one statement: nothing gets between its instructions. */
#define EACH(op, r)                                                                                \
  op (r, 0) op (r, 1) op (r, 2) op (r, 3) op (r, 4) op (r, 5) op (r, 6) op (r, 7) op (r, 8)        \
      op (r, 9) op (r, 10) op (r, 11)
#define ZERO(r, i) "vpxor %%xmm" #i ", %%xmm" #i ", %%xmm" #i "\n\t"
#define DOT(r, i)  "vpdpbusd %%" #r "14, %%" #r "15, %%" #r #i "\n\t"
#define VEX(r, i)  "%{vex%} " DOT (r, i)
#define FMA(r, i)  "vfmadd231ps %%" #r "14, %%" #r "15, %%" #r #i "\n\t"

#define LOOP(name, features, op, r)                                                                \
  __attribute__ ((target (features))) static void name (long n)                                    \
  {                                                                                                \
    __asm__ volatile(EACH (ZERO, r) ZERO (r, 14)                                                   \
                         ZERO (r, 15) "1:\n\t" EACH (op, r) "dec %0\n\tjnz 1b"                     \
                     : "+r"(n)                                                                     \
                     :                                                                             \
                     : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",       \
                     "xmm8", "xmm9", "xmm10", "xmm11", "xmm14", "xmm15");                          \
  }

LOOP (dot_zmm, "avx512f,avx512vnni", DOT, zmm)
LOOP (dot_ymm, "avx2", VEX, ymm)
LOOP (fma_zmm, "avx512f", FMA, zmm)
LOOP (fma_ymm, "avx2,fma", FMA, ymm)
#endif

/* The widest first. */
static const Loop loops[] = {
#if defined(__x86_64__)
    {"vpdpbusd zmm", PEAK_INT8, KERNEL_CPU_AVX512_VNNI, 2 * 64, dot_zmm},
    {"vpdpbusd ymm", PEAK_INT8, KERNEL_CPU_AVX_VNNI, 2 * 32, dot_ymm},
    {"vfmadd231ps zmm", PEAK_FP32, KERNEL_CPU_AVX512, 2 * 16, fma_zmm},
    {"vfmadd231ps ymm", PEAK_FP32, KERNEL_CPU_AVX2, 2 * 8, fma_ymm},
#endif
    {0},
};

static const Loop *
find (PeakKind kind)
{
  const unsigned flags = kernel_cpu_flags ();

  for (const Loop *loop = loops; loop->name; loop++)
    if (loop->kind == kind && (flags & loop->flag))
      return loop;
  return NULL;
}

const char *
peak_instruction (PeakKind kind)
{
  const Loop *loop = find (kind);

  return loop ? loop->name : NULL;
}

double
peak_operations (PeakKind kind)
{
  const Loop *loop = find (kind);

  return loop ? (double) loop->operations * CHAINS * LOOPS : 0;
}

typedef struct {
  const Loop *loop;
  long runs;
} Work;

static void *
run (void *data)
{
  const Work *work = data;

  work->loop->run (work->runs * LOOPS);
  return NULL;
}

static double
now (void)
{
  struct timespec t;

  clock_gettime (CLOCK_MONOTONIC, &t);
  return (double) t.tv_sec + 1e-9 * (double) t.tv_nsec;
}

double
peak_seconds (PeakKind kind, int threads, long runs)
{
  Work work = {find (kind), runs};
  pthread_t *others = calloc ((size_t) threads, sizeof *others);
  const double start = now ();
  int started = 1;

  if (!work.loop || !others || threads < 1 || runs < 1) {
    free (others);
    return -1;
  }
  while (started < threads && pthread_create (&others[started], NULL, run, &work) == 0)
    started++;
  run (&work);
  for (int i = 1; i < started; i++)
    pthread_join (others[i], NULL);
  free (others);
  return started == threads ? now () - start : -1;
}
