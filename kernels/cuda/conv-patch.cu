/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-patch.cu: convolutions of stride 1 for Hopper that read each pixel from L2 once, not once a
 * tap.
 *
 * A tile is some whole rows of y of one image. The rows of x that they need, with their halo, are
 * one box of TMA: a matrix of pixels, (ow + kw - 1) a row. Tap (kh, kw) of all outputs is the same
 * matrix from pixel kh (ow + kw - 1) + kw on: another start address of wgmma's operand, in the
 * middle of a swizzle pattern, which is a function of the address alone. The kw - 1 outputs at each
 * row's end that mix two rows are computed and not stored: TMA's store ends at the image's edge.
 * All weights stay in shared memory.
 *
 * Each warpgroup has tiles of its own, 64 mi pixels x 64 nj channels, so that some multiply while
 * others requantise; one more warpgroup copies. No residuals. Zeros outside the image are corrected
 * as in conv-wgmma.cu. Bound: wgmma, of whose products ow / (ow + kw - 1) and the rest of 64 mi are
 * lost; memory.
 */
#include "kernels/cuda/conv-maps.h"
#include "kernels/cuda/conv-patch.h"
#include "kernels/cuda/conv-wgmma-tile.cuh"

typedef struct {
  WgmmaParams q;
  int kh, rows, width; /* of a window; rows of y of a tile; pixels of a row of the patch */
  int row_tiles;       /* of an image */
  int bytes, stage;    /* of a patch; of its place in the ring */
} PatchParams;

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/* Where tile number `tile` lies. */
struct PatchTile {
  int n, row, image;

  __device__ __forceinline__
  PatchTile (const PatchParams &s, int tile)
  {
    const int rest = tile / s.q.n_tiles;

    n = tile - rest * s.q.n_tiles;
    image = rest / s.row_tiles;
    row = (rest - image * s.row_tiles) * s.rows;
  }
};

template <class T, int nj, int kb>
static __device__ __forceinline__ void
feed (const PatchParams &s, const CUtensorMap &map, uint32_t shared,
    const typename T::Barriers &barriers, int lane)
{
  const ConvParams &p = s.q.p;
  constexpr int block = 64 * kb;
  Place place;

  if (lane == 0) {
    const int n = (int) (blockIdx.x % s.q.n_tiles) * nj;

    barrier_expect (barriers.weights, p.k_blocks * T::bytes_b);
    for (int k = 0; k < p.k_blocks; k++)
      for (int j = 0; j < nj; j++)
        copy_bulk (shared + s.q.weights + k * T::bytes_b + j * block,
            p.w + ((size_t) min (n + j, p.n_blocks - 1) * p.k_blocks + k) * block, block,
            barriers.weights);
  }
  conv_wait_for_inputs ();
  for (int i = blockIdx.x + lane * gridDim.x; i < s.q.tiles; i += T::lanes * gridDim.x) {
    const PatchTile tile (s, i);

    for (int piece = 0; piece < p.tap_blocks; piece++, place.next (s.q.stages)) {
      const uint32_t full = barriers.full + 8 * place.at;

      barrier_wait (barriers.empty + 8 * place.at, place.phase ^ 1);
      barrier_expect (full, s.bytes);
      copy_image_box (shared + s.q.ring + (lane * s.q.stages + place.at) * s.stage, &map,
          piece * kb, -p.pad_left, tile.row - p.pad_top, tile.image, full);
    }
  }
}

/* Returns the barrier of the last patch, whose products are still under way. */
template <class T, int mi, int kb>
static __device__ __forceinline__ uint32_t
accumulate (typename T::Accumulators &acc, const PatchParams &s, uint32_t ring, uint32_t weights,
    const typename T::Barriers &barriers, Place &place)
{
  const ConvParams &p = s.q.p;

  for (int piece = 0; piece < p.tap_blocks; piece++, place.next (s.q.stages)) {
    const uint32_t patch = ring + place.at * s.stage;
    uint32_t w = weights + piece * T::bytes_b;

    barrier_wait (barriers.full + 8 * place.at, place.phase);
    wgmma_fence ();
    for (int kh = 0; kh < s.kh; kh++) {
      for (int kw = 0; kw < p.kw; kw++, w += p.tap_blocks * T::bytes_b) {
        const uint64_t a = matrix<kb> (patch + (kh * s.width + kw) * kb), b = matrix<kb> (w);

#pragma unroll
        for (int i = 0; i < kb / 32; i++)
#pragma unroll
          for (int m = 0; m < mi; m++)
#pragma unroll
            for (int n = 0; n < T::ni; n++)
              wgmma (acc[m][n], a + 2 * i + m * (64 * kb >> 4),
                  b + 2 * i + n * (T::width * kb >> 4), piece + kh + kw + i > 0);
      }
    }
    wgmma_commit ();
    if (piece + 1 == p.tap_blocks)
      break;
    wgmma_wait<0> ();
    if (threadIdx.x % 32 == 0)
      barrier_arrive (barriers.empty + 8 * place.at);
  }
  const uint32_t last = barriers.empty + 8 * place.at;

  place.next (s.q.stages);
  return last;
}

