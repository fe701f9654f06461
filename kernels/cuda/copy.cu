/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * copy.cu: rows between two strides, and bytes through a table.
 *
 * The table lies in shared memory 32 times, word by word, so that each lane of a warp reads a bank
 * of its own whatever the bytes are. Blocks then loop, to fill it seldom.
 */
#include "kernels/cuda/vector.h"

#define LANES         32
#define BLOCKS_PER_SM 16 /* resident at once: 8; the rest evens out the end */

static __device__ inline void
fill_table (uint32_t *table, const int8_t *lut)
{
  for (int i = threadIdx.x; i < 64 * LANES; i += blockDim.x) {
    const int8_t *four = lut + i / LANES * 4; /* any alignment */

    table[i] = kernel_cuda_word (four[0], four[1], four[2], four[3]);
  }
  __syncthreads ();
}

/* The entry of x + 128. */
static __device__ inline uint32_t
look_up (const uint32_t *table, int x)
{
  const int entry = x + 128;
  const uint8_t *word = (const uint8_t *) &table[entry / 4 * LANES + threadIdx.x % LANES];

  return word[entry % 4];
}

template <int V>
static __device__ inline Words<V>
look_up_words (const uint32_t *table, const Words<V> &x)
{
  Words<V> y;

#pragma unroll
  for (int i = 0; i < (V + 3) / 4; i++) {
    y.w[i] = look_up (table, kernel_cuda_byte (x.w[i], 0));
#pragma unroll
    for (int k = 1; k < (V < 4 ? V : 4); k++)
      y.w[i] |= look_up (table, kernel_cuda_byte (x.w[i], k)) << (8 * k);
  }
  return y;
}

/* Strides and width in bytes; `chunks` of V bytes to a row. */
template <int V, bool has_lut>
static __global__ void
__launch_bounds__ (KERNEL_CUDA_THREADS) copy_rows (const int8_t *x, int8_t *y, size_t x_stride,
    size_t y_stride, size_t chunks, size_t count, const int8_t *lut)
{
  __shared__ uint32_t table[has_lut ? 64 * LANES : 1];

  if (has_lut)
    fill_table (table, lut);
  for (size_t i = kernel_cuda_item (); i < count; i += (size_t) gridDim.x * blockDim.x) {
    const size_t row = kernel_cuda_divide (i, chunks), at = (i - row * chunks) * V;
    Words<V> words = load_words<V> (x + row * x_stride + at);

    if (has_lut)
      words = look_up_words<V> (table, words);
    store_words<V> (y + row * y_stride + at, words);
  }
}

template <int V>
static void
launch (const KernelCopy *args, size_t element, size_t first, size_t width, KernelQueue *queue)
{
  const size_t chunks = width / V, count = args->rows * chunks;
  const size_t most = (size_t) queue->cuda->multiprocessors * BLOCKS_PER_SM;
  const size_t wanted = kernel_cuda_blocks (count, KERNEL_CUDA_THREADS);
  const unsigned blocks = (unsigned) (wanted < most ? wanted : most);
  const int8_t *x = (const int8_t *) args->x + first;
  int8_t *y = (int8_t *) args->y + first;
  const size_t x_stride = args->x_stride * element, y_stride = args->y_stride * element;

  if (count == 0)
    return;
  if (args->lut)
    copy_rows<V, true><<<blocks, KERNEL_CUDA_THREADS, 0, queue->stream>>> (x, y, x_stride, y_stride,
        chunks, count, args->lut);
  else
    copy_rows<V, false><<<blocks, KERNEL_CUDA_THREADS, 0, queue->stream>>> (x, y, x_stride,
        y_stride, chunks, count, NULL);
}

/* Rows that lie behind one another are one row, and the end of one row may be copied apart. */
static void
copy (const KernelCopy *args, size_t element, KernelQueue *queue)
{
  KernelCopy flat = *args;
  size_t bits = kernel_cuda_bits (args->x) | kernel_cuda_bits (args->y);

  if (args->rows == 1 || (args->x_stride == args->width && args->y_stride == args->width)) {
    flat.width *= args->rows;
    flat.rows = 1;
  } else {
    bits |= (args->x_stride | args->y_stride | args->width) * element;
  }

  const size_t width = flat.width * element;
  size_t done = 0;

  switch (kernel_cuda_width (bits)) {
  case 16:
    done = width / 16 * 16;
    launch<16> (&flat, element, 0, done, queue);
    break;
  case 4:
    done = width / 4 * 4;
    launch<4> (&flat, element, 0, done, queue);
    break;
  }
  launch<1> (&flat, element, done, width - done, queue);
}

void
kernel_copy_s8_cuda (const KernelCopy *args, KernelQueue *queue)
{
  copy (args, sizeof (int8_t), queue);
}

/* Without the table, which copy_s8 alone has. */
static void
copy_plain (const KernelCopy *args, size_t element, KernelQueue *queue)
{
  KernelCopy plain = *args;

  plain.lut = NULL;
  copy (&plain, element, queue);
}

void
kernel_copy_f16_cuda (const KernelCopy *args, KernelQueue *queue)
{
  copy_plain (args, sizeof (KernelHalf), queue);
}

void
kernel_copy_f32_cuda (const KernelCopy *args, KernelQueue *queue)
{
  copy_plain (args, sizeof (float), queue);
}

void
kernel_lut_s8_cuda (const KernelLutS8 *args, KernelQueue *queue)
{
  const KernelCopy row = {.rows = 1,
      .width = args->size,
      .x = args->x,
      .y = args->y,
      .lut = args->lut};

  copy (&row, sizeof (int8_t), queue);
}
