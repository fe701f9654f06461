/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * matmul.cu: products of two activations. A block makes SIDE x SIDE outputs of one pair from parts of
 * both operands in shared memory, the second one transposed where it is not; a thread has 4 x 4 of
 * them, 16 apart. Sums of int8 are exact in any order; those of floats are conv_f32's chains along
 * the inner axis.
 */
#include "kernels/cuda/vector.h"
#include "kernels/requant.h"

#define SIDE    64
#define THREADS 256 /* 16 x 16 */
#define OWN     4   /* outputs of a thread along each axis */
#define PART    32  /* of the inner axis at once */
#define WORDS   (PART / 4)

/* The tiles of a pair, counted in one dimension: there are more pairs than a grid has planes. */
typedef struct {
  size_t down, across;
} Tiles;

/* The block's pair and its first row and column. */
typedef struct {
  size_t pair;
  int row, column;
} Place;

static __device__ inline Place
own_place (const Tiles &tiles)
{
  const size_t pair = kernel_cuda_divide (blockIdx.x, tiles.down * tiles.across);
  const size_t number = blockIdx.x - pair * tiles.down * tiles.across;
  const size_t down = kernel_cuda_divide (number, tiles.across);

  return {pair, (int) down * SIDE, (int) (number - down * tiles.across) * SIDE};
}

static Tiles
tiles_of (const KernelMatmul *args)
{
  return {((size_t) args->rows + SIDE - 1) / SIDE, ((size_t) args->cols + SIDE - 1) / SIDE};
}

/* Values first .. first + PART - 1 of the inner axis of SIDE rows, zero beyond the matrix. at (row, k)
 * is where one lies; store (row, k, value) puts it. */
template <typename Element, typename At, typename Store>
static __device__ inline void
load_part (const Element *x, int row, int rows, int first, int inner, bool along_rows, At at,
    Store store)
{
  for (int i = threadIdx.x; i < SIDE * PART; i += THREADS) {
    const int r = along_rows ? i % SIDE : i / PART, k = along_rows ? i / SIDE : i % PART;
    const bool inside = row + r < rows && first + k < inner;

    store (r, k, inside ? x[at (row + r, first + k)] : (Element) 0);
  }
}

/* --- int8 ----------------------------------------------------------------------------------- */

template <bool y_f32>
static __global__ void
__launch_bounds__ (THREADS)
    matmul_s8 (const __grid_constant__ KernelMatmul a, const __grid_constant__ Tiles tiles)
{
  __shared__ int8_t x1[SIDE][PART + 4], x2[SIDE][PART + 4]; /* rows start in different banks */
  const Place place = own_place (tiles);
  const int8_t *from1 = (const int8_t *) a.x1 + place.pair * a.rows * a.inner;
  const int8_t *from2 = (const int8_t *) a.x2 + place.pair * a.inner * a.cols;
  const int tx = threadIdx.x % 16, ty = threadIdx.x / 16;
  int acc[OWN][OWN] = {}, sum[OWN] = {};

  for (int first = 0; first < a.inner; first += PART) {
    load_part (from1, place.row, a.rows, first, a.inner, false,
        [&] (int r, int k) { return (size_t) r * a.inner + k; },
        [&] (int r, int k, int8_t value) { x1[r][k] = value; });
    load_part (from2, place.column, a.cols, first, a.inner, !a.transposed,
        [&] (int j, int k) {
          return a.transposed ? (size_t) j * a.inner + k : (size_t) k * a.cols + j;
        },
        [&] (int j, int k, int8_t value) { x2[j][k] = value; });
    __syncthreads ();
#pragma unroll
    for (int word = 0; word < WORDS; word++) {
      int w1[OWN], w2[OWN];

#pragma unroll
      for (int i = 0; i < OWN; i++) {
        w1[i] = *(const int *) &x1[ty + 16 * i][4 * word];
        w2[i] = *(const int *) &x2[tx + 16 * i][4 * word];
        sum[i] = __dp4a (w2[i], 0x01010101, sum[i]);
      }
#pragma unroll
      for (int i = 0; i < OWN; i++)
#pragma unroll
        for (int j = 0; j < OWN; j++)
          acc[i][j] = __dp4a (w1[i], w2[j], acc[i][j]);
    }
    __syncthreads ();
  }
#pragma unroll
  for (int j = 0; j < OWN; j++) {
    const int column = place.column + tx + 16 * j;
    const float b = kernel_requant_matmul (a.m, a.zero_x1, sum[j], y_f32 ? 0 : a.zero_y);

#pragma unroll
    for (int i = 0; i < OWN; i++) {
      const int row = place.row + ty + 16 * i;
      const size_t at = (place.pair * a.rows + row) * a.cols + column;

      if (row >= a.rows || column >= a.cols)
        continue;
      if (y_f32)
        ((float *) a.y)[at] = fmaf ((float) acc[i][j], a.m, b);
      else
        ((int8_t *) a.y)[at] = kernel_requant_s8 (acc[i][j], a.m, b, -128, 127);
    }
  }
}

