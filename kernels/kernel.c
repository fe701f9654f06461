/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel.c: opening a back end by its name, and what no back end owns.
 */
#include "kernels/backend.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

KernelBackend *
kernel_open (const char *name, char *why, size_t why_size)
{
  if (strcmp (name, "ref") == 0)
    return kernel_open_ref (why, why_size);
  if (strcmp (name, "cpu") == 0)
    return kernel_open_cpu (why, why_size);
  if (strcmp (name, "cuda") == 0 || strncmp (name, "cuda:", 5) == 0)
    return kernel_open_cuda (name, why, why_size);
  snprintf (why, why_size, "there is no back end \"%s\"; the names are ref, cpu, cuda and cuda:N",
      name);
  return NULL;
}

void
kernel_close (KernelBackend *backend)
{
  if (backend)
    backend->close (backend);
}

/* A NaN passes both bounds, as in kernel_clamp_f32(). */
static double
clamp (double x, double lo, double hi)
{
  x = x < lo ? lo : x;
  return x > hi ? hi : x;
}

double
kernel_unary (KernelUnary kind, double alpha, double beta, double x)
{
  switch (kind) {
  case KERNEL_UNARY_CLIP:
    return clamp (x, alpha, beta);
  case KERNEL_UNARY_LEAKY_RELU:
    return x < 0 ? alpha * x : x;
  case KERNEL_UNARY_SIGMOID:
    return 1 / (1 + exp (-x));
  case KERNEL_UNARY_HARD_SIGMOID:
    return clamp (alpha * x + beta, 0, 1);
  case KERNEL_UNARY_HARD_SWISH:
    return x * clamp (x / 6 + 0.5, 0, 1);
  case KERNEL_UNARY_SILU:
    return x / (1 + exp (-x));
  case KERNEL_UNARY_COUNT:
    break;
  }
  return NAN; /* not a kind */
}
