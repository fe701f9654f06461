/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * matmul.c: reference of matmul_s8, matmul_s8_f32 and matmul_f32: each pair is a fully connected
 * layer, which the reference of that computes.
 *
 * Scratch: m and b of every column, then the weights.
 */
#include "kernels/backend.h"
#include "kernels/requant.h"

#include <string.h>

size_t
kernel_matmul_s8_scratch_ref (const KernelMatmul *args, KernelQueue *queue)
{
  return (size_t) args->cols * (2 * sizeof (float) + args->inner);
}

size_t
kernel_matmul_f32_scratch_ref (const KernelMatmul *args, KernelQueue *queue)
{
  return (size_t) args->cols * (1 + args->inner) * sizeof (float);
}

static KernelConvShape
fully_connected (const KernelMatmul *args)
{
  return (KernelConvShape){args->rows, 1, 1, args->inner, 1, 1, args->cols, 1, 1, 1, 1, 1, 1,
      .groups = 1};
}

/* Where value k of column j of a pair's x2 lies. */
static size_t
second (const KernelMatmul *args, int pair, int k, int j)
{
  const size_t at = (size_t) pair * args->inner * args->cols;

  return at + (args->transposed ? (size_t) j * args->inner + k : (size_t) k * args->cols + j);
}

static void
matmul_s8 (const KernelMatmul *args, bool y_f32)
{
  const size_t outputs = (size_t) args->rows * args->cols;
  float *m = args->scratch, *b = m + args->cols;
  int8_t *w = (int8_t *) (b + args->cols);
  KernelConvS8 layer = {fully_connected (args), .w = w, .m = m, .b = b, .lo = -128, .hi = 127};

  for (int pair = 0; pair < args->n; pair++) {
    for (int j = 0; j < args->cols; j++) {
      int32_t sum = 0;

      for (int k = 0; k < args->inner; k++) {
        w[(size_t) j * args->inner + k] = ((const int8_t *) args->x2)[second (args, pair, k, j)];
        sum += w[(size_t) j * args->inner + k];
      }
      m[j] = args->m;
      b[j] = kernel_requant_matmul (args->m, args->zero_x1, sum, args->zero_y);
    }
    layer.x = (const int8_t *) args->x1 + (size_t) pair * args->rows * args->inner;
    layer.y = (uint8_t *) args->y + pair * outputs * (y_f32 ? sizeof (float) : 1);
    (y_f32 ? kernel_conv_s8_f32_ref : kernel_conv_s8_ref) (&layer, NULL);
  }
}

void
kernel_matmul_s8_ref (const KernelMatmul *args, KernelQueue *queue)
{
  matmul_s8 (args, false);
}

void
kernel_matmul_s8_f32_ref (const KernelMatmul *args, KernelQueue *queue)
{
  matmul_s8 (args, true);
}

void
kernel_matmul_f32_ref (const KernelMatmul *args, KernelQueue *queue)
{
  float *b = args->scratch, *w = b + args->cols;
  KernelConvF32 layer = {fully_connected (args), .w = w, .b = b, .lo = -INFINITY, .hi = INFINITY};

  memset (b, 0, args->cols * sizeof *b);
  for (int pair = 0; pair < args->n; pair++) {
    for (int j = 0; j < args->cols; j++)
      for (int k = 0; k < args->inner; k++)
        w[(size_t) j * args->inner + k] =
            ((const float *) args->x2)[second (args, pair, k, j)] * args->m;
    layer.x = (const float *) args->x1 + (size_t) pair * args->rows * args->inner;
    layer.y = (float *) args->y + (size_t) pair * args->rows * args->cols;
    kernel_conv_f32_ref (&layer, NULL);
  }
}
