/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reference-formulas.c: the other kernels of ref against the same mathematics written another way,
 * on random shapes: windows by asking each pixel whether it is inside, functions in double.
 */
#include "kernels/backend.h"
#include "tests/check.h"
#include "tests/kernels/formulas.h"

/* --- Element-wise --------------------------------------------------------------------------- */

static void
test_binary_s8 (void)
{
  int8_t x1[60], x2[60], y[60];

  for (int round = 0; round < ROUNDS; round++) {
    KernelBinaryS8 args = {.n = 3,
        .rows = 4,
        .c = 5,
        .x2_broadcast = range (0, 1),
        .x1 = x1,
        .x2 = x2,
        .y = y,
        .m1 = real (),
        .m2 = real (),
        .b = real () * 50,
        .zero1 = range (-128, 127),
        .zero2 = range (-128, 127),
        .lo = range (-128, 0),
        .hi = range (0, 127)};

    for (int i = 0; i < 60; i++) {
      x1[i] = range (-128, 127);
      x2[i] = range (-128, 127);
    }
    kernel_add_s8_ref (&args, NULL);
    for (int n = 0, i = 0; n < 3; n++)
      for (int row = 0; row < 4; row++)
        for (int c = 0; c < 5; c++, i++) {
          const int8_t other = args.x2_broadcast ? x2[n * 5 + c] : x2[i];

          CHECK_INT (y[i], ==,
              rounded (fused (x1[i], args.m1, fused (other, args.m2, args.b)), args.lo, args.hi));
        }
    args.m1 /= 100;
    kernel_mul_s8_ref (&args, NULL);
    for (int n = 0, i = 0; n < 3; n++)
      for (int row = 0; row < 4; row++)
        for (int c = 0; c < 5; c++, i++) {
          const int8_t other = args.x2_broadcast ? x2[n * 5 + c] : x2[i];
          const float product = (float) (x1[i] - args.zero1) * (float) (other - args.zero2);

          CHECK_INT (y[i], ==, rounded (fused (product, args.m1, args.b), args.lo, args.hi));
        }
  }
}

static void
test_quantise (void)
{
  for (int round = 0; round < 20 * ROUNDS; round++) {
    const float x = range (0, 1) ? real () * 100 : range (-400, 400) / 8.0f;
    int8_t y;
    KernelConvert args = {.size = 1,
        .x = &x,
        .y = &y,
        .m = range (0, 1) ? fabsf (real ()) : ldexpf (1, range (-3, 3)),
        .zero = range (-128, 127)};

    kernel_quantise_s8_ref (&args, NULL);
    CHECK_INT (y, ==, rounded (fused (x, args.m, args.zero), -128, 127));
  }
}

/* Whether a function adds terms that cancel, so that its error is one of the terms. */
static bool
cancels (KernelUnary kind)
{
  switch (kind) {
  case KERNEL_UNARY_HARD_SIGMOID:
  case KERNEL_UNARY_HARD_SWISH:
  case KERNEL_UNARY_GELU:
  case KERNEL_UNARY_GELU_TANH:
  case KERNEL_UNARY_ELU:
  case KERNEL_UNARY_SELU:
  case KERNEL_UNARY_SOFTPLUS:
    return true;
  default:
    return false;
  }
}

/* The float functions against those in double: a few roundings, and exp within 1 ulp. */
static void
test_unary (void)
{
  for (int kind = 0; kind < KERNEL_UNARY_COUNT; kind++) {
    for (int i = -3000; i <= 3000; i++) {
      const float x = i * 0.01f;
      const double exact = kernel_unary (kind, 0.25, 0.5, x);
      float y;
      KernelUnaryF32 args =
          {.kind = kind, .alpha = 0.25f, .beta = 0.5f, .size = 1, .x = &x, .y = &y};

      kernel_unary_f32_ref (&args, NULL);
      if (isnan (exact) ? isnan (y) : y == exact)
        continue;
      if (!(fabs (y - exact) <= 0x1p-22 * (cancels (kind) ? 1 + fabs (x) : fabs (exact)))) {
        CHECK_FAIL ("kind %d of %g is %.9g, not %.17g", kind, x, y, exact);
        break;
      }
    }
  }
}

/* --- Pools ---------------------------------------------------------------------------------- */

typedef struct {
  double sum, max;
  int v, d;
} Window;

