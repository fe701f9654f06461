/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * picture.cu: from a picture to the input tensor in one kernel. A block takes a tile of the tensor: it
 * resizes the rows that the tile needs horizontally into shared memory, where the taps of neighbouring
 * pixels are kept too, and every thread goes on alone with its pixel: vertically, through the colour
 * matrix and the tables. Where a tile needs too many rows (a picture made some 60 times smaller), a
 * thread computes its pixel from the picture itself. Nothing outside begin .. end - 1 of either axis is
 * read: it need not be there.
 */
#include "kernels/cuda/cuda.h"
#include "kernels/resize.h"

#define TILE_WIDTH  32    /* pixels, one for each thread of a warp */
#define TILE_HEIGHT 8     /* one for each of a block's first warps */
#define TILE_MEMORY 49152 /* bytes of a block without asking for more */
#define TAPS_MEMORY 8192  /* of them, for one group's horizontal weights; longer ones stay where they are */
#define MAX_WARPS   16    /* of a block: the more rows a tile needs, the more warps resize them */

/* What the device needs of a KernelResizeAxis, which is in host memory. */
typedef struct {
  const int *first, *count;
  const int32_t *weight;
  int taps;
} Taps;

/* Components that lie in one plane, one after the other in the order of the picture's. */
typedef struct {
  const uint8_t *x;
  ptrdiff_t stride;
  int step, offset[3];
  Taps h, v;
  int weights_at, rows_at; /* in the memory of a block; weights_at -1: not there */
} Group;

typedef struct {
  Group group[3];
  KernelColour colour;
  int32_t matrix[3][3], offset[3];
  int top, left, out_width, out_height; /* of the picture in the tensor */
  int width, height, channels, pick[3];
  const uint8_t *mean;
  const void *table;
  void *y;
} Picture;

/* --- A pixel --------------------------------------------------------------------------------- */

/* N components of column `col` of a row, horizontally resized; w: that column's weights. */
template <int N>
static __device__ inline void
across_row (const Group &g, const uint8_t *row, const int32_t *w, int col, uint8_t *out)
{
  const uint8_t *x = row + (ptrdiff_t) g.h.first[col] * g.step;
  const int count = g.h.count[col];
  int32_t sum[N];

#pragma unroll
  for (int i = 0; i < N; i++)
    sum[i] = KERNEL_RESIZE_HALF;
#pragma unroll 4
  for (int t = 0; t < count; t++, x += g.step) {
#pragma unroll
    for (int i = 0; i < N; i++)
      sum[i] += w[t] * x[g.offset[i]];
  }
#pragma unroll
  for (int i = 0; i < N; i++)
    out[i] = kernel_resize_clip (sum[i]);
}

/* x: the components, resized. */
template <int N>
static __device__ inline void
convert (const Picture &p, const uint8_t *x, int *c)
{
#pragma unroll
  for (int j = 0; j < N; j++)
    c[j] = x[j];
  if constexpr (N == 3) {
    if (p.colour == KERNEL_COLOUR_YUV) {
#pragma unroll
      for (int i = 0; i < 3; i++) {
        int32_t v = 1 << 15;

#pragma unroll
        for (int j = 0; j < 3; j++)
          v += p.matrix[i][j] * (x[j] - p.offset[j]);
        v >>= 16;
        c[i] = v < 0 ? 0 : v > 255 ? 255 : v;
      }
    } else if (p.colour == KERNEL_COLOUR_GREY) {
      c[0] = (19595 * x[0] + 38470 * x[1] + 7471 * x[2] + (1 << 15)) >> 16;
    }
  }
}

/* c: red, green and blue, or grey. */
template <typename Value>
static __device__ inline void
store (const Picture &p, int row, int col, const int *c)
{
  const Value *table = (const Value *) p.table;
  const size_t at = ((size_t) row * p.width + col) * p.channels;
  Value *y = (Value *) p.y + at;

#pragma unroll
  for (int k = 0; k < 3; k++)
    if (k < p.channels) {
      const int x = p.pick[k] == 0 ? c[0] : p.pick[k] == 1 ? c[1] : c[2];

      y[k] = p.mean ? table[k * KERNEL_INPUT_DIFFERENCES + x - p.mean[at + k] + 255]
                    : table[k * KERNEL_INPUT_LEVELS + x];
    }
}

