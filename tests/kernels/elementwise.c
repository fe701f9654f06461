/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * elementwise.c: add, mul, lut, unary, quantise and dequantise.
 */
#include "tests/kernels/harness.h"

#include <math.h>

#define COUNT(array) ((int) (sizeof (array) / sizeof *(array)))

/* Around the widths of vectors, 8 to 64 values, and of blocks that threads share. */
static const int sizes[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129,
    255, 1000, 4095, 4096, 4097, 20011};

/* --- add, mul ------------------------------------------------------------------------------- */

typedef enum { APART, X1_IN_PLACE, X2_IN_PLACE, PLACES } InPlace;

static const char *const in_place_names[PLACES] = {"", ", y is x1", ", y is x2"};

/* The buffers of both structs; the caller's data go into *x1 and *x2. */
static void
binary_buffers (HarnessCase *c, HarnessType type, size_t size, size_t size2, InPlace where,
    void *slot_x1, void *slot_x2, void *slot_y, void **x1, void **x2)
{
  if (where == X1_IN_PLACE) {
    *x1 = harness_in_out (c, type, size, slot_y);
    harness_point (c, slot_x1, *x1, 0);
  } else {
    *x1 = harness_in (c, type, size, slot_x1);
  }
  if (where == X2_IN_PLACE) {
    *x2 = harness_in_out (c, type, size, slot_y);
    harness_point (c, slot_x2, *x2, 0);
  } else {
    *x2 = harness_in (c, type, size2, slot_x2);
  }
  if (where == APART)
    harness_out (c, type, size, slot_y);
}

static void
random_factors (Harness *h, KernelBinaryS8 *a, bool multiply, bool halves)
{
  a->zero1 = harness_range (h, -128, 127);
  a->zero2 = harness_range (h, -128, 127);
  a->lo = harness_random (h) & 1 ? -128 : harness_range (h, -128, 0);
  a->hi = harness_random (h) & 1 ? 127 : harness_range (h, 0, 127);
  if (halves) {
    a->m1 = multiply ? 0x1p-3f : 0.5f;
    a->m2 = harness_random (h) & 1 ? 0.5f : 0.25f;
    a->b = harness_range (h, -20, 20);
  } else {
    a->m1 = harness_uniform (h, 0.1f, 1.5f) * (multiply ? 0.01f : 1.0f);
    a->m2 = harness_uniform (h, 0.1f, 1.5f);
    a->b = harness_uniform (h, -60.0f, 60.0f);
  }
}

/* b such that t of one of the pairs is at k + 1/2 but for b's rounding. */
static void
aim (Harness *h, KernelBinaryS8 *a, bool multiply, int x1, int x2)
{
  const double t = multiply ? (double) a->m1 * ((x1 - a->zero1) * (x2 - a->zero2))
                            : (double) a->m1 * x1 + (double) a->m2 * x2;

  a->b = (float) (harness_range (h, -100, 99) + 0.5 - t);
}

/* How x2 lies to x1. */
typedef enum { ALIKE, BROADCAST, REPEATED, SPREADS } Spread;

static const char *const spread_names[SPREADS] = {"", ", broadcast", ", repeated"};

static size_t
second_size (Spread spread, int n, int rows, int c)
{
  return (size_t) (spread == REPEATED ? 1 : n) * (spread == BROADCAST ? 1 : rows) * c;
}

