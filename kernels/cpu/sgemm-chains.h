/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sgemm-chains.h: the chains of conv_f32 (kernels.h) in a tile of IGEMM_NR channels. Who includes it has
 * defined, for its instruction set:
 *
 *     SgemmVector, SGEMM_VECTORS   a register, and how many make a block
 *     sgemm_zero ()  sgemm_add (a, b)  sgemm_load (p)  sgemm_store (p, a)      p: of the tile's totals
 *     add_product (acc, x, w, k, mr)   product k of the rows x, with the weights w
 */
#pragma once

#include "kernels/cpu/igemm.h"

#define SGEMM_LANES (IGEMM_NR / SGEMM_VECTORS)

/* Ends a chain, and begins the next. */
LANES_INLINE void
end_chain (const IgemmTile *t, SgemmVector (*acc)[SGEMM_VECTORS], bool first, const int mr)
{
  float *total = t->totals;

  IGEMM_EACH (i, mr) {
    IGEMM_EACH (j, SGEMM_VECTORS) {
      sgemm_store (total, first ? acc[i][j] : sgemm_add (sgemm_load (total), acc[i][j]));
      acc[i][j] = sgemm_zero ();
      total += SGEMM_LANES;
    }
  }
}

/* The sums of all chains, the last of which is not ended. */
LANES_INLINE void
add_totals (const IgemmTile *t, SgemmVector (*acc)[SGEMM_VECTORS], const int mr)
{
  const float *total = t->totals;

  IGEMM_EACH (i, mr) {
    IGEMM_EACH (j, SGEMM_VECTORS) {
      acc[i][j] = sgemm_add (sgemm_load (total), acc[i][j]);
      total += SGEMM_LANES;
    }
  }
}

LANES_INLINE void
find_rows (const IgemmTile *t, int tap, const float **x, const int mr)
{
  IGEMM_EACH (i, mr)
    x[i] = t->rows[tap * IGEMM_MR + i];
}

/* All of few products. What add_chains() keeps count of would take some percent of their time. */
LANES_INLINE void
add_chain (const IgemmTile *t, SgemmVector (*acc)[SGEMM_VECTORS], const int mr)
{
  const float *w = t->w, *x[IGEMM_MR];

  for (int tap = 0; tap < t->taps; tap++, w += t->run * IGEMM_NR) {
    find_rows (t, tap, x, mr);
    for (int k = 0; k < t->run; k++)
      add_product (acc, x, w + k * IGEMM_NR, k, mr);
  }
}

/* Two products at once: loops of up to 96 turns end as predicted, longer ones do not. */
LANES_INLINE void
add_chains (const IgemmTile *t, SgemmVector (*acc)[SGEMM_VECTORS], const int mr)
{
  const float *w = t->w, *x[IGEMM_MR];
  int left = KERNEL_CHAIN;
  bool first = true;

  for (int tap = 0; tap < t->taps; tap++) {
    find_rows (t, tap, x, mr);
    for (int k = 0, end; k < t->run; k = end) {
      if (left == 0) {
        end_chain (t, acc, first, mr);
        first = false;
        left = KERNEL_CHAIN;
      }
      end = kernel_min_int (t->run, k + left);
      left -= end - k;
      for (; k + 2 <= end; k += 2, w += 2 * IGEMM_NR) {
        add_product (acc, x, w, k, mr);
        add_product (acc, x, w + IGEMM_NR, k + 1, mr);
      }
      if (k < end) {
        add_product (acc, x, w, k, mr);
        w += IGEMM_NR;
      }
    }
  }
  add_totals (t, acc, mr);
}

/* The sums of the tile's products, added to acc. */
LANES_INLINE void
add_products (const IgemmTile *t, SgemmVector (*acc)[SGEMM_VECTORS], const int mr)
{
  if (t->taps * t->run <= KERNEL_CHAIN)
    add_chain (t, acc, mr);
  else
    add_chains (t, acc, mr);
}
