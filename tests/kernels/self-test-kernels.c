/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * self-test-kernels.c: kernels with the errors that one makes: a product rounded before its sum,
 * another rounding, a write past the end, a NaN lost.
 */
#include "kernels/backend.h"
#include "kernels/float-math.h"
#include "kernels/requant.h"
#include "tests/kernels/harness-private.h"

#include <stdlib.h>
#include <string.h>

static size_t
conv_outputs (const KernelConvShape *s)
{
  return (size_t) s->n * s->oh * s->ow * s->oc;
}

static void
conv_s8_flips (const KernelConvS8 *a, KernelQueue *queue)
{
  kernel_conv_s8_ref (a, queue);
  ((int8_t *) a->y)[conv_outputs (&a->shape) - 1] ^= 1;
}

static void
conv_s8_past_end (const KernelConvS8 *a, KernelQueue *queue)
{
  kernel_conv_s8_ref (a, queue);
  ((int8_t *) a->y)[conv_outputs (&a->shape)] = 0;
}

static void
conv_s8_past_input (const KernelConvS8 *a, KernelQueue *queue)
{
  const KernelConvShape *s = &a->shape;
  static volatile int8_t sink;

  kernel_conv_s8_ref (a, queue);
  sink = a->x[(size_t) s->n * s->ih * s->iw * s->ic];
  (void) sink;
}

static void
conv_s8_into_input (const KernelConvS8 *a, KernelQueue *queue)
{
  kernel_conv_s8_ref (a, queue);
  ((int8_t *) a->x)[0] ^= 1;
}

/* The reference's sum, by way of its float output. */
static void
conv_s8_rounds (const KernelConvS8 *a, bool fused, bool fused_residual, bool half_to_even)
{
  const size_t size = conv_outputs (&a->shape);
  float *t = malloc (size * sizeof *t), *one = malloc (a->shape.oc * sizeof *one);
  float *zero = calloc (a->shape.oc, sizeof *zero);
  KernelConvS8 sums = *a;

  for (int k = 0; k < a->shape.oc; k++)
    one[k] = 1.0f;
  sums.m = one;
  sums.b = zero;
  sums.y = t;
  kernel_conv_s8_f32_ref (&sums, NULL);
  for (size_t i = 0; i < size; i++) {
    const float m = a->m[i % a->shape.oc], b = a->b[i % a->shape.oc];

    t[i] = fused ? fmaf (t[i], m, b) : t[i] * m + b;
    if (a->r)
      t[i] = fused_residual ? fmaf (a->r[i], a->mr, t[i]) : a->r[i] * a->mr + t[i];
    t[i] = half_to_even ? rintf (t[i]) : roundf (t[i]);
    ((int8_t *) a->y)[i] = kernel_round_s8 (t[i], a->lo, a->hi);
  }
  free (t);
  free (one);
  free (zero);
}

static void
conv_s8_unfused (const KernelConvS8 *a, KernelQueue *queue)
{
  conv_s8_rounds (a, false, true, true);
}

static void
conv_s8_residual_unfused (const KernelConvS8 *a, KernelQueue *queue)
{
  conv_s8_rounds (a, true, false, true);
}

static void
conv_s8_half_away (const KernelConvS8 *a, KernelQueue *queue)
{
  conv_s8_rounds (a, true, true, false);
}

static void
conv_s8_pads_with_0 (const KernelConvS8 *a, KernelQueue *queue)
{
  KernelConvS8 copy = *a;

  copy.zero_x = 0;
  kernel_conv_s8_ref (&copy, queue);
}

static size_t
scratch_of_16 (const KernelConvShape *shape, KernelQueue *queue)
{
  return 16;
}

static void
conv_s8_past_scratch (const KernelConvS8 *a, KernelQueue *queue)
{
  memset (a->scratch, 0, 17);
  kernel_conv_s8_ref (a, queue);
}

static void
conv_s8_depends_on_threads (const KernelConvS8 *a, KernelQueue *queue)
{
  kernel_conv_s8_ref (a, queue);
  if (queue == (KernelQueue *) 3)
    ((int8_t *) a->y)[0] ^= 1;
}

static const char *
two_tactics (const KernelConvShape *shape, int tactic)
{
  return tactic <= 2 ? "a way" : NULL;
}

static void
conv_s8_second_tactic_flips (const KernelConvS8 *a, KernelQueue *queue)
{
  kernel_conv_s8_ref (a, queue);
  if (a->shape.tactic == 2)
    ((int8_t *) a->y)[0] ^= 1;
}

static void
conv_f32_adds_bias_last (const KernelConvF32 *a, KernelQueue *queue)
{
  const size_t size = conv_outputs (&a->shape);
  float *zero = calloc (a->shape.oc, sizeof *zero);
  KernelConvF32 copy = *a;

  copy.b = zero;
  kernel_conv_f32_ref (&copy, queue);
  for (size_t i = 0; i < size; i++)
    a->y[i] += a->b[i % a->shape.oc];
  free (zero);
}

static void
add_s8_unfused (const KernelBinaryS8 *a, KernelQueue *queue)
{
  for (size_t i = 0; i < (size_t) a->n * a->rows * a->c; i++) {
    const size_t j = a->x2_broadcast ? i / a->c / a->rows * a->c + i % a->c : i;
    const float t = a->x1[i] * a->m1 + (a->x2[j] * a->m2 + a->b);

    a->y[i] = kernel_round_s8 (t, a->lo, a->hi);
  }
}

