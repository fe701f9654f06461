/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-stem.cu: the first convolution of a network: up to 4 input channels, where a GEMM in pieces
 * of 16 bytes would be mostly padding. Compute capability 8.0 on.
 *
 * A block computes some rows of y. It unfolds the rows of x that they need into shared memory, four
 * bytes a pixel, zero_x outside the image. One row of a window is then 8 pixels x 4 channels = 32
 * bytes, the k of one mma (7x7: 7 of them), or, for windows at most 4 wide, 4 pixels of two rows. A
 * lane's operand is two neighbouring pixels: one 8-byte load, without conflicts for stride 2. A
 * warp has 2 rows x 16 pixels x 64 channels: 64 accumulators, 128 registers, 2 blocks of 256
 * threads on a multiprocessor. Bound: mma for 7x7 (65 % of the products are not padding), stores
 * for 3x3.
 */
#include "kernels/cuda/conv-mma.cuh"
#include "kernels/cuda/conv-stem.h"
#include "kernels/cuda/conv-wgmma.cuh"

#include <string.h>

#define THREADS 256

/* Packed weights: [64 channels][step][8 mma][lane][2 words], as mma wants them: word i of lane 4 g
 * + t is the four channels of one pixel of a window's row, for channel 16 (g / 2) + 2 j + g % 2. */
typedef struct {
  ConvParams p;
  int rows;            /* of y, of a block */
  int steps;           /* mma along k */
  int width;           /* pixels of a row in shared memory */
  int kh;              /* rows of a window, padding included */
  bool words;          /* x can be read in words of 4 bytes, 4 pixels at a time */
  unsigned weights, x; /* offsets in shared memory */
} StemParams;

/* Four pixels of three channels are three words. */
static __device__ __forceinline__ void
load_words (uint32_t (&word)[4], const uint32_t *from)
{
  word[0] = from[0], word[1] = from[1], word[2] = from[2];
}

static __device__ __forceinline__ void
unfold_words (uint32_t (&pixel)[4])
{
  const uint32_t a = pixel[0], b = pixel[1], c = pixel[2];

  pixel[0] = a & 0xffffff;
  pixel[1] = __byte_perm (a, b, 0x0543) & 0xffffff;
  pixel[2] = __byte_perm (b, c, 0x0432) & 0xffffff;
  pixel[3] = c >> 8;
}

static __device__ __forceinline__ void
unfold_bytes (uint32_t (&pixel)[4], const int8_t *row, int first, int iw, int ic, uint32_t outside)
{
#pragma unroll
  for (int i = 0; i < 4; i++) {
    pixel[i] = outside;
    if ((unsigned) (first + i) >= (unsigned) iw)
      continue;
    pixel[i] = 0;
#pragma unroll 1
    for (int c = 0; c < ic; c++)
      pixel[i] |= (uint32_t) (uint8_t) row[(first + i) * ic + c] << (8 * c);
  }
}

/* Rows of x for rows of y from `row` on, `rows` of them; groups of four pixels begin at multiples
 * of four, so that they lie inside the image or outside where words are read. A warp takes rows,
 * two at a time; all its loads come before its first store. */
[[maybe_unused]] static __device__ __forceinline__ void
unfold (uint32_t *to, const StemParams &q, int image, int row)
{
  const ConvParams &p = q.p;
  const int first = -((p.pad_left + 3) / 4 * 4), groups = (q.width - p.pad_left - first + 3) / 4;
  const int rows = (q.rows - 1) * p.stride_h + q.kh, top = row * p.stride_h - p.pad_top;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;

  for (int r = warp * 2; r < rows; r += THREADS / 32 * 2) {
    for (int group = lane; group < groups; group += 64) {
      uint32_t pixel[4][4];

#pragma unroll
      for (int i = 0; i < 4; i++) { /* two rows, two groups */
        const int ih = top + r + i / 2, column = first + (group + i % 2 * 32) * 4;
        const int8_t *from = p.x + ((int64_t) image * p.ih + ih) * p.iw * p.ic;
        const bool inside = (unsigned) ih < (unsigned) p.ih;

        pixel[i][0] = pixel[i][1] = pixel[i][2] = pixel[i][3] = p.zero_x;
        if (q.words && inside && (unsigned) column < (unsigned) p.iw)
          load_words (pixel[i], (const uint32_t *) (from + column * 3));
        else if (!q.words && inside)
          unfold_bytes (pixel[i], from, column, p.iw, p.ic, p.zero_x);
      }
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const int ih = top + r + i / 2, column = first + (group + i % 2 * 32) * 4;

        if (r + i / 2 >= rows)
          break;
        if (q.words && (unsigned) ih < (unsigned) p.ih && (unsigned) column < (unsigned) p.iw)
          unfold_words (pixel[i]);
#pragma unroll
        for (int k = 0; k < 4; k++)
          if ((unsigned) (column + p.pad_left + k) < (unsigned) q.width)
            to[(r + i / 2) * q.width + column + p.pad_left + k] = pixel[i][k];
      }
    }
  }
}

