/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * half.c: convolutions, add, mul, unary functions and conversions of halves. Where devices may add in
 * an order of their own, the data is such that every order gives the same sum.
 */
#include "tests/kernels/conv-shapes.h"

#include <math.h>
#include <stdlib.h>

#define COUNT(array) ((int) (sizeof (array) / sizeof *(array)))

static const int sizes[] = {1, 2, 7, 8, 9, 15, 16, 17, 63, 64, 65, 255, 1000, 4095, 4097};

/* --- conv_f16 ------------------------------------------------------------------------------- */

typedef struct {
  KernelConvF16 args;
  KernelConvShape largest;
  float *w;
} ConvF16;

static size_t
pack (const void *user, const KernelOps *ops, KernelQueue *queue, void *memory)
{
  const ConvF16 *conv = user;
  const KernelConvShape shape = conv_with_tactic (&conv->largest, &conv->args.shape);

  return ops->conv_f16_pack (&shape, conv->w, memory);
}

static size_t
scratch (const void *user, const KernelOps *ops, KernelQueue *queue, void *memory)
{
  const ConvF16 *conv = user;
  const KernelConvShape shape = conv_with_tactic (&conv->largest, &conv->args.shape);

  return ops->conv_f16_scratch (&shape, queue);
}

static const char *
tactic (const void *user, const KernelOps *ops, int tactic)
{
  return ops->conv_f16_tactic (&((const ConvF16 *) user)->args.shape, tactic);
}

/* Multiples of 1/8 in -2 .. 2. */
static void
fill_exact (Harness *h, float *data, size_t count)
{
  for (size_t i = 0; i < count; i++)
    data[i] = 0.125f * harness_range (h, -16, 16);
}

static void
run_conv (Harness *h, const KernelConvShape *shape, Residual residual)
{
  ConvF16 conv = {.args.shape = *shape, .largest = *shape};
  KernelConvF16 *a = &conv.args;
  const size_t n_in = conv_count_inputs (shape), n_out = conv_count_outputs (shape);
  char text[112];
  HarnessCase *c;
  KernelHalf *r = NULL;

  conv_describe (text, sizeof text, shape);
  c = harness_case (h, a, "%s%s", text, conv_residual_name (residual));
  conv.largest.n += harness_range (h, 0, 2);
  a->lo = harness_random (h) & 1 ? -INFINITY : 0.0f;
  a->hi = harness_random (h) & 1 ? INFINITY : 6.0f;
  conv.w = malloc (conv_count_weights (shape) * sizeof *conv.w);
  harness_require (conv.w != NULL, "out of memory");
  fill_exact (h, conv.w, conv_count_weights (shape));
  harness_fill_f16 (h, harness_in (c, HARNESS_F16, n_in, &a->x), n_in, HARNESS_PLAIN);
  fill_exact (h, harness_in (c, HARNESS_F32, shape->oc, &a->b), shape->oc);
  if (residual == RESIDUAL_IN_PLACE) {
    r = harness_in_out (c, HARNESS_F16, n_out, &a->y);
    harness_point (c, &a->r, r, 0);
  } else {
    if (residual == RESIDUAL)
      r = harness_in (c, HARNESS_F16, n_out, &a->r);
    harness_out (c, HARNESS_F16, n_out, &a->y);
  }
  if (r)
    harness_fill_f16 (h, r, n_out, HARNESS_PLAIN);
  harness_made_in (c, pack, &conv, &a->w);
  harness_made_scratch (c, scratch, &conv, &a->scratch);
  harness_tactics (c, tactic, &conv, &a->shape.tactic);
  harness_operations (c, 2.0 * n_out * conv_count_weights (shape) / shape->oc);
  harness_run (c);
  free (conv.w);
}

static void
test_conv_f16 (Harness *h)
{
  KernelConvShape shape;

  for (int i = 0; conv_shape (h, i, &shape); i++)
    run_conv (h, &shape, harness_range (h, NO_RESIDUAL, RESIDUAL_IN_PLACE));
}

static void
bench_conv_f16 (Harness *h)
{
  KernelConvShape shape;

  for (int i = 0; conv_shape_bench (i, &shape); i++)
    run_conv (h, &shape, NO_RESIDUAL);
}

/* --- add, mul ------------------------------------------------------------------------------- */

