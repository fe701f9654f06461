/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * resize-filter.c: the taps of one axis of a resize, computed on the host.
 *
 * The antialiased filter repeats Pillow's arithmetic step by step: the order of the operations in
 * double decides which way a weight rounds. Where the scale is 1 every filter is the identity, and
 * has one tap.
 */
#include "kernels/resize.h"

#include <math.h>

#define ONE ((int32_t) 1 << KERNEL_RESIZE_BITS)

/* Half the width of the triangle, in input pixels. */
static double
antialias_support (int in, int full)
{
  const double scale = (double) in / full;

  return scale < 1.0 ? 1.0 : scale;
}

static int
filter_taps (int in, int full, KernelScaling scaling)
{
  int taps = 1;

  if (in == full)
    return 1;
  if (scaling == KERNEL_SCALING_ANTIALIAS)
    taps = (int) ceil (antialias_support (in, full)) * 2 + 1;
  else if (scaling == KERNEL_SCALING_BILINEAR)
    taps = 2;
  return taps < in ? taps : in;
}

static double
triangle (double x)
{
  x = fabs (x);
  return x < 1.0 ? 1.0 - x : 0.0;
}

/* Output i of the whole axis. Weights that round to 0 at either end of the window are left out:
 * they change no byte. */
static int
antialias (int in, int full, int i, int *first, int32_t *weight)
{
  const double support = antialias_support (in, full);
  const double step = 1.0 / support;
  const double centre = (i + 0.5) * ((double) in / full);
  const int reach = (int) (centre + support + 0.5);
  const int end = reach < in ? reach : in;
  int begin = (int) (centre - support + 0.5);
  double sum = 0.0;
  int count = 0, used = 0;

  if (begin < 0)
    begin = 0;
  for (int x = begin; x < end; x++)
    sum += triangle ((x - centre + 0.5) * step);

  *first = begin;
  for (int x = begin; x < end; x++) {
    const double share = triangle ((x - centre + 0.5) * step) / sum;
    const int32_t fixed = (int32_t) (0.5 + share * ONE);

    if (fixed == 0 && count == 0) {
      *first = x + 1;
      continue;
    }
    weight[count++] = fixed;
    if (fixed != 0)
      used = count;
  }
  return used;
}

/* The two pixels around (i + 1/2) * in / full - 1/2, the border repeated. The position is exact:
 * numerator / (2 * full). */
static int
bilinear (int in, int full, int i, int *first, int32_t *weight)
{
  const int64_t position = (int64_t) (2 * i + 1) * in - full;
  const int64_t denominator = 2 * (int64_t) full;
  const int64_t left = position < 0 ? 0 : position / denominator;
  const int64_t rest = position < 0 ? 0 : position % denominator;

  weight[0] = ONE;
  if (left >= in - 1) {
    *first = in - 1;
    return 1;
  }
  *first = (int) left;
  weight[1] = (int32_t) (((rest << KERNEL_RESIZE_BITS) + full) / denominator);
  weight[0] -= weight[1];
  return weight[1] != 0 ? 2 : 1;
}

/* What the launch of a kernel depends on. Where there is one tap, its weight is 1, because weights
 * are normalised; and an axis of as many outputs as inputs that reaches from the first to the last
 * of them cannot repeat one. */
static void
summarise (KernelResizeAxis *axis)
{
  axis->begin = axis->in;
  axis->end = 0;
  for (int i = 0; i < axis->out; i++) {
    const int end = axis->first[i] + axis->count[i];

    axis->begin = axis->first[i] < axis->begin ? axis->first[i] : axis->begin;
    axis->end = end > axis->end ? end : axis->end;
  }
  axis->identity = axis->taps == 1 && axis->in == axis->out && axis->first[0] == 0 &&
                   axis->first[axis->out - 1] == axis->in - 1;
}

size_t
kernel_resize_filter_size (int in, int full, int out, KernelScaling scaling)
{
  const size_t taps = (size_t) filter_taps (in, full, scaling);

  return (size_t) out * (2 * sizeof (int) + taps * sizeof (int32_t));
}

void
kernel_resize_filter (KernelResizeAxis *axis, int in, int full, int from, int out,
    KernelScaling scaling, void *memory)
{
  axis->in = in;
  axis->out = out;
  axis->taps = filter_taps (in, full, scaling);
  axis->first = memory;
  axis->count = axis->first + out;
  axis->weight = (int32_t *) (axis->count + out);

  for (int o = 0; o < out; o++) {
    const int i = from + o;
    int *first = &axis->first[o];
    int32_t *weight = &axis->weight[(size_t) o * axis->taps];

    for (int t = 0; t < axis->taps; t++)
      weight[t] = 0;
    if (in != full && scaling == KERNEL_SCALING_ANTIALIAS) {
      axis->count[o] = antialias (in, full, i, first, weight);
    } else if (in != full && scaling == KERNEL_SCALING_BILINEAR) {
      axis->count[o] = bilinear (in, full, i, first, weight);
    } else { /* nearest: floor ((i + 1/2) * in / full) */
      axis->count[o] = 1;
      *first = (int) ((int64_t) (2 * i + 1) * in / (2 * (int64_t) full));
      weight[0] = ONE;
    }
  }
  summarise (axis);
}

size_t
kernel_resize_scratch (const KernelResizeAxis *h, const KernelResizeAxis *v, int channels)
{
  const size_t rows = kernel_resize_rows_size (h, v, channels);

  if (h->identity)
    return rows;
  return rows + (size_t) h->out * kernel_resize_chunks (h, channels) * 64;
}
