/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-mma.cuh: implicit GEMM on tensor cores from compute capability 8.0 on: cp.async into a ring
 * of swizzled tiles, ldmatrix, mma.sync m16n8k32 (int8, int32 accumulators) or m16n8k16 (half, float
 * accumulators), which want the same bytes in the same places: channels are counted in bytes here.
 *
 * A block computes bm pixels x 64 wn channels with wm x wn warps; a warp has bm / wm pixels x 64
 * channels. A row of the A tile is one pixel's kb bytes of one tap, zero_x outside the image.
 * `unit` is the width of a copy: 16, 8 or 4 bytes as x's alignment and channels allow, or 1:
 * gathered through registers, any shape at all. With split > 1 (sm 90) the blocks of a cluster
 * share out k and add their int32 tiles through distributed shared memory: for layers too small to
 * fill the device.
 *
 * Shared memory: stages * (bm + 64 wn) * kb bytes. Bound: ldmatrix and issue; about 60 % of what
 * wgmma reaches on Hopper.
 */
#pragma once

#include "kernels/cuda/conv-blocks.h"

#include <string.h>

template <int unit>
static __device__ __forceinline__ void
mma_copy (uint32_t to, const void *from)
{
  if (unit == 16)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from));
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(to), "l"(from), "n"(unit));
}

static __device__ __forceinline__ void
mma_load (uint32_t (&d)[4], uint32_t from)
{
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
               : "r"(from));
}