static void
run_binary_s8 (Harness *h, int n, int rows, int c, Spread spread, InPlace where, bool multiply)
{
  KernelBinaryS8 a = {.n = n,
      .rows = rows,
      .c = c,
      .x2_broadcast = spread == BROADCAST,
      .x2_repeated = spread == REPEATED};
  const size_t size = (size_t) n * rows * c, size2 = second_size (spread, n, rows, c);
  HarnessCase *hc = harness_case (h, &a, "n%d %dx%d%s%s", n, rows, c, spread_names[spread],
      in_place_names[where]);
  const int kind = harness_range (h, 0, 2);
  void *x1, *x2;
  size_t i;

  binary_buffers (hc, HARNESS_S8, size, size2, where, &a.x1, &a.x2, &a.y, &x1, &x2);
  harness_fill_s8 (h, x1, size, harness_random (h) % 8 ? HARNESS_RANDOM : HARNESS_EXTREMES);
  harness_fill_s8 (h, x2, size2, harness_random (h) % 8 ? HARNESS_RANDOM : HARNESS_EXTREMES);
  random_factors (h, &a, multiply, kind == 0);
  i = harness_random (h) % size;
  if (kind == 1)
    aim (h, &a, multiply, ((int8_t *) x1)[i],
        ((int8_t *) x2)[spread == BROADCAST ? i / c / rows * c + i % c : i % size2]);
  harness_run (hc);
}

/* Every pair of values, aimed at one of them. */
static void
run_all_pairs (Harness *h, bool multiply, bool halves)
{
  KernelBinaryS8 a = {.n = 1, .rows = 256, .c = 256};
  HarnessCase *c = harness_case (h, &a, "all pairs%s", halves ? ", halves" : "");
  int8_t *x1 = harness_in (c, HARNESS_S8, 65536, &a.x1);
  int8_t *x2 = harness_in (c, HARNESS_S8, 65536, &a.x2);

  harness_out (c, HARNESS_S8, 65536, &a.y);
  for (int i = 0; i < 65536; i++) {
    x1[i] = i / 256 - 128;
    x2[i] = i % 256 - 128;
  }
  random_factors (h, &a, multiply, halves);
  if (!halves) {
    const int value1 = harness_range (h, -128, 127);

    aim (h, &a, multiply, value1, harness_range (h, -128, 127));
  }
  harness_run (c);
}

static void
run_binary_f32 (Harness *h, int n, int rows, int c, Spread spread, InPlace where)
{
  KernelBinaryF32 a = {.n = n,
      .rows = rows,
      .c = c,
      .x2_broadcast = spread == BROADCAST,
      .x2_repeated = spread == REPEATED};
  const size_t size = (size_t) n * rows * c, size2 = second_size (spread, n, rows, c);
  HarnessCase *hc = harness_case (h, &a, "n%d %dx%d%s%s", n, rows, c, spread_names[spread],
      in_place_names[where]);
  const HarnessFloats kind = harness_range (h, 0, HARNESS_FLOATS_COUNT - 1);
  void *x1, *x2;

  binary_buffers (hc, HARNESS_F32, size, size2, where, &a.x1, &a.x2, &a.y, &x1, &x2);
  harness_fill_f32 (h, x1, size, kind);
  harness_fill_f32 (h, x2, size2, kind);
  a.lo = harness_random (h) & 1 ? -INFINITY : 0.0f;
  a.hi = harness_random (h) & 1 ? INFINITY : 6.0f;
  harness_run (hc);
}

static void
run_binary (Harness *h, int n, int rows, int c, Spread spread, bool multiply, bool is_float)
{
  const InPlace where = harness_range (h, 0, spread != ALIKE ? X1_IN_PLACE : X2_IN_PLACE);

  if (is_float)
    run_binary_f32 (h, n, rows, c, spread, where);
  else
    run_binary_s8 (h, n, rows, c, spread, where, multiply);
}

static void
test_binary (Harness *h, bool multiply, bool is_float)
{
  for (int i = 0; i < COUNT (sizes); i++) {
    run_binary (h, 1, 1, sizes[i], ALIKE, multiply, is_float);
    run_binary (h, 1, sizes[i], 1, ALIKE, multiply, is_float);
    const int n = harness_range (h, 1, 3), rows = harness_range (h, 1, 9);
    const int c = harness_range (h, 1, 20);

    for (Spread spread = BROADCAST; spread < SPREADS; spread++) {
      run_binary (h, n, rows, sizes[i] % 301, spread, multiply, is_float);
      run_binary (h, n, sizes[i], c, spread, multiply, is_float);
    }
  }
  for (int i = 0; i < 200; i++) {
    const int n = harness_range (h, 1, 3), rows = harness_range (h, 1, 50);
    const int c = harness_range (h, 1, 70);

    run_binary (h, n, rows, c, harness_range (h, 0, SPREADS - 1), multiply, is_float);
  }
  for (int i = 0; i < 40 && !is_float; i++)
    run_all_pairs (h, multiply, i % 4 == 0);
}

