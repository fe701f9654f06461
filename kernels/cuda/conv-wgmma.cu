/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-wgmma.cu: implicit GEMM for Hopper: TMA loads, wgmma products, TMA stores; of int8 with int32
 * sums, or of halves with float sums, whose channels of x are counted in bytes.
 *
 * A block has `groups` warpgroups that multiply, each 64 mi pixels x 64 nj channels (32 mi nj
 * accumulators a thread), and one whose first two warps copy: one feeds a ring of x and weights,
 * the other residuals. Blocks stay and take tile after tile, so that copies run ahead across tiles.
 * A row of an x tile is one pixel's kb bytes of one tap: TMA's im2col mode finds it, or, for 1x1
 * convolutions of stride 1, a plain box. Where weights fit they are loaded once and stay
 * (p.resident). y and the residual share one buffer in shared memory: the residual is there before
 * the product is done, is replaced in place, and leaves through TMA, 128-byte rows.
 *
 * TMA gives 0 outside the image: windows at the border get a correction in int32, exact.
 *
 * Bound: large k: wgmma, and 40 to 48 bytes a cycle into shared memory; small k: memory. Clusters
 * of two that load x once for both were tried: they take half as long again.
 */
#include "kernels/cuda/conv-maps.h"
#include "kernels/cuda/conv-wgmma-tile.cuh"

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

template <class T, int kb>
static __device__ __forceinline__ void
feed (const WgmmaParams &q, const CUtensorMap &map, uint32_t shared,
    const typename T::Barriers &barriers, int lane)
{
  const ConvParams &p = q.p;
  constexpr int block = 64 * kb;
  const int bytes = T::bytes_a + (q.resident ? 0 : T::bytes_b);
  Place place;

  if (q.resident && lane == 0) {
    const int n = (int) (blockIdx.x % q.n_tiles) * (T::bn / 64);

    barrier_expect (barriers.weights, p.k_blocks * T::bytes_b);
    for (int k = 0; k < p.k_blocks; k++)
      for (int j = 0; j < T::bn / 64; j++)
        copy_bulk (shared + q.weights + k * T::bytes_b + j * block,
            p.w + ((size_t) min (n + j, p.n_blocks - 1) * p.k_blocks + k) * block, block,
            barriers.weights);
  }
  conv_wait_for_inputs ();
  for (int tile = blockIdx.x + lane * gridDim.x; tile < q.tiles; tile += T::lanes * gridDim.x) {
    const int n = tile % q.n_tiles * (T::bn / 64), first = tile / q.n_tiles * T::bm;
    const unsigned line = (unsigned) first / p.ow, image = line / p.oh;
    const int w = (int) (first - line * p.ow) * p.stride_w - p.pad_left;
    const int h = (int) (line - image * p.oh) * p.stride_h - p.pad_top;
    int c = 0, kw = 0, dx = 0, dy = 0;

    for (int k = 0; k < p.k_blocks; k++, place.next (q.stages)) {
      const uint32_t full = barriers.full + 8 * place.at;
      const uint32_t to = shared + q.ring + (lane * q.stages + place.at) * bytes;

      barrier_wait (barriers.empty + 8 * place.at, place.phase ^ 1);
      barrier_expect (full, bytes);
      if (q.box)
        copy_box (to, &map, c, first, full);
      else
        copy_pixels (to, &map, c, w, h, image, dx, dy, full);
      if (!q.resident)
        for (int j = 0; j < T::bn / 64; j++)
          copy_bulk (to + T::bytes_a + j * block,
              p.w + ((size_t) min (n + j, p.n_blocks - 1) * p.k_blocks + k) * block, block, full);
      c += kb;
      if (c >= p.ic) {
        c = 0;
        dx += p.dilation_w;
        if (++kw == p.kw) {
          kw = dx = 0;
          dy += p.dilation_h;
        }
      }
    }
  }
}

template <class T, int mi>
static __device__ __forceinline__ void
feed_residuals (const WgmmaParams &q, const CUtensorMap &map, uint32_t shared,
    const typename T::Barriers &barriers, int lane)
{
  Place place;

  conv_wait_for_inputs ();
  for (int tile = blockIdx.x + lane * gridDim.x; tile < q.tiles;
       tile += T::lanes * gridDim.x, place.next (q.buffers)) {
    const int channel = tile % q.n_tiles * T::bn;
    const int first = tile / q.n_tiles * T::bm;

    for (int member = 0; member < T::team; member++) {
      const int group = lane * T::team + member, i = 8 * (group * MAX_BUFFERS + place.at);
      const uint32_t to = shared + q.staging + (group * q.buffers + place.at) * T::staging;

      barrier_wait (barriers.r_empty + i, place.phase ^ 1);
      barrier_expect (barriers.r_full + i, T::staging);
      for (int s = 0; s < T::slabs; s++)
        copy_box (to + s * T::slab, &map, channel * T::size + s * T::row, first + member * mi * 64,
            barriers.r_full + i);
    }
  }
}