template <class T, int mi, int nj, int kb>
static __device__ __forceinline__ void
consume (const PatchParams &s, const CUtensorMap &map, uint32_t shared,
    const typename T::Barriers &all)
{
  const WgmmaParams &q = s.q;
  const int group = threadIdx.x / 128;
  const typename T::Barriers barriers = all.of_lane (group);
  const uint32_t ms = shared + q.factors + threadIdx.x % 4 * 16, bs = ms + q.n_tiles * T::bn * 4;
  Place place, buffer;
  bool first_tile = true;
  int acc[mi][T::ni][T::width / 2];

  barrier_wait (barriers.weights, 0);
  for (int i = blockIdx.x + group * gridDim.x; i < q.tiles; i += T::lanes * gridDim.x) {
    const PatchTile tile (s, i);
    const uint32_t staging = shared + q.staging + (group * q.buffers + buffer.at) * T::staging;
    const uint32_t last = accumulate<T, mi, kb> (acc, s,
        shared + q.ring + group * q.stages * s.stage, shared + q.weights, barriers, place);
    const Border<mi> border (q.p, tile.row, 0, s.width, min (tile.row + s.rows, q.p.oh), 1 << 30);

    wgmma_wait<0> ();
    if (threadIdx.x % 32 == 0)
      barrier_arrive (last);
    take_buffer<T::lanes> (q, barriers.r_full, barriers.r_empty, buffer, group, first_tile);
    correct<T, mi, nj> (acc, q.p, border, tile.n * nj);
    requantise<T, mi, nj, false> (acc, q, staging, ms + tile.n * nj * 256, bs + tile.n * nj * 256);
    store_fence ();
    group_sync (group);
    if (threadIdx.x % 128 == 0) {
      for (int slab = 0; slab < T::slabs; slab++)
        store_image_box (&map, staging + slab * T::slab, tile.n * T::bn + slab * T::width, 0,
            tile.row, tile.image);
      store_commit ();
    }
    buffer.next (q.buffers);
    first_tile = false;
  }
  if (threadIdx.x % 128 == 0)
    asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
}

#endif

template <int groups, int mi, int nj, int kb>
static __global__ void
__launch_bounds__ (groups * 128 + 128, 1) conv_patch (const __grid_constant__ PatchParams s,
    const __grid_constant__ CUtensorMap x_map, const __grid_constant__ CUtensorMap y_map)
{
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  using T = Wgmma<groups, mi, nj, kb, 1, true>;
  extern __shared__ __align__ (1024) uint8_t memory[];
  const uint32_t shared = conv_shared_address (memory);
  const typename T::Barriers barriers (shared + s.q.barriers);
  const int warp = threadIdx.x / 32, lane = warp - groups * 4;

  conv_let_next_start ();
  init_barriers<T, groups> (barriers);
  conv_load_factors ((float *) (memory + s.q.factors),
      (float *) (memory + s.q.factors) + s.q.n_tiles * T::bn, s.q.p, 0, s.q.n_tiles * T::bn);
  __syncthreads ();
  if (warp >= groups * 4) {
    set_registers<groups == 4 ? 24 : 32, false> ();
    if (threadIdx.x % 32 == 0 && lane < groups)
      feed<T, nj, kb> (s, x_map, shared, barriers.of_lane (lane), lane);
  } else {
    set_registers<groups == 2 ? 232 : groups == 3 ? 160 : 112, true> ();
    consume<T, mi, nj, kb> (s, y_map, shared, barriers);
  }
#endif
}

/* --- On the host ---------------------------------------------------------------------------- */

