/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * move.cu: transpose and pad. Axes that stay together are one axis first; then a thread takes one
 * element, or as much of an axis that stays last as it can access at once.
 */
#include "kernels/cuda/vector.h"

/* y's axes: their sizes, and how far apart in x, in units of one access, their elements are. */
typedef struct {
  int rank;
  size_t dims[KERNEL_MAX_RANK];
  size_t x_stride[KERNEL_MAX_RANK];
} Gather;

typedef struct {
  int rank;
  size_t dims[KERNEL_MAX_RANK], before[KERNEL_MAX_RANK], inner[KERNEL_MAX_RANK]; /* y, pad, x */
} Pad;

/* --- transpose ------------------------------------------------------------------------------ */

template <typename Element>
static __global__ void
__launch_bounds__ (KERNEL_CUDA_THREADS)
    gather (const Element *x, Element *y, const __grid_constant__ Gather g, size_t count)
{
  const size_t i = kernel_cuda_item ();
  size_t rest = i, from = 0;

  if (i >= count)
    return;
#pragma unroll
  for (int axis = KERNEL_MAX_RANK - 1; axis >= 0; axis--) {
    if (axis >= g.rank)
      continue;
    const size_t above = kernel_cuda_divide (rest, g.dims[axis]);

    from += (rest - above * g.dims[axis]) * g.x_stride[axis];
    rest = above;
  }
  y[i] = x[from];
}

/* Matrices of rows x columns to columns x rows, through tiles: both sides touch whole lines. */
#define TILE      32
#define TILE_ROWS 8

template <typename Element>
static __global__ void
__launch_bounds__ (TILE *TILE_ROWS) transpose_tiles (const Element *x, Element *y, size_t rows,
    size_t columns, size_t tiles_down, size_t tiles_across)
{
  __shared__ Element tile[TILE][TILE + 4 / sizeof (Element)]; /* a column's banks differ */
  const size_t matrix = kernel_cuda_divide (blockIdx.x, tiles_down * tiles_across);
  const size_t number = blockIdx.x - matrix * tiles_down * tiles_across;
  const size_t down = kernel_cuda_divide (number, tiles_across);
  const size_t row = down * TILE, column = (number - down * tiles_across) * TILE;
  const size_t base = matrix * rows * columns;

  for (int r = threadIdx.y; r < TILE; r += TILE_ROWS)
    if (row + r < rows && column + threadIdx.x < columns)
      tile[r][threadIdx.x] = x[base + (row + r) * columns + column + threadIdx.x];
  __syncthreads ();
  for (int c = threadIdx.y; c < TILE; c += TILE_ROWS)
    if (column + c < columns && row + threadIdx.x < rows)
      y[base + (column + c) * rows + row + threadIdx.x] = tile[threadIdx.x][c];
}

/* Drops axes of one element and joins those of x that follow each other in y as well. */
static void
simplify (const KernelTranspose *args, size_t element, Gather *g)
{
  size_t stride[KERNEL_MAX_RANK], next = element;
  bool joins;

  for (int axis = args->rank - 1; axis >= 0; axis--) {
    stride[axis] = next;
    next *= args->dims[axis];
  }
  g->rank = 0;
  for (int i = 0; i < args->rank; i++) {
    const size_t dim = args->dims[args->perm[i]], x_stride = stride[args->perm[i]];

    if (dim == 1)
      continue;
    joins = g->rank > 0 && g->x_stride[g->rank - 1] == dim * x_stride;
    if (!joins)
      g->dims[g->rank++] = 1;
    g->dims[g->rank - 1] *= dim;
    g->x_stride[g->rank - 1] = x_stride;
  }
}

template <typename Element>
static void
launch_gather (const KernelTranspose *args, const Gather *in_bytes, KernelQueue *queue)
{
  Gather g = *in_bytes;
  size_t count = 1;

  if (g.rank > 0 && g.x_stride[g.rank - 1] < sizeof (Element)) { /* several of the last axis */
    g.dims[g.rank - 1] /= sizeof (Element) / g.x_stride[g.rank - 1];
    g.x_stride[g.rank - 1] = sizeof (Element);
  }
  for (int i = 0; i < g.rank; i++) {
    g.x_stride[i] /= sizeof (Element);
    count *= g.dims[i];
  }
  gather<<<kernel_cuda_blocks (count, KERNEL_CUDA_THREADS), KERNEL_CUDA_THREADS, 0,
      queue->stream>>> ((const Element *) args->x, (Element *) args->y, g, count);
}

/* [matrices] rows columns -> [matrices] columns rows; false where that is not what there is to do, or
 * the matrices would leave most of a tile empty. */
template <typename Element>
static bool
launch_tiles (const KernelTranspose *args, const Gather *g, KernelQueue *queue)
{
  const int last = g->rank - 1;
  size_t matrices, rows, columns, down, across;

  if (g->rank < 2 || g->rank > 3 || g->x_stride[last - 1] != sizeof (Element) ||
      g->x_stride[last] != g->dims[last - 1] * sizeof (Element))
    return false;
  matrices = g->rank == 3 ? g->dims[0] : 1;
  columns = g->dims[last - 1];
  rows = g->dims[last];
  down = (rows + TILE - 1) / TILE;
  across = (columns + TILE - 1) / TILE;
  if (matrices * down * across > INT32_MAX || rows < TILE / 2 || columns < TILE / 2)
    return false;
  transpose_tiles<<<(unsigned) (matrices * down * across), dim3 (TILE, TILE_ROWS), 0,
      queue->stream>>> ((const Element *) args->x, (Element *) args->y, rows, columns, down,
      across);
  return true;
}

