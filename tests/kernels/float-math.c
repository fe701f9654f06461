/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * float-math.c: kernel_expf and kernel_logf against the C library in double, within the bounds that
 * float-math.h states, over about a million floats of every kind and all floats around each edge.
 */
#include "kernels/float-math.h"
#include "tests/check.h"

#include <float.h>
#include <stdbool.h>

#define BOUND  1.0  /* ulp */
#define BOUND2 3.0  /* of erf and tanh */
#define STRIDE 4099 /* prime, so that all low bits occur */

/* The distance of a float from the exact value in units of the float's last place. */
static double
error_in_ulp (float got, double exact)
{
  const float magnitude = fabsf ((float) exact);
  const double ulp =
      magnitude < FLT_MIN ? 0x1p-149 : ldexp (1.0, ilogbf (fminf (magnitude, FLT_MAX)) - 23);

  return fabs (got - exact) / ulp;
}

/* A result that is not finite must be the one that the exact value rounds to. */
static bool
is_good (float got, double exact, double bound)
{
  if (isnan (exact))
    return isnan (got);
  if (isinf ((float) exact) || isinf (got))
    return got == (float) exact;
  return error_in_ulp (got, exact) <= bound;
}

static void
check_range (float (*f) (float), double (*exact) (double), uint64_t first, uint64_t last,
    uint64_t stride, double bound)
{
  for (uint64_t bits = first; bits <= last; bits += stride) {
    const float x = kernel_f32_of_bits (bits);

    if (!is_good (f (x), exact (x), bound)) {
      CHECK_FAIL ("f (%a) is %a, not %a: %.2f ulp", x, f (x), exact (x),
          error_in_ulp (f (x), exact (x)));
      return;
    }
  }
}

static void
check_around (float (*f) (float), double (*exact) (double), float x)
{
  const uint32_t bits = kernel_bits_of_f32 (x);

  check_range (f, exact, bits > 3000 ? bits - 3000 : 0, (uint64_t) bits + 3000, 1, BOUND);
}

static float
exp_f32 (float x)
{
  return kernel_expf (x);
}

static float
log_f32 (float x)
{
  return kernel_logf (x);
}

static float
erf_f32 (float x)
{
  return kernel_erff (x);
}

static float
tanh_f32 (float x)
{
  return kernel_tanhf (x);
}

static void
test_exp_sweep (void)
{
  check_range (exp_f32, exp, 0, UINT32_MAX, STRIDE, BOUND);
}

static void
test_exp_edges (void)
{
  static const float edges[] = {88.72284f, /* overflows above */
      89.0f, -87.33655f,                   /* subnormal below */
      -103.97208f,                         /* zero below */
      -104.0f, 0.34657359f, -0.34657359f,  /* half of ln 2: n changes */
      1.0397208f, 1.0f, -1.0f, FLT_MIN, -FLT_MIN, 0.0f};

  for (size_t i = 0; i < sizeof edges / sizeof *edges; i++)
    check_around (exp_f32, exp, edges[i]);
}

static void
test_exp_special (void)
{
  CHECK (kernel_expf (0.0f) == 1.0f);
  CHECK (kernel_expf (-0.0f) == 1.0f);
  CHECK (kernel_expf (INFINITY) == INFINITY);
  CHECK (kernel_expf (FLT_MAX) == INFINITY);
  CHECK (kernel_bits_of_f32 (kernel_expf (-INFINITY)) == 0);
  CHECK (kernel_bits_of_f32 (kernel_expf (-FLT_MAX)) == 0);
  CHECK (isnan (kernel_expf (NAN)));
  CHECK (isnan (kernel_expf (-NAN)));
  CHECK (kernel_expf (-103.0f) == 0x1p-149f); /* e^-103 is 1.32 * 2^-149 */
  CHECK (kernel_expf (0x1p-149f) == 1.0f);
}

static void
test_log_sweep (void)
{
  check_range (log_f32, log, 0, UINT32_MAX, STRIDE, BOUND);
}

static void
test_log_edges (void)
{
  static const float edges[] = {1.0f, 0.70710678f, 1.4142135f, /* 1 + f changes sides */
      0x1p-126f, 0x1p-149f, 0.5f, 2.0f, FLT_MAX};

  for (size_t i = 0; i < sizeof edges / sizeof *edges; i++)
    check_around (log_f32, log, edges[i]);
}

static void
test_log_special (void)
{
  CHECK (kernel_bits_of_f32 (kernel_logf (1.0f)) == 0);
  CHECK (kernel_logf (0.0f) == -INFINITY);
  CHECK (kernel_logf (-0.0f) == -INFINITY);
  CHECK (kernel_logf (INFINITY) == INFINITY);
  CHECK (isnan (kernel_logf (-1.0f)));
  CHECK (isnan (kernel_logf (-0x1p-149f)));
  CHECK (isnan (kernel_logf (-INFINITY)));
  CHECK (isnan (kernel_logf (NAN)));
}

/* Everywhere, and densely where one form takes over from the other. */
static void
test_erf_tanh (void)
{
  check_range (erf_f32, erf, 0, UINT32_MAX, STRIDE, BOUND2);
  check_range (erf_f32, erf, kernel_bits_of_f32 (0.999f), kernel_bits_of_f32 (1.001f), 1, BOUND2);
  check_range (tanh_f32, tanh, 0, UINT32_MAX, STRIDE, BOUND2);
  check_range (tanh_f32, tanh, kernel_bits_of_f32 (0.624f), kernel_bits_of_f32 (0.626f), 1, BOUND2);
  CHECK (kernel_erff (INFINITY) == 1 && kernel_erff (-INFINITY) == -1);
  CHECK (kernel_tanhf (INFINITY) == 1 && kernel_tanhf (-INFINITY) == -1);
  CHECK (isnan (kernel_erff (NAN)) && isnan (kernel_tanhf (NAN)));
}

/* Values fixed once and for all: every machine and compiler must give these bits. */
static void
test_same_bits (void)
{
  static const struct {
    float x, exp, log;
  } vectors[] = {
      {0x1p-140f, 0x1p+0f, -0x1.842994p+6f},
      {0.001f, 0x1.004192p+0f, -0x1.ba18aap+2f},
      {0.1f, 0x1.1aec7cp+0f, -0x1.26bb1cp+1f},
      {0.7f, 0x1.01c2a6p+1f, -0x1.6d3c34p-2f},
      {1.5f, 0x1.1ed3fep+2f, 0x1.9f323ep-2f},
      {2.71828183f, 0x1.e4efb4p+3f, 0x1p+0f},
      {3.14159265f, 0x1.724048p+4f, 0x1.250d04p+0f},
      {10.0f, 0x1.5829dep+14f, 0x1.26bb1cp+1f},
      {26.7f, 0x1.6f15p+38f, 0x1.a46fdcp+1f},
      {88.5f, 0x1.99b986p+127f, 0x1.1ee984p+2f},
  };

  for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
    CHECK_INT (kernel_bits_of_f32 (kernel_expf (vectors[i].x)), ==,
        kernel_bits_of_f32 (vectors[i].exp));
    CHECK_INT (kernel_bits_of_f32 (kernel_logf (vectors[i].x)), ==,
        kernel_bits_of_f32 (vectors[i].log));
  }
}

int
main (void)
{
  RUN (test_exp_sweep);
  RUN (test_exp_edges);
  RUN (test_exp_special);
  RUN (test_log_sweep);
  RUN (test_log_edges);
  RUN (test_log_special);
  RUN (test_erf_tanh);
  RUN (test_same_bits);
  return check_done ();
}
