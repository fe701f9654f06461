/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * move.c: copy, transpose and pad, which move bytes.
 */
#include "tests/kernels/harness.h"

#include <stdio.h>

#define COUNT(array) ((int) (sizeof (array) / sizeof *(array)))

static const int widths[] = {1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129,
    1000};

static void
fill (Harness *h, HarnessType type, void *data, size_t count)
{
  if (type == HARNESS_F32)
    harness_fill_f32 (h, data, count, HARNESS_SPECIAL);
  else if (type == HARNESS_F16)
    harness_fill_f16 (h, data, count, HARNESS_SPECIAL);
  else
    harness_fill_s8 (h, data, count, HARNESS_RANDOM);
}

/* --- copy ----------------------------------------------------------------------------------- */

/* What lies between the rows of y must stay. */
static void
run_copy (Harness *h, HarnessType type, size_t rows, size_t width, size_t x_gap, size_t y_gap,
    bool lut)
{
  KernelCopy a = {.rows = rows,
      .width = width,
      .x_stride = width + x_gap,
      .y_stride = width + y_gap};
  HarnessCase *c = harness_case (h, &a, "%zu rows of %zu, gaps %zu and %zu%s", rows, width, x_gap,
      y_gap, lut ? ", lut" : "");
  const size_t nx = (rows - 1) * a.x_stride + width, ny = (rows - 1) * a.y_stride + width;

  fill (h, type, harness_in (c, type, nx, &a.x), nx);
  fill (h, type, harness_in_out (c, type, ny, &a.y), ny);
  if (lut)
    fill (h, HARNESS_S8, harness_in (c, HARNESS_S8, 256, &a.lut), 256);
  harness_run (c);
}

static void
test_copy (Harness *h, HarnessType type)
{
  for (int i = 0; i < COUNT (widths); i++) {
    const bool lut = type == HARNESS_S8 && i % 3 == 0;

    const int rows = harness_range (h, 2, 40);
    const int x_gap = harness_range (h, 0, 70), y_gap = harness_range (h, 1, 70);

    run_copy (h, type, 1, widths[i], 0, 0, lut);
    run_copy (h, type, rows, widths[i], 0, y_gap, lut);
    run_copy (h, type, rows, widths[i], x_gap, y_gap - 1, !lut && type == HARNESS_S8);
  }
}

static void
test_copy_s8 (Harness *h)
{
  test_copy (h, HARNESS_S8);
}

static void
test_copy_f16 (Harness *h)
{
  test_copy (h, HARNESS_F16);
}

static void
test_copy_f32 (Harness *h)
{
  test_copy (h, HARNESS_F32);
}

/* --- transpose ------------------------------------------------------------------------------ */

static size_t
count_elements (const int *dims, int rank)
{
  size_t count = 1;

  for (int i = 0; i < rank; i++)
    count *= dims[i];
  return count;
}

static int
write_list (char *text, size_t size, const int *values, int count)
{
  int used = 0;

  for (int i = 0; i < count; i++)
    used += snprintf (text + used, size - used, "%s%d", i ? "," : "", values[i]);
  return used;
}

static void
run_transpose (Harness *h, HarnessType type, const KernelTranspose *shape)
{
  KernelTranspose a = *shape;
  const size_t count = count_elements (a.dims, a.rank);
  char dims[80], perm[80];
  HarnessCase *c;

  write_list (dims, sizeof dims, a.dims, a.rank);
  write_list (perm, sizeof perm, a.perm, a.rank);
  c = harness_case (h, &a, "dims %s, perm %s", dims, perm);
  fill (h, type, harness_in (c, type, count, &a.x), count);
  harness_out (c, type, count, &a.y);
  harness_run (c);
}

/* All permutations, by swapping each element into each place. */
static void
each_permutation (Harness *h, HarnessType type, KernelTranspose *shape, int fixed)
{
  if (fixed == shape->rank) {
    for (int i = 0; i < shape->rank; i++)
      shape->dims[i] = harness_range (h, 1, shape->rank > 4 ? 4 : 9);
    run_transpose (h, type, shape);
  }
  for (int i = fixed; i < shape->rank; i++) {
    const int first = shape->perm[fixed], other = shape->perm[i];

    shape->perm[fixed] = other;
    shape->perm[i] = first;
    each_permutation (h, type, shape, fixed + 1);
    shape->perm[fixed] = first;
    shape->perm[i] = other;
  }
}

static void
test_transpose (Harness *h, HarnessType type)
{
  const KernelTranspose layouts[] = {
      {4, {2, 3, 17, 19}, {0, 2, 3, 1}},      /* NCHW to NHWC */
      {4, {2, 17, 19, 3}, {0, 3, 1, 2}},      /* and back */
      {5, {1, 9, 11, 3, 8}, {0, 1, 2, 4, 3}}, /* channel shuffle */
      {2, {65, 129}, {1, 0}},
      {3, {2, 33, 64}, {0, 2, 1}},
  };

  for (int i = 0; i < COUNT (layouts); i++)
    run_transpose (h, type, &layouts[i]);
  for (int rank = 1; rank <= KERNEL_MAX_RANK; rank++) {
    KernelTranspose shape = {.rank = rank};

    for (int i = 0; i < rank; i++)
      shape.perm[i] = i;
    each_permutation (h, type, &shape, 0);
  }
}