static void
test_add_s8 (Harness *h)
{
  test_binary (h, false, false);
}

static void
test_mul_s8 (Harness *h)
{
  test_binary (h, true, false);
}

static void
test_add_f32 (Harness *h)
{
  test_binary (h, false, true);
}

static void
test_mul_f32 (Harness *h)
{
  test_binary (h, true, true);
}

/* --- lut, unary ----------------------------------------------------------------------------- */

static void
run_lut (Harness *h, size_t size, bool in_place)
{
  KernelLutS8 a = {.size = size};
  HarnessCase *c = harness_case (h, &a, "%zu values%s", size, in_place ? ", in place" : "");
  int8_t *x = in_place ? harness_in_out (c, HARNESS_S8, size, &a.y)
                       : harness_in (c, HARNESS_S8, size, &a.x);

  if (in_place)
    harness_point (c, &a.x, x, 0);
  else
    harness_out (c, HARNESS_S8, size, &a.y);
  harness_fill_s8 (h, harness_in (c, HARNESS_S8, 256, &a.lut), 256, HARNESS_RANDOM);
  harness_fill_s8 (h, x, size, HARNESS_RANDOM);
  for (int i = 0; size >= 256 && i < 256; i++) /* every value, when there is room */
    x[i] = i - 128;
  harness_run (c);
}

static void
test_lut_s8 (Harness *h)
{
  for (int i = 0; i < COUNT (sizes); i++) {
    run_lut (h, sizes[i], false);
    run_lut (h, sizes[i], true);
  }
}

static void
run_unary (Harness *h, KernelUnary kind, size_t size, HarnessFloats data, bool in_place)
{
  KernelUnaryF32 a = {.kind = kind, .alpha = 0.2f, .beta = 0.5f, .size = size};
  HarnessCase *c = harness_case (h, &a, "kind %d, %zu values, %s%s", kind, size,
      harness_floats_name (data), in_place ? ", in place" : "");
  float *x = in_place ? harness_in_out (c, HARNESS_F32, size, &a.y)
                      : harness_in (c, HARNESS_F32, size, &a.x);

  if (in_place)
    harness_point (c, &a.x, x, 0);
  else
    harness_out (c, HARNESS_F32, size, &a.y);
  if (kind == KERNEL_UNARY_CLIP) {
    a.alpha = -1.0f;
    a.beta = harness_random (h) & 1 ? 6.0f : INFINITY;
  } else if (harness_random (h) & 1) {
    a.alpha = harness_uniform (h, -1.0f, 1.0f);
    a.beta = harness_uniform (h, -1.0f, 1.0f);
  }
  harness_fill_f32 (h, x, size, data);
  for (size_t i = 0; i < size && data == HARNESS_PLAIN; i++)
    x[i] *= 30.0f; /* where exp overflows and underflows */
  harness_run (c);
}

static void
test_unary_f32 (Harness *h)
{
  for (int kind = 0; kind < KERNEL_UNARY_COUNT; kind++)
    for (int i = 0; i < COUNT (sizes); i++)
      for (int data = 0; data < HARNESS_FLOATS_COUNT; data++)
        run_unary (h, kind, sizes[i], data, harness_random (h) & 1);
}

/* --- Conversion ----------------------------------------------------------------------------- */

