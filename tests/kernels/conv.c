/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv.c: conv_s8, conv_s8_f32 and conv_f32.
 */
#include "kernels/backend.h"
#include "tests/kernels/conv-shapes.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

/* How m and b are made from the accumulators.
 *   SPREAD  t covers the int8 range
 *   HALVES  accumulators are multiples of 64 and m is 2^-7: half of all t are ties
 *   AIMED   m is arbitrary, and b puts t of one output per channel as near to a tie as a float can:
 *           whether the product was rounded before the sum decides it
 *   WORST   as AIMED, with the largest accumulators */
typedef enum { SPREAD, HALVES, AIMED, WORST, AIMS } Aim;

static const char *const aim_names[AIMS] = {"spread", "halves", "aimed", "worst"};

/* --- int8 ----------------------------------------------------------------------------------- */

typedef struct {
  KernelConvS8 args;
  KernelConvShape largest; /* what the weights are packed and the scratch is measured for */
  int8_t *w;
} ConvS8;

static size_t
pack_s8 (const void *user, const KernelOps *ops, KernelQueue *queue, void *memory)
{
  const ConvS8 *conv = user;
  const KernelConvShape shape = conv_with_tactic (&conv->largest, &conv->args.shape);

  return ops->conv_s8_pack (&shape, conv->args.zero_x, conv->w, memory);
}

static size_t
scratch_s8 (const void *user, const KernelOps *ops, KernelQueue *queue, void *memory)
{
  const ConvS8 *conv = user;
  const KernelConvShape shape = conv_with_tactic (&conv->largest, &conv->args.shape);

  return ops->conv_s8_scratch (&shape, queue);
}

static const char *
tactic_s8 (const void *user, const KernelOps *ops, int tactic)
{
  return ops->conv_s8_tactic (&((const ConvS8 *) user)->args.shape, tactic);
}

/* The accumulators as float, which is how they enter the requantisation. */
static float *
find_accumulators (const ConvS8 *conv)
{
  const KernelConvShape *s = &conv->args.shape;
  float *acc = malloc (conv_count_outputs (s) * sizeof *acc), *one = malloc (s->oc * sizeof *one);
  float *zero = calloc (s->oc, sizeof *zero);
  KernelConvS8 args = conv->args;

  for (int k = 0; k < s->oc; k++)
    one[k] = 1.0f;
  args.w = conv->w;
  args.m = one;
  args.b = zero;
  args.y = acc;
  kernel_conv_s8_f32_ref (&args, NULL);
  free (one);
  free (zero);
  return acc;
}

/* m so that t covers the range, b so that t of one random pixel per channel is at k + 1/2 but for
 * b's own rounding. */
static void
aim (Harness *h, ConvS8 *conv, float *m, float *b, const int8_t *r)
{
  const KernelConvShape *s = &conv->args.shape;
  const size_t pixels = conv_count_outputs (s) / s->oc;
  float *acc = find_accumulators (conv);

  for (int k = 0; k < s->oc; k++) {
    const size_t i = harness_random (h) % pixels * s->oc + k;
    const double residual = r ? (double) r[i] * conv->args.mr : 0;
    float largest = 1;

    for (size_t p = k; p < pixels * s->oc; p += s->oc)
      largest = fmaxf (largest, fabsf (acc[p]));
    m[k] = harness_uniform (h, 20, 200) / largest;
    b[k] = (float) (harness_range (h, -100, 99) + 0.5 - (double) acc[i] * m[k] - residual);
  }
  free (acc);
}

static void
fill_inputs (Harness *h, const ConvS8 *conv, int8_t *x, Aim how)
{
  const KernelConvShape *s = &conv->args.shape;
  const size_t window = conv_count_weights (s) / s->oc;

  harness_fill_s8 (h, x, conv_count_inputs (s), how == WORST ? HARNESS_EXTREMES : HARNESS_RANDOM);
  for (size_t i = 0; i < conv_count_weights (s); i++) {
    if (how == HALVES) /* about four weights of a window are not zero */
      conv->w[i] = harness_random (h) % window < 4 ? (harness_random (h) & 1 ? 64 : -64) : 0;
    else if (how == WORST)
      conv->w[i] = harness_random (h) & 1 ? 127 : -127;
    else
      conv->w[i] = harness_range (h, -127, 127);
  }
  if (how == WORST && harness_random (h) & 1) { /* all products have one sign */
    const bool low = harness_random (h) & 1;

    harness_fill_s8 (h, x, conv_count_inputs (s), low ? HARNESS_LOW : HARNESS_HIGH);
    for (size_t i = 0; i < conv_count_weights (s); i++)
      conv->w[i] = harness_random (h) % 64 == 0 ? 127 : -127;
  }
}

