/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pooling.c: maximum and average pools, int8, half and float.
 */
#include "tests/kernels/harness.h"

#include <math.h>
#include <stdio.h>

#define COUNT(array) ((int) (sizeof (array) / sizeof *(array)))

static const int channels[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128,
    129};

/* clang-format off */
static const KernelPoolShape special[] = {
  /* n ih iw   c oh ow  kh kw  sh sw  dh dw  pt pl pb pr  include_pad */
  {  1, 1, 1,  1, 1, 1,  1, 1,  1, 1,  1, 1,  0, 0, 0, 0, false},
  {  2,24,24, 20,12,12,  2, 2,  2, 2,  1, 1,  0, 0, 0, 0, false}, /* LeNet */
  {  1,56,56, 16,28,28,  3, 3,  2, 2,  1, 1,  1, 1, 1, 1, false}, /* ResNet */
  {  1,13,13, 33,13,13,  3, 3,  1, 1,  1, 1,  1, 1, 1, 1, true},
  {  1,14,14, 24, 7, 7,  3, 3,  2, 2,  1, 1,  0, 0, 1, 1, true},  /* only bottom and right */
  {  1, 7, 7, 40, 4, 4,  2, 2,  2, 2,  1, 1,  0, 0, 1, 1, false}, /* the last windows are cut */
  {  1, 6, 6,  8, 3, 3,  3, 3,  2, 2,  1, 1,  0, 0, 0, 0, true},  /* ceil mode: beyond the pad too */
  {  2, 7, 7, 65, 1, 1,  7, 7,  1, 1,  1, 1,  0, 0, 0, 0, false}, /* global */
  {  1,64,64, 10, 1, 1, 64,64,  1, 1,  1, 1,  0, 0, 0, 0, false},
  {  1,50,50, 67, 1, 1, 50,50,  1, 1,  1, 1,  0, 0, 0, 0, false}, /* shared by rows */
  {  1,13,13,1053,1,1, 13,13,  1, 1,  1, 1,  0, 0, 0, 0, false},
  {  1,41,50, 84, 1, 1, 40,51,  1, 1,  1, 1,  1, 2, 0, 0, true},
  {  3, 1,50, 12, 1, 1,  1,50,  1, 1,  1, 1,  0, 0, 0, 0, false}, /* mean of a sequence */
  {  1, 5, 5, 16, 5, 5,  5, 5,  1, 1,  1, 1,  2, 2, 2, 2, true},
  {  1, 2, 3, 16, 3, 4,  4, 4,  1, 1,  1, 1,  2, 2, 2, 2, true},  /* larger than the input */
};
/* clang-format on */

static size_t
count_inputs (const KernelPoolShape *s)
{
  return (size_t) s->n * s->ih * s->iw * s->c;
}

static size_t
count_outputs (const KernelPoolShape *s)
{
  return (size_t) s->n * s->oh * s->ow * s->c;
}

/* One axis, with a pixel in every window. */
static void
random_axis (Harness *h, bool dilated, int *in, int *out, int *k, int *stride, int *dilation,
    int *pad_first, int *pad_last)
{
  *in = harness_range (h, 1, 14);
  *k = harness_range (h, 1, 5);
  *stride = harness_range (h, 1, 3);
  *dilation = dilated && *in >= 3 ? harness_range (h, 1, 3) : 1; /* taps cannot step over it */
  *pad_first = harness_range (h, 0, *k - 1);
  *pad_last = harness_range (h, 0, *k - 1);
  *out = harness_range (h, 1, (*in - 1 + *pad_first) / *stride + 1);
}

static void
random_shape (Harness *h, bool dilated, KernelPoolShape *s)
{
  s->n = harness_range (h, 1, 3);
  s->c = harness_range (h, 1, 70);
  random_axis (h, dilated, &s->ih, &s->oh, &s->kh, &s->stride_h, &s->dilation_h, &s->pad_top,
      &s->pad_bottom);
  random_axis (h, dilated, &s->iw, &s->ow, &s->kw, &s->stride_w, &s->dilation_w, &s->pad_left,
      &s->pad_right);
  s->include_pad = harness_random (h) & 1;
}

static bool
choose (Harness *h, int i, bool dilated, KernelPoolShape *s)
{
  if (i < COUNT (special)) {
    *s = special[i];
    return true;
  }
  i -= COUNT (special);
  random_shape (h, dilated, s);
  if (i < COUNT (channels))
    s->c = channels[i];
  return i < COUNT (channels) + 150;
}

static void
describe (char *text, size_t size, const KernelPoolShape *s)
{
  snprintf (text, size, "n%d %dx%dx%d -> %dx%d, %dx%d s%d,%d d%d,%d p%d,%d,%d,%d%s", s->n, s->ih,
      s->iw, s->c, s->oh, s->ow, s->kh, s->kw, s->stride_h, s->stride_w, s->dilation_h,
      s->dilation_w, s->pad_top, s->pad_left, s->pad_bottom, s->pad_right,
      s->include_pad ? " with pad" : "");
}

/* --- int8 ----------------------------------------------------------------------------------- */

