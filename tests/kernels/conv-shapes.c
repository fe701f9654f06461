/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-shapes.c: see conv-shapes.h. Below, at, above and at multiples of likely tiles: 4 products
 * (one VNNI lane), 8, 16, 32 and 64 channels, 4 to 16 pixels.
 */
#include "tests/kernels/conv-shapes.h"

#include <stdio.h>

#define COUNT(array) ((int) (sizeof (array) / sizeof *(array)))
#define N_RANDOM     300
#define N_DEPTHWISE  80
#define N_3X3        80

static const int edges[] = {1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 31, 32, 33, 47, 48, 49, 63,
    64, 65, 96, 100, 127, 128, 129};
static const int pixels[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 23, 24, 25, 31,
    32, 33, 49, 64, 65};

/* clang-format off */
static const KernelConvShape special[] = {
  /* n ih  iw   ic oh  ow  oc  kh kw  sh sw  dh dw  pt pl  g */
  {  1, 1,  1,   1, 1,  1,  1,  1, 1,  1, 1,  1, 1,  0, 0, 1}, /* the smallest */
  {  1,28, 28,   1,24, 24, 20,  5, 5,  1, 1,  1, 1,  0, 0, 1}, /* LeNet's stem, layer 2, fully connected */
  {  2,12, 12,  20, 8,  8, 50,  5, 5,  1, 1,  1, 1,  0, 0, 1},
  {  3, 4,  4,  50, 1,  1,100,  4, 4,  1, 1,  1, 1,  0, 0, 1},
  {  1,33, 31,   3,17, 16, 32,  3, 3,  2, 2,  1, 1,  1, 1, 1}, /* stems of three channels */
  {  2,23, 23,   3,12, 12, 16,  7, 7,  2, 2,  1, 1,  3, 3, 1},
  {  1,20, 20,   3, 5,  5, 24,  4, 4,  4, 4,  1, 1,  0, 0, 1}, /* a patch embedding */
  {  1, 7,  9,  16, 7,  9, 16,  3, 3,  1, 1,  1, 1,  1, 1, 1}, /* same padding */
  {  1, 8,  8,  16, 4,  4, 16,  3, 3,  2, 2,  1, 1,  0, 0, 1}, /* TensorFlow's: only bottom right */
  {  1, 6,  5,   8, 8,  4,  9,  3, 2,  1, 1,  1, 1,  2, 0, 1}, /* asymmetric pads */
  {  1, 5,  6,   8, 5,  8,  9,  1, 3,  1, 1,  1, 1,  0, 2, 1}, /* windows with one pixel inside at both ends */
  {  1, 1,  1,   8, 3,  3, 16,  3, 3,  1, 1,  1, 1,  2, 2, 1}, /* the input is one pixel */
  {  1, 3,  3,   4, 5,  5,  8,  5, 5,  1, 1,  1, 1,  3, 3, 1}, /* the window is larger than the input */
  {  2, 9,  9,   8, 5,  5, 16,  3, 3,  1, 1,  2, 2,  0, 0, 1}, /* dilation */
  {  1, 9, 11,   8, 9, 11, 16,  3, 3,  1, 1,  2, 2,  2, 2, 1},
  {  1,11,  9,   8, 4,  3, 16,  3, 3,  2, 3,  3, 2,  1, 2, 1},
  {  1, 8,  8,  32, 4,  4, 64,  1, 1,  2, 2,  1, 1,  0, 0, 1}, /* 1x1 with stride */
  {  1, 1, 40,  12, 1, 36, 20,  1, 5,  1, 1,  1, 1,  0, 0, 1}, /* one dimension */
  {  1,40,  1,  12,38,  1, 20,  3, 1,  1, 1,  1, 1,  0, 0, 1},
  {  2, 6,  6,  12, 6,  6, 18,  3, 3,  1, 1,  1, 1,  1, 1, 2}, /* groups */
  {  1, 6,  6,  15, 6,  6, 10,  3, 3,  1, 1,  1, 1,  1, 1, 5},
  {  1, 7,  7,  64, 7,  7, 64,  3, 3,  1, 1,  1, 1,  1, 1, 4},
  {  1, 5,  5,  66, 5,  5, 33,  1, 1,  1, 1,  1, 1,  0, 0, 3},
  {  1, 5,  5,   8, 5,  5, 16,  3, 3,  1, 1,  1, 1,  1, 1, 8}, /* depthwise, two outputs an input */
  {  2, 6,  6,   5, 6,  6, 15,  3, 3,  1, 1,  1, 1,  1, 1, 5},
  {  1, 5,  5,  16, 5,  5,  8,  3, 3,  1, 1,  1, 1,  1, 1, 8}, /* two inputs an output */
  {  1,14, 14,  32, 7,  7, 32,  5, 5,  2, 2,  1, 1,  1, 2,32}, /* depthwise */
  {  1, 9,  9,  24, 9,  9, 24,  3, 3,  1, 1,  2, 2,  2, 2,24},
  {  1, 7, 43,  35, 7, 43, 35,  3, 3,  1, 1,  1, 1,  1, 1,35}, /* depthwise lines of some strips */
  {  2, 9, 49,  20, 5, 25, 20,  3, 3,  2, 2,  1, 1,  1, 1,20},
  {  1, 9, 41, 150, 9, 40,150,  5, 4,  1, 1,  1, 1,  2, 1,150},
  {  1,11, 50,  18, 9, 23, 18,  3, 5,  1, 2,  2, 1,  1, 0,18},
  {  1, 9, 30,  17, 9, 30, 17,  5, 5,  1, 1,  1, 1,  2, 2,17},
  {  1, 8, 37,  16, 4, 19, 16,  7, 7,  2, 2,  1, 1,  3, 3,16},
  {  1, 9, 17,  19, 9, 17, 19, 15,15,  1, 1,  1, 1,  7, 7,19}, /* more products than one chain of floats: depthwise, */
  {  1, 3, 60,  17, 3, 60, 17, 35, 7,  1, 1,  1, 1, 17, 3,17},
  {  1, 7,  9, 140, 7,  8, 70, 15,14,  1, 1,  1, 1,  7, 6,70}, /* in groups, */
  {  1, 6,  9,  70, 6,  9, 72,  3, 3,  1, 1,  1, 1,  1, 1, 1}, /* ending within lines and taps, */
  {  1, 7,  9, 130, 7,  9, 40,  3, 3,  1, 1,  2, 2,  2, 2, 1},
  {  1, 5,  5, 128, 5,  5, 35,  3, 3,  1, 1,  1, 1,  1, 1, 1}, /* just where chains do */
  {  1, 1, 13, 192, 1, 13, 33,  1, 1,  1, 1,  1, 1,  0, 0, 1},
  {  1, 1, 13, 193, 1, 13, 70,  1, 1,  1, 1,  1, 1,  0, 0, 1},
  {  1, 1, 14, 577, 1, 14, 64,  1, 1,  1, 1,  1, 1,  0, 0, 1},
  {  1,99,101,  22,99,101, 64,  3, 3,  1, 1,  1, 1,  1, 1, 1}, /* and tiles enough for a device */
  {  2, 9, 11,  24, 9, 11,144,  1, 1,  1, 1,  1, 1,  0, 0, 1}, /* matrices with a narrow side */
  {  3, 8,  9,  96, 8,  9, 24,  1, 1,  1, 1,  1, 1,  0, 0, 1},
  {  1,13, 13, 144,13, 13, 20,  1, 1,  1, 1,  1, 1,  0, 0, 1},
  {  2,16, 16, 192,16, 16, 32,  1, 1,  1, 1,  1, 1,  0, 0, 1},
  {  1,11, 13,  16,11, 13, 96,  1, 1,  1, 1,  1, 1,  0, 0, 1},
  {  1, 8,  8,   8, 8,  8,  4,  1, 1,  1, 1,  1, 1,  0, 0, 1},
  {  1, 9, 13,  32, 9, 13,192,  1, 1,  1, 1,  1, 1,  0, 0, 1},
  {  1,11,  7, 120,11,  7, 28,  1, 1,  1, 1,  1, 1,  0, 0, 1},
  {  3, 1,  1, 256, 1,  1, 10,  1, 1,  1, 1,  1, 1,  0, 0, 1}, /* fully connected */
  {  1, 1,  1,1000, 1,  1, 17,  1, 1,  1, 1,  1, 1,  0, 0, 1},
  {  2, 7,  7,  37, 1,  1, 31,  7, 7,  1, 1,  1, 1,  0, 0, 1},
  {  2,19, 22,  33,19, 22, 70,  3, 3,  1, 1,  1, 1,  1, 1, 1}, /* many tiles of 4x4 */
};

