/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * resize.c: resize_u8, the specification. Two passes over bytes, each the weighted sum of its taps
 * plus one half; the sum of the weights is 1 but for rounding, so int32 holds it easily.
 */
#include "kernels/backend.h"
#include "kernels/resize.h"

#include <string.h>

static void
resize_row (const KernelResizeAxis *axis, int channels, const uint8_t *x, uint8_t *y)
{
  for (int i = 0; i < axis->out; i++) {
    const int32_t *weight = &axis->weight[(size_t) i * axis->taps];
    const uint8_t *pixel = &x[(size_t) axis->first[i] * channels];

    for (int k = 0; k < channels; k++) {
      int32_t sum = KERNEL_RESIZE_HALF;

      for (int t = 0; t < axis->count[i]; t++)
        sum += weight[t] * pixel[t * channels + k];
      *y++ = kernel_resize_clip (sum);
    }
  }
}

/* One output row from `count` rows that start at x. */
static void
resize_column (const int32_t *weight, int count, size_t width, const uint8_t *x, ptrdiff_t x_stride,
    uint8_t *y)
{
  for (size_t i = 0; i < width; i++) {
    int32_t sum = KERNEL_RESIZE_HALF;

    for (int t = 0; t < count; t++)
      sum += weight[t] * x[t * x_stride + (ptrdiff_t) i];
    y[i] = kernel_resize_clip (sum);
  }
}

void
kernel_resize_u8_ref (const KernelResize *p, KernelQueue *queue)
{
  const KernelResizeAxis *h = p->h, *v = p->v;
  const size_t width = (size_t) h->out * p->channels;
  const bool skip_h = h->identity, skip_v = v->identity;
  uint8_t *rows = skip_v ? p->y : p->scratch;
  const ptrdiff_t rows_stride = skip_v ? p->y_stride : (ptrdiff_t) width;

  if (!skip_h)
    for (int i = v->begin; i < v->end; i++)
      resize_row (h, p->channels, p->x + i * p->x_stride, rows + (i - v->begin) * rows_stride);
  if (skip_v && !skip_h)
    return;

  for (int i = 0; i < v->out; i++) {
    uint8_t *y = p->y + i * p->y_stride;

    if (skip_v)
      memcpy (y, p->x + i * p->x_stride, width);
    else if (skip_h)
      resize_column (&v->weight[(size_t) i * v->taps], v->count[i], width,
          p->x + v->first[i] * p->x_stride, p->x_stride, y);
    else
      resize_column (&v->weight[(size_t) i * v->taps], v->count[i], width,
          rows + (v->first[i] - v->begin) * rows_stride, rows_stride, y);
  }
}