/* Walks over the padded input and asks of each position whether the window has a tap there. */
static Window
look (const KernelPoolShape *s, const double *x, int n, int oh, int ow, int c)
{
  Window w = {.max = -INFINITY};

  for (int row = -s->pad_top; row < s->ih + s->pad_bottom; row++) {
    for (int column = -s->pad_left; column < s->iw + s->pad_right; column++) {
      const int down = row - (oh * s->stride_h - s->pad_top);
      const int right = column - (ow * s->stride_w - s->pad_left);

      if (down < 0 || down % s->dilation_h || down / s->dilation_h >= s->kh || right < 0 ||
          right % s->dilation_w || right / s->dilation_w >= s->kw)
        continue;
      w.d += s->include_pad;
      if (row < 0 || row >= s->ih || column < 0 || column >= s->iw)
        continue;
      const double value = x[((n * s->ih + row) * s->iw + column) * s->c + c];

      w.v++;
      w.d += !s->include_pad;
      w.sum += value;
      w.max = value > w.max ? value : w.max;
    }
  }
  return w;
}

static KernelPoolShape
random_pool (bool average)
{
  KernelPoolShape s;

  do {
    s = (KernelPoolShape){.n = range (1, 2),
        .ih = range (1, 7),
        .iw = range (1, 7),
        .c = range (1, 5),
        .oh = range (1, 5),
        .ow = range (1, 5),
        .kh = range (1, 4),
        .kw = range (1, 4),
        .stride_h = range (1, 3),
        .stride_w = range (1, 3),
        .dilation_h = average ? 1 : range (1, 2),
        .dilation_w = average ? 1 : range (1, 2),
        .pad_top = range (0, 3),
        .pad_left = range (0, 3),
        .pad_bottom = range (0, 3),
        .pad_right = range (0, 3),
        .include_pad = range (0, 1)};
  } while (!axis_touches (s.ih, s.oh, s.kh, s.stride_h, s.dilation_h, s.pad_top) ||
           !axis_touches (s.iw, s.ow, s.kw, s.stride_w, s.dilation_w, s.pad_left));
  return s;
}

#define MAX_POOL (2 * 7 * 7 * 5)

/* Output i of a pool in NHWC order. */
static Window
look_at (const KernelPoolShape *s, const double *x, int i)
{
  return look (s, x, i / s->c / s->ow / s->oh, i / s->c / s->ow % s->oh, i / s->c % s->ow,
      i % s->c);
}

static void
check_pools_s8 (const int8_t *x, const double *dx)
{
  int8_t y[MAX_POOL];
  float f[MAX_POOL];
  KernelPoolS8 args = {.shape = random_pool (false), .x = x, .y = y};
  const KernelPoolShape *s = &args.shape;

  kernel_maxpool_s8_ref (&args, NULL);
  for (int i = 0; i < s->n * s->oh * s->ow * s->c; i++)
    CHECK_INT (y[i], ==, look_at (s, dx, i).max);
  args.shape = random_pool (true);
  args.ratio = range (1, 400) / 128.0;
  args.zero_x = range (-128, 127);
  args.zero_y = range (-128, 127);
  kernel_avgpool_s8_ref (&args, NULL);
  for (int i = 0; i < s->n * s->oh * s->ow * s->c; i++) {
    const Window w = look_at (s, dx, i);
    const double exact = (w.sum - w.v * args.zero_x) * args.ratio / w.d + args.zero_y;
    const double bound = exact < -128 ? -128 : exact > 127 ? 127 : exact;

    CHECK (fabs (y[i] - bound) <= 0.5 + 1e-4); /* one rounding of float, then to an integer */
  }
  args.zero_y = 0;
  args.y = f;
  kernel_avgpool_s8_f32_ref (&args, NULL);
  for (int i = 0; i < s->n * s->oh * s->ow * s->c; i++) {
    const Window w = look_at (s, dx, i);

    CHECK (fabs (f[i] - (w.sum - w.v * args.zero_x) * args.ratio / w.d) <= 3e-4);
  }
}

static void
test_pools_s8 (void)
{
  int8_t x[MAX_POOL];
  double dx[MAX_POOL];

  for (int round = 0; round < ROUNDS; round++) {
    for (int i = 0; i < MAX_POOL; i++)
      dx[i] = x[i] = range (-128, 127);
    check_pools_s8 (x, dx);
  }
}

