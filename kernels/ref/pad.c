/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pad.c: reference of pad_s8 and pad_f32: constant padding.
 */
#include "kernels/backend.h"

#include <string.h>

/* `index` counts y's positions like an odometer, the last axis fastest; those that lie inside x
 * take x's elements in order. */
static void
pad (const KernelPad *args, const void *value, size_t element)
{
  const char *x = args->x;
  char *y = args->y;
  int index[KERNEL_MAX_RANK] = {0};
  size_t size = 1;

  for (int axis = 0; axis < args->rank; axis++)
    size *= (size_t)args->before[axis] + args->dims[axis] + args->after[axis];
  for (size_t i = 0; i < size; i++, y += element) {
    bool inside = true;

    for (int axis = 0; axis < args->rank; axis++)
      inside = inside && index[axis] >= args->before[axis] &&
               index[axis] < args->before[axis] + args->dims[axis];
    memcpy (y, inside ? x : value, element);
    x += inside ? element : 0;
    for (int axis = args->rank - 1; axis >= 0; axis--) {
      if (++index[axis] < args->before[axis] + args->dims[axis] + args->after[axis])
        break;
      index[axis] = 0;
    }
  }
}

void
kernel_pad_s8_ref (const KernelPad *args, KernelQueue *queue)
{
  pad (args, &args->value_s8, sizeof args->value_s8);
}

void
kernel_pad_f32_ref (const KernelPad *args, KernelQueue *queue)
{
  pad (args, &args->value_f32, sizeof args->value_f32);
}
