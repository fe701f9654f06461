/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-blocks.h: what the tensor-core convolutions share: one layout of packed weights, so that a
 * kernel may be chosen by n when it runs, their parameters, and the end of every kernel.
 *
 * Weights are blocks of 64 output channels x kb bytes of k, ordered by 64 channels, then taps, then
 * channels of x in pieces of kb. A block is what lies in shared memory: 64 rows of
 * kb bytes, whose 16-byte chunks are swizzled as TMA and wgmma do (SWIZZLE_64B, SWIZZLE_128B). Its
 * rows are permuted: the accumulators of mma and wgmma give a thread columns 8 j + 2 t + e (t =
 * lane % 4, e = 0, 1), and row 8 j + 2 t + e holds channel 16 t + 2 j + e, so that a thread owns 16
 * neighbouring channels: one 16-byte store. Channels and k beyond the shape's are zero.
 *
 * After them: the table of corrections for kernels whose loads give 0 outside the image: the
 * classes of rows and columns of y whose windows have the same taps outside, and for each pair of
 * classes zero_x * the sum of those taps' weights.
 */
#pragma once

#include "kernels/cuda/cuda.h"

#define CONV_BLOCK_CHANNELS 64
#define CONV_MAX_CLASSES    16 /* of rows or columns: 2 pad / stride + 1 is usual */

typedef struct {
  int kb;         /* 64 or 128 */
  int tap_blocks; /* pieces of the channels of x */
  int k_blocks;   /* taps * tap_blocks */
  int n_blocks;   /* of 64 output channels */
  int row_classes, column_classes;
  /* Offsets in bytes. The tables are there when some window leaves the image. */
  size_t row_class, column_class, corrections, size;
} ConvBlocks;

ConvBlocks kernel_conv_blocks (const KernelConvShape *shape);
size_t kernel_conv_blocks_pack (const KernelConvShape *shape, int8_t zero_x, const int8_t *w,
    void *packed);

/* What a kernel needs to know; passed by value. */
typedef struct {
  const int8_t *x, *r;
  const uint8_t *w;
  const float *m, *b;
  void *y;
  int pixels; /* n * oh * ow */
  int ih, iw, ic, oh, ow, oc, kw;
  int stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
  int tap_blocks, k_blocks, n_blocks;
  uint32_t zero_x;                         /* four times */
  const uint8_t *row_class, *column_class; /* NULL: every window is inside */
  const int32_t *corrections;
  int column_classes;
  float mr, lo, hi;
  bool to_f32, wide; /* wide: 16-byte accesses to r and y */
} ConvParams;

ConvParams kernel_conv_params (const KernelConvS8 *args, bool to_f32);
/* Of halves: to loads and layouts one is two channels of bytes, so that ic is doubled. r and y point to
 * halves; m is b, which nothing multiplies with. */
KernelConvShape kernel_conv_shape_in_bytes (const KernelConvShape *shape);
ConvParams kernel_conv_params_f16 (const KernelConvF16 *args);

/* As kernel<<<>>> with a cluster, and so that it may start while the kernel before it ends (sm 90):
 * such a kernel calls conv_wait_for_inputs() before it reads or writes what others may write. */
void kernel_conv_launch (KernelQueue *queue, const void *kernel, unsigned blocks, unsigned threads,
    unsigned shared, unsigned cluster, void **arguments);

#ifdef __CUDACC__

static __device__ __forceinline__ void
conv_wait_for_inputs (void)
{
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

static __device__ __forceinline__ void
conv_let_next_start (void)
{
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}

static __device__ __forceinline__ uint32_t
conv_shared_address (const void *pointer)
{
  return (uint32_t) __cvta_generic_to_shared (pointer);
}

/* Offset of 16-byte chunk `chunk` of row `row` in rows of kb bytes. */
template <int kb>
static __device__ __forceinline__ uint32_t
conv_swizzle (int row, int chunk)
{
  return row * kb + ((chunk ^ (kb == 128 ? row & 7 : row >> 1 & 3)) << 4);
}

/* Where a block's factors lie in shared memory: four lanes that share a pixel read their quads side
 * by side. Quad k of lane t (channels 16 t + 4 k ...) is quad 4 k + t of the 64 channels. */
static __device__ __forceinline__ int
conv_factor_place (int channel)
{
  return channel / 64 * 64 + channel % 16 / 4 * 16 + channel % 64 / 16 * 4 + channel % 4;
}

/* Those of `count` channels from `first` on; 0 beyond the last. */
static __device__ __forceinline__ void
conv_load_factors (float *m, float *b, const ConvParams &p, int first, int count)
{
  for (int i = threadIdx.x; i < count; i += blockDim.x) {
    m[conv_factor_place (i)] = first + i < p.oc ? p.m[first + i] : 0.0f;
    b[conv_factor_place (i)] = first + i < p.oc ? p.b[first + i] : 0.0f;
  }
}

/* Four outputs from accumulators and, with_r, four bytes of a residual. Bounds are whole numbers,
 * so that clamping may come first; adding 1.5 * 2^23 then rounds half to even, and leaves the
 * number in the low byte. A byte of r gets there the same way: r + 128 in the low bits of 2^23. */
template <bool with_r>
static __device__ __forceinline__ uint32_t
conv_requant (const int acc[4], float4 m, float4 b, uint32_t r, float mr, float lo, float hi)
{
  const float ms[4] = {m.x, m.y, m.z, m.w}, bs[4] = {b.x, b.y, b.z, b.w};
  uint32_t v[4];

#pragma unroll
  for (int i = 0; i < 4; i++) {
    float t = __fmaf_rn (__int2float_rn (acc[i]), ms[i], bs[i]);

    if (with_r) {
      const uint32_t bits = __byte_perm (r ^ 0x80808080u, 0x4b000000u, 0x7650 | i);

      t = __fmaf_rn (__fadd_rn (__uint_as_float (bits), -8388736.0f), mr, t);
    }
    v[i] = __float_as_uint (__fadd_rn (fminf (fmaxf (t, lo), hi), 12582912.0f));
  }
  return __byte_perm (__byte_perm (v[0], v[1], 0x0040), __byte_perm (v[2], v[3], 0x0040), 0x5410);
}

#endif
