/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reference.c: the kernels of ref against vectors computed by hand. What compares every back end
 * with ref proves nothing about ref; this and reference-formulas.c do.
 */
#include "kernels/backend.h"
#include "tests/check.h"

#include <math.h>

#define COUNT(array) (sizeof (array) / sizeof *(array))

#define CHECK_ARRAY(got, ...)                                                                      \
  do {                                                                                             \
    static const __typeof__ (*(got)) check_expected[] = {__VA_ARGS__};                             \
    for (size_t check_i = 0; check_i < COUNT (check_expected); check_i++)                          \
      if (!((got)[check_i] == check_expected[check_i]))                                            \
        CHECK_FAIL ("%s[%zu] is %g, not %g", #got, check_i, (double) (got)[check_i],               \
            (double) check_expected[check_i]);                                                     \
  } while (0)

/* --- Convolution ---------------------------------------------------------------------------- */

/*   1  2  3        window   1 -1      Sums with one row and column of padding at the top left,
 *   4  5  6                 2  3      where a pixel counts zero_x = 10:
 *   7  8  9
 *   row 0: 10-10+2*10+3*1 = 23   10-10+2+6 = 8            10-10+4+9 = 13
 *   row 1: 10-1+20+12 = 41       1-2+8+15 = 22            2-3+10+18 = 27
 *   row 2: 10-4+20+21 = 47       4-5+14+24 = 37           5-6+16+27 = 42 */
static void
test_conv_s8 (void)
{
  static const int8_t x[] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, w[] = {1, -1, 2, 3};
  static const int8_t r[] = {0, 1, 2, 3, -1, -2, -3, 100, -100};
  const float m = 0.5f, b = -11.0f;
  int8_t y[9];
  float logits[9];
  KernelConvS8 args = {.shape = {1, 3, 3, 1, 3, 3, 1, 2, 2, 1, 1, 1, 1, 1, 1, 1},
      .x = x,
      .w = w,
      .m = &m,
      .b = &b,
      .y = y,
      .zero_x = 10,
      .lo = -128,
      .hi = 127};

  kernel_conv_s8_ref (&args, NULL); /* 0.5, -7, -4.5, 9.5, 0, 2.5, 12.5, 7.5, 10: halves to even */
  CHECK_ARRAY (y, 0, -7, -4, 10, 0, 2, 12, 8, 10);
  args.lo = -2;
  args.hi = 9;
  kernel_conv_s8_ref (&args, NULL);
  CHECK_ARRAY (y, 0, -2, -2, 9, 0, 2, 9, 8, 9);
  args.lo = -128;
  args.hi = 127;
  args.r = r;
  args.mr = 1.5f; /* 0.5, -5.5, -1.5, 14, -1.5, -0.5, 8, 157.5, -140 */
  kernel_conv_s8_ref (&args, NULL);
  CHECK_ARRAY (y, 0, -6, -2, 14, -2, 0, 8, 127, -128);
  args.y = logits;
  kernel_conv_s8_f32_ref (&args, NULL);
  CHECK_ARRAY (logits, 0.5f, -7.0f, -4.5f, 9.5f, 0.0f, 2.5f, 12.5f, 7.5f, 10.0f);
}

/* A product that must not be rounded before the sum: 3 * (1/3 as float) is 1 + 2^-25, as float 1. */
static void
test_conv_s8_is_fused (void)
{
  const int8_t x = 3, w = 1;
  const float m = 0x1.555556p-2f, b = -1.0f;
  float y;
  KernelConvS8 args = {.shape = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1},
      .x = &x,
      .w = &w,
      .m = &m,
      .b = &b,
      .y = &y};

  kernel_conv_s8_f32_ref (&args, NULL);
  CHECK (y == 0x1p-25f);
}

