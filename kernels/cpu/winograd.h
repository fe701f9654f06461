/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * winograd.h: conv_s8 of 3x3 windows with a quarter of the products, and the same bytes.
 *
 * Winograd's F(4x4, 3x3) computes 4x4 outputs from a tile of 6x6 inputs with 36 products a channel
 * instead of 144. Along one axis, with the points 0, 1, -1, 2, -2 and infinity and every fraction
 * taken to one side,
 *
 *         |4  0 -5  0 1 0|       |6  0 0|       |1 -4 -4 1  1 0|       |24 y0|
 *         |0 -4 -4  1 1 0|       |1  1 1|       |0 -2  2 1 -1 0|       |12 y1|
 *     B = |0  4 -4 -1 1 0|   G = |1 -1 1|   A = |0 -1 -1 1  1 0|   F = | 6 y2|
 *         |0 -2 -1  2 1 0|       |1  2 4|       |0 -1  1 2 -2 1|       | 6 y3|
 *         |0  2 -1 -2 1 0|       |1 -2 4|
 *         |0  4  0 -5 0 1|       |0  0 6|       A ((B x) o (G w)) = F
 *
 * and in two dimensions V = B x B', U = G w G', M[p] = sum over the channels of U[p] V[p], F = A M A'.
 * All are whole numbers, and exact:
 *
 *     V   rows of B add up to at most 10: |V| <= 10 * 10 * 128 = 12800       int16
 *     U   rows of G add up to at most 7: |U| <= 7 * 7 * 127 = 6223           int16
 *     M   36 matrix products of int16 with int32 sums, which wrap            mod 2^32
 *     F   sums of them, which wrap                                           mod 2^32
 *     y   F = 9 * 2^s * y with s = s(row) + s(column), s() = 3, 2, 1, 1. 9 has an inverse mod 2^32, so
 *         that F / 9 = 2^s y mod 2^32, and an arithmetic shift right by s is y wherever
 *         -2^31 <= 2^s y < 2^31. s is at most 6: |y| < 2^25 is enough.
 *
 * Over 224 input channels |y| <= 224 * 9 * 128 * 128 = 33030144 < 2^25 = 33554432, whatever the
 * weights. More channels are cut into parts of at most so many; each is transformed back by itself,
 * and the y are added up.
 *
 * Which is faster depends on the instruction, as products are of int16: vpdpwssd makes half of
 * vpdpbusd's, so that at best 2 times the speed is won; against vpmaddwd, which the direct kernel
 * uses too, 4 times. Tiles that reach beyond the image cost as much as others: 14x14 outputs take 16
 * of them, which would do for 16x16.
 *
 * U is eight times the size of w: that of ResNet-18 is 30 MB. Packed once, as one would, it is read
 * from the third-level cache or from memory at every run, which takes longer than its products: with
 * weights out of the cache 256 channels of 14x14 ran at 0.72 of the direct kernel's speed, 64 of
 * 13x13 at 0.59. So the packed weights are int8, and U is made from them for a batch of tiles, in
 * scratch memory that stays in the second-level cache. That costs as much as the products of four tiles.
 *
 * Measured on a Zen 5 with other work beside, one thread, 8 copies of the weights in turn, times the
 * direct kernel's speed:
 *
 *                           AVX-512 VNNI   AVX-VNNI   AVX2
 *     64 channels, 56x56        1.52         1.54     3.52
 *     128, 28x28                1.44         1.67     3.46
 *     256, 14x14                1.05         1.14     2.52
 *     512, 7x7                  0.65         0.83     1.99
 *     256, 56x56                1.34         1.39     3.43
 *     32 to 128, 27x27          1.30         1.32     2.66
 */
#pragma once

#include "kernels/cpu/igemm.h"

#define WINOGRAD_IN     6 /* side of a tile of inputs */
#define WINOGRAD_OUT    4 /* of outputs */
#define WINOGRAD_POINTS 36
#define WINOGRAD_M      (WINOGRAD_POINTS * IGEMM_NR)
#define WINOGRAD_SUMS   (WINOGRAD_OUT * WINOGRAD_OUT * IGEMM_NR)
#define WINOGRAD_INV_9  0x38e38e39 /* 9 * this = 1 mod 2^32 */
/* s() of the comment above. */
#define WINOGRAD_SHIFTS                                                                            \
  {                                                                                                \
    3, 2, 1, 1                                                                                     \
  }

/* Matrix products of one point: sums[tile][channel] of `blocks` blocks of IGEMM_NR channels. */
typedef struct {
  const int16_t *v; /* [tiles][2 * pairs] */
  size_t v_stride;  /* values from tile to tile */
  const int16_t *u; /* [blocks][pairs][IGEMM_NR][2] */
  size_t u_stride;  /* values from block to block */
  int32_t *m;       /* [tiles][blocks][WINOGRAD_POINTS][IGEMM_NR], of this point */
  int tiles, blocks, pairs;
} WinogradProduct;

/* U of one block of output channels: u[point * u_stride + 32 * pair + 2 * channel + i] of input channel
 * 2 * pair + i. */
typedef struct {
  const int8_t *w; /* [pairs][9][IGEMM_NR][2] */
  int pairs;
  int16_t *u;
  size_t u_stride;
} WinogradWeights;

