/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-wgmma-tile.cuh: what conv-wgmma.cu and conv-patch.cu share: the sizes of a tile, where a
 * block's barriers lie, and the way from accumulators to y. Sum is the type of accumulators: int where
 * x and y are int8, float where they are halves.
 */
#pragma once

#include "kernels/cuda/conv-wgmma.cuh"
#include "kernels/cuda/conv-wgmma.h"
#include "kernels/half.h"

#include <type_traits>

#define MAX_STAGES  12
#define MAX_BUFFERS 4
#define BARRIERS    1152 /* bytes */

/* What depends on the tile, beside ConvParams. */
typedef struct {
  ConvParams p;
  int tiles, n_tiles; /* pixels x channels; channels */
  int stages, buffers;
  bool resident, box; /* box: x is a matrix of pixels x channels */
  /* Offsets in shared memory. */
  unsigned ring, weights, staging, factors, barriers;
} WgmmaParams;

template <int groups, int mi, int nj, int kb, int blocks, bool apart, typename Value = int>
struct Wgmma {
  static constexpr int lanes = apart ? groups : 1; /* tiles at a time, each with a ring */
  static constexpr int team = groups / lanes;      /* warpgroups that share one */
  static constexpr int bm = team * mi * 64, bn = nj * 64;
  static constexpr int threads = groups * 128 + (blocks == 1 ? 128 : 64);
  static constexpr int bytes_a = bm * kb, bytes_b = bn * kb;
  static constexpr int ni = nj == 1 ? 1 : nj / 2,
                       width = nj == 1 ? 64 : 128; /* of an instruction */
  static constexpr int size = std::is_same_v<Value, float> ? 2 : 1; /* of a value of y */
  static constexpr int row = size == 2 ? 128 : width; /* bytes of a pixel's channels side by side */
  static constexpr int slab = mi * 64 * row;          /* a warpgroup's pixels of that many */
  static constexpr int slabs = bn * size / row;
  static constexpr int staging = mi * 64 * bn * size; /* bytes of y of a warpgroup */

  typedef Value Sum;
  typedef Value Accumulators[mi][ni][width / 2];

  struct Barriers {
    uint32_t full, empty, weights, r_full, r_empty;

    __device__ __forceinline__ explicit Barriers (uint32_t base)
        : full (base), empty (full + 8 * MAX_STAGES * lanes),
          weights (empty + 8 * MAX_STAGES * lanes), r_full (weights + 8),
          r_empty (r_full + 8 * groups * MAX_BUFFERS)
    {
    }

    /* Those of one ring. */
    __device__ __forceinline__ Barriers
    of_lane (int lane) const
    {
      Barriers b (*this);

      b.full += 8 * MAX_STAGES * lane;
      b.empty += 8 * MAX_STAGES * lane;
      return b;
    }
  };
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/* A place in a ring of `count`, and how often it was passed. */
struct Place {
  int at = 0;
  uint32_t phase = 0;

  __device__ __forceinline__ void
  next (int count)
  {
    if (++at == count) {
      at = 0;
      phase ^= 1;
    }
  }
};

template <class T, int groups>
static __device__ __forceinline__ void
init_barriers (const typename T::Barriers &barriers)
{
  if (threadIdx.x != 0)
    return;
  for (int i = 0; i < MAX_STAGES * T::lanes; i++) {
    barrier_init (barriers.full + 8 * i, 1);
    barrier_init (barriers.empty + 8 * i, 4 * T::team);
  }
  barrier_init (barriers.weights, 1);
  for (int i = 0; i < groups * MAX_BUFFERS; i++) {
    barrier_init (barriers.r_full + 8 * i, 1);
    barrier_init (barriers.r_empty + 8 * i, 1);
  }
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); /* for TMA too */
}

/* Where the rows of a thread have corrections: NULL inside the image. Asked for while products are
 * under way, so that they hide what it takes. */
template <int mi> struct Border {
  const int32_t *from[mi * 2];
  bool any; /* in this warp */

  /* The tile is a matrix of rows of `width` pixels from (row, -at) on: this thread's are the ones
   * with columns below ow and rows below `end`; rows count on from 0 at `wrap`. */
  __device__ __forceinline__
  Border (const ConvParams &p, int row, int at, int width, int end, int wrap)
  {
    int column = at + (int) threadIdx.x % 128 / 32 * 16 + (int) threadIdx.x % 32 / 4;
    bool mine = false;

    any = false;
    if (!p.row_class)
      return;
    row += column / width;
    column %= width;
#pragma unroll
    for (int i = 0; i < mi * 2; i++) {
      while (row >= wrap)
        row -= wrap;
      from[i] = NULL;
      if (column < p.ow && row < end) {
        const int c = p.row_class[row] * p.column_classes + p.column_class[column];

        from[i] = c ? p.corrections + (size_t) c * p.n_blocks * CONV_BLOCK_CHANNELS : NULL;
      }
      mine = mine || from[i];
      for (column += i % 2 ? 56 : 8; column >= width; column -= width)
        row++;
    }
    any = __any_sync (0xffffffff, mine);
  }
};

template <class T, int mi, int nj>
static __device__ __forceinline__ void
correct (typename T::Accumulators &acc, const ConvParams &p, const Border<mi> &border, int n_block)
{
  const int t = threadIdx.x % 4;

  if (!border.any)
    return;
#pragma unroll
  for (int j = 0; j < nj; j++) {
    const int channel = min (n_block + j, p.n_blocks - 1) * 64 + t * 16;

#pragma unroll
    for (int i = 0; i < mi * 2; i++) {
      int4 c[4] = {};

      if (border.from[i]) {
#pragma unroll
        for (int k = 0; k < 4; k++)
          c[k] = __ldg ((const int4 *) (border.from[i] + channel) + k);
      }
#pragma unroll
      for (int k = 0; k < 4; k++) {
        int *to = &acc[i / 2][j * 64 / T::width][j * 64 % T::width / 2 + k * 8 + i % 2 * 2];

        to[0] += c[k].x, to[1] += c[k].y, to[4] += c[k].z, to[5] += c[k].w;
      }
    }
  }
}

