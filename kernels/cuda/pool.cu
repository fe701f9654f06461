/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pool.cu: maximum and average pools. A thread takes V channels of one output pixel, or
 * some rows of its window.
 */
#include "kernels/cuda/vector.h"
#include "kernels/ref/pool-window.h"

typedef struct {
  size_t n;
  int oh, ow, c; /* c: the first of this thread's channels */
  size_t i;      /* of its first value in y */
} Output;

template <int V>
static __device__ inline bool
own_output (const KernelPoolShape &s, size_t count, size_t item, Output *o)
{
  const size_t chunks = s.c / V;
  const size_t pixel = kernel_cuda_divide (item, chunks);
  const size_t row = kernel_cuda_divide (pixel, s.ow);

  o->n = kernel_cuda_divide (row, s.oh);
  o->oh = (int) (row - o->n * s.oh);
  o->ow = (int) (pixel - row * s.ow);
  o->c = (int) (item - pixel * chunks) * V;
  o->i = item * V;
  return item < count;
}

/* Calls `body` with the index of channel o.c of each pixel of the window, in (kh, kw) order; of every
 * `step`th row from `first` on. */
template <typename Body>
static __device__ inline void
each_pixel (const KernelPoolShape &s, const KernelPoolWindow &w, const Output &o, Body body,
    int first = 0, int step = 1)
{
  for (int kh = w.kh0 + first; kh < w.kh1; kh += step) {
    size_t at = kernel_pool_index (&s, &w, o.n, kh, w.kw0) + o.c;

#pragma unroll 4
    for (int kw = w.kw0; kw < w.kw1; kw++, at += (size_t) s.dilation_w * s.c)
      body (at);
  }
}

/* Calls kernel<V> with a thread for V outputs. */
#define LAUNCH(V, queue, kernel)                                                                   \
  do {                                                                                             \
    const size_t count = count_outputs (&args->shape) / (V);                                       \
    kernel<V><<<kernel_cuda_blocks (count, KERNEL_CUDA_THREADS), KERNEL_CUDA_THREADS, 0,           \
        (queue)->stream>>> (*args, count);                                                         \
  } while (0)

static size_t
count_outputs (const KernelPoolShape *s)
{
  return (size_t) s->n * s->oh * s->ow * s->c;
}

/* --- Maximum -------------------------------------------------------------------------------- */

template <int V>
static __global__ void
__launch_bounds__ (KERNEL_CUDA_THREADS)
    maxpool_s8 (const __grid_constant__ KernelPoolS8 a, size_t count)
{
  Words<V> max;
  Output o;

  if (!own_output<V> (a.shape, count, kernel_cuda_item (), &o))
    return;
  const KernelPoolWindow w = kernel_pool_window (&a.shape, o.oh, o.ow);
#pragma unroll
  for (int k = 0; k < (V + 3) / 4; k++)
    max.w[k] = 0x80808080u;
  each_pixel (a.shape, w, o, [&] (size_t at) {
    const Words<V> x = load_words<V> (a.x + at);

#pragma unroll
    for (int k = 0; k < (V + 3) / 4; k++)
      max.w[k] = __vmaxs4 (max.w[k], x.w[k]);
  });
  store_words<V> ((int8_t *) a.y + o.i, max);
}

void
kernel_maxpool_s8_cuda (const KernelPoolS8 *args, KernelQueue *queue)
{
  switch (kernel_cuda_width (
      kernel_cuda_bits (args->x) | kernel_cuda_bits (args->y) | (size_t) args->shape.c)) {
  case 16:
    LAUNCH (16, queue, maxpool_s8);
    break;
  case 4:
    LAUNCH (4, queue, maxpool_s8);
    break;
  default:
    LAUNCH (1, queue, maxpool_s8);
    break;
  }
}

