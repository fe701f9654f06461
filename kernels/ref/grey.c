/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * grey.c: grey_u8, the specification. The weights sum to 2^16: white stays white.
 */
#include "kernels/backend.h"

void
kernel_grey_u8_ref (const KernelGrey *p, KernelQueue *queue)
{
  static const int32_t weight[3] = {19595, 38470, 7471};

  for (int row = 0; row < p->height; row++) {
    uint8_t *y = p->y + row * p->y_stride;

    for (int col = 0; col < p->width; col++) {
      int32_t v = 1 << 15;

      for (int j = 0; j < 3; j++)
        v += weight[j] * p->in[j].data[row * p->in[j].stride + (ptrdiff_t) col * p->in[j].step];
      y[col] = (uint8_t) (v >> 16);
    }
  }
}