/* Accumulators to bytes, in the buffer at `staging`, where the residuals lie. */
template <class T, int mi, int nj, bool with_r>
static __device__ __forceinline__ void
requantise (typename T::Accumulators &acc, const WgmmaParams &q, uint32_t staging, uint32_t ms,
    uint32_t bs)
{
  const ConvParams &p = q.p;
  const int lane = threadIdx.x % 32, row = threadIdx.x % 128 / 32 * 16 + lane / 4, t = lane % 4;

#pragma unroll
  for (int j = 0; j < nj; j++) {
    uint32_t at[mi * 2], word[mi * 2][4];

#pragma unroll
    for (int i = 0; i < mi * 2; i++) {
      const int r = row + i * 8 + i / 2 * 48;

      at[i] = staging + j / 2 * T::slab +
              (nj == 1 ? conv_swizzle<64> (r, t) : conv_swizzle<128> (r, j % 2 * 4 + t));
      if (with_r)
        asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
                     : "=r"(word[i][0]), "=r"(word[i][1]), "=r"(word[i][2]), "=r"(word[i][3])
                     : "r"(at[i]));
    }
#pragma unroll
    for (int k = 0; k < 4; k++) {
      const float4 m = load_quad (ms + j * 256 + k * 64), b = load_quad (bs + j * 256 + k * 64);

#pragma unroll
      for (int i = 0; i < mi * 2; i++) {
        const int *from = &acc[i / 2][j * 64 / T::width][j * 64 % T::width / 2 + k * 8 + i % 2 * 2];
        const int v[4] = {from[0], from[1], from[4], from[5]};

        word[i][k] = conv_requant<with_r> (v, m, b, word[i][k], p.mr, p.lo, p.hi);
      }
    }
#pragma unroll
    for (int i = 0; i < mi * 2; i++)
      asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" ::"r"(at[i]), "r"(word[i][0]),
                   "r"(word[i][1]), "r"(word[i][2]), "r"(word[i][3])
                   : "memory");
  }
}

/* The same for halves: y = min (max (sum + b + r, lo), hi). A thread's 16 channels are two chunks. */
template <class T, int mi, int nj, bool with_r>
static __device__ __forceinline__ void
narrow (typename T::Accumulators &acc, const WgmmaParams &q, uint32_t staging, uint32_t bs)
{
  const ConvParams &p = q.p;
  const int lane = threadIdx.x % 32, row = threadIdx.x % 128 / 32 * 16 + lane / 4, t = lane % 4;

#pragma unroll
  for (int j = 0; j < nj; j++) {
#pragma unroll
    for (int chunk = 0; chunk < 2; chunk++) {
      const float4 b[2] = {load_quad (bs + j * 256 + chunk * 128),
          load_quad (bs + j * 256 + chunk * 128 + 64)};

#pragma unroll
      for (int i = 0; i < mi * 2; i++) {
        const int at = j * 64 % T::width / 2 + chunk * 16 + i % 2 * 2;
        const float *from = &acc[i / 2][j * 64 / T::width][at];
        const uint32_t to =
            staging + j * T::slab + conv_swizzle<128> (row + i * 8 + i / 2 * 48, 2 * t + chunk);
        const float v[8] = {from[0] + b[0].x, from[1] + b[0].y, from[4] + b[0].z, from[5] + b[0].w,
            from[8] + b[1].x, from[9] + b[1].y, from[12] + b[1].z, from[13] + b[1].w};
        uint32_t word[4];

        if (with_r)
          asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
                       : "=r"(word[0]), "=r"(word[1]), "=r"(word[2]), "=r"(word[3])
                       : "r"(to));
#pragma unroll
        for (int k = 0; k < 4; k++) {
          float low = v[2 * k], high = v[2 * k + 1];

          if (with_r) {
            low += kernel_half_to_f32 ((KernelHalf) word[k]);
            high += kernel_half_to_f32 ((KernelHalf) (word[k] >> 16));
          }
          low = kernel_clamp_f32 (low, p.lo, p.hi);
          high = kernel_clamp_f32 (high, p.lo, p.hi);
          asm ("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(word[k]) : "f"(high), "f"(low));
        }
        asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" ::"r"(to), "r"(word[0]),
                     "r"(word[1]), "r"(word[2]), "r"(word[3])
                     : "memory");
      }
    }
  }
}

/* A buffer of staging is free when its store has read it. Its residual is asked for, then, or,
 * without one, the group may write. */
template <int groups>
static __device__ __forceinline__ void
take_buffer (const WgmmaParams &q, uint32_t r_full, uint32_t r_empty, const Place &buffer,
    int group, bool first)
{
  const bool leader = threadIdx.x % 128 == 0;

  if (q.p.r) {
    if (leader && !first) {
      store_wait_read<0> ();
      barrier_arrive (
          r_empty + 8 * (group * MAX_BUFFERS + (buffer.at > 0 ? buffer.at : q.buffers) - 1));
    }
    barrier_wait (r_full + 8 * (group * MAX_BUFFERS + buffer.at), buffer.phase);
    return;
  }
  if (leader && q.buffers == 1)
    store_wait_read<0> ();
  else if (leader)
    store_wait_read<1> ();
  group_sync (group);
}

#endif