/* Of equal values the first stays, and so does the first NaN, as in kernels/ref/maxpool.c. */
template <int V, typename Args>
static __global__ void
__launch_bounds__ (KERNEL_CUDA_THREADS)
    maxpool_float (const __grid_constant__ Args a, size_t count)
{
  float max[V], x[V];
  Output o;

  if (!own_output<V> (a.shape, count, kernel_cuda_item (), &o))
    return;
  const KernelPoolWindow w = kernel_pool_window (&a.shape, o.oh, o.ow);
#pragma unroll
  for (int k = 0; k < V; k++)
    max[k] = -INFINITY;
  each_pixel (a.shape, w, o, [&] (size_t at) {
    load_f32<V> (x, a.x + at);
#pragma unroll
    for (int k = 0; k < V; k++)
      max[k] = x[k] > max[k] || (isnan (x[k]) && !isnan (max[k])) ? x[k] : max[k];
  });
  store_f32<V> (a.y + o.i, max);
}

/* Whether 16 bytes of floats or halves may be accessed at once. */
template <typename Args>
static bool
is_wide (const Args *args)
{
  return kernel_cuda_aligned (args->x, 16) && kernel_cuda_aligned (args->y, 16) &&
         args->shape.c * sizeof *args->x % 16 == 0;
}

void
kernel_maxpool_f32_cuda (const KernelPoolF32 *args, KernelQueue *queue)
{
  if (is_wide (args))
    LAUNCH (4, queue, maxpool_float);
  else
    LAUNCH (1, queue, maxpool_float);
}

void
kernel_maxpool_f16_cuda (const KernelPoolF16 *args, KernelQueue *queue)
{
  if (is_wide (args))
    LAUNCH (8, queue, maxpool_float);
  else
    LAUNCH (1, queue, maxpool_float);
}

/* --- Average -------------------------------------------------------------------------------- */

#define ROW_LANES 8

/* Calls kernel<V, LANES> with LANES threads for V outputs. */
#define AVERAGE(V, LANES, kernel)                                                                  \
  do {                                                                                             \
    const size_t count = count_outputs (&args->shape) / (V);                                       \
    kernel<V, LANES>                                                                               \
        <<<kernel_cuda_blocks (count * (LANES), KERNEL_CUDA_THREADS), KERNEL_CUDA_THREADS, 0,      \
            queue->stream>>> (*args, count, inside);                                               \
  } while (0)

/* The factors of windows that lie inside: doubles are slow on many devices. */
typedef struct {
  float m, b;
} Factors;

/* The product with 1 << 8 k adds byte k of a word to its sum. LANES threads share the rows. */
template <int V, int LANES, typename Value>
static __device__ inline void
average (const KernelPoolS8 &a, size_t count, const Factors &inside, Value *y)
{
  const int lane = threadIdx.x % LANES;
  int32_t sum[V] = {0};
  Output o;
  const bool mine = own_output<V> (a.shape, count, kernel_cuda_item () / LANES, &o);

  if (LANES == 1 && !mine)
    return;
  const KernelPoolWindow w = kernel_pool_window (&a.shape, o.oh, o.ow);
  const int v = (w.kh1 - w.kh0) * (w.kw1 - w.kw0), full = a.shape.kh * a.shape.kw;
  Factors f = inside;

  if (v != full || w.divisor != full)
    kernel_requant_average (a.ratio, w.divisor, v, a.zero_x, a.zero_y, &f.m, &f.b);
  const auto add = [&] (size_t at) {
    const Words<V> x = load_words<V> (a.x + at);

#pragma unroll
    for (int k = 0; k < V; k++)
      sum[k] = __dp4a ((int) x.w[k / 4], 1 << (8 * (k % 4)), sum[k]);
  };
  if (mine)
    each_pixel (a.shape, w, o, add, lane, LANES);
#pragma unroll
  for (int mask = LANES / 2; mask > 0; mask /= 2)
#pragma unroll
    for (int k = 0; k < V; k++)
      sum[k] += __shfl_xor_sync (~0u, sum[k], mask);
  if (lane != 0 || !mine)
    return;
  if constexpr (sizeof (Value) == 1) {
#pragma unroll
    for (int k = 0; k < V; k++)
      sum[k] = kernel_requant_s8 (sum[k], f.m, f.b, -128, 127);
    store_s8<V> (y + o.i, sum);
  } else {
    float t[V];

#pragma unroll
    for (int k = 0; k < V; k++)
      t[k] = fmaf ((float) sum[k], f.m, f.b);
    store_f32<V> (y + o.i, t);
  }
}