static void
mul_s8_unfused (const KernelBinaryS8 *a, KernelQueue *queue)
{
  for (size_t i = 0; i < (size_t) a->n * a->rows * a->c; i++) {
    const size_t j = a->x2_broadcast ? i / a->c / a->rows * a->c + i % a->c : i;
    const float t = (a->x1[i] - a->zero1) * (a->x2[j] - a->zero2) * a->m1 + a->b;

    a->y[i] = kernel_round_s8 (t, a->lo, a->hi);
  }
}

static void
lut_s8_forgets_127 (const KernelLutS8 *a, KernelQueue *queue)
{
  for (size_t i = 0; i < a->size; i++)
    a->y[i] = a->lut[a->x[i] == 127 ? 254 : a->x[i] + 128];
}

static void
quantise_s8_unfused (const KernelConvert *a, KernelQueue *queue)
{
  for (size_t i = 0; i < a->size; i++)
    ((int8_t *) a->y)[i] = kernel_round_s8 (((const float *) a->x)[i] * a->m + a->zero, -128, 127);
}

static void
unary_f32_loses_nan (const KernelUnaryF32 *a, KernelQueue *queue)
{
  kernel_unary_f32_ref (a, queue);
  for (size_t i = 0; i < a->size; i++)
    a->y[i] = isnan (a->y[i]) ? 0.0f : a->y[i];
}

static void
maxpool_f32_loses_nan (const KernelPoolF32 *a, KernelQueue *queue)
{
  const KernelPoolShape *s = &a->shape;

  kernel_maxpool_f32_ref (a, queue);
  for (size_t i = 0; i < (size_t) s->n * s->oh * s->ow * s->c; i++)
    a->y[i] = isnan (a->y[i]) ? -INFINITY : a->y[i];
}

static void
avgpool_s8_counts_pad (const KernelPoolS8 *a, KernelQueue *queue)
{
  KernelPoolS8 copy = *a;

  copy.shape.include_pad = true;
  kernel_avgpool_s8_ref (&copy, queue);
}

static void
copy_s8_fills_gap (const KernelCopy *a, KernelQueue *queue)
{
  kernel_copy_s8_ref (a, queue);
  if (a->rows > 1 && a->y_stride > a->width)
    ((int8_t *) a->y)[a->width] ^= 1;
}

static void
transpose_f32_inverts (const KernelTranspose *a, KernelQueue *queue)
{
  KernelTranspose copy = *a;

  for (int i = 0; i < a->rank; i++)
    copy.perm[a->perm[i]] = i;
  kernel_transpose_f32_ref (&copy, queue);
}

static void
pad_s8_with_0 (const KernelPad *a, KernelQueue *queue)
{
  KernelPad copy = *a;

  copy.value_s8 = 0;
  kernel_pad_s8_ref (&copy, queue);
}

static void
softmax_f32_multiplies (const KernelSoftmax *a, KernelQueue *queue)
{
  if (a->log) {
    kernel_softmax_f32_ref (a, queue);
    return;
  }
  for (size_t row = 0; row < a->rows; row++) {
    const float *x = a->x + row * a->c;
    float *y = a->y + row * a->c, max = x[0], sum = 0.0f;

    for (int i = 1; i < a->c; i++)
      max = x[i] > max ? x[i] : max;
    for (int i = 0; i < a->c; i++) {
      y[i] = kernel_expf (x[i] - max);
      sum += y[i];
    }
    for (int i = 0; i < a->c; i++)
      y[i] *= 1.0f / sum;
  }
}

#define PLANTED(X)                                                                                 \
  X (conv_s8, flips)                                                                               \
  X (conv_s8, past_end)                                                                            \
  X (conv_s8, past_scratch)                                                                        \
  X (conv_s8, into_input)                                                                          \
  X (conv_s8, unfused)                                                                             \
  X (conv_s8, residual_unfused)                                                                    \
  X (conv_s8, half_away)                                                                           \
  X (conv_s8, pads_with_0)                                                                         \
  X (conv_s8, depends_on_threads)                                                                  \
  X (conv_s8, second_tactic_flips)                                                                 \
  X (conv_f32, adds_bias_last)                                                                     \
  X (add_s8, unfused)                                                                              \
  X (mul_s8, unfused)                                                                              \
  X (lut_s8, forgets_127)                                                                          \
  X (unary_f32, loses_nan)                                                                         \
  X (quantise_s8, unfused)                                                                         \
  X (maxpool_f32, loses_nan)                                                                       \
  X (avgpool_s8, counts_pad)                                                                       \
  X (copy_s8, fills_gap)                                                                           \
  X (transpose_f32, inverts)                                                                       \
  X (pad_s8, with_0)                                                                               \
  X (softmax_f32, multiplies)

/* These touch the page beside a buffer. */
#define PLANTED_CRASHES(X)                                                                         \
  X (conv_s8, past_end)                                                                            \
  X (conv_s8, past_input)

#define PLANT(slot, function)                                                                      \
  static void plant_##slot##_##function (KernelOps *ops)                                           \
  {                                                                                                \
    ops->conv_s8_scratch = scratch_of_16;                                                          \
    ops->conv_s8_tactic = two_tactics;                                                             \
    ops->slot = slot##_##function;                                                                 \
  }
PLANTED (PLANT)
PLANT (conv_s8, past_input)

#define ENTRY(slot, function) {#slot, #slot "_" #function, plant_##slot##_##function},
const HarnessPlanted harness_planted[] = {PLANTED (ENTRY){0}};
const HarnessPlanted harness_planted_crashes[] = {PLANTED_CRASHES (ENTRY){0}};