/* --- Tiles ----------------------------------------------------------------------------------- */

/* The rows of the picture that rows top .. end - 1 of the result need. */
static __device__ inline int
rows_of (const Taps &v, int top, int end, int *begin)
{
  int last = 0;

  *begin = INT32_MAX;
  for (int row = top; row < end; row++) {
    *begin = min (*begin, v.first[row]);
    last = max (last, v.first[row] + v.count[row]);
  }
  return last - *begin;
}

/* The horizontal weights of the tile's columns, the first of which is column `left` of the picture; those
 * beside the picture are left out. */
static __device__ inline void
copy_weights (const Picture &p, const Group &g, int left, uint8_t *shared)
{
  int32_t *to = (int32_t *) (shared + g.weights_at);
  const int begin = left * g.h.taps, all = p.out_width * g.h.taps;

  if (g.weights_at < 0)
    return;
  for (int i = threadIdx.x; i < TILE_WIDTH * g.h.taps; i += blockDim.x)
    if (begin + i >= 0 && begin + i < all)
      to[i] = g.h.weight[begin + i];
}

/* A warp takes a row after the other, a thread its column. */
template <int N>
static __device__ inline void
resize_rows (const Picture &p, const Group &g, int left, int top, int end, uint8_t *shared)
{
  const int lane = threadIdx.x % TILE_WIDTH, col = left + lane;
  const int32_t *w = g.weights_at < 0 ? g.h.weight + (size_t) col * g.h.taps
                                      : (const int32_t *) (shared + g.weights_at) + lane * g.h.taps;
  int begin;
  const int rows = rows_of (g.v, top, end, &begin);

  if (col < 0 || col >= p.out_width)
    return;
  for (int row = threadIdx.x / TILE_WIDTH; row < rows; row += blockDim.x / TILE_WIDTH)
    across_row<N> (g, g.x + (begin + row) * g.stride, w, col,
        shared + g.rows_at + (row * TILE_WIDTH + lane) * N);
}

/* The components of one pixel from these rows. */
template <int N>
static __device__ inline void
resize_column (const Group &g, int row, int top, int end, const uint8_t *shared, uint8_t *out)
{
  const int32_t *w = g.v.weight + (size_t) row * g.v.taps;
  int begin, sum[N];

  rows_of (g.v, top, end, &begin);
  const uint8_t *x =
      shared + g.rows_at + ((g.v.first[row] - begin) * TILE_WIDTH + threadIdx.x % TILE_WIDTH) * N;

#pragma unroll
  for (int i = 0; i < N; i++)
    sum[i] = KERNEL_RESIZE_HALF;
  for (int t = 0; t < g.v.count[row]; t++, x += TILE_WIDTH * N) {
#pragma unroll
    for (int i = 0; i < N; i++)
      sum[i] += w[t] * x[i];
  }
#pragma unroll
  for (int i = 0; i < N; i++)
    out[i] = kernel_resize_clip (sum[i]);
}