/* All of k for one tile. Stages are given back one block late, when their products are done;
 * returns the barrier of the last, whose products are still under way. */
template <class T, int mi, int kb>
static __device__ __forceinline__ uint32_t
accumulate (typename T::Accumulators &acc, const WgmmaParams &q, uint32_t shared,
    const typename T::Barriers &barriers, Place &place, int group)
{
  const int bytes = T::bytes_a + (q.resident ? 0 : T::bytes_b), lane = threadIdx.x % 32;
  const uint32_t ring = shared + q.ring + group / T::team * q.stages * bytes;
  int last = 0;

  for (int k = 0; k < q.p.k_blocks; k++) {
    const uint32_t stage = ring + place.at * bytes;
    const uint64_t a = matrix<kb> (stage + group % T::team * mi * 64 * kb);
    const uint64_t b =
        matrix<kb> (q.resident ? shared + q.weights + k * T::bytes_b : stage + T::bytes_a);

    barrier_wait (barriers.full + 8 * place.at, place.phase);
    wgmma_fence ();
#pragma unroll
    for (int i = 0; i < kb / 32; i++)
#pragma unroll
      for (int m = 0; m < mi; m++)
#pragma unroll
        for (int n = 0; n < T::ni; n++)
          wgmma (acc[m][n], a + 2 * i + m * (64 * kb >> 4), b + 2 * i + n * (T::width * kb >> 4),
              k + i > 0);
    wgmma_commit ();
    if (k > 0) {
      wgmma_wait<1> ();
      if (lane == 0)
        barrier_arrive (barriers.empty + 8 * last);
    }
    last = place.at;
    place.next (q.stages);
  }
  return barriers.empty + 8 * last;
}

/* From the last products of a tile, which the barrier `last` gives back, to y in shared memory. */
template <class T, int groups, int mi, int nj>
static __device__ __forceinline__ void
finish (typename T::Accumulators &acc, const WgmmaParams &q, const typename T::Barriers &barriers,
    const Place &buffer, int group, int n_block, int first, uint32_t last, uint32_t staging,
    uint32_t ms, bool first_tile)
{
  constexpr bool halves = std::is_same_v<typename T::Sum, float>;
  const int line = halves ? 0 : first / q.p.ow;
  const Border<mi> border (q.p, line % q.p.oh, first - line * q.p.ow, q.p.ow, q.p.oh, q.p.oh);
  const uint32_t bs = ms + q.n_tiles * T::bn * 4;

  wgmma_wait<0> ();
  if (threadIdx.x % 32 == 0)
    barrier_arrive (last);
  take_buffer<groups> (q, barriers.r_full, barriers.r_empty, buffer, group, first_tile);
  if constexpr (halves) {
    if (q.p.r)
      narrow<T, mi, nj, true> (acc, q, staging, bs + n_block * 256);
    else
      narrow<T, mi, nj, false> (acc, q, staging, bs + n_block * 256);
  } else {
    correct<T, mi, nj> (acc, q.p, border, n_block);
    if (q.p.r)
      requantise<T, mi, nj, true> (acc, q, staging, ms + n_block * 256, bs + n_block * 256);
    else
      requantise<T, mi, nj, false> (acc, q, staging, ms + n_block * 256, bs + n_block * 256);
  }
}

template <class T, int groups, int mi, int nj, int kb>
static __device__ __forceinline__ void
consume (const WgmmaParams &q, const CUtensorMap &map, uint32_t shared,
    const typename T::Barriers &all)
{
  const int group = threadIdx.x / 128, lane = group / T::team;
  const typename T::Barriers barriers = all.of_lane (lane);
  const uint32_t ms = shared + q.factors + threadIdx.x % 4 * 16;
  Place place, buffer;
  bool first_tile = true;
  typename T::Accumulators acc;

  if (q.resident)
    barrier_wait (barriers.weights, 0);
  for (int tile = blockIdx.x + lane * gridDim.x; tile < q.tiles; tile += T::lanes * gridDim.x) {
    const int n_block = tile % q.n_tiles * nj;
    const int first = tile / q.n_tiles * T::bm + group % T::team * mi * 64;
    const uint32_t staging = shared + q.staging + (group * q.buffers + buffer.at) * T::staging;

    const uint32_t last = accumulate<T, mi, kb> (acc, q, shared, barriers, place, group);
    finish<T, groups, mi, nj> (acc, q, barriers, buffer, group, n_block, first, last, staging, ms,
        first_tile);
    store_fence ();
    group_sync (group);
    if (threadIdx.x % 128 == 0) {
      for (int s = 0; s < T::slabs; s++)
        store_box (&map, staging + s * T::slab, n_block * 64 * T::size + s * T::row, first);
      store_commit ();
    }
    buffer.next (q.buffers);
    first_tile = false;
  }
  if (threadIdx.x % 128 == 0)
    asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
}