static void
test_transpose_s8 (Harness *h)
{
  test_transpose (h, HARNESS_S8);
}

static void
test_transpose_f16 (Harness *h)
{
  test_transpose (h, HARNESS_F16);
}

static void
test_transpose_f32 (Harness *h)
{
  test_transpose (h, HARNESS_F32);
}

/* --- pad ------------------------------------------------------------------------------------ */

static void
run_pad (Harness *h, HarnessType type, const KernelPad *shape)
{
  KernelPad a = *shape;
  const size_t nx = count_elements (a.dims, a.rank);
  char dims[80], before[80], after[80];
  size_t ny = 1;
  HarnessCase *c;

  for (int i = 0; i < a.rank; i++)
    ny *= a.before[i] + a.dims[i] + a.after[i];
  write_list (dims, sizeof dims, a.dims, a.rank);
  write_list (before, sizeof before, a.before, a.rank);
  write_list (after, sizeof after, a.after, a.rank);
  c = harness_case (h, &a, "dims %s, before %s, after %s", dims, before, after);
  a.value_s8 = harness_range (h, -128, 127);
  a.value_f32 = harness_uniform (h, -2.0f, 2.0f);
  fill (h, type, harness_in (c, type, nx, &a.x), nx);
  harness_out (c, type, ny, &a.y);
  harness_run (c);
}

static void
test_pad (Harness *h, HarnessType type)
{
  const KernelPad image = {4, {2, 13, 17, 3}, {0, 1, 2, 0}, {0, 2, 1, 0}};
  const KernelPad deep = {4, {1, 7, 7, 64}, {0, 1, 1, 0}, {0, 1, 1, 0}};
  const KernelPad channels = {4, {1, 5, 5, 30}, {0, 0, 0, 1}, {0, 0, 0, 33}};
  const KernelPad none = {3, {4, 5, 6}, {0}, {0}};

  run_pad (h, type, &image);
  run_pad (h, type, &deep);
  run_pad (h, type, &channels);
  run_pad (h, type, &none);
  for (int i = 0; i < 120; i++) {
    KernelPad shape = {.rank = i % KERNEL_MAX_RANK + 1};

    for (int axis = 0; axis < shape.rank; axis++) {
      shape.dims[axis] = harness_range (h, 1, shape.rank > 4 ? 3 : 8);
      shape.before[axis] = harness_random (h) & 1 ? harness_range (h, 0, 3) : 0;
      shape.after[axis] = harness_random (h) & 1 ? harness_range (h, 0, 3) : 0;
    }
    run_pad (h, type, &shape);
  }
}

static void
test_pad_s8 (Harness *h)
{
  test_pad (h, HARNESS_S8);
}

static void
test_pad_f16 (Harness *h)
{
  test_pad (h, HARNESS_F16);
}

static void
test_pad_f32 (Harness *h)
{
  test_pad (h, HARNESS_F32);
}

/* --- Bench ---------------------------------------------------------------------------------- */

static const KernelTranspose bench_layout = {4, {1, 64, 56, 56}, {0, 2, 3, 1}};
static const KernelPad bench_image = {4, {1, 112, 112, 32}, {0, 1, 1, 0}, {0, 1, 1, 0}};

static void
bench_copy_s8 (Harness *h)
{
  run_copy (h, HARNESS_S8, 56 * 56, 64, 0, 64, false);
  run_copy (h, HARNESS_S8, 56 * 56, 64, 0, 64, true);
}

static void
bench_copy_f16 (Harness *h)
{
  run_copy (h, HARNESS_F16, 56 * 56, 64, 0, 64, false);
}

static void
bench_copy_f32 (Harness *h)
{
  run_copy (h, HARNESS_F32, 56 * 56, 64, 0, 64, false);
}

static void
bench_transpose_s8 (Harness *h)
{
  run_transpose (h, HARNESS_S8, &bench_layout);
}

static void
bench_transpose_f16 (Harness *h)
{
  run_transpose (h, HARNESS_F16, &bench_layout);
}

static void
bench_transpose_f32 (Harness *h)
{
  run_transpose (h, HARNESS_F32, &bench_layout);
}

static void
bench_pad_s8 (Harness *h)
{
  run_pad (h, HARNESS_S8, &bench_image);
}

static void
bench_pad_f16 (Harness *h)
{
  run_pad (h, HARNESS_F16, &bench_image);
}

static void
bench_pad_f32 (Harness *h)
{
  run_pad (h, HARNESS_F32, &bench_image);
}

const HarnessTest harness_move[] = {
    {"copy_s8", test_copy_s8, bench_copy_s8},
    {"copy_f16", test_copy_f16, bench_copy_f16},
    {"copy_f32", test_copy_f32, bench_copy_f32},
    {"transpose_s8", test_transpose_s8, bench_transpose_s8},
    {"transpose_f16", test_transpose_f16, bench_transpose_f16},
    {"transpose_f32", test_transpose_f32, bench_transpose_f32},
    {"pad_s8", test_pad_s8, bench_pad_s8},
    {"pad_f16", test_pad_f16, bench_pad_f16},
    {"pad_f32", test_pad_f32, bench_pad_f32},
    {0},
};
