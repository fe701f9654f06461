/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * softmax.c: softmax, log-softmax, layer and local response normalisation.
 */
#include "tests/kernels/harness.h"

#include <stdio.h>

static void
run_softmax (Harness *h, size_t rows, int c, bool log, HarnessFloats kind, bool in_place)
{
  KernelSoftmax a = {.rows = rows, .c = c, .log = log};
  const size_t size = rows * c;
  HarnessCase *hc = harness_case (h, &a, "%zu rows of %d%s, %s%s", rows, c, log ? ", log" : "",
      harness_floats_name (kind), in_place ? ", in place" : "");
  float *x = in_place ? harness_in_out (hc, HARNESS_F32, size, &a.y)
                      : harness_in (hc, HARNESS_F32, size, &a.x);

  if (in_place)
    harness_point (hc, &a.x, x, 0);
  else
    harness_out (hc, HARNESS_F32, size, &a.y);
  harness_fill_f32 (h, x, size, kind);
  for (size_t i = 0; i < size && kind == HARNESS_PLAIN; i++)
    x[i] *= 20.0f; /* some terms of the sum underflow */
  harness_run (hc);
}

static const int counts[] = {1, 2, 3, 7, 8, 9, 10, 15, 16, 17, 31, 32, 33, 49, 63, 64, 65, 96, 100,
    127, 128, 129, 197, 1000, 1001};

static void
test_softmax_f32 (Harness *h)
{
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
    for (int kind = 0; kind < HARNESS_FLOATS_COUNT; kind++)
      for (int log = 0; log < 2; log++) {
        const int rows = harness_range (h, 1, 5);

        run_softmax (h, rows, counts[i], log, kind, harness_random (h) & 1);
      }
}

static void
bench_softmax_f32 (Harness *h)
{
  run_softmax (h, 1, 1000, false, HARNESS_PLAIN, false);
  run_softmax (h, 1, 1000, true, HARNESS_PLAIN, false);
  run_softmax (h, 3 * 197, 197, false, HARNESS_PLAIN, false);
  run_softmax (h, 192 * 49, 49, false, HARNESS_PLAIN, false);
}

/* --- Layer normalisation -------------------------------------------------------------------- */

static void
run_layernorm (Harness *h, size_t rows, int c, HarnessFloats kind, bool in_place)
{
  KernelLayernorm a = {.rows = rows, .c = c, .epsilon = 1e-5f};
  const size_t size = rows * c;
  HarnessCase *hc = harness_case (h, &a, "%zu rows of %d, %s%s", rows, c,
      harness_floats_name (kind), in_place ? ", in place" : "");
  float *x = in_place ? harness_in_out (hc, HARNESS_F32, size, &a.y)
                      : harness_in (hc, HARNESS_F32, size, &a.x);

  if (in_place)
    harness_point (hc, &a.x, x, 0);
  else
    harness_out (hc, HARNESS_F32, size, &a.y);
  harness_fill_f32 (h, x, size, kind);
  harness_fill_f32 (h, harness_in (hc, HARNESS_F32, c, &a.scale), c, HARNESS_PLAIN);
  harness_fill_f32 (h, harness_in (hc, HARNESS_F32, c, &a.shift), c, HARNESS_PLAIN);
  for (size_t i = 0; i < size && kind == HARNESS_PLAIN; i++)
    x[i] += 100.0f; /* a mean that costs digits */
  harness_run (hc);
}

static void
test_layernorm_f32 (Harness *h)
{
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
    for (int kind = 0; kind < HARNESS_FLOATS_COUNT; kind++)
      for (int round = 0; round < 2; round++) {
        const int rows = harness_range (h, 1, 40);

        run_layernorm (h, rows, counts[i], kind, harness_random (h) & 1);
      }
}

static void
bench_layernorm_f32 (Harness *h)
{
  run_layernorm (h, 197, 192, HARNESS_PLAIN, false);
  run_layernorm (h, 3136, 96, HARNESS_PLAIN, false);
}

/* --- Local response normalisation ----------------------------------------------------------- */

static void
run_lrn (Harness *h, size_t rows, int c, int window, float beta, HarnessFloats kind)
{
  KernelLrn a = {.rows = rows, .c = c, .before = (window - 1) / 2, .after = window / 2,
      .alpha = 1e-4f / window, .beta = beta, .bias = 1.0f};
  const size_t size = rows * c;
  HarnessCase *hc = harness_case (h, &a, "%zu rows of %d, window %d, beta %g, %s", rows, c, window,
      beta, harness_floats_name (kind));
  float *x = harness_in (hc, HARNESS_F32, size, &a.x);

  harness_out (hc, HARNESS_F32, size, &a.y);
  harness_fill_f32 (h, x, size, kind);
  for (size_t i = 0; i < size && kind == HARNESS_PLAIN; i++)
    x[i] *= 100.0f; /* where the sum counts */
  harness_run (hc);
}

static void
test_lrn_f32 (Harness *h)
{
  static const int windows[] = {1, 2, 3, 5, 8, 200};

  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
    for (size_t w = 0; w < sizeof windows / sizeof *windows; w++)
      for (int kind = 0; kind < HARNESS_FLOATS_COUNT; kind++) {
        const int rows = harness_range (h, 1, 9);

        run_lrn (h, rows, counts[i], windows[w], harness_random (h) & 1 ? 0.75f : 0.5f, kind);
      }
}

static void
bench_lrn_f32 (Harness *h)
{
  run_lrn (h, 56 * 56, 64, 5, 0.75f, HARNESS_PLAIN);
  run_lrn (h, 27 * 27, 256, 5, 0.75f, HARNESS_PLAIN);
}

const HarnessTest harness_softmax[] = {
    {"softmax_f32", test_softmax_f32, bench_softmax_f32},
    {"layernorm_f32", test_layernorm_f32, bench_layernorm_f32},
    {"lrn_f32", test_lrn_f32, bench_lrn_f32},
    {0},
};
