/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-depthwise.cu: depthwise convolutions 3x3 and 5x5 of stride 1 and 2, int8.
 *
 * A thread makes TILE neighbouring outputs of four channels. A pixel's four channels are one word;
 * the words of four neighbouring pixels are transposed, so that a word holds one channel of them
 * and __dp4a multiplies it with four weights of a row. The shift to each output is one instruction.
 */
#include "kernels/cuda/vector.h"

#include <string.h>

#define TILE 4

static bool
suits (const KernelConvShape *s, int sm)
{
  return s->groups == s->ic && s->groups == s->oc && s->ic % 4 == 0 && s->kh == s->kw &&
         (s->kh == 3 || s->kh == 5) && s->stride_h == s->stride_w && s->stride_h <= 2 &&
         s->dilation_h == 1 && s->dilation_w == 1;
}

/* [c / 4][kh][1 or 2 words of the row][4 channels], rows filled up with 0. */
static size_t
pack (const KernelConvShape *s, int8_t zero_x, const int8_t *w, void *packed)
{
  const size_t row = s->kw > 4 ? 8 : 4, size = (size_t) s->ic * s->kh * row;
  int8_t *y = (int8_t *) packed;

  if (!packed)
    return size;
  memset (y, 0, size);
  for (int c = 0; c < s->ic; c++)
    for (int kh = 0; kh < s->kh; kh++)
      for (int kw = 0; kw < s->kw; kw++) {
        const size_t word = ((size_t) c / 4 * s->kh + kh) * (row / 4) + kw / 4;

        y[(word * 4 + c % 4) * 4 + kw % 4] = w[((size_t) c * s->kh + kh) * s->kw + kw];
      }
  return size;
}

/* --- On the device -------------------------------------------------------------------------- */

static __device__ inline uint32_t
load_pixel (const int8_t *x, bool aligned)
{
  if (aligned)
    return *(const uint32_t *) x;
  return kernel_cuda_word (x[0], x[1], x[2], x[3]);
}

/* Four pixels of four channels to four channels of four pixels. */
static __device__ inline void
transpose (const uint32_t *pixel, uint32_t *channel)
{
  const uint32_t low01 = __byte_perm (pixel[0], pixel[1], 0x5140);
  const uint32_t low23 = __byte_perm (pixel[2], pixel[3], 0x5140);
  const uint32_t high01 = __byte_perm (pixel[0], pixel[1], 0x7362);
  const uint32_t high23 = __byte_perm (pixel[2], pixel[3], 0x7362);

  channel[0] = __byte_perm (low01, low23, 0x5410);
  channel[1] = __byte_perm (low01, low23, 0x7632);
  channel[2] = __byte_perm (high01, high23, 0x5410);
  channel[3] = __byte_perm (high01, high23, 0x7632);
}

/* Bytes first .. first + 3 of a row of words. */
static __device__ inline int
bytes_from (const uint32_t *words, int first)
{
  if (first % 4 == 0)
    return (int) words[first / 4];
  return (int) __funnelshift_r (words[first / 4], words[first / 4 + 1], 8 * (first % 4));
}

/* The pixels of one input row under the tile, channel by channel; those outside are zero_x. */
template <int COLUMNS, int WORDS>
static __device__ inline void
load_row (const KernelConvS8 &a, const int8_t *x, int iw, bool inside, bool aligned,
    uint32_t words[4][WORDS + 1])
{
  const uint32_t padding = (uint8_t) a.zero_x * 0x01010101u;

#pragma unroll
  for (int q = 0; q < WORDS; q++) {
    uint32_t pixel[4], channel[4];

#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int column = q * 4 + i;

      pixel[i] = padding;
      if (column < COLUMNS && inside && iw + column >= 0 && iw + column < a.shape.iw)
        pixel[i] = load_pixel (x + (ptrdiff_t) column * a.shape.ic, aligned);
    }
    transpose (pixel, channel);
#pragma unroll
    for (int c = 0; c < 4; c++)
      words[c][q] = channel[c];
  }
#pragma unroll
  for (int c = 0; c < 4; c++)
    words[c][WORDS] = 0;
}

