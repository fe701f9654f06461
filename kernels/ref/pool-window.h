/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pool-window.h: the part of a pool's window that lies inside the input, for one output pixel.
 */
#pragma once

#include "kernels/kernels.h"
#include "kernels/requant.h"

/* Taps kh0 .. kh1 - 1 and kw0 .. kw1 - 1 lie inside; tap (kh, kw) is input pixel
 * (ih + kh * dilation_h, iw + kw * dilation_w). */
typedef struct {
  int ih, iw;
  int kh0, kh1, kw0, kw1;
  int divisor; /* d of KernelPoolShape */
} KernelPoolWindow;

/* One axis: of `k` taps, the first one at input `start`, those inside 0 .. in - 1. */
KERNEL_INLINE void
kernel_pool_cut (int start, int k, int dilation, int in, int *k0, int *k1)
{
  *k0 = start < 0 ? (-start + dilation - 1) / dilation : 0;
  *k1 = start + (k - 1) * dilation < in ? k : (in - start + dilation - 1) / dilation;
}

KERNEL_INLINE KernelPoolWindow
kernel_pool_window (const KernelPoolShape *s, int oh, int ow)
{
  KernelPoolWindow w = {.ih = oh * s->stride_h - s->pad_top, .iw = ow * s->stride_w - s->pad_left};

  kernel_pool_cut (w.ih, s->kh, s->dilation_h, s->ih, &w.kh0, &w.kh1);
  kernel_pool_cut (w.iw, s->kw, s->dilation_w, s->iw, &w.kw0, &w.kw1);
  if (s->include_pad) { /* dilation is 1 */
    const int rows = s->ih + s->pad_bottom - w.ih, columns = s->iw + s->pad_right - w.iw;

    w.divisor = (rows < s->kh ? rows : s->kh) * (columns < s->kw ? columns : s->kw);
  } else {
    w.divisor = (w.kh1 - w.kh0) * (w.kw1 - w.kw0);
  }
  return w;
}

/* Index of channel 0 of tap (kh, kw) in image n. */
KERNEL_INLINE size_t
kernel_pool_index (const KernelPoolShape *s, const KernelPoolWindow *w, size_t n, int kh, int kw)
{
  const int ih = w->ih + kh * s->dilation_h, iw = w->iw + kw * s->dilation_w;

  return ((n * s->ih + ih) * s->iw + iw) * s->c;
}