/* A, B and C components in groups 0, 1 and 2. */
template <typename Value, int A, int B, int C>
static __global__ void
__launch_bounds__ (MAX_WARPS * TILE_WIDTH) picture_tile (const __grid_constant__ Picture p)
{
  extern __shared__ __align__ (16) uint8_t tile_shared[];
  const int lane = threadIdx.x % TILE_WIDTH, warp = threadIdx.x / TILE_WIDTH;
  const int row = blockIdx.y * TILE_HEIGHT + warp, col = blockIdx.x * TILE_WIDTH + lane;
  /* The tile, in rows and columns of the picture; rows are cut to it. */
  const int left = (int) (blockIdx.x * TILE_WIDTH) - p.left;
  const int tile_top = (int) (blockIdx.y * TILE_HEIGHT) - p.top;
  const int top = max (tile_top, 0), end = min (tile_top + TILE_HEIGHT, p.out_height);
  int c[3] = {0, 0, 0};

  if (top < end && left + TILE_WIDTH > 0 && left < p.out_width) { /* else black: all of the block */
    copy_weights (p, p.group[0], left, tile_shared);
    if constexpr (B > 0)
      copy_weights (p, p.group[1], left, tile_shared);
    if constexpr (C > 0)
      copy_weights (p, p.group[2], left, tile_shared);
    __syncthreads ();
    resize_rows<A> (p, p.group[0], left, top, end, tile_shared);
    if constexpr (B > 0)
      resize_rows<B> (p, p.group[1], left, top, end, tile_shared);
    if constexpr (C > 0)
      resize_rows<C> (p, p.group[2], left, top, end, tile_shared);
    __syncthreads ();
    if (warp < TILE_HEIGHT && row >= p.top && row < p.top + p.out_height && col >= p.left &&
        col < p.left + p.out_width) {
      uint8_t x[A + B + C];

      resize_column<A> (p.group[0], row - p.top, top, end, tile_shared, x);
      if constexpr (B > 0)
        resize_column<B> (p.group[1], row - p.top, top, end, tile_shared, x + A);
      if constexpr (C > 0)
        resize_column<C> (p.group[2], row - p.top, top, end, tile_shared, x + A + B);
      convert<A + B + C> (p, x, c);
    }
  }
  if (warp < TILE_HEIGHT && row < p.height && col < p.width)
    store<Value> (p, row, col, c);
}

/* --- Far smaller ----------------------------------------------------------------------------- */

/* One component of one pixel, from the picture. */
static __device__ inline uint8_t
component (const Group &g, int i, int row, int col)
{
  const int32_t *v = g.v.weight + (size_t) row * g.v.taps,
                *h = g.h.weight + (size_t) col * g.h.taps;
  const uint8_t *x = g.x + g.v.first[row] * g.stride + g.offset[i];
  int32_t sum = KERNEL_RESIZE_HALF;
  Group alone = g;

  alone.offset[0] = 0;
  for (int t = 0; t < g.v.count[row]; t++, x += g.stride) {
    uint8_t byte;

    across_row<1> (alone, x, h, col, &byte);
    sum += v[t] * byte;
  }
  return kernel_resize_clip (sum);
}

template <typename Value, int A, int B, int C>
static __global__ void
__launch_bounds__ (KERNEL_CUDA_THREADS) picture_pixel (const __grid_constant__ Picture p)
{
  const int row = blockIdx.y * TILE_HEIGHT + threadIdx.x / TILE_WIDTH;
  const int col = blockIdx.x * TILE_WIDTH + threadIdx.x % TILE_WIDTH;
  const int r = row - p.top, q = col - p.left;
  int c[3] = {0, 0, 0};

  if (row >= p.height || col >= p.width)
    return;
  if (r >= 0 && r < p.out_height && q >= 0 && q < p.out_width) {
    uint8_t x[A + B + C];

#pragma unroll
    for (int i = 0; i < A; i++)
      x[i] = component (p.group[0], i, r, q);
#pragma unroll
    for (int i = 0; i < B; i++)
      x[A + i] = component (p.group[1], i, r, q);
#pragma unroll
    for (int i = 0; i < C; i++)
      x[A + B + i] = component (p.group[2], i, r, q);
    convert<A + B + C> (p, x, c);
  }
  store<Value> (p, row, col, c);
}

/* --- Launching ------------------------------------------------------------------------------- */

/* The most rows that a tile can need: outputs lie evenly, and each reads at most `taps` of them. A few
 * more for rounding, and for taps of weight 0, which are left out. */
static size_t
tile_rows (const KernelResizeAxis *v)
{
  const double step = v->out > 1 ? (double) (v->end - v->begin) / (v->out - 1) : 0;

  return (size_t) (step * (TILE_HEIGHT - 1)) + (size_t) v->taps + 4;
}

static size_t
place (size_t *end, size_t size)
{
  const size_t at = *end;

  *end += (size + 15) / 16 * 16;
  return at;
}

