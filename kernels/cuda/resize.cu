/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * resize.cu: resize_u8, one kernel for both passes: a block takes a tile of the result and keeps the
 * rows that it needs, horizontally resized, in shared memory. Where those are too many (a picture made
 * some 60 times smaller), one kernel for each pass, with the rows in scratch memory. The taps of
 * neighbouring outputs overlap, so that caches serve most reads. Nothing outside begin .. end - 1 of
 * either axis is read: it need not be there.
 */
#include "kernels/cuda/vector.h"
#include "kernels/resize.h"

/* What the device needs of a KernelResizeAxis, which is in host memory. */
typedef struct {
  const int *first, *count;
  const int32_t *weight;
  int taps;
} Taps;

/* Bytes as rows of `width`; the second index is (pixel, channel). */
typedef struct {
  const uint8_t *x;
  ptrdiff_t x_stride;
  uint8_t *y;
  ptrdiff_t y_stride;
  int rows, width, channels;
} Picture;

/* The horizontal pass: byte `column` (pixel, k) of a row. */
static __device__ inline uint8_t
across_row (const uint8_t *row, const Taps &taps, int pixel, int channels, int k)
{
  const int32_t *weight = &taps.weight[(size_t) pixel * taps.taps];
  const uint8_t *x = row + (ptrdiff_t) taps.first[pixel] * channels + k;
  int32_t sum = KERNEL_RESIZE_HALF;

  for (int t = 0; t < taps.count[pixel]; t++, x += channels)
    sum += weight[t] * *x;
  return kernel_resize_clip (sum);
}

static __device__ inline bool
own_byte (const Picture &p, int *row, int *column)
{
  const size_t item = kernel_cuda_item (), r = kernel_cuda_divide (item, p.width);

  *row = (int) r;
  *column = (int) (item - r * p.width);
  return r < (size_t) p.rows;
}

static __global__ void
__launch_bounds__ (KERNEL_CUDA_THREADS)
    resize_rows (const __grid_constant__ Picture p, const __grid_constant__ Taps taps)
{
  int row, column;

  if (!own_byte (p, &row, &column))
    return;
  const int pixel = column / p.channels;

  p.y[row * p.y_stride + column] =
      across_row (p.x + row * p.x_stride, taps, pixel, p.channels, column - pixel * p.channels);
}

/* `begin` is the row of the picture that p.x starts with. */
static __global__ void
__launch_bounds__ (KERNEL_CUDA_THREADS)
    resize_columns (const __grid_constant__ Picture p, const __grid_constant__ Taps taps, int begin)
{
  int32_t sum = KERNEL_RESIZE_HALF;
  int row, column;

  if (!own_byte (p, &row, &column))
    return;
  const int32_t *weight = &taps.weight[(size_t) row * taps.taps];
  const uint8_t *x = p.x + (taps.first[row] - begin) * p.x_stride + column;

  for (int t = 0; t < taps.count[row]; t++, x += p.x_stride)
    sum += weight[t] * *x;
  p.y[row * p.y_stride + column] = kernel_resize_clip (sum);
}

#define TILE_WIDTH  32 /* pixels */
#define TILE_HEIGHT 8
#define TILE_MEMORY 49152 /* bytes of a block without asking for more */

