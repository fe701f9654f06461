/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * igemm-matmul.c: every pair of matrices is a fully connected layer whose weights are packed first. A task
 * takes some columns of one pair, all rows of it: it packs what it needs and nothing twice.
 *
 * A task's scratch: m and b of its columns, the packed columns, and what the layer itself wants.
 */
#include "kernels/cpu/igemm-matmul.h"
#include "kernels/requant.h"

#include <string.h>

typedef struct {
  const IgemmKind *kind;
  const KernelMatmul *args;
  bool y_f32;
  int parts;                        /* of the columns of a pair */
  size_t vectors_size, packed_size; /* of a task's scratch */
  uint8_t *scratch;                 /* aligned */
  size_t scratch_size;              /* of one thread */
} Run;

static inline size_t
round_up (size_t size)
{
  return (size + KERNEL_ALIGN - 1) / KERNEL_ALIGN * KERNEL_ALIGN;
}

static KernelConvShape
layer_shape (const KernelMatmul *args, int cols)
{
  return (KernelConvShape){1, 1, args->rows, args->inner, 1, args->rows, cols, 1, 1, 1, 1, 1, 1,
      .groups = 1};
}

/* As many as threads can share well, and no fewer columns than a tile takes. */
static int
parts_of (const IgemmKind *kind, const KernelMatmul *args, int threads)
{
  const int most = kernel_divide_up (args->cols, IGEMM_NR * kind->tile_blocks);
  int parts = 1;

  while (parts < most && (size_t) args->n * parts < 4 * (size_t) threads &&
         (size_t) args->n * parts % threads != 0)
    parts++;
  return parts;
}

/* The first column of a part: whole blocks. */
static int
first_column (const Run *run, int part)
{
  const int blocks = kernel_divide_up (run->args->cols, IGEMM_NR);

  return kernel_min_int ((int) kernel_pool_part (blocks, run->parts, part) * IGEMM_NR,
      run->args->cols);
}

static void
set_sizes (Run *run, int threads)
{
  const KernelMatmul *args = run->args;
  const KernelQueue serial = {.pool = kernel_pool_serial ()};

  run->parts = parts_of (run->kind, args, threads);

  const int blocks = kernel_divide_up (kernel_divide_up (args->cols, IGEMM_NR), run->parts);
  const KernelConvShape shape = layer_shape (args, blocks * IGEMM_NR);

  run->vectors_size = round_up ((size_t) blocks * IGEMM_NR * sizeof (float));
  run->packed_size = round_up (kernel_igemm (run->kind, &shape).packed_size);
  run->scratch_size = 2 * run->vectors_size + run->packed_size +
                      round_up (kernel_igemm_scratch (run->kind, &shape, (KernelQueue *) &serial));
}

static const IgemmKind *
kind_for (MatmulKindFn kind_of, const KernelMatmul *args)
{
  const KernelConvShape shape = layer_shape (args, args->cols);

  return kind_of (&shape);
}

size_t
kernel_matmul_scratch (MatmulKindFn kind_of, const KernelMatmul *args, KernelQueue *queue)
{
  const int threads = kernel_pool_threads (queue->pool);
  Run run = {.kind = kind_for (kind_of, args), .args = args};

  set_sizes (&run, threads);
  return KERNEL_ALIGN + run.scratch_size * threads;
}

/* --- Packing -------------------------------------------------------------------------------- */

/* Columns of x2 as a block of weights; igemm-pack.c has the format. */
typedef struct {
  const uint8_t *x2;              /* of the block's first column */
  size_t k_stride, column_stride; /* values */
  int k, run, columns;
} Block;

/* Where neighbours along k lie together: a column's values move k_step at a time. */
static inline __attribute__ ((always_inline)) void
pack_columns_s8 (const Block *b, int8_t *packed, const int k_step)
{
  const int whole = b->k / k_step * k_step;

  for (int c = 0; c < b->columns; c++) {
    const int8_t *from = (const int8_t *) b->x2 + c * b->column_stride;
    int8_t *to = packed + c * k_step;

    for (int k = 0; k < whole; k += k_step, to += IGEMM_NR * k_step)
      memcpy (to, from + k, k_step);
    memcpy (to, from + whole, b->k - whole);
  }
}

/* Where columns lie together: k_step lines at a time become one. */
static inline __attribute__ ((always_inline)) void
pack_lines_s8 (const Block *b, int8_t *packed, const int k_step)
{
  const int whole = b->columns == IGEMM_NR ? b->k / k_step * k_step : 0;
  const int8_t *from = (const int8_t *) b->x2;

  for (int k = 0; k < whole; k += k_step, from += k_step * b->k_stride)
    for (int c = 0; c < IGEMM_NR; c++)
      for (int i = 0; i < k_step; i++)
        packed[k * IGEMM_NR + c * k_step + i] = from[i * b->k_stride + c];
  for (int k = whole; k < b->k; k++, from += b->k_stride)
    for (int c = 0; c < b->columns; c++)
      packed[k / k_step * k_step * IGEMM_NR + c * k_step + k % k_step] = from[c];
}

/* The sums of the columns. Those of 256 steps fit 16 bits. */
static inline __attribute__ ((always_inline)) void
sum_block (const int8_t *packed, int run, int32_t *sums, const int k_step)
{
  memset (sums, 0, IGEMM_NR * sizeof *sums);
  for (int k = 0; k < run;) {
    const int end = kernel_min_int (run, k + 256 / k_step * k_step);
    int16_t partial[IGEMM_NR * 4] = {0};

    for (; k < end; k += k_step, packed += IGEMM_NR * k_step)
      for (int c = 0; c < IGEMM_NR * k_step; c++)
        partial[c] += packed[c];
    for (int c = 0; c < IGEMM_NR; c++)
      for (int i = 0; i < k_step; i++)
        sums[c] += partial[c * k_step + i];
  }
}

