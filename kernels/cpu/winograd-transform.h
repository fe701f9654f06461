/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * winograd-transform.h: B, G and A of winograd.h, each along one axis, many channels at once. Who includes it
 * has defined, for its instruction set, a vector of integers and what is done with it:
 *
 *     WinogradVector
 *     v16_add (a, b)  v16_sub (a, b)  v16_mul (a, b)  v16_shl (a, n)  v16_set (x)                  of int16
 *     v32_add (a, b)  v32_sub (a, b)  v32_mul (a, b)  v32_shl (a, n)  v32_sar (a, n)  v32_set (x)  of int32
 */
#pragma once

#include "kernels/cpu/winograd.h"

/* V = B d. */
LANES_INLINE void
transform_input (const WinogradVector *d, WinogradVector *v)
{
  const WinogradVector a = v16_sub (d[4], v16_shl (d[2], 2));
  const WinogradVector b = v16_sub (d[3], v16_shl (d[1], 2));
  const WinogradVector c = v16_sub (d[4], d[2]);
  const WinogradVector e = v16_shl (v16_sub (d[3], d[1]), 1);

  v[0] = v16_add (c, v16_shl (v16_sub (d[0], d[2]), 2));
  v[1] = v16_add (a, b);
  v[2] = v16_sub (a, b);
  v[3] = v16_add (c, e);
  v[4] = v16_sub (c, e);
  v[5] = v16_sub (v16_sub (d[5], d[3]), v16_shl (e, 1));
}

/* U = G w. */
LANES_INLINE void
transform_weights (const WinogradVector *w, WinogradVector *u)
{
  const WinogradVector six = v16_set (6);
  const WinogradVector outer = v16_add (w[0], w[2]), twice = v16_shl (w[1], 1);
  const WinogradVector far = v16_add (w[0], v16_shl (w[2], 2));

  u[0] = v16_mul (w[0], six);
  u[1] = v16_add (outer, w[1]);
  u[2] = v16_sub (outer, w[1]);
  u[3] = v16_add (far, twice);
  u[4] = v16_sub (far, twice);
  u[5] = v16_mul (w[2], six);
}

/* F = A m. */
LANES_INLINE void
transform_output (const WinogradVector *m, WinogradVector *f)
{
  const WinogradVector s = v32_add (m[1], m[2]), d = v32_sub (m[1], m[2]);
  const WinogradVector p = v32_add (m[3], m[4]), q = v32_sub (m[3], m[4]);

  f[0] = v32_add (v32_sub (m[0], v32_shl (s, 2)), p);
  f[1] = v32_sub (q, v32_shl (d, 1));
  f[2] = v32_sub (p, s);
  f[3] = v32_add (v32_sub (v32_shl (q, 1), d), m[5]);
}

/* Line i of the outputs, from the columns of A m. */
LANES_INLINE void
transform_line (WinogradVector (*t)[WINOGRAD_OUT], const int i, WinogradVector *y)
{
  static const int shifts[WINOGRAD_OUT] = WINOGRAD_SHIFTS;
  WinogradVector line[WINOGRAD_IN];

  IGEMM_EACH (j, WINOGRAD_IN)
    line[j] = t[j][i];
  transform_output (line, y);
  IGEMM_EACH (j, WINOGRAD_OUT) {
    y[j] = v32_mul (y[j], v32_set (WINOGRAD_INV_9));
    y[j] = v32_sar (y[j], shifts[i] + shifts[j]);
  }
}