/* Two groups of one input and two outputs each; dilation 2 along a row of four pixels. */
static void
test_conv_f32 (void)
{
  static const float x[] = {1, 10, 2, 20, 3, 30, 4, 40}, w[] = {1, 2, 3, 4, 5, 6, -7, 8};
  static const float b[] = {0.5f, 0, 0, -1000}, r[] = {1, 2, 3, 4, 5, 6, 7, 8};
  float y[8];
  KernelConvF32 args = {.shape = {1, 1, 4, 2, 1, 2, 4, 1, 2, 1, 1, 1, 2, 0, 0, 2},
      .x = x,
      .w = w,
      .b = b,
      .y = y,
      .lo = -INFINITY,
      .hi = INFINITY};

  /* Pixel 0: 1, 3 and 10, 30; pixel 1: 2, 4 and 20, 40. */
  kernel_conv_f32_ref (&args, NULL);
  CHECK_ARRAY (y, 7.5f, 15, 230, -830, 10.5f, 22, 340, -820);
  args.r = r;
  args.lo = 0.0f;
  args.hi = 100.0f;
  kernel_conv_f32_ref (&args, NULL);
  CHECK_ARRAY (y, 8.5f, 17, 100, 0, 15.5f, 28, 100, 0);
}

/* --- Element-wise --------------------------------------------------------------------------- */

static void
test_binary (void)
{
  static const int8_t x1[] = {-128, -1, 0, 1, 3, 127}, x2[] = {-128, 2, -3};
  static const float f1[] = {1, 2, -3, NAN, 0, 5}, f2[] = {4, 5, -6};
  int8_t y[6];
  float f[6];
  KernelBinaryS8 s8 = {.n = 1,
      .rows = 2,
      .c = 3,
      .x2_broadcast = true,
      .x1 = x1,
      .x2 = x2,
      .y = y,
      .m1 = 0.5f,
      .m2 = 1.0f,
      .b = 100.0f,
      .lo = -128,
      .hi = 127};
  KernelBinaryF32 f32 = {.n = 1,
      .rows = 2,
      .c = 3,
      .x2_broadcast = true,
      .x1 = f1,
      .x2 = f2,
      .y = f,
      .lo = 0,
      .hi = 6};

  kernel_add_s8_ref (&s8, NULL); /* -92, 101.5, 97, -27.5, 103.5, 160.5 */
  CHECK_ARRAY (y, -92, 102, 97, -28, 104, 127);
  s8.zero1 = 1;
  s8.zero2 = -3;
  s8.b = -1.0f;
  kernel_mul_s8_ref (&s8, NULL); /* products 16125, -10, 0, 0, 10, 0; halved, less 1 */
  CHECK_ARRAY (y, 127, -6, -1, -1, 4, -1);
  kernel_add_f32_ref (&f32, NULL);
  CHECK_ARRAY (f, 5, 6, 0);
  CHECK (isnan (f[3]));
  CHECK (f[4] == 5 && f[5] == 0);
  kernel_mul_f32_ref (&f32, NULL);
  CHECK_ARRAY (f, 4, 6, 6);
  CHECK (isnan (f[3]));
  CHECK (f[4] == 0 && f[5] == 0);
}

static void
test_lut_s8 (void)
{
  static const int8_t x[] = {-128, -1, 0, 127};
  int8_t lut[256], y[4];

  for (int i = 0; i < 256; i++)
    lut[i] = (int8_t) (127 - i);
  kernel_lut_s8_ref (&(KernelLutS8){.size = 4, .x = x, .lut = lut, .y = y}, NULL);
  CHECK_ARRAY (y, 127, 0, -1, -128);
}

static void
test_convert (void)
{
  static const float x[] = {0, 0.125f, 0.375f, -0.125f, 1000, -1000, INFINITY, -INFINITY, NAN};
  static const int8_t q[] = {-128, 0, 3, 127};
  int8_t y[9];
  float f[4];

  kernel_quantise_s8_ref (&(KernelConvert){.size = 9, .x = x, .y = y, .m = 4.0f, .zero = 3}, NULL);
  CHECK_ARRAY (y, 3, 4, 4, 2, 127, -128, 127, -128, -128);
  kernel_dequantise_f32_ref (&(KernelConvert){.size = 4, .x = q, .y = f, .m = 0.25f, .zero = 3},
      NULL);
  CHECK_ARRAY (f, -32.75f, -0.75f, 0.0f, 31.0f);
}

