/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * transpose.c: reference of transpose_s8, transpose_f16 and transpose_f32.
 */
#include "kernels/backend.h"

#include <string.h>

/* `index` counts y's positions like an odometer, the last axis fastest; each is looked up in x. */
static void
transpose (const KernelTranspose *args, size_t element)
{
  size_t x_stride[KERNEL_MAX_RANK], size = 1;
  int index[KERNEL_MAX_RANK] = {0};

  for (int axis = args->rank - 1; axis >= 0; axis--) {
    x_stride[axis] = size;
    size *= args->dims[axis];
  }
  for (size_t i = 0; i < size; i++) {
    size_t offset = 0;

    for (int axis = 0; axis < args->rank; axis++)
      offset += index[axis] * x_stride[args->perm[axis]];
    memcpy ((char *) args->y + i * element, (const char *) args->x + offset * element, element);
    for (int axis = args->rank - 1; axis >= 0; axis--) {
      if (++index[axis] < args->dims[args->perm[axis]])
        break;
      index[axis] = 0;
    }
  }
}

void
kernel_transpose_s8_ref (const KernelTranspose *args, KernelQueue *queue)
{
  transpose (args, sizeof (int8_t));
}

void
kernel_transpose_f16_ref (const KernelTranspose *args, KernelQueue *queue)
{
  transpose (args, sizeof (KernelHalf));
}

void
kernel_transpose_f32_ref (const KernelTranspose *args, KernelQueue *queue)
{
  transpose (args, sizeof (float));
}
