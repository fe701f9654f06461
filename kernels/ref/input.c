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

/* Value i of the tensor, which is at (row, col) of channel k. */
static inline size_t
entry (const KernelInput *p, size_t i, int row, int col, int k)
{
  const int x = pixel (&p->in[k], row, col);

  return p->mean ? (size_t) k * KERNEL_INPUT_DIFFERENCES + (size_t) (x - p->mean[i] + 255)
                 : (size_t) k * KERNEL_INPUT_LEVELS + (size_t) x;
}

void
kernel_input_s8_ref (const KernelInput *p, KernelQueue *queue)
{
  const int8_t *table = p->table;
  int8_t *y = p->y;
  size_t i = 0;

  for (int row = 0; row < p->height; row++)
    for (int col = 0; col < p->width; col++)
      for (int k = 0; k < p->channels; k++, i++)
        y[i] = table[entry (p, i, row, col, k)];
}

void
kernel_input_f32_ref (const KernelInput *p, KernelQueue *queue)
{
  const float *table = p->table;
  float *y = p->y;
  size_t i = 0;

  for (int row = 0; row < p->height; row++)
    for (int col = 0; col < p->width; col++)
      for (int k = 0; k < p->channels; k++, i++)
        y[i] = table[entry (p, i, row, col, k)];
}
