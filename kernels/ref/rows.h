/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* rows.h: the one order in which a row of floats is summed (KERNEL_ROW_LANES). */
#pragma once

#include "kernels/kernels.h"

static inline float
kernel_row_total (float *partial)
{
  for (int half = KERNEL_ROW_LANES / 2; half > 0; half /= 2)
    for (int i = 0; i < half; i++)
      partial[i] += partial[i + half];
  return partial[0];
}
