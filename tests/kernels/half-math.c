/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * half-math.c: kernels/half.h against the compiler's own binary16, on every half and on floats around
 * every rounding.
 */
#include "kernels/half.h"
#include "tests/check.h"

#if defined(__FLT16_MAX__)
static KernelHalf
compilers_half (float value)
{
  const _Float16 half = (_Float16) value;
  KernelHalf bits;

  memcpy (&bits, &half, sizeof bits);
  return bits;
}

static bool
same (KernelHalf a, KernelHalf b)
{
  const bool nan_a = (a & 0x7fff) > 0x7c00, nan_b = (b & 0x7fff) > 0x7c00;

  return nan_a || nan_b ? nan_a && nan_b : a == b;
}

static void
test_every_half (void)
{
  int wrong = 0;

  for (uint32_t i = 0; i < 65536; i++) {
    const KernelHalf bits = (KernelHalf) i;
    const float value = kernel_half_to_f32 (bits);
    _Float16 half;

    memcpy (&half, &bits, sizeof half);
    wrong += !(value == (float) half || (isnan (value) && isnan ((float) half)));
    wrong += !same (kernel_half_of_f32 (value), bits);
  }
  CHECK (wrong == 0);
}

/* Every exponent and sign, and of the mantissas those around a half's last digit and its tie. */
static void
test_rounding (void)
{
  int wrong = 0;

  for (uint32_t high = 0; high < 1 << 20; high++)
    for (uint32_t low = 0; low < 1 << 12; low += high % 512 == 0 ? 1 : 0x7ff) {
      const uint32_t bits = high << 12 | low;
      float value;

      memcpy (&value, &bits, sizeof value);
      wrong += !same (kernel_half_of_f32 (value), compilers_half (value));
    }
  CHECK (wrong == 0);
}

int
main (void)
{
  RUN (test_every_half);
  RUN (test_rounding);
  return check_done ();
}
#else
int
main (void)
{
  printf ("SKIP this compiler has no _Float16\n");
  return 77;
}
#endif
