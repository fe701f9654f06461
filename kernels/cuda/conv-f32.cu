/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-f32.cu: float convolutions in tiles, as a matrix product of pixels x terms and terms x oc.
 *
 * Each output remains chains of fmaf in (kh, kw, ic) order, from the bias on: a thread adds terms
 * one after the other, and what would fill up the last step is left out, not added as 0, which would
 * make +0 of -0. Padding is a step with x = 0. No tensor cores: they have no such chain.
 */
#include "kernels/cuda/vector.h"

#define PIXELS  128 /* of a block */
#define OUTPUTS 64  /* channels of a block */
#define STEP    8   /* terms at once */
#define ROWS    8   /* pixels of a thread */
#define COLUMNS 4   /* channels of a thread */
static_assert (KERNEL_CHAIN % STEP == 0, "a chain ends between two steps");
#define THREADS (PIXELS / ROWS * (OUTPUTS / COLUMNS))

static bool
suits (const KernelConvShape *s, int sm)
{
  return s->groups == 1 && (int64_t) s->kh * s->kw * s->ic <= INT32_MAX;
}

/* --- What comes from memory ----------------------------------------------------------------- */

/* A term of the sum: input channel c under tap (kh, kw). */
typedef struct {
  int kh, kw, c;
} Term;

static __device__ inline void
advance (Term *term, int by, const KernelConvShape &s)
{
  for (term->c += by; term->c >= s.ic; term->c -= s.ic)
    if (++term->kw == s.kw) {
      term->kw = 0;
      term->kh++;
    }
}

/* A pixel's window: where its first tap is, and the image. `image` is NULL beyond the last pixel. */
typedef struct {
  const float *image;
  int ih, iw;
} Window;

static __device__ inline Window
find_window (const KernelConvF32 &a, size_t pixel, size_t count)
{
  const KernelConvShape &s = a.shape;
  const size_t row = kernel_cuda_divide (pixel, s.ow), n = kernel_cuda_divide (row, s.oh);

  return {pixel < count ? a.x + n * s.ih * s.iw * s.ic : NULL,
      (int) (row - n * s.oh) * s.stride_h - s.pad_top,
      (int) (pixel - row * s.ow) * s.stride_w - s.pad_left};
}

/* NULL where there is padding, no pixel, or no term. */
static __device__ inline const float *
find_input (const KernelConvShape &s, const Window &window, const Term &term)
{
  const int ih = window.ih + term.kh * s.dilation_h, iw = window.iw + term.kw * s.dilation_w;

  if (!window.image || term.kh >= s.kh || ih < 0 || ih >= s.ih || iw < 0 || iw >= s.iw)
    return NULL;
  return window.image + ((ptrdiff_t) ih * s.iw + iw) * s.ic + term.c;
}

/* Four terms of one pixel; `term` moves on to the next step. With `wide` they are one access. */
template <bool wide>
static __device__ inline void
load_inputs (const KernelConvShape &s, const Window &window, Term *term, float x[4])
{
  if constexpr (wide) {
    const float *at = find_input (s, window, *term);
    const float4 four = at ? *(const float4 *) at : make_float4 (0.0f, 0.0f, 0.0f, 0.0f);

    x[0] = four.x;
    x[1] = four.y;
    x[2] = four.z;
    x[3] = four.w;
    advance (term, STEP, s);
  } else {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const float *at = find_input (s, window, *term);

      x[i] = at ? *at : 0.0f;
      advance (term, i < 3 ? 1 : STEP - 3, s);
    }
  }
}

/* Two neighbouring channels of one term. */
static __device__ inline void
load_weights (const KernelConvF32 &a, int term, int terms, int oc, float w[2])
{
  const float *at = (const float *) a.w + (size_t) term * a.shape.oc + oc;

  w[0] = term < terms && oc < a.shape.oc ? at[0] : 0.0f;
  w[1] = term < terms && oc + 1 < a.shape.oc ? at[1] : 0.0f;
}

/* --- The product ---------------------------------------------------------------------------- */

typedef struct {
  float x[STEP][PIXELS + 4]; /* two threads write rows that are four apart: other banks */
  float w[STEP][OUTPUTS];
} Tile;

static __device__ inline void
add_term (const Tile &tile, int term, int row, int column, float sum[ROWS][COLUMNS])
{
  float x[ROWS], w[COLUMNS];

  load_f32<ROWS> (x, &tile.x[term][row]);
  load_f32<COLUMNS> (w, &tile.w[term][column]);
#pragma unroll
  for (int i = 0; i < ROWS; i++)
#pragma unroll
    for (int j = 0; j < COLUMNS; j++)
      sum[i][j] = fmaf (x[i], w[j], sum[i][j]);
}

