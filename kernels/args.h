/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * args.h: the arguments of every kernel, and what it computes from them. Layout, units and what all kernels
 * have in common are at the top of kernels.h, which includes this; those of pictures are in pixels.h, of
 * calibration in counts.h.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/counts.h"
#include "kernels/pixels.h"

#ifdef __cplusplus
extern "C" {
#endif

#define KERNEL_MAX_RANK 6

/* --- Convolution, depthwise convolution, fully connected ----------------------------------- */

/* A fully connected layer is a convolution whose window is its whole input. Padding at the bottom
 * and right follows from oh and ow. The planner guarantees kh * kw * (ic / groups) <= 131072, so
 * that an int32 accumulator cannot overflow, and that every window touches at least one pixel. */
typedef struct {
  int n, ih, iw, ic, oh, ow, oc, kh, kw;
  int stride_h, stride_w;
  int dilation_h, dilation_w;
  int pad_top, pad_left;
  int groups; /* divides ic and oc; groups == ic == oc is depthwise */
  int tactic; /* which of the back end's ways: 0, its own choice, or one that conv_*_tactic() names.
                 Packed weights belong to one; results do not depend on it, but see conv_f32. */
  int threads; /* that a call will have, as far as is known: tactic 0 heeds it, and weights packed with
                  it belong to it too. 0: one. */
} KernelConvShape;

/* conv_s8:      acc = sum x_q * w_q                    int32; padded positions count zero_x * w_q
 *               t   = fmaf ((float) acc, m[k], b[k])
 *               t   = fmaf ((float) r_q, mr, t)        where r is given
 *               y_q = clamp (rintf (t), lo, hi)
 * conv_s8_f32:  y   = fmaf ((float) acc, m[k], b[k])   the last layer: float logits; no r, lo, hi */
typedef struct {
  KernelConvShape shape;
  const int8_t *x;
  const void *w;   /* made by the same back end's conv_s8_pack() */
  const float *m;  /* [oc] s_x * s_w[k] / s_y */
  const float *b;  /* [oc] bias and zero points, in units of s_y */
  const int8_t *r; /* [n][oh][ow][oc] residual, or NULL; may be y itself */
  float mr;        /* s_r / s_y */
  void *y;         /* int8_t or float */
  void *scratch;   /* conv_s8_scratch() bytes, contents free */
  int8_t zero_x, lo, hi;
} KernelConvS8;

/* conv_f32:     t = fmaf (x, w, t) in the order (kh, kw, ic), padded positions as x = 0, in chains of
 *               KERNEL_CHAIN products (the last may be shorter): the first starts from t = b[k], the
 *               others from t = +0, and their sums are added to the first's, one after the other
 *               t = t + r; y = min (max (t, lo), hi)
 * The same chains of fused multiply-adds on every instruction set, so float results, and the
 * statistics made from them, are the same bytes on every machine. Chains keep the rounding of long
 * sums small. NaN propagates: comparisons are written so that a NaN passes both bounds. The one
 * exception are tactics named "cudnn ...", which tactic 0 never takes: they add in another order,
 * without reduced precision, and make what they like of terms that are not finite. */
#define KERNEL_CHAIN 192 /* a line of 3 x 3 windows of 64 channels */
typedef struct {
  KernelConvShape shape;
  const float *x;
  const void *w;  /* made by conv_f32_pack() */
  const float *b; /* [oc] */
  const float *r; /* residual, or NULL; may be y itself */
  float *y;
  void *scratch; /* conv_f32_scratch() bytes */
  float lo, hi;  /* -INFINITY, INFINITY: no clamp */
} KernelConvF32;

/* --- Products of activations ---------------------------------------------------------------- */

/* y = x1 x2 for n pairs of matrices, x1 [rows][inner], x2 [inner][cols] or, transposed,
 * [cols][inner], y [rows][cols]: of every pair the fully connected layer that has x2 as weights.
 * matmul_s8:      conv_s8 of x1 with the values of x2, whose zero point is 0, m[j] = m, and
 *                 b[j] = (float) (zero_y - (double) m * zero_x1 * sum of column j of x2)
 * matmul_s8_f32:  the same of conv_s8_f32, with zero_y 0
 * matmul_f32:     conv_f32 of x1 with the values of x2, each times m, without bias
 * The planner guarantees inner <= KERNEL_MATMUL_MAX_INNER, so that int32 cannot overflow. */
#define KERNEL_MATMUL_MAX_INNER 131071
typedef struct {
  int n, rows, inner, cols;
  bool transposed;
  const void *x1, *x2;
  void *y;
  void *scratch; /* matmul_s8_scratch() or matmul_f32_scratch() bytes */
  float m;       /* int8: s_1 * s_2 * factor / s_y; float: the factor */
  int8_t zero_x1, zero_y;
} KernelMatmul;

/* --- Rows of floats -------------------------------------------------------------------------- */

/* What sums a row of c floats adds value i to partial sum i % KERNEL_ROW_LANES, in ascending order
 * from +0, and then, for half = 8, 4, 2, 1, partial sum i + half to i for each i < half. */
#define KERNEL_ROW_LANES 16

/* layernorm_f32 over the last axis:
 *     mean = (sum of x) / c,  d = x - mean,  variance = (sum of d * d, each added by fmaf) / c
 *     y = fmaf (d * (1 / sqrtf (variance + epsilon)), scale[i], shift[i])
 * y may be x. */
typedef struct {
  size_t rows;
  int c;
  float epsilon;
  const float *scale, *shift; /* [c] */
  const float *x;
  float *y;
} KernelLayernorm;

/* lrn_f32, local response normalisation over the last axis:
 *     s = sum of x * x, each added by fmaf from +0, over channels i - before .. i + after that exist
 *     t = fmaf (s, alpha, bias)
 *     y = x / (sqrtf (t) * sqrtf (sqrtf (t))) where beta is 0.75, else x * exp (-beta * log (t))
 * exp and log are those of unary_f32. */
typedef struct {
  size_t rows;
  int c, before, after;
  float alpha, beta, bias;
  const float *x;
  float *y;
} KernelLrn;

/* --- Element-wise --------------------------------------------------------------------------- */

/* y has n * rows * c values; x1 likewise. x2 has as many, or, with x2_broadcast, n * c: one value
 * per image and channel (squeeze-and-excitation), or, with x2_repeated, rows * c: the same for every
 * image. Not both. y may be x1, and x2 where that has as many values.
 * add_s8:  t = fmaf (x1, m1, fmaf (x2, m2, b))               m1 = s_1 / s_y, m2 = s_2 / s_y
 * mul_s8:  t = fmaf ((float) ((x1 - zero1) * (x2 - zero2)), m1, b)   m1 = s_1 * s_2 / s_y, b = zero_y
 *          y = clamp (rintf (t), lo, hi) */
typedef struct {
  int n, rows, c;
  bool x2_broadcast, x2_repeated;
  const int8_t *x1, *x2;
  int8_t *y;
  float m1, m2, b;
  int8_t zero1, zero2, lo, hi;
} KernelBinaryS8;

/* add_f32, mul_f32: y = min (max (x1 op x2, lo), hi); shapes as above. */
typedef struct {
  int n, rows, c;
  bool x2_broadcast, x2_repeated;
  const float *x1, *x2;
  float *y;
  float lo, hi;
} KernelBinaryF32;

/* lut_s8: y = lut[x + 128]. Any unary function on int8. y may be x. */
typedef struct {
  size_t size;
  const int8_t *x;
  const int8_t *lut; /* [256] */
  int8_t *y;
} KernelLutS8;

typedef enum {
#define KERNEL_UNARY(ID, id, name, parameters) KERNEL_UNARY_##ID,
#include "unary.inc"
#undef KERNEL_UNARY
  KERNEL_UNARY_COUNT
} KernelUnary;

/* unary_f32. exp is the project's own (kernels/float-math.h): a C library's differs between
 * machines. y may be x. */
typedef struct {
  KernelUnary kind;
  float alpha, beta;
  size_t size;
  const float *x;
  float *y;
} KernelUnaryF32;

const char *kernel_unary_name (KernelUnary kind); /* "hard-swish" */
int kernel_unary_parameters (KernelUnary kind);   /* 0, 1 (alpha) or 2 (beta too) */

/* The same function in double: what tables (lut_s8) are computed from. */
double kernel_unary (KernelUnary kind, double alpha, double beta, double x);

/* quantise_s8: y = clamp (rintf (fmaf (x, m, zero)), -128, 127), m = 1 / scale; NaN gives -128
 * dequantise_f32: y = (x - zero) * m, m = scale */
typedef struct {
  size_t size;
  const void *x;
  void *y;
  float m;
  int8_t zero;
} KernelConvert;

/* --- Pooling -------------------------------------------------------------------------------- */

/* A global pool is a window of the whole input. v is the number of pixels of the window inside
 * the input, d the divisor: kh * kw cut to the padded input (pad_bottom, pad_right) with
 * include_pad, else v. Every window has v >= 1. */
typedef struct {
  int n, ih, iw, c, oh, ow, kh, kw;
  int stride_h, stride_w;
  int dilation_h, dilation_w; /* 1 for average pools */
  int pad_top, pad_left, pad_bottom, pad_right;
  bool include_pad;
} KernelPoolShape;

/* maxpool_s8:      maximum over the v pixels
 * avgpool_s8:      y = clamp (rintf (fmaf ((float) sum, m, b)), -128, 127)
 * avgpool_s8_f32:  y = fmaf ((float) sum, m, b)
 *                  m = ratio / d, b = zero_y - v * zero_x * ratio / d, in double, rounded once:
 *                  kernel_requant_average() of requant.h */
typedef struct {
  KernelPoolShape shape;
  const int8_t *x;
  void *y;
  double ratio;          /* s_x / s_y; s_x for float output */
  int8_t zero_x, zero_y; /* zero_y is 0 for float output */
} KernelPoolS8;

/* maxpool_f32; avgpool_f32: (sum in (kh, kw) order, from +0) / d. NaN propagates. */
typedef struct {
  KernelPoolShape shape;
  const float *x;
  float *y;
} KernelPoolF32;

/* --- Half precision ------------------------------------------------------------------------- */

/* Bits of a binary16 (IEEE 754); kernels/half.h converts. A kernel _f16 computes what its namesake
 * _f32 computes from the same values in float, and rounds the result once, half to even. Sums
 * (convolutions, average pools) are float32, on devices in an order of their own: their results may
 * differ from ref's by what that order makes of a sum. `ref` and devices have these kernels; `cpu`
 * has none, being no faster with them. */
typedef uint16_t KernelHalf;

/* conv_f16: weights are rounded to half when they are packed; b stays float. */
typedef struct {
  KernelConvShape shape;
  const KernelHalf *x;
  const void *w;       /* made by conv_f16_pack() */
  const float *b;      /* [oc] */
  const KernelHalf *r; /* residual, or NULL; may be y itself */
  KernelHalf *y;
  void *scratch; /* conv_f16_scratch() bytes */
  float lo, hi;
} KernelConvF16;

/* add_f16, mul_f16 */
typedef struct {
  int n, rows, c;
  bool x2_broadcast, x2_repeated;
  const KernelHalf *x1, *x2;
  KernelHalf *y;
  float lo, hi;
} KernelBinaryF16;

/* unary_f16; y may be x. */
typedef struct {
  KernelUnary kind;
  float alpha, beta;
  size_t size;
  const KernelHalf *x;
  KernelHalf *y;
} KernelUnaryF16;

/* maxpool_f16, avgpool_f16 */
typedef struct {
  KernelPoolShape shape;
  const KernelHalf *x;
  KernelHalf *y;
} KernelPoolF16;

/* narrow_f16: y = half of float x. widen_f32: y = float of half x. */
typedef struct {
  size_t size;
  const void *x;
  void *y;
} KernelWidth;

/* --- Moving bytes --------------------------------------------------------------------------- */

/* copy_s8, copy_f16, copy_f32: rows of `width` elements between two strides (in elements): concatenation.
 * lut (copy_s8 only): y = lut[x + 128], or NULL for plain bytes. */
typedef struct {
  size_t rows, width, x_stride, y_stride;
  const void *x;
  void *y;
  const int8_t *lut;
} KernelCopy;

/* transpose_s8, transpose_f16, transpose_f32: y's axis i is x's axis perm[i]. dims are x's. */
typedef struct {
  int rank;
  int dims[KERNEL_MAX_RANK];
  int perm[KERNEL_MAX_RANK];
  const void *x;
  void *y;
} KernelTranspose;

/* pad_s8, pad_f16, pad_f32: constant padding (never negative) on every axis; dims are x's. The value
 * is given in the element's own type; pad_f16 rounds value_f32. */
typedef struct {
  int rank;
  int dims[KERNEL_MAX_RANK];
  int before[KERNEL_MAX_RANK], after[KERNEL_MAX_RANK];
  const void *x;
  void *y;
  int8_t value_s8;
  float value_f32;
} KernelPad;

/* --- The end of a classifier ---------------------------------------------------------------- */

/* softmax_f32 over the last axis, the row's maximum subtracted; log: x - max - log (sum exp). The sum
 * is that of KERNEL_ROW_LANES.
 * y may be x. */
typedef struct {
  size_t rows;
  int c;
  bool log;
  const float *x;
  float *y;
} KernelSoftmax;

#ifdef __cplusplus
}
#endif