template <int V, int LANES>
static __global__ void
__launch_bounds__ (KERNEL_CUDA_THREADS)
    avgpool_s8 (const __grid_constant__ KernelPoolS8 a, size_t count, Factors inside)
{
  average<V, LANES> (a, count, inside, (int8_t *) a.y);
}

template <int V, int LANES>
static __global__ void
__launch_bounds__ (KERNEL_CUDA_THREADS)
    avgpool_s8_f32 (const __grid_constant__ KernelPoolS8 a, size_t count, Factors inside)
{
  average<V, LANES> (a, count, inside, (float *) a.y);
}

/* 16 channels, or 4 where 16 would leave multiprocessors with too little to wait for. */
static int
average_width (const KernelPoolS8 *args, size_t y_bits, const KernelQueue *queue)
{
  const int width =
      kernel_cuda_width (kernel_cuda_bits (args->x) | y_bits | (size_t) args->shape.c);
  const size_t threads = count_outputs (&args->shape) / 16;

  return width == 16 && threads < (size_t) queue->cuda->multiprocessors * 1024 ? 4 : width;
}

/* With few outputs of high windows a thread would wait for one row after the other. */
static bool
rows_are_shared (const KernelPoolS8 *args, const KernelQueue *queue)
{
  return args->shape.kh >= ROW_LANES / 2 &&
         count_outputs (&args->shape) < (size_t) queue->cuda->multiprocessors * 1024;
}

static Factors
inside_factors (const KernelPoolS8 *args)
{
  const int full = args->shape.kh * args->shape.kw;
  Factors f;

  kernel_requant_average (args->ratio, full, full, args->zero_x, args->zero_y, &f.m, &f.b);
  return f;
}

void
kernel_avgpool_s8_cuda (const KernelPoolS8 *args, KernelQueue *queue)
{
  const Factors inside = inside_factors (args);

  switch (average_width (args, kernel_cuda_bits (args->y), queue)) {
  case 16:
    AVERAGE (16, 1, avgpool_s8);
    break;
  case 4:
    if (rows_are_shared (args, queue))
      AVERAGE (4, ROW_LANES, avgpool_s8);
    else
      AVERAGE (4, 1, avgpool_s8);
    break;
  default:
    AVERAGE (1, 1, avgpool_s8);
    break;
  }
}

void
kernel_avgpool_s8_f32_cuda (const KernelPoolS8 *args, KernelQueue *queue)
{
  const Factors inside = inside_factors (args);

  if (average_width (args, kernel_cuda_bits (args->y), queue) == 1 ||
      !kernel_cuda_aligned (args->y, 16))
    AVERAGE (1, 1, avgpool_s8_f32);
  else if (rows_are_shared (args, queue))
    AVERAGE (4, ROW_LANES, avgpool_s8_f32);
  else
    AVERAGE (4, 1, avgpool_s8_f32);
}

/* One sum per output, in order: the bytes of ref. */
template <int V, typename Args>
static __global__ void
__launch_bounds__ (KERNEL_CUDA_THREADS)
    avgpool_float (const __grid_constant__ Args a, size_t count)
{
  float sum[V] = {0.0f}, x[V];
  Output o;

  if (!own_output<V> (a.shape, count, kernel_cuda_item (), &o))
    return;
  const KernelPoolWindow w = kernel_pool_window (&a.shape, o.oh, o.ow);
  each_pixel (a.shape, w, o, [&] (size_t at) {
    load_f32<V> (x, a.x + at);
#pragma unroll
    for (int k = 0; k < V; k++)
      sum[k] += x[k];
  });
#pragma unroll
  for (int k = 0; k < V; k++)
    sum[k] /= (float) w.divisor;
  store_f32<V> (a.y + o.i, sum);
}

void
kernel_avgpool_f32_cuda (const KernelPoolF32 *args, KernelQueue *queue)
{
  if (is_wide (args))
    LAUNCH (4, queue, avgpool_float);
  else
    LAUNCH (1, queue, avgpool_float);
}

void
kernel_avgpool_f16_cuda (const KernelPoolF16 *args, KernelQueue *queue)
{
  if (is_wide (args))
    LAUNCH (8, queue, avgpool_float);
  else
    LAUNCH (1, queue, avgpool_float);
}