template <typename Element>
static void
transpose (const KernelTranspose *args, KernelQueue *queue)
{
  size_t bits = kernel_cuda_bits (args->x) | kernel_cuda_bits (args->y);
  Gather g;

  simplify (args, sizeof (Element), &g);
  if (launch_tiles<Element> (args, &g, queue))
    return;
  if (g.rank > 0 && g.x_stride[g.rank - 1] == sizeof (Element)) {
    for (int i = 0; i < g.rank - 1; i++)
      bits |= g.x_stride[i];
    bits |= g.dims[g.rank - 1] * sizeof (Element);
    if (bits % 16 == 0) {
      launch_gather<uint4> (args, &g, queue);
      return;
    }
    if (sizeof (Element) < 4 && bits % 4 == 0) {
      launch_gather<uint32_t> (args, &g, queue);
      return;
    }
  }
  launch_gather<Element> (args, &g, queue);
}

void
kernel_transpose_s8_cuda (const KernelTranspose *args, KernelQueue *queue)
{
  transpose<uint8_t> (args, queue);
}

void
kernel_transpose_f16_cuda (const KernelTranspose *args, KernelQueue *queue)
{
  transpose<KernelHalf> (args, queue);
}

void
kernel_transpose_f32_cuda (const KernelTranspose *args, KernelQueue *queue)
{
  transpose<float> (args, queue);
}

/* --- pad ------------------------------------------------------------------------------------ */

template <typename Element>
static __global__ void
__launch_bounds__ (KERNEL_CUDA_THREADS) pad_elements (const Element *x, Element *y,
    const __grid_constant__ Pad p, Element value, size_t count)
{
  const size_t i = kernel_cuda_item ();
  size_t rest = i, from = 0, stride = 1;
  bool inside = true;

  if (i >= count)
    return;
#pragma unroll
  for (int axis = KERNEL_MAX_RANK - 1; axis >= 0; axis--) {
    if (axis >= p.rank)
      continue;
    const size_t above = kernel_cuda_divide (rest, p.dims[axis]);
    const size_t at = rest - above * p.dims[axis] - p.before[axis]; /* huge where negative */

    inside = inside && at < p.inner[axis];
    from += at * stride;
    stride *= p.inner[axis];
    rest = above;
  }
  y[i] = inside ? x[from] : value;
}

/* Joins every axis that is not padded with the one before it. */
static void
simplify_pad (const KernelPad *args, Pad *p)
{
  *p = {};
  for (int i = 0; i < args->rank; i++) {
    const size_t dim = args->dims[i], y_dim = args->before[i] + dim + args->after[i];

    if (y_dim == dim && p->rank > 0) {
      p->dims[p->rank - 1] *= dim;
      p->before[p->rank - 1] *= dim;
      p->inner[p->rank - 1] *= dim;
    } else {
      p->dims[p->rank] = y_dim;
      p->before[p->rank] = args->before[i];
      p->inner[p->rank++] = dim;
    }
  }
}

template <typename Element>
static void
launch_pad (const KernelPad *args, const Pad *pad, size_t element, Element value,
    KernelQueue *queue)
{
  const size_t several = sizeof (Element) / element;
  const int last = pad->rank - 1;
  Pad p = *pad;
  size_t count = 1;

  p.dims[last] /= several;
  p.before[last] /= several;
  p.inner[last] /= several;
  for (int i = 0; i < p.rank; i++)
    count *= p.dims[i];
  pad_elements<<<kernel_cuda_blocks (count, KERNEL_CUDA_THREADS), KERNEL_CUDA_THREADS, 0,
      queue->stream>>> ((const Element *) args->x, (Element *) args->y, p, value, count);
}

/* What is the last axis now may hold several elements that are moved at once. */
static size_t
pad_bits (const KernelPad *args, const Pad *p, size_t element)
{
  const int last = p->rank - 1;

  return kernel_cuda_bits (args->x) | kernel_cuda_bits (args->y) |
         (p->dims[last] | p->before[last] | p->inner[last]) * element;
}

void
kernel_pad_s8_cuda (const KernelPad *args, KernelQueue *queue)
{
  const uint32_t word = (uint8_t) args->value_s8 * 0x01010101u;
  Pad p;

  simplify_pad (args, &p);
  switch (kernel_cuda_width (pad_bits (args, &p, 1))) {
  case 16:
    launch_pad (args, &p, 1, make_uint4 (word, word, word, word), queue);
    break;
  case 4:
    launch_pad (args, &p, 1, word, queue);
    break;
  default:
    launch_pad (args, &p, 1, args->value_s8, queue);
    break;
  }
}

void
kernel_pad_f16_cuda (const KernelPad *args, KernelQueue *queue)
{
  const KernelHalf value = kernel_half_of_f32 (args->value_f32);
  const uint32_t word = value * 0x00010001u;
  Pad p;

  simplify_pad (args, &p);
  if (pad_bits (args, &p, sizeof value) % 16 == 0)
    launch_pad (args, &p, sizeof value, make_uint4 (word, word, word, word), queue);
  else
    launch_pad (args, &p, sizeof value, value, queue);
}

void
kernel_pad_f32_cuda (const KernelPad *args, KernelQueue *queue)
{
  const float value = args->value_f32;
  Pad p;

  simplify_pad (args, &p);
  if (pad_bits (args, &p, sizeof (float)) % 16 == 0)
    launch_pad (args, &p, sizeof (float), make_float4 (value, value, value, value), queue);
  else
    launch_pad (args, &p, sizeof (float), value, queue);
}
