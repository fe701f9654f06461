/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-stem-f16.cu: the first convolution of a network in halves, as conv-stem.cu is for int8: up to 4
 * input channels. Compute capability 8.0 on.
 *
 * A block computes some rows of y. It unfolds the rows of x that they need into shared memory, four
 * halves a pixel, 0 outside the image. Four neighbouring pixels of a window's row are then the k of one
 * mma: lane t of a row has pixel t, one 8-byte load (7x7: two mma a row, 14 of them). A warp has 2 rows x
 * 16 pixels x 64 channels: 64 accumulators.
 */
#include "kernels/cuda/conv-f16.h"
#include "kernels/cuda/conv-mma.cuh"
#include "kernels/cuda/conv-wgmma.cuh"

#include <string.h>

#define THREADS 256

/* Packed weights: [64 channels][step][8 mma][lane][4 halves]: lane 4 g + t has the four channels of pixel t
 * of a step, for channel 16 (g / 2) + 2 j + g % 2 of mma j. */
typedef struct {
  ConvParams p;  /* in bytes */
  int rows;      /* of y, of a block */
  int steps;     /* mma along k */
  int row_steps; /* of a row of a window */
  int width;     /* pixels of a row in shared memory */
  Divisor by_width;
  unsigned weights, x; /* offsets in shared memory */
} StemParams;

/* Rows of x for rows of y from `row` on; a thread takes pixels, several loads at once. */
[[maybe_unused]] static __device__ __forceinline__ void
unfold (uint2 *to, const StemParams &q, int image, int row)
{
  const ConvParams &p = q.p;
  const KernelHalf *x = (const KernelHalf *) p.x;
  const int rows = (q.rows - 1) * p.stride_h + q.steps / q.row_steps, ic = p.ic / 2;
  const int top = row * p.stride_h - p.pad_top, count = rows * q.width;

#pragma unroll 4
  for (int i = threadIdx.x; i < count; i += THREADS) {
    int column;
    const int ih = top + divide (i, q.by_width, &column), iw = column - p.pad_left;
    const bool inside = (unsigned) ih < (unsigned) p.ih && (unsigned) iw < (unsigned) p.iw;
    const KernelHalf *from = x + (inside ? (((int64_t) image * p.ih + ih) * p.iw + iw) * ic : 0);
    uint32_t c[4];

#pragma unroll
    for (int k = 0; k < 4; k++) {
      c[k] =
          from[k < ic ? k : 0]; /* always loaded, so that loads of several pixels are under way */
      c[k] = inside && k < ic ? c[k] : 0;
    }
    to[i] = make_uint2 (c[0] | c[1] << 16, c[2] | c[3] << 16);
  }
}

static __global__ void
__launch_bounds__ (THREADS, 2) conv_stem_f16 (const __grid_constant__ StemParams q)
{
#if __CUDA_ARCH__ >= 800
  extern __shared__ __align__ (128) uint8_t memory[];
  const ConvParams &p = q.p;
  const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  const int tiles = (p.oh + q.rows - 1) / q.rows, image = blockIdx.x / tiles;
  const int top = (blockIdx.x - image * tiles) * q.rows, columns = (p.ow + 15) / 16;
  const int per_block = q.steps * 8 * 32;
  const uint2 *w = (const uint2 *) (memory + q.weights);
  uint2 *x = (uint2 *) (memory + q.x);

  conv_let_next_start ();
  for (int i = threadIdx.x; i < p.n_blocks * per_block / 2; i += THREADS)
    ((uint4 *) w)[i] = ((const uint4 *) p.w)[i];
  conv_wait_for_inputs ();
  unfold (x, q, image, top);
  __syncthreads ();
  for (int task = threadIdx.x / 32; task < q.rows / 2 * columns * p.n_blocks;
       task += THREADS / 32) {
    const int n = task % p.n_blocks, rest = task / p.n_blocks;
    const int row = rest / columns * 2, column = rest % columns * 16;
    const uint2 *from = x + row * p.stride_h * q.width + (column + g) * p.stride_w + t;
    const uint2 *weights = w + n * per_block + lane;
    float acc[2][8][4] = {};

    for (int step = 0, piece = 0; step < q.steps; step++) {
      uint32_t a[2][4];
      uint2 v[8];

#pragma unroll
      for (int i = 0; i < 2; i++) {
        const uint2 low = from[i * p.stride_h * q.width];
        const uint2 high = from[i * p.stride_h * q.width + 8 * p.stride_w];

        a[i][0] = low.x, a[i][1] = high.x, a[i][2] = low.y, a[i][3] = high.y;
      }
#pragma unroll
      for (int j = 0; j < 8; j++)
        v[j] = weights[j * 32];
#pragma unroll
      for (int i = 0; i < 2; i++)
#pragma unroll
        for (int j = 0; j < 8; j++)
          mma_multiply (acc[i][j], a[i], v[j].x, v[j].y);
      weights += 8 * 32;
      from += 4;
      if (++piece == q.row_steps) {
        piece = 0;
        from += q.width - 4 * q.row_steps;
      }
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int oh = top + row + i / 2, ow = column + i % 2 * 8 + g;

      conv_store_f16 (p, oh < p.oh && ow < p.ow ? (image * p.oh + oh) * p.ow + ow : -1,
          n * 64 + t * 16, [&] (int j) { return acc[i / 2][j / 2][i % 2 * 2 + j % 2]; });
    }
  }
#endif
}

/* The same with wgmma: a warpgroup has 4 x 16 pixels x 64 channels, 32 accumulators a thread, and loads the
 * whole k of its windows first. */