/* A group's part of the memory of a block, behind `end`. */
static void
set_group (Group *g, const KernelPicturePlane *plane, int n, size_t *end)
{
  const KernelResizeAxis *h = plane->h, *v = plane->v;
  const size_t weights = (size_t) TILE_WIDTH * h->taps * sizeof (int32_t);

  g->x = plane->x;
  g->stride = plane->stride;
  g->step = plane->step;
  g->h = {h->first, h->count, h->weight, h->taps};
  g->v = {v->first, v->count, v->weight, v->taps};
  g->weights_at = weights <= TAPS_MEMORY ? (int) place (end, weights) : -1;
  g->rows_at = (int) place (end, tile_rows (v) * TILE_WIDTH * n);
}

/* Neighbours in one plane are a group; sizes[] says of how many. Returns the bytes of a block. */
static size_t
make_groups (const KernelPicture *args, Picture *p, int *sizes)
{
  size_t end = 0;
  int n_groups = 0;

  for (int j = 0; j < args->n_components;) {
    const int plane = args->component[j].plane;
    int n = 1;

    while (j + n < args->n_components && args->component[j + n].plane == plane)
      n++;
    if (args->n_components == 3 && j == 0 && n == 2)
      n = 1; /* one of the shapes that there is code for */
    for (int i = 0; i < n; i++)
      p->group[n_groups].offset[i] = args->component[j + i].offset;
    set_group (&p->group[n_groups], &args->planes[plane], n, &end);
    sizes[n_groups++] = n;
    j += n;
  }
  return end;
}

/* Two rows for each warp, where there are so many. */
static int
tile_threads (const KernelResizeAxis *v)
{
  const int warps = ((int) tile_rows (v) + 7) / 8 * 4;

  return TILE_WIDTH * (warps < TILE_HEIGHT ? TILE_HEIGHT : warps > MAX_WARPS ? MAX_WARPS : warps);
}

template <typename Value, int A, int B, int C>
static void
launch (const Picture &p, int threads, size_t memory, cudaStream_t stream)
{
  const dim3 grid ((p.width + TILE_WIDTH - 1) / TILE_WIDTH,
      (p.height + TILE_HEIGHT - 1) / TILE_HEIGHT);

  if (memory <= TILE_MEMORY)
    picture_tile<Value, A, B, C><<<grid, threads, memory, stream>>> (p);
  else
    picture_pixel<Value, A, B, C><<<grid, KERNEL_CUDA_THREADS, 0, stream>>> (p);
}

template <typename Value>
static void
run (const KernelPicture *args, KernelQueue *queue)
{
  const KernelPicturePlane *plane = &args->planes[args->component[0].plane];
  int sizes[3] = {0, 0, 0};
  Picture p = {};
  const size_t memory = make_groups (args, &p, sizes);
  const int threads = tile_threads (plane->v);

  p.colour = args->colour;
  for (int i = 0; i < 3; i++) {
    for (int j = 0; j < 3; j++)
      p.matrix[i][j] = args->matrix[i][j];
    p.offset[i] = args->offset[i];
    p.pick[i] = args->pick[i];
  }
  p.top = args->top;
  p.left = args->left;
  p.out_width = plane->h->out;
  p.out_height = plane->v->out;
  p.width = args->width;
  p.height = args->height;
  p.channels = args->channels;
  p.mean = args->mean;
  p.table = args->table;
  p.y = args->y;
  if (args->n_components == 1)
    launch<Value, 1, 0, 0> (p, threads, memory, queue->stream);
  else if (sizes[0] == 3)
    launch<Value, 3, 0, 0> (p, threads, memory, queue->stream);
  else if (sizes[1] == 2)
    launch<Value, 1, 2, 0> (p, threads, memory, queue->stream);
  else
    launch<Value, 1, 1, 1> (p, threads, memory, queue->stream);
}

void
kernel_picture_s8_cuda (const KernelPicture *args, KernelQueue *queue)
{
  run<int8_t> (args, queue);
}

void
kernel_picture_f32_cuda (const KernelPicture *args, KernelQueue *queue)
{
  run<float> (args, queue);
}