/* p.rows and p.width are those of the result, p.x the whole picture. C is p.channels. */
template <int C>
static __global__ void
__launch_bounds__ (KERNEL_CUDA_THREADS) resize_tile (const __grid_constant__ Picture p,
    const __grid_constant__ Taps across, const __grid_constant__ Taps down)
{
  extern __shared__ uint8_t tile_rows[]; /* [rows][TILE_WIDTH][C] */
  constexpr int bytes = TILE_WIDTH * C;
  const int left = blockIdx.x * TILE_WIDTH, top = blockIdx.y * TILE_HEIGHT;
  const int width = min (bytes, p.width - left * C), height = min (TILE_HEIGHT, p.rows - top);
  const int begin = down.first[top];
  const int rows = down.first[top + height - 1] + down.count[top + height - 1] - begin;

  for (int i = threadIdx.x; i < rows * bytes; i += KERNEL_CUDA_THREADS) {
    const int row = i / bytes, column = i % bytes;

    if (column < width)
      tile_rows[i] =
          across_row (p.x + (begin + row) * p.x_stride, across, left + column / C, C, column % C);
  }
  __syncthreads ();
  for (int i = threadIdx.x; i < height * bytes; i += KERNEL_CUDA_THREADS) {
    const int row = i / bytes, column = i % bytes;
    const int32_t *weight = &down.weight[(size_t) (top + row) * down.taps];
    const uint8_t *x = tile_rows + (down.first[top + row] - begin) * bytes + column;
    int32_t sum = KERNEL_RESIZE_HALF;

    if (column >= width)
      continue;
    for (int t = 0; t < down.count[top + row]; t++, x += bytes)
      sum += weight[t] * *x;
    p.y[(top + row) * p.y_stride + left * C + column] = kernel_resize_clip (sum);
  }
}

/* The most rows that a tile can need: outputs lie evenly, and each reads at most `taps` of them. A few
 * more for rounding, and for taps of weight 0, which are left out. */
static size_t
tile_memory (const KernelResizeAxis *down, int channels)
{
  const double step = down->out > 1 ? (double) (down->end - down->begin) / (down->out - 1) : 0;
  const size_t rows = (size_t) (step * (TILE_HEIGHT - 1)) + (size_t) down->taps + 4;

  return rows * TILE_WIDTH * (size_t) channels;
}

template <int C>
static void
launch_tiles (const Picture *p, const Taps &across, const Taps &down, size_t memory,
    cudaStream_t stream)
{
  const dim3 grid ((p->width / C + TILE_WIDTH - 1) / TILE_WIDTH,
      (p->rows + TILE_HEIGHT - 1) / TILE_HEIGHT);

  resize_tile<C><<<grid, KERNEL_CUDA_THREADS, memory, stream>>> (*p, across, down);
}

static __global__ void
__launch_bounds__ (KERNEL_CUDA_THREADS) copy_rows (const __grid_constant__ Picture p)
{
  int row, column;

  if (own_byte (p, &row, &column))
    p.y[row * p.y_stride + column] = p.x[row * p.x_stride + column];
}

static unsigned
blocks (const Picture *p)
{
  return kernel_cuda_blocks ((size_t) p->rows * p->width, KERNEL_CUDA_THREADS);
}

void
kernel_resize_u8_cuda (const KernelResize *args, KernelQueue *queue)
{
  const KernelResizeAxis *h = args->h, *v = args->v;
  const int width = h->out * args->channels;
  const Taps across = {h->first, h->count, h->weight, h->taps};
  const Taps down = {v->first, v->count, v->weight, v->taps};
  Picture p = {args->x, args->x_stride, args->y, args->y_stride, v->out, width, args->channels};

  if (h->identity && v->identity) {
    copy_rows<<<blocks (&p), KERNEL_CUDA_THREADS, 0, queue->stream>>> (p);
    return;
  }
  if (!h->identity && !v->identity) {
    const size_t memory = tile_memory (v, args->channels);

    if (memory <= TILE_MEMORY) {
      (args->channels == 1      ? launch_tiles<1>
          : args->channels == 2 ? launch_tiles<2>
          : args->channels == 3 ? launch_tiles<3>
                                : launch_tiles<4>) (&p, across, down, memory, queue->stream);
      return;
    }
  }
  p.x += v->begin * args->x_stride;
  if (!h->identity) {
    p.rows = v->end - v->begin;
    if (!v->identity) {
      p.y = args->scratch;
      p.y_stride = width;
    }
    resize_rows<<<blocks (&p), KERNEL_CUDA_THREADS, 0, queue->stream>>> (p, across);
    p.x = p.y;
    p.x_stride = p.y_stride;
  }
  if (!v->identity) {
    p.y = args->y;
    p.y_stride = args->y_stride;
    p.rows = v->out;
    resize_columns<<<blocks (&p), KERNEL_CUDA_THREADS, 0, queue->stream>>> (p, down, v->begin);
  }
}
