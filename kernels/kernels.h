/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernels.h: every kernel of the project, its arguments, and the back ends that carry them.
 *
 * A back end is a memory space, a queue and a table of kernels. `ref` is the specification in
 * plain C; `cpu` and `cuda:N` give the same bytes, faster. One signature serves all of them:
 *
 *     void kernel (const KernelArgs *args, KernelQueue *queue);
 *
 * Kernels are total: they allocate nothing, keep no state and cannot fail. Whatever can be wrong
 * (a shape, an overflow, a missing kernel) is refused earlier, by the planner of engine/; a
 * device error sticks to the queue and is read with KernelBackend.queue_wait().
 *
 * Layout and units, everywhere:
 *   activations   NHWC, dense:  [n][ih][iw][ic] -> [n][oh][ow][oc]
 *   weights       OHWI, dense:  [oc][kh][kw][ic / groups]
 *   int8 values   real = (q - zero) * scale, one scale and zero point per tensor
 *   n             images in this call, 1 .. the batch the plan was made for
 * Pointers live in the back end's memory space and are aligned to KERNEL_ALIGN bytes where they
 * come from KernelBackend.alloc(); kernels require no more than the element's own alignment.
 * No argument aliases another unless its comment says so.
 *
 * Threads: a back end serves any number of threads at once; a queue belongs to one thread at a time;
 * different queues are independent. Results do not depend on the number of threads of a queue, bit
 * for bit, in float and in int8.
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

#define KERNEL_ALIGN    64
#define KERNEL_MAX_RANK 6

typedef struct KernelBackend KernelBackend;
typedef struct KernelQueue KernelQueue;

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

/* --- The table of a back end ---------------------------------------------------------------- */

/* Packing: returns the bytes needed; writes them unless packed is NULL. Host memory on both
 * sides; the result is uploaded by the caller. Depends on the shape (n aside) and the weights. */
typedef size_t (*KernelConvS8PackFn) (const KernelConvShape *shape, int8_t zero_x, const int8_t *w,
    void *packed);
typedef size_t (*KernelConvF32PackFn) (const KernelConvShape *shape, const float *w, void *packed);
/* Scratch of one call on this queue, for any n up to shape->n. 0 is common. */
typedef size_t (*KernelConvScratchFn) (const KernelConvShape *shape, KernelQueue *queue);
/* The ways to compute a shape (its own tactic aside), for whoever times them: the name of tactic
 * 1, 2, ... for people, NULL beyond the last; for 0, the name of the one that it stands for. */
typedef const char *(*KernelConvTacticFn) (const KernelConvShape *shape, int tactic);
/* As KernelConvScratchFn; pointers of args are not read. NULL: the kernels need none. */
typedef size_t (*KernelMatmulScratchFn) (const KernelMatmul *args, KernelQueue *queue);

/* A NULL slot means "not on this back end"; the planner refuses by name. `ref` has all. */
typedef struct {
  KernelConvS8PackFn conv_s8_pack;
  KernelConvF32PackFn conv_f32_pack;
  KernelConvF32PackFn conv_f16_pack; /* of float weights */
  KernelConvScratchFn conv_s8_scratch;
  KernelConvScratchFn conv_f32_scratch;
  KernelConvScratchFn conv_f16_scratch;
  KernelConvTacticFn conv_s8_tactic;
  KernelConvTacticFn conv_f32_tactic;
  KernelConvTacticFn conv_f16_tactic;
  KernelMatmulScratchFn matmul_s8_scratch;
  KernelMatmulScratchFn matmul_f32_scratch;
#define KERNEL_OP(name, Args) void (*name) (const Args *args, KernelQueue *queue);
#include "kernel-ops.inc"
#undef KERNEL_OP
} KernelOps;

/* --- Back ends ------------------------------------------------------------------------------ */

/* One of many independent pieces of work. queue has one thread; lane is 0 .. queue_lanes() - 1 and
 * no two pieces have the same at the same time: it selects memory. */
typedef void (*KernelEachFn) (void *ctx, int piece, int lane, KernelQueue *queue);

/* What was queued between record_begin() and record_end(), to be queued again at once. */
typedef struct KernelRecording KernelRecording;

/* Of a device, a second, measured: 0 where there is no such instruction. */
typedef struct {
  double int8, fp16, fp32; /* multiplications and additions */
  double bytes;      /* read and written by a copy of far more than any cache holds */
  const char *int8_instruction, *fp16_instruction, *fp32_instruction;
} KernelLimits;

struct KernelBackend {
  const char *name;        /* "ref", "cpu", "cuda:0" */
  const char *description; /* one line for people: "AVX-512 VNNI" */
  const KernelOps *ops;
  bool host_memory; /* the CPU may read and write what alloc() returns */

