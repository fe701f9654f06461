/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pixels.cu: colour, grey and input tables. A thread takes a pixel.
 */
#include "kernels/cuda/vector.h"

static __device__ inline bool
own_pixel (int width, int height, int *row, int *col)
{
  const size_t item = kernel_cuda_item (), r = kernel_cuda_divide (item, width);

  *row = (int) r;
  *col = (int) (item - r * width);
  return r < (size_t) height;
}

static __device__ inline int32_t
component (const KernelComponent &in, int row, int col)
{
  return in.data[row * in.stride + (ptrdiff_t) col * in.step];
}

static unsigned
blocks (int width, int height)
{
  return kernel_cuda_blocks ((size_t) width * height, KERNEL_CUDA_THREADS);
}

static __global__ void
__launch_bounds__ (KERNEL_CUDA_THREADS) yuv_rgb_u8 (const __grid_constant__ KernelYuv p)
{
  int row, col;
  int32_t in[3];

  if (!own_pixel (p.width, p.height, &row, &col))
    return;
#pragma unroll
  for (int j = 0; j < 3; j++)
    in[j] = component (p.in[j], row, col) - p.offset[j];
#pragma unroll
  for (int i = 0; i < 3; i++) {
    int32_t v = 1 << 15;

#pragma unroll
    for (int j = 0; j < 3; j++)
      v += p.matrix[i][j] * in[j];
    v >>= 16;
    p.y[row * p.y_stride + col * 3 + i] = (uint8_t) (v < 0 ? 0 : v > 255 ? 255 : v);
  }
}

void
kernel_yuv_rgb_u8_cuda (const KernelYuv *args, KernelQueue *queue)
{
  yuv_rgb_u8<<<blocks (args->width, args->height), KERNEL_CUDA_THREADS, 0, queue->stream>>> (*args);
}

static __global__ void
__launch_bounds__ (KERNEL_CUDA_THREADS) grey_u8 (const __grid_constant__ KernelGrey p)
{
  int row, col;

  if (!own_pixel (p.width, p.height, &row, &col))
    return;
  const int32_t v = 19595 * component (p.in[0], row, col) + 38470 * component (p.in[1], row, col) +
                    7471 * component (p.in[2], row, col) + (1 << 15);

  p.y[row * p.y_stride + col] = (uint8_t) (v >> 16);
}

void
kernel_grey_u8_cuda (const KernelGrey *args, KernelQueue *queue)
{
  grey_u8<<<blocks (args->width, args->height), KERNEL_CUDA_THREADS, 0, queue->stream>>> (*args);
}

template <typename Value>
static __global__ void
__launch_bounds__ (KERNEL_CUDA_THREADS) input (const __grid_constant__ KernelInput p)
{
  const Value *table = (const Value *) p.table;
  int row, col;

  if (!own_pixel (p.width, p.height, &row, &col))
    return;
  const size_t at = ((size_t) row * p.width + col) * p.channels;
  Value *y = (Value *) p.y + at;

#pragma unroll
  for (int k = 0; k < 4; k++)
    if (k < p.channels) {
      const int x = component (p.in[k], row, col);

      y[k] = p.mean ? table[k * KERNEL_INPUT_DIFFERENCES + x - p.mean[at + k] + 255]
                    : table[k * KERNEL_INPUT_LEVELS + x];
    }
}

void
kernel_input_s8_cuda (const KernelInput *args, KernelQueue *queue)
{
  input<int8_t>
      <<<blocks (args->width, args->height), KERNEL_CUDA_THREADS, 0, queue->stream>>> (*args);
}

void
kernel_input_f32_cuda (const KernelInput *args, KernelQueue *queue)
{
  input<float>
      <<<blocks (args->width, args->height), KERNEL_CUDA_THREADS, 0, queue->stream>>> (*args);
}
