/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* shapes.h: data of many shapes, and its histogram. */
#pragma once

#include "tests/calib/common.h"

#define N_SHAPES 10

/* Data of many shapes: dense and sparse, signed and not, on grids, with outliers. */
static inline CalibHistogram *
make_shape (guint shape, CalibHistogramFlags flags, guint n, float *x)
{
  Random r = {shape};
  CalibHistogram *h = calib_histogram_new (0, flags);
  for (guint i = 0; i < n; i++) {
    const double g = random_normal (&r), u = random_unit (&r);
    x[i] = (float[N_SHAPES]){
        (float) g,                                      /* dense, signed */
        (float) fmax (0, g * 3.7),                      /* behind a ReLU */
        (float) (-log (u) * (g > 0 ? 1 : -0.1)),        /* long tail, lopsided */
        (float) random_below (&r, 256) / 255.0f,        /* pixels */
        (float) ((int) random_below (&r, 256) - 123),   /* pixels less a mean */
        (float) (u < 0.999 ? fmax (0, g) : 40 * u * u), /* outliers */
        (float) (u * 1e-20),                            /* small numbers, uniform */
        (float) (g * g * g * 1e15),                     /* large numbers, peaked */
        (float) (u < 0.97 ? 0 : u),                     /* nearly all zeros */
        (float) (1 + floor (u * 3)),                    /* three values */
    }[shape];
  }
  calib_histogram_add (h, x, n);
  return h;
}
