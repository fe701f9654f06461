/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-f32.c: reference of conv_f32. Chains of fused multiply-adds per output, in (kh, kw, ic)
 * order; a padded position is a step with x = 0, not a step left out: 0 * infinity is NaN and
 * -0 + 0 is +0.
 */
#include "kernels/backend.h"
#include "kernels/ref/chain.h"
#include "kernels/requant.h"

#include <string.h>

/* Packed weights are the plain weights. */
size_t
kernel_conv_f32_pack_ref (const KernelConvShape *s, const float *w, void *packed)
{
  const size_t size = (size_t) s->oc * s->kh * s->kw * (s->ic / s->groups) * sizeof *w;

  if (packed)
    memcpy (packed, w, size);
  return size;
}

/* The sum of output i in NHWC order, bias included. */
static float
accumulate (const KernelConvF32 *args, size_t i)
{
  const KernelConvShape *s = &args->shape;
  const int oc = i % s->oc, ow = i / s->oc % s->ow, oh = i / s->oc / s->ow % s->oh;
  const size_t n = i / s->oc / s->ow / s->oh;
  const int ic_of_group = s->ic / s->groups, oc_of_group = s->oc / s->groups;
  const float *w = (const float *) args->w + (size_t) oc * s->kh * s->kw * ic_of_group;
  RefChain chain = ref_chain_begin (args->b[oc]);

  for (int kh = 0; kh < s->kh; kh++) {
    for (int kw = 0; kw < s->kw; kw++, w += ic_of_group) {
      const int ih = oh * s->stride_h - s->pad_top + kh * s->dilation_h;
      const int iw = ow * s->stride_w - s->pad_left + kw * s->dilation_w;
      const bool inside = ih >= 0 && ih < s->ih && iw >= 0 && iw < s->iw;
      const size_t pixel = inside ? (n * s->ih + ih) * s->iw + iw : 0;
      const float *x = args->x + pixel * s->ic + oc / oc_of_group * ic_of_group;

      for (int ic = 0; ic < ic_of_group; ic++)
        ref_chain_add (&chain, inside ? x[ic] : 0.0f, w[ic]);
    }
  }
  return ref_chain_sum (&chain);
}

void
kernel_conv_f32_ref (const KernelConvF32 *args, KernelQueue *queue)
{
  const KernelConvShape *s = &args->shape;

  for (size_t i = 0; i < (size_t) s->n * s->oh * s->ow * s->oc; i++) {
    float t = accumulate (args, i);

    if (args->r)
      t = t + args->r[i];
    args->y[i] = kernel_clamp_f32 (t, args->lo, args->hi);
  }
}
