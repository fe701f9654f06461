/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-f32.cu: float convolutions in tiles, as a matrix product of pixels x terms and terms x oc.
 *
 * Each output remains chains of fmaf in (kh, kw, ic) order, from the bias on: a thread adds terms
 * one after the other, and what would fill up the last step is left out, not added as 0, which would
 * make +0 of -0. Padding is a step with x = 0. No tensor cores: they have no such chain.
 *
 * A thread has 8 pixels x 8 channels, so that four 16-byte loads from shared memory feed 64 products,
 * or, for few channels, 8 x 4. The totals of its chains, looked at once in KERNEL_CHAIN terms, lie in
 * shared memory: as registers they would leave half as many warps.
 */
#include "kernels/cuda/vector.h"

#define PIXELS  128 /* of a block */
#define STEP    8   /* terms at once */
#define ROWS    8   /* pixels of a thread: two groups of four, GAP apart */
#define GAP     32
#define THREADS 128
#define LINES   (PIXELS * 2 / THREADS) /* pixels whose terms a thread copies, half of each step's */
static_assert (KERNEL_CHAIN % STEP == 0, "a chain ends between two steps");

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

/* Four terms of some pixels; `term` moves on to the next step. With `wide` they are one access. */
template <bool wide>
static __device__ inline void
load_inputs (const KernelConvShape &s, const Window (&window)[LINES], Term *term,
    float (&x)[LINES][4])
{
  if constexpr (wide) {
#pragma unroll
    for (int line = 0; line < LINES; line++) {
      const float *at = find_input (s, window[line], *term);
      const float4 four = at ? *(const float4 *) at : make_float4 (0.0f, 0.0f, 0.0f, 0.0f);

      x[line][0] = four.x;
      x[line][1] = four.y;
      x[line][2] = four.z;
      x[line][3] = four.w;
    }
    advance (term, STEP, s);
  } else {
#pragma unroll
    for (int i = 0; i < 4; i++) {
#pragma unroll
      for (int line = 0; line < LINES; line++) {
        const float *at = find_input (s, window[line], *term);

        x[line][i] = at ? *at : 0.0f;
      }
      advance (term, i < 3 ? 1 : STEP - 3, s);
    }
  }
}

/* Values at `at` of which `left` exist, or 0. */
template <int V>
static __device__ inline void
load_some (float *v, const float *at, int left, bool wide)
{
  if (wide && left >= V) {
    load_f32<V> (v, at);
    return;
  }
#pragma unroll
  for (int i = 0; i < V; i++)
    v[i] = i < left ? at[i] : 0.0f;
}

/* --- The product ---------------------------------------------------------------------------- */

/* COLUMNS: channels of a thread, of which a block has 8 side by side. */
template <int COLUMNS> struct Tile {
  static constexpr int outputs = COLUMNS * 8, copy = outputs * STEP / THREADS;

  float x[STEP][PIXELS + 4]; /* two threads write rows that are four apart: other banks */
  float w[STEP][outputs];
};

/* Where a thread's outputs begin. A quarter of a warp reads few different words. */
typedef struct {
  int row, column;
} Place;

template <int COLUMNS>
static __device__ inline Place
find_place (void)
{
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;

  return {warp / 2 * 64 + lane / 2 % 8 * 4,
      warp % 2 * (COLUMNS * 4) + (lane % 2 + lane / 16 * 2) * 4};
}

/* Row i of a thread, and its column j, relative to the first. */
static __device__ constexpr int
row_of (int i)
{
  return i / 4 * GAP + i % 4;
}

static __device__ constexpr int
column_of (int j)
{
  return j / 4 * 16 + j % 4;
}

template <int COLUMNS>
static __device__ inline void
add_term (const Tile<COLUMNS> &tile, int term, const Place &place, float sum[ROWS][COLUMNS])
{
  float x[ROWS], w[COLUMNS];

#pragma unroll
  for (int i = 0; i < ROWS; i += 4)
    load_f32<4> (x + i, &tile.x[term][place.row + row_of (i)]);
#pragma unroll
  for (int j = 0; j < COLUMNS; j += 4)
    load_f32<4> (w + j, &tile.w[term][place.column + column_of (j)]);
#pragma unroll
  for (int i = 0; i < ROWS; i++)
#pragma unroll
    for (int j = 0; j < COLUMNS; j++)
      sum[i][j] = fmaf (x[i], w[j], sum[i][j]);
}

