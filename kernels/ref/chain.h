/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * chain.h: the sum of conv_f32, product by product (kernels.h).
 */
#pragma once

#include "kernels/kernels.h"

#include <math.h>

typedef struct {
  float total; /* of the chains before this one, if there are any */
  float t;     /* of this chain; the first begins with the bias */
  int left;    /* products that this chain has room for */
  bool first;
} RefChain;

static inline RefChain
ref_chain_begin (float b)
{
  return (RefChain){.t = b, .left = KERNEL_CHAIN, .first = true};
}

static inline float
ref_chain_sum (const RefChain *chain)
{
  return chain->first ? chain->t : chain->total + chain->t;
}

static inline void
ref_chain_add (RefChain *chain, float x, float w)
{
  if (chain->left == 0)
    *chain = (RefChain){.total = ref_chain_sum (chain), .left = KERNEL_CHAIN};
  chain->t = fmaf (x, w, chain->t);
  chain->left--;
}
