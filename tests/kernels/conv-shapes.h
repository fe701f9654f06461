/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-shapes.h: the shapes on which convolutions are tested.
 */
#pragma once

#include "tests/kernels/harness.h"

/* Shape i of the ordinary ones: named special cases first, then channel and pixel counts around
 * the tiles that kernels have, then random ones. False when there are no more. */
bool conv_shape (Harness *h, int i, KernelConvShape *shape);

/* Long sums, up to the 131072 products that the planner allows. */
bool conv_shape_large (int i, KernelConvShape *shape);

/* Layers of known networks. */
bool conv_shape_bench (int i, KernelConvShape *shape);

size_t conv_count_inputs (const KernelConvShape *shape);
size_t conv_count_outputs (const KernelConvShape *shape);
size_t conv_count_weights (const KernelConvShape *shape);
int conv_describe (char *text, size_t size, const KernelConvShape *shape);
/* Packed weights and scratch belong to one tactic: `largest` with that of the shape to be called. */
KernelConvShape conv_with_tactic (const KernelConvShape *largest, const KernelConvShape *called);

typedef enum { NO_RESIDUAL, RESIDUAL, RESIDUAL_IN_PLACE } Residual;
const char *conv_residual_name (Residual residual); /* ", residual" */