static void
run_quantise (Harness *h, size_t size, int kind)
{
  KernelConvert a = {.size = size};
  HarnessCase *c = harness_case (h, &a, "%zu values, %s", size,
      kind < HARNESS_FLOATS_COUNT ? harness_floats_name (kind) : "ties");
  float *x = harness_in (c, HARNESS_F32, size, &a.x);

  harness_out (c, HARNESS_S8, size, &a.y);
  a.zero = harness_range (h, -128, 127);
  if (kind < HARNESS_FLOATS_COUNT) {
    a.m = harness_uniform (h, 1.0f, 60.0f);
    harness_fill_f32 (h, x, size, kind);
    if (kind == HARNESS_PLAIN) /* as near to ties as x can be */
      for (size_t i = 0; i < size; i++)
        x[i] = (harness_range (h, -300, 300) + 0.5f) / a.m;
  } else {
    a.m = ldexpf (1.0f, harness_range (h, -3, 6));
    for (size_t i = 0; i < size; i++)
      x[i] = (harness_range (h, -300, 300) + 0.5f) / a.m;
  }
  harness_run (c);
}

static void
test_quantise_s8 (Harness *h)
{
  for (int i = 0; i < COUNT (sizes); i++)
    for (int kind = 0; kind <= HARNESS_FLOATS_COUNT; kind++)
      run_quantise (h, sizes[i], kind);
}

static void
run_dequantise (Harness *h, size_t size)
{
  KernelConvert a = {.size = size};
  HarnessCase *c = harness_case (h, &a, "%zu values", size);

  harness_fill_s8 (h, harness_in (c, HARNESS_S8, size, &a.x), size,
      harness_random (h) % 4 ? HARNESS_RANDOM : HARNESS_EXTREMES);
  harness_out (c, HARNESS_F32, size, &a.y);
  a.m = harness_uniform (h, 0.0f, 2.0f);
  a.zero = harness_range (h, -128, 127);
  harness_run (c);
}

static void
test_dequantise_f32 (Harness *h)
{
  for (int i = 0; i < COUNT (sizes); i++)
    for (int zero = 0; zero < 4; zero++)
      run_dequantise (h, sizes[i]);
}

/* --- Bench ---------------------------------------------------------------------------------- */

#define BENCH_ROWS (56 * 56)
#define BENCH_C    64
#define BENCH_SIZE ((size_t) BENCH_ROWS * BENCH_C)

static void
bench_add_s8 (Harness *h)
{
  run_binary_s8 (h, 1, BENCH_ROWS, BENCH_C, ALIKE, APART, false);
}

static void
bench_mul_s8 (Harness *h)
{
  run_binary_s8 (h, 1, BENCH_ROWS, BENCH_C, BROADCAST, APART, true);
}

static void
bench_f32 (Harness *h)
{
  run_binary_f32 (h, 1, BENCH_ROWS, BENCH_C, ALIKE, APART);
}

static void
bench_lut_s8 (Harness *h)
{
  run_lut (h, BENCH_SIZE, false);
}

static void
bench_unary_f32 (Harness *h)
{
  for (int kind = 0; kind < KERNEL_UNARY_COUNT; kind++)
    run_unary (h, kind, BENCH_SIZE, HARNESS_PLAIN, false);
}

static void
bench_quantise_s8 (Harness *h)
{
  run_quantise (h, BENCH_SIZE, HARNESS_WIDE);
}

static void
bench_dequantise_f32 (Harness *h)
{
  run_dequantise (h, BENCH_SIZE);
}

const HarnessTest harness_elementwise[] = {
    {"add_s8", test_add_s8, bench_add_s8},
    {"add_f32", test_add_f32, bench_f32},
    {"mul_s8", test_mul_s8, bench_mul_s8},
    {"mul_f32", test_mul_f32, bench_f32},
    {"lut_s8", test_lut_s8, bench_lut_s8},
    {"unary_f32", test_unary_f32, bench_unary_f32},
    {"quantise_s8", test_quantise_s8, bench_quantise_s8},
    {"dequantise_f32", test_dequantise_f32, bench_dequantise_f32},
    {0},
};
