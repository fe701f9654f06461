/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bandwidth.c: GB/s of the kernels that are bound by memory, on tensors far larger than any cache:
 * every input read once and every output written once, over the time of a call; of float
 * convolutions, GFLOP/s. Contents are random. Prints one line a case.
 *
 *     bandwidth [BACK END [IMAGES]]     default: cuda, 256
 */
#include "kernels/kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PART   ((size_t) 8 << 20) /* of random bytes, repeated */
#define ROUNDS 5                  /* the fastest counts: other programs only ever add time */

static KernelBackend *backend;
static KernelQueue *queue;
static int images = 256;

static void
stop (const char *what)
{
  fprintf (stderr, "bandwidth: %s\n", what);
  exit (1);
}

static double
now (void)
{
  struct timespec t;

  clock_gettime (CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

/* --- Memory --------------------------------------------------------------------------------- */

static void *allocated[16];
static int n_allocated;

/* Bytes that are numbers as float too: magnitudes of 2^-63 .. 2. */
static void *
memory (size_t size)
{
  static uint8_t *part;
  uint8_t *device = backend->alloc (backend, size);

  if (!device || n_allocated == sizeof allocated / sizeof *allocated)
    stop ("no memory; give fewer images");
  if (!part) {
    uint32_t state = 1;

    part = malloc (PART);
    for (size_t i = 0; part && i < PART; i++) {
      state = state * 1664525 + 1013904223;
      part[i] = i % 4 == 3 ? (state >> 24 & 0x9f) | 0x20 : state >> 24;
    }
  }
  for (size_t at = 0; part && at < size; at += PART)
    backend->upload (queue, device + at, part, size - at < PART ? size - at : PART);
  if (!part || backend->queue_wait (queue))
    stop ("the contents could not be uploaded");
  return allocated[n_allocated++] = device;
}

static void
free_memory (void)
{
  while (n_allocated > 0)
    backend->free (backend, allocated[--n_allocated]);
}

/* --- Timing --------------------------------------------------------------------------------- */

typedef void (*Call) (const void *args);

static double
time_calls (Call call, const void *args, int calls)
{
  const double start = now ();
  const char *failure;

  for (int i = 0; i < calls; i++)
    call (args);
  failure = backend->queue_wait (queue);
  if (failure)
    stop (failure);
  return (now () - start) / calls;
}

static void
measure (const char *kernel, const char *text, double amount, const char *unit, Call call,
    const void *args)
{
  double best = time_calls (call, args, 1), seconds;
  int calls;

  best = time_calls (call, args, 1);
  calls = best < 0.02 ? (int) (0.02 / best) + 1 : 1;
  for (int round = 0; round < ROUNDS; round++) {
    seconds = time_calls (call, args, calls);
    best = seconds < best ? seconds : best;
  }
  printf ("%-15s %-44s %10.1f us %9.1f %s\n", kernel, text, best * 1e6, amount / best * 1e-9, unit);
  fflush (stdout);
  free_memory ();
}

#define KERNEL_OP(name, Args)                                                                      \
  static inline void call_##name (const void *args)                                                \
  {                                                                                                \
    backend->ops->name ((const Args *) args, queue);                                               \
  }
#include "kernels/kernel-ops.inc"
#undef KERNEL_OP

#define MEASURE(name, text, bytes, args) measure (#name, text, bytes, "GB/s", call_##name, args)

/* --- Cases ---------------------------------------------------------------------------------- */

static void
elementwise (void)
{
  const int rows = 56 * 56, c = 256;
  const size_t size = (size_t) images * rows * c, quarter = size / 4;
  KernelBinaryS8 s8 = {.n = images, .rows = rows, .c = c, .m1 = 0.5f, .m2 = 0.3f, .b = 1};
  KernelBinaryF32 f32 = {.n = images, .rows = rows, .c = c / 4, .lo = -1e30f, .hi = 1e30f};

  s8.lo = -128;
  s8.hi = 127;
  s8.x1 = memory (size);
  s8.x2 = memory (size);
  s8.y = memory (size);
  MEASURE (add_s8, "56x56x256", 3.0 * size, &s8);
  s8.x2_broadcast = true;
  s8.x1 = memory (size);
  s8.x2 = memory (size);
  s8.y = memory (size);
  MEASURE (mul_s8, "56x56x256, one per channel", 2.0 * size, &s8);
  f32.x1 = memory (size);
  f32.x2 = memory (size);
  f32.y = memory (size);
  MEASURE (add_f32, "56x56x64", 12.0 * quarter, &f32);

  KernelLutS8 lut = {size, memory (size), memory (256), memory (size)};
  MEASURE (lut_s8, "56x56x256", 2.0 * size, &lut);
  KernelUnaryF32 silu = {KERNEL_UNARY_SILU, 0, 0, quarter, memory (size), memory (size)};
  MEASURE (unary_f32, "silu, 56x56x64", 8.0 * quarter, &silu);
  KernelConvert quantise = {quarter, memory (size), memory (quarter), 0.5f, 3};
  MEASURE (quantise_s8, "56x56x64", 5.0 * quarter, &quantise);
  KernelConvert dequantise = {quarter, memory (quarter), memory (size), 0.5f, 3};
  MEASURE (dequantise_f32, "56x56x64", 5.0 * quarter, &dequantise);
}

static void
moves (void)
{
  const size_t rows = (size_t) images * 56 * 56, size = rows * 256;
  KernelCopy flat = {rows, 256, 256, 256, memory (size), memory (size), NULL};

  MEASURE (copy_s8, "all of 56x56x256", 2.0 * size, &flat);
  KernelCopy concat = {rows, 128, 128, 256, memory (size / 2), memory (size), NULL};
  MEASURE (copy_s8, "56x56x128 into 256", 1.0 * size, &concat);
  KernelCopy table = {rows, 128, 128, 256, memory (size / 2), memory (size), memory (256)};
  MEASURE (copy_s8, "the same through a table", 1.0 * size, &table);
  KernelCopy narrow = {rows, 24, 24, 64, memory (rows * 24), memory (rows * 64), NULL};
  MEASURE (copy_s8, "56x56x24 into 64", 48.0 * rows, &narrow);

  KernelTranspose nchw = {4, {images, 64, 56, 56}, {0, 2, 3, 1}, memory (size), memory (size)};
  MEASURE (transpose_s8, "NCHW to NHWC 64x56x56", 0.5 * size, &nchw);
  KernelTranspose shuffle = {4, {images * 28 * 28, 2, 58, 1}, {0, 2, 1, 3},
      memory ((size_t) images * 28 * 28 * 116), memory ((size_t) images * 28 * 28 * 116)};
  MEASURE (transpose_s8, "shuffle 28x28x116", 2.0 * images * 28 * 28 * 116, &shuffle);
  KernelPad pad = {4, {images, 56, 56, 64}, {0, 1, 1, 0}, {0, 1, 1, 0}, memory (size),
      memory (size), 1, 0};
  MEASURE (pad_s8, "56x56x64 by 1", 64.0 * images * (56 * 56 + 58 * 58), &pad);
}

static void
pools (void)
{
  const size_t in = (size_t) images * 112 * 112 * 64, out = in / 4;
  const KernelPoolShape window = {images, 112, 112, 64, 56, 56, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1,
      false};
  const KernelPoolShape global = {images * 8, 7, 7, 2048, 1, 1, 7, 7, 1, 1, 1, 1, 0, 0, 0, 0,
      false};
  const size_t global_in = (size_t) images * 8 * 49 * 2048, global_out = global_in / 49;
  KernelPoolS8 s8 = {.shape = window, .ratio = 0.7, .zero_x = 3, .zero_y = -5};

  s8.x = memory (in);
  s8.y = memory (out);
  MEASURE (maxpool_s8, "112x112x64, 3x3 / 2", in + out, &s8);
  s8.x = memory (in);
  s8.y = memory (out);
  MEASURE (avgpool_s8, "112x112x64, 3x3 / 2", in + out, &s8);
  s8.shape = global;
  s8.x = memory (global_in);
  s8.y = memory (global_out);
  MEASURE (avgpool_s8, "global 7x7x2048, 8 times as many", global_in + global_out, &s8);
}

static void
depthwise_tactic (KernelConvShape shape, const char *text)
{
  KernelConvS8 conv = {.shape = shape, .lo = -128, .hi = 127};
  const size_t nx = (size_t) images * shape.ih * shape.iw * shape.ic;
  const size_t ny = (size_t) images * shape.oh * shape.ow * shape.oc;
  int8_t *w = calloc (shape.oc, (size_t) shape.kh * shape.kw);

  conv.x = memory (nx);
  conv.w = memory (backend->ops->conv_s8_pack (&shape, 0, w, NULL));
  conv.m = memory (shape.oc * sizeof (float));
  conv.b = memory (shape.oc * sizeof (float));
  conv.y = memory (ny);
  conv.scratch = memory (backend->ops->conv_s8_scratch (&shape, queue) + 1);
  MEASURE (conv_s8, text, (double) (nx + ny), &conv);
  free (w);
}

/* Its own choice, and every way that it names. */
static void
depthwise (int h, int c, int k, int stride)
{
  const int out = (h + stride - 1) / stride, pad = (k - 1) / 2;
  KernelConvShape shape = {images, h, h, c, out, out, c, k, k, stride, stride, 1, 1, pad, pad, c};
  const char *name;
  char text[64];

  for (; (name = backend->ops->conv_s8_tactic (&shape, shape.tactic)); shape.tactic++) {
    snprintf (text, sizeof text, "%dx%dx%d, %dx%d / %d, %.22s%s", h, h, c, k, k, stride, name,
        shape.tactic ? "" : " *");
    depthwise_tactic (shape, text);
  }
}

/* Of an eighth of the images; every way. */
static void
conv_f32 (int h, int ic, int oc, int k, int stride)
{
  const int n = (images + 7) / 8, out = (h + stride - 1) / stride, pad = (k - 1) / 2;
  KernelConvF32 conv = {
      .shape = {n, h, h, ic, out, out, oc, k, k, stride, stride, 1, 1, pad, pad, 1},
      .lo = -1e30f,
      .hi = 1e30f};
  const double outputs = (double) n * out * out * oc;
  float *w = calloc ((size_t) oc * k * k * ic, sizeof *w);
  const char *name;
  char text[64];

  for (; (name = backend->ops->conv_f32_tactic (&conv.shape, conv.shape.tactic));
       conv.shape.tactic++) {
    conv.x = memory ((size_t) n * h * h * ic * sizeof (float));
    conv.w = memory (backend->ops->conv_f32_pack (&conv.shape, w, NULL));
    conv.b = memory (oc * sizeof (float));
    conv.y = memory ((size_t) outputs * sizeof (float));
    conv.scratch = memory (backend->ops->conv_f32_scratch (&conv.shape, queue) + 1);
    snprintf (text, sizeof text, "%dx%dx%d to %d, %dx%d / %d, %.12s%s", h, h, ic, oc, k, k, stride,
        name, conv.shape.tactic ? "" : " *");
    measure ("conv_f32", text, 2.0 * outputs * k * k * ic, "GFLOP/s", call_conv_f32, &conv);
  }
  free (w);
}

int
main (int argc, char **argv)
{
  char why[320];

  backend = kernel_open (argc > 1 ? argv[1] : "cuda", why, sizeof why);
  if (!backend) {
    printf ("SKIP %s\n", why);
    return 77;
  }
  queue = backend->queue_new (backend, 0);
  images = argc > 2 ? atoi (argv[2]) : images;
  if (!queue || images < 1)
    stop ("no queue, or not a number of images");
  printf ("%s, %s, %d images\n", backend->name, backend->description, images);
  elementwise ();
  moves ();
  pools ();
  depthwise (112, 32, 3, 1);
  depthwise (112, 96, 3, 2);
  depthwise (56, 144, 3, 1);
  depthwise (28, 192, 3, 1);
  depthwise (14, 576, 3, 1);
  depthwise (7, 960, 3, 1);
  depthwise (56, 144, 5, 2);
  depthwise (28, 240, 5, 1);
  depthwise (14, 672, 5, 1);
  conv_f32 (224, 3, 64, 7, 2);
  conv_f32 (56, 64, 64, 3, 1);
  conv_f32 (28, 512, 128, 1, 1);
  conv_f32 (14, 256, 256, 3, 1);

  KernelSoftmax softmax = {images, 1000, false, memory (images * 4000), memory (images * 4000)};
  MEASURE (softmax_f32, "1000", images * 8000.0, &softmax);
  backend->queue_free (queue);
  kernel_close (backend);
  return 0;
}