static void
test_unary (void)
{
  static const float x[] = {-4, -1.5f, 0, 3, 4.5f};
  float y[5];
  KernelUnaryF32 args = {.alpha = -2, .beta = 4, .size = 5, .x = x, .y = y};

  args.kind = KERNEL_UNARY_CLIP;
  kernel_unary_f32_ref (&args, NULL);
  CHECK_ARRAY (y, -2, -1.5f, 0, 3, 4);
  args.kind = KERNEL_UNARY_LEAKY_RELU;
  args.alpha = 0.25f;
  kernel_unary_f32_ref (&args, NULL);
  CHECK_ARRAY (y, -1, -0.375f, 0, 3, 4.5f);
  args.kind = KERNEL_UNARY_HARD_SIGMOID;
  args.beta = 0.5f;
  kernel_unary_f32_ref (&args, NULL);
  CHECK_ARRAY (y, 0, 0.125f, 0.5f, 1, 1);
  args.kind = KERNEL_UNARY_HARD_SWISH;
  kernel_unary_f32_ref (&args, NULL);
  CHECK_ARRAY (y, 0, -0.375f, 0, 3, 4.5f);
  args.kind = KERNEL_UNARY_SIGMOID;
  kernel_unary_f32_ref (&args, NULL);
  CHECK (y[2] == 0.5f && fabsf (y[3] - 0.95257413f) < 1e-7f);
  args.kind = KERNEL_UNARY_SILU;
  kernel_unary_f32_ref (&args, NULL);
  CHECK (y[2] == 0.0f && fabsf (y[0] + 0.071944840f) < 1e-8f);
}

/* --- Pools ---------------------------------------------------------------------------------- */

/* A row of five pixels, windows of three with stride two and one pixel of padding on each side. */
static void
test_pools (void)
{
  static const int8_t x[] = {1, -2, 3, 6, -5};
  static const float f[] = {1, -2, NAN, 6, -5};
  int8_t y[3];
  float g[3];
  KernelPoolS8 s8 = {.shape = {.n = 1,
                         .ih = 1,
                         .iw = 5,
                         .c = 1,
                         .oh = 1,
                         .ow = 3,
                         .kh = 1,
                         .kw = 3,
                         .stride_h = 1,
                         .stride_w = 2,
                         .dilation_h = 1,
                         .dilation_w = 1,
                         .pad_left = 1,
                         .pad_right = 1},
      .x = x,
      .y = y,
      .ratio = 1.5,
      .zero_x = -1,
      .zero_y = 10};
  KernelPoolF32 f32 = {.shape = s8.shape, .x = f, .y = g};

  kernel_maxpool_s8_ref (&s8, NULL);
  CHECK_ARRAY (y, 1, 6, 6);
  /* Sums -1, 7, 1 of 2, 3, 2 pixels; above zero_x 1, 10, 3; times 1.5 / d: 0.75, 5, 2.25. */
  kernel_avgpool_s8_ref (&s8, NULL);
  CHECK_ARRAY (y, 11, 15, 12);
  s8.shape.include_pad = true; /* all divided by 3: 0.5, 5, 1.5, and 10 */
  kernel_avgpool_s8_ref (&s8, NULL);
  CHECK_ARRAY (y, 10, 15, 12);
  s8.y = g;
  s8.zero_y = 0;
  kernel_avgpool_s8_f32_ref (&s8, NULL);
  CHECK_ARRAY (g, 0.5f, 5, 1.5f);
  kernel_maxpool_f32_ref (&f32, NULL);
  CHECK (g[0] == 1 && isnan (g[1]) && g[2] == 6);
  kernel_avgpool_f32_ref (&f32, NULL);
  CHECK (g[0] == -0.5f && isnan (g[1]) && g[2] == 0.5f);
}

/* --- Moving --------------------------------------------------------------------------------- */

