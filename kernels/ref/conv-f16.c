/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-f16.c: reference of conv_f16: conv_f32 of halves, rounded once.
 */
#include "kernels/backend.h"
#include "kernels/half.h"
#include "kernels/ref/chain.h"

/* In the order of the plain weights. */
size_t
kernel_conv_f16_pack_ref (const KernelConvShape *s, const float *w, void *packed)
{
  const size_t count = (size_t) s->oc * s->kh * s->kw * (s->ic / s->groups);
  KernelHalf *half = packed;

  for (size_t i = 0; packed && i < count; i++)
    half[i] = kernel_half_of_f32 (w[i]);
  return count * sizeof *half;
}

/* The sum of output i in NHWC order, bias included. */
static float
accumulate (const KernelConvF16 *args, size_t i)
{
  const KernelConvShape *s = &args->shape;
  const int oc = i % s->oc, ow = i / s->oc % s->ow, oh = i / s->oc / s->ow % s->oh;
  const size_t n = i / s->oc / s->ow / s->oh;
  const int ic_of_group = s->ic / s->groups, oc_of_group = s->oc / s->groups;
  const KernelHalf *w = (const KernelHalf *) args->w + (size_t) oc * s->kh * s->kw * ic_of_group;
  RefChain chain = ref_chain_begin (args->b[oc]);

  for (int kh = 0; kh < s->kh; kh++) {
    for (int kw = 0; kw < s->kw; kw++, w += ic_of_group) {
      const int ih = oh * s->stride_h - s->pad_top + kh * s->dilation_h;
      const int iw = ow * s->stride_w - s->pad_left + kw * s->dilation_w;
      const bool inside = ih >= 0 && ih < s->ih && iw >= 0 && iw < s->iw;
      const size_t pixel = inside ? (n * s->ih + ih) * s->iw + iw : 0;
      const KernelHalf *x = args->x + pixel * s->ic + oc / oc_of_group * ic_of_group;

      for (int ic = 0; ic < ic_of_group; ic++)
        ref_chain_add (&chain, inside ? kernel_half_to_f32 (x[ic]) : 0.0f,
            kernel_half_to_f32 (w[ic]));
    }
  }
  return ref_chain_sum (&chain);
}

void
kernel_conv_f16_ref (const KernelConvF16 *args, KernelQueue *queue)
{
  const KernelConvShape *s = &args->shape;

  for (size_t i = 0; i < (size_t) s->n * s->oh * s->ow * s->oc; i++) {
    float t = accumulate (args, i);

    if (args->r)
      t = t + kernel_half_to_f32 (args->r[i]);
    args->y[i] = kernel_half_of_f32 (kernel_clamp_f32 (t, args->lo, args->hi));
  }
}
