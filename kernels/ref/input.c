/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * input.c: input_s8 and input_f32, the specification: pixels to the input tensor through tables.
 */
#include "kernels/backend.h"

static inline uint8_t
pixel (const KernelComponent *in, int row, int col)
{
  return in->data[row * in->stride + (ptrdiff_t) col * in->step];
}

void
kernel_input_s8_ref (const KernelInput *p, KernelQueue *queue)
{
  const int8_t (*table)[256] = p->table;
  int8_t *y = p->y;

  for (int row = 0; row < p->height; row++)
    for (int col = 0; col < p->width; col++)
      for (int k = 0; k < p->channels; k++)
        *y++ = table[k][pixel (&p->in[k], row, col)];
}

void
kernel_input_f32_ref (const KernelInput *p, KernelQueue *queue)
{
  const float (*table)[256] = p->table;
  float *y = p->y;

  for (int row = 0; row < p->height; row++)
    for (int col = 0; col < p->width; col++)
      for (int k = 0; k < p->channels; k++)
        *y++ = table[k][pixel (&p->in[k], row, col)];
}
