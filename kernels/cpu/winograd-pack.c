/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * winograd-pack.c: the weights of winograd.h.
 *
 * Packed: int32_t part, rounded up to KERNEL_ALIGN: input channels of a part, or all
 *         for every block of IGEMM_NR output channels, for every part, for every point
 *             int16_t u[channels of the part / 2][IGEMM_NR][2]   0 beyond the last of either
 *         a pixel of padding
 */
#include "kernels/cpu/winograd.h"

#include <stdlib.h>
#include <string.h>

/* sum |w| of a part stays below. */
#define MOST_WEIGHT (1 << 18)

/* Input channels that may not be exceeded whatever the weights, rounded down to WINOGRAD_ROUND. */
#define SAFE_CHANNELS ((MOST_WEIGHT - 1) / (9 * 128) / WINOGRAD_ROUND * WINOGRAD_ROUND)

static int
divide_up (int a, int b)
{
  return (a + b - 1) / b;
}

static int
min_int (int a, int b)
{
  return a < b ? a : b;
}

bool
kernel_winograd_fits (const KernelConvShape *shape)
{
  return shape->kh == 3 && shape->kw == 3 && shape->stride_h == 1 && shape->stride_w == 1 &&
         shape->dilation_h == 1 && shape->dilation_w == 1 && shape->groups == 1;
}

WinogradPacked
kernel_winograd_packed (const KernelConvShape *shape)
{
  const int blocks = divide_up (shape->oc, IGEMM_NR);
  WinogradPacked packed = {.channels = divide_up (shape->ic, 2) * 2};

  packed.weights = KERNEL_ALIGN;
  packed.block = (size_t) WINOGRAD_POINTS * packed.channels * IGEMM_NR * sizeof (int16_t);
  packed.padding = packed.weights + blocks * packed.block;
  packed.size = packed.padding + shape->ic;
  return packed;
}

/* The largest sum |w| of the output channels over input channels first .. end - 1. */
static int
heaviest (const KernelConvShape *shape, const int8_t *w, int first, int end)
{
  int most = 0;

  for (int k = 0; k < shape->oc; k++) {
    int sum = 0; /* at most 131072 * 128 */

    for (int tap = 0; tap < 9; tap++)
      for (int c = first; c < end; c++)
        sum += abs (w[((size_t) k * 9 + tap) * shape->ic + c]);
    most = sum > most ? sum : most;
  }
  return most;
}

/* Input channels of a part: as few parts as the weights allow. */
static int
choose_part (const KernelConvShape *shape, const int8_t *w)
{
  for (int parts = 1;; parts++) {
    const int part = divide_up (divide_up (shape->ic, parts), WINOGRAD_ROUND) * WINOGRAD_ROUND;
    int most = 0;

    if (part <= SAFE_CHANNELS)
      return part;
    for (int first = 0; first < shape->ic; first += part) {
      const int weight = heaviest (shape, w, first, min_int (first + part, shape->ic));

      most = weight > most ? weight : most;
    }
    if (most < MOST_WEIGHT)
      return part;
  }
}

/* U of one input and output channel. */
static void
transform (const int8_t *w, size_t stride, int16_t *u)
{
  int lines[WINOGRAD_IN][3];

  for (int j = 0; j < 3; j++) {
    const int w0 = w[j * stride], w1 = w[(3 + j) * stride], w2 = w[(6 + j) * stride];

    lines[0][j] = 6 * w0;
    lines[1][j] = w0 + w1 + w2;
    lines[2][j] = w0 - w1 + w2;
    lines[3][j] = w0 + 2 * w1 + 4 * w2;
    lines[4][j] = w0 - 2 * w1 + 4 * w2;
    lines[5][j] = 6 * w2;
  }
  for (int i = 0; i < WINOGRAD_IN; i++, u += WINOGRAD_IN) {
    const int w0 = lines[i][0], w1 = lines[i][1], w2 = lines[i][2];

    u[0] = (int16_t) (6 * w0);
    u[1] = (int16_t) (w0 + w1 + w2);
    u[2] = (int16_t) (w0 - w1 + w2);
    u[3] = (int16_t) (w0 + 2 * w1 + 4 * w2);
    u[4] = (int16_t) (w0 - 2 * w1 + 4 * w2);
    u[5] = (int16_t) (6 * w2);
  }
}

size_t
kernel_winograd_pack (const KernelConvShape *shape, int8_t zero_x, const int8_t *w, void *memory)
{
  const WinogradPacked packed = kernel_winograd_packed (shape);
  uint8_t *to = memory;

  if (!memory)
    return packed.size;

  const int32_t part = choose_part (shape, w);

  memset (to, 0, packed.padding);
  memset (to + packed.padding, zero_x, shape->ic);
  memcpy (to, &part, sizeof part);
  for (int k = 0; k < shape->oc; k++) {
    uint8_t *block = to + packed.weights + k / IGEMM_NR * packed.block;

    for (int c = 0; c < shape->ic; c++) {
      const int first = c / part * part, channels = min_int (part, packed.channels - first);
      int16_t u[WINOGRAD_POINTS];

      transform (w + (size_t) k * 9 * shape->ic + c, shape->ic, u);
      for (int point = 0; point < WINOGRAD_POINTS; point++) {
        const size_t pairs = (size_t) first / 2 * WINOGRAD_POINTS + point * (channels / 2);
        const size_t at = ((pairs + (c - first) / 2) * IGEMM_NR + k % IGEMM_NR) * 2 + c % 2;

        memcpy (block + at * sizeof *u, &u[point], sizeof *u);
      }
    }
  }
  return packed.size;
}