template <bool y_f32>
static void
run_s8 (const KernelMatmul *args, KernelQueue *queue)
{
  const Tiles tiles = tiles_of (args);
  const unsigned blocks = (unsigned) (args->n * tiles.down * tiles.across);

  matmul_s8<y_f32><<<blocks, THREADS, 0, queue->stream>>> (*args, tiles);
}

void
kernel_matmul_s8_cuda (const KernelMatmul *args, KernelQueue *queue)
{
  run_s8<false> (args, queue);
}

void
kernel_matmul_s8_f32_cuda (const KernelMatmul *args, KernelQueue *queue)
{
  run_s8<true> (args, queue);
}

/* --- float ---------------------------------------------------------------------------------- */

static __device__ inline void
end_chain (float t[OWN][OWN], float total[OWN][OWN])
{
#pragma unroll
  for (int i = 0; i < OWN; i++)
#pragma unroll
    for (int j = 0; j < OWN; j++) {
      total[i][j] += t[i][j];
      t[i][j] = 0.0f;
    }
}

static __global__ void
__launch_bounds__ (THREADS)
    matmul_f32 (const __grid_constant__ KernelMatmul a, const __grid_constant__ Tiles tiles)
{
  __shared__ float x1[PART][SIDE + 1], x2[PART][SIDE + 1];
  const Place place = own_place (tiles);
  const float *from1 = (const float *) a.x1 + place.pair * a.rows * a.inner;
  const float *from2 = (const float *) a.x2 + place.pair * a.inner * a.cols;
  const int tx = threadIdx.x % 16, ty = threadIdx.x / 16;
  float t[OWN][OWN] = {}, total[OWN][OWN];

#pragma unroll
  for (int i = 0; i < OWN; i++)
#pragma unroll
    for (int j = 0; j < OWN; j++)
      total[i][j] = -0.0f; /* to which the first chain's sum can be added as it is */

  static_assert (KERNEL_CHAIN % PART == 0, "a chain ends between two parts");
  for (int first = 0; first < a.inner; first += PART) {
    const int count = min (PART, a.inner - first);

    if (first > 0 && first % KERNEL_CHAIN == 0)
      end_chain (t, total);

    load_part (from1, place.row, a.rows, first, a.inner, false,
        [&] (int r, int k) { return (size_t) r * a.inner + k; },
        [&] (int r, int k, float value) { x1[k][r] = value; });
    load_part (from2, place.column, a.cols, first, a.inner, !a.transposed,
        [&] (int j, int k) {
          return a.transposed ? (size_t) j * a.inner + k : (size_t) k * a.cols + j;
        },
        [&] (int j, int k, float value) { x2[k][j] = value * a.m; });
    __syncthreads ();
    for (int k = 0; k < count; k++) {
#pragma unroll
      for (int i = 0; i < OWN; i++)
#pragma unroll
        for (int j = 0; j < OWN; j++)
          t[i][j] = fmaf (x1[k][ty + 16 * i], x2[k][tx + 16 * j], t[i][j]);
    }
    __syncthreads ();
  }
#pragma unroll
  for (int i = 0; i < OWN; i++)
#pragma unroll
    for (int j = 0; j < OWN; j++) {
      const int row = place.row + ty + 16 * i, column = place.column + tx + 16 * j;

      if (row < a.rows && column < a.cols)
        ((float *) a.y)[(place.pair * a.rows + row) * a.cols + column] = total[i][j] + t[i][j];
    }
}

void
kernel_matmul_f32_cuda (const KernelMatmul *args, KernelQueue *queue)
{
  const Tiles tiles = tiles_of (args);

  matmul_f32<<<(unsigned) (args->n * tiles.down * tiles.across), THREADS, 0, queue->stream>>> (
      *args, tiles);
}
