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
 *
 * Where tiles are too few for the device, each chain of a tile is a block's, and their sums are added
 * afterwards, in their order: the same bytes.
 */
#include "kernels/cuda/conv-f32-tile.cuh"

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
      store_some (a.y + at, t, left, wide);
    }
  }
}

/* Sums of a chain as they are; channels that do not exist are not stored. */
template <int COLUMNS>
static __device__ inline void
store_part (float *y, int all_oc, size_t pixel, size_t count, int oc, bool wide,
    const float sum[ROWS][COLUMNS])
{
#pragma unroll
  for (int i = 0; i < ROWS; i++) {
    if (pixel + row_of (i) >= count)
      continue;
#pragma unroll
    for (int j = 0; j < COLUMNS; j += 4)
      store_some (y + (pixel + row_of (i)) * all_oc + oc + column_of (j), &sum[i][j],
          all_oc - oc - column_of (j), wide);
  }
}

/* While one tile is multiplied, the next is on its way into registers. wide: four channels of x are
 * one access; a.shape.oc % 4 == 0 and `wide_oc`: of w, r and y too. Neighbouring blocks have the same
 * pixels. With `parts` blockIdx.y is a chain, whose sums go there: [chain][pixel][oc]. */
template <bool wide, int COLUMNS>
static __global__ void
__launch_bounds__ (THREADS, COLUMNS == 8 ? 3 : 4) conv_f32 (const __grid_constant__ KernelConvF32 a,
    size_t count, int all_terms, bool wide_oc, float *parts)
{
  constexpr int outputs = Tile<COLUMNS>::outputs, copy = Tile<COLUMNS>::copy;
  __shared__ __align__ (16) Tile<COLUMNS> tiles[2];
  __shared__ float4 totals[ROWS * COLUMNS / 4][THREADS];
  const KernelConvShape &s = a.shape;
  const unsigned columns = (s.oc + outputs - 1) / outputs, column = blockIdx.x % columns;
  const size_t first_pixel = (size_t) (blockIdx.x / columns) * PIXELS;
  const int first_oc = column * outputs, copy_oc = first_oc + threadIdx.x % 16 * copy;
  const Place place = find_place<COLUMNS> ();
  const int start = parts ? blockIdx.y * KERNEL_CHAIN : 0;
  const int terms = parts ? min (all_terms, start + KERNEL_CHAIN) : all_terms;
  const int own_term = start + threadIdx.x / 16;
  const float *from_w = (const float *) a.w + (size_t) own_term * s.oc + copy_oc;
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
    const float b = start == 0 && oc < s.oc ? a.b[oc] : 0.0f;

#pragma unroll
    for (int i = 0; i < ROWS; i++)
      sum[i][j] = b;
  }
  advance (&term, start + threadIdx.x % 2 * 4, s);
  load_inputs<wide> (s, window, &term, x);
  load_some<copy> (w, from_w, own_term < terms ? s.oc - copy_oc : 0, wide_oc);
  for (int k = start, turn = 0, left = KERNEL_CHAIN; k < terms;
       k += STEP, turn ^= 1, left -= STEP) {
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
      load_some<copy> (w, from_w, k - start + STEP + own_term < terms ? s.oc - copy_oc : 0,
          wide_oc);
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
  if (parts)
    store_part<COLUMNS> (parts + blockIdx.y * count * s.oc, s.oc, first_pixel + place.row, count,
        first_oc + place.column, wide_oc, sum);
  else
    finish<COLUMNS> (a, first_pixel + place.row, count, first_oc + place.column, wide_oc, sum,
        totals, first);
}

