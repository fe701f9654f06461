/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * resize.cu: resize_u8, one kernel for each pass, one thread for each byte of its result. The taps
 * of neighbouring outputs overlap, so that caches serve most reads.
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
  int32_t sum = KERNEL_RESIZE_HALF;
  int row, column;

  if (!own_byte (p, &row, &column))
    return;
  const int pixel = column / p.channels, k = column - pixel * p.channels;
  const int32_t *weight = &taps.weight[(size_t) pixel * taps.taps];
  const uint8_t *x = p.x + row * p.x_stride + (ptrdiff_t) taps.first[pixel] * p.channels + k;

  for (int t = 0; t < taps.count[pixel]; t++, x += p.channels)
    sum += weight[t] * *x;
  p.y[row * p.y_stride + column] = kernel_resize_clip (sum);
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