static void
fill_factors (Harness *h, ConvS8 *conv, float *m, float *b, const int8_t *r, Aim how)
{
  const KernelConvShape *s = &conv->args.shape;
  const double typical = sqrt ((double) conv_count_weights (s) / s->oc) * 74 * 73;

  for (int k = 0; k < s->oc; k++) {
    m[k] = how == HALVES ? 0x1p-7f : (float) (harness_uniform (h, 20, 100) / typical);
    b[k] = how == HALVES ? harness_range (h, -20, 20) : harness_uniform (h, -40, 40);
  }
  if (how == AIMED || how == WORST)
    aim (h, conv, m, b, r);
}

static void
run_s8 (Harness *h, const KernelConvShape *shape, Aim how, Residual residual, bool to_float)
{
  ConvS8 conv = {.args.shape = *shape, .largest = *shape};
  KernelConvS8 *a = &conv.args;
  const size_t n_out = conv_count_outputs (shape);
  char text[112];
  HarnessCase *c;
  int8_t *x, *r = NULL;
  float *m, *b;

  conv_describe (text, sizeof text, shape);
  c = harness_case (h, a, "%s, %s%s", text, aim_names[how],
      conv_residual_name (residual));
  conv.largest.n += harness_range (h, 0, 2);
  a->zero_x = harness_random (h) & 1 ? harness_range (h, -128, 127) : -128;
  if (how == HALVES)
    a->zero_x = harness_range (h, -8, 8);
  a->lo = harness_random (h) & 1 ? -128 : harness_range (h, -128, 0);
  a->hi = harness_random (h) & 1 ? 127 : harness_range (h, 0, 127);
  a->mr = residual == NO_RESIDUAL ? 0 : how == HALVES ? 0.5f : harness_uniform (h, 0.1f, 1.5f);
  conv.w = malloc (conv_count_weights (shape));

  x = harness_in (c, HARNESS_S8, conv_count_inputs (shape), &a->x);
  m = harness_in (c, HARNESS_F32, shape->oc, &a->m);
  b = harness_in (c, HARNESS_F32, shape->oc, &a->b);
  if (residual == RESIDUAL_IN_PLACE) {
    r = harness_in_out (c, HARNESS_S8, n_out, &a->y);
    harness_point (c, &a->r, r, 0);
  } else {
    if (residual == RESIDUAL)
      r = harness_in (c, HARNESS_S8, n_out, &a->r);
    harness_out (c, to_float ? HARNESS_F32 : HARNESS_S8, n_out, &a->y);
  }
  if (r)
    harness_fill_s8 (h, r, n_out, HARNESS_RANDOM);
  fill_inputs (h, &conv, x, how);
  fill_factors (h, &conv, m, b, r, how);
  harness_made_in (c, pack_s8, &conv, &a->w);
  harness_made_scratch (c, scratch_s8, &conv, &a->scratch);
  harness_tactics (c, tactic_s8, &conv, &a->shape.tactic);
  harness_operations (c, 2.0 * n_out * conv_count_weights (shape) / shape->oc);
  harness_run (c);
  free (conv.w);
}

static void
test_conv_s8 (Harness *h)
{
  KernelConvShape shape;

  for (int i = 0; conv_shape (h, i, &shape); i++)
    run_s8 (h, &shape, i % AIMS, harness_range (h, NO_RESIDUAL, RESIDUAL_IN_PLACE), false);
  for (int i = 0; conv_shape_large (i, &shape); i++)
    run_s8 (h, &shape, WORST, NO_RESIDUAL, false);
}

static void
test_conv_s8_f32 (Harness *h)
{
  KernelConvShape shape;

  for (int i = 0; conv_shape (h, i, &shape); i++)
    run_s8 (h, &shape, i % AIMS, NO_RESIDUAL, true);
  for (int i = 0; conv_shape_large (i, &shape); i++)
    run_s8 (h, &shape, WORST, NO_RESIDUAL, true);
}

/* --- Float ---------------------------------------------------------------------------------- */

typedef struct {
  KernelConvF32 args;
  KernelConvShape largest;
  float *w;
  const float *x, *b, *r; /* as the test made them: args has each back end's */
} ConvF32;

static size_t
pack_f32 (const void *user, const KernelOps *ops, KernelQueue *queue, void *memory)
{
  const ConvF32 *conv = user;
  const KernelConvShape shape = conv_with_tactic (&conv->largest, &conv->args.shape);

  return ops->conv_f32_pack (&shape, conv->w, memory);
}

static size_t
scratch_f32 (const void *user, const KernelOps *ops, KernelQueue *queue, void *memory)
{
  const ConvF32 *conv = user;
  const KernelConvShape shape = conv_with_tactic (&conv->largest, &conv->args.shape);

  return ops->conv_f32_scratch (&shape, queue);
}

static const char *
tactic_f32 (const void *user, const KernelOps *ops, int tactic)
{
  return ops->conv_f32_tactic (&((const ConvF32 *) user)->args.shape, tactic);
}

static float *
magnitudes (const float *x, size_t count)
{
  float *y = malloc (count * sizeof *y);

  for (size_t i = 0; i < count; i++)
    y[i] = fabsf (x[i]);
  return y;
}

