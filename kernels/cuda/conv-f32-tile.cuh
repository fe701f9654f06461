/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-f32-tile.cuh: the tile of conv-f32.cu: its sizes, its way from memory, and the products of one term.
 */
#pragma once

#include "kernels/cuda/vector.h"

#define PIXELS  128 /* of a block */
#define STEP    8   /* terms at once */
#define ROWS    8   /* pixels of a thread: two groups of four, GAP apart */
#define GAP     32
#define THREADS 128
#define LINES   (PIXELS * 2 / THREADS) /* pixels whose terms a thread copies, half of each step's */
static_assert (KERNEL_CHAIN % STEP == 0, "a chain ends between two steps");

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

static __device__ inline void
store_some (float *at, const float v[4], int left, bool wide)
{
  if (wide && left >= 4) {
    store_f32<4> (at, v);
    return;
  }
#pragma unroll
  for (int i = 0; i < 4; i++)
    if (i < left)
      at[i] = v[i];
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
