/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * count.c: counting for calibration. A state grows over several calls, as one does over batches: all but
 * the last are made by ref, so that the last begins with bins of some range.
 */
#include "tests/kernels/harness.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum {
  NORMAL_LIKE, /* both signs, most values small */
  RELU,        /* half of them zero, none negative */
  WIDE,        /* magnitudes 2^-40 .. 2^40: most in the first bins, and some clamped in sums */
  SPECIAL,     /* one in eight is NaN, infinite, zero, subnormal or huge */
  ZEROS,       /* of both signs */
  ONE_VALUE,   /* all in one bin */
  NEGATIVE,
  TINY,     /* subnormal: the narrowest bins */
  NO_VALUE, /* nothing finite */
  GRID,     /* multiples of 2^-41, so that sums round halves */
  KINDS
} Kind;
static const char *const kinds[KINDS] = {"normal", "relu", "wide", "special", "zeros", "one value",
    "negative", "tiny", "nothing finite", "halves of a unit"};

static float
draw (Harness *h, Kind kind)
{
  const float u = harness_uniform (h, -1, 1), v = harness_uniform (h, -1, 1);
  float x;

  switch (kind) {
  case NORMAL_LIKE:
    return 3 * u * v * v;
  case RELU:
    return u > 0 ? u * fabsf (v) : 0;
  case NEGATIVE:
    return -fabsf (u);
  case ZEROS:
    return copysignf (0, u);
  case ONE_VALUE:
    return 6;
  case TINY:
    return u * 0x1p-127f;
  case NO_VALUE:
    return u < 0 ? NAN : INFINITY;
  case GRID:
    return (float) harness_range (h, -300, 300) * 0x1p-41f;
  case WIDE:
  case SPECIAL:
  case KINDS:
    break;
  }
  harness_fill_f32 (h, &x, 1, kind == WIDE ? HARNESS_WIDE : HARNESS_SPECIAL);
  return x;
}

static void
fill (Harness *h, float *x, size_t size, Kind kind, float scale)
{
  for (size_t i = 0; i < size; i++)
    x[i] = draw (h, kind) * scale;
}

/* What earlier batches left, by ref. */
static void
begin_state (Harness *h, KernelCounts *y, int channels, Kind kind, float scale)
{
  const size_t size = (size_t) (channels > 0 ? channels : 1) * 50;
  KernelBackend *ref = kernel_open ("ref", (char[64]){0}, 64);
  float *x = calloc (size, sizeof *x);
  const KernelCount a = {size, channels, x, y};

  harness_require (ref && x, "no state to begin with");
  fill (h, x, size, kind, scale);
  ref->ops->count_f32 (&a, NULL);
  free (x);
  kernel_close (ref);
}

/* Values of magnitudes `ratio` times those that the state has seen; 0: it has seen none. */
static void
run_count (Harness *h, size_t pixels, int channels, Kind kind, Kind before, float ratio)
{
  KernelCount a = {.size = pixels * (channels > 0 ? channels : 1), .channels = channels};
  HarnessCase *c = harness_case (h, &a, "%zu of %d channels, %s, %g times %s", pixels, channels,
      kinds[kind], ratio, kinds[before]);
  const size_t state = kernel_counts_size (channels);
  float *x = harness_in (c, HARNESS_F32, a.size, &a.x);
  KernelCounts *y = harness_in_out (c, HARNESS_U64, state / sizeof (uint64_t), &a.y);

  if (ratio > 0)
    begin_state (h, y, channels, before, 1 / ratio);
  fill (h, x, a.size, kind, 1);
  harness_run (c);
}

static void
test_count_f32 (Harness *h)
{
  static const int channels[] = {0, 1, 2, 3, 7, 32, 63, 64, 129, 511, 512, 513, 1770};
  static const float ratios[] = {0, 1, 0.3f, 2, 3.7f, 9, 1000, 1e6f, 1e30f};
  const int n_channels = sizeof channels / sizeof *channels;

  for (int kind = 0; kind < KINDS; kind++)
    for (size_t r = 0; r < sizeof ratios / sizeof *ratios; r++) {
      const int of = channels[harness_range (h, 0, n_channels - 1)];
      const int pixels = harness_range (h, 1, of > 500 ? 9 : 300);
      const Kind before = (Kind) harness_range (h, 0, KINDS - 1);

      run_count (h, (size_t) pixels, of, (Kind) kind, before, ratios[r]);
    }
  for (int i = 0; i < n_channels; i++)
    for (int pixels = 1; pixels < 40; pixels += 13)
      run_count (h, (size_t) pixels, channels[i], SPECIAL, RELU, (float) (i % 3));
  run_count (h, 0, 3, RELU, RELU, 1);
  /* Many blocks. */
  run_count (h, 40001, 64, RELU, NORMAL_LIKE, 0.5f);
  run_count (h, 300007, 3, NORMAL_LIKE, RELU, 70);
  run_count (h, 500009, 1, SPECIAL, RELU, 0);
  run_count (h, 700001, 0, ONE_VALUE, RELU, 3);
}

static void
bench_count_f32 (Harness *h)
{
  run_count (h, 8 * 112 * 112, 64, RELU, RELU, 1);
  run_count (h, 8 * 56 * 56, 256, RELU, RELU, 1);
  run_count (h, 8 * 56 * 56, 256, NORMAL_LIKE, RELU, 1);
  run_count (h, 56 * 56, 256, RELU, RELU, 1);
  run_count (h, 8 * 56 * 56, 256, ONE_VALUE, RELU, 1);
  run_count (h, 8 * 7 * 7, 512, RELU, RELU, 1);
}

const HarnessTest harness_count[] = {
    {"count_f32", test_count_f32, bench_count_f32},
    {NULL},
};
