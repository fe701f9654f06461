/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pixels.h: axes of resizes, for the tests of kernels on pictures. */
#pragma once

#include "tests/kernels/harness.h"

#include <stdlib.h>
#include <string.h>

#define COUNT(array) ((int) (sizeof (array) / sizeof *(array)))

static const char *const scalings[] = {"antialias", "bilinear", "nearest"};

typedef struct {
  int in, full, from, out;
} Cut;

/* The axis' arrays become inputs of the case, as a device needs them in its own memory. */
static inline void
add_axis (HarnessCase *c, KernelResizeAxis *axis, Cut cut, KernelScaling scaling, void *memory)
{
  KernelResizeAxis host;
  const size_t weights = (size_t) cut.out;

  kernel_resize_filter (&host, cut.in, cut.full, cut.from, cut.out, scaling, memory);
  *axis = host;
  memcpy (harness_in (c, HARNESS_I32, weights, &axis->first), host.first, weights * sizeof (int));
  memcpy (harness_in (c, HARNESS_I32, weights, &axis->count), host.count, weights * sizeof (int));
  memcpy (harness_in (c, HARNESS_I32, weights * host.taps, &axis->weight), host.weight,
      weights * host.taps * sizeof (int32_t));
}

static inline Cut
whole (int in, int out)
{
  return (Cut){in, out, 0, out};
}

static inline Cut
random_cut (Harness *h, int limit)
{
  Cut cut = {.in = harness_range (h, 1, limit)};

  cut.full = harness_range (h, 1, limit);
  cut.from = harness_range (h, 0, cut.full - 1);
  cut.out = harness_range (h, 1, cut.full - cut.from);
  return cut;
}
