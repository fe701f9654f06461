/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * counts.h: the kernel that counts the values of an activation for calibration. A part of kernels.h,
 * whose first comment holds here.
 */
#pragma once

#include "kernels/requant.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KERNEL_COUNT_BINS 16384 /* of each sign */

/* Of one channel. A finite value is units = x * 2^40, clamped to +-2^61 (|x| = 2^21) and rounded to
 * nearest, half to even; the sum of all units is high * 2^32 + low. Good for 2^32 values. */
typedef struct {
  int64_t high; /* sum of units >> 32 */
  uint64_t low; /* sum of the 32 bits below */
  uint64_t nonfinite;
} KernelChannelCounts;

/* What is known of an activation's values: counts, extrema and integer sums, which do not depend on
 * the order of the values. All zero: none yet. Behind it lies a KernelChannelCounts for each channel. */
typedef struct {
  uint64_t n, n_zero, n_nonfinite; /* n counts all values, the others those of their kind */
  uint32_t highest; /* of the finite values: kernel_count_key() of the largest; 0: none */
  uint32_t lowest;  /* ... the complement of that of the smallest */
  uint32_t range; /* the bits of the largest magnitude; 0 where all are zero. Bins are as wide as it
                       says: 2^kernel_count_exponent() */
  uint32_t blocks;                     /* for the kernel itself; 0 between calls */
  uint64_t bins[2][KERNEL_COUNT_BINS]; /* positive and negative; bin j: |x| in [j, j + 1) widths */
} KernelCounts;

/* count_f32: adds `size` values, the last axis being `channels` long, to *y. channels is 0 for no sums,
 * and the same in every call for a state. When the range grows, bins are folded in pairs until they are
 * as wide as it says, 14 times at the most: then all are in the first. */
typedef struct {
  size_t size;
  int channels;
  const float *x;
  KernelCounts *y;
} KernelCount;

static inline size_t
kernel_counts_size (int channels)
{
  return sizeof (KernelCounts) + (size_t) channels * sizeof (KernelChannelCounts);
}

/* --- Inside, for kernels and readers -------------------------------------------------------- */

#define KERNEL_COUNT_SIGN     0x80000000u
#define KERNEL_COUNT_INFINITY 0x7f800000u
#define KERNEL_COUNT_MAX_SUM  0x1p21f /* |x| in sums */
#define KERNEL_COUNT_UNIT     0x1p40f

/* Unsigned integers in the order of the floats that have these bits. Of finite floats neither it nor
 * its complement is 0. */
KERNEL_INLINE uint32_t
kernel_count_key (uint32_t bits)
{
  return bits & KERNEL_COUNT_SIGN ? ~bits : bits | KERNEL_COUNT_SIGN;
}

KERNEL_INLINE uint32_t
kernel_count_bits (uint32_t key)
{
  return key & KERNEL_COUNT_SIGN ? key ^ KERNEL_COUNT_SIGN : ~key;
}

/* The bits of the largest magnitude; 0 where there is no value. */
KERNEL_INLINE uint32_t
kernel_count_range (uint32_t highest, uint32_t lowest)
{
  const uint32_t a = kernel_count_bits (highest) & ~KERNEL_COUNT_SIGN;
  const uint32_t b = kernel_count_bits (~lowest) & ~KERNEL_COUNT_SIGN;

  return highest == 0 ? 0 : a > b ? a : b;
}

/* range / 2^exponent lies in [8192, 16384), unless a bin would be narrower than 2^-126. */
KERNEL_INLINE int
kernel_count_exponent (uint32_t range)
{
  const int exponent = (int) (range >> 23) - 140;

  return exponent < -126 ? -126 : exponent;
}

/* How often bins are folded when the range grows; 0 where they are empty. */
KERNEL_INLINE int
kernel_count_folds (uint32_t before, uint32_t after)
{
  const int folds = kernel_count_exponent (after) - kernel_count_exponent (before);

  return before == 0 ? 0 : folds < 14 ? folds : 14;
}

/* 2^-exponent, which is a normal float for every exponent of a range. */
KERNEL_INLINE float
kernel_count_to_bin (uint32_t range)
{
  const uint32_t bits = (uint32_t) (127 - kernel_count_exponent (range)) << 23;
  float factor;

  memcpy (&factor, &bits, sizeof factor);
  return factor;
}

#ifdef __cplusplus
}
#endif