static void
test_move (void)
{
  static const int8_t x[] = {1, 2, 3, 4, 5, 6};
  static const float f[] = {1, 2, 3, 4, 5, 6};
  int8_t y[12] = {0};
  float g[12] = {0};

  kernel_copy_s8_ref (
      &(KernelCopy){.rows = 2, .width = 2, .x_stride = 3, .y_stride = 4, .x = x, .y = y + 1}, NULL);
  CHECK_ARRAY (y, 0, 1, 2, 0, 0, 4, 5, 0, 0, 0, 0, 0);
  kernel_copy_f32_ref (
      &(KernelCopy){.rows = 2, .width = 2, .x_stride = 3, .y_stride = 4, .x = f, .y = g + 1}, NULL);
  CHECK_ARRAY (g, 0, 1, 2, 0, 0, 4, 5, 0, 0, 0, 0, 0);
  kernel_transpose_s8_ref (
      &(KernelTranspose){.rank = 3, .dims = {1, 2, 3}, .perm = {2, 0, 1}, .x = x, .y = y}, NULL);
  CHECK_ARRAY (y, 1, 4, 2, 5, 3, 6);
  kernel_transpose_f32_ref (
      &(KernelTranspose){.rank = 2, .dims = {2, 3}, .perm = {1, 0}, .x = f, .y = g}, NULL);
  CHECK_ARRAY (g, 1, 4, 2, 5, 3, 6);
  kernel_pad_s8_ref (&(KernelPad){.rank = 2,
                         .dims = {2, 3},
                         .before = {1, 0},
                         .after = {0, 1},
                         .x = x,
                         .y = y,
                         .value_s8 = -9},
      NULL);
  CHECK_ARRAY (y, -9, -9, -9, -9, 1, 2, 3, -9, 4, 5, 6, -9);
  kernel_pad_f32_ref (&(KernelPad){.rank = 1,
                          .dims = {6},
                          .before = {2},
                          .after = {1},
                          .x = f,
                          .y = g,
                          .value_f32 = 0.5f},
      NULL);
  CHECK_ARRAY (g, 0.5f, 0.5f, 1, 2, 3, 4, 5, 6, 0.5f);
}

/* --- Softmax -------------------------------------------------------------------------------- */

static void
test_softmax (void)
{
  static const float x[] = {1000, 1000, 1000, 1000, 0, 0, -INFINITY, -INFINITY, 1, NAN, 2, 3};
  float y[12];
  KernelSoftmax args = {.rows = 3, .c = 4, .x = x, .y = y};

  kernel_softmax_f32_ref (&args, NULL);
  CHECK_ARRAY (y, 0.25f, 0.25f, 0.25f, 0.25f, 0.5f, 0.5f, 0, 0);
  CHECK (isnan (y[8]) && isnan (y[9]) && isnan (y[10]) && isnan (y[11]));
  args.log = true;
  kernel_softmax_f32_ref (&args, NULL);
  CHECK (fabsf (y[0] + 1.3862944f) < 2e-7f && y[0] == y[3]);
  CHECK (fabsf (y[4] + 0.69314718f) < 1e-7f && y[6] == -INFINITY);
}

/* --- Functions of the host ------------------------------------------------------------------ */

static void
test_unary_double (void)
{
  CHECK (kernel_unary (KERNEL_UNARY_CLIP, -1, 6, 7) == 6);
  CHECK (kernel_unary (KERNEL_UNARY_CLIP, -1, 6, -7) == -1);
  CHECK (isnan (kernel_unary (KERNEL_UNARY_CLIP, -1, 6, NAN)));
  CHECK (kernel_unary (KERNEL_UNARY_LEAKY_RELU, 0.1, 0, -2) == -0.2);
  CHECK (kernel_unary (KERNEL_UNARY_LEAKY_RELU, 0.1, 0, 2) == 2);
  CHECK (fabs (kernel_unary (KERNEL_UNARY_SIGMOID, 0, 0, 1) - 0.73105857863000488) < 1e-15);
  CHECK (kernel_unary (KERNEL_UNARY_HARD_SIGMOID, 0.25, 0.5, 1) == 0.75);
  CHECK (kernel_unary (KERNEL_UNARY_HARD_SWISH, 0, 0, -1.5) == -0.375);
  CHECK (fabs (kernel_unary (KERNEL_UNARY_SILU, 0, 0, 1) - 0.73105857863000488) < 1e-15);
}

int
main (void)
{
  RUN (test_conv_s8);
  RUN (test_conv_s8_is_fused);
  RUN (test_conv_f32);
  RUN (test_binary);
  RUN (test_lut_s8);
  RUN (test_convert);
  RUN (test_unary);
  RUN (test_pools);
  RUN (test_move);
  RUN (test_softmax);
  RUN (test_unary_double);
  return check_done ();
}