static __device__ inline void
store (const KernelConvS8 &a, size_t i, int c, const int32_t *acc, bool to_f32, bool aligned)
{
  int y[4];

#pragma unroll
  for (int k = 0; k < 4; k++) {
    float t = fmaf ((float) acc[k], a.m[c + k], a.b[c + k]);

    if (to_f32)
      ((float *) a.y)[i + k] = t;
    else if (a.r)
      t = fmaf ((float) a.r[i + k], a.mr, t);
    y[k] = kernel_round_s8 (t, a.lo, a.hi);
  }
  if (to_f32)
    return;
  if (aligned)
    store_s8<4> ((int8_t *) a.y + i, y);
  else
    for (int k = 0; k < 4; k++)
      ((int8_t *) a.y)[i + k] = (int8_t) y[k];
}

/* count: n * oh * tiles * c / 4; tiles to a row of outputs. */
template <int K, int S>
static __global__ void
__launch_bounds__ (KERNEL_CUDA_THREADS) depthwise (const __grid_constant__ KernelConvS8 a,
    size_t count, int tiles, bool to_f32, bool aligned)
{
  constexpr int columns = (TILE - 1) * S + K, words = (columns + 3) / 4, row_words = K > 4 ? 2 : 1;
  const KernelConvShape &s = a.shape;
  const size_t item = kernel_cuda_item (), groups = s.ic / 4;
  const size_t tile = kernel_cuda_divide (item, groups), row = kernel_cuda_divide (tile, tiles);
  const size_t n = kernel_cuda_divide (row, s.oh);
  const int group = (int) (item - tile * groups), ow = (int) (tile - row * tiles) * TILE;
  const int ih = (int) (row - n * s.oh) * S - s.pad_top, iw = ow * S - s.pad_left;
  const int4 *w = (const int4 *) a.w + (size_t) group * K * row_words;
  const int8_t *x = a.x + (ptrdiff_t) n * s.ih * s.iw * s.ic + group * 4;
  int32_t acc[TILE][4] = {};

  if (item >= count)
    return;
#pragma unroll
  for (int kh = 0; kh < K; kh++) {
    uint32_t channel[4][words + 1];
    const bool inside = ih + kh >= 0 && ih + kh < s.ih;

    load_row<columns, words> (a, x + ((ptrdiff_t) (ih + kh) * s.iw + iw) * s.ic, iw, inside,
        aligned, channel);
#pragma unroll
    for (int part = 0; part < row_words; part++) {
      const int4 four = w[kh * row_words + part];
      const int weights[4] = {four.x, four.y, four.z, four.w};

#pragma unroll
      for (int c = 0; c < 4; c++)
#pragma unroll
        for (int j = 0; j < TILE; j++)
          acc[j][c] = __dp4a (bytes_from (channel[c], j * S + part * 4), weights[c], acc[j][c]);
    }
  }
#pragma unroll
  for (int j = 0; j < TILE; j++)
    if (ow + j < s.ow)
      store (a, (row * s.ow + ow + j) * s.oc + group * 4, group * 4, acc[j], to_f32, aligned);
}

/* --- On the host ---------------------------------------------------------------------------- */

static void
run (const KernelConvS8 *args, bool to_f32, KernelQueue *queue)
{
  const KernelConvShape *s = &args->shape;
  const int tiles = (s->ow + TILE - 1) / TILE;
  const size_t count = (size_t) s->n * s->oh * tiles * (s->ic / 4);
  const unsigned blocks = kernel_cuda_blocks (count, KERNEL_CUDA_THREADS);
  const bool aligned = kernel_cuda_aligned (args->x, 4) && kernel_cuda_aligned (args->y, 4);

#define RUN(K, S)                                                                                  \
  depthwise<K, S>                                                                                  \
      <<<blocks, KERNEL_CUDA_THREADS, 0, queue->stream>>> (*args, count, tiles, to_f32, aligned)
  if (s->kh == 3 && s->stride_h == 1)
    RUN (3, 1);
  else if (s->kh == 3)
    RUN (3, 2);
  else if (s->stride_h == 1)
    RUN (5, 1);
  else
    RUN (5, 2);
#undef RUN
}

const CudaConvS8 kernel_conv_s8_cuda_depthwise = {.name = "depthwise",
    .suits = suits,
    .pack = pack,
    .run = run};