static void
run_s8 (Harness *h, const KernelPoolShape *shape, HarnessType output, HarnessData kind)
{
  KernelPoolS8 a = {.shape = *shape};
  char text[112];
  HarnessCase *c;

  describe (text, sizeof text, shape);
  c = harness_case (h, &a, "%s, %s", text, harness_data_name (kind));
  harness_fill_s8 (h, harness_in (c, HARNESS_S8, count_inputs (shape), &a.x), count_inputs (shape),
      kind);
  harness_out (c, output, count_outputs (shape), &a.y);
  a.zero_x = harness_range (h, -128, 127);
  a.zero_y = output == HARNESS_F32 ? 0 : harness_range (h, -128, 127);
  /* A ratio of 1 or 1/2 makes ties of every sum of an even window. */
  a.ratio = harness_random (h) % 3 ? harness_uniform (h, 0.3f, 2.0f)
                                   : ldexp (1.0, harness_range (h, -1, 0));
  harness_run (c);
}

static void
test_s8 (Harness *h, HarnessType output, bool dilated)
{
  KernelPoolShape shape;

  for (int i = 0; choose (h, i, dilated, &shape); i++)
    run_s8 (h, &shape, output, i % HARNESS_DATA_COUNT);
}

static void
test_maxpool_s8 (Harness *h)
{
  test_s8 (h, HARNESS_S8, true);
}

static void
test_avgpool_s8 (Harness *h)
{
  test_s8 (h, HARNESS_S8, false);
}

static void
test_avgpool_s8_f32 (Harness *h)
{
  test_s8 (h, HARNESS_F32, false);
}

/* --- Float ---------------------------------------------------------------------------------- */

static void
run_f32 (Harness *h, const KernelPoolShape *shape, HarnessFloats kind)
{
  KernelPoolF32 a = {.shape = *shape};
  char text[112];
  HarnessCase *c;

  describe (text, sizeof text, shape);
  c = harness_case (h, &a, "%s, %s", text, harness_floats_name (kind));
  harness_fill_f32 (h, harness_in (c, HARNESS_F32, count_inputs (shape), &a.x),
      count_inputs (shape), kind);
  harness_out (c, HARNESS_F32, count_outputs (shape), &a.y);
  harness_run (c);
}

static void
test_f32 (Harness *h, bool dilated)
{
  KernelPoolShape shape;

  for (int i = 0; choose (h, i, dilated, &shape); i++)
    run_f32 (h, &shape, i % HARNESS_FLOATS_COUNT);
}

static void
run_f16 (Harness *h, const KernelPoolShape *shape, HarnessFloats kind)
{
  KernelPoolF16 a = {.shape = *shape};
  char text[112];
  HarnessCase *c;

  describe (text, sizeof text, shape);
  c = harness_case (h, &a, "%s, %s", text, harness_floats_name (kind));
  harness_fill_f16 (h, harness_in (c, HARNESS_F16, count_inputs (shape), &a.x),
      count_inputs (shape), kind);
  harness_out (c, HARNESS_F16, count_outputs (shape), &a.y);
  harness_run (c);
}

static void
test_maxpool_f16 (Harness *h)
{
  KernelPoolShape shape;

  for (int i = 0; choose (h, i, true, &shape); i++)
    run_f16 (h, &shape, i % HARNESS_FLOATS_COUNT);
}

/* Plain ones only: devices may add in another order. */
static void
test_avgpool_f16 (Harness *h)
{
  KernelPoolShape shape;

  for (int i = 0; choose (h, i, false, &shape); i++)
    run_f16 (h, &shape, HARNESS_PLAIN);
}

static void
test_maxpool_f32 (Harness *h)
{
  test_f32 (h, true);
}

static void
test_avgpool_f32 (Harness *h)
{
  test_f32 (h, false);
}

/* --- Bench ---------------------------------------------------------------------------------- */

/* clang-format off */
static const KernelPoolShape bench_window = {
  1, 112, 112, 64, 56, 56, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, false};
static const KernelPoolShape bench_global = {
  1, 7, 7, 2048, 1, 1, 7, 7, 1, 1, 1, 1, 0, 0, 0, 0, false};
/* clang-format on */

static void
bench_maxpool_s8 (Harness *h)
{
  run_s8 (h, &bench_window, HARNESS_S8, HARNESS_RANDOM);
}

static void
bench_avgpool_s8 (Harness *h)
{
  run_s8 (h, &bench_window, HARNESS_S8, HARNESS_RANDOM);
  run_s8 (h, &bench_global, HARNESS_S8, HARNESS_RANDOM);
}

static void
bench_avgpool_s8_f32 (Harness *h)
{
  run_s8 (h, &bench_global, HARNESS_F32, HARNESS_RANDOM);
}

static void
bench_f32 (Harness *h)
{
  run_f32 (h, &bench_window, HARNESS_PLAIN);
  run_f32 (h, &bench_global, HARNESS_PLAIN);
}

static void
bench_f16 (Harness *h)
{
  run_f16 (h, &bench_window, HARNESS_PLAIN);
  run_f16 (h, &bench_global, HARNESS_PLAIN);
}

const HarnessTest harness_pool[] = {
    {"maxpool_s8", test_maxpool_s8, bench_maxpool_s8},
    {"maxpool_f16", test_maxpool_f16, bench_f16},
    {"maxpool_f32", test_maxpool_f32, bench_f32},
    {"avgpool_s8", test_avgpool_s8, bench_avgpool_s8},
    {"avgpool_s8_f32", test_avgpool_s8_f32, bench_avgpool_s8_f32},
    {"avgpool_f16", test_avgpool_f16, bench_f16},
    {"avgpool_f32", test_avgpool_f32, bench_f32},
    {0},
};