static unsigned
round_up (unsigned value, unsigned to)
{
  return (value + to - 1) / to * to;
}

/* Shares out shared memory; false where weights, a patch for each group and staging do not fit. */
template <class T, int groups>
static bool
plan (PatchParams *s, unsigned budget)
{
  WgmmaParams *q = &s->q;
  const unsigned channels = q->n_tiles * T::bn, weights = q->p.k_blocks * T::bytes_b;
  unsigned fixed = weights + round_up (channels * 8, 128) + BARRIERS;

  /* The last outputs of a tile, which are not stored, read beyond the patch. */
  s->stage =
      (int) round_up ((T::bm + (s->kh - 1) * s->width + q->p.kw - 1) * T::bytes_a / T::bm, 1024);
  q->buffers = fixed + 2 * groups * (T::staging + s->stage) <= budget ? 2 : 1;
  fixed += groups * q->buffers * T::staging;
  if (fixed + groups * s->stage > budget)
    return false;
  q->stages = (int) ((budget - fixed) / (groups * s->stage));
  q->stages = q->stages > MAX_STAGES ? MAX_STAGES : q->stages;
  q->staging = 0;
  q->ring = groups * q->buffers * T::staging;
  q->weights = q->ring + groups * q->stages * s->stage;
  q->factors = q->weights + weights;
  q->barriers = q->factors + round_up (channels * 8, 128);
  return true;
}

template <int groups, int mi, int nj, int kb>
static bool
launch (const KernelConvS8 *args, KernelQueue *queue)
{
  using T = Wgmma<groups, mi, nj, kb, 1, true>;
  const KernelConvShape *shape = &args->shape;
  const int slots = queue->cuda->multiprocessors;
  PatchParams s = {};
  CUtensorMap x, y;
  int count;

  s.q.p = kernel_conv_params (args, false);
  s.kh = shape->kh;
  s.width = shape->ow + shape->kw - 1;
  s.rows = T::bm / s.width;
  if (s.rows == 0)
    return false;
  s.rows = s.rows < shape->oh ? s.rows : shape->oh;
  s.row_tiles = (shape->oh + s.rows - 1) / s.rows;
  s.bytes = s.width * (s.rows + s.kh - 1) * kb;
  s.q.n_tiles = (int) kernel_cuda_blocks (s.q.p.n_blocks, nj);
  s.q.tiles = shape->n * s.row_tiles * s.q.n_tiles;
  if (s.q.n_tiles > slots || !plan<T, groups> (&s, queue->cuda->shared_memory))
    return false;
  count = s.q.tiles < slots ? s.q.tiles : slots;
  count -= count % s.q.n_tiles;
  if (!kernel_conv_map_images (queue, &x, args->x, shape->n, shape->ih, shape->iw, shape->ic,
          s.rows + s.kh - 1, s.width, kb) ||
      !kernel_conv_map_images (queue, &y, args->y, shape->n, shape->oh, shape->ow, shape->oc,
          s.rows, s.width, T::width))
    return false;
  void *arguments[] = {&s, &x, &y};

  kernel_conv_launch (queue, (const void *) conv_patch<groups, mi, nj, kb>, (unsigned) count,
      T::threads, s.q.barriers + BARRIERS, 1, arguments);
  return true;
}

bool
kernel_conv_patch_suits (const KernelConvShape *s, int sm)
{
  return kernel_conv_wgmma_suits (s, sm) && s->stride_h == 1 && s->stride_w == 1 &&
         s->dilation_h == 1 && s->dilation_w == 1 && s->kh * s->kw > 1 && s->ow + s->kw <= 128 &&
         s->kh <= 16;
}

bool
kernel_conv_patch_run (const KernelConvS8 *args, ConvPatchTile tile, KernelQueue *queue)
{
  const bool wide = kernel_conv_blocks (&args->shape).kb == 128;

  if (args->r || !kernel_cuda_aligned (args->x, 16) || !kernel_cuda_aligned (args->y, 16))
    return false;
  switch (tile) {
#define CONV_TILE(name, groups, mi, nj)                                                            \
  case CONV_PATCH_##name:                                                                          \
    return wide ? launch<groups, mi, nj, 128> (args, queue)                                        \
                : launch<groups, mi, nj, 64> (args, queue);
    CONV_PATCH_TILES
#undef CONV_TILE
  default:
    return false;
  }
}