template <int row_steps, int steps>
static __global__ void
__launch_bounds__ (THREADS, 2) conv_stem_f16_wgmma (const __grid_constant__ StemParams q)
{
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__ (128) uint8_t memory[];
  const ConvParams &p = q.p;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  const int tiles = (p.oh + q.rows - 1) / q.rows, image = blockIdx.x / tiles;
  const int top = (blockIdx.x - image * tiles) * q.rows, columns = (p.ow + 15) / 16 * 16;
  const int groups = q.rows * columns / 16;
  uint32_t *w = (uint32_t *) (memory + q.weights);
  uint2 *x = (uint2 *) (memory + q.x);
  const uint64_t weights = matrix_of_bricks (conv_shared_address (w));
  int row = warp * 16 / columns, column = warp * 16 - row * columns;

  conv_let_next_start ();
#pragma unroll 4
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
    const uint2 *from = some ? x + row * p.stride_h * q.width + ow * p.stride_w + t : x;
    uint32_t a[steps][4];

#pragma unroll
    for (int i = 0; i < steps; i++) {
      const uint2 *at = from + i / row_steps * q.width + i % row_steps * 4;
      const uint2 low = at[0], high = at[8 * p.stride_w];

      a[i][0] = low.x, a[i][1] = high.x, a[i][2] = low.y, a[i][3] = high.y;
    }
    for (int n = 0; n < p.n_blocks; n++) {
      float acc[32];

      wgmma_fence ();
#pragma unroll
      for (int i = 0; i < steps; i++)
        wgmma_registers (acc, a[i], weights + ((n * steps + i) * 2048 >> 4), i > 0);
      wgmma_commit ();
      wgmma_wait<0> ();
#pragma unroll
      for (int i = 0; i < 2; i++) {
        const bool inside = some && oh < p.oh && ow + i * 8 < p.ow;

        conv_store_f16 (p, inside ? (image * p.oh + oh) * p.ow + ow + i * 8 : -1, n * 64 + t * 16,
            [&] (int j) { return acc[j / 2 * 4 + i * 2 + j % 2]; });
      }
    }
    for (column += THREADS / 32 * 16; column >= columns; column -= columns)
      row++;
  }
#endif
}

/* --- On the host ---------------------------------------------------------------------------- */

static size_t
count_blocks (const KernelConvShape *s)
{
  return (s->oc + CONV_BLOCK_CHANNELS - 1) / CONV_BLOCK_CHANNELS;
}

static bool
suits (const KernelConvShape *s, int sm)
{
  return sm >= 80 && s->groups == 1 && s->ic <= 4 && s->kh <= 8 && s->kw <= 8 && s->stride_h <= 4 &&
         s->stride_w <= 4 && s->dilation_h == 1 && s->dilation_w == 1 && s->pad_left <= 8 &&
         s->ow * s->stride_w <= 512 && s->oc <= 2 * CONV_BLOCK_CHANNELS;
}

static size_t
pack (const KernelConvShape *s, const float *w, void *packed)
{
  const int row_steps = (s->kw + 3) / 4, steps = s->kh * row_steps;
  const size_t size = count_blocks (s) * steps * 8 * 32 * 4 * sizeof (KernelHalf);
  KernelHalf *to = (KernelHalf *) packed;

  if (!packed)
    return size;
  memset (to, 0, size);
  for (int oc = 0; oc < s->oc; oc++) {
    const int channel = oc % CONV_BLOCK_CHANNELS;
    const int j = channel % 16 / 2, g = channel / 16 * 2 + channel % 2;

    for (int kh = 0; kh < s->kh; kh++)
      for (int kw = 0; kw < s->kw; kw++) {
        const size_t step = (oc / CONV_BLOCK_CHANNELS) * steps + kh * row_steps + kw / 4;
        KernelHalf *at = to + ((step * 8 + j) * 32 + g * 4 + kw % 4) * 4;

        for (int ic = 0; ic < s->ic; ic++)
          at[ic] = kernel_half_of_f32 (*w++);
      }
  }
  return size;
}

static unsigned
plan (StemParams *q, int rows)
{
  const int x_rows = (rows - 1) * q->p.stride_h + q->steps / q->row_steps;

  q->rows = rows;
  q->weights = 0;
  q->x = q->p.n_blocks * q->steps * 8 * 32 * sizeof (uint2);
  return q->x + x_rows * q->width * sizeof (uint2);
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

static void
run (const KernelConvF16 *args, KernelQueue *queue)
{
  const KernelConvShape *s = &args->shape;
  StemParams q = {};
  void *arguments[] = {&q};
  const void *kernel = (const void *) conv_stem_f16;
  unsigned shared;

  q.p = kernel_conv_params_f16 (args);
  q.row_steps = (s->kw + 3) / 4;
  q.steps = s->kh * q.row_steps;
  q.width = ((s->ow + 15) / 16 * 16 - 1) * s->stride_w + q.row_steps * 4;
  q.by_width = make_divisor (q.width);
  shared = choose_rows (&q, s->n, queue->cuda);
  if (queue->cuda->sm == 90 && q.row_steps == 2 && q.steps == 14)
    kernel = (const void *) conv_stem_f16_wgmma<2, 14>;
  else if (queue->cuda->sm == 90 && q.row_steps == 1 && q.steps == 3)
    kernel = (const void *) conv_stem_f16_wgmma<1, 3>;
  kernel_conv_launch (queue, kernel, s->n * kernel_cuda_blocks (s->oh, q.rows), THREADS, shared, 1,
      arguments);
}

const CudaConvF16 kernel_conv_f16_cuda_stem = {"stem", suits, pack, NULL, run};
