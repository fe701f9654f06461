/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * make-statistics.h: statistics of a few tensors, awkward ones among them, for the tests of their file.
 */
#pragma once

#include "tests/calib/common.h"

#define MODEL "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static inline CalibStatistics *
make_statistics (CalibHistogramFlags flags, guint64 seed)
{
  const CalibProvenance provenance = {(char *) MODEL, NULL, (char *) "camera 1", (char *) "test",
      7};
  CalibStatistics *s = calib_statistics_new (&provenance, flags);
  Random r = {seed};
  float x[600];
  const char *names[] = {"(Unnamed Layer* 0) [Convolution]_output", "input:0", "zeros", "", "nan"};
  for (guint t = 0; t < G_N_ELEMENTS (names); t++) {
    CalibHistogram *h = calib_statistics_tensor (s, names[t], t == 1 ? 0 : t + 1);
    for (guint batch = 0; batch < 3 && t != 3; batch++) {
      for (guint i = 0; i < 600; i++)
        x[i] = t == 2   ? 0
               : t == 4 ? random_awkward (&r)
                        : (float) (random_normal (&r) * (batch + 1));
      calib_histogram_add (h, x, 600);
    }
  }
  return s;
}