static void
test_pools_f32 (void)
{
  float x[MAX_POOL], y[MAX_POOL];
  double dx[MAX_POOL];

  for (int round = 0; round < ROUNDS; round++) {
    KernelPoolF32 args = {.shape = random_pool (false), .x = x, .y = y};
    const KernelPoolShape *s = &args.shape;

    for (int i = 0; i < MAX_POOL; i++)
      dx[i] = x[i] = real ();
    kernel_maxpool_f32_ref (&args, NULL);
    for (int i = 0; i < s->n * s->oh * s->ow * s->c; i++)
      CHECK (y[i] == look_at (s, dx, i).max);
    args.shape = random_pool (true);
    kernel_avgpool_f32_ref (&args, NULL);
    for (int i = 0; i < s->n * s->oh * s->ow * s->c; i++)
      CHECK (fabs (y[i] - look_at (s, dx, i).sum / look_at (s, dx, i).d) <= 1e-5);
  }
}

/* --- Moving, softmax ------------------------------------------------------------------------ */

/* Every element of x, by its indices: where it must be in y. */
static void
test_move (void)
{
  enum { A = 2, B = 3, C = 4, D = 5 };
  int8_t x[A * B * C * D], y[(A + 1) * (B + 3) * (C + 5) * (D + 7)];
  KernelTranspose transpose = {.rank = 4,
      .dims = {A, B, C, D},
      .perm = {2, 0, 3, 1},
      .x = x,
      .y = y};
  KernelPad pad = {.rank = 4,
      .dims = {A, B, C, D},
      .before = {1, 2, 2, 3},
      .after = {0, 1, 3, 4},
      .x = x,
      .y = y,
      .value_s8 = -128};
  int inside = 0;

  for (int i = 0; i < A * B * C * D; i++)
    x[i] = i; /* 0 .. 119, all different */
  kernel_transpose_s8_ref (&transpose, NULL);
  for (int a = 0, i = 0; a < A; a++)
    for (int b = 0; b < B; b++)
      for (int c = 0; c < C; c++)
        for (int d = 0; d < D; d++, i++)
          CHECK_INT (y[((c * A + a) * D + d) * B + b], ==, i);
  kernel_pad_s8_ref (&pad, NULL);
  for (int a = 0, i = 0; a < A; a++)
    for (int b = 0; b < B; b++)
      for (int c = 0; c < C; c++)
        for (int d = 0; d < D; d++, i++)
          CHECK_INT (y[(((a + 1) * (B + 3) + b + 2) * (C + 5) + c + 2) * (D + 7) + d + 3], ==, i);
  for (size_t i = 0; i < sizeof y; i++)
    inside += y[i] != -128;
  CHECK_INT (inside, ==, A * B * C * D);
}

/* Against the formula in double. */
static void
test_lrn (void)
{
  for (int round = 0; round < ROUNDS; round++) {
    float x[12], y[12];
    KernelLrn args = {.rows = 2, .c = 6, .before = range (0, 3), .after = range (0, 7),
        .alpha = fabsf (real ()), .beta = range (0, 1) ? 0.75f : 0.6f, .bias = 0.5f, .x = x, .y = y};

    for (int i = 0; i < 12; i++)
      x[i] = 10 * real ();
    kernel_lrn_f32_ref (&args, NULL);
    for (int i = 0; i < 12; i++) {
      double sum = 0;

      for (int k = 0; k < 12; k++)
        if (k / 6 == i / 6 && k >= i - args.before && k <= i + args.after)
          sum += (double) x[k] * x[k];
      const double exact = x[i] / pow (args.bias + args.alpha * sum, args.beta);

      CHECK (fabs (y[i] - exact) <= 0x1p-20 * fabs (exact));
    }
  }
}

static void
test_softmax (void)
{
  float x[50], y[50];

  for (int round = 0; round < ROUNDS; round++) {
    KernelSoftmax args = {.rows = 1, .c = range (1, 50), .log = range (0, 1), .x = x, .y = y};
    double sum = 0;

    for (int i = 0; i < args.c; i++) {
      x[i] = real () * 10;
      sum += exp (x[i]);
    }
    kernel_softmax_f32_ref (&args, NULL);
    for (int i = 0; i < args.c; i++) {
      const double exact = args.log ? x[i] - log (sum) : exp (x[i]) / sum;

      CHECK (fabs (y[i] - exact) <= (args.log ? 1e-5 : 1e-5 * exact));
    }
  }
}

int
main (void)
{
  RUN (test_binary_s8);
  RUN (test_quantise);
  RUN (test_unary);
  RUN (test_pools_s8);
  RUN (test_pools_f32);
  RUN (test_move);
  RUN (test_softmax);
  RUN (test_lrn);
  return check_done ();
}