static inline __attribute__ ((always_inline)) void
pack_s8 (const Block *b, int8_t *packed, int32_t *sums, const int k_step)
{
  if (b->k_stride == 1)
    pack_columns_s8 (b, packed, k_step);
  else
    pack_lines_s8 (b, packed, k_step);
  sum_block (packed, b->run, sums, k_step);
}

/* Wraps as the accumulators do. */
static void
write_starts (const IgemmKind *kind, const int32_t *sums, uint8_t *packed)
{
  for (int c = 0; c < IGEMM_NR; c++) {
    const uint32_t start = -(uint32_t) kind->x_offset * (uint32_t) sums[c];

    memcpy (packed + c * sizeof start, &start, sizeof start);
  }
}

static void
pack_block_s8 (const IgemmKind *kind, const Block *block, uint8_t *packed, int32_t *sums)
{
  const size_t start = kind->x_offset != 0 ? IGEMM_NR * sizeof (int32_t) : 0;
  int8_t *w = (int8_t *) packed + start;

  if (block->columns < IGEMM_NR)
    memset (w, 0, (size_t) block->run * IGEMM_NR);
  else if (block->run > block->k)
    memset (w + block->k / kind->k_step * kind->k_step * IGEMM_NR, 0,
        (size_t) (block->run - block->k / kind->k_step * kind->k_step) * IGEMM_NR);
  if (kind->k_step == 4)
    pack_s8 (block, w, sums, 4);
  else if (kind->k_step == 2)
    pack_s8 (block, w, sums, 2);
  else
    pack_s8 (block, w, sums, 1);
  if (start)
    write_starts (kind, sums, packed);
}

static void
pack_block_f32 (const Block *b, float m, float *packed)
{
  memset (packed, 0, (size_t) b->run * IGEMM_NR * sizeof *packed);
  for (int k = 0; k < b->k; k++, packed += IGEMM_NR)
    for (int c = 0; c < b->columns; c++)
      packed[c] = ((const float *) b->x2)[k * b->k_stride + c * b->column_stride] * m;
}

/* Packs columns [first, end) of a pair, and of int8 makes the m and b of each. */
static void
pack (const Run *run, const Igemm *g, int pair, int first, int end, float *m, float *b,
    uint8_t *packed)
{
  const KernelMatmul *args = run->args;
  const size_t element = g->kind->element;
  const uint8_t *x2 =
      (const uint8_t *) args->x2 + (size_t) pair * args->inner * args->cols * element;
  Block block = {.k_stride = args->transposed ? 1 : args->cols,
      .column_stride = args->transposed ? args->inner : 1,
      .k = args->inner,
      .run = g->run};

  for (int column = first; column < end; column += IGEMM_NR, packed += g->block_size) {
    int32_t sums[IGEMM_NR] = {0};

    block.x2 = x2 + column * block.column_stride * element;
    block.columns = kernel_min_int (IGEMM_NR, end - column);
    if (element == sizeof (float))
      pack_block_f32 (&block, args->m, (float *) packed);
    else
      pack_block_s8 (g->kind, &block, packed, sums);
    for (int c = 0; c < block.columns; c++, m++, b++) {
      *m = args->m;
      *b = element == sizeof (float) ? 0.0f
                                     : kernel_requant_matmul (args->m, args->zero_x1, sums[c],
                                           run->y_f32 ? 0 : args->zero_y);
    }
  }
  memset (packed, 0, g->row * element); /* of padding, which no row is */
}

/* --- Running -------------------------------------------------------------------------------- */

static void
run_task (const void *ctx, int task, int thread)
{
  const Run *run = ctx;
  const KernelMatmul *args = run->args;
  const int pair = task / run->parts, part = task % run->parts;
  const int first = first_column (run, part), end = first_column (run, part + 1);
  const KernelConvShape shape = layer_shape (args, end - first);
  const Igemm g = kernel_igemm (run->kind, &shape);
  const bool floats = run->kind->element == sizeof (float);
  uint8_t *memory = run->scratch + thread * run->scratch_size;
  float *m = (float *) memory, *b = (float *) (memory + run->vectors_size);
  uint8_t *packed = memory + 2 * run->vectors_size;
  const int y_element = run->y_f32 ? sizeof (float) : 1;
  KernelQueue serial = {.pool = kernel_pool_serial ()};
  const IgemmArgs layer = {
      .shape = &shape,
      .x = (const uint8_t *) args->x1 +
           (size_t) pair * args->rows * args->inner * run->kind->element,
      .w = packed,
      .m = floats ? NULL : m,
      .b = b,
      .lo = floats ? -INFINITY : -128,
      .hi = floats ? INFINITY : 127,
      .y = (uint8_t *) args->y + ((size_t) pair * args->rows * args->cols + first) * y_element,
      .y_stride = args->cols,
      .scratch = packed + run->packed_size,
      .y_f32 = run->y_f32,
      .y_element = y_element,
  };

  pack (run, &g, pair, first, end, m, b, packed);
  kernel_igemm_run (run->kind, &layer, &serial);
}

void
kernel_matmul_run (MatmulKindFn kind_of, const KernelMatmul *args, bool y_f32, KernelQueue *queue)
{
  Run run = {.kind = kind_for (kind_of, args), .args = args, .y_f32 = y_f32};

  set_sizes (&run, kernel_pool_threads (queue->pool));
  run.scratch = (uint8_t *) round_up ((uintptr_t) args->scratch);
  kernel_pool_run (queue->pool, run_task, &run, args->n * run.parts);
}
