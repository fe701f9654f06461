/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * softmax.c: confidences of one image, on the CPU whatever computed the network. The exponentials have an
 * fmaf() at every step, which a compiler for any x86-64 must call: of 1000 classes they took 25 µs, as much
 * as all else that int8infer does for a frame. So they are compiled once more for CPUs that have it. Same bytes.
 */
#include "engine/engine.h"

#include "kernels/float-math.h"

static inline void
exponentials_inline (float *x, int n, float max)
{
  for (int i = 0; i < n; i++)
    x[i] = kernel_expf (x[i] - max);
}

static void
exponentials (float *x, int n, float max)
{
  exponentials_inline (x, n, max);
}

#ifdef __x86_64__
__attribute__ ((target ("avx2,fma"))) static void
exponentials_fma (float *x, int n, float max)
{
  exponentials_inline (x, n, max);
}

static bool
has_fma (void)
{
  return __builtin_cpu_supports ("avx2") && __builtin_cpu_supports ("fma");
}
#else
#define exponentials_fma exponentials

static bool
has_fma (void)
{
  return false;
}
#endif

void
engine_softmax (float *x, int n)
{
  float max = x[0], sum = 0.0f;

  for (int i = 1; i < n; i++)
    max = x[i] > max ? x[i] : max;
  (has_fma () ? exponentials_fma : exponentials) (x, n, max);
  for (int i = 0; i < n; i++)
    sum += x[i];
  for (int i = 0; i < n; i++)
    x[i] /= sum;
}