/* 16 pixels x 32 bytes of k: lane 4 g + t has pixels g and g + 8. `pair`: two neighbours lie in an
 * aligned 8-byte word. */
template <int taps, bool pair>
static __device__ __forceinline__ void
load_pixels (uint32_t (&a)[4], const uint32_t *x, int width, int stride)
{
  if (taps == 8 && pair) {
    const uint2 low = *(const uint2 *) x, high = *(const uint2 *) (x + 8 * stride);

    a[0] = low.x, a[1] = high.x, a[2] = low.y, a[3] = high.y;
  } else {
    const int second = taps == 8 ? 1 : width;

    a[0] = x[0], a[1] = x[8 * stride], a[2] = x[second], a[3] = x[8 * stride + second];
  }
}

template <int taps, bool pair>
static __global__ void
__launch_bounds__ (THREADS, 2) conv_stem (const __grid_constant__ StemParams q)
{
#if __CUDA_ARCH__ >= 800
  extern __shared__ __align__ (128) uint8_t memory[];
  const ConvParams &p = q.p;
  const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  const int tiles = (p.oh + q.rows - 1) / q.rows, image = blockIdx.x / tiles;
  const int top = (blockIdx.x - image * tiles) * q.rows, columns = (p.ow + 15) / 16;
  const int channels = p.n_blocks * 64, per_block = q.steps * 8 * 32;
  float4 *m = (float4 *) memory, *b = m + channels / 4;
  const uint2 *w = (const uint2 *) (memory + q.weights);
  uint32_t *x = (uint32_t *) (memory + q.x);

  conv_let_next_start ();
  conv_load_factors ((float *) m, (float *) b, p, 0, channels);
  for (int i = threadIdx.x; i < p.n_blocks * per_block / 2; i += THREADS)
    ((uint4 *) w)[i] = ((const uint4 *) p.w)[i];
  conv_wait_for_inputs ();
  unfold (x, q, image, top);
  __syncthreads ();
  for (int task = threadIdx.x / 32; task < q.rows / 2 * columns * p.n_blocks;
       task += THREADS / 32) {
    const int n = task % p.n_blocks, rest = task / p.n_blocks;
    const int row = rest / columns * 2, column = rest % columns * 16;
    const uint32_t *from =
        x + row * p.stride_h * q.width + (column + g) * p.stride_w + (taps == 8 ? 2 * t : t);
    const uint2 *weights = w + n * per_block + lane;
    int acc[2][8][4] = {};

    for (int step = 0; step < q.steps; step++) {
      uint32_t a[2][4];
      uint2 v[8];

#pragma unroll
      for (int i = 0; i < 2; i++)
        load_pixels<taps, pair> (a[i], from + i * p.stride_h * q.width, q.width, p.stride_w);
#pragma unroll
      for (int j = 0; j < 8; j++)
        v[j] = weights[j * 32];
#pragma unroll
      for (int i = 0; i < 2; i++) /* outermost: else registers of `a` are copied for every mma */
#pragma unroll
        for (int j = 0; j < 8; j++)
          mma_multiply (acc[i][j], a[i], v[j].x, v[j].y);
      from += taps == 8 ? q.width : 2 * q.width;
      weights += 8 * 32;
    }
    int pixel[4];

#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int oh = top + row + i / 2, ow = column + i % 2 * 8 + g;

      pixel[i] = oh < p.oh && ow < p.ow ? (image * p.oh + oh) * p.ow + ow : -1;
    }
    mma_store (p, pixel, n * 64 + t * 16, m + n * 16 + t, b + n * 16 + t,
        [&] (int i, int j) { return acc[i / 2][j / 2][i % 2 * 2 + j % 2]; });
  }
