/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-stem.cuh: the first convolution of a network, of up to 4 input channels, where a GEMM in pieces of
 * 16 bytes would be mostly padding. Compute capability 8.0 on. conv-stem.cu has what int8 is, conv-stem-f16.cu
 * what halves are: a struct T with the type of an unfolded pixel and of a sum, and how pixels are read,
 * loaded and stored.
 *
 * A block computes some rows of y. It unfolds the rows of x that they need into shared memory, four channels
 * a pixel, padding outside the image, and multiplies pieces of windows' rows: 32 bytes of k a step. A warp has
 * 2 rows x 16 pixels x 64 channels: 64 accumulators, 128 registers, 2 blocks of 256 threads on a
 * multiprocessor.
 */
#pragma once

#include "kernels/cuda/conv-mma.cuh"
#include "kernels/cuda/conv-wgmma.cuh"
#include "kernels/cuda/vector.h"

#define STEM_THREADS 256

/* Packed weights: [64 channels][step][8 mma][lane][2 words], as mma wants them: lane 4 g + t of mma j is for
 * channel 16 (g / 2) + 2 j + g % 2. */
typedef struct {
  ConvParams p;
  int rows;            /* of y, of a block */
  int steps;           /* mma along k */
  int row_steps;       /* of a row of a window; halves only */
  int width;           /* pixels of a row in shared memory */
  int kh;              /* rows of a window, padding included */
  bool words;          /* 4 pixels of 3 channels of x can be read as 3 words of T::Pixel */
  unsigned weights, x; /* offsets in shared memory; before them what T::load_factors() has there */
} StemParams;

/* --- On the device -------------------------------------------------------------------------- */

/* Rows of x for rows of y from `row` on; groups of four pixels begin at multiples of four, so that they lie
 * inside the image or outside where words are read: three, of which T::spread() makes four pixels. A warp takes
 * rows, two at a time; all its loads come before its first store. */
template <class T>
static __device__ __forceinline__ void
stem_unfold (typename T::Pixel *to, const StemParams &q, int image, int row)
{
  const ConvParams &p = q.p;
  const int first = -((p.pad_left + 3) / 4 * 4), groups = (q.width - p.pad_left - first + 3) / 4;
  const int rows = (q.rows - 1) * p.stride_h + q.kh, top = row * p.stride_h - p.pad_top;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;

  for (int r = warp * 2; r < rows; r += STEM_THREADS / 32 * 2) {
    for (int group = lane; group < groups; group += 64) {
      typename T::Pixel pixel[4][4];

#pragma unroll
      for (int i = 0; i < 4; i++) { /* two rows, two groups */
        const int ih = top + r + i / 2, column = first + (group + i % 2 * 32) * 4;
        const int8_t *from = p.x + ((int64_t) image * p.ih + ih) * p.iw * p.ic;
        const bool inside = (unsigned) ih < (unsigned) p.ih;

        pixel[i][0] = pixel[i][1] = pixel[i][2] = pixel[i][3] = T::outside (p);
        if (q.words && inside && (unsigned) column < (unsigned) p.iw)
#pragma unroll
          for (int k = 0; k < 3; k++)
            pixel[i][k] = ((const typename T::Pixel *) (from + column * p.ic))[k];
        else if (!q.words && inside)
          T::read_elements (pixel[i], from, column, p);
      }
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const int ih = top + r + i / 2, column = first + (group + i % 2 * 32) * 4;

        if (r + i / 2 >= rows)
          break;
        if (q.words && (unsigned) ih < (unsigned) p.ih && (unsigned) column < (unsigned) p.iw)
          T::spread (pixel[i]);
#pragma unroll
        for (int k = 0; k < 4; k++)
          if ((unsigned) (column + p.pad_left + k) < (unsigned) q.width)
            to[(r + i / 2) * q.width + column + p.pad_left + k] = pixel[i][k];
      }
    }
  }
}

