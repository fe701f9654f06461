/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * yuv.c: yuv_rgb_u8, the specification. With |matrix| < 2^18 the sum stays below 2^28.
 */
#include "kernels/backend.h"

void
kernel_yuv_rgb_u8_ref (const KernelYuv *p, KernelQueue *queue)
{
  for (int row = 0; row < p->height; row++) {
    uint8_t *y = p->y + row * p->y_stride;

    for (int col = 0; col < p->width; col++) {
      int32_t in[3];

      for (int j = 0; j < 3; j++)
        in[j] =
            p->in[j].data[row * p->in[j].stride + (ptrdiff_t) col * p->in[j].step] - p->offset[j];
      for (int i = 0; i < 3; i++) {
        int32_t v = 1 << 15;

        for (int j = 0; j < 3; j++)
          v += p->matrix[i][j] * in[j];
        v >>= 16;
        *y++ = (uint8_t) (v < 0 ? 0 : v > 255 ? 255 : v);
      }
    }
  }
}