#endif

template <int groups, int mi, int nj, int kb, int blocks, bool apart, typename Sum>
static __global__ void
__launch_bounds__ (groups * 128 + (blocks == 1 ? 128 : 64), blocks)
    conv_wgmma (const __grid_constant__ WgmmaParams q, const __grid_constant__ CUtensorMap x_map,
        const __grid_constant__ CUtensorMap r_map, const __grid_constant__ CUtensorMap y_map)
{
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  using T = Wgmma<groups, mi, nj, kb, blocks, apart, Sum>;
  extern __shared__ __align__ (1024) uint8_t memory[];
  const uint32_t shared = conv_shared_address (memory);
  const typename T::Barriers barriers (shared + q.barriers);
  const int warp = threadIdx.x / 32;

  conv_let_next_start ();
  init_barriers<T, groups> (barriers);
  conv_load_factors ((float *) (memory + q.factors),
      (float *) (memory + q.factors) + q.n_tiles * T::bn, q.p, 0, q.n_tiles * T::bn);
  __syncthreads ();
  if (warp >= groups * 4) {
    if (blocks == 1)
      set_registers<32, false> ();
    const int lane = (warp - groups * 4) / 2; /* two warps each */

    if (lane < T::lanes && threadIdx.x % 64 == 0)
      feed<T, kb> (q, x_map, shared, barriers.of_lane (lane), lane);
    else if (lane < T::lanes && threadIdx.x % 64 == 32 && q.p.r)
      feed_residuals<T, mi> (q, r_map, shared, barriers, lane);
  } else {
    if (blocks == 1)
      set_registers<groups == 2 ? 232 : 160, true> ();
    consume<T, groups, mi, nj, kb> (q, y_map, shared, barriers);
  }
#endif
}

/* --- On the host ---------------------------------------------------------------------------- */

static unsigned
round_up (unsigned value, unsigned to)
{
  return (value + to - 1) / to * to;
}

/* Shares out `budget` bytes of shared memory. Weights stay when four stages of x fit beside them,
 * and every block has tiles enough to use them again. */
template <class T, int groups>
static unsigned
plan (WgmmaParams *q, unsigned budget, int slots)
{
  const unsigned channels = q->n_tiles * T::bn, all_b = q->p.k_blocks * T::bytes_b;
  const unsigned fixed = round_up (channels * 8, 128) + BARRIERS;
  unsigned room, stage;

  q->buffers = q->p.r ? 2 : 1;
  if (q->p.r && fixed + 3 * groups * T::staging + 6 * (T::bytes_a + T::bytes_b) <= budget)
    q->buffers = 3;
  else if (!q->p.r && fixed + 2 * groups * T::staging + 5 * (T::bytes_a + T::bytes_b) <= budget)
    q->buffers = 2;
  room = budget - fixed - q->buffers * groups * T::staging;
  q->resident =
      all_b + 4 * T::lanes * T::bytes_a <= room && q->tiles >= 2 * slots && q->n_tiles <= slots;
  stage = T::bytes_a + (q->resident ? 0 : T::bytes_b);
  room -= q->resident ? all_b : 0;
  q->stages = (int) (room / stage / T::lanes);
  if (q->stages > MAX_STAGES)
    q->stages = MAX_STAGES;
  q->staging = 0;
  q->ring = q->buffers * groups * T::staging;
  q->weights = q->ring + T::lanes * q->stages * stage;
  q->factors = q->weights + (q->resident ? all_b : 0);
  q->barriers = q->factors + round_up (channels * 8, 128);
  return q->barriers + BARRIERS;
}

