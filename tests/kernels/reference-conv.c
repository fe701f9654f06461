/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reference-conv.c: the convolutions of ref against one that scatters from the input instead of
 * gathering at the output, with sums in double and without fmaf, on random shapes.
 */
#include "kernels/backend.h"
#include "tests/check.h"
#include "tests/kernels/formulas.h"

static KernelConvShape
random_conv (void)
{
  KernelConvShape s;

  do {
    s = (KernelConvShape){.n = range (1, 2),
        .ih = range (1, 7),
        .iw = range (1, 7),
        .oh = range (1, 5),
        .ow = range (1, 5),
        .kh = range (1, 4),
        .kw = range (1, 4),
        .stride_h = range (1, 3),
        .stride_w = range (1, 3),
        .dilation_h = range (1, 2),
        .dilation_w = range (1, 2),
        .pad_top = range (0, 3),
        .pad_left = range (0, 3),
        .groups = range (1, 3)};
  } while (!axis_touches (s.ih, s.oh, s.kh, s.stride_h, s.dilation_h, s.pad_top) ||
           !axis_touches (s.iw, s.ow, s.kw, s.stride_w, s.dilation_w, s.pad_left));
  s.ic = s.groups * range (1, 4);
  s.oc = s.groups * range (1, 4);
  return s;
}

/* Where the input at i meets tap k: the output it goes to, or -1. */
static int
output_of (int i, int k, int stride, int dilation, int pad, int out)
{
  const int o = i + pad - k * dilation;

  return o >= 0 && o % stride == 0 && o / stride < out ? o / stride : -1;
}

/* sum += (x - zero) * w at every output that pixel (n, ih, iw) reaches. */
static void
scatter (const KernelConvShape *s, int n, int ih, int iw, const double *x, double zero,
    const double *w, double *sum)
{
  const int ic_of_group = s->ic / s->groups, oc_of_group = s->oc / s->groups;

  for (int kh = 0; kh < s->kh; kh++) {
    for (int kw = 0; kw < s->kw; kw++) {
      const int oh = output_of (ih, kh, s->stride_h, s->dilation_h, s->pad_top, s->oh);
      const int ow = output_of (iw, kw, s->stride_w, s->dilation_w, s->pad_left, s->ow);

      if (oh < 0 || ow < 0)
        continue;
      for (int oc = 0; oc < s->oc; oc++)
        for (int c = 0; c < ic_of_group; c++)
          sum[((n * s->oh + oh) * s->ow + ow) * s->oc + oc] +=
              (x[((n * s->ih + ih) * s->iw + iw) * s->ic + oc / oc_of_group * ic_of_group + c] -
                  zero) *
              w[((oc * s->kh + kh) * s->kw + kw) * ic_of_group + c];
    }
  }
}

/* The sums of a convolution; integers below 2^53 are exact in double. */
static void
convolve (const KernelConvShape *s, const double *x, double zero, const double *w, double *sum)
{
  const int window = s->kh * s->kw * (s->ic / s->groups);

  for (int i = 0; i < s->n * s->oh * s->ow * s->oc; i++) {
    sum[i] = 0;
    for (int j = 0; j < window; j++)
      sum[i] += zero * w[i % s->oc * window + j];
  }
  for (int n = 0; n < s->n; n++)
    for (int ih = 0; ih < s->ih; ih++)
      for (int iw = 0; iw < s->iw; iw++)
        scatter (s, n, ih, iw, x, zero, w, sum);
}

#define MAX_X (2 * 7 * 7 * 12)
#define MAX_Y (2 * 5 * 5 * 12)
#define MAX_W (12 * 4 * 4 * 4)

