/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * harness-data.c: random numbers and the contents of buffers.
 */
#include "kernels/half.h"
#include "tests/kernels/harness-private.h"

#include <float.h>
#include <math.h>

/* splitmix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014. */
uint64_t
harness_random (Harness *h)
{
  uint64_t z = h->state += 0x9e3779b97f4a7c15;

  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

int
harness_range (Harness *h, int lo, int hi)
{
  return lo + (int) (harness_random (h) % ((uint64_t) hi - lo + 1));
}

float
harness_uniform (Harness *h, float lo, float hi)
{
  return lo + (hi - lo) * (float) (harness_random (h) >> 40) * 0x1p-24f;
}

static int
integer (Harness *h, HarnessData kind, int lo, int hi)
{
  switch (kind) {
  case HARNESS_EXTREMES:
    return harness_random (h) & 1 ? hi : lo;
  case HARNESS_LOW:
    return lo;
  case HARNESS_HIGH:
    return hi;
  case HARNESS_SMALL:
    return harness_range (h, lo < 0 ? -2 : 0, 2);
  case HARNESS_RANDOM:
  case HARNESS_DATA_COUNT:
    break;
  }
  return harness_range (h, lo, hi);
}

void
harness_fill_s8 (Harness *h, int8_t *data, size_t count, HarnessData kind)
{
  for (size_t i = 0; i < count; i++)
    data[i] = integer (h, kind, INT8_MIN, INT8_MAX);
}

void
harness_fill_u8 (Harness *h, uint8_t *data, size_t count, HarnessData kind)
{
  for (size_t i = 0; i < count; i++)
    data[i] = integer (h, kind, 0, UINT8_MAX);
}

const char *
harness_data_name (HarnessData kind)
{
  static const char *const names[HARNESS_DATA_COUNT] = {"random", "extremes", "low", "high",
      "small"};

  return names[kind];
}

static float
special (Harness *h)
{
  static const float values[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, FLT_MIN, -FLT_MIN, FLT_MAX,
      -FLT_MAX, 0x1p-149f, -0x1p-149f, 0x1.8p-130f};

  return values[harness_random (h) % (sizeof values / sizeof *values)];
}

void
harness_fill_f32 (Harness *h, float *data, size_t count, HarnessFloats kind)
{
  for (size_t i = 0; i < count; i++) {
    data[i] = harness_uniform (h, -4.0f, 4.0f);
    if (kind == HARNESS_WIDE)
      data[i] = ldexpf (data[i], harness_range (h, -40, 38));
    else if (kind == HARNESS_SPECIAL && harness_random (h) % 8 == 0)
      data[i] = special (h);
  }
}

void
harness_fill_f16 (Harness *h, KernelHalf *data, size_t count, HarnessFloats kind)
{
  for (size_t i = 0; i < count; i++) {
    data[i] = kernel_half_of_f32 (0.125f * harness_range (h, -16, 16));
    if (kind == HARNESS_WIDE)
      data[i] = (KernelHalf) (harness_random (h) & 0xfbff);
    else if (kind == HARNESS_SPECIAL && harness_random (h) % 8 == 0)
      data[i] = kernel_half_of_f32 (special (h));
  }
}

const char *
harness_floats_name (HarnessFloats kind)
{
  static const char *const names[HARNESS_FLOATS_COUNT] = {"plain", "wide", "special"};

  return names[kind];
}