static const KernelConvShape large[] = {
  {  1, 1,  1, 131072, 1, 1, 17,  1, 1,  1, 1,  1, 1,  0, 0, 1},
  {  3, 1,  1,  25088, 1, 1, 16,  1, 1,  1, 1,  1, 1,  0, 0, 1},
  {  1,16, 16,    512, 1, 1,  3, 16,16,  1, 1,  1, 1,  0, 0, 1},
  {  1,65, 65,     31, 1, 1,  2, 65,65,  1, 1,  1, 1,  0, 0, 1},
  {  1, 6,  7,    224, 6, 7, 33,  3, 3,  1, 1,  1, 1,  1, 1, 1}, /* sums just below 2^25 */
  {  1, 7,  6,    240, 7, 6, 33,  3, 3,  1, 1,  1, 1,  1, 1, 1}, /* and above */
  {  2, 5,  9,    700, 6, 8, 17,  3, 3,  1, 1,  1, 1,  2, 0, 1},
};

static const KernelConvShape networks[] = {
  {  1,224,224,   3,112,112, 64,  7, 7,  2, 2,  1, 1,  3, 3,  1}, /* ResNet-50 */
  {  1, 56, 56,  64, 56, 56, 64,  3, 3,  1, 1,  1, 1,  1, 1,  1},
  {  1, 56, 56,  64, 56, 56,256,  1, 1,  1, 1,  1, 1,  0, 0,  1},
  {  1, 28, 28, 128, 28, 28,128,  3, 3,  1, 1,  1, 1,  1, 1,  1},
  {  1, 14, 14,1024, 14, 14,256,  1, 1,  1, 1,  1, 1,  0, 0,  1},
  {  1,  7,  7, 512,  7,  7,512,  3, 3,  1, 1,  1, 1,  1, 1,  1},
  {  1,112,112,  32,112,112, 32,  3, 3,  1, 1,  1, 1,  1, 1, 32}, /* MobileNet */
  {  1, 56, 56, 144, 28, 28,144,  3, 3,  2, 2,  1, 1,  0, 0,144},
  {  1, 14, 14, 576, 14, 14, 96,  1, 1,  1, 1,  1, 1,  0, 0,  1},
  {  1,  1,  1,2048,  1,  1,1000, 1, 1,  1, 1,  1, 1,  0, 0,  1}, /* a classifier */
  {  1, 28, 28,   1, 24, 24, 20,  5, 5,  1, 1,  1, 1,  0, 0,  1}, /* LeNet */
  {  1, 12, 12,  20,  8,  8, 50,  5, 5,  1, 1,  1, 1,  0, 0,  1},
};
/* clang-format on */

