/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * winograd_avx2.h: the products of winograd.h in registers of 256 bits. The file that includes this
 * defines WINOGRAD_DOT (sums, v, u): 2 products of 8 channels added to their sums.
 *
 * 6 tiles x 1 block of 16 channels, as the direct kernels: 12 registers of sums, 2 of weights, 1 of
 * V, and 1 of products where the instruction does not add.
 */
#pragma once

#include "kernels/cpu/lanes_avx2.h"
#include "kernels/cpu/winograd.h"

LANES_INLINE void
winograd_multiply (const WinogradProduct *p, const int16_t *v, int32_t *m, const int mr)
{
  const int16_t *u = p->u;
  __m256i acc[IGEMM_MR][2];

  IGEMM_EACH (i, mr)
    acc[i][0] = acc[i][1] = _mm256_setzero_si256 ();
  for (int k = 0; k < p->pairs; k++, u += IGEMM_NR * 2, v += 2) {
    const __m256i u0 = _mm256_loadu_si256 ((const __m256i *) u);
    const __m256i u1 = _mm256_loadu_si256 ((const __m256i *) (u + 16));

    IGEMM_EACH (i, mr) {
      int32_t two;

      memcpy (&two, v + i * p->v_stride, sizeof two);
      acc[i][0] = WINOGRAD_DOT (acc[i][0], _mm256_set1_epi32 (two), u0);
      acc[i][1] = WINOGRAD_DOT (acc[i][1], _mm256_set1_epi32 (two), u1);
    }
  }
  IGEMM_EACH (i, mr) {
    _mm256_storeu_si256 ((__m256i *) (m + i * WINOGRAD_M), acc[i][0]);
    _mm256_storeu_si256 ((__m256i *) (m + i * WINOGRAD_M + 8), acc[i][1]);
  }
}

/* clang-format off */
static void
winograd_product (const WinogradProduct *p)
{
  const int16_t *v = p->v;
  int32_t *m = p->m;

  for (int left = p->tiles; left > 0;) {
    const int calls = (left + IGEMM_MR - 1) / IGEMM_MR, mr = (left + calls - 1) / calls;

    switch (mr) {
    case 1: winograd_multiply (p, v, m, 1); break;
    case 2: winograd_multiply (p, v, m, 2); break;
    case 3: winograd_multiply (p, v, m, 3); break;
    case 4: winograd_multiply (p, v, m, 4); break;
    case 5: winograd_multiply (p, v, m, 5); break;
    case 6: winograd_multiply (p, v, m, 6); break;
    }
    left -= mr;
    v += mr * p->v_stride;
    m += mr * WINOGRAD_M;
  }
}
/* clang-format on */