/* The outputs of a tile. */
typedef struct {
  IgemmTile to;      /* y, r, m, b, channels, mr, lo, hi, y_f32 */
  const int32_t *m;  /* [blocks][WINOGRAD_POINTS][IGEMM_NR] */
  size_t line;       /* values from line to line of y; to.y_stride from pixel to pixel */
  int rows, columns; /* that are inside the image, 1 .. 4 */
  int32_t *sums;     /* [4][4][IGEMM_NR] for each block: those of the parts before, or NULL */
  bool first, last;  /* part: sums are written, are added to and finished */
} WinogradOutput;

/* What an instruction set brings. */
typedef struct {
  /* V of one tile: x[6 * row + column] are its pixels; v[point * v_stride + channel] is written
   * for all channels, and up to the next multiple of WINOGRAD_ROUND. */
  void (*input) (const int8_t *const *x, int channels, int16_t *v, size_t v_stride);
  void (*weights) (const WinogradWeights *weights);
  void (*product) (const WinogradProduct *product);
  void (*output) (const WinogradOutput *output);
  float direct; /* time of a pixel's window and an input channel with the direct kernel, where the
                   products of a tile take 9 */
  int group;    /* blocks of a product */
  int grain;    /* products that take a few microseconds */
} WinogradKind;

#define WINOGRAD_PAIR     (9 * IGEMM_NR * 2) /* bytes of the weights of a pair and block */
#define WINOGRAD_CHANNELS 224                /* of a part, at most */
#define WINOGRAD_ROUND    32                 /* channels of a row of V are rounded up to */

extern const WinogradKind kernel_winograd_s8_avx2, kernel_winograd_s8_avxvnni;
extern const WinogradKind kernel_winograd_s8_avx512vnni;
void kernel_winograd_input_avx2 (const int8_t *const *x, int channels, int16_t *v, size_t v_stride);
void kernel_winograd_weights_avx2 (const WinogradWeights *weights);
void kernel_winograd_output_avx2 (const WinogradOutput *output);

/* 3x3, stride 1, no dilation, one group. */
bool kernel_winograd_fits (const KernelConvShape *shape);

/* How the input channels are cut, and where things lie in packed weights. */
typedef struct {
  int pairs;                   /* of input channels, the last one filled up */
  int part;                    /* channels of a part, a multiple of WINOGRAD_ROUND */
  size_t block, padding, size; /* bytes of a block of outputs; offset of the padding; all */
} WinogradPacked;
WinogradPacked kernel_winograd_packed (const KernelConvShape *shape);

size_t kernel_winograd_pack (const KernelConvShape *shape, int8_t zero_x, const int8_t *w,
    void *packed);
size_t kernel_winograd_scratch (const WinogradKind *kind, const KernelConvShape *shape,
    KernelQueue *queue);
void kernel_winograd_run (const WinogradKind *kind, const KernelConvS8 *args, bool y_f32,
    KernelQueue *queue);

/* conv_s8_tactic: the ways of `direct`, and behind them Winograd's where the shape fits; 0 is what
 * should take less time of the first and the last. */
const char *kernel_winograd_tactic (const WinogradKind *kind, const IgemmKind *direct,
    const KernelConvShape *shape, int tactic);
bool kernel_winograd_chosen (const WinogradKind *kind, const IgemmKind *direct,
    const KernelConvShape *shape);

/* As IGEMM_S8_SLOTS, with both ways. */
/* clang-format off */
#define WINOGRAD_S8_SLOTS(suffix, kind_of, winograd)                                               \
  size_t kernel_conv_s8_pack_##suffix (const KernelConvShape *shape, int8_t zero_x,                \
      const int8_t *w, void *packed)                                                               \
  {                                                                                                \
    return kernel_winograd_chosen (winograd, kind_of (shape), shape)                               \
               ? kernel_winograd_pack (shape, zero_x, w, packed)                                   \
               : kernel_igemm_pack (kind_of (shape), shape, &zero_x, w, packed);                   \
  }                                                                                                \
  size_t kernel_conv_s8_scratch_##suffix (const KernelConvShape *shape, KernelQueue *queue)        \
  {                                                                                                \
    return kernel_winograd_chosen (winograd, kind_of (shape), shape)                               \
               ? kernel_winograd_scratch (winograd, shape, queue)                                            \
               : kernel_igemm_scratch (kind_of (shape), shape, queue);                             \
  }                                                                                                \
  static void run_##suffix (const KernelConvS8 *args, bool y_f32, KernelQueue *queue)              \
  {                                                                                                \
    if (kernel_winograd_chosen (winograd, kind_of (&args->shape), &args->shape))                   \
      kernel_winograd_run (winograd, args, y_f32, queue);                                          \
    else                                                                                           \
      kernel_igemm_s8 (kind_of (&args->shape), args, y_f32, queue);                                \
  }                                                                                                \
  void kernel_conv_s8_##suffix (const KernelConvS8 *args, KernelQueue *queue)                      \
  {                                                                                                \
    run_##suffix (args, false, queue);                                                             \
  }                                                                                                \
  void kernel_conv_s8_f32_##suffix (const KernelConvS8 *args, KernelQueue *queue)                  \
  {                                                                                                \
    run_##suffix (args, true, queue);                                                              \
  }                                                                                                \
  const char *kernel_conv_s8_tactic_##suffix (const KernelConvShape *shape, int tactic)            \
  {                                                                                                \
    return kernel_winograd_tactic (winograd, kind_of (shape), shape, tactic);                      \
  }
/* clang-format on */