static void
test_conv_s8 (void)
{
  static int8_t x[MAX_X], w[MAX_W], r[MAX_Y], y[MAX_Y];
  static double dx[MAX_X], dw[MAX_W], sum[MAX_Y];
  float m[12], b[12];

  for (int round = 0; round < ROUNDS; round++) {
    KernelConvS8 args = {.shape = random_conv (),
        .x = x,
        .w = w,
        .m = m,
        .b = b,
        .r = range (0, 1) ? r : NULL,
        .mr = real (),
        .y = y,
        .zero_x = range (-128, 127),
        .lo = range (-128, 0),
        .hi = range (0, 127)};
    const KernelConvShape *s = &args.shape;

    for (int i = 0; i < MAX_X; i++)
      dx[i] = x[i] = range (-128, 127);
    for (int i = 0; i < MAX_W; i++)
      dw[i] = w[i] = range (-127, 127);
    for (int i = 0; i < MAX_Y; i++)
      r[i] = range (-128, 127);
    for (int i = 0; i < s->oc; i++) {
      m[i] = range (0, 3) ? real () / 512 : 0x1p-9f;
      b[i] = range (0, 3) ? real () * 50 : range (-50, 50);
    }
    convolve (s, dx, args.zero_x, dw, sum);
    kernel_conv_s8_ref (&args, NULL);
    for (int i = 0; i < s->n * s->oh * s->ow * s->oc; i++) {
      float t = fused ((float) sum[i], m[i % s->oc], b[i % s->oc]);

      t = args.r ? fused (r[i], args.mr, t) : t;
      if (y[i] != rounded (t, args.lo, args.hi)) {
        CHECK_FAIL ("round %d, output %d: %d, not %d", round, i, y[i],
            rounded (t, args.lo, args.hi));
        return;
      }
    }
  }
}

/* At most `window` roundings: each is at most 2^-24 of a partial sum, and those are bounded by the sum of
 * magnitudes. */
static void
test_conv_f32 (void)
{
  static float x[MAX_X], w[MAX_W], y[MAX_Y];
  static double dx[MAX_X], dw[MAX_W], sum[MAX_Y], magnitude[MAX_Y];
  float b[12];

  for (int round = 0; round < ROUNDS; round++) {
    KernelConvF32 args =
        {.shape = random_conv (), .x = x, .w = w, .b = b, .y = y, .lo = -INFINITY, .hi = INFINITY};
    const KernelConvShape *s = &args.shape;
    const int window = s->kh * s->kw * (s->ic / s->groups);

    for (int i = 0; i < MAX_X; i++)
      dx[i] = x[i] = real ();
    for (int i = 0; i < MAX_W; i++)
      dw[i] = w[i] = real ();
    for (int i = 0; i < s->oc; i++)
      b[i] = real ();
    convolve (s, dx, 0, dw, sum);
    kernel_conv_f32_ref (&args, NULL);
    for (int i = 0; i < MAX_X; i++)
      dx[i] = fabs (dx[i]);
    for (int i = 0; i < MAX_W; i++)
      dw[i] = fabs (dw[i]);
    convolve (s, dx, 0, dw, magnitude);
    for (int i = 0; i < s->n * s->oh * s->ow * s->oc; i++) {
      const double exact = sum[i] + b[i % s->oc];
      const double bound = (window + 1) * 0x1p-24 * (magnitude[i] + fabsf (b[i % s->oc]));

      if (!(fabs (y[i] - exact) <= bound)) {
        CHECK_FAIL ("round %d, output %d: %g, not %g", round, i, y[i], exact);
        return;
      }
    }
  }
}

/* Every product is half the distance of 1 to the next float: added to 1 it is lost, but not the sum of a
 * chain that begins at 0. */
static void
test_conv_f32_chains (void)
{
  enum { TERMS = 3 * KERNEL_CHAIN + 8 };
  static float x[TERMS], w[TERMS];
  const float b = 1;
  float y;
  KernelConvF32 args = {{1, 1, 1, TERMS, 1, 1, 1, 1, 1, 1, 1, 1, 1, .groups = 1}, .x = x, .w = w,
      .b = &b, .y = &y, .lo = -INFINITY, .hi = INFINITY};

  for (int i = 0; i < TERMS; i++) {
    x[i] = 0x1p-12f;
    w[i] = 0x1p-12f;
  }
  for (int terms = 1; terms <= TERMS; terms++) {
    const int lost = terms < KERNEL_CHAIN ? terms : KERNEL_CHAIN;

    args.shape.ic = terms;
    kernel_conv_f32_ref (&args, NULL);
    /* An odd rest is a tie. */
    if (terms - lost < KERNEL_CHAIN || terms % 2 == 0)
      CHECK (y == 1.0f + (float) (terms - lost) * 0x1p-24f);
  }
}

int
main (void)
{
  RUN (test_conv_s8);
  RUN (test_conv_f32);
  RUN (test_conv_f32_chains);
  return check_done ();
}