static int
pick (Harness *h, const int *values, int count)
{
  return values[harness_range (h, 0, count - 1)];
}

/* A 1x1 convolution is a matrix product of pixels x ic and ic x oc. */
static KernelConvShape
product (int rows, int ic, int oc)
{
  return (KernelConvShape){1, 1, rows, ic, 1, rows, oc, 1, 1, 1, 1, 1, 1, 0, 0, 1};
}

/* The largest number of outputs whose windows all touch the input, 0 .. in + pad. */
static int
most_outputs (int in, int k, int stride, int dilation, int pad)
{
  for (int out = 0;; out++) {
    bool touches = false;

    for (int tap = 0; tap < k; tap++) {
      const int i = out * stride - pad + tap * dilation;

      touches = touches || (i >= 0 && i < in);
    }
    if (!touches)
      return out;
  }
}

static int
most_rows (const KernelConvShape *s)
{
  return most_outputs (s->ih, s->kh, s->stride_h, s->dilation_h, s->pad_top);
}

static int
most_columns (const KernelConvShape *s)
{
  return most_outputs (s->iw, s->kw, s->stride_w, s->dilation_w, s->pad_left);
}

/* Any window that the contract of kernels.h allows. */
static void
random_window (Harness *h, KernelConvShape *s)
{
  const int kernels[] = {1, 2, 3, 3, 3, 5, 7};

  do {
    s->kh = pick (h, kernels, COUNT (kernels));
    s->kw = harness_random (h) & 1 ? s->kh : pick (h, kernels, COUNT (kernels));
    s->stride_h = harness_range (h, 1, 3);
    s->stride_w = harness_random (h) & 1 ? s->stride_h : harness_range (h, 1, 3);
    s->dilation_h = harness_random (h) % 4 ? 1 : harness_range (h, 1, 3);
    s->dilation_w = harness_random (h) % 4 ? 1 : harness_range (h, 1, 3);
    s->ih = harness_range (h, 1, 12);
    s->iw = harness_range (h, 1, 12);
    s->pad_top = harness_range (h, 0, (s->kh - 1) * s->dilation_h);
    s->pad_left = harness_range (h, 0, (s->kw - 1) * s->dilation_w);
  } while (most_rows (s) == 0 || most_columns (s) == 0);
  s->oh = harness_range (h, 1, most_rows (s));
  s->ow = harness_range (h, 1, most_columns (s));
}

static void
random_shape (Harness *h, KernelConvShape *s)
{
  s->n = harness_range (h, 1, 3);
  random_window (h, s);
  s->groups = harness_random (h) % 4 ? 1 : harness_range (h, 1, 4);
  s->ic = s->groups * harness_range (h, 1, 40 / s->groups);
  s->oc = s->groups * harness_range (h, 1, 70 / s->groups);
}

static void
random_depthwise (Harness *h, KernelConvShape *s)
{
  s->n = harness_range (h, 1, 3);
  random_window (h, s);
  s->ic = s->oc = s->groups = pick (h, edges, COUNT (edges));
}