template <int COLUMNS>
static __device__ inline void
store_tile (Tile<COLUMNS> *tile, const float x[LINES][4], const float w[Tile<COLUMNS>::copy])
{
  constexpr int copy = Tile<COLUMNS>::copy;
  const int pixel = threadIdx.x / 2, first = threadIdx.x % 2 * 4;

#pragma unroll
  for (int line = 0; line < LINES; line++)
#pragma unroll
    for (int i = 0; i < 4; i++)
      tile->x[first + i][line * (THREADS / 2) + pixel] = x[line][i];
#pragma unroll
  for (int i = 0; i < copy; i += 2)
    *(float2 *) &tile->w[threadIdx.x / 16][threadIdx.x % 16 * copy + i] =
        make_float2 (w[i], w[i + 1]);
}

/* Adds the sums to the totals; the first chain's are the totals. */
template <int COLUMNS>
static __device__ inline void
end_chain (float sum[ROWS][COLUMNS], float4 totals[ROWS * COLUMNS / 4][THREADS], bool first)
{
#pragma unroll
  for (int i = 0; i < ROWS; i++)
#pragma unroll
    for (int j = 0; j < COLUMNS; j += 4) {
      float4 *at = &totals[(i * COLUMNS + j) / 4][threadIdx.x];
      float4 t = make_float4 (sum[i][j], sum[i][j + 1], sum[i][j + 2], sum[i][j + 3]);

      if (!first) {
        const float4 before = *at;

        t = make_float4 (before.x + t.x, before.y + t.y, before.z + t.z, before.w + t.w);
      }
      *at = t;
      sum[i][j] = sum[i][j + 1] = sum[i][j + 2] = sum[i][j + 3] = 0.0f;
    }
}

/* From the last chain's sums, and the totals unless it is the only one, to y. */
template <int COLUMNS>
static __device__ inline void
finish (const KernelConvF32 &a, size_t pixel, size_t count, int oc, bool wide,
    const float sum[ROWS][COLUMNS], float4 totals[ROWS * COLUMNS / 4][THREADS], bool only)
{
#pragma unroll
  for (int i = 0; i < ROWS; i++) {
    if (pixel + row_of (i) >= count)
      continue;
#pragma unroll
    for (int j = 0; j < COLUMNS; j += 4) {
      const int left = a.shape.oc - oc - column_of (j);
      const size_t at = (pixel + row_of (i)) * a.shape.oc + oc + column_of (j);
      const float4 before = totals[(i * COLUMNS + j) / 4][threadIdx.x];
      const float totalled[4] = {before.x, before.y, before.z, before.w};
      float t[4], r[4];

      if (a.r && left > 0)
        load_some<4> (r, a.r + at, left, wide);
#pragma unroll
      for (int k = 0; k < 4; k++) {
        t[k] = only ? sum[i][j + k] : totalled[k] + sum[i][j + k];
        t[k] = kernel_clamp_f32 (a.r ? t[k] + r[k] : t[k], a.lo, a.hi);
      }
      if (wide && left >= 4) {
        store_f32<4> (a.y + at, t);
        continue;
      }
#pragma unroll
      for (int k = 0; k < 4; k++)
        if (k < left)
          a.y[at + k] = t[k];
    }
  }
}

/* While one tile is multiplied, the next is on its way into registers. wide: four channels of x are
 * one access; a.shape.oc % 4 == 0 and `wide_oc`: of w, r and y too. Neighbouring blocks have the same
 * pixels. */
