/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * elementwise.cu: add, mul, unary functions and conversions. All of it is bound by memory: a thread
 * takes 16 bytes of each operand, and what is left over, or not aligned, goes value by value.
 */
#include "kernels/cuda/vector.h"
#include "kernels/float-math.h"

/* Values first .. first + V * count - 1, by `count` threads. */
typedef struct {
  size_t first, count;
} Span;

/* The index of this thread's first value; false when it has none. */
template <int V>
static __device__ inline bool
own_values (const Span &span, size_t *i)
{
  const size_t item = kernel_cuda_item ();

  *i = span.first + item * V;
  return item < span.count;
}

/* Calls kernel<V> and, for the rest, kernel<1>. `wide`: whether V values at once may be accessed. */
#define LAUNCH(V, wide, size, queue, kernel, ...)                                                  \
  do {                                                                                             \
    const Span vectors = {0, (wide) ? (size) / (V) : 0};                                           \
    const Span rest = {vectors.count * (V), (size) -vectors.count * (V)};                          \
    if (vectors.count > 0)                                                                         \
      kernel<V, ##__VA_ARGS__><<<kernel_cuda_blocks (vectors.count, KERNEL_CUDA_THREADS),          \
          KERNEL_CUDA_THREADS, 0, (queue)->stream>>> (*args, vectors);                             \
    if (rest.count > 0)                                                                            \
      kernel<1, ##__VA_ARGS__><<<kernel_cuda_blocks (rest.count, KERNEL_CUDA_THREADS),             \
          KERNEL_CUDA_THREADS, 0, (queue)->stream>>> (*args, rest);                                \
  } while (0)

/* --- add, mul ------------------------------------------------------------------------------- */

/* Where the second operand of value i lies. */
template <typename Args>
static __device__ inline size_t
second (const Args &a, size_t i)
{
  if (a.x2_repeated)
    return i - kernel_cuda_divide (i, a.rows * a.c) * ((size_t) a.rows * a.c);
  if (!a.x2_broadcast)
    return i;
  const size_t row = kernel_cuda_divide (i, a.c);

  return kernel_cuda_divide (row, a.rows) * a.c + (i - row * a.c);
}

template <int V, bool multiply>
static __global__ void
__launch_bounds__ (KERNEL_CUDA_THREADS)
    binary_s8 (const __grid_constant__ KernelBinaryS8 a, const Span span)
{
  int x1[V], x2[V];
  size_t i;

  if (!own_values<V> (span, &i))
    return;
  load_s8<V> (x1, a.x1 + i);
  load_s8<V> (x2, a.x2 + second (a, i));
#pragma unroll
  for (int k = 0; k < V; k++) {
    if (multiply)
      x1[k] = kernel_requant_s8 ((x1[k] - a.zero1) * (x2[k] - a.zero2), a.m1, a.b, a.lo, a.hi);
    else
      x1[k] =
          kernel_round_s8 (fmaf ((float) x1[k], a.m1, fmaf ((float) x2[k], a.m2, a.b)), a.lo, a.hi);
  }
  store_s8<V> (a.y + i, x1);
}

/* Floats or halves. */
template <int V, bool multiply, typename Args>
static __global__ void
__launch_bounds__ (KERNEL_CUDA_THREADS)
    binary_float (const __grid_constant__ Args a, const Span span)
{
  float x1[V], x2[V];
  size_t i;

  if (!own_values<V> (span, &i))
    return;
  load_f32<V> (x1, a.x1 + i);
  load_f32<V> (x2, a.x2 + second (a, i));
#pragma unroll
  for (int k = 0; k < V; k++)
    x1[k] = kernel_clamp_f32 (multiply ? x1[k] * x2[k] : x1[k] + x2[k], a.lo, a.hi);
  store_f32<V> (a.y + i, x1);
}

template <typename Args>
static size_t
binary_size (const Args *args)
{
  return (size_t) args->n * args->rows * args->c;
}

/* A vector must not reach into the next row, or image, where the second operand starts anew. */
template <typename Args>
static bool
binary_is_wide (const Args *args, int v)
{
  return kernel_cuda_aligned (args->x1, 16) && kernel_cuda_aligned (args->x2, 16) &&
         kernel_cuda_aligned (args->y, 16) && (!args->x2_broadcast || args->c % v == 0) &&
         (!args->x2_repeated || (size_t) args->rows * args->c % v == 0);
}

void
kernel_add_s8_cuda (const KernelBinaryS8 *args, KernelQueue *queue)
{
  LAUNCH (16, binary_is_wide (args, 16), binary_size (args), queue, binary_s8, false);
}

void
kernel_mul_s8_cuda (const KernelBinaryS8 *args, KernelQueue *queue)
{
  LAUNCH (16, binary_is_wide (args, 16), binary_size (args), queue, binary_s8, true);
}

void
kernel_add_f32_cuda (const KernelBinaryF32 *args, KernelQueue *queue)
{
  LAUNCH (4, binary_is_wide (args, 4), binary_size (args), queue, binary_float, false);
}

