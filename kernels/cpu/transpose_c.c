/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * transpose_c.c: transpose_s8 and transpose_f32 in plain C, over all threads.
 *
 * Axes of one value vanish and axes that stay together become one, so that what is left of a
 * channel shuffle or of NHWC to NCHW is a stack of matrices: the last two axes of y, rows and
 * columns, read with two strides and written in order.
 */
#include "kernels/cpu/cpu.h"

#include <string.h>

/* Values per part: some microseconds of work. */
#define GRAIN 16384
/* Columns that are walked for all rows in turn, so that the lines of x they touch stay cached. */
#define COLUMNS 64

/* y's axes, and how far their neighbours lie apart in x. The last two are the matrix. */
typedef struct {
  int rank; /* at least 2 */
  size_t dims[KERNEL_MAX_RANK + 2];
  size_t strides[KERNEL_MAX_RANK + 2];
  size_t element;
  const uint8_t *x;
  uint8_t *y;
} Move;

static Move
simplify (const KernelTranspose *args, size_t element)
{
  Move m = {.rank = 2, .dims = {1, 1}, .element = element, .x = args->x, .y = args->y};
  size_t x_strides[KERNEL_MAX_RANK], size = 1;

  for (int axis = args->rank - 1; axis >= 0; axis--) {
    x_strides[axis] = size;
    size *= args->dims[axis];
  }
  for (int i = 0; i < args->rank; i++) {
    const size_t dim = args->dims[args->perm[i]], stride = x_strides[args->perm[i]];

    if (dim == 1)
      continue;
    if (m.dims[m.rank - 1] > 1 && m.strides[m.rank - 1] == dim * stride) {
      m.dims[m.rank - 1] *= dim;
      m.strides[m.rank - 1] = stride;
    } else {
      m.dims[m.rank] = dim;
      m.strides[m.rank++] = stride;
    }
  }
  return m;
}

static inline size_t
min_size (size_t a, size_t b)
{
  return a < b ? a : b;
}

/* Rows of `columns` values to y; x_row and x_column are the strides of x. */
#define MOVE_ROWS(name, type)                                                                      \
  static void name (const type *x, size_t x_row, size_t x_column, size_t rows, size_t columns,     \
      type *y)                                                                                     \
  {                                                                                                \
    if (columns == 2) { /* a shuffle of two groups */                                              \
      for (size_t i = 0; i < rows; i++) {                                                          \
        y[2 * i] = x[i * x_row];                                                                   \
        y[2 * i + 1] = x[i * x_row + x_column];                                                    \
      }                                                                                            \
      return;                                                                                      \
    }                                                                                              \
    for (size_t from = 0; from < columns; from += COLUMNS) {                                       \
      const size_t to = min_size (from + COLUMNS, columns);                                        \
                                                                                                   \
      for (size_t i = 0; i < rows; i++)                                                            \
        for (size_t j = from; j < to; j++)                                                         \
          y[i * columns + j] = x[i * x_row + j * x_column];                                        \
    }                                                                                              \
  }
MOVE_ROWS (move_s8, int8_t)
MOVE_ROWS (move_f32, uint32_t) /* bits: a NaN stays what it is */

static void
move_rows (const Move *m, size_t x_offset, size_t y_offset, size_t rows)
{
  const size_t columns = m->dims[m->rank - 1];
  const size_t x_row = m->strides[m->rank - 2], x_column = m->strides[m->rank - 1];
  const uint8_t *x = m->x + x_offset * m->element;
  uint8_t *y = m->y + y_offset * m->element;

  if (x_column == 1)
    for (size_t i = 0; i < rows; i++)
      memcpy (y + i * columns * m->element, x + i * x_row * m->element, columns * m->element);
  else if (m->element == 1)
    move_s8 ((const int8_t *) x, x_row, x_column, rows, columns, (int8_t *) y);
  else
    move_f32 ((const uint32_t *) x, x_row, x_column, rows, columns, (uint32_t *) y);
}

/* Rows begin .. end - 1 of all matrices. */
static void
move_range (const void *ctx, size_t begin, size_t end)
{
  const Move *m = ctx;
  const size_t rows = m->dims[m->rank - 2], columns = m->dims[m->rank - 1];

  while (begin < end) {
    const size_t row = begin % rows, count = min_size (rows - row, end - begin);
    size_t matrix = begin / rows, x_offset = row * m->strides[m->rank - 2];

    for (int axis = m->rank - 3; axis >= 0; axis--) {
      x_offset += matrix % m->dims[axis] * m->strides[axis];
      matrix /= m->dims[axis];
    }
    move_rows (m, x_offset, begin * columns, count);
    begin += count;
  }
}

static void
transpose (const KernelTranspose *args, size_t element, KernelQueue *queue)
{
  const Move m = simplify (args, element);
  size_t rows = 1;

  for (int axis = 0; axis < m.rank - 1; axis++)
    rows *= m.dims[axis];
  kernel_pool_range (queue->pool, move_range, &m, rows, 1 + GRAIN / m.dims[m.rank - 1]);
}

void
kernel_transpose_s8_c (const KernelTranspose *args, KernelQueue *queue)
{
  transpose (args, sizeof (int8_t), queue);
}

void
kernel_transpose_f32_c (const KernelTranspose *args, KernelQueue *queue)
{
  transpose (args, sizeof (float), queue);
}
