/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-s8.c: reference of conv_s8 and conv_s8_f32: convolution, depthwise and fully connected.
 */
#include "kernels/backend.h"
#include "kernels/requant.h"

#include <string.h>

/* Packed weights are the plain weights. */
size_t
kernel_conv_s8_pack_ref (const KernelConvShape *s, int8_t zero_x, const int8_t *w, void *packed)
{
  const size_t size = (size_t) s->oc * s->kh * s->kw * (s->ic / s->groups);

  if (packed)
    memcpy (packed, w, size);
  return size;
}

static size_t
count_outputs (const KernelConvShape *s)
{
  return (size_t) s->n * s->oh * s->ow * s->oc;
}

/* The accumulator of output i in NHWC order. */
static int32_t
accumulate (const KernelConvS8 *args, size_t i)
{
  const KernelConvShape *s = &args->shape;
  const int oc = i % s->oc, ow = i / s->oc % s->ow, oh = i / s->oc / s->ow % s->oh;
  const size_t n = i / s->oc / s->ow / s->oh;
  const int ic_of_group = s->ic / s->groups, oc_of_group = s->oc / s->groups;
  const int8_t *w = (const int8_t *) args->w + (size_t) oc * s->kh * s->kw * ic_of_group;
  int32_t acc = 0;

  for (int kh = 0; kh < s->kh; kh++) {
    for (int kw = 0; kw < s->kw; kw++, w += ic_of_group) {
      const int ih = oh * s->stride_h - s->pad_top + kh * s->dilation_h;
      const int iw = ow * s->stride_w - s->pad_left + kw * s->dilation_w;
      const bool inside = ih >= 0 && ih < s->ih && iw >= 0 && iw < s->iw;
      const size_t pixel = inside ? (n * s->ih + ih) * s->iw + iw : 0;
      const int8_t *x = args->x + pixel * s->ic + oc / oc_of_group * ic_of_group;

      for (int ic = 0; ic < ic_of_group; ic++)
        acc += (inside ? x[ic] : args->zero_x) * w[ic];
    }
  }
  return acc;
}

void
kernel_conv_s8_ref (const KernelConvS8 *args, KernelQueue *queue)
{
  int8_t *y = args->y;

  for (size_t i = 0; i < count_outputs (&args->shape); i++) {
    const int oc = i % args->shape.oc;
    float t = fmaf ((float) accumulate (args, i), args->m[oc], args->b[oc]);

    if (args->r)
      t = fmaf ((float) args->r[i], args->mr, t);
    y[i] = kernel_round_s8 (t, args->lo, args->hi);
  }
}

void
kernel_conv_s8_f32_ref (const KernelConvS8 *args, KernelQueue *queue)
{
  float *y = args->y;

  for (size_t i = 0; i < count_outputs (&args->shape); i++) {
    const int oc = i % args->shape.oc;

    y[i] = fmaf ((float) accumulate (args, i), args->m[oc], args->b[oc]);
  }
}