static __device__ inline void
store_tile (Tile *tile, const float x[4], const float w[2])
{
  const int pixel = threadIdx.x / 2, first = threadIdx.x % 2 * 4;

#pragma unroll
  for (int i = 0; i < 4; i++)
    tile->x[first + i][pixel] = x[i];
  *(float2 *) &tile->w[threadIdx.x / 32][threadIdx.x % 32 * 2] = make_float2 (w[0], w[1]);
}

/* The totals begin at -0, to which the first chain's sums can be added as they are. */
static __device__ inline void
end_chain (float sum[ROWS][COLUMNS], float total[ROWS][COLUMNS])
{
#pragma unroll
  for (int i = 0; i < ROWS; i++)
#pragma unroll
    for (int j = 0; j < COLUMNS; j++) {
      total[i][j] += sum[i][j];
      sum[i][j] = 0.0f;
    }
}

static __device__ inline void
finish (const KernelConvF32 &a, size_t pixel, size_t count, int oc, float sum[ROWS][COLUMNS])
{
#pragma unroll
  for (int i = 0; i < ROWS; i++) {
#pragma unroll
    for (int j = 0; j < COLUMNS; j++) {
      const size_t at = (pixel + i) * a.shape.oc + oc + j;

      if (pixel + i >= count || oc + j >= a.shape.oc)
        continue;
      const float t = a.r ? sum[i][j] + a.r[at] : sum[i][j];
      a.y[at] = kernel_clamp_f32 (t, a.lo, a.hi);
    }
  }
}

/* While one tile is multiplied, the next is on its way into registers. */
template <bool wide>
static __global__ void
__launch_bounds__ (THREADS)
    conv_f32 (const __grid_constant__ KernelConvF32 a, size_t count, int terms)
{
  __shared__ __align__ (16) Tile tiles[2];
  const KernelConvShape &s = a.shape;
  const size_t first_pixel = (size_t) blockIdx.x * PIXELS;
  const int first_oc = blockIdx.y * OUTPUTS;
  const int row = threadIdx.x / (OUTPUTS / COLUMNS) * ROWS;
  const int column = threadIdx.x % (OUTPUTS / COLUMNS) * COLUMNS;
  const Window window = find_window (a, first_pixel + threadIdx.x / 2, count);
  const int w_oc = first_oc + threadIdx.x % 32 * 2;
  float sum[ROWS][COLUMNS], total[ROWS][COLUMNS], x[4], w[2];
  Term term = {0, 0, 0};

#pragma unroll
  for (int j = 0; j < COLUMNS; j++)
#pragma unroll
    for (int i = 0; i < ROWS; i++) {
      sum[i][j] = first_oc + column + j < s.oc ? a.b[first_oc + column + j] : 0.0f;
      total[i][j] = -0.0f;
    }

  advance (&term, threadIdx.x % 2 * 4, s);
  load_inputs<wide> (s, window, &term, x);
  load_weights (a, threadIdx.x / 32, terms, w_oc, w);
  for (int k = 0, turn = 0; k < terms; k += STEP, turn ^= 1) {
    const Tile &tile = tiles[turn];

    if (k > 0 && k % KERNEL_CHAIN == 0)
      end_chain (sum, total);
    store_tile (&tiles[turn], x, w);
    __syncthreads (); /* the other tile is free: all have come from it to here */
    if (k + STEP < terms) {
      load_inputs<wide> (s, window, &term, x);
      load_weights (a, k + STEP + threadIdx.x / 32, terms, w_oc, w);
    }
    if (k + STEP <= terms) {
#pragma unroll
      for (int i = 0; i < STEP; i++)
        add_term (tile, i, row, column, sum);
    } else {
      for (int i = 0; i < terms - k; i++)
        add_term (tile, i, row, column, sum);
    }
  }
  end_chain (sum, total);
  finish (a, first_pixel + row, count, first_oc + column, total);
}

static void
run (const KernelConvF32 *args, KernelQueue *queue)
{
  const KernelConvShape *s = &args->shape;
  const size_t count = (size_t) s->n * s->oh * s->ow;
  const int terms = s->kh * s->kw * s->ic;
  const dim3 blocks (kernel_cuda_blocks (count, PIXELS), kernel_cuda_blocks (s->oc, OUTPUTS));

  if (s->ic % 4 == 0 && kernel_cuda_aligned (args->x, 16))
    conv_f32<true><<<blocks, THREADS, 0, queue->stream>>> (*args, count, terms);
  else
    conv_f32<false><<<blocks, THREADS, 0, queue->stream>>> (*args, count, terms);
}

const CudaConvF32 kernel_conv_f32_cuda_tiles = {.name = "tiles",
    .suits = suits,
    .pack = kernel_conv_f32_pack_cuda_plain,
    .run = run};