static __device__ __forceinline__ void
mma_multiply (int (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
{
  asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, "
               "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
               : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

static __device__ __forceinline__ void
mma_multiply (float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
{
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, "
               "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/* The rows of the A tile that a thread copies, and where the next block of k begins. */
template <int rows> struct MmaSource {
  int ih[rows], iw[rows]; /* of tap (0, 0); a pixel beyond the last has ih far outside */
  int pixel[rows];        /* number of x's pixel there */
  int kh, kw, piece;
};

template <int rows, int step>
static __device__ __forceinline__ void
mma_find_rows (MmaSource<rows> &s, const ConvParams &p, int first, int k_block)
{
#pragma unroll
  for (int i = 0; i < rows; i++) {
    const int pixel = first + i * step;
    const unsigned line = (unsigned) pixel / p.ow, column = (unsigned) pixel - line * p.ow;
    const unsigned image = line / p.oh, row = line - image * p.oh;

    s.ih[i] = pixel < p.pixels ? (int) row * p.stride_h - p.pad_top : -(1 << 29);
    s.iw[i] = (int) column * p.stride_w - p.pad_left;
    s.pixel[i] = ((int) image * p.ih + (int) row * p.stride_h - p.pad_top) * p.iw + s.iw[i];
  }
  const int tap = k_block / p.tap_blocks;

  s.piece = k_block - tap * p.tap_blocks;
  s.kh = tap / p.kw;
  s.kw = tap - s.kh * p.kw;
}

static __device__ __forceinline__ void
mma_put (uint32_t to, const uint32_t (&word)[4])
{
  asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" ::"r"(to), "r"(word[0]), "r"(word[1]),
               "r"(word[2]), "r"(word[3])
               : "memory");
}

/* One 16-byte chunk of a row: channels c .. c + 15 at `from`, or zero_x. Beyond the channels
 * anything will do: the weights are zero. (A line of zero_x in memory instead of registers would be
 * read by all multiprocessors at once: ten times slower on 7x7 images.) */
template <int unit>
static __device__ __forceinline__ void
mma_copy_chunk (uint32_t to, const int8_t *from, uint32_t zero_x, bool inside, int c, int ic)
{
  uint32_t word[4] = {zero_x, zero_x, zero_x, zero_x};

  if (!inside || c >= ic) {
    mma_put (to, word);
    return;
  }
  if constexpr (unit > 1) {
#pragma unroll
    for (int i = 0; i < 16; i += unit)
      mma_copy<unit> (to + i, from + (c + i < ic ? i : 0));
  } else {
#pragma unroll
    for (int i = 0; i < 16; i++) {
      word[i / 4] = i % 4 ? word[i / 4] : 0;
      word[i / 4] |= (c + i < ic ? (uint32_t) (uint8_t) from[i] : 0) << (i % 4 * 8);
    }
    mma_put (to, word);
  }
}

template <int bm, int wm, int wn, int kb, int stages, int unit, int split> struct Mma {
  static constexpr int threads = 32 * wm * wn, chunks = kb / 16;
  static constexpr int step = threads / chunks, rows = bm / step;
  static constexpr int bytes_a = bm * kb, bytes_b = 64 * wn * kb, bytes = bytes_a + bytes_b;
  static constexpr int tiles = bm / wm / 16; /* of 16 pixels, in a warp */
  static constexpr int shared = stages * bytes;
  static_assert (bm % step == 0 && bytes_b / 16 % threads == 0, "every thread copies as much");
  static_assert (split == 1 || (bm == 64 && wn == 1 && wm == 4 && shared >= bm * 64 * 4), "");

  /* Copies x's part of the block of k that s points to, and moves s on. */
  static __device__ __forceinline__ void
  copy_a (MmaSource<rows> &s, const ConvParams &p, uint32_t stage)
  {
    const int row = threadIdx.x / chunks, chunk = threadIdx.x % chunks;
    const int c = s.piece * kb + chunk * 16;
    const int dy = s.kh * p.dilation_h, dx = s.kw * p.dilation_w, moved = dy * p.iw + dx;

#pragma unroll
    for (int i = 0; i < rows; i++) {
      const bool inside = (unsigned) (s.ih[i] + dy) < (unsigned) p.ih &&
                          (unsigned) (s.iw[i] + dx) < (unsigned) p.iw;

      mma_copy_chunk<unit> (stage + conv_swizzle<kb> (row + i * step, chunk),
          p.x + (int64_t) (s.pixel[i] + moved) * p.ic + c, p.zero_x, inside, c, p.ic);
    }
    if (++s.piece == p.tap_blocks) {
      s.piece = 0;
      if (++s.kw == p.kw) {
        s.kw = 0;
        s.kh++;
      }
    }
  }

  static __device__ __forceinline__ void
  copy_b (const ConvParams &p, int n_block, int k_block, uint32_t stage)
  {
#pragma unroll
    for (int i = 0; i < bytes_b / 16 / threads; i++) {
      const int at = (threadIdx.x + i * threads) * 16, block = at / (64 * kb);
      const int n = min (n_block + block, p.n_blocks - 1); /* beyond: never stored */

      mma_copy<16> (stage + bytes_a + at,
          p.w + ((size_t) n * p.k_blocks + k_block) * 64 * kb + at % (64 * kb));
    }
  }

  template <typename Value>
  static __device__ __forceinline__ void
  multiply (Value (&acc)[tiles][8][4], uint32_t stage, int warp_m, int warp_n)
  {
    const int lane = threadIdx.x % 32;
    const uint32_t from_b = stage + bytes_a + warp_n * 64 * kb;

#pragma unroll
    for (int k = 0; k < kb / 32; k++) {
      uint32_t a[tiles][4], b[4][4];

#pragma unroll
      for (int i = 0; i < tiles; i++)
        mma_load (a[i],
            stage + conv_swizzle<kb> (warp_m * (bm / wm) + i * 16 + lane % 16, 2 * k + lane / 16));
#pragma unroll
      for (int j = 0; j < 4; j++)
        mma_load (b[j],
            from_b + conv_swizzle<kb> (j * 16 + lane / 16 * 8 + lane % 8, 2 * k + lane / 8 % 2));
#pragma unroll
      for (int i = 0; i < tiles; i++)
#pragma unroll
        for (int j = 0; j < 8; j++)
          mma_multiply (acc[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
    }
  }

  /* The ring: block k is multiplied while those up to k + stages - 1 are on their way. The first
   * weights do not wait for the kernel that makes x. */
  template <typename Value>
  static __device__ __forceinline__ void
  accumulate (Value (&acc)[tiles][8][4], const ConvParams &p, int first, int n_block, int k,
      int k_end, uint32_t ring)
  {
    const int warp = threadIdx.x / 32;
    MmaSource<rows> s;
    int next = k;

    mma_find_rows<rows, step> (s, p, first + threadIdx.x / chunks, k);
#pragma unroll
    for (int i = 0; i < stages - 1; i++)
      if (k + i < k_end)
        copy_b (p, n_block, k + i, ring + i * bytes);
    conv_wait_for_inputs ();
#pragma unroll
    for (int i = 0; i < stages - 1; i++, next++) {
      if (next < k_end)
        copy_a (s, p, ring + i * bytes);
      asm volatile("cp.async.commit_group;");
    }
    for (int read = 0, write = stages - 1; k < k_end; k++, next++) {
      asm volatile("cp.async.wait_group %0;" ::"n"(stages - 2) : "memory");
      __syncthreads ();
      if (next < k_end) {
        copy_a (s, p, ring + write * bytes);
        copy_b (p, n_block, next, ring + write * bytes);
      }
      asm volatile("cp.async.commit_group;");
      multiply (acc, ring + read * bytes, warp / wn, warp % wn);
      read = read + 1 == stages ? 0 : read + 1;
      write = write + 1 == stages ? 0 : write + 1;
    }
    asm volatile("cp.async.wait_group 0;" ::: "memory");
  }
};

/* Four neighbouring outputs, whatever their type and alignment. */
static __device__ __forceinline__ void
mma_store_quad (const ConvParams &p, const int (&acc)[4], float4 m, float4 b, int pixel,
    int channel)
{
  const size_t at = (size_t) pixel * p.oc + channel;
  const float ms[4] = {m.x, m.y, m.z, m.w}, bs[4] = {b.x, b.y, b.z, b.w};

  if (pixel < 0)
    return;
  if (p.wide && !p.to_f32 && channel < p.oc) {
    uint32_t *y = (uint32_t *) ((int8_t *) p.y + at);

    *y = p.r ? conv_requant<true> (acc, m, b, *(const uint32_t *) (p.r + at), p.mr, p.lo, p.hi)
             : conv_requant<false> (acc, m, b, 0, 0, p.lo, p.hi);
    return;
  }
#pragma unroll
  for (int i = 0; i < 4; i++) {
    float t = __fmaf_rn (__int2float_rn (acc[i]), ms[i], bs[i]);

    if (channel + i >= p.oc)
      return;
    if (p.to_f32) {
      ((float *) p.y)[at + i] = t;
      continue;
    }
    if (p.r)
      t = __fmaf_rn ((float) p.r[at + i], p.mr, t);
    ((int8_t *) p.y)[at + i] = kernel_round_s8 (t, (int) p.lo, (int) p.hi);
  }
}

/* 16 outputs each of some pixels (-1: none), get (i, j) being accumulator j of pixel i; m and b
 * point to the lane's first quad. */
template <bool with_r, int pixels, class Get>
static __device__ __forceinline__ void
mma_store_wide (const ConvParams &p, const int (&pixel)[pixels], int channel, const float4 *m,
    const float4 *b, Get get)
{
  uint32_t word[pixels][4];

#pragma unroll
  for (int i = 0; i < pixels; i++)
    if (with_r && pixel[i] >= 0) {
      const uint4 r = *(const uint4 *) (p.r + (size_t) pixel[i] * p.oc + channel);

      word[i][0] = r.x, word[i][1] = r.y, word[i][2] = r.z, word[i][3] = r.w;
    }
#pragma unroll
  for (int k = 0; k < 4; k++) {
    const float4 m4 = m[k * 4], b4 = b[k * 4];

#pragma unroll
    for (int i = 0; i < pixels; i++) {
      const int v[4] = {get (i, k * 4), get (i, k * 4 + 1), get (i, k * 4 + 2), get (i, k * 4 + 3)};

      word[i][k] = conv_requant<with_r> (v, m4, b4, word[i][k], p.mr, p.lo, p.hi);
    }
  }
#pragma unroll
  for (int i = 0; i < pixels; i++)
    if (pixel[i] >= 0)
      *(uint4 *) ((int8_t *) p.y + (size_t) pixel[i] * p.oc + channel) =
          make_uint4 (word[i][0], word[i][1], word[i][2], word[i][3]);
}

template <int pixels, class Get>
static __device__ __forceinline__ void
mma_store (const ConvParams &p, const int (&pixel)[pixels], int channel, const float4 *m,
    const float4 *b, Get get)
{
  if (channel >= p.oc)
    return;
  if (p.wide && !p.to_f32) {
    if (p.r)
      mma_store_wide<true> (p, pixel, channel, m, b, get);
    else
      mma_store_wide<false> (p, pixel, channel, m, b, get);
    return;
  }
#pragma unroll
  for (int i = 0; i < pixels; i++)
#pragma unroll
    for (int k = 0; k < 4; k++) {
      const int v[4] = {get (i, k * 4), get (i, k * 4 + 1), get (i, k * 4 + 2), get (i, k * 4 + 3)};

      mma_store_quad (p, v, m[k * 4], b[k * 4], pixel[i], channel + k * 4);
    }
}

/* --- Tiles of a cluster ---------------------------------------------------------------------- */

#if __CUDA_ARCH__ >= 900
/* A word at the same shared address of another block of the cluster. */
template <typename Value>
static __device__ __forceinline__ void
mma_load_of_rank (Value (&v)[4], uint32_t address, uint32_t rank)
{
  uint32_t remote, word[4];

  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(remote) : "r"(address), "r"(rank));
  asm volatile("ld.shared::cluster.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(word[0]), "=r"(word[1]), "=r"(word[2]), "=r"(word[3])
               : "r"(remote));
  memcpy (v, word, sizeof word);
}

static __device__ __forceinline__ void
mma_wait_for_cluster (void)
{
  asm volatile("barrier.cluster.arrive.release.aligned;\n\tbarrier.cluster.wait.acquire.aligned;" ::
                   : "memory");
}
#endif

/* Adds the tiles of 64 pixels x 64 channels of the cluster's blocks, rank by rank; each block has
 * store (row, quad of channels, sum) called for 64 / split rows. Chunks of a row are turned by its
 * number against bank conflicts. */
template <int split, typename Value, class Store>
static __device__ __forceinline__ void
mma_reduce (const Value (&acc)[1][8][4], uint8_t *tile, int rank, Store store)
{
#if __CUDA_ARCH__ >= 900
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  constexpr int quads = 64 / split * 16; /* of 4 channels */
  struct alignas (16) Quad {
    Value v[4];
  };
  Quad *to = (Quad *) tile;

  __syncthreads (); /* the ring is free */
#pragma unroll
  for (int half = 0; half < 2; half++) {
    const int row = warp * 16 + half * 8 + lane / 4;

#pragma unroll
    for (int i = 0; i < 4; i++)
      to[row * 16 + ((lane % 4 * 4 + i) ^ (row & 15))] = {acc[0][2 * i][half * 2],
          acc[0][2 * i][half * 2 + 1], acc[0][2 * i + 1][half * 2],
          acc[0][2 * i + 1][half * 2 + 1]};
  }
  mma_wait_for_cluster ();
  for (int i = threadIdx.x; i < quads; i += 128) {
    const int row = rank * (64 / split) + i / 16, quad = i % 16;
    const uint32_t address = conv_shared_address (to + row * 16 + (quad ^ (row & 15)));
    Value sum[4] = {};

#pragma unroll
    for (int other = 0; other < split; other++) {
      Value v[4];

      mma_load_of_rank (v, address, other);
#pragma unroll
      for (int k = 0; k < 4; k++)
        sum[k] += v[k];
    }
    store (row, quad, sum);
  }
  mma_wait_for_cluster (); /* nobody leaves while others read */
#endif
}