template <class T>
static __global__ void
__launch_bounds__ (STEM_THREADS, 2) conv_stem (const __grid_constant__ StemParams q)
{
#if __CUDA_ARCH__ >= 800
  extern __shared__ __align__ (128) uint8_t memory[];
  const ConvParams &p = q.p;
  const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  const int tiles = (p.oh + q.rows - 1) / q.rows, image = blockIdx.x / tiles;
  const int top = (blockIdx.x - image * tiles) * q.rows, columns = (p.ow + 15) / 16;
  const int per_block = q.steps * 8 * 32;
  const uint2 *w = (const uint2 *) (memory + q.weights);
  typename T::Pixel *x = (typename T::Pixel *) (memory + q.x);

  conv_let_next_start ();
  T::load_factors (memory, p);
  for (int i = threadIdx.x; i < p.n_blocks * per_block / 2; i += STEM_THREADS)
    ((uint4 *) w)[i] = ((const uint4 *) p.w)[i];
  conv_wait_for_inputs ();
  stem_unfold<T> (x, q, image, top);
  __syncthreads ();
  for (int task = threadIdx.x / 32; task < q.rows / 2 * columns * p.n_blocks;
       task += STEM_THREADS / 32) {
    const int n = task % p.n_blocks, rest = task / p.n_blocks;
    const int row = rest / columns * 2, column = rest % columns * 16;
    const typename T::Pixel *from =
        x + row * p.stride_h * q.width + (column + g) * p.stride_w + T::pixel_of (t);
    const uint2 *weights = w + n * per_block + lane;
    typename T::Sum acc[2][8][4] = {};

    for (int step = 0; step < q.steps; step++) {
      uint32_t a[2][4];
      uint2 v[8];

#pragma unroll
      for (int i = 0; i < 2; i++)
        T::load (a[i], T::find (from + i * p.stride_h * q.width, step, q), q);
#pragma unroll
      for (int j = 0; j < 8; j++)
        v[j] = weights[j * 32];
#pragma unroll
      for (int i = 0; i < 2; i++) /* outermost: else registers of `a` are copied for every mma */
#pragma unroll
        for (int j = 0; j < 8; j++)
          mma_multiply (acc[i][j], a[i], v[j].x, v[j].y);
      weights += 8 * 32;
    }
    int pixel[4];

#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int oh = top + row + i / 2, ow = column + i % 2 * 8 + g;

      pixel[i] = oh < p.oh && ow < p.ow ? (image * p.oh + oh) * p.ow + ow : -1;
    }
    T::store (p, memory, pixel, n, t,
        [&] (int i, int j) { return acc[i / 2][j / 2][i % 2 * 2 + j % 2]; });
  }
#endif
}

/* The same with wgmma: a warpgroup has 4 x 16 pixels x 64 channels, 32 accumulators a thread, and loads the
 * whole k of its windows first: 4 words a lane and step. */