/* cuDNN adds in an order of its own: an output may differ by 1e-5 of what its terms are without their
 * signs. It leaves out what padding is multiplied with, and its ReLU makes 0 of NaN: of outputs with a term
 * that is not finite nothing is said. */
static void
bound_f32 (const void *user, float *bound)
{
  const ConvF32 *conv = user;
  const KernelConvShape *s = &conv->args.shape;
  KernelConvF32 args = {.shape = *s, .y = bound, .lo = -INFINITY, .hi = INFINITY};
  float *x = magnitudes (conv->x, conv_count_inputs (s)), *w = magnitudes (conv->w, conv_count_weights (s));
  float *b = magnitudes (conv->b, s->oc);
  float *r = conv->r ? magnitudes (conv->r, conv_count_outputs (s)) : NULL;

  args.x = x;
  args.w = w;
  args.b = b;
  args.r = r;
  kernel_conv_f32_ref (&args, NULL);
  for (size_t i = 0; i < conv_count_outputs (s); i++)
    bound[i] = isfinite (bound[i]) ? bound[i] * 1e-5f + FLT_MIN : INFINITY;
  free (x);
  free (w);
  free (b);
  free (r);
}

static void
run_f32 (Harness *h, const KernelConvShape *shape, HarnessFloats kind, Residual residual)
{
  ConvF32 conv = {.args.shape = *shape, .largest = *shape};
  KernelConvF32 *a = &conv.args;
  const size_t n_out = conv_count_outputs (shape);
  char text[112];
  HarnessCase *c;
  float *x, *b, *r = NULL;

  conv_describe (text, sizeof text, shape);
  c = harness_case (h, a, "%s, %s%s", text, harness_floats_name (kind),
      conv_residual_name (residual));
  conv.largest.n += harness_range (h, 0, 2);
  a->lo = harness_random (h) & 1 ? -INFINITY : 0.0f;
  a->hi = harness_random (h) & 1 ? INFINITY : 6.0f;
  conv.w = malloc (conv_count_weights (shape) * sizeof *conv.w);
  harness_fill_f32 (h, conv.w, conv_count_weights (shape), kind);

  x = harness_in (c, HARNESS_F32, conv_count_inputs (shape), &a->x);
  harness_fill_f32 (h, x, conv_count_inputs (shape), kind);
  b = harness_in (c, HARNESS_F32, shape->oc, &a->b);
  harness_fill_f32 (h, b, shape->oc, kind);
  if (residual == RESIDUAL_IN_PLACE) {
    r = harness_in_out (c, HARNESS_F32, n_out, &a->y);
    harness_point (c, &a->r, r, 0);
  } else {
    if (residual == RESIDUAL)
      r = harness_in (c, HARNESS_F32, n_out, &a->r);
    harness_out (c, HARNESS_F32, n_out, &a->y);
  }
  if (r)
    harness_fill_f32 (h, r, n_out, kind);
  conv.x = x;
  conv.b = b;
  conv.r = r;
  harness_made_in (c, pack_f32, &conv, &a->w);
  harness_made_scratch (c, scratch_f32, &conv, &a->scratch);
  harness_tactics (c, tactic_f32, &conv, &a->shape.tactic);
  harness_tolerance (c, "cudnn", bound_f32, &conv);
  harness_operations (c, 2.0 * n_out * conv_count_weights (shape) / shape->oc);
  harness_run (c);
  free (conv.w);
}

static void
test_conv_f32 (Harness *h)
{
  KernelConvShape shape;

  for (int i = 0; conv_shape (h, i, &shape); i++)
    run_f32 (h, &shape, i % HARNESS_FLOATS_COUNT,
        harness_range (h, NO_RESIDUAL, RESIDUAL_IN_PLACE));
}

/* --- Bench ---------------------------------------------------------------------------------- */

static void
bench_conv_s8 (Harness *h)
{
  KernelConvShape shape;

  for (int i = 0; conv_shape_bench (i, &shape); i++)
    run_s8 (h, &shape, SPREAD, NO_RESIDUAL, false);
}

static void
bench_conv_s8_f32 (Harness *h)
{
  const KernelConvShape classifier = {1, 1, 1, 2048, 1, 1, 1000, 1, 1, 1, 1, 1, 1, 0, 0, 1};

  run_s8 (h, &classifier, SPREAD, NO_RESIDUAL, true);
}

static void
bench_conv_f32 (Harness *h)
{
  KernelConvShape shape;

  for (int i = 0; conv_shape_bench (i, &shape); i++)
    run_f32 (h, &shape, HARNESS_PLAIN, NO_RESIDUAL);
}

const HarnessTest harness_conv[] = {
    {"conv_s8", test_conv_s8, bench_conv_s8},
    {"conv_s8_f32", test_conv_s8_f32, bench_conv_s8_f32},
    {"conv_f32", test_conv_f32, bench_conv_f32},
    {0},
};
