/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * winograd-pack.c: the weights of winograd.h, still int8: U would be eight times as large, and comes
 * sooner from its nine weights than from memory.
 *
 * Packed: for every block of IGEMM_NR output channels
 *             int8_t w[pairs of input channels][3][3][IGEMM_NR][2]   0 beyond the last of either
 *         a pixel of padding
 */
#include "kernels/cpu/winograd.h"

#include <string.h>

bool
kernel_winograd_fits (const KernelConvShape *shape)
{
  return shape->kh == 3 && shape->kw == 3 && shape->stride_h == 1 && shape->stride_w == 1 &&
         shape->dilation_h == 1 && shape->dilation_w == 1 && shape->groups == 1;
}

WinogradPacked
kernel_winograd_packed (const KernelConvShape *shape)
{
  const int parts = kernel_divide_up (shape->ic, WINOGRAD_CHANNELS);
  WinogradPacked packed = {.pairs = kernel_divide_up (shape->ic, 2)};

  packed.part =
      kernel_divide_up (kernel_divide_up (shape->ic, parts), WINOGRAD_ROUND) * WINOGRAD_ROUND;
  packed.block = (size_t) packed.pairs * WINOGRAD_PAIR;
  packed.padding = kernel_divide_up (shape->oc, IGEMM_NR) * packed.block;
  packed.size = packed.padding + shape->ic;
  return packed;
}

size_t
kernel_winograd_pack (const KernelConvShape *shape, int8_t zero_x, const int8_t *w, void *memory)
{
  const WinogradPacked packed = kernel_winograd_packed (shape);
  int8_t *to = memory;

  if (!memory)
    return packed.size;
  memset (to, 0, packed.padding);
  memset (to + packed.padding, zero_x, shape->ic);
  for (int k = 0; k < shape->oc; k++) {
    int8_t *block = to + k / IGEMM_NR * packed.block + k % IGEMM_NR * 2;

    for (int tap = 0; tap < 9; tap++)
      for (int c = 0; c < shape->ic; c++)
        block[(size_t) c / 2 * WINOGRAD_PAIR + tap * IGEMM_NR * 2 + c % 2] = *w++;
  }
  return packed.size;
}
