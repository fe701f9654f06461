/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pad.c: reference of pad_s8, pad_f16 and pad_f32: constant padding.
 */
#include "kernels/backend.h"
#include "kernels/half.h"

#include <string.h>

static char *
fill (char *y, const void *value, size_t element, size_t count)
{
  for (size_t i = 0; i < count; i++, y += element)
    memcpy (y, value, element);
  return y;
}

/* Whether a position on every axis but the last lies inside x. */
static bool
is_inside (const KernelPad *args, const int *index)
{
  for (int axis = 0; axis < args->rank - 1; axis++)
    if (index[axis] < args->before[axis] || index[axis] >= args->before[axis] + args->dims[axis])
      return false;
  return true;
}

static int
padded (const KernelPad *args, int axis)
{
  return args->before[axis] + args->dims[axis] + args->after[axis];
}

/* Row by row of y: `index` counts them like an odometer, and those inside take x's in order. */
static void
pad (const KernelPad *args, const void *value, size_t element)
{
  const int last = args->rank - 1;
  const char *x = args->x;
  char *y = args->y;
  int index[KERNEL_MAX_RANK] = {0};
  size_t rows = 1;

  for (int axis = 0; axis < last; axis++)
    rows *= padded (args, axis);
  for (size_t row = 0; row < rows; row++) {
    if (is_inside (args, index)) {
      y = fill (y, value, element, args->before[last]);
      memcpy (y, x, args->dims[last] * element);
      x += args->dims[last] * element;
      y = fill (y + args->dims[last] * element, value, element, args->after[last]);
    } else {
      y = fill (y, value, element, padded (args, last));
    }
    for (int axis = last - 1; axis >= 0; axis--) {
      if (++index[axis] < padded (args, axis))
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
kernel_pad_f16_ref (const KernelPad *args, KernelQueue *queue)
{
  const KernelHalf value = kernel_half_of_f32 (args->value_f32);

  pad (args, &value, sizeof value);
}

void
kernel_pad_f32_ref (const KernelPad *args, KernelQueue *queue)
{
  pad (args, &args->value_f32, sizeof args->value_f32);
}