static void
run_binary (Harness *h, int n, int rows, int c, bool broadcast, HarnessFloats kind, bool in_place)
{
  KernelBinaryF16 a = {.n = n, .rows = rows, .c = c, .x2_broadcast = broadcast};
  const size_t size = (size_t) n * rows * c, size2 = broadcast ? (size_t) n * c : size;
  HarnessCase *hc = harness_case (h, &a, "n%d %dx%d%s, %s%s", n, rows, c,
      broadcast ? ", broadcast" : "", harness_floats_name (kind), in_place ? ", y is x1" : "");
  KernelHalf *x1 = in_place ? harness_in_out (hc, HARNESS_F16, size, &a.y)
                            : harness_in (hc, HARNESS_F16, size, &a.x1);

  if (in_place)
    harness_point (hc, &a.x1, x1, 0);
  else
    harness_out (hc, HARNESS_F16, size, &a.y);
  harness_fill_f16 (h, x1, size, kind);
  harness_fill_f16 (h, harness_in (hc, HARNESS_F16, size2, &a.x2), size2, kind);
  a.lo = harness_random (h) & 1 ? -INFINITY : 0.0f;
  a.hi = harness_random (h) & 1 ? INFINITY : 6.0f;
  harness_run (hc);
}

static void
test_binary (Harness *h)
{
  for (int i = 0; i < COUNT (sizes); i++)
    for (int kind = 0; kind < HARNESS_FLOATS_COUNT; kind++) {
      const int n = harness_range (h, 1, 3), rows = harness_range (h, 1, 9);
      const bool in_place = harness_random (h) & 1;

      run_binary (h, n, rows, sizes[i] % 301, harness_random (h) & 1, kind, in_place);
      run_binary (h, 1, sizes[i], 1, false, kind, !in_place);
    }
}

static void
bench_binary (Harness *h)
{
  run_binary (h, 1, 56 * 56, 256, false, HARNESS_PLAIN, false);
}

/* --- Unary functions and conversions -------------------------------------------------------- */

static void
run_unary (Harness *h, KernelUnary kind, size_t size, HarnessFloats data)
{
  KernelUnaryF16 a = {.kind = kind, .alpha = -1.0f, .beta = 0.5f, .size = size};
  HarnessCase *c =
      harness_case (h, &a, "kind %d, %zu values, %s", kind, size, harness_floats_name (data));

  harness_fill_f16 (h, harness_in (c, HARNESS_F16, size, &a.x), size, data);
  harness_out (c, HARNESS_F16, size, &a.y);
  harness_run (c);
}

static void
test_unary_f16 (Harness *h)
{
  for (int kind = 0; kind < KERNEL_UNARY_COUNT; kind++)
    for (int i = 0; i < COUNT (sizes); i++)
      run_unary (h, kind, sizes[i], i % HARNESS_FLOATS_COUNT);
}

static void
bench_unary_f16 (Harness *h)
{
  run_unary (h, KERNEL_UNARY_SILU, 56 * 56 * 256, HARNESS_PLAIN);
}

static void
run_narrow (Harness *h, size_t size, HarnessFloats kind)
{
  KernelWidth a = {.size = size};
  HarnessCase *c = harness_case (h, &a, "%zu values, %s", size, harness_floats_name (kind));
  float *x = harness_in (c, HARNESS_F32, size, &a.x);

  harness_fill_f32 (h, x, size, kind);
  for (size_t i = 0; i < size && kind == HARNESS_PLAIN; i++) { /* ties, and the ends of the range */
    const int exponent = harness_range (h, -30, 5);

    x[i] = ldexpf (harness_range (h, -4100, 4100) + 0.5f, exponent);
  }
  harness_out (c, HARNESS_F16, size, &a.y);
  harness_run (c);
}

static void
test_narrow_f16 (Harness *h)
{
  for (int i = 0; i < COUNT (sizes); i++)
    for (int kind = 0; kind < HARNESS_FLOATS_COUNT; kind++)
      run_narrow (h, sizes[i], kind);
}

static void
bench_narrow_f16 (Harness *h)
{
  run_narrow (h, 56 * 56 * 256, HARNESS_PLAIN);
}

static void
run_widen (Harness *h, size_t size)
{
  KernelWidth a = {.size = size};
  HarnessCase *c = harness_case (h, &a, "%zu values", size);
  KernelHalf *x = harness_in (c, HARNESS_F16, size, &a.x);

  harness_fill_f16 (h, x, size, HARNESS_WIDE);
  for (size_t i = 0; size == 65536 && i < size; i++)
    x[i] = (KernelHalf) i;
  harness_out (c, HARNESS_F32, size, &a.y);
  harness_run (c);
}

static void
test_widen_f32 (Harness *h)
{
  for (int i = 0; i < COUNT (sizes); i++)
    run_widen (h, sizes[i]);
  run_widen (h, 65536); /* every half there is */
}

static void
bench_widen_f32 (Harness *h)
{
  run_widen (h, 56 * 56 * 256);
}

const HarnessTest harness_half[] = {
    {"conv_f16", test_conv_f16, bench_conv_f16},
    {"add_f16", test_binary, bench_binary},
    {"mul_f16", test_binary, bench_binary},
    {"unary_f16", test_unary_f16, bench_unary_f16},
    {"narrow_f16", test_narrow_f16, bench_narrow_f16},
    {"widen_f32", test_widen_f32, bench_widen_f32},
    {0},
};
