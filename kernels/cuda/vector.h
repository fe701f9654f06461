/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vector.h: V values at once between memory and registers: 1, 4 or 16 of int8, 1 or 4 of float, 1 or 8 of half. The
 * widest that alignment allows is chosen on the host; loops over V unroll.
 */
#pragma once

#include "kernels/cuda/cuda.h"
#include "kernels/half.h"

/* i / d. The division of 64 bits takes a hundred instructions, and is seldom needed. */
static __device__ inline size_t
kernel_cuda_divide (size_t i, size_t d)
{
  return ((i | d) >> 32) == 0 ? (uint32_t) i / (uint32_t) d : i / d;
}

/* A divisor of numbers below 2^31 that is known on the host: a multiplication, an addition, a shift.
 * Method: Granlund and Montgomery, "Division by invariant integers using multiplication", 1994. */
typedef struct {
  uint32_t multiplier;
  int divisor, shift;
} Divisor;

static inline Divisor
make_divisor (int divisor)
{
  int shift = 0;

  while (((int64_t) 1 << shift) < divisor)
    shift++;
  return {(uint32_t) (((((uint64_t) 1 << shift) - divisor) << 32) / divisor + 1), divisor, shift};
}

/* n / d, and the remainder in *rest. */
static __device__ inline int
divide (int n, const Divisor &d, int *rest)
{
  const int quotient = (int) ((__umulhi ((uint32_t) n, d.multiplier) + (uint32_t) n) >> d.shift);

  *rest = n - quotient * d.divisor;
  return quotient;
}

/* The widest of 16, 4 and 1 that divides all of these: sizes, strides and addresses OR-ed. */
static inline int
kernel_cuda_width (size_t bits)
{
  return bits % 16 == 0 ? 16 : bits % 4 == 0 ? 4 : 1;
}

static inline size_t
kernel_cuda_bits (const void *pointer)
{
  return (uintptr_t) pointer;
}

/* --- int8 as words -------------------------------------------------------------------------- */

/* One byte is a word's lowest. */
template <int V> struct Words {
  uint32_t w[(V + 3) / 4];
};

template <int V>
static __device__ inline Words<V>
load_words (const int8_t *x)
{
  Words<V> words;

  if constexpr (V == 16) {
    const uint4 four = *(const uint4 *) x;

    words.w[0] = four.x;
    words.w[1] = four.y;
    words.w[2] = four.z;
    words.w[3] = four.w;
  } else if constexpr (V == 4) {
    words.w[0] = *(const uint32_t *) x;
  } else {
    words.w[0] = (uint8_t) x[0];
  }
  return words;
}

template <int V>
static __device__ inline void
store_words (int8_t *y, const Words<V> &words)
{
  if constexpr (V == 16)
    *(uint4 *) y = make_uint4 (words.w[0], words.w[1], words.w[2], words.w[3]);
  else if constexpr (V == 4)
    *(uint32_t *) y = words.w[0];
  else
    y[0] = (int8_t) words.w[0];
}

/* --- int8 as ints --------------------------------------------------------------------------- */

template <int V>
static __device__ inline void
load_s8 (int *v, const int8_t *x)
{
  const Words<V> words = load_words<V> (x);

#pragma unroll
  for (int i = 0; i < V; i++)
    v[i] = kernel_cuda_byte (words.w[i / 4], i % 4);
}

template <int V>
static __device__ inline void
store_s8 (int8_t *y, const int *v)
{
  Words<V> words;

  if constexpr (V == 1) {
    words.w[0] = v[0];
  } else {
#pragma unroll
    for (int i = 0; i < V; i += 4)
      words.w[i / 4] = kernel_cuda_word (v[i], v[i + 1], v[i + 2], v[i + 3]);
  }
  store_words<V> (y, words);
}

/* --- float ---------------------------------------------------------------------------------- */

template <int V>
static __device__ inline void
load_f32 (float *v, const float *x)
{
  if constexpr (V == 1) {
    v[0] = x[0];
  } else {
#pragma unroll
    for (int i = 0; i < V; i += 4) {
      const float4 four = *(const float4 *) (x + i);

      v[i] = four.x;
      v[i + 1] = four.y;
      v[i + 2] = four.z;
      v[i + 3] = four.w;
    }
  }
}

template <int V>
static __device__ inline void
store_f32 (float *y, const float *v)
{
  if constexpr (V == 1) {
    y[0] = v[0];
  } else {
#pragma unroll
    for (int i = 0; i < V; i += 4)
      *(float4 *) (y + i) = make_float4 (v[i], v[i + 1], v[i + 2], v[i + 3]);
  }
}

/* --- half, as floats ------------------------------------------------------------------------ */

template <int V>
static __device__ inline void
load_f32 (float *v, const KernelHalf *x)
{
  if constexpr (V == 1) {
    v[0] = kernel_half_to_f32 (x[0]);
  } else {
    static_assert (V == 8, "16 bytes");
    const uint4 words = *(const uint4 *) x;
    const uint32_t word[4] = {words.x, words.y, words.z, words.w};

#pragma unroll
    for (int i = 0; i < 8; i++)
      v[i] = kernel_half_to_f32 ((KernelHalf) (word[i / 2] >> 16 * (i % 2)));
  }
}

template <int V>
static __device__ inline void
store_f32 (KernelHalf *y, const float *v)
{
  if constexpr (V == 1) {
    y[0] = kernel_half_of_f32 (v[0]);
  } else {
    uint32_t word[4];

#pragma unroll
    for (int i = 0; i < 4; i++)
      word[i] = kernel_half_of_f32 (v[2 * i]) | (uint32_t) kernel_half_of_f32 (v[2 * i + 1]) << 16;
    *(uint4 *) y = make_uint4 (word[0], word[1], word[2], word[3]);
  }
}