/* A square window, as in networks: kernels have tiles of their own for these. */
static void
random_square (Harness *h, KernelConvShape *s, int k, int stride, int limit)
{
  *s = (KernelConvShape){.kh = k, .kw = k, .stride_h = stride, .stride_w = stride, .groups = 1};
  s->dilation_h = s->dilation_w = 1;
  s->n = harness_range (h, 1, 3);
  do {
    s->ih = harness_range (h, 1, limit);
    s->iw = harness_range (h, 1, limit);
    s->pad_top = harness_range (h, 0, k - 1);
    s->pad_left = harness_range (h, 0, k - 1);
  } while (most_rows (s) == 0 || most_columns (s) == 0);
  s->oh = harness_range (h, 1, most_rows (s));
  s->ow = harness_range (h, 1, most_columns (s));
}

static void
random_3x3 (Harness *h, KernelConvShape *s)
{
  random_square (h, s, 3, 1, 14);
  s->ic = pick (h, edges, COUNT (edges));
  s->oc = pick (h, edges, COUNT (edges));
}

static void
random_square_depthwise (Harness *h, KernelConvShape *s, int i)
{
  random_square (h, s, i % 2 ? 5 : 3, i / 2 % 2 + 1, 24);
  s->ic = s->oc = s->groups = i % 8 < 6 ? 4 * harness_range (h, 1, 12) : harness_range (h, 1, 40);
}

static bool
choose (Harness *h, int i, KernelConvShape *s)
{
  if (i < COUNT (special)) {
    *s = special[i];
    return true;
  }
  i -= COUNT (special);
  if (i < COUNT (edges)) {
    const int rows = pick (h, pixels, COUNT (pixels));

    *s = product (rows, edges[i], pick (h, edges, COUNT (edges)));
    return true;
  }
  i -= COUNT (edges);
  if (i < COUNT (edges)) {
    const int rows = pick (h, pixels, COUNT (pixels));

    *s = product (rows, pick (h, edges, COUNT (edges)), edges[i]);
    return true;
  }
  i -= COUNT (edges);
  if (i < COUNT (pixels)) {
    const int ic = pick (h, edges, COUNT (edges));

    *s = product (pixels[i], ic, pick (h, edges, COUNT (edges)));
    return true;
  }
  i -= COUNT (pixels);
  if (i < N_3X3) {
    random_3x3 (h, s);
    return true;
  }
  i -= N_3X3;
  if (i < N_DEPTHWISE) {
    random_square_depthwise (h, s, i);
    return true;
  }
  i -= N_DEPTHWISE;
  if (i < N_DEPTHWISE)
    random_depthwise (h, s);
  else
    random_shape (h, s);
  return i < N_DEPTHWISE + N_RANDOM;
}

bool
conv_shape (Harness *h, int i, KernelConvShape *s)
{
  const bool chosen = choose (h, i, s);

  s->threads = harness_range (h, 0, 4); /* whatever the queue has */
  harness_require (s->oh <= most_rows (s) && s->ow <= most_columns (s),
      "a convolution has a window without a pixel");
  return chosen;
}

bool
conv_shape_large (int i, KernelConvShape *s)
{
  if (i < COUNT (large))
    *s = large[i];
  s->threads = i % 4 + 1;
  return i < COUNT (large);
}

bool
conv_shape_bench (int i, KernelConvShape *s)
{
  if (i < COUNT (networks))
    *s = networks[i];
  return i < COUNT (networks);
}

size_t
conv_count_inputs (const KernelConvShape *s)
{
  return (size_t) s->n * s->ih * s->iw * s->ic;
}

size_t
conv_count_outputs (const KernelConvShape *s)
{
  return (size_t) s->n * s->oh * s->ow * s->oc;
}

size_t
conv_count_weights (const KernelConvShape *s)
{
  return (size_t) s->oc * s->kh * s->kw * (s->ic / s->groups);
}

int
conv_describe (char *text, size_t size, const KernelConvShape *s)
{
  return snprintf (text, size, "n%d %dx%dx%d -> %dx%dx%d, %dx%d s%d,%d d%d,%d p%d,%d g%d t%d", s->n,
      s->ih, s->iw, s->ic, s->oh, s->ow, s->oc, s->kh, s->kw, s->stride_h, s->stride_w,
      s->dilation_h, s->dilation_w, s->pad_top, s->pad_left, s->groups, s->threads);
}

KernelConvShape
conv_with_tactic (const KernelConvShape *largest, const KernelConvShape *called)
{
  KernelConvShape shape = *largest;

  shape.tactic = called->tactic;
  return shape;
}

const char *
conv_residual_name (Residual residual)
{
  static const char *const names[] = {"", ", residual", ", residual in place"};

  return names[residual];
}
