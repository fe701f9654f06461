/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * winograd_avxvnni.c: winograd.h with the 256-bit vpdpwssd of CPUs that need not have AVX-512. The
 * transforms are AVX2's.
 */
#define WINOGRAD_DOT(sums, v, u) _mm256_dpwssd_avx_epi32 (sums, v, u)
#include "kernels/cpu/winograd_avx2.h"

const WinogradKind kernel_winograd_s8_avxvnni = {
    .input = kernel_winograd_input_avx2,
    .weights = kernel_winograd_weights_avx2,
    .product = winograd_product,
    .output = kernel_winograd_output_avx2,
    .direct = 1.2f,
    .group = 1,
    .grain = 1 << 19,
};