template <int groups, int mi, int nj, int kb, int blocks, bool apart, typename Sum>
static bool
launch (const KernelConvShape *s, const ConvParams &p, KernelQueue *queue)
{
  using T = Wgmma<groups, mi, nj, kb, blocks, apart, Sum>;
  WgmmaParams q = {};
  CUtensorMap x, r, y;
  const int row_bytes = s->oc * T::size;
  const int slots = queue->cuda->multiprocessors * blocks;
  unsigned shared;
  int count;

  q.p = p;
  q.n_tiles = (int) kernel_cuda_blocks (q.p.n_blocks, nj);
  q.tiles = (int) kernel_cuda_blocks (q.p.pixels, T::bm) * q.n_tiles;
  q.box = s->kh * s->kw == 1 && s->stride_h * s->stride_w == 1 && s->oh == s->ih && s->ow == s->iw;
  shared = plan<T, groups> (&q, blocks == 1 ? queue->cuda->shared_memory : 233472 / blocks - 1024,
      slots);
  if (q.stages < 2)
    return false;
  count = q.tiles < slots ? q.tiles : slots; /* a block's lanes get every count-th tile */
  if (q.resident)
    count -= count % q.n_tiles;
  if (q.box ? !kernel_conv_map_matrix (queue, &x, p.x, p.pixels, s->ic, T::bm, kb)
            : !kernel_conv_map_windows (queue, &x, s, p.x, T::bm, kb))
    return false;
  if (!kernel_conv_map_matrix (queue, &y, p.y, p.pixels, row_bytes, mi * 64, T::row))
    return false;
  r = y;
  if (p.r && !kernel_conv_map_matrix (queue, &r, p.r, p.pixels, row_bytes, mi * 64, T::row))
    return false;
  void *arguments[] = {&q, &x, &r, &y};

  kernel_conv_launch (queue, (const void *) conv_wgmma<groups, mi, nj, kb, blocks, apart, Sum>,
      (unsigned) count, T::threads, shared, 1, arguments);
  return true;
}

/* What both types want, channels of x being bytes. */
static bool
suits (const KernelConvShape *s, int sm)
{
  const int upper_w = (s->ow - 1) * s->stride_w - s->pad_left + 1 - s->iw;
  const int upper_h = (s->oh - 1) * s->stride_h - s->pad_top + 1 - s->ih;

  return sm == 90 && s->groups == 1 && s->ic % 16 == 0 && s->oc <= 4096 && s->stride_h <= 8 &&
         s->stride_w <= 8 && (s->kh - 1) * s->dilation_h <= 255 &&
         (s->kw - 1) * s->dilation_w <= 255 && s->pad_left <= 128 && s->pad_top <= 128 &&
         upper_w >= -128 && upper_w <= 127 && upper_h >= -128 && upper_h <= 127;
}

bool
kernel_conv_wgmma_suits (const KernelConvShape *s, int sm)
{
  const ConvBlocks blocks = kernel_conv_blocks (s);

  return suits (s, sm) && s->oc % 16 == 0 && blocks.row_classes <= CONV_MAX_CLASSES &&
         blocks.column_classes <= CONV_MAX_CLASSES;
}

bool
kernel_conv_wgmma_suits_f16 (const KernelConvShape *s, int sm)
{
  const KernelConvShape bytes = kernel_conv_shape_in_bytes (s);

  return s->ic <= INT32_MAX / 2 && suits (&bytes, sm) && s->oc % 8 == 0;
}

template <typename Sum>
static bool
run (const KernelConvShape *s, const ConvParams &p, ConvWgmmaTile tile, KernelQueue *queue)
{
  const bool wide = kernel_conv_blocks (s).kb == 128;

  if (!kernel_cuda_aligned (p.x, 16) || !kernel_cuda_aligned (p.y, 16) ||
      !kernel_cuda_aligned (p.r, 16))
    return false;
  switch (tile) {
#define CONV_TILE(name, groups, mi, nj, blocks, apart)                                             \
  case CONV_WGMMA_##name:                                                                          \
    return wide ? launch<groups, mi, nj, 128, blocks, apart, Sum> (s, p, queue)                    \
                : launch<groups, mi, nj, 64, blocks, apart, Sum> (s, p, queue);
    CONV_WGMMA_TILES
#undef CONV_TILE
  default:
    return false;
  }
}

bool
kernel_conv_wgmma_run (const KernelConvS8 *args, ConvWgmmaTile tile, KernelQueue *queue)
{
  return run<int> (&args->shape, kernel_conv_params (args, false), tile, queue);
}

bool
kernel_conv_wgmma_run_f16 (const KernelConvF16 *args, ConvWgmmaTile tile, KernelQueue *queue)
{
  const KernelConvShape s = kernel_conv_shape_in_bytes (&args->shape);

  return run<float> (&s, kernel_conv_params_f16 (args), tile, queue);
}