  /* NULL when there is no memory. KERNEL_ALIGN-aligned, contents undefined. */
  void *(*alloc) (KernelBackend *backend, size_t size);
  void (*free) (KernelBackend *backend, void *memory);
  /* Memory of the host that upload() and download() are fastest with, and that recordings may copy
   * to; NULL where any memory is as good. */
  void *(*host_alloc) (KernelBackend *backend, size_t size);
  void (*host_free) (KernelBackend *backend, void *memory);

  /* threads: how many may work for the queue, its caller among them; 0 takes the CPUs this process
   * may use; devices ignore it. Queues share the others: no more work at a time than there are CPUs.
   * NULL when no thread or no memory could be had. Free a queue before its back end. */
  KernelQueue *(*queue_new) (KernelBackend *backend, int threads);
  void (*queue_free) (KernelQueue *queue);
  /* Waits for everything queued; until then the queue counts as working. NULL, or what failed, once
   * per failure; the text is valid until the next call on the queue. */
  const char *(*queue_wait) (KernelQueue *queue);

  /* Ordered with the queue's kernels; the host side may be reused after queue_wait(). */
  void (*upload) (KernelQueue *queue, void *device, const void *host, size_t size);
  void (*download) (KernelQueue *queue, void *host, const void *device, size_t size);

  /* Where kernels run on the queue's threads, else NULL. Calls fn for 0 .. pieces - 1 in any order
   * and returns when all are done: a batch shared out by images scales where one shared out
   * kernel by kernel waits for its slowest part at every one. Not from within a piece. */
  int (*queue_lanes) (KernelQueue *queue);
  void (*queue_each) (KernelQueue *queue, KernelEachFn fn, void *ctx, int pieces);

  /* Where launching costs more than a small kernel, else NULL. Between the two, kernels and copies
   * are recorded, not run; record_end() is NULL when that failed, and queue_wait() says why.
   * A recording runs with the pointers and shapes that it was made with. Free it before its queue. */
  void (*record_begin) (KernelQueue *queue);
  KernelRecording *(*record_end) (KernelQueue *queue);
  void (*replay) (KernelQueue *queue, KernelRecording *recording);
  void (*recording_free) (KernelQueue *queue, KernelRecording *recording);

  /* Where the device keeps time, else NULL. marks() makes marks 0 .. count - 1, which are the queue's
   * until it is freed; false when that failed. mark() notes when the queue gets there, in every replay
   * where it was recorded; mark_seconds() is between two of them, once queue_wait() has returned. */
  bool (*marks) (KernelQueue *queue, int count);
  void (*mark) (KernelQueue *queue, int mark);
  double (*mark_seconds) (KernelQueue *queue, int from, int to);

  /* Measures what the device can do at the most, in some 100 ms and 1 GiB of its memory, or NULL.
   * False when that failed; queue_wait() says why. Nothing may be queued meanwhile. */
  bool (*limits) (KernelQueue *queue, KernelLimits *limits);

  void (*close) (KernelBackend *backend);
};

/* Opens "ref", "cpu", "cuda:N" or "cuda" (device 0). NULL when it is not to be had; `why` then
 * holds one sentence with the cause (cut to why_size, always terminated). Thread-safe.
 * A CUDA device's memory belongs to a context, by default the device's primary one; "cuda:N@ADDRESS"
 * takes the CUcontext at that address (hexadecimal) of device N, which must outlive the back end, to
 * read what somebody else has there. */
KernelBackend *kernel_open (const char *name, char *why, size_t why_size);
/* NULL is fine. */
void kernel_close (KernelBackend *backend);

/* CPU features that kernels of `cpu` may use. The one test hook: features outside the mask
 * are treated as absent by back ends opened afterwards. INT8_CPU_MASK (hex) in the environment
 * does the same for a whole process. Not thread-safe. */
typedef enum {
  KERNEL_CPU_AVX2 = 1 << 0,   /* AVX2 and FMA */
  KERNEL_CPU_AVX512 = 1 << 1, /* F, BW, DQ, VL */
  KERNEL_CPU_AVX512_VNNI = 1 << 2,
  KERNEL_CPU_AVX_VNNI = 1 << 3, /* its 256-bit form, on CPUs without AVX-512 too */
  KERNEL_CPU_AMX_INT8 = 1 << 4,
  KERNEL_CPU_AVX512_VBMI = 1 << 5,
  KERNEL_CPU_NEON = 1 << 16,     /* AArch64 */
  KERNEL_CPU_NEON_DOT = 1 << 17, /* sdot */
} KernelCpuFlags;
void kernel_cpu_set_mask (unsigned mask);
unsigned kernel_cpu_flags (void); /* detected & mask */

#ifdef __cplusplus
}
#endif