void
kernel_mul_f32_cuda (const KernelBinaryF32 *args, KernelQueue *queue)
{
  LAUNCH (4, binary_is_wide (args, 4), binary_size (args), queue, binary_float, true);
}

void
kernel_add_f16_cuda (const KernelBinaryF16 *args, KernelQueue *queue)
{
  LAUNCH (8, binary_is_wide (args, 8), binary_size (args), queue, binary_float, false);
}

void
kernel_mul_f16_cuda (const KernelBinaryF16 *args, KernelQueue *queue)
{
  LAUNCH (8, binary_is_wide (args, 8), binary_size (args), queue, binary_float, true);
}

/* --- Unary functions ------------------------------------------------------------------------ */

template <int V, typename Args>
static __global__ void
__launch_bounds__ (KERNEL_CUDA_THREADS)
    unary_float (const __grid_constant__ Args a, const Span span)
{
  float x[V];
  size_t i;

  if (!own_values<V> (span, &i))
    return;
  load_f32<V> (x, a.x + i);
#pragma unroll
  for (int k = 0; k < V; k++)
    x[k] = kernel_unary_of (a.kind, a.alpha, a.beta, x[k]);
  store_f32<V> (a.y + i, x);
}

template <typename Args>
static bool
is_wide (const Args *args)
{
  return kernel_cuda_aligned (args->x, 16) && kernel_cuda_aligned (args->y, 16);
}

void
kernel_unary_f32_cuda (const KernelUnaryF32 *args, KernelQueue *queue)
{
  LAUNCH (4, is_wide (args), args->size, queue, unary_float);
}

void
kernel_unary_f16_cuda (const KernelUnaryF16 *args, KernelQueue *queue)
{
  LAUNCH (8, is_wide (args), args->size, queue, unary_float);
}

/* --- Conversions ---------------------------------------------------------------------------- */

template <int V>
static __global__ void
__launch_bounds__ (KERNEL_CUDA_THREADS)
    quantise_s8 (const __grid_constant__ KernelConvert a, const Span span)
{
  float x[V];
  int y[V];
  size_t i;

  if (!own_values<V> (span, &i))
    return;
  load_f32<V> (x, (const float *) a.x + i);
#pragma unroll
  for (int k = 0; k < V; k++)
    y[k] = kernel_round_s8 (fmaf (x[k], a.m, (float) a.zero), -128, 127);
  store_s8<V> ((int8_t *) a.y + i, y);
}

template <int V>
static __global__ void
__launch_bounds__ (KERNEL_CUDA_THREADS)
    dequantise_f32 (const __grid_constant__ KernelConvert a, const Span span)
{
  float y[V];
  int x[V];
  size_t i;

  if (!own_values<V> (span, &i))
    return;
  load_s8<V> (x, (const int8_t *) a.x + i);
#pragma unroll
  for (int k = 0; k < V; k++)
    y[k] = (float) (x[k] - a.zero) * a.m;
  store_f32<V> ((float *) a.y + i, y);
}

/* Four values: the float side is then as wide as can be, and neighbours stay neighbours. */
void
kernel_quantise_s8_cuda (const KernelConvert *args, KernelQueue *queue)
{
  const bool wide = kernel_cuda_aligned (args->x, 16) && kernel_cuda_aligned (args->y, 4);

  LAUNCH (4, wide, args->size, queue, quantise_s8);
}

void
kernel_dequantise_f32_cuda (const KernelConvert *args, KernelQueue *queue)
{
  const bool wide = kernel_cuda_aligned (args->x, 4) && kernel_cuda_aligned (args->y, 16);

  LAUNCH (4, wide, args->size, queue, dequantise_f32);
}

template <int V>
static __global__ void
__launch_bounds__ (KERNEL_CUDA_THREADS)
    narrow_f16 (const __grid_constant__ KernelWidth a, const Span span)
{
  float x[V];
  size_t i;

  if (!own_values<V> (span, &i))
    return;
  load_f32<V> (x, (const float *) a.x + i);
  store_f32<V> ((KernelHalf *) a.y + i, x);
}

template <int V>
static __global__ void
__launch_bounds__ (KERNEL_CUDA_THREADS)
    widen_f32 (const __grid_constant__ KernelWidth a, const Span span)
{
  float x[V];
  size_t i;

  if (!own_values<V> (span, &i))
    return;
  load_f32<V> (x, (const KernelHalf *) a.x + i);
  store_f32<V> ((float *) a.y + i, x);
}

void
kernel_narrow_f16_cuda (const KernelWidth *args, KernelQueue *queue)
{
  LAUNCH (8, is_wide (args), args->size, queue, narrow_f16);
}

void
kernel_widen_f32_cuda (const KernelWidth *args, KernelQueue *queue)
{
  LAUNCH (8, is_wide (args), args->size, queue, widen_f32);
}