#endif
}

/* The same with wgmma, for windows that move by two pixels: a warpgroup has 4 x 16 pixels x 64
 * channels, 32 accumulators a thread. The whole k of a window is loaded first: 4 words a lane and
 * step. */
template <int taps, int steps>
static __global__ void
__launch_bounds__ (THREADS, 2) conv_stem_wgmma (const __grid_constant__ StemParams q)
{
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__ (128) uint8_t memory[];
  const ConvParams &p = q.p;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  const int tiles = (p.oh + q.rows - 1) / q.rows, image = blockIdx.x / tiles;
  const int top = (blockIdx.x - image * tiles) * q.rows, columns = (p.ow + 15) / 16 * 16;
  const int channels = p.n_blocks * 64, groups = q.rows * columns / 16;
  float4 *m = (float4 *) memory, *b = m + channels / 4;
  uint32_t *w = (uint32_t *) (memory + q.weights), *x = (uint32_t *) (memory + q.x);
  const uint64_t weights = matrix_of_bricks (conv_shared_address (w));
  int row = warp * 16 / columns, column = warp * 16 - row * columns;

  conv_let_next_start ();
  conv_load_factors ((float *) m, (float *) b, p, 0, channels);
  for (int i = threadIdx.x; i < p.n_blocks * steps * 8 * 32; i += THREADS) {
    const uint2 v = ((const uint2 *) p.w)[i];

    w[i / 32 * 64 + i % 32] = v.x;
    w[i / 32 * 64 + 32 + i % 32] = v.y;
  }
  store_fence ();
  conv_wait_for_inputs ();
  unfold (x, q, image, top);
  __syncthreads ();
  for (int group = warp; group - warp % 4 < groups; group += THREADS / 32) {
    const bool some = group < groups; /* else this warp only takes part */
    const int oh = top + row, ow = column + g;
    const uint32_t *from =
        some ? x + row * p.stride_h * q.width + ow * 2 + (taps == 8 ? 2 * t : t) : x;
    const int pixel[2] = {some && oh < p.oh && ow < p.ow ? (image * p.oh + oh) * p.ow + ow : -1,
        some && oh < p.oh && ow + 8 < p.ow ? (image * p.oh + oh) * p.ow + ow + 8 : -1};
    uint32_t a[steps][4];

#pragma unroll
    for (int i = 0; i < steps; i++) {
      const uint32_t *second = taps == 8 ? from + 1 : from + q.width;

      a[i][0] = from[0], a[i][1] = from[16], a[i][2] = second[0], a[i][3] = second[16];
      from = taps == 8 ? from + q.width : second + q.width;
    }
    for (int n = 0; n < p.n_blocks; n++) {
      int acc[32];

      wgmma_fence ();
#pragma unroll
      for (int i = 0; i < steps; i++)
        wgmma_registers (acc, a[i], weights + ((n * steps + i) * 2048 >> 4), i > 0);
      wgmma_commit ();
      wgmma_wait<0> ();
      mma_store (p, pixel, n * 64 + t * 16, m + n * 16 + t, b + n * 16 + t,
          [&] (int i, int j) { return acc[j / 2 * 4 + i * 2 + j % 2]; });
    }
    for (column += THREADS / 32 * 16; column >= columns; column -= columns)
      row++;
  }
#endif
}

/* --- On the host ---------------------------------------------------------------------------- */

static int
count_steps (const KernelConvShape *s)
{
  return s->kw <= 4 ? (s->kh + 1) / 2 : s->kh;
}

static size_t
count_blocks (const KernelConvShape *s)
{
  return (s->oc + CONV_BLOCK_CHANNELS - 1) / CONV_BLOCK_CHANNELS;
}