/* y = min (max (the sum of `chains` parts + r, lo), hi), V outputs a thread. */
template <int V>
static __global__ void
__launch_bounds__ (KERNEL_CUDA_THREADS) add_chains (const __grid_constant__ KernelConvF32 a,
    const float *parts, int chains, size_t count)
{
  const size_t i = kernel_cuda_item () * V;
  float t[V], v[V];

  if (i >= count)
    return;
  load_f32<V> (t, parts + i);
  for (int chain = 1; chain < chains; chain++) {
    load_f32<V> (v, parts + chain * count + i);
#pragma unroll
    for (int k = 0; k < V; k++)
      t[k] += v[k];
  }
  if (a.r)
    load_f32<V> (v, a.r + i);
#pragma unroll
  for (int k = 0; k < V; k++)
    t[k] = kernel_clamp_f32 (a.r ? t[k] + v[k] : t[k], a.lo, a.hi);
  store_f32<V> (a.y + i, t);
}

/* --- On the host ---------------------------------------------------------------------------- */

static bool
suits (const KernelConvShape *s, int sm)
{
  return s->groups == 1 && (int64_t) s->kh * s->kw * s->ic <= INT32_MAX;
}

static int
count_terms (const KernelConvShape *s)
{
  return s->kh * s->kw * s->ic;
}

static int
count_chains (const KernelConvShape *s)
{
  return (count_terms (s) + KERNEL_CHAIN - 1) / KERNEL_CHAIN;
}

static size_t
count_pixels (const KernelConvShape *s)
{
  return (size_t) s->n * s->oh * s->ow;
}

/* Blocks below which chains are apart. */
static unsigned
few_blocks (const CudaBackend *cuda)
{
  return cuda->multiprocessors / 2;
}

/* What chains apart need: for any n up to this one, so that the outputs of few blocks bound it. */
static size_t
scratch (const KernelConvShape *s, KernelQueue *queue)
{
  const size_t outputs = count_pixels (s) * s->oc;
  const size_t most = (size_t) few_blocks (queue->cuda) * PIXELS * Tile<8>::outputs;

  if (count_chains (s) == 1)
    return 0;
  return 16 + count_chains (s) * (outputs < most ? outputs : most) * sizeof (float);
}

template <int COLUMNS>
static void
launch (const KernelConvF32 *args, KernelQueue *queue)
{
  const KernelConvShape *s = &args->shape;
  const size_t count = count_pixels (s);
  const int chains = count_chains (s);
  const unsigned tiles =
      kernel_cuda_blocks (count, PIXELS) * kernel_cuda_blocks (s->oc, Tile<COLUMNS>::outputs);
  const bool apart = args->scratch && chains > 1 && tiles < few_blocks (queue->cuda);
  float *parts = apart ? (float *) (((uintptr_t) args->scratch + 15) / 16 * 16) : NULL;
  const size_t bits =
      kernel_cuda_bits (args->w) | kernel_cuda_bits (args->y) | kernel_cuda_bits (args->r);
  const bool wide_oc = s->oc % 4 == 0 && bits % 16 == 0;
  const dim3 blocks (tiles, apart ? chains : 1);

  if (s->ic % 4 == 0 && kernel_cuda_aligned (args->x, 16))
    conv_f32<true, COLUMNS>
        <<<blocks, THREADS, 0, queue->stream>>> (*args, count, count_terms (s), wide_oc, parts);
  else
    conv_f32<false, COLUMNS>
        <<<blocks, THREADS, 0, queue->stream>>> (*args, count, count_terms (s), wide_oc, parts);
  if (apart && wide_oc)
    add_chains<4><<<kernel_cuda_blocks (count * s->oc / 4, KERNEL_CUDA_THREADS),
        KERNEL_CUDA_THREADS, 0, queue->stream>>> (*args, parts, chains, count * s->oc);
  else if (apart)
    add_chains<1><<<kernel_cuda_blocks (count * s->oc, KERNEL_CUDA_THREADS), KERNEL_CUDA_THREADS, 0,
        queue->stream>>> (*args, parts, chains, count * s->oc);
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

const CudaConvF32 kernel_conv_f32_cuda_tiles = {"tiles", suits, kernel_conv_f32_pack_cuda_plain,
    scratch, run};