template <bool wide, int COLUMNS>
static __global__ void
__launch_bounds__ (THREADS, COLUMNS == 8 ? 3 : 4)
    conv_f32 (const __grid_constant__ KernelConvF32 a, size_t count, int terms, bool wide_oc)
{
  constexpr int outputs = Tile<COLUMNS>::outputs, copy = Tile<COLUMNS>::copy;
  __shared__ __align__ (16) Tile<COLUMNS> tiles[2];
  __shared__ float4 totals[ROWS * COLUMNS / 4][THREADS];
  const KernelConvShape &s = a.shape;
  const unsigned columns = (s.oc + outputs - 1) / outputs, column = blockIdx.x % columns;
  const size_t first_pixel = (size_t) (blockIdx.x / columns) * PIXELS;
  const int first_oc = column * outputs, copy_oc = first_oc + threadIdx.x % 16 * copy;
  const Place place = find_place<COLUMNS> ();
  const float *from_w = (const float *) a.w + (size_t) (threadIdx.x / 16) * s.oc + copy_oc;
  const int own_term = threadIdx.x / 16;
  float sum[ROWS][COLUMNS], x[LINES][4], w[copy];
  Window window[LINES];
  Term term = {0, 0, 0};
  bool first = true;

#pragma unroll
  for (int i = 0; i < LINES; i++)
    window[i] = find_window (a, first_pixel + i * (THREADS / 2) + threadIdx.x / 2, count);
#pragma unroll
  for (int j = 0; j < COLUMNS; j++) {
    const int oc = first_oc + place.column + column_of (j);
    const float b = oc < s.oc ? a.b[oc] : 0.0f;

#pragma unroll
    for (int i = 0; i < ROWS; i++)
      sum[i][j] = b;
  }
  advance (&term, threadIdx.x % 2 * 4, s);
  load_inputs<wide> (s, window, &term, x);
  load_some<copy> (w, from_w, own_term < terms ? s.oc - copy_oc : 0, wide_oc);
  for (int k = 0, turn = 0, left = KERNEL_CHAIN; k < terms; k += STEP, turn ^= 1, left -= STEP) {
    const Tile<COLUMNS> &tile = tiles[turn];

    if (left == 0) {
      end_chain<COLUMNS> (sum, totals, first);
      first = false;
      left = KERNEL_CHAIN;
    }
    store_tile<COLUMNS> (&tiles[turn], x, w);
    __syncthreads (); /* the other tile is free: all have come from it to here */
    if (k + STEP < terms) {
      load_inputs<wide> (s, window, &term, x);
      from_w += (size_t) STEP * s.oc;
      load_some<copy> (w, from_w, k + STEP + own_term < terms ? s.oc - copy_oc : 0, wide_oc);
    }
    if (k + STEP <= terms) {
#pragma unroll
      for (int i = 0; i < STEP; i++)
        add_term<COLUMNS> (tile, i, place, sum);
    } else {
      for (int i = 0; i < terms - k; i++)
        add_term<COLUMNS> (tile, i, place, sum);
    }
  }
  finish<COLUMNS> (a, first_pixel + place.row, count, first_oc + place.column, wide_oc, sum, totals,
      first);
}

template <int COLUMNS>
static void
launch (const KernelConvF32 *args, KernelQueue *queue)
{
  const KernelConvShape *s = &args->shape;
  const size_t count = (size_t) s->n * s->oh * s->ow;
  const int terms = s->kh * s->kw * s->ic;
  const unsigned blocks =
      kernel_cuda_blocks (count, PIXELS) * kernel_cuda_blocks (s->oc, Tile<COLUMNS>::outputs);
  const size_t bits =
      kernel_cuda_bits (args->w) | kernel_cuda_bits (args->y) | kernel_cuda_bits (args->r);
  const bool wide_oc = s->oc % 4 == 0 && bits % 16 == 0;

  if (s->ic % 4 == 0 && kernel_cuda_aligned (args->x, 16))
    conv_f32<true, COLUMNS><<<blocks, THREADS, 0, queue->stream>>> (*args, count, terms, wide_oc);
  else
    conv_f32<false, COLUMNS><<<blocks, THREADS, 0, queue->stream>>> (*args, count, terms, wide_oc);
}

/* Narrow blocks where they compute fewer channels that do not exist. */
static void
run (const KernelConvF32 *args, KernelQueue *queue)
{
  if ((args->shape.oc + 31) / 32 % 2 == 1 && args->shape.oc <= 96)
    launch<4> (args, queue);
  else
    launch<8> (args, queue);
}

const CudaConvF32 kernel_conv_f32_cuda_tiles = {.name = "tiles",
    .suits = suits,
    .pack = kernel_conv_f32_pack_cuda_plain,
    .run = run};