bool
kernel_conv_stem_suits (const KernelConvShape *s, int sm)
{
  return sm >= 80 && s->groups == 1 && s->ic <= 4 && s->kh <= 8 && s->kw <= 8 && s->stride_h <= 4 &&
         s->stride_w <= 4 && s->dilation_h == 1 && s->dilation_w == 1 && s->pad_left <= 8 &&
         s->ow * s->stride_w <= 1024 && s->oc <= 4 * CONV_BLOCK_CHANNELS;
}

size_t
kernel_conv_stem_pack (const KernelConvShape *s, int8_t zero_x, const int8_t *w, void *packed)
{
  const int steps = count_steps (s);
  const size_t size = count_blocks (s) * steps * 8 * 32 * 8;
  uint8_t *to = (uint8_t *) packed;

  if (!packed)
    return size;
  memset (to, 0, size);
  for (int oc = 0; oc < s->oc; oc++) {
    const int channel = oc % CONV_BLOCK_CHANNELS;
    const int j = channel % 16 / 2, g = channel / 16 * 2 + channel % 2;

    for (int kh = 0; kh < s->kh; kh++) {
      for (int kw = 0; kw < s->kw; kw++, w += s->ic) {
        const int step = s->kw <= 4 ? kh / 2 : kh, t = s->kw <= 4 ? kw : kw / 2;
        const int word = s->kw <= 4 ? kh % 2 : kw % 2;
        const size_t block = (size_t) (oc / CONV_BLOCK_CHANNELS) * steps + step;

        memcpy (to + (((block * 8 + j) * 32 + g * 4 + t) * 2 + word) * 4, w, s->ic);
      }
    }
  }
  return size;
}

static unsigned
plan (StemParams *q, int rows)
{
  const int x_rows = (rows - 1) * q->p.stride_h + q->kh;

  q->rows = rows;
  q->weights = q->p.n_blocks * 64 * 8;
  q->x = q->weights + q->p.n_blocks * q->steps * 8 * 32 * 8;
  return q->x + x_rows * q->width * 4;
}

/* The most rows of which two blocks share a multiprocessor, but blocks enough for all. */
static unsigned
choose_rows (StemParams *q, int n, const CudaBackend *cuda)
{
  int rows = 16;

  while (rows > 2 && ((int) plan (q, rows) > cuda->shared_memory / 2 ||
                         n * ((q->p.oh + rows - 1) / rows) < 2 * cuda->multiprocessors))
    rows /= 2;
  return plan (q, rows);
}

void
kernel_conv_stem_run (const KernelConvS8 *args, bool to_f32, KernelQueue *queue)
{
  const KernelConvShape *s = &args->shape;
  const int taps = s->kw <= 4 ? 4 : 8;
  StemParams q = {};
  void *arguments[] = {&q};
  const void *kernel;
  unsigned shared, blocks;

  q.p = kernel_conv_params (args, to_f32);
  q.steps = count_steps (s);
  q.kh = taps == 4 ? q.steps * 2 : s->kh;
  q.width = (((s->ow + 15) / 16 * 16 - 1) * s->stride_w + taps + 1) / 2 * 2;
  q.words = s->ic == 3 && s->iw % 4 == 0 && kernel_cuda_aligned (args->x, 4);
  shared = choose_rows (&q, s->n, queue->cuda);
  blocks = s->n * kernel_cuda_blocks (s->oh, q.rows);
  kernel = taps == 4              ? (const void *) conv_stem<4, false>
           : s->stride_w % 2 == 0 ? (const void *) conv_stem<8, true>
                                  : (const void *) conv_stem<8, false>;
  if (queue->cuda->sm == 90 && s->stride_w == 2 && taps == 8 && q.steps == 7)
    kernel = (const void *) conv_stem_wgmma<8, 7>;
  else if (queue->cuda->sm == 90 && s->stride_w == 2 && taps == 4 && q.steps == 2)
    kernel = (const void *) conv_stem_wgmma<4, 2>;
  kernel_conv_launch (queue, kernel, blocks, THREADS, shared, 1, arguments);
}