template <class T, int steps>
static __global__ void
__launch_bounds__ (STEM_THREADS, 2) conv_stem_wgmma (const __grid_constant__ StemParams q)
{
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__ (128) uint8_t memory[];
  const ConvParams &p = q.p;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  const int tiles = (p.oh + q.rows - 1) / q.rows, image = blockIdx.x / tiles;
  const int top = (blockIdx.x - image * tiles) * q.rows, columns = (p.ow + 15) / 16 * 16;
  const int groups = q.rows * columns / 16;
  uint32_t *w = (uint32_t *) (memory + q.weights);
  typename T::Pixel *x = (typename T::Pixel *) (memory + q.x);
  const uint64_t weights = matrix_of_bricks (conv_shared_address (w));
  int row = warp * 16 / columns, column = warp * 16 - row * columns;

  conv_let_next_start ();
  T::load_factors (memory, p);
#pragma unroll 4
  for (int i = threadIdx.x; i < p.n_blocks * steps * 8 * 32; i += STEM_THREADS) {
    const uint2 v = ((const uint2 *) p.w)[i];

    w[i / 32 * 64 + i % 32] = v.x;
    w[i / 32 * 64 + 32 + i % 32] = v.y;
  }
  store_fence ();
  conv_wait_for_inputs ();
  stem_unfold<T> (x, q, image, top);
  __syncthreads ();
  for (int group = warp; group - warp % 4 < groups; group += STEM_THREADS / 32) {
    const bool some = group < groups; /* else this warp only takes part */
    const int oh = top + row, ow = column + g;
    const typename T::Pixel *from =
        some ? x + row * p.stride_h * q.width + ow * p.stride_w + T::pixel_of (t) : x;
    const int pixel[2] = {some && oh < p.oh && ow < p.ow ? (image * p.oh + oh) * p.ow + ow : -1,
        some && oh < p.oh && ow + 8 < p.ow ? (image * p.oh + oh) * p.ow + ow + 8 : -1};
    uint32_t a[steps][4];

#pragma unroll
    for (int i = 0; i < steps; i++)
      T::load (a[i], T::find (from, i, q), q);
    for (int n = 0; n < p.n_blocks; n++) {
      typename T::Sum acc[32];

      wgmma_fence ();
#pragma unroll
      for (int i = 0; i < steps; i++)
        wgmma_registers (acc, a[i], weights + ((n * steps + i) * 2048 >> 4), i > 0);
      wgmma_commit ();
      wgmma_wait<0> ();
      T::store (p, memory, pixel, n, t,
          [&] (int i, int j) { return acc[j / 2 * 4 + i * 2 + j % 2]; });
    }
    for (column += STEM_THREADS / 32 * 16; column >= columns; column -= columns)
      row++;
  }
#endif
}

/* --- On the host ---------------------------------------------------------------------------- */

static inline size_t
stem_count_blocks (const KernelConvShape *s)
{
  return (s->oc + CONV_BLOCK_CHANNELS - 1) / CONV_BLOCK_CHANNELS;
}

/* widest: pixels of a row of x; blocks: of 64 channels. Both bound shared memory. */
static inline bool
stem_suits (const KernelConvShape *s, int sm, int widest, int blocks)
{
  return sm >= 80 && s->groups == 1 && s->ic <= 4 && s->kh <= 8 && s->kw <= 8 && s->stride_h <= 4 &&
         s->stride_w <= 4 && s->dilation_h == 1 && s->dilation_w == 1 && s->pad_left <= 8 &&
         s->ow * s->stride_w <= widest && s->oc <= blocks * CONV_BLOCK_CHANNELS;
}

/* Where the words of a channel lie within 64 channels: mma, and lane of four. */
static inline void
stem_place (int oc, int *mma, int *g)
{
  const int channel = oc % CONV_BLOCK_CHANNELS;

  *mma = channel % 16 / 2;
  *g = channel / 16 * 2 + channel % 2;
}

static inline unsigned
stem_plan (StemParams *q, int rows, size_t pixel)
{
  q->rows = rows;
  q->x = q->weights + q->p.n_blocks * q->steps * 8 * 32 * 8;
  return q->x + ((rows - 1) * q->p.stride_h + q->kh) * q->width * pixel;
}

/* As the most rows of which two blocks share a multiprocessor, but blocks enough for all. `pixel`: bytes of
 * one in shared memory. */
static inline void
stem_launch (StemParams *q, const void *kernel, size_t pixel, KernelQueue *queue)
{
  const CudaBackend *cuda = queue->cuda;
  const int n = q->p.pixels / (q->p.oh * q->p.ow);
  void *arguments[] = {q};
  int rows = 16;

  while (rows > 2 && ((int) stem_plan (q, rows, pixel) > cuda->shared_memory / 2 ||
                         n * ((q->p.oh + rows - 1) / rows) < 2 * cuda->multiprocessors))
    rows /= 2;
  const unsigned shared = stem_plan (q, rows, pixel);

  kernel_conv_launch (queue, kernel, n * kernel_cuda_blocks (q->p.oh, rows), STEM_THREADS, shared,
      1, arguments);
}
