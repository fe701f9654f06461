/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * matmul.c: products of two activations.
 */
#include "tests/kernels/harness.h"

#include <math.h>

typedef enum { S8, S8_TO_F32, F32 } Kind;

typedef struct {
  int n, rows, inner, cols;
} Size;

static size_t
scratch (const void *user, const KernelOps *ops, KernelQueue *queue, void *memory)
{
  return ops->matmul_s8_scratch ? ops->matmul_s8_scratch (user, queue) : 0;
}

static size_t
scratch_f32 (const void *user, const KernelOps *ops, KernelQueue *queue, void *memory)
{
  return ops->matmul_f32_scratch ? ops->matmul_f32_scratch (user, queue) : 0;
}

/* Of int8: t covers the range, or, every other time, is a tie for many sums. */
static void
set_factors (Harness *h, KernelMatmul *a, Kind kind)
{
  const bool ties = harness_random (h) & 1;

  a->m = kind == F32 ? harness_uniform (h, -2.0f, 2.0f) : 0.02f / sqrtf (a->inner);
  a->zero_x1 = harness_range (h, -128, 127);
  a->zero_y = kind == S8 ? harness_range (h, -128, 127) : 0;
  if (kind != F32 && ties)
    a->m = 0x1p-11f;
}

static void
run (Harness *h, Kind kind, const Size *s, bool transposed, int data)
{
  static const size_t element[] = {1, 4, 4};
  KernelMatmul a = {s->n, s->rows, s->inner, s->cols, .transposed = transposed};
  const HarnessType type = kind == F32 ? HARNESS_F32 : HARNESS_S8;
  const size_t size1 = (size_t) s->n * s->rows * s->inner;
  const size_t size2 = (size_t) s->n * s->inner * s->cols;
  const size_t size = (size_t) s->n * s->rows * s->cols;
  HarnessCase *c = harness_case (h, &a, "%d x [%d %d] [%d %d]%s, %s", s->n, s->rows, s->inner,
      s->inner, s->cols, transposed ? " transposed" : "",
      kind == F32 ? harness_floats_name (data) : harness_data_name (data));
  void *x1 = harness_in (c, type, size1, &a.x1), *x2 = harness_in (c, type, size2, &a.x2);

  if (kind == F32) {
    harness_fill_f32 (h, x1, size1, data);
    harness_fill_f32 (h, x2, size2, data);
  } else {
    harness_fill_s8 (h, x1, size1, data);
    harness_fill_s8 (h, x2, size2, data);
  }
  harness_out (c, element[kind] == 1 ? HARNESS_S8 : HARNESS_F32, size, &a.y);
  harness_made_scratch (c, kind == F32 ? scratch_f32 : scratch, &a, &a.scratch);
  set_factors (h, &a, kind);
  harness_operations (c, 2.0 * s->n * s->rows * s->inner * s->cols);
  harness_run (c);
}

/* Attention of DeiT and Swin, around the widths of tiles, and small ones at random. */
static void
test (Harness *h, Kind kind)
{
  static const Size sizes[] = {{3, 197, 64, 197}, {3, 197, 197, 64}, {12, 49, 32, 49},
      {12, 49, 49, 32}, {1, 1, 1, 1}, {2, 6, 4, 16}, {2, 7, 5, 17}, {1, 16, 64, 64},
      {1, 17, 65, 65}, {1, 33, 128, 15}, {5, 2, 3, 100}, {1, 300, 3, 1}, {1, 1, 700, 33}};
  const int kinds = kind == F32 ? (int) HARNESS_FLOATS_COUNT : (int) HARNESS_DATA_COUNT;

  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    for (int transposed = 0; transposed < 2; transposed++) {
      run (h, kind, &sizes[i], transposed, HARNESS_RANDOM);
      run (h, kind, &sizes[i], transposed, harness_range (h, 0, kinds - 1));
    }
  for (int i = 0; i < 150; i++) {
    Size s;

    s.n = harness_range (h, 1, 5);
    s.rows = harness_range (h, 1, 40);
    s.inner = harness_range (h, 1, 90);
    s.cols = harness_range (h, 1, 80);
    const bool transposed = harness_random (h) & 1;

    run (h, kind, &s, transposed, harness_range (h, 0, kinds - 1));
  }
}

static void
bench (Harness *h, Kind kind)
{
  run (h, kind, &(Size){3, 197, 64, 197}, true, HARNESS_RANDOM);
  run (h, kind, &(Size){3, 197, 197, 64}, false, HARNESS_RANDOM);
  run (h, kind, &(Size){192, 49, 32, 49}, true, HARNESS_RANDOM);
  run (h, kind, &(Size){192, 49, 49, 32}, false, HARNESS_RANDOM);
}

static void
test_matmul_s8 (Harness *h)
{
  test (h, S8);
}

static void
test_matmul_s8_f32 (Harness *h)
{
  test (h, S8_TO_F32);
}

static void
test_matmul_f32 (Harness *h)
{
  test (h, F32);
}

static void
bench_matmul_s8 (Harness *h)
{
  bench (h, S8);
}

static void
bench_matmul_s8_f32 (Harness *h)
{
  bench (h, S8_TO_F32);
}

static void
bench_matmul_f32 (Harness *h)
{
  bench (h, F32);
}

const HarnessTest harness_matmul[] = {
    {"matmul_s8", test_matmul_s8, bench_matmul_s8},
    {"matmul_s8_f32", test_matmul_s8_f32, bench_matmul_s8_f32},
    {"matmul_f32", test_matmul_f32, bench_matmul_f32},
    {0},
};
